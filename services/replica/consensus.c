/* See consensus.h; how the sources divide it is said in consensus_internal.h.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "services/replica/consensus_internal.h"

#include <assert.h>
#include <stdlib.h>

#include "broker/bus/alloc.h"
#include "broker/bus/err.h"
#include "services/replica/raft_guard.h"

/* A learner that goes while it catches up holds up every other change, until the core has seen no
 * round of it end for so many election timeouts. One that is only slow loses nothing by it: the next
 * request for its vote begins a new round where it stands. */
#define CATCH_UP_ELECTIONS 10

/* ---- What is known ------------------------------------------------------------------------------ */

bool consensus_leads(const struct consensus *self)
{
    return self->raft.state == RAFT_LEADER;
}

bool consensus_serves(const struct consensus *self)
{
    return consensus_leads(self) && self->barrier != 0 && self->commit_index >= self->barrier;
}

enum consensus_role consensus_role(const struct consensus *self)
{
    switch (self->raft.state) {
    case RAFT_LEADER: return CONSENSUS_LEADER;
    case RAFT_CANDIDATE: return CONSENSUS_CANDIDATE;
    default: return CONSENSUS_FOLLOWER;
    }
}

uint64_t consensus_leader(const struct consensus *self)
{
    if (consensus_leads(self))
        return self->id;
    if (self->raft.state != RAFT_FOLLOWER || self->leader_term != consensus_term(self))
        return 0;
    return self->raft.follower_state.current_leader.id;
}

replica_term consensus_term(const struct consensus *self)
{
    return raft_current_term(&self->raft);
}

replica_index consensus_last_index(const struct consensus *self)
{
    return self->terms.last;
}

replica_index consensus_commit_index(const struct consensus *self)
{
    return self->commit_index;
}

replica_index consensus_durable_index(const struct consensus *self)
{
    return self->durable_index;
}

replica_term consensus_term_of(const struct consensus *self, replica_index index)
{
    return consensus_terms_of(&self->terms, index);
}

struct shared_entry *consensus_entry(const struct consensus *self, replica_index index)
{
    return log_tail_entry(self->tail, index);
}

int64_t consensus_deadline_ms(const struct consensus *self)
{
    const raft_time timeout = raft_timeout(&self->raft);
    int64_t at_ms = timeout < INT64_MAX ? (int64_t)timeout : INT64_MAX;

    if (read_index_deadline_ms(self->reads) < at_ms)
        at_ms = read_index_deadline_ms(self->reads);
    if (self->transfer_id != 0 && self->transfer_until_ms < at_ms)
        at_ms = self->transfer_until_ms;
    return (int64_t)raft_guard_timeout((raft_time)at_ms, (raft_time)self->now_ms);
}

/* ---- One event ---------------------------------------------------------------------------------- */

void consensus_begin(struct consensus *self, int64_t now_ms)
{
    assert(self->action_next == self->action_count);
    if (now_ms > self->now_ms)
        self->now_ms = now_ms;
}

void consensus_view(const struct consensus *self, struct read_index_view *view)
{
    *view = (struct read_index_view){.id = self->id,
                                     .start_id = self->start_id,
                                     .term = consensus_term(self),
                                     .leader = consensus_leader(self),
                                     .leading = consensus_serves(self),
                                     .commit_index = self->commit_index,
                                     .membership = consensus_membership(self),
                                     .now_ms = self->now_ms};
}

static void settle_barrier(struct consensus *self)
{
    if (!self->barrier_due)
        return;
    self->barrier_due = false;
    self->barrier = self->terms.last + 1;
    consensus_append_own(self, LOG_ENTRY_BARRIER, NULL, 0);
}

static void settle_role(struct consensus *self)
{
    struct consensus_action *told = &self->told;
    const enum consensus_role role = consensus_role(self);

    if (told->role.role == role && told->role.term == consensus_term(self) &&
        told->role.leader == consensus_leader(self) && told->role.barrier == self->barrier)
        return;
    told->kind = CONSENSUS_ROLE;
    told->role.role = role;
    told->role.term = consensus_term(self);
    told->role.leader = consensus_leader(self);
    told->role.barrier = self->barrier;
    consensus_push(self, CONSENSUS_ROLE)->role = told->role;
}

void consensus_settle(struct consensus *self)
{
    struct read_index_view view;

    settle_barrier(self);
    consensus_tell_memberships(self, self->commit_index);
    consensus_transfer_turn(self);
    log_tail_trim(self->tail,
                  self->applied_index < self->durable_index ? self->applied_index
                                                            : self->durable_index,
                  LOG_TAIL_BYTES_MAX);
    consensus_view(self, &view);
    read_index_turn(self->reads, &view);
    settle_role(self);
    if (self->history.changed)
        consensus_push(self, CONSENSUS_MEMBERS);
    self->history.changed = false;
}

/* ---- Events ------------------------------------------------------------------------------------- */

int consensus_submit(struct consensus *self, const struct log_entry *entries, size_t count,
                     replica_index *first, int64_t now_ms)
{
    assert(count > 0);
    if (!consensus_leads(self) || self->transfer_id != 0 || raft_transferee(&self->raft) != 0)
        return ERR_NOT_LEADER;
    if (self->terms.last - self->commit_index + count > CONSENSUS_UNCOMMITTED_MAX)
        return ERR_BUSY;
    consensus_begin(self, now_ms);
    *first = self->terms.last + 1;
    struct shared_entry **made = alloc_zero(count * sizeof(struct shared_entry *));
    for (size_t i = 0; i < count; i++) {
        struct log_entry entry = entries[i];
        /* A membership has rules of its own, and an entry of its own. */
        assert(entry.kind == LOG_ENTRY_COMMAND || entry.kind == LOG_ENTRY_BARRIER);
        assert(entry.size <= ENTRY_BYTES_MAX);
        assert(entry.log_time_ms >= (i == 0 ? self->last_log_time_ms : entries[i - 1].log_time_ms));
        entry.index = *first + i;
        entry.term = consensus_term(self);
        made[i] = shared_entry_new(&entry);
    }
    consensus_append(self, made, count);
    for (size_t i = 0; i < count; i++)
        shared_entry_release(&made[i]);
    free(made);
    consensus_settle(self);
    return 0;
}

void consensus_persisted(struct consensus *self, int64_t now_ms)
{
    struct raft_event event = {.type = RAFT_PERSISTED_ENTRIES};
    replica_term term;

    consensus_begin(self, now_ms);
    const replica_index index = consensus_reported(self, &term);
    consensus_release(self);
    if (index != 0 && raft_guard_persisted(index, term, consensus_terms_of(&self->terms, index),
                                           self->durable_index, self->installing)) {
        assert(!self->installing && index > self->durable_index); /* C2 */
        assert(consensus_terms_of(&self->terms, index) == term);
        self->durable_index = index;
        event.persisted_entries.index = index;
        consensus_step(self, &event, NULL, 0);
    }
    consensus_settle(self);
}

void consensus_applied(struct consensus *self, replica_index index)
{
    assert(index <= self->commit_index);
    if (index > self->applied_index)
        self->applied_index = index;
}

/* The core would lead in this very term; with its own vote in a new one it waits once more, and then
 * leads in that. */
static void vote_for_oneself(struct consensus *self)
{
    struct raft_message vote = {
        .type = RAFT_REQUEST_VOTE,
        .server_id = self->id,
        .request_vote = {.version = 2,
                         .term = consensus_term(self) + 1,
                         .candidate_id = self->id,
                         .last_log_index = self->terms.last,
                         .last_log_term = consensus_terms_of(&self->terms, self->terms.last),
                         .disrupt_leader = true}};

    consensus_feed(self, &vote, NULL, NULL, 0);
    assert(raft_voted_for(&self->raft) == self->id);
    self->sole_term = consensus_term(self);
}

static void time_is_up(struct consensus *self)
{
    struct raft_event event = {.type = RAFT_TIMEOUT};
    const bool stands = self->raft.state == RAFT_FOLLOWER && !self->installing &&
                        self->durable_index == self->terms.last && consensus_is_sole_voter(self);

    if (raft_guard_sole_voter(stands, consensus_term(self), self->sole_term))
        vote_for_oneself(self);
    else
        consensus_step(self, &event, NULL, 0);
}

void consensus_tick(struct consensus *self, int64_t now_ms)
{
    consensus_begin(self, now_ms);
    /* Not before its time: a leader would take who has not answered yet for silent. */
    if ((raft_time)self->now_ms >= raft_timeout(&self->raft))
        time_is_up(self);
    consensus_settle(self);
}

uint64_t consensus_read(struct consensus *self, int64_t now_ms)
{
    struct read_index_view view;

    consensus_begin(self, now_ms);
    consensus_view(self, &view);
    const uint64_t ticket = read_index_ask(self->reads, &view);
    consensus_settle(self);
    return ticket;
}

static void send_read(void *arg, struct peer_message *message)
{
    consensus_send(arg, message);
}

static void confirm_read(void *arg, uint64_t ticket, replica_index index)
{
    struct consensus_action *action = consensus_push(arg, CONSENSUS_READ);

    action->read.ticket = ticket;
    action->read.index = index;
}

/* ---- Begin and end ------------------------------------------------------------------------------ */

/* Whether the parts of what the disk holds fit each other. */
static bool start_is_whole(const struct consensus_start *start)
{
    const replica_index snapshot = start->snapshot != NULL ? start->snapshot->index : 0;
    const replica_index last = start->first_index + start->count - 1;
    replica_term term = 1;

    if (start->term == 0)
        return start->vote == 0 && snapshot == 0 && start->count == 0;
    if (snapshot != 0 && start->snapshot->term > start->term)
        return false;
    if (start->count == 0)
        return start->membership_count == 0;
    if (start->first_index == 0 || start->first_index > snapshot + 1 || last < snapshot)
        return false;
    for (size_t i = 0; i < start->count; term = start->terms[i++])
        if (start->terms[i] < term)
            return false;
    if (snapshot >= start->first_index &&
        start->terms[snapshot - start->first_index] != start->snapshot->term)
        return false;
    /* Without a snapshot the log tells of its group first of all. */
    return term <= start->term && (snapshot != 0 || (start->membership_count > 0 &&
                                                     start->memberships[0]->entry.index == 1));
}

static bool start_memberships(struct consensus *self, const struct consensus_start *start)
{
    struct membership membership;
    replica_index before = 0;

    if (start->snapshot != NULL)
        consensus_history_push(self, start->snapshot->membership_index,
                               &start->snapshot->membership);
    for (size_t i = 0; i < start->membership_count; i++) {
        const struct log_entry *entry = &start->memberships[i]->entry;
        if (entry->kind != LOG_ENTRY_MEMBERSHIP || entry->index <= before ||
            entry->index < start->first_index ||
            entry->index >= start->first_index + start->count ||
            !consensus_membership_in(entry, &membership))
            return false;
        before = entry->index;
        if (start->snapshot == NULL || entry->index > start->snapshot->index)
            consensus_history_push(self, entry->index, &membership);
    }
    return true;
}

static void start_log(struct consensus *self, const struct consensus_start *start)
{
    const replica_index snapshot = start->snapshot != NULL ? start->snapshot->index : 0;

    if (start->snapshot != NULL)
        self->snapshot = *start->snapshot;
    consensus_terms_init(&self->terms, start->count > 0 ? start->first_index : snapshot + 1,
                         snapshot, self->snapshot.term);
    for (size_t i = 0; i < start->count; i++)
        consensus_terms_append(&self->terms, start->terms[i]);
    self->tail = log_tail_new(self->terms.last);
    self->durable_index = self->terms.last;
    self->applied_index = snapshot;
    self->last_log_time_ms = start->last_log_time_ms;
    self->last_wall_ms = start->last_wall_ms;
    self->term = start->term;
    self->vote = start->vote;
}

/* The core frees the array if it refuses it, and leaves it to us if not. */
static struct raft_entry *start_entries(const struct consensus_start *start, void *batch)
{
    struct raft_entry *made = raft_calloc(start->count, sizeof *made);

    assert(made != NULL);
    for (size_t i = 0; i < start->count; i++) {
        made[i].term = start->terms[i];
        made[i].type = RAFT_COMMAND; /* or a barrier: to the core all but a change is the same */
        made[i].batch = batch;
    }
    for (size_t i = 0; i < start->membership_count; i++) {
        const struct log_entry *entry = &start->memberships[i]->entry;
        struct raft_entry *change = &made[entry->index - start->first_index];
        change->type = RAFT_CHANGE;
        change->buf = consensus_change_buffer(entry);
    }
    return made;
}

static void start_core(struct consensus *self, const struct consensus_start *start)
{
    struct raft_snapshot_metadata metadata = {.index = self->snapshot.index,
                                              .term = self->snapshot.term,
                                              .configuration_index =
                                                  self->snapshot.membership_index};
    struct raft_event event = {.type = RAFT_START};
    void *batch = raft_malloc(1);

    event.start.term = self->term;
    event.start.voted_for = self->vote;
    event.start.start_index = self->terms.first;
    event.start.n_entries = (unsigned)start->count;
    if (start->snapshot != NULL) {
        consensus_configuration(&self->snapshot.membership, &metadata.configuration);
        event.start.metadata = &metadata;
    }
    if (start->count > 0)
        event.start.entries = start_entries(start, batch);
    if (raft_guard_sole_voter(consensus_is_sole_voter(self), self->term, self->sole_term)) {
        event.start.term = self->term + 1;
        event.start.voted_for = self->id;
        self->sole_term = self->term + 1;
    }
    consensus_step(self, &event, NULL, 0);
    for (size_t i = 0; i < start->count; i++)
        raft_free(event.start.entries[i].buf.base);
    raft_free(event.start.entries);
    raft_free(batch);
}

static void start_options(struct consensus *self, const struct consensus_options *options)
{
    const struct read_index_sink sink = {.arg = self, .send = send_read, .confirm = confirm_read};

    self->id = options->id;
    self->start_id = options->start_id;
    self->election_ms = options->election_ms;
    self->snapshot_retry_ms = options->snapshot_retry_ms;
    int code = raft_init(&self->raft, NULL, NULL, options->id, options->address);
    assert(code == 0);
    self->raft.tracer = NULL;
    raft_seed(&self->raft, options->seed);
    raft_set_election_timeout(&self->raft, options->election_ms);
    raft_set_heartbeat_timeout(&self->raft, options->heartbeat_ms);
    raft_set_install_snapshot_timeout(&self->raft, options->snapshot_retry_ms);
    raft_set_max_inflight_entries(&self->raft, options->in_flight_max);
    raft_set_max_catch_up_round_duration(&self->raft, CATCH_UP_ELECTIONS * options->election_ms);
    raft_set_pre_vote(&self->raft, options->pre_vote);
    self->reads = read_index_new(&sink);
}

struct consensus *consensus_new(const struct consensus_options *options,
                                const struct consensus_start *start, int64_t now_ms)
{
    struct consensus *self = alloc_zero(sizeof *self);

    assert(options->id != 0 && options->in_flight_max > 0 && now_ms >= 0);
    self->now_ms = now_ms;
    start_options(self, options);
    if (!start_is_whole(start) || !start_memberships(self, start)) {
        consensus_destroy(&self);
        return NULL;
    }
    start_log(self, start);
    /* The core takes the first entry for committed, as it does with a snapshot; but not all that the
     * only voter commits at once. */
    if (start->snapshot != NULL)
        self->history.told = start->snapshot->index;
    else if (start->count > 0)
        self->history.told = 1;
    start_core(self, start);
    consensus_settle(self);
    return self;
}

void consensus_destroy(struct consensus **self_p)
{
    struct consensus *self = *self_p;

    if (self == NULL)
        return;
    consensus_actions_close(self);
    raft_close(&self->raft, NULL);
    read_index_destroy(&self->reads);
    log_tail_destroy(&self->tail);
    consensus_terms_close(&self->terms);
    free(self->history.records);
    free(self);
    *self_p = NULL;
}
