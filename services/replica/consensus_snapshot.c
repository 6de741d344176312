/* Snapshots: taken here and told to the core, offered by a leader, fetched, installed, see
 * consensus_internal.h.
 *
 * The core takes a snapshot that it is offered at its word: from then on it has no log, until the
 * snapshot is installed. So it is not told of one before all its bytes are here: meanwhile this
 * replica goes on as it is, hears the leader's heartbeats, and may find that it needs none.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "services/replica/consensus_internal.h"

#include <assert.h>

/* ---- Taken here --------------------------------------------------------------------------------- */

bool consensus_snapshot_taken(struct consensus *self, const struct snapshot_mark *snapshot,
                              unsigned trailing, int64_t now_ms)
{
    struct raft_event event = {.type = RAFT_SNAPSHOT, .snapshot = {.trailing = trailing}};

    /* Two at one index, or one beside an installation, would spoil the core's log. */
    if (self->installing || snapshot->index <= self->snapshot.index)
        return false;
    assert(snapshot->index <= self->commit_index && snapshot->index <= self->durable_index);
    assert(consensus_terms_of(&self->terms, snapshot->index) == snapshot->term);
    assert(consensus_history_at(self, snapshot->index)->index == snapshot->membership_index);
    consensus_begin(self, now_ms);
    event.snapshot.metadata.index = snapshot->index;
    event.snapshot.metadata.term = snapshot->term;
    event.snapshot.metadata.configuration_index = snapshot->membership_index;
    consensus_configuration(&snapshot->membership, &event.snapshot.metadata.configuration);
    self->snapshot = *snapshot;
    consensus_terms_snapshot(&self->terms, snapshot->index, trailing);
    consensus_history_trim(self, snapshot->index);
    consensus_step(self, &event, NULL, 0);
    consensus_settle(self);
    return true;
}

/* ---- Offered ------------------------------------------------------------------------------------ */

static bool mark_makes_sense(const struct snapshot_mark *mark, replica_term term)
{
    return mark->index != 0 && mark->term != 0 && mark->term <= term &&
           mark->membership_index != 0 && mark->membership_index <= mark->index &&
           mark->membership.count > 0 && membership_voters(&mark->membership) > 0;
}

/* Whether all that is in the snapshot is here, in log or snapshot. */
static bool has_all(const struct consensus *self, const struct snapshot_mark *mark)
{
    return mark->index <= self->snapshot.index || mark->index <= self->commit_index ||
           consensus_terms_of(&self->terms, mark->index) == mark->term;
}

static void feed_snapshot(struct consensus *self, const struct snapshot_mark *mark, uint64_t from,
                          replica_term term)
{
    struct raft_message fed = {.type = RAFT_INSTALL_SNAPSHOT,
                               .server_id = from,
                               .install_snapshot = {.term = term,
                                                    .last_index = mark->index,
                                                    .last_term = mark->term,
                                                    .conf_index = mark->membership_index}};

    assert(!self->installing); /* it would never free what it is given */
    /* The core hands its data through, or frees them; it never looks into them. */
    fed.install_snapshot.data.base = raft_malloc(1);
    fed.install_snapshot.data.len = 1;
    consensus_configuration(&mark->membership, &fed.install_snapshot.conf);
    self->install = *mark;
    consensus_feed(self, &fed, NULL, NULL, 0);
}

static void ask(struct consensus *self, const struct snapshot_mark *mark, uint64_t from,
                replica_term term)
{
    /* The leader offers it with each heartbeat that is refused for want of it. */
    if (self->asked_from == from && snapshot_mark_same(&self->asked, mark) &&
        self->now_ms - self->asked_ms < self->snapshot_retry_ms)
        return;
    self->asked = *mark;
    self->asked_from = from;
    self->asked_ms = self->now_ms;
    struct consensus_action *action = consensus_push(self, CONSENSUS_FETCH);
    action->fetch.snapshot = &self->asked;
    action->fetch.from = from;
    action->fetch.term = term;
}

void consensus_receive_snapshot(struct consensus *self, const struct peer_message *message)
{
    const struct snapshot_mark *mark = message->snapshot;

    if (!mark_makes_sense(mark, message->term) || self->installing)
        return;
    if (has_all(self, mark)) /* the core says so to the leader */
        feed_snapshot(self, mark, message->from, message->term);
    else
        ask(self, mark, message->from, message->term);
}

/* ---- Fetched ------------------------------------------------------------------------------------ */

/* What a snapshot holds is committed, and so is part of each later leader's log: when the one that
 * offered it has gone meanwhile it is fed in the name of who leads now. */
static void take_up(struct consensus *self, const struct snapshot_mark *mark, uint64_t from,
                    replica_term term)
{
    const replica_term now = raft_current_term(&self->raft);

    if (self->installing || has_all(self, mark) || consensus_leads(self))
        return;
    if (term < now) {
        from = consensus_leader(self);
        term = now;
    }
    if (from != 0) /* else it is offered again, by the next one */
        feed_snapshot(self, mark, from, term);
}

void consensus_snapshot_fetched(struct consensus *self, const struct snapshot_mark *snapshot,
                                uint64_t from, replica_term term, int64_t now_ms)
{
    consensus_begin(self, now_ms);
    self->asked = (struct snapshot_mark){0};
    self->asked_from = 0;
    if (mark_makes_sense(snapshot, term))
        take_up(self, snapshot, from, term);
    consensus_settle(self);
}

/* ---- Installed ---------------------------------------------------------------------------------- */

void consensus_install(struct consensus *self, struct raft_update *update)
{
    assert(!self->installing && self->install.index == update->snapshot.metadata.index);
    assert(self->install.index > self->commit_index); /* C3 */
    raft_configuration_close(&update->snapshot.metadata.configuration);
    raft_free(update->snapshot.chunk.base);
    self->installing = true;
    self->install_number = self->write_number;
    self->durable_index = 0;
    consensus_terms_restore(&self->terms, self->install.index, self->install.term);
    log_tail_reset(self->tail, self->install.index);
    consensus_push(self, CONSENSUS_INSTALL)->install = &self->install;
}

void consensus_snapshot_installed(struct consensus *self, int64_t now_ms)
{
    const struct snapshot_mark *mark = &self->install;
    struct raft_event event = {.type = RAFT_PERSISTED_SNAPSHOT,
                               .persisted_snapshot = {.offset = 0, .last = true}};

    assert(self->installing && raft_state(&self->raft) == RAFT_FOLLOWER);
    /* A write of the old log that came after it would be a write to the new one. */
    assert(self->pending_count == 0 || self->pendings[0].number > self->install_number);
    consensus_begin(self, now_ms);
    self->installing = false;
    self->snapshot = *mark;
    self->durable_index = mark->index;
    self->applied_index = mark->index;
    self->last_log_time_ms = mark->log_time_ms;
    consensus_history_cut(self, 0);
    consensus_history_push(self, mark->membership_index, &mark->membership);
    self->history.told = mark->membership_index;
    event.persisted_snapshot.metadata.index = mark->index;
    event.persisted_snapshot.metadata.term = mark->term;
    event.persisted_snapshot.metadata.configuration_index = mark->membership_index;
    consensus_configuration(&mark->membership, &event.persisted_snapshot.metadata.configuration);
    consensus_step(self, &event, NULL, 0);
    consensus_settle(self);
}
