/* The guards between libraft's core and what would corrupt it, each a function with a test.
 *
 * The core trusts its driver, and the packaged library has its assertions compiled out: a slip
 * corrupts silently. Each guard names what goes wrong without it. They stand in a source of their
 * own and are called through their names, so that the simulator can switch off each one and show
 * that it is missed.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_REPLICA_RAFT_GUARD_H
#define PYGMY_REPLICA_RAFT_GUARD_H

#include <raft.h>
#include <stdbool.h>
#include <stddef.h>

/* A follower registers an uncommitted membership at the index of the first entry of a message, not
 * at its own: a message is fed in pieces in which a membership can only be the first.
 * Returns how many of @entries, at least 1 of @count > 0, make the next piece. */
size_t raft_guard_split(const struct raft_entry *entries, size_t count);

/* A message that begins at the log's very beginning is appended without its predecessor being
 * compared, though the log begins behind a snapshot: a late copy would be put at the end. Cut what
 * the snapshot holds. Returns the number of entries to skip; *prev_index and *prev_term become those
 * of the snapshot when any must be or could be skipped. */
size_t raft_guard_prefix(raft_index snapshot_index, raft_term snapshot_term, raft_index *prev_index,
                         raft_term *prev_term, size_t count);

/* Results of votes are counted in a candidate's fields, even by what is none. */
bool raft_guard_vote_result(unsigned short state);

/* A doubled old refusal below what is known to match spoils the member's progress. */
bool raft_guard_stale_reject(raft_term term, raft_term current_term, raft_index rejected,
                             raft_index match_index);

/* A second membership that arrives while the first is not known to be committed loses the first:
 * say first that it is. Returns whether that is to be done, for an append of a membership whose
 * predecessor agrees with the log. */
bool raft_guard_double_change(raft_index uncommitted_index, raft_index commit_index,
                              raft_index change_index, bool prev_matches);

/* A refusal of a vote before the vote repeats the asker's term, so that one with the longest log
 * but a lower term never learns the higher one and two of three may be stuck for ever. Returns the
 * term to send. */
raft_term raft_guard_pre_vote_term(raft_term current_term, raft_term echoed_term, bool granted);

/* An elected leader appends nothing when all it has is known to be committed, and so never commits
 * in its own term (Ongaro's message to raft-dev of 2015: single-server changes are unsafe then).
 * Returns whether the driver must append a barrier. */
bool raft_guard_barrier(bool became_leader, bool appended);

/* A conflicting tail is walked back one entry for each round trip. Returns the hint to send with a
 * refusal instead of @last_index: the index before the first entry of the term that conflicts (0:
 * there is no entry that does), not below @commit_index. */
raft_index raft_guard_hint(raft_index last_index, raft_index first_of_term,
                           raft_index commit_index);

/* The core's commit index can fall, when a shorter message says less. */
raft_index raft_guard_commit(raft_index known, raft_index told);

/* What is reported durable must still be the log's entry of that term, above what was reported
 * before, while no snapshot is being installed. */
bool raft_guard_persisted(raft_index index, raft_term written_term, raft_term term_now,
                          raft_index reported, bool installing);

/* A member without a vote leaves the core's timeout in the past: a busy loop. */
raft_time raft_guard_timeout(raft_time timeout, raft_time now);

/* The only voter of a group elects itself without a new term, at its start and when it has heard
 * nothing: it would write other entries at the indexes and in the term of some that it had sent to a
 * learner and lost, or lead in the term of a leader that has left. Returns whether it must vote for
 * itself in a new term first. @own_term is the one in which it has done so, 0: none. */
bool raft_guard_sole_voter(bool sole_voter, raft_term current_term, raft_term own_term);

/* A member that has no vote by its own log refuses it, though the rest may have made it a voter by an
 * entry that it lacks: the group may then be one vote short for ever. Whoever asks takes it for a
 * voter, and a server votes whatever its own configuration says (Ongaro's dissertation, 4.2). Returns
 * the role that the core is to see while it looks at the request. */
int raft_guard_voting_role(int role);

/* Who hears nothing of its leader forgets it by standing for election. A member that has no vote by
 * its own log never stands, and would go on refusing its vote for the sake of a leader that is no
 * more. Returns whether a request for a vote is to be taken for one that may disrupt a leader. */
bool raft_guard_disrupt(bool disrupt, bool votes, bool hears_leader);

#endif
