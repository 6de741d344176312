/* Linearizable reads at every replica: which index must be applied before reads may be served.
 *
 * A replica asks the leader; the leader asks all voters whether its term still stands, and when a
 * majority has said so in one round that began after the question came, it answers with the commit
 * index that it had when the round began (Ongaro's dissertation, 6.4). Questions that come during a
 * round wait for the next one, so any number of reads costs one round at a time.
 *
 * Invariants
 *   I1  the round that confirms a read began after the read arrived, at whichever replica.
 *   I2  a leader begins no round before an entry of its own term is committed.
 *   I3  an answer to a question of an earlier process, an earlier leader's round, or an earlier term
 *       confirms nothing.
 *
 * Why a majority that still has the term suffices: a later leader would have been elected by a
 * majority that has a higher one, and no voter's term falls; so at the start of the round there was
 * none, and nothing was committed anywhere that this leader's commit index did not cover.
 *
 * Pure. Owned by the driver (consensus.h), which tells it what it knows.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_REPLICA_READ_INDEX_H
#define PYGMY_REPLICA_READ_INDEX_H

#include "services/replica/peer_message.h"

struct read_index;

/* What is so now, at this replica. */
struct read_index_view {
    uint64_t id;
    uint64_t start_id;
    replica_term term;
    uint64_t leader; /* id, 0: not known */
    bool leading;    /* this replica leads, and an entry of its term is committed */
    replica_index commit_index;
    const struct membership *membership; /* in force; not owned */
    int64_t now_ms;
};

/* Where messages and confirmed reads go. Both may be called from within any event, a read's
 * confirmation even before read_index_ask() has returned its ticket; they must not call back. */
struct read_index_sink {
    void *arg;
    void (*send)(void *arg, struct peer_message *message); /* taken over; from, to, term are set */
    /* Reads up to @ticket may be served when @index is applied. */
    void (*confirm)(void *arg, uint64_t ticket, replica_index index);
};

struct read_index *read_index_new(const struct read_index_sink *sink);
void read_index_destroy(struct read_index **self_p);

/* A read arrived here. Returns its ticket: rising by 1 from 1. */
uint64_t read_index_ask(struct read_index *self, const struct read_index_view *view);
/* PEER_ROUND, PEER_ROUND_RESULT, PEER_READ or PEER_READ_RESULT came. It is borrowed. */
void read_index_receive(struct read_index *self, const struct peer_message *message,
                        const struct read_index_view *view);
/* Role, term, leader, commit index or membership may be others than before, or time has passed. */
void read_index_turn(struct read_index *self, const struct read_index_view *view);
/* When read_index_turn() is due to send again what may have been lost; INT64_MAX: nothing waits. */
int64_t read_index_deadline_ms(const struct read_index *self);

/* The one rule: whether a round whose results came from @confirmed voters of @voters confirms reads
 * that were asked before its start. A source of its own, read_rule.c, for the simulator's sake. */
bool read_rule_confirmed(size_t confirmed, size_t voters);

#endif
