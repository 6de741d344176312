/* Applying what is committed to the machine: see replica_internal.h.
 *
 * A turn applies at most APPEND_COUNT_MAX entries, and begins none after APPLY_TURN_MS, in one
 * transaction of the machine, whose callbacks follow its commit; what is left goes on in the loop's
 * next turn. So is the log's replay after a start, which is nothing else: until it is done, heartbeats
 * and signals are served in between.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>

#include "broker/bus/clock.h"
#include "broker/bus/err.h"
#include "broker/bus/limits.h"
#include "services/replica/replica_internal.h"

/* Stops log_store_read(): no code of err.h. */
#define APPLIED_ENOUGH (-1)

/* Where one turn's applying stands. */
struct replica_run {
    struct replica *replica;
    size_t count; /* entries so far */
    int64_t end_ms;
};

replica_index replica_appliable(const struct replica *self)
{
    replica_index commit_index = consensus_commit_index(self->consensus);
    replica_index durable_index = consensus_durable_index(self->consensus);

    return commit_index < durable_index ? commit_index : durable_index;
}

static bool replica_run_over(const struct replica_run *self)
{
    return self->count >= APPEND_COUNT_MAX || (self->count > 0 && clock_ms() >= self->end_ms);
}

static void *replica_apply_command(struct replica *self, const struct log_entry *entry)
{
    struct replica_entry command = {
        .index = entry->index,
        .term = entry->term,
        .log_time_ms = entry->log_time_ms,
        .wall_ms = entry->wall_ms,
        .data = entry->data,
        .size = entry->size,
    };

    /* The result is the machine's own: it keeps nothing of the entry beyond the call. */
    /* cppcheck-suppress returnDanglingLifetime */
    return self->machine.apply(self->machine.self, &command);
}

/* Apply one entry, within the machine's transaction, and keep what came of it for who waits. */
static void replica_apply_entry(struct replica_run *run, const struct log_entry *entry)
{
    struct replica *self = run->replica;
    void *result = NULL;

    assert(entry->index == self->applied_index + 1);
    assert(entry->index <= replica_appliable(self));
    /* Barriers and memberships are the driver's: the machine does not see them. */
    if (entry->kind == LOG_ENTRY_COMMAND)
        result = replica_apply_command(self, entry);
    self->applied_index = entry->index;
    self->snapshots.bytes += entry->size;
    replica_note_digest(self, entry->index);
    log_time_apply(&self->time, entry->log_time_ms);
    struct submission *submission = replica_submission_of(self, entry->index, entry->term);
    if (submission != NULL)
        self->applied[self->applied_count++] = (struct replica_applied){
            .submission = submission, .index = entry->index, .result = result};
    else if (result != NULL)
        self->machine.release(self->machine.self, result);
    run->count++;
}

static int replica_apply_read(void *arg, const struct log_entry *entry)
{
    struct replica_run *run = arg;

    replica_apply_entry(run, entry);
    return replica_run_over(run) ? APPLIED_ENOUGH : 0;
}

/* Apply entries that are no longer in memory, up to @to at most. */
static void replica_apply_from_log(struct replica_run *run, replica_index to)
{
    struct replica *self = run->replica;
    replica_index from = self->applied_index + 1;

    int result = log_store_read(self->reader, from, to, replica_apply_read, run);
    if ((result != 0 && result != APPLIED_ENOUGH) || self->applied_index < from)
        replica_fail(self);
}

/* Apply what one turn may, in one transaction. Where transactions end has no part in what the tables
 * come to. */
static void replica_apply_some(struct replica *self, replica_index to)
{
    struct replica_run run = {.replica = self, .end_ms = clock_ms() + APPLY_TURN_MS};

    self->machine.begin(self->machine.self);
    while (self->applied_index < to && !replica_run_over(&run)) {
        struct shared_entry *shared = consensus_entry(self->consensus, self->applied_index + 1);
        if (shared != NULL)
            replica_apply_entry(&run, &shared->entry);
        else
            replica_apply_from_log(&run, to);
    }
    self->machine.commit(self->machine.self);
}

/* A result from tables that are wrong is not given to anybody. */
static void replica_call_back(struct replica *self, const struct replica_applied *applied)
{
    if (!replica_is_leaving(self)) {
        replica_finish(self, applied->submission, OK, applied->result, applied->index);
        return;
    }
    if (applied->result != NULL)
        self->machine.release(self->machine.self, applied->result);
    replica_finish(self, applied->submission, ERR_UNKNOWN, NULL, 0);
}

void replica_apply(struct replica *self)
{
    replica_index to = replica_appliable(self);

    if (self->applied_index >= to)
        return;
    assert(self->applied_count == 0);
    replica_apply_some(self, to);
    consensus_applied(self->consensus, self->applied_index);
    replica_settle(self);
    replica_compare_digests(self);
    for (size_t i = 0; i < self->applied_count; i++)
        replica_call_back(self, &self->applied[i]);
    self->applied_count = 0;
}
