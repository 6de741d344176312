/* What the sources of the driver share. For them alone; the contract is consensus.h.
 *
 *   consensus.c           one event after the other: begin, steps of the core, settle; what is known
 *   consensus_step.c      one step of the core, and what follows from it as actions
 *   consensus_actions.c   the actions, the writes that are not reported, the messages that are held
 *   consensus_receive.c   a message of a member becomes events of the core
 *   consensus_send.c      a message of the core becomes messages to a member
 *   consensus_snapshot.c  snapshots taken, offered, fetched and installed
 *   consensus_members.c   who belongs to the group: history, changes, hand-over
 *   consensus_terms.c     the indexes and terms of the log
 *   consensus_check.c     the invariants
 *
 * How an event goes:
 *
 *   consensus_begin()   all actions were taken; time goes on
 *   consensus_step()    once or more
 *   consensus_settle()  what follows without anything from outside: a new leader's barrier, word to
 *                       the core of memberships that are committed, a hand-over whose time has come;
 *                       then reads, and what changed in role and membership
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_REPLICA_CONSENSUS_INTERNAL_H
#define PYGMY_REPLICA_CONSENSUS_INTERNAL_H

#include <raft.h>

#include "services/replica/consensus.h"
#include "services/replica/log_tail.h"
#include "services/replica/read_index.h"

/* ---- The log's indexes and terms ---------------------------------------------------------------- */

struct consensus_run {
    replica_index first; /* entries from here to the next run have .term */
    replica_term term;
};

/* Our own record of them, beside the core's: what the core is told and what it says are compared
 * with it. */
struct consensus_terms {
    replica_index first; /* entry of the log; last + 1: it has none */
    replica_index last;
    replica_index snapshot_index; /* 0: no snapshot */
    replica_term snapshot_term;
    struct consensus_run *runs; /* in order; without entries none */
    size_t run_count;
    size_t run_capacity;
};

/* An empty log, whose first entry will be the one at @first, behind a snapshot (0: none). */
void consensus_terms_init(struct consensus_terms *self, replica_index first,
                          replica_index snapshot_index, replica_term snapshot_term);
void consensus_terms_close(struct consensus_terms *self);
void consensus_terms_append(struct consensus_terms *self, replica_term term);
/* Take off the entries from @index on; it is one of the log's. */
void consensus_terms_cut(struct consensus_terms *self, replica_index index);
/* A snapshot was taken at @index; @trailing entries up to it stay, if there are so many. */
void consensus_terms_snapshot(struct consensus_terms *self, replica_index index, unsigned trailing);
/* A snapshot takes the place of all. */
void consensus_terms_restore(struct consensus_terms *self, replica_index index, replica_term term);
/* 0: neither an entry of the log nor the snapshot's. */
replica_term consensus_terms_of(const struct consensus_terms *self, replica_index index);
/* The first entry of the run in which the entry at @index stands; 0: the log has no such entry. */
replica_index consensus_terms_first_of(const struct consensus_terms *self, replica_index index);

/* ---- The memberships ---------------------------------------------------------------------------- */

struct consensus_record {
    replica_index index; /* of its entry */
    struct membership membership;
};

/* In order: at least the one in force at the snapshot, and all after it; the last is in force. */
struct consensus_history {
    struct consensus_record *records;
    size_t count;
    size_t capacity;
    replica_index told; /* the core knows of all up to here that they are committed */
    bool changed;       /* the last one is another than CONSENSUS_MEMBERS was about */
};

/* ---- The driver --------------------------------------------------------------------------------- */

/* A CONSENSUS_WRITE that was not reported yet. */
struct consensus_pending {
    uint64_t number;     /* rising by 1 from 1 */
    replica_index first; /* of its entries; 0: none */
    replica_index last;
    replica_term last_term;
};

/* A message that waits for a write. */
struct consensus_held {
    uint64_t number; /* of the write */
    struct peer_message message;
};

/* When something of a member was last heard. */
struct consensus_contact {
    uint64_t id; /* 0: nobody */
    int64_t at_ms;
};

struct consensus {
    struct raft raft;
    uint64_t id;
    uint64_t start_id;
    unsigned election_ms;
    unsigned snapshot_retry_ms;
    int64_t now_ms;

    struct consensus_terms terms;
    struct log_tail *tail;
    int64_t last_log_time_ms; /* of the last entry, or of the snapshot */
    int64_t last_wall_ms;
    replica_index commit_index;
    replica_index durable_index; /* 0 while a snapshot is being installed */
    replica_index applied_index;
    struct consensus_history history;

    replica_term term; /* the last that a write was made of, with the vote */
    uint64_t vote;
    struct consensus_pending *pendings; /* in order */
    size_t pending_count;
    size_t pending_capacity;
    uint64_t write_number;       /* of the last write */
    uint64_t vote_number;        /* of the last write with a term and a vote */
    uint64_t reported_number;    /* of the last write that was reported */
    struct consensus_held *held; /* in order */
    size_t held_count;
    size_t held_capacity;

    struct consensus_action *actions; /* those from action_next on are not taken yet */
    size_t action_next;
    size_t action_count;
    size_t action_capacity;

    replica_index barrier; /* leader: the first entry of its term; 0: it is still to be appended */
    bool barrier_due;
    replica_term leader_term;     /* in which the leader that the core names was heard */
    replica_term sole_term;       /* in which this replica voted for itself as the only voter */
    struct consensus_action told; /* the last CONSENSUS_ROLE */
    struct consensus_contact contacts[MEMBERS_MAX];
    uint64_t transfer_id; /* who is to lead next; 0: nobody */
    int64_t transfer_until_ms;

    struct snapshot_mark snapshot; /* the last one on the disk; its index is 0: none */
    struct snapshot_mark asked;    /* the last one that CONSENSUS_FETCH was about */
    uint64_t asked_from;
    int64_t asked_ms;
    struct snapshot_mark install; /* being fed to the core, or installed */
    bool installing;
    uint64_t install_number; /* writes up to this one were made before */

    struct read_index *reads;
};

/* ---- Events (consensus.c) ----------------------------------------------------------------------- */

void consensus_begin(struct consensus *self, int64_t now_ms);
void consensus_settle(struct consensus *self);
bool consensus_leads(const struct consensus *self);
/* A change of the group may be made, and reads are confirmed: an entry of the own term is committed
 * (C4). */
bool consensus_serves(const struct consensus *self);
void consensus_view(const struct consensus *self, struct read_index_view *view);

/* ---- A step (consensus_step.c) ------------------------------------------------------------------ */

/* Step the core. @entries: those that @event brings, in order, among which are all that the step
 * appends; NULL: it brings none. */
void consensus_step(struct consensus *self, struct raft_event *event,
                    struct shared_entry *const *entries, size_t count);
/* What the core gets to see of @entries: of their bytes, memberships only. */
struct raft_entry *consensus_entries_new(struct shared_entry *const *entries, size_t count);
void consensus_entries_free(struct raft_entry *made, size_t count);
/* Give the core a message; @count entries come with it, @made of @entries. */
void consensus_feed(struct consensus *self, struct raft_message *message, struct raft_entry *made,
                    struct shared_entry *const *entries, size_t count);
/* Append entries, on the leader; they are held by who calls, and their index and term set. */
void consensus_append(struct consensus *self, struct shared_entry *const *entries, size_t count);
/* The same for one entry of the driver's own, whose times are those of the entry before it. */
void consensus_append_own(struct consensus *self, enum log_entry_kind kind, const void *data,
                          size_t size);

/* ---- Actions (consensus_actions.c) -------------------------------------------------------------- */

/* A new action at the end, of which only the kind is set. */
struct consensus_action *consensus_push(struct consensus *self, enum consensus_action_kind kind);
/* Send a message, when the term and vote are durable that it speaks of. Taken over. */
void consensus_send(struct consensus *self, struct peer_message *message);
/* The messages that waited for the writes that are reported by now. */
void consensus_release(struct consensus *self);
/* Remember a write of entries from @first to @last, 0: none; with a term and a vote or without. */
void consensus_expect(struct consensus *self, bool vote, replica_index first, replica_index last);
/* The oldest write was reported. Returns the last of its entries that is durable for good: that no
 * later write replaces. 0: none. */
replica_index consensus_reported(struct consensus *self, replica_term *term);
void consensus_actions_close(struct consensus *self);

/* ---- Messages (consensus_send.c, consensus_receive.c) ------------------------------------------- */

/* Send on what the core says to a member. */
void consensus_send_raft(struct consensus *self, const struct raft_message *message);
/* Answer a message of a term that has passed. */
void consensus_send_stale(struct consensus *self, const struct peer_message *message);

/* ---- Snapshots (consensus_snapshot.c) ----------------------------------------------------------- */

void consensus_receive_snapshot(struct consensus *self, const struct peer_message *message);
/* The core wants self->install to be installed. */
void consensus_install(struct consensus *self, struct raft_update *update);

/* ---- Members (consensus_members.c) -------------------------------------------------------------- */

void consensus_history_push(struct consensus *self, replica_index index,
                            const struct membership *membership);
/* Forget those from @index on, whose entries are cut off. */
void consensus_history_cut(struct consensus *self, replica_index index);
/* Forget those that no snapshot at @index or above needs. */
void consensus_history_trim(struct consensus *self, replica_index index);
const struct consensus_record *consensus_history_at(const struct consensus *self,
                                                    replica_index index);
/* A copy for the core, whose owner it becomes. */
void consensus_configuration(const struct membership *membership, struct raft_configuration *conf);
/* Read the membership in an entry. Returns whether it is one. */
bool consensus_membership_in(const struct log_entry *entry, struct membership *membership);
/* The same as the core wants to have it; raft_free() it. */
struct raft_buffer consensus_change_buffer(const struct log_entry *entry);
/* Tell the core of the memberships up to @index that they are committed. */
void consensus_tell_memberships(struct consensus *self, replica_index index);
/* Whether this replica is the only voter. */
bool consensus_is_sole_voter(const struct consensus *self);
void consensus_contact(struct consensus *self, uint64_t id);
/* Whether @id was heard within an election timeout. */
bool consensus_hears(const struct consensus *self, uint64_t id);
/* Begin the hand-over when the member has all, give it up when its time is over. */
void consensus_transfer_turn(struct consensus *self);

#endif
