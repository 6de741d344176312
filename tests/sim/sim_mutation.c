/* See sim_mutation.h.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/sim_mutation.h"

#include <string.h>

#include "services/catalog/records.h"
#include "services/replica/raft_guard.h"
#include "services/replica/read_index.h"

static enum sim_mutation mutation_on = MUTATION_NONE;
static uint64_t acted[MUTATION_COUNT];

static const char *const names[MUTATION_COUNT] = {
    [MUTATION_NONE] = "none",
    [MUTATION_FSYNC] = "fsync",
    [MUTATION_APPLY_TWICE] = "apply-twice",
    [MUTATION_READ_ROUND] = "read-round",
    [MUTATION_SPLIT] = "split",
    [MUTATION_PREFIX] = "prefix",
    [MUTATION_VOTE_RESULT] = "vote-result",
    [MUTATION_STALE_REJECT] = "stale-reject",
    [MUTATION_DOUBLE_CHANGE] = "double-change",
    [MUTATION_PRE_VOTE_TERM] = "pre-vote-term",
    [MUTATION_BARRIER] = "barrier",
    [MUTATION_HINT] = "hint",
    [MUTATION_COMMIT] = "commit",
    [MUTATION_PERSISTED] = "persisted",
    [MUTATION_TIMEOUT] = "timeout",
    [MUTATION_SOLE_VOTER] = "sole-voter",
    [MUTATION_VOTING_ROLE] = "voting-role",
    [MUTATION_DISRUPT] = "disrupt",
    [MUTATION_STORE_READ] = "store-read",
    [MUTATION_STORE_EARLY] = "store-early",
    [MUTATION_STORE_LEAD] = "store-lead",
    [MUTATION_STORE_DENIAL] = "store-denial",
    [MUTATION_LEASE_APPROVAL] = "lease-approval",
    [MUTATION_LEASE_ANCHOR] = "lease-anchor",
    [MUTATION_LEASE_TAKEOVER] = "lease-takeover",
    [MUTATION_LEASE_WAIT_100] = "lease-wait-100",
    [MUTATION_LEASE_WAIT_95] = "lease-wait-95",
    [MUTATION_LEASE_DRIFT_3] = "lease-drift-3",
    [MUTATION_LEASE_DRIFT_5] = "lease-drift-5",
    [MUTATION_LEASE_DRIFT_10] = "lease-drift-10",
    [MUTATION_LEASE_RELEASE] = "lease-release",
    [MUTATION_LEASE_LAPSED] = "lease-lapsed",
    [MUTATION_LEASE_RESYNC] = "lease-resync",
    [MUTATION_LEASE_PENDING] = "lease-pending",
    [MUTATION_LEASE_SYNC_MARK] = "lease-sync-mark",
    [MUTATION_LEASE_APPROVING] = "lease-approving",
    [MUTATION_LEASE_BARRIER] = "lease-barrier",
    [MUTATION_LEASE_READ_BARRIER] = "lease-read-barrier",
    [MUTATION_LEASE_RENEWAL] = "lease-renewal",
    [MUTATION_LEASE_RELEASE_MARK] = "lease-release-mark",
    [MUTATION_LEASE_FILL_MARK] = "lease-fill-mark",
    [MUTATION_LEASE_GAP] = "lease-gap",
    [MUTATION_LEASE_OLD_TERM] = "lease-old-term",
    [MUTATION_LEASE_POISON] = "lease-poison",
    [MUTATION_LEASE_JOIN] = "lease-join",
    [MUTATION_LEASE_UNLEASED] = "lease-unleased",
    [MUTATION_LEASE_ARRIVAL] = "lease-arrival",
    [MUTATION_LEASE_TIMER] = "lease-timer",
    [MUTATION_LEASE_THREADS] = "lease-threads",
    [MUTATION_LEASE_READ] = "lease-read",
    [MUTATION_LEASE_KEPT] = "lease-kept",
    [MUTATION_LEASE_FLUSH] = "lease-flush",
    [MUTATION_LEASE_NAMES] = "lease-names",
    [MUTATION_LEASE_LEAVE] = "lease-leave",
};

const char *sim_mutation_name(enum sim_mutation mutation)
{
    return names[mutation];
}

enum sim_mutation sim_mutation_find(const char *name)
{
    int i = 0;

    while (i < MUTATION_COUNT && strcmp(names[i], name) != 0)
        i++;
    return (enum sim_mutation)i;
}

void sim_mutation_set(enum sim_mutation mutation)
{
    mutation_on = mutation;
    memset(acted, 0, sizeof acted);
}

bool sim_mutation_is(enum sim_mutation mutation)
{
    return mutation_on == mutation;
}

uint64_t sim_mutation_acted(enum sim_mutation mutation)
{
    return acted[mutation];
}

/* What a caller gets: the guard's answer, or that of none when it is switched off. */
static uint64_t choose(enum sim_mutation mutation, uint64_t guarded, uint64_t plain)
{
    acted[mutation] += guarded != plain;
    return sim_mutation_is(mutation) ? plain : guarded;
}

/* ---- What the linker puts in the place of the guards ----------------------------------------------
 *
 * __real_x is the function itself, __wrap_x what callers get. */

size_t __real_raft_guard_split(const struct raft_entry *entries, size_t count);
size_t __wrap_raft_guard_split(const struct raft_entry *entries, size_t count);
size_t __wrap_raft_guard_split(const struct raft_entry *entries, size_t count)
{
    return choose(MUTATION_SPLIT, __real_raft_guard_split(entries, count), count);
}

size_t __real_raft_guard_prefix(raft_index snapshot_index, raft_term snapshot_term,
                                raft_index *prev_index, raft_term *prev_term, size_t count);
size_t __wrap_raft_guard_prefix(raft_index snapshot_index, raft_term snapshot_term,
                                raft_index *prev_index, raft_term *prev_term, size_t count);
size_t __wrap_raft_guard_prefix(raft_index snapshot_index, raft_term snapshot_term,
                                raft_index *prev_index, raft_term *prev_term, size_t count)
{
    raft_index index = *prev_index;
    raft_term term = *prev_term;
    size_t skip = __real_raft_guard_prefix(snapshot_index, snapshot_term, &index, &term, count);

    acted[MUTATION_PREFIX] += index != *prev_index;
    if (sim_mutation_is(MUTATION_PREFIX))
        return 0;
    *prev_index = index;
    *prev_term = term;
    return skip;
}

bool __real_raft_guard_vote_result(unsigned short state);
bool __wrap_raft_guard_vote_result(unsigned short state);
bool __wrap_raft_guard_vote_result(unsigned short state)
{
    return choose(MUTATION_VOTE_RESULT, __real_raft_guard_vote_result(state), true);
}

bool __real_raft_guard_stale_reject(raft_term term, raft_term current_term, raft_index rejected,
                                    raft_index match_index);
bool __wrap_raft_guard_stale_reject(raft_term term, raft_term current_term, raft_index rejected,
                                    raft_index match_index);
bool __wrap_raft_guard_stale_reject(raft_term term, raft_term current_term, raft_index rejected,
                                    raft_index match_index)
{
    return choose(MUTATION_STALE_REJECT,
                  __real_raft_guard_stale_reject(term, current_term, rejected, match_index), false);
}

bool __real_raft_guard_double_change(raft_index uncommitted_index, raft_index commit_index,
                                     raft_index change_index, bool prev_matches);
bool __wrap_raft_guard_double_change(raft_index uncommitted_index, raft_index commit_index,
                                     raft_index change_index, bool prev_matches);
bool __wrap_raft_guard_double_change(raft_index uncommitted_index, raft_index commit_index,
                                     raft_index change_index, bool prev_matches)
{
    return choose(MUTATION_DOUBLE_CHANGE,
                  __real_raft_guard_double_change(uncommitted_index, commit_index, change_index,
                                                  prev_matches),
                  false);
}

raft_term __real_raft_guard_pre_vote_term(raft_term current_term, raft_term echoed_term,
                                          bool granted);
raft_term __wrap_raft_guard_pre_vote_term(raft_term current_term, raft_term echoed_term,
                                          bool granted);
raft_term __wrap_raft_guard_pre_vote_term(raft_term current_term, raft_term echoed_term,
                                          bool granted)
{
    return choose(MUTATION_PRE_VOTE_TERM,
                  __real_raft_guard_pre_vote_term(current_term, echoed_term, granted), echoed_term);
}

bool __real_raft_guard_barrier(bool became_leader, bool appended);
bool __wrap_raft_guard_barrier(bool became_leader, bool appended);
bool __wrap_raft_guard_barrier(bool became_leader, bool appended)
{
    return choose(MUTATION_BARRIER, __real_raft_guard_barrier(became_leader, appended), false);
}

raft_index __real_raft_guard_hint(raft_index last_index, raft_index first_of_term,
                                  raft_index commit_index);
raft_index __wrap_raft_guard_hint(raft_index last_index, raft_index first_of_term,
                                  raft_index commit_index);
raft_index __wrap_raft_guard_hint(raft_index last_index, raft_index first_of_term,
                                  raft_index commit_index)
{
    return choose(MUTATION_HINT, __real_raft_guard_hint(last_index, first_of_term, commit_index),
                  last_index);
}

raft_index __real_raft_guard_commit(raft_index known, raft_index told);
raft_index __wrap_raft_guard_commit(raft_index known, raft_index told);
raft_index __wrap_raft_guard_commit(raft_index known, raft_index told)
{
    return choose(MUTATION_COMMIT, __real_raft_guard_commit(known, told), told);
}

bool __real_raft_guard_persisted(raft_index index, raft_term written_term, raft_term term_now,
                                 raft_index reported, bool installing);
bool __wrap_raft_guard_persisted(raft_index index, raft_term written_term, raft_term term_now,
                                 raft_index reported, bool installing);
bool __wrap_raft_guard_persisted(raft_index index, raft_term written_term, raft_term term_now,
                                 raft_index reported, bool installing)
{
    return choose(MUTATION_PERSISTED,
                  __real_raft_guard_persisted(index, written_term, term_now, reported, installing),
                  true);
}

raft_time __real_raft_guard_timeout(raft_time timeout, raft_time now);
raft_time __wrap_raft_guard_timeout(raft_time timeout, raft_time now);
raft_time __wrap_raft_guard_timeout(raft_time timeout, raft_time now)
{
    return choose(MUTATION_TIMEOUT, __real_raft_guard_timeout(timeout, now), timeout);
}

bool __real_raft_guard_sole_voter(bool sole_voter, raft_term current_term, raft_term own_term);
bool __wrap_raft_guard_sole_voter(bool sole_voter, raft_term current_term, raft_term own_term);
bool __wrap_raft_guard_sole_voter(bool sole_voter, raft_term current_term, raft_term own_term)
{
    return choose(MUTATION_SOLE_VOTER,
                  __real_raft_guard_sole_voter(sole_voter, current_term, own_term), false);
}

int __real_raft_guard_voting_role(int role);
int __wrap_raft_guard_voting_role(int role);
int __wrap_raft_guard_voting_role(int role)
{
    return (int)choose(MUTATION_VOTING_ROLE, (uint64_t)__real_raft_guard_voting_role(role),
                       (uint64_t)role);
}

bool __real_raft_guard_disrupt(bool disrupt, bool votes, bool hears_leader);
bool __wrap_raft_guard_disrupt(bool disrupt, bool votes, bool hears_leader);
bool __wrap_raft_guard_disrupt(bool disrupt, bool votes, bool hears_leader)
{
    return choose(MUTATION_DISRUPT, __real_raft_guard_disrupt(disrupt, votes, hears_leader),
                  disrupt);
}

bool __real_read_rule_confirmed(size_t confirmed, size_t voters);
bool __wrap_read_rule_confirmed(size_t confirmed, size_t voters);
bool __wrap_read_rule_confirmed(size_t confirmed, size_t voters)
{
    return choose(MUTATION_READ_ROUND, __real_read_rule_confirmed(confirmed, voters), true);
}

void __real_record_add(struct state *state, const struct command *command, enum record_state in,
                       const struct outcome *outcome);
void __wrap_record_add(struct state *state, const struct command *command, enum record_state in,
                       const struct outcome *outcome);
void __wrap_record_add(struct state *state, const struct command *command, enum record_state in,
                       const struct outcome *outcome)
{
    if (in != RECORD_DENIED || !sim_mutation_is(MUTATION_STORE_DENIAL))
        __real_record_add(state, command, in, outcome);
}
