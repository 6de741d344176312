/* Events of the loop, the driver's actions, and the turn that follows: see replica_internal.h.
 *
 *   handler of the loop -> event of the driver -> its actions (replica_settle) -> the turn
 *
 * The leader's messages go out before its own disk has begun: a commit takes the longer of the two
 * syncs, not their sum.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <stdlib.h>
#include <unistd.h>

#include "broker/bus/alloc.h"
#include "broker/bus/clock.h"
#include "broker/bus/limits.h"
#include "services/replica/fatal.h"
#include "services/replica/replica_internal.h"

_Noreturn void replica_fail(struct replica *self)
{
    log_write(self->log, LOG_LEVEL_ERROR,
              "the log can't be read any more and this process ends; the replica must be re-seeded",
              LOG_UINT("applied_index", self->applied_index),
              LOG_TEXT("error", log_store_error(self->reader)));
    _exit(FATAL_EXIT_STATUS);
}

/* ---- Actions ------------------------------------------------------------------------------- */

static void disk_queue_push(struct disk_batch **first, struct disk_batch **last,
                            struct disk_batch *batch)
{
    batch->next = NULL;
    if (*last != NULL)
        (*last)->next = batch;
    else
        *first = batch;
    *last = batch;
}

void replica_hand_over(struct replica *self)
{
    while (self->unwritten_first != NULL &&
           disk_thread_pending(self->disk) < DISK_BATCH_COUNT_MAX) {
        struct disk_batch *batch = self->unwritten_first;
        self->unwritten_first = batch->next;
        if (self->unwritten_first == NULL)
            self->unwritten_last = NULL;
        disk_thread_put(self->disk, batch);
    }
}

void replica_put_batch(struct replica *self, struct replica_batch *batch)
{
    disk_queue_push(&self->unwritten_first, &self->unwritten_last, &batch->disk);
    replica_hand_over(self);
}

/* Hand it to the disk thread, or keep it until there is room. The entries are taken over. */
static void replica_write(struct replica *self, const struct consensus_write *write)
{
    struct replica_batch *batch =
        alloc_zero(sizeof *batch + write->count * sizeof batch->entries[0]);

    for (size_t i = 0; i < write->count; i++)
        batch->entries[i] = write->entries[i]->entry;
    batch->shared = write->entries;
    batch->disk.term = write->term;
    batch->disk.vote = write->vote;
    batch->disk.entries = batch->entries;
    batch->disk.count = write->count;
    if (self->snapshots.deferring)
        disk_queue_push(&self->snapshots.deferred_first, &self->snapshots.deferred_last,
                        &batch->disk);
    else
        replica_put_batch(self, batch);
}

static void replica_note_role(struct replica *self, const struct consensus_action *action)
{
    bool other = action->role.leader != self->leader_id || action->role.term != self->role_term;

    if (other && action->role.leader != 0)
        metric_add(self->series.leader_changes, 1);
    if (action->role.leader != self->leader_id)
        self->leader_heard_ms = -1;
    self->role = action->role.role;
    self->role_term = action->role.term;
    self->leader_id = action->role.leader;
    self->barrier = action->role.barrier;
}

static void replica_act(struct replica *self, struct consensus_action *action)
{
    switch (action->kind) {
    case CONSENSUS_WRITE: replica_write(self, &action->write); return;
    case CONSENSUS_SEND: replica_send(self, &action->message); return;
    case CONSENSUS_COMMIT: return; /* the turn applies up to replica_appliable() */
    case CONSENSUS_ROLE: replica_note_role(self, action); return;
    case CONSENSUS_MEMBERS: self->members_changed = true; return;
    case CONSENSUS_READ:
        replica_confirm_reads(self, action->read.ticket, action->read.index);
        return;
    case CONSENSUS_FETCH: replica_fetch(self, action); return;
    case CONSENSUS_INSTALL: replica_install(self, action->install); return;
    }
}

void replica_settle(struct replica *self)
{
    struct consensus_action action;

    while (consensus_next(self->consensus, &action))
        replica_act(self, &action);
}

/* ---- Leadership ---------------------------------------------------------------------------- */

static void replica_tell_lead(struct replica *self, bool leader)
{
    log_write(self->log, LOG_LEVEL_INFO, leader ? "took the lead" : "lost the lead",
              LOG_UINT("term", self->lead_term),
              LOG_UINT("log_index", consensus_last_index(self->consensus)));
    self->machine.lead(self->machine.self, leader, self->lead_term);
    if (self->on_lead != NULL)
        self->on_lead(self->arg, leader, self->lead_term);
}

/* Stop leading when the driver does, or does so in another term by now. */
static void replica_lose_lead(struct replica *self)
{
    if (!self->leader || (self->role == CONSENSUS_LEADER && self->role_term == self->lead_term &&
                          !replica_is_leaving(self)))
        return;
    self->leader = false;
    self->transfer_until_ms = 0;
    log_time_stop(&self->time);
    replica_tell_lead(self, false);
    replica_drop_submissions(self);
}

/* Lead when the own barrier, the first entry of the term, is applied. */
static void replica_take_lead(struct replica *self)
{
    if (self->leader || self->role != CONSENSUS_LEADER || self->applied_index < self->barrier)
        return;
    assert(self->barrier > 0);
    assert(self->under_way.count == 0 || self->under_way.first->index < self->barrier);
    self->leader = true;
    self->lead_term = self->role_term;
    log_time_start(&self->time, clock_ms());
    replica_tell_lead(self, true);
}

static void replica_tell_news(struct replica *self)
{
    if (self->on_news != NULL)
        self->on_news(self->arg);
}

/* ---- The turn ------------------------------------------------------------------------------ */

/* What is due next, and whether there is more to be done at once. @submitted: callbacks have done so
 * since what waited was handed on. What had no room then waits for an event that makes room. */
static void replica_set_alarms(struct replica *self, bool submitted)
{
    int64_t at_ms = consensus_deadline_ms(self->consensus);

    if (self->read_deadline_ms < at_ms)
        at_ms = self->read_deadline_ms;
    if (self->tick_ms < at_ms)
        at_ms = self->tick_ms;
    if (self->digests.repeat_ms < at_ms)
        at_ms = self->digests.repeat_ms;
    if (replica_is_leaving(self) && self->digests.leave_until_ms < at_ms)
        at_ms = self->digests.leave_until_ms;
    /* What is due later is looked at when the timer goes off. Put off at each turn, it never would
     * in a loop that is always busy: sockets come first there. */
    if (at_ms < self->timer_ms) {
        alarm_set(self->timer, at_ms);
        self->timer_ms = at_ms;
    }
    if (replica_is_leaving(self))
        return;
    if (self->applied_index < replica_appliable(self) || self->asked.first != NULL ||
        self->read_index <= self->applied_index || self->change.kind != REPLICA_CHANGE_NONE ||
        submitted)
        alarm_set(self->more, 0);
}

/* What a replica does whose tables are right, as far as it knows. Returns whether callbacks have submitted
 * something since what waited was handed on. */
static bool replica_work(struct replica *self)
{
    replica_apply(self);
    if (replica_is_leaving(self))
        return false; /* since just now */
    replica_take_snapshot(self);
    replica_take_lead(self);
    replica_serve_reads(self);
    replica_change_members(self);
    replica_submit_waiting(self);
    const size_t left = self->waiting.count;
    replica_ask_reads(self);
    replica_serve_reads(self);
    return self->waiting.count > left;
}

void replica_turn(struct replica *self)
{
    int64_t begin_us = clock_us();

    if (self->turning || self->closing)
        return;
    const replica_index applied_index = self->applied_index;
    bool submitted = false;
    self->turning = true;
    replica_hand_over(self);
    replica_connect(self);
    replica_leave(self);
    replica_lose_lead(self);
    replica_skip_submissions(self);
    if (!replica_is_leaving(self))
        submitted = replica_work(self);
    replica_set_alarms(self, submitted);
    replica_series_update(self);
    if (self->applied_index != applied_index && !replica_is_leaving(self))
        replica_tell_news(self);
    self->turning = false;
    metric_observe(self->series.turn_seconds, (double)(clock_us() - begin_us) / 1e6);
}

void replica_flush(struct replica *self)
{
    replica_turn(self);
}

/* ---- Events -------------------------------------------------------------------------------- */

void replica_batch_free(struct replica_batch *self)
{
    free(self->mark);
    for (size_t i = 0; i < self->disk.count; i++)
        shared_entry_release(&self->shared[i]);
    free(self->shared);
    free(self);
}

static void replica_on_batch(struct replica *self, struct replica_batch *batch)
{
    bool write = batch->mark == NULL;

    if (!write)
        replica_marked(self, batch);
    replica_batch_free(batch);
    if (!write)
        return;
    consensus_persisted(self->consensus, clock_ms());
    replica_settle(self);
}

void replica_persisted(struct replica *self, struct disk_batch *first)
{
    struct disk_batch *next;

    metric_observe(self->series.sync_seconds, (double)first->sync_us / 1e6);
    metric_add(self->series.transactions, 1);
    for (struct disk_batch *batch = first; batch != NULL; batch = next) {
        next = batch->next;
        metric_add(self->series.entries, (double)batch->count);
        replica_on_batch(self, (struct replica_batch *)batch);
    }
}

int replica_on_disk(zloop_t *loop, zsock_t *socket, void *arg)
{
    struct replica *self = arg;
    struct disk_batch *first;

    (void)loop;
    (void)socket;
    while ((first = disk_thread_take(self->disk)) != NULL)
        replica_persisted(self, first);
    replica_turn(self);
    return 0;
}

void replica_on_message(void *arg, struct peer_message *message)
{
    struct replica *self = arg;
    int64_t now_ms = clock_ms();
    uint64_t from = message->from;

    if (message->kind == PEER_DIGEST) {
        replica_hear_digest(self, message);
        return;
    }
    consensus_receive(self->consensus, message, now_ms);
    replica_settle(self);
    if (from == self->leader_id) /* by now: the message may be what told who leads */
        self->leader_heard_ms = now_ms;
}

void replica_on_messages(void *arg)
{
    replica_turn(arg);
}

void replica_on_subscribers(void *arg)
{
    replica_tell_news(arg);
}

void replica_on_timer(void *arg)
{
    struct replica *self = arg;
    int64_t now_ms = clock_ms();

    self->timer_ms = INT64_MAX; /* it is off */
    /* The driver's deadline lies behind its last event, which may have been in this millisecond: it
     * knows itself whether it is time. */
    consensus_tick(self->consensus, now_ms);
    replica_settle(self);
    replica_tick(self, now_ms);
    replica_repeat_digest(self, now_ms);
    replica_expire_reads(self, now_ms);
    replica_turn(self);
}

void replica_on_more(void *arg)
{
    replica_turn(arg);
}
