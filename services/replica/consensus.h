/* One replica's part in its group's consensus: Raft.
 *
 * The decisions are libraft's pure core's (raft_step, version 0.22; Ongaro's dissertation, chapters
 * 3, 4 and 6); persisting and sending are the caller's. This is the driver between them: it gives
 * the core its events in the order that it demands, carries what follows to the caller as values,
 * and guards the places where the core trusts its driver or is wrong (raft_guard.h).
 *
 * Pure: no socket, file, clock or randomness. Events go in with the time they happened, actions
 * come out:
 *
 *   consensus_receive(consensus, &message, now_ms);          ... or any other event
 *   while (consensus_next(consensus, &action))               ... then carry out what follows, in order
 *
 * All actions are to be taken before the next event goes in (asserted), those of consensus_new() too.
 * Afterwards a timer is to be set to consensus_deadline_ms().
 *
 * Invariants
 *   C1  no message leaves before the term and the vote that it speaks of are durable: the driver
 *       holds messages back until consensus_persisted() says so.
 *   C2  an entry is reported durable to the core only if it is still the one that was written.
 *   C3  the commit index never falls, and no entry at or below it is ever cut.
 *   C4  a leader serves nothing, and changes no membership, before an entry of its own term is
 *       committed.
 *   C5  a read is confirmed by a round that began after the read arrived.
 *   C6  one membership change at a time, of one member, alone in its entry.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_REPLICA_CONSENSUS_H
#define PYGMY_REPLICA_CONSENSUS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "services/replica/peer_message.h"

struct consensus;

struct consensus_options {
    uint64_t id;         /* of this replica */
    uint64_t start_id;   /* of this process: random */
    const char *address; /* as in struct member; copied */
    unsigned seed;       /* of the election timeouts */
    unsigned election_ms;
    unsigned heartbeat_ms;
    unsigned snapshot_retry_ms; /* a snapshot that was offered is offered again after it */
    unsigned in_flight_max;     /* entries sent to a member and not yet acknowledged */
    bool pre_vote;
};

/* What the disk holds. */
struct consensus_start {
    replica_term term; /* 0: this replica has nothing at all, and joins */
    uint64_t vote;
    const struct snapshot_mark *snapshot; /* NULL: none */
    replica_index first_index;            /* of the log's first entry; without entries ignored */
    size_t count;                         /* of the entries */
    const replica_term *terms;            /* of each */
    int64_t last_log_time_ms;             /* of the last entry, or of the snapshot */
    int64_t last_wall_ms;                 /* of the last entry, 0: not known; for people only */
    size_t membership_count;              /* entries of the kind LOG_ENTRY_MEMBERSHIP in the log */
    struct shared_entry *const *memberships; /* they themselves, in order; borrowed */
};

enum consensus_role { CONSENSUS_FOLLOWER, CONSENSUS_CANDIDATE, CONSENSUS_LEADER };

enum consensus_action_kind {
    /* Make .write durable, in the order of these actions, and then say consensus_persisted(). One
     * that comes after CONSENSUS_INSTALL is made after the installation; those that came before it
     * are to be reported before consensus_snapshot_installed() (asserted). */
    CONSENSUS_WRITE,
    /* Send .message (taken over). It may be lost. A PEER_APPEND with a count but without entries is
     * filled in before the next event, from the disk (all are durable, and this replica leads in
     * the message's term), then cut to size by consensus_split_append(). */
    CONSENSUS_SEND,
    /* Entries up to .commit are committed: apply them when they are durable here
     * (consensus_durable_index) and no snapshot is being installed. */
    CONSENSUS_COMMIT,
    /* The role or the leader is another than before: .role. A leader that has not committed yet
     * in its term is told, too: .role.barrier must be applied before it serves. */
    CONSENSUS_ROLE,
    /* The membership in force is another: connect to who is new, forget who is gone. */
    CONSENSUS_MEMBERS,
    /* Fetch .fetch.snapshot from .fetch.from and then say consensus_snapshot_fetched(). While it is
     * offered it is asked for again after snapshot_retry_ms: who is at it already goes on, who has
     * failed begins anew. Another snapshot takes the place of the one that was asked for. */
    CONSENSUS_FETCH,
    /* The fetched snapshot takes the place of the state and of the log: replace both durably, as
     * one, and then say consensus_snapshot_installed(). Nothing is applied meanwhile. */
    CONSENSUS_INSTALL,
    /* Reads up to .read.ticket may be served when .read.index is applied. */
    CONSENSUS_READ,
};

struct consensus_write {
    replica_term term; /* with the vote; 0: neither has changed */
    uint64_t vote;
    size_t count; /* of the entries; they replace all from the first one's index on */
    struct shared_entry **entries; /* each held, and the array: the receiver's */
};

struct consensus_action {
    enum consensus_action_kind kind;
    union {
        struct consensus_write write;
        struct peer_message message;
        replica_index commit;
        struct {
            enum consensus_role role;
            replica_term term;
            uint64_t leader;       /* id, 0: not known */
            replica_index barrier; /* leader: the first entry of its term */
        } role;
        struct {
            const struct snapshot_mark *snapshot; /* the driver's own: until the next event */
            uint64_t from;
            replica_term term;
        } fetch;
        const struct snapshot_mark *install; /* the same */
        struct {
            uint64_t ticket;
            replica_index index;
        } read;
    };
};

/* Begin with what is on the disk. Returns NULL for a log that the core refuses. */
struct consensus *consensus_new(const struct consensus_options *options,
                                const struct consensus_start *start, int64_t now_ms);
void consensus_destroy(struct consensus **self_p);

/* ---- Events. @now_ms is CLOCK_BOOTTIME's; a time before the last one is taken for that. ---------- */

/* A message came: it is taken over. What is old, foreign or makes no sense is dropped. */
void consensus_receive(struct consensus *self, struct peer_message *message, int64_t now_ms);

/* Append entries, on the leader. Kind, times and data are theirs; index and term are given here. All
 * of them become one append and one message to each member.
 *
 * Returns 0, and the index of the first in *first; the entries are held. Else nothing has happened:
 * ERR_NOT_LEADER (or handing over), ERR_BUSY (CONSENSUS_UNCOMMITTED_MAX). */
int consensus_submit(struct consensus *self, const struct log_entry *entries, size_t count,
                     replica_index *first, int64_t now_ms);

/* The oldest CONSENSUS_WRITE that was not yet reported has become durable. */
void consensus_persisted(struct consensus *self, int64_t now_ms);

/* Entries up to @index are applied: their memory may go. */
void consensus_applied(struct consensus *self, replica_index index);

/* consensus_deadline_ms() has come, or any other time. */
void consensus_tick(struct consensus *self, int64_t now_ms);

/* A read arrived just now. Returns its ticket: rising by 1 from 1. The driver goes on asking until
 * there is an answer, whoever leads. */
uint64_t consensus_read(struct consensus *self, int64_t now_ms);

/* A snapshot of the state at @snapshot->index, which is applied and durable, stands on the disk.
 * The core keeps @trailing entries before it; the caller may cut the log accordingly. One that is
 * not above the last one, or comes while one is installed, is refused with false. */
bool consensus_snapshot_taken(struct consensus *self, const struct snapshot_mark *snapshot,
                              unsigned trailing, int64_t now_ms);
/* What CONSENSUS_FETCH asked for is on the disk, whole and checked. */
void consensus_snapshot_fetched(struct consensus *self, const struct snapshot_mark *snapshot,
                                uint64_t from, replica_term term, int64_t now_ms);
void consensus_snapshot_installed(struct consensus *self, int64_t now_ms);

/* Membership, on the leader. Each returns 0 (the entry is submitted, at *index) or ERR_NOT_LEADER,
 * ERR_BUSY (another change is under way, or C4), ERR_INVALID (no such member, or it is there
 * already, MEMBERS_MAX, the last voter, or this leader itself, which hands over first),
 * ERR_UNAVAILABLE (a voter-to-be is too far behind, or does not answer). A promotion first lets the
 * learner catch up: it returns ERR_UNAVAILABLE meanwhile, and the caller repeats it. */
int consensus_add(struct consensus *self, uint64_t id, const char *address, replica_index *index,
                  int64_t now_ms); /* as a learner */
int consensus_promote(struct consensus *self, uint64_t id, replica_index *index, int64_t now_ms);
int consensus_remove(struct consensus *self, uint64_t id, replica_index *index, int64_t now_ms);
/* Hand leadership to @id, or, with 0, to the member that is furthest. Meanwhile submissions are
 * refused; it is given up after an election timeout. Returns 0, ERR_NOT_LEADER, ERR_INVALID or
 * ERR_UNAVAILABLE (nobody to hand it to). */
int consensus_transfer(struct consensus *self, uint64_t id, int64_t now_ms);

/* ---- What follows ------------------------------------------------------------------------------- */

/* Take the next action; false when there are none. */
bool consensus_next(struct consensus *self, struct consensus_action *action);
/* Let go of what an action holds that was not taken over. */
void consensus_action_close(struct consensus_action *action);
/* Cut a PEER_APPEND whose entries are there so that it takes PEER_BYTES_MAX at most. What is beyond
 * becomes @rest, a message of the same kind for the same member, which may itself be too long.
 * Returns false when nothing is. */
bool consensus_split_append(struct peer_message *message, struct peer_message *rest);
/* When consensus_tick() is due: at least 1 ms after the last event. */
int64_t consensus_deadline_ms(const struct consensus *self);

/* ---- What is known ------------------------------------------------------------------------------ */

enum consensus_role consensus_role(const struct consensus *self);
uint64_t consensus_leader(const struct consensus *self); /* id, 0: not known */
replica_term consensus_term(const struct consensus *self);
replica_index consensus_last_index(const struct consensus *self); /* durable or not */
replica_index consensus_commit_index(const struct consensus *self);
replica_index consensus_durable_index(const struct consensus *self);
/* Term of an entry, 0 when it is neither in the log nor the snapshot's. */
replica_term consensus_term_of(const struct consensus *self, replica_index index);
/* The entry, the driver's own, when it is in memory; else NULL: it is durable and on the disk. */
struct shared_entry *consensus_entry(const struct consensus *self, replica_index index);
/* The membership in force, committed or not, and the index of its entry (0: there is none). */
const struct membership *consensus_membership(const struct consensus *self);
replica_index consensus_membership_index(const struct consensus *self);
/* That which was in force at @index, which is committed; *at is its entry's index. */
void consensus_membership_at(const struct consensus *self, replica_index index,
                             struct membership *membership, replica_index *at);
/* Leader: how far @id's log agrees with this one, and when it was last heard (INT64_MIN: never); else
 * false. */
bool consensus_progress(const struct consensus *self, uint64_t id, replica_index *match,
                        int64_t *last_contact_ms);

/* Assert the invariants that can be seen in the state, with its log compared to the core's. For
 * tests and the simulator: looks at everything. */
void consensus_check(const struct consensus *self);

#endif
