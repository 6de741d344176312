/* The leader's side of leased caches: who may hold which key, and when a write may be proposed.
 *
 * A *session* is a cache that the group's log knows (an entry opened it, another one closes it). A
 * *lease* lets a session serve from memory for some time without asking. A *key* is what is cached,
 * bytes to this module. The one idea: a write is proposed only when no session may hold any of its
 * keys. The protocol, with the rules' numbers that are used here, is docs/consistency.md.
 *
 * Pure: events are told with the time (CLOCK_BOOTTIME, ms, read after the event was taken up); what
 * is to be done comes back as actions, in order, from lease_table_next(). It acts only while it
 * leads, which begins when the own term's barrier is applied (B1).
 *
 * A key is *quiet*: sessions may hold it; *approving(seq)*: they were told to let go by the message
 * seq; or *pending*: nobody holds it, nor comes to hold it before it is released. Words of a
 * session: *synced*: it has thrown everything away in this term, since its epoch; *unflushed*: not
 * heard of in this term; *lapsed*: left out of an approval, so it holds a lease no more and gets
 * none before it syncs again.
 *
 * Invariants
 *   T1  the numbers of the feed's messages in one term are contiguous from 1.
 *   T2  a write is proposed only while all of its keys are pending; a key with a write in flight
 *       stays so, or "all keys" does in its place (B11).
 *   T3  a key becomes pending only while all keys are, or when each session has acknowledged its
 *       seq, is lapsed, has left, or can't have a lease any more: `anchor + W` has passed, or for an
 *       unflushed one `became leader + W` (B3).
 *   T4  a lapsed session gets no grant (B4); it is answered by SYNCED only, with a higher epoch
 *       (B5).
 *   T5  every grant counts from an anchor at or before the start of a round that a majority has
 *       confirmed in this term, and at or before the first telling of an INVALIDATE that waits for
 *       the session's acknowledgement, or of that of all keys in its place; the anchor is noted
 *       before the grant is given out, and never falls (B4).
 *   T6  each ask and each write is answered exactly once; the end of leadership answers all that
 *       wait.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_REPLICA_LEASE_TABLE_H
#define PYGMY_REPLICA_LEASE_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "services/replica/replica.h"

struct lease_table;

/* Keys that belong together: of a write, or in a message. NUL-terminated each. */
struct lease_keys {
    char **keys;
    size_t count;
    bool all; /* every key there is: what stands for more than LEASE_KEYS_MAX; then count is 0 */
};

/* ---- Actions -------------------------------------------------------------------------------- */

enum lease_action_type {
    LEASE_INVALIDATE, /* publish: seq, keys. While an acknowledgement is waited for, again after
                       * LEASE_REPEAT_MS and then whenever its age has doubled */
    LEASE_RELEASE,    /* publish: seq, keys, index */
    LEASE_BEAT,       /* publish: seq, the last one given out */
    LEASE_SYNCED,     /* answer @ticket: session, epoch, ask, seq, keys (approving or pending),
                       * index (the commit index), remaining_ms */
    LEASE_GRANT,      /* answer @ticket: session, epoch, ask, remaining_ms */
    LEASE_REFUSE,     /* answer @ticket, of an ask or a write, with @code; of a write it means that
                       * nothing was proposed */
    LEASE_PROPOSE,    /* the write @ticket may be proposed, now: before any other event is told, and
                       * in @term alone: a submission that outlives it must not be appended */
    LEASE_ROUND,      /* have the term confirmed by a majority: lease_table_confirmed() */
    LEASE_CLOSE,      /* propose the end of @session (B9) */
};

/* What is to be done. Everything in it belongs to it. */
struct lease_action {
    enum lease_action_type type;
    uint64_t ticket; /* whoever asks or writes gives one, never used twice */
    uint64_t session;
    replica_term term; /* also of a REFUSE: a cache that has another one learns of it */
    uint64_t seq;
    uint64_t epoch;
    uint64_t ask;
    struct lease_keys keys;
    replica_index index;
    int64_t remaining_ms;
    int code;
};

struct lease_table *lease_table_new(void);
/* What waits is dropped without an action. Accepts NULL. */
void lease_table_destroy(struct lease_table **self_p);

/* The next thing to be done, the caller's to destroy; NULL: nothing is left. */
struct lease_action *lease_table_next(struct lease_table *self);
void lease_action_destroy(struct lease_action **self_p);

/* ---- Leadership ------------------------------------------------------------------------------ */

/* This replica leads in @term, which is higher than before, and has applied its barrier, which
 * lease_table_commit() was told (asserted). @sessions are those in the log at that point; it
 * became leader at @since_ms, which is before the barrier. */
void lease_table_lead(struct lease_table *self, replica_term term, const uint64_t *sessions,
                      size_t count, int64_t since_ms, int64_t now_ms);
/* It leads no more: whoever waits is refused (ERR_NOT_LEADER), as is who could be proposed and
 * was not yet: actions that have no effect any more are taken out of the queue. */
void lease_table_retire(struct lease_table *self);

/* A session was opened or closed by an entry that is applied now. One above LEASE_SESSIONS_MAX
 * is closed again, and is none here. Only LEASE_CLOSE may be what closes one: a leader that did
 * not know it any more would not wait for its lease. */
void lease_table_opened(struct lease_table *self, uint64_t session, int64_t now_ms);
void lease_table_closed(struct lease_table *self, uint64_t session, int64_t now_ms);

/* A majority has confirmed in this term a round that began at or after @begun_ms (the leader's
 * clock, read before the round was sent). Rounds that were not asked for are welcome. */
void lease_table_confirmed(struct lease_table *self, int64_t begun_ms, int64_t now_ms);
/* What SYNCED and RELEASE tell: it never falls. */
void lease_table_commit(struct lease_table *self, replica_index commit_index);

/* ---- Writes ---------------------------------------------------------------------------------- */

/* A write that changes what is known under @keys (borrowed; twice the same is once). Answered by
 * LEASE_PROPOSE, or by LEASE_REFUSE: ERR_NOT_LEADER, or ERR_BUSY at LEASE_WRITES_MAX that wait.
 * Without a session that could hold anything it is proposed at once.
 *
 * @deadline_ms  when ERR_UNAVAILABLE is due instead: nothing was attempted */
void lease_table_write(struct lease_table *self, uint64_t ticket, const struct lease_keys *keys,
                       int64_t deadline_ms, int64_t now_ms);
/* The proposed write @ticket is applied here at @index; 0: it was never appended. */
void lease_table_written(struct lease_table *self, uint64_t ticket, replica_index index,
                         int64_t now_ms);

/* ---- Sessions -------------------------------------------------------------------------------- */

struct lease_ask {
    uint64_t ticket;
    uint64_t session;
    replica_term term; /* that the cache knows */
    uint64_t epoch;
    uint64_t ask;   /* rises with each ask of the cache, given back in the answer */
    uint64_t acked; /* RENEW: the last message of the feed that it has dealt with */
};

/* Answered by SYNCED, GRANT, or REFUSE, when a round that is young enough is confirmed. Until then
 * an ask waits, one of each session; a newer one has it refused. What it acknowledges counts at
 * once. REFUSE has:
 *   ERR_NOT_LEADER   this replica does not lead
 *   ERR_NOT_FOUND    there is no such session: open another one
 *   ERR_MISMATCH     another term, an epoch that was seen, or a session that must sync first
 *   ERR_BUSY         back-off (B10), an INVALIDATE that waits too long (B4), no confirmed round in
 *                    time, or a newer ask: ask again later */
void lease_table_sync(struct lease_table *self, const struct lease_ask *ask, int64_t now_ms);
void lease_table_renew(struct lease_table *self, const struct lease_ask *ask, int64_t now_ms);

/* The cache itself says that @session is over: it has thrown everything away, and will never hold
 * anything by it again. That is true in every term, and however often it is heard. So nobody waits
 * for it from here on, it is granted nothing any more, and its end is proposed at once (B9).
 *
 * Returns OK, or ERR_NOT_LEADER, or ERR_NOT_FOUND: there is no such session. */
int lease_table_leave(struct lease_table *self, uint64_t session, int64_t now_ms);

/* ---- Time ------------------------------------------------------------------------------------ */

/* Do what is due: when lease_table_deadline_ms() has come, or at any time. */
void lease_table_turn(struct lease_table *self, int64_t now_ms);
/* INT64_MAX: nothing is. */
int64_t lease_table_deadline_ms(const struct lease_table *self);

struct lease_counts {
    size_t sessions, synced, lapsed; /* now */
    size_t approving, pending, waiting;
    uint64_t approvals; /* keys that were asked for, so far */
    uint64_t spared;    /* keys of writes that were pending already */
    uint64_t lapses;    /* sessions that were left out */
    int64_t longest_ms; /* a write's wait */
};
void lease_table_count(const struct lease_table *self, struct lease_counts *counts);
/* How many there are, at no cost. */
size_t lease_table_sessions(const struct lease_table *self);

#endif
