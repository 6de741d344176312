/* See raft_guard.h.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "services/replica/raft_guard.h"

#include <assert.h>

_Static_assert(RAFT_VERSION_MAJOR == 0 && RAFT_VERSION_MINOR == 22,
               "each guard knows a defect of libraft 0.22; look at them anew for another version");

size_t raft_guard_split(const struct raft_entry *entries, size_t count)
{
    size_t piece = 1;

    assert(count > 0);
    while (piece < count && entries[piece].type != RAFT_CHANGE)
        piece++;
    return piece;
}

size_t raft_guard_prefix(raft_index snapshot_index, raft_term snapshot_term, raft_index *prev_index,
                         raft_term *prev_term, size_t count)
{
    size_t skip;

    if (*prev_index >= snapshot_index)
        return 0;
    skip = snapshot_index - *prev_index < count ? (size_t)(snapshot_index - *prev_index) : count;
    *prev_index = snapshot_index;
    *prev_term = snapshot_term;
    return skip;
}

bool raft_guard_vote_result(unsigned short state)
{
    return state == RAFT_CANDIDATE;
}

bool raft_guard_stale_reject(raft_term term, raft_term current_term, raft_index rejected,
                             raft_index match_index)
{
    return rejected != 0 && term == current_term && rejected <= match_index;
}

bool raft_guard_double_change(raft_index uncommitted_index, raft_index commit_index,
                              raft_index change_index, bool prev_matches)
{
    return prev_matches && uncommitted_index > commit_index && uncommitted_index < change_index;
}

raft_term raft_guard_pre_vote_term(raft_term current_term, raft_term echoed_term, bool granted)
{
    return !granted && current_term > echoed_term ? current_term : echoed_term;
}

bool raft_guard_barrier(bool became_leader, bool appended)
{
    return became_leader && !appended;
}

raft_index raft_guard_hint(raft_index last_index, raft_index first_of_term, raft_index commit_index)
{
    raft_index hint = last_index;

    if (first_of_term != 0 && first_of_term <= hint)
        hint = first_of_term - 1;
    if (hint < commit_index)
        hint = commit_index;
    return hint < last_index ? hint : last_index;
}

raft_index raft_guard_commit(raft_index known, raft_index told)
{
    return told > known ? told : known;
}

bool raft_guard_persisted(raft_index index, raft_term written_term, raft_term term_now,
                          raft_index reported, bool installing)
{
    return !installing && index > reported && written_term == term_now;
}

raft_time raft_guard_timeout(raft_time timeout, raft_time now)
{
    return timeout > now ? timeout : now + 1;
}

bool raft_guard_sole_voter(bool sole_voter, raft_term current_term, raft_term own_term)
{
    return sole_voter && current_term != own_term;
}

int raft_guard_voting_role(int role)
{
    return role == RAFT_STANDBY ? RAFT_VOTER : role;
}

bool raft_guard_disrupt(bool disrupt, bool votes, bool hears_leader)
{
    return disrupt || (!votes && !hears_leader);
}
