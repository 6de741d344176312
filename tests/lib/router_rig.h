/* A router without a world: tests speak for its peers and tell it the time, and read what it sends
 * as lines of text.
 *
 * A plain message is its frames parted by '|', with a backslash and two hexadecimal digits for a
 * byte that is not printable ("|MDPW01|\01|echo"). Of our own messages each record is a line:
 *
 *   REQUEST id=00000002000000ff attempt=1 ms=1000 echo BODY
 *   REPLY correlation=7 status=0 BODY
 *   HEARTBEAT  DISCONNECT  GOING_AWAY
 *
 * After each event the router's invariants are checked. Heartbeats are left out of what is heard,
 * unless .keep_heartbeats.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_LIB_ROUTER_RIG_H
#define TESTS_LIB_ROUTER_RIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "broker/bus/pack.h"
#include "broker/router.h"

struct rig_line {
    char *peer;
    char *text;
};

struct rig {
    struct router *router;
    int64_t now_ms;
    bool keep_heartbeats;
    struct rig_line *lines; /* heard and not yet read */
    size_t line_count;
    size_t messages; /* that the router sent */
    uint64_t id;     /* of the last REQUEST that was expected and came */
    uint64_t ask_id; /* of the last ROUTER_ASK */
    size_t notes[ROUTER_NOTE_COUNT];
};

/* A router with @options (NULL: nothing special) at 1,000,000 ms. */
struct rig *rig_new(const struct router_options *options);
void rig_destroy(struct rig **self_p);

/* A peer sends a plain message in the notation above. */
void rig_send(struct rig *self, const char *peer, const char *text);
/* A peer sends records of ours; side 'C' or 'W'. */
void rig_pack(struct rig *self, const char *peer, char side, const struct pack_record *records,
              size_t count);
/* Single records of ours. */
void rig_hello(struct rig *self, const char *client);
void rig_request(struct rig *self, const char *client, uint64_t correlation, const char *service,
                 const char *body, uint32_t budget_ms, uint8_t flags);
void rig_ready(struct rig *self, const char *worker, const char *service, uint32_t credit);
void rig_reply(struct rig *self, const char *worker, uint64_t id, int status, const char *body);
void rig_beat(struct rig *self, const char *peer, char side, uint32_t credit);
/* A plain worker answers; "|" between frames of the body. */
void rig_plain_reply(struct rig *self, const char *worker, const char *head, uint64_t id,
                     const char *body);
/* Sending to a peer fails. */
void rig_lose(struct rig *self, const char *peer);
/* Time passes, tick by tick. */
void rig_pass(struct rig *self, int64_t ms);

/* The next line for @peer matches the pattern (of fnmatch). */
void rig_expect(struct rig *self, const char *peer, const char *pattern);
/* There is nothing for @peer. */
void rig_expect_nothing(struct rig *self, const char *peer);
/* Forget what was heard. */
void rig_clear(struct rig *self);

/* Make a message of the notation above. */
void rig_message(struct message *message, const char *text);
/* Carry out what the router asks for, and check it. For tests that feed it by themselves. */
void rig_settle(struct rig *self);

#endif
