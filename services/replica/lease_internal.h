/* What the sources of the lease table share. Nobody else includes this.
 *
 * lease_table.c    leadership, time, actions
 * lease_keys.c     keys: approval and release
 * lease_writes.c   writes: who waits, who may be proposed
 * lease_sessions.c sessions: acknowledgements, grants, who is left out
 *
 * "All keys" is a key like the others, beside them. When it begins to be approved it absorbs those
 * that are not quiet: they stay unheld, and are released with all others, after the last write of
 * any of them. While it is approving there are no others. While it is pending those that are named
 * become pending at once, of which no cache knows; so a write that goes on and on does not keep
 * everything unheld, but its own keys. They are told of before "all keys" is released.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_REPLICA_LEASE_INTERNAL_H
#define PYGMY_REPLICA_LEASE_INTERNAL_H

#include <czmq.h>

#include "broker/bus/limits.h"
#include "services/replica/lease_table.h"

enum key_state {
    KEY_QUIET, /* a named one only while the write that brings it is being taken on */
    KEY_APPROVING,
    KEY_PENDING,
};

struct lease_key {
    char *name; /* NULL: all keys */
    enum key_state state;
    uint64_t seq;    /* approving: of the message that tells of it */
    int64_t told_ms; /* approving: when it was told first, */
    int64_t sent_ms; /* and when last */
    size_t waiting;  /* writes that wait until all of their keys are pending */
    size_t flying;   /* writes that are proposed, and not known to be applied */
    int64_t idle_ms; /* pending: since when there are none of either */
    uint64_t mark;   /* the write that named it last */
};

struct lease_write {
    uint64_t ticket;
    struct lease_key **keys; /* borrowed, each once */
    size_t key_count;
    int64_t came_ms;
    int64_t deadline_ms;
    void *handle; /* its place among those that wait; NULL: it is proposed */
};

enum session_state {
    SESSION_UNFLUSHED, /* not heard of in this term */
    SESSION_SYNCED,
    SESSION_LAPSED, /* holds nothing */
};

/* An ask that waits for a confirmed round. It is dealt with as though it came when that is
 * there: to wait here or on its way is the same. */
struct lease_held {
    struct lease_ask ask;
    bool sync; /* else a RENEW */
    int64_t came_ms;
    bool waits;
};

struct lease_session {
    uint64_t id;
    enum session_state state;
    uint64_t epoch; /* the highest that has synced in this term */
    uint64_t acked;
    int64_t anchor_ms; /* synced: of the last grant */
    int64_t synced_ms;
    int64_t heard_ms;
    int64_t backoff_ms; /* the last one; 0: there was none */
    int64_t again_ms;   /* lapsed: not synced before */
    bool closing;       /* it is over, and its end was proposed, */
    int64_t closed_ms;  /* last at this time */
    struct lease_held held;
    size_t place; /* among the sessions */
};

struct lease_table {
    zlistx_t *actions;
    bool leading;
    replica_term term;
    int64_t since_ms;  /* since when this is the leader */
    uint64_t last_seq; /* T1 */
    replica_index commit_index;
    int64_t beat_ms; /* when the next one is due */
    int64_t due_ms;  /* when to turn, or before */

    bool confirmed;   /* a round was, in this term; */
    int64_t round_ms; /* the newest of them began then */
    bool asked;       /* for another one, */
    int64_t asked_ms; /* at this time */

    zhashx_t *keys; /* by name; none is quiet between two events */
    struct lease_key all;
    struct lease_key *approving[LEASE_KEYS_MAX]; /* by rising seq */
    size_t approving_count;

    zlistx_t *waiting; /* writes, the oldest first */
    zhashx_t *flying;  /* writes, by ticket */
    int64_t expire_ms; /* no write's deadline is before; INT64_MAX: none waits */
    uint64_t last_mark;

    zhashx_t *by_id; /* sessions */
    struct lease_session **sessions;
    size_t session_count;
    size_t holder_count; /* of these, not lapsed */

    uint64_t approvals, spared, lapses;
    int64_t longest_ms;
};

/* ---- lease_table.c */

/* Turn at @at_ms, at the latest. */
void table_due(struct lease_table *self, int64_t at_ms);
/* An action of @type, at the end of the queue, for its fields to be filled with what becomes its
 * own. */
struct lease_action *table_act(struct lease_table *self, enum lease_action_type type);
void table_refuse(struct lease_table *self, uint64_t ticket, int code);
/* A new message of the feed: its number is the next one. */
struct lease_action *table_publish(struct lease_table *self, enum lease_action_type type,
                                   int64_t now_ms);
/* Time and acknowledgements are what they are now: refuse writes whose time is up, leave out
 * sessions that may be left out, and propose what nobody may hold. */
void table_settle(struct lease_table *self, int64_t now_ms);

/* ---- lease_keys.c */

/* Copies of the names; those of @count keys. */
struct lease_keys keys_copy(struct lease_key *const *keys, size_t count);
/* What is approving or pending. */
struct lease_keys keys_not_quiet(const struct lease_table *self);
/* Whether each of @keys is pending. */
bool keys_pending(const struct lease_table *self, const struct lease_keys *keys);
/* The keys that @write waits for: those of @keys, or "all keys". They count it as waiting. */
void keys_take(struct lease_table *self, struct lease_write *write, const struct lease_keys *keys);
/* Have those of @write's keys that are quiet approved. */
void keys_tell(struct lease_table *self, const struct lease_write *write, int64_t now_ms);
/* No session that counts has acknowledged less than @acked. Returns whether a key became
 * pending. */
bool keys_approve(struct lease_table *self, uint64_t acked, int64_t now_ms);
/* A write has left the key: its quiet time may begin. */
void key_idle(struct lease_table *self, struct lease_key *key, int64_t now_ms);
/* When the oldest approving key was told of that @acked does not cover; INT64_MAX: it covers
 * all. */
int64_t keys_unacked_since(const struct lease_table *self, uint64_t acked);
/* Tell again what is not acknowledged; release what was idle for long enough. */
void keys_repeat(struct lease_table *self, int64_t now_ms);
void keys_release(struct lease_table *self, int64_t now_ms);
/* Forget them all. No write knows one any more. */
void keys_clear(struct lease_table *self);
void key_free(void **item);

/* ---- lease_writes.c */

void write_free(void **item);
/* Refuse those whose deadline has come. */
void writes_expire(struct lease_table *self, int64_t now_ms);
/* Propose those whose keys are all pending. */
void writes_propose(struct lease_table *self, int64_t now_ms);
/* Each write that has keys has but one from here on: "all keys". */
void writes_absorb(struct lease_table *self);
/* Leadership is lost: refuse those that wait, forget the others. */
void writes_retire(struct lease_table *self);

/* ---- lease_sessions.c */

struct lease_session *session_add(struct lease_table *self, uint64_t id, enum session_state state,
                                  int64_t now_ms);
/* Leave out whom it is time to leave out. Returns the lowest number that the others have
 * acknowledged. */
uint64_t sessions_leave_out(struct lease_table *self, int64_t now_ms);
/* Asks that wait for too long are refused; sessions silent for too long are closed (B9). */
void sessions_turn(struct lease_table *self, int64_t now_ms);
/* Leadership is lost: refuse asks that wait, and forget. */
void sessions_retire(struct lease_table *self);

#endif
