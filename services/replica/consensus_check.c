/* The invariants that can be seen in the state, see consensus.h.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "services/replica/consensus_internal.h"

#include <assert.h>
#include <string.h>

/* The core keeps, for each term of the log, the index of its last entry; we that of the first. */
static void check_runs(const struct consensus_terms *terms, const struct raft_trail *trail)
{
    unsigned place = trail->front;

    for (size_t i = 0; i < terms->run_count; i++) {
        const replica_index last =
            i + 1 < terms->run_count ? terms->runs[i + 1].first - 1 : terms->last;
        assert(trail->records[place].term == terms->runs[i].term);
        assert(trail->records[place].index == last);
        place = (place + 1) % trail->size;
    }
    assert(place == trail->back || terms->run_count == 0);
}

static void check_log(const struct consensus *self)
{
    const struct consensus_terms *terms = &self->terms;
    const struct raft_trail *trail = &self->raft.trail;

    assert(trail->offset + 1 == terms->first);
    assert(trail->snapshot.index == terms->snapshot_index);
    assert(trail->snapshot.term == terms->snapshot_term);
    assert(terms->last + 1 >= terms->first && terms->last >= terms->snapshot_index);
    assert((terms->run_count == 0) == (terms->last + 1 == terms->first));
    assert((trail->front == trail->back) == (terms->run_count == 0));
    check_runs(terms, trail);
    assert(log_tail_last(self->tail) == terms->last);
    /* What lies before the log may still be in memory. */
    const replica_index first = log_tail_first(self->tail);
    for (replica_index i = first > terms->first ? first : terms->first; i <= terms->last; i++) {
        const struct log_entry *entry = &log_tail_entry(self->tail, i)->entry;
        assert(entry->index == i && entry->term == consensus_terms_of(terms, i));
    }
}

/* C1 */
static void check_held(const struct consensus *self)
{
    assert(self->held_count == 0 || self->vote_number > self->reported_number);
    for (size_t i = 0; i < self->held_count; i++)
        assert(self->held[i].number > self->reported_number &&
               self->held[i].number <= self->vote_number);
}

/* C2, C3 */
static void check_indexes(const struct consensus *self)
{
    const replica_index reported = self->raft.last_stored;

    assert(self->installing || reported == self->durable_index);
    assert(self->durable_index <= self->terms.last);
    assert(self->durable_index >= self->terms.snapshot_index || self->installing);
    for (size_t i = 0; i < self->pending_count; i++)
        assert(self->installing || self->pendings[i].first == 0 ||
               self->pendings[i].first > self->durable_index);
    assert(self->commit_index >= self->raft.commit_index);
    assert(self->commit_index <= self->terms.last);
    assert(self->applied_index <= self->commit_index);
}

/* C4. (Several memberships may not be known to be committed: a new leader has them of earlier ones,
 * who knew.) */
static void check_leader(const struct consensus *self)
{
    if (!consensus_leads(self))
        return;
    assert(self->barrier != 0);
    assert(consensus_terms_of(&self->terms, self->barrier) == raft_current_term(&self->raft) ||
           self->barrier < self->terms.first);
}

static void check_members(const struct consensus *self)
{
    const struct raft_configuration *conf = &self->raft.configuration;
    const struct membership *membership = consensus_membership(self);

    if (self->installing)
        return;
    assert(conf->n == membership->count);
    for (unsigned i = 0; i < conf->n; i++) {
        const struct member *member = &membership->members[i];
        assert(conf->servers[i].id == member->id);
        assert(strcmp(conf->servers[i].address, member->address) == 0);
        assert((conf->servers[i].role == RAFT_VOTER) == (member->role == MEMBER_VOTER));
    }
    if (self->history.count == 0)
        return;
    const replica_index last = self->history.records[self->history.count - 1].index;
    if (self->raft.configuration_uncommitted_index != 0)
        assert(self->raft.configuration_uncommitted_index == last);
    else
        assert(self->raft.configuration_committed_index == last);
}

void consensus_check(const struct consensus *self)
{
    assert(self->term == raft_current_term(&self->raft));
    assert(self->vote == raft_voted_for(&self->raft));
    assert(self->raft.snapshot.installing == self->installing);
    check_log(self);
    check_held(self);
    check_indexes(self);
    check_leader(self);
    check_members(self);
}
