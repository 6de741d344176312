/* Snapshots, as the loop sees them: see replica_internal.h, and snapshot_thread.h for their ways.
 *
 *   taken       replica_take_snapshot -> replica_on_taken -> a batch with the mark -> replica_taken
 *   installed   CONSENSUS_FETCH -> replica_fetch -> replica_on_fetched -> CONSENSUS_INSTALL ->
 *               replica_install -> replica_on_restored -> a batch with the mark -> replica_installed
 *
 * From CONSENSUS_INSTALL on nothing is applied (the driver says that nothing is durable), and what is
 * to be written waits for the batch that lets the snapshot take the place of the log.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "broker/bus/alloc.h"
#include "broker/bus/clock.h"
#include "broker/bus/err.h"
#include "broker/bus/limits.h"
#include "services/replica/fatal.h"
#include "services/replica/replica_internal.h"
#include "services/replica/snapshot_file.h"
#include "services/replica/snapshot_rule.h"

/* ---- Taking -------------------------------------------------------------------------------- */

/* Have the log speak of it: a batch that comes back by replica_marked(). */
static void replica_put_mark(struct replica *self, enum disk_snapshot kind,
                             const struct snapshot_mark *mark, replica_index keep_from)
{
    struct replica_batch *batch = alloc_zero(sizeof *batch);

    batch->mark = (struct snapshot_mark *)alloc_copy(mark, sizeof *mark);
    batch->disk.snapshot_kind = kind;
    batch->disk.snapshot = batch->mark;
    batch->disk.keep_from = keep_from;
    replica_put_batch(self, batch);
}

static void replica_on_taken(void *arg, int code, const char *error,
                             const struct snapshot_mark *mark)
{
    struct replica *self = arg;
    struct replica_snapshots *snapshots = &self->snapshots;
    int64_t now_ms = clock_ms();

    (void)error; /* is told by the thread */
    snapshots->rest_until_ms = now_ms + snapshot_rest_ms(now_ms - snapshots->begin_ms, code != 0);
    if (code != 0 || replica_is_leaving(self))
        return;
    unsigned trailing = snapshot_trailing(mark->index, snapshots->mark.index);
    if (consensus_snapshot_taken(self->consensus, mark, trailing, now_ms)) {
        snapshots->marking = true;
        snapshots->bytes -= snapshots->bytes_taken;
        replica_put_mark(self, DISK_SNAPSHOT_TAKEN, mark,
                         snapshot_keep_from(mark->index, trailing));
        replica_settle(self);
    }
    replica_turn(self);
}

/* The first entry that a member lacks which was heard a moment ago. */
static replica_index replica_needed_index(const struct replica *self)
{
    const struct membership *membership = consensus_membership(self->consensus);
    replica_index needed = INT64_MAX;

    for (size_t i = 0; i < membership->count; i++) {
        replica_index match;
        int64_t silence_ms;
        if (replica_progress(self, membership->members[i].id, &match, &silence_ms) &&
            silence_ms >= 0 && silence_ms < SNAPSHOT_ASK_AGAIN_MS && match + 1 < needed)
            needed = match + 1;
    }
    return needed;
}

static bool replica_snapshot_due(struct replica *self, int64_t now_ms)
{
    const struct replica_snapshots *snapshots = &self->snapshots;
    const struct snapshot_view view = {
        .applied_index = self->applied_index,
        .durable_index = consensus_durable_index(self->consensus),
        .snapshot_index = snapshots->mark.index,
        .bytes = snapshots->bytes,
        .entries_max = snapshots->entries_max,
        .needed_index = replica_needed_index(self),
        .busy =
            snapshots->installing || snapshots->marking || snapshot_thread_busy(snapshots->thread),
        .resting = now_ms < snapshots->rest_until_ms,
    };

    /* What a snapshot frees in the log's file it first takes for itself. */
    return snapshot_due(&view) && !directory_space_low(self->directory, now_ms);
}

void replica_take_snapshot(struct replica *self)
{
    struct replica_snapshots *snapshots = &self->snapshots;
    struct snapshot_mark mark = {.index = self->applied_index};
    int64_t now_ms = clock_ms();

    if (snapshots->thread == NULL || !replica_snapshot_due(self, now_ms))
        return;
    mark.term = consensus_term_of(self->consensus, mark.index);
    mark.log_time_ms = self->time.applied_ms;
    consensus_membership_at(self->consensus, mark.index, &mark.membership, &mark.membership_index);
    snapshots->begin_ms = now_ms;
    snapshots->bytes_taken = snapshots->bytes;
    char *path = directory_file(self->directory, DIRECTORY_STATE);
    if (snapshot_thread_take(snapshots->thread, path, &mark) != 0)
        snapshots->rest_until_ms = now_ms + snapshot_rest_ms(0, true);
    free(path);
}

/* The log begins behind the snapshot now: older ones are of no use. */
static void replica_keep_only(struct replica *self, const struct snapshot_mark *mark)
{
    char *error = NULL;

    self->snapshots.mark = *mark;
    if (snapshot_file_remove_older(directory_path(self->directory), mark, &error) != 0)
        log_write(self->log, LOG_LEVEL_WARN, "an old snapshot stays", LOG_TEXT("error", error));
    free(error);
}

/* ---- Installing ---------------------------------------------------------------------------- */

void replica_fetch(struct replica *self, const struct consensus_action *action)
{
    const struct snapshot_mark *mark = action->fetch.snapshot;
    const struct member *from = membership_find(&mark->membership, action->fetch.from);
    char endpoint[MEMBER_ADDRESS_BYTES_MAX + 1];

    /* Who offers it may have been added since, and this log may be too old or empty to say so. */
    if (from == NULL)
        from = membership_find(consensus_membership(self->consensus), action->fetch.from);
    if (from == NULL)
        from = membership_find(&self->contacts, action->fetch.from);
    if (from == NULL || self->snapshots.thread == NULL)
        return;
    /* Log time never falls: one from before what is applied here is no snapshot of this group. */
    if (mark->log_time_ms < self->time.applied_ms)
        return;
    self->snapshots.from = action->fetch.from;
    self->snapshots.term = action->fetch.term;
    snapshot_thread_fetch(self->snapshots.thread, member_word(from, MEMBER_SNAPSHOTS, endpoint),
                          mark);
}

static void replica_on_fetched(void *arg, int code, const char *error,
                               const struct snapshot_mark *mark)
{
    struct replica *self = arg;

    (void)error; /* is told by the thread */
    if (code != 0)
        return; /* it is offered again */
    consensus_snapshot_fetched(self->consensus, mark, self->snapshots.from, self->snapshots.term,
                               clock_ms());
    replica_settle(self);
    replica_turn(self);
}

void replica_install(struct replica *self, const struct snapshot_mark *mark)
{
    assert(!self->snapshots.installing && self->snapshots.thread != NULL);
    self->snapshots.installing = true;
    self->snapshots.deferring = true;
    digest_vote_forget(&self->digests.vote);
    snapshot_thread_restore(self->snapshots.thread, mark);
}

/* An installation that has begun and can't be ended: the log on the disk is still the old one, and a
 * new start goes on with that. */
static _Noreturn void replica_fail_install(struct replica *self, int code, const char *error)
{
    log_write(self->log, LOG_LEVEL_ERROR, "a snapshot can't be installed and this process ends",
              LOG_TEXT("code", err_type(code)), LOG_TEXT("error", error));
    _exit(code == ERR_CORRUPT ? EXIT_FAILURE : FATAL_EXIT_STATUS);
}

static void replica_on_restored(void *arg, int code, const char *error,
                                const struct snapshot_mark *mark)
{
    struct replica *self = arg;
    struct replica_snapshots *snapshots = &self->snapshots;

    if (code != 0)
        replica_fail_install(self, code, error);
    replica_put_mark(self, DISK_SNAPSHOT_INSTALLED, mark, 0);
    while (snapshots->deferred_first != NULL) {
        struct replica_batch *batch = (struct replica_batch *)snapshots->deferred_first;
        snapshots->deferred_first = batch->disk.next;
        replica_put_batch(self, batch);
    }
    snapshots->deferred_last = NULL;
    snapshots->deferring = false;
}

/* Let the machine go on from the snapshot's tables. */
static void replica_swap_state(struct replica *self)
{
    char *path = directory_file(self->directory, DIRECTORY_STATE);
    char *error = NULL;

    self->machine.close(self->machine.self);
    int result = directory_remove_state(self->directory, &error);
    if (result == 0)
        result = snapshot_file_put_in_place(directory_path(self->directory), &error);
    if (result == 0 && self->machine.counted != NULL)
        self->machine.counted(self->machine.self, snapshot_thread_rows(self->snapshots.thread));
    if (result == 0)
        result = self->machine.open(self->machine.self, path, &error);
    if (result != 0)
        replica_fail_install(self, result, error);
    free(path);
}

/* The log and the snapshot's copy are durable: go on from it. */
static void replica_installed(struct replica *self, const struct snapshot_mark *mark)
{
    int64_t begin_ms = clock_ms();

    replica_swap_state(self);
    assert(self->machine.applied(self->machine.self) <= mark->index);
    self->applied_index = mark->index;
    log_time_apply(&self->time, mark->log_time_ms);
    self->snapshots.skip_index = mark->index;
    self->snapshots.installing = false;
    self->snapshots.bytes = 0;
    replica_keep_only(self, mark);
    consensus_snapshot_installed(self->consensus, clock_ms());
    replica_settle(self);
    log_write(self->log, LOG_LEVEL_INFO, "a snapshot was installed",
              LOG_UINT("log_index", mark->index), LOG_UINT("term", mark->term),
              LOG_INT("held_ms", clock_ms() - begin_ms));
}

void replica_marked(struct replica *self, struct replica_batch *batch)
{
    if (batch->disk.snapshot_kind == DISK_SNAPSHOT_TAKEN) {
        self->snapshots.marking = false;
        replica_keep_only(self, batch->mark);
    } else {
        replica_installed(self, batch->mark);
    }
}

/* ---- Life ---------------------------------------------------------------------------------- */

int replica_restore(struct replica *self, char **error)
{
    const char *path = directory_path(self->directory);
    const struct snapshot_mark *mark = log_store_snapshot(self->reader);

    int result = snapshot_file_remove_others(path, mark, error);
    if (result == 0)
        result = directory_remove_state(self->directory, error);
    if (result != 0 || mark == NULL)
        return result;
    result = snapshot_file_restore(path, mark, error);
    if (result == 0)
        result = snapshot_file_put_in_place(path, error);
    if (result != 0)
        return result;
    self->snapshots.mark = *mark;
    self->applied_index = mark->index;
    log_time_apply(&self->time, mark->log_time_ms);
    return 0;
}

static int replica_open_channel(struct replica *self, const struct replica_options *options,
                                char **error)
{
    struct snapshot_channel_options channel = {
        .endpoint = options->snapshots,
        .directory = options->directory,
        .uuid = options->uuid,
        .log = options->log,
        .metrics = options->metrics,
    };

    if (options->snapshots == NULL)
        return 0;
    self->snapshots.channel = snapshot_channel_new(self->loop, &channel);
    if (self->snapshots.channel != NULL)
        return 0;
    *error = zsys_sprintf("%s can't be bound: %s", options->snapshots, strerror(errno));
    return ERR_STORAGE;
}

int replica_open_snapshots(struct replica *self, const struct replica_options *options,
                           char **error)
{
    struct snapshot_thread_options thread = {
        .directory = options->directory,
        .uuid = options->uuid,
        .free_bytes_min = options->free_bytes_min,
        .log = options->log,
        .metrics = options->metrics,
        .count = self->machine.count,
        .on_taken = replica_on_taken,
        .on_fetched = replica_on_fetched,
        .on_restored = replica_on_restored,
        .arg = self,
    };

    self->snapshots.entries_max = options->snapshot_entries;
    int result = replica_open_channel(self, options, error);
    if (result == 0 && self->machine.close != NULL)
        self->snapshots.thread = snapshot_thread_new(self->loop, &thread);
    return result;
}

void replica_close_snapshots(struct replica *self)
{
    while (self->snapshots.deferred_first != NULL) {
        struct replica_batch *batch = (struct replica_batch *)self->snapshots.deferred_first;
        self->snapshots.deferred_first = batch->disk.next;
        replica_batch_free(batch);
    }
    snapshot_thread_destroy(&self->snapshots.thread);
    snapshot_channel_destroy(&self->snapshots.channel);
}
