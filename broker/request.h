/* A request on its way through the broker: the record that is held from its acceptance to its
 * answer, and the table of all of them.
 *
 *   WAITING   in its service's queue
 *   IN_HAND   given to a worker
 *   LOCAL     given to the broker itself (node.NAME)
 *   ABANDONED a plain worker still has it, but nobody waits for it: its deadline has passed or its
 *             answer was given. It only keeps the worker's one credit used
 *
 * Its id names one attempt: it is new each time the request is given to a worker, so that an
 * answer of an earlier attempt finds nothing.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_BROKER_REQUEST_H
#define PYGMY_BROKER_REQUEST_H

#include <stdbool.h>
#include <stdint.h>

#include "broker/body.h"
#include "broker/bus/bytes.h"
#include "broker/list.h"
#include "broker/peer.h"
#include "broker/wheel.h"

struct lane;
struct service;

enum request_state { REQUEST_WAITING, REQUEST_IN_HAND, REQUEST_LOCAL, REQUEST_ABANDONED };

struct request {
    uint64_t id; /* of the present attempt; never 0 */
    enum request_state state;
    struct peer *client;        /* NULL: gone, nobody waits for the answer */
    struct service *service;    /* NULL when LOCAL */
    struct peer *worker;        /* IN_HAND, ABANDONED: who has it */
    struct lane *lane;          /* WAITING: where */
    uint64_t correlation;       /* the client's, when it speaks the extension */
    struct mdp_dialect dialect; /* else how the request was written, as the answer will be */
    uint16_t attempts;          /* workers it was given to, without those that did not lead */
    bool replay_safe;           /* may be given to another worker when its worker is lost */
    bool shared;                /* IN_HAND: its worker takes several, and it counts as such */
    bool partial_sent;          /* a part of the answer went to the client */
    bool forbearing;            /* no worker yet, soon after the start: see START_GRACE_MS */
    int64_t accepted_ms;
    int64_t deadline_ms;
    struct wheel_timer timer;
    struct list_link client_link;   /* in client->requests */
    struct list_link place_link;    /* in its lane, or in worker->in_hand */
    struct list_link unserved_link; /* in client->unserved: accepted with nobody to serve it */
    struct body body;               /* kept for another attempt */
    size_t bytes;                   /* that it counts for, whatever becomes of the body */
    struct bytes_writer collected;  /* parts of the answer, for who takes only whole ones */
};

struct request_table;

/* @count_max requests at most; @bytes_max bytes of bodies. */
struct request_table *request_table_new(size_t count_max, size_t bytes_max);
/* There are no requests any more. Accepts NULL. */
void request_table_destroy(struct request_table **self_p);
size_t request_table_count(const struct request_table *self);
size_t request_table_bytes(const struct request_table *self);
/* Whether one more of @bytes fits. */
bool request_table_fits(const struct request_table *self, size_t bytes);

/* A new record, zeroed but for its id, taking @body over. It fits (asserted). */
struct request *request_new(struct request_table *self, struct body *body);
/* Give it a fresh id: the old one finds nothing any more. */
void request_renew(struct request_table *self, struct request *request);
/* The request whose present id that is, or NULL. */
struct request *request_find(const struct request_table *self, uint64_t id);
/* Append a part of the answer to what was collected of it; @part is closed. False, with nothing
 * appended, when the whole would be above BODY_BYTES_MAX or the table's bound. */
bool request_collect(struct request_table *self, struct request *request, struct body *part);
/* Forget what was collected, or put it in front of the last part @rest, as one frame. */
void request_collected_drop(struct request_table *self, struct request *request);
void request_collected_take(struct request_table *self, struct request *request, struct body *rest);
/* Free a request that is in no list. */
void request_delete(struct request_table *self, struct request **request_p);
/* One after the other, in no order: @slot is 0 at first and moved on. NULL at the end. */
struct request *request_each(const struct request_table *self, size_t *slot);

#endif
