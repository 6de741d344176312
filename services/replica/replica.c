/* See replica.h.
 *
 * The way of a command, for a group of one member, where durable here is durable on a majority and
 * so committed:
 *
 *   waiting       submitted, not yet given an index               replica_submit
 *   under way     has index, term and time; at the disk thread    replica_flush
 *   durable       back from the disk thread, committed            replica_on_disk
 *   applied       in the machine's tables, called back            replica_apply
 *
 * Each step is a queue in the order of the log. Nothing is applied, and nobody is called back,
 * before its batch came back from the disk thread: that is the whole of R2 here.
 *
 * A turn applies at most APPEND_COUNT_MAX entries, and begins none after APPLY_TURN_MS, in one
 * transaction of the machine, whose callbacks follow its commit; what is left goes on in the loop's
 * next turn.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "services/replica/replica.h"

#include <assert.h>
#include <inttypes.h>
#include <string.h>

#include "broker/bus/alarm.h"
#include "broker/bus/alloc.h"
#include "broker/bus/clock.h"
#include "broker/bus/err.h"
#include "broker/bus/limits.h"
#include "services/replica/directory.h"
#include "services/replica/disk_thread.h"
#include "services/replica/log_store.h"
#include "services/replica/log_time.h"

/* A command on its way, or a barrier of our own. */
struct submission {
    struct submission *next;
    enum log_entry_kind kind;
    replica_done_fn *done; /* NULL: a barrier, nobody waits */
    void *arg;
    size_t size;
    uint8_t data[];
};

struct submission_queue {
    struct submission *first;
    struct submission *last;
    size_t count;
};

/* What goes to the disk thread and comes back. */
struct replica_batch {
    struct disk_batch disk;              /* first: it comes back as this */
    struct submission_queue submissions; /* one for each entry, in order */
    struct log_entry entries[];
};

/* An applied entry whose callback is due. */
struct replica_applied {
    struct submission *submission;
    replica_index index;
    void *result;
};

struct replica_series {
    struct metric *leader;
    struct metric *follower;
    struct metric *term;
    struct metric *leader_changes;
    struct metric *last_index;
    struct metric *commit_index;
    struct metric *applied_index;
    struct metric *pending;
    struct metric *accepted;
    struct metric *refused;
    struct metric *entries;
    struct metric *transactions;
    struct metric *disk_low;
    struct metric *sync_seconds;
};

struct replica {
    zloop_t *loop;                                              /* not owned */
    struct log *log;                                            /* not owned, or NULL */
    struct replica_machine machine;                             /* its self is not owned */
    void (*on_lead)(void *arg, bool leader, replica_term term); /* or NULL */
    void *arg;                                                  /* of on_lead */
    struct directory *directory;
    struct log_store *reader; /* of the log, while opening; then NULL */
    struct disk_thread *disk;
    struct alarm *more; /* goes on applying in the next turn */
    struct alarm *tick; /* rings each LOG_TIME_TICK_MS */
    uint64_t id;
    bool leader;  /* in `term`, its barrier applied */
    bool closing; /* nothing more is accepted */
    bool disk_low;
    replica_term term;
    replica_index last_index;   /* the last that was given out */
    replica_index commit_index; /* durable on a majority */
    replica_index applied_index;
    struct log_time time;
    struct submission_queue waiting;
    size_t pending_count;             /* submitted by others and not yet called back */
    size_t pending_bytes;             /* of their commands */
    struct disk_batch *durable_first; /* back from the disk thread; applied from the front */
    struct disk_batch *durable_last;
    size_t durable_position;         /* entries of the first one that are applied */
    struct replica_applied *applied; /* APPEND_COUNT_MAX of them: those of one turn */
    struct replica_series series;
};

/* ---- Queues -------------------------------------------------------------------------------- */

static void submission_push(struct submission_queue *self, struct submission *submission)
{
    submission->next = NULL;
    if (self->last != NULL)
        self->last->next = submission;
    else
        self->first = submission;
    self->last = submission;
    self->count++;
}

static struct submission *submission_pop(struct submission_queue *self)
{
    struct submission *submission = self->first;

    assert(submission != NULL);
    self->first = submission->next;
    if (self->first == NULL)
        self->last = NULL;
    self->count--;
    return submission;
}

static struct submission *submission_new(enum log_entry_kind kind, const void *data, size_t size,
                                         replica_done_fn *done, void *arg)
{
    struct submission *self = alloc_zero(sizeof *self + size);

    self->kind = kind;
    self->done = done;
    self->arg = arg;
    self->size = size;
    if (size > 0)
        memcpy(self->data, data, size);
    return self;
}

/* ---- Metrics ------------------------------------------------------------------------------- */

static void replica_make_series(struct replica_series *self, struct metrics *metrics)
{
    const char *name = "pygmy_replica_role";
    const char *help = "1 for the role that the replica has in its group";

    if (metrics == NULL)
        return;
    self->leader = metrics_gauge(metrics, name, "role=\"leader\"", help);
    self->follower = metrics_gauge(metrics, name, "role=\"follower\"", help);
    self->term = metrics_gauge(metrics, "pygmy_replica_term", NULL, "Current term");
    self->leader_changes = metrics_counter(metrics, "pygmy_replica_leader_changes_total", NULL,
                                           "Leaders that this process has known");
    name = "pygmy_replica_log_index";
    help = "How far the log has got";
    self->last_index = metrics_gauge(metrics, name, "kind=\"last\"", help);
    self->commit_index = metrics_gauge(metrics, name, "kind=\"commit\"", help);
    self->applied_index = metrics_gauge(metrics, name, "kind=\"applied\"", help);
    self->pending = metrics_gauge(metrics, "pygmy_replica_pending_commands", NULL,
                                  "Commands submitted and not yet applied");
    name = "pygmy_replica_submissions_total";
    help = "Commands that were submitted";
    self->accepted = metrics_counter(metrics, name, "result=\"accepted\"", help);
    self->refused = metrics_counter(metrics, name, "result=\"refused\"", help);
    self->entries = metrics_counter(metrics, "pygmy_replica_entries_total", NULL,
                                    "Entries that were made durable");
    self->transactions = metrics_counter(metrics, "pygmy_replica_transactions_total", NULL,
                                         "Transactions of the log, each with one sync");
    self->disk_low = metrics_gauge(metrics, "pygmy_replica_disk_low", NULL,
                                   "1 while writes are refused for lack of free space");
    self->sync_seconds = metrics_histogram(metrics, "pygmy_fsync_duration_seconds", NULL,
                                           "Time of a transaction of the log with its sync");
}

static void replica_update_series(struct replica *self)
{
    metric_set(self->series.leader, self->leader ? 1 : 0);
    metric_set(self->series.follower, self->leader ? 0 : 1);
    metric_set(self->series.term, (double)self->term);
    metric_set(self->series.last_index, (double)self->last_index);
    metric_set(self->series.commit_index, (double)self->commit_index);
    metric_set(self->series.applied_index, (double)self->applied_index);
    metric_set(self->series.pending, (double)self->pending_count);
}

/* ---- To the disk --------------------------------------------------------------------------- */

/* Give index, term and time to the next submission. */
static void replica_stamp(struct replica *self, struct replica_batch *batch, int64_t now_ms,
                          int64_t wall_ms)
{
    struct submission *submission = submission_pop(&self->waiting);

    batch->entries[batch->disk.count++] = (struct log_entry){
        .index = ++self->last_index,
        .term = self->term,
        .kind = submission->kind,
        .log_time_ms = log_time_propose(&self->time, now_ms),
        .wall_ms = wall_ms,
        .data = submission->data,
        .size = submission->size,
    };
    submission_push(&batch->submissions, submission);
}

/* Make a batch of what waits, APPEND_COUNT_MAX at most, and hand it over. */
static void replica_put_batch(struct replica *self, replica_term new_term)
{
    size_t count = self->waiting.count < APPEND_COUNT_MAX ? self->waiting.count : APPEND_COUNT_MAX;
    struct replica_batch *batch = alloc_zero(sizeof *batch + count * sizeof(struct log_entry));
    int64_t now_ms = clock_ms();
    int64_t wall_ms = clock_wall_ms();

    for (size_t i = 0; i < count; i++)
        replica_stamp(self, batch, now_ms, wall_ms);
    batch->disk.entries = batch->entries;
    batch->disk.term = new_term;
    batch->disk.vote = new_term > 0 ? self->id : 0;
    disk_thread_put(self->disk, &batch->disk);
}

void replica_flush(struct replica *self)
{
    while (self->waiting.count > 0 && disk_thread_pending(self->disk) < DISK_BATCH_COUNT_MAX)
        replica_put_batch(self, 0);
}

/* ---- Applying ------------------------------------------------------------------------------ */

/* Take over what came back: it is durable, and so committed. */
static void replica_commit(struct replica *self, struct disk_batch *first)
{
    metric_observe(self->series.sync_seconds, (double)first->sync_us / 1e6);
    metric_add(self->series.transactions, 1);
    for (struct disk_batch *batch = first; batch != NULL; batch = batch->next) {
        assert(batch->count > 0);
        assert(batch->entries[0].index == self->commit_index + 1);
        self->commit_index += batch->count;
        metric_add(self->series.entries, (double)batch->count);
        if (self->durable_last != NULL)
            self->durable_last->next = batch;
        else
            self->durable_first = batch;
        self->durable_last = batch;
    }
}

/* Apply one entry, within the machine's transaction. */
static void *replica_apply_entry(struct replica *self, const struct log_entry *entry)
{
    void *result = NULL;

    assert(entry->index == self->applied_index + 1);
    assert(entry->index <= self->commit_index);
    if (entry->kind == LOG_ENTRY_COMMAND) {
        struct replica_entry command = {
            .index = entry->index,
            .term = entry->term,
            .log_time_ms = entry->log_time_ms,
            .wall_ms = entry->wall_ms,
            .data = entry->data,
            .size = entry->size,
        };
        result = self->machine.apply(self->machine.self, &command);
    }
    self->applied_index = entry->index;
    log_time_apply(&self->time, entry->log_time_ms);
    /* The result is the machine's own: it keeps nothing of the entry beyond the call. */
    /* cppcheck-suppress returnDanglingLifetime */
    return result;
}

/* Drop the first durable batch when all of it is applied. */
static void replica_shift(struct replica *self)
{
    struct disk_batch *batch = self->durable_first;

    if (self->durable_position < batch->count)
        return;
    self->durable_first = batch->next;
    if (self->durable_first == NULL)
        self->durable_last = NULL;
    self->durable_position = 0;
    free(batch);
}

/* Apply durable entries to the machine, in one transaction: as many as a turn may take. Returns how
 * many, at least one. Where transactions end has no part in what the tables come to. */
static size_t replica_apply_some(struct replica *self)
{
    int64_t end_ms = clock_ms() + APPLY_TURN_MS;
    size_t count = 0;

    self->machine.begin(self->machine.self);
    while (self->durable_first != NULL && count < APPEND_COUNT_MAX &&
           (count == 0 || clock_ms() < end_ms)) {
        struct replica_batch *batch = (struct replica_batch *)self->durable_first;
        const struct log_entry *entry = &batch->entries[self->durable_position++];
        struct replica_applied *applied = &self->applied[count++];
        applied->index = entry->index;
        applied->result = replica_apply_entry(self, entry);
        applied->submission = submission_pop(&batch->submissions);
        replica_shift(self);
    }
    self->machine.commit(self->machine.self);
    return count;
}

/* Forget a submission and tell who made it. */
static void replica_finish(struct replica *self, struct submission *submission, int code,
                           void *result, replica_index index)
{
    replica_done_fn *done = submission->done;
    void *arg = submission->arg;

    if (done != NULL) {
        self->pending_count--;
        self->pending_bytes -= submission->size;
    }
    free(submission);
    if (done != NULL)
        done(arg, code, result, index);
}

/* Apply what one turn may, call back, and see to the rest. */
static void replica_apply(struct replica *self)
{
    if (self->durable_first == NULL)
        return;
    size_t count = replica_apply_some(self);
    for (size_t i = 0; i < count; i++)
        replica_finish(self, self->applied[i].submission, OK, self->applied[i].result,
                       self->applied[i].index);
    if (self->durable_first != NULL)
        alarm_set(self->more, 0);
}

static void replica_turn(struct replica *self)
{
    replica_apply(self);
    replica_flush(self);
    replica_update_series(self);
}

static int replica_on_disk(zloop_t *loop, zsock_t *socket, void *arg)
{
    struct replica *self = arg;
    struct disk_batch *first;

    (void)loop;
    (void)socket;
    while ((first = disk_thread_take(self->disk)) != NULL)
        replica_commit(self, first);
    replica_turn(self);
    return 0;
}

static void replica_on_more(void *arg)
{
    replica_turn(arg);
}

/* When nothing was written for long, append an entry that holds the time (log_time.h). */
static void replica_on_tick(void *arg)
{
    struct replica *self = arg;
    int64_t now_ms = clock_ms();

    if (self->leader && log_time_tick_due(&self->time, now_ms))
        submission_push(&self->waiting, submission_new(LOG_ENTRY_BARRIER, NULL, 0, NULL, NULL));
    replica_flush(self);
    alarm_set(self->tick, now_ms + LOG_TIME_TICK_MS);
}

/* ---- Submitting and reading ---------------------------------------------------------------- */

/* Say once that the space has run low, and once that it is back. */
static bool replica_disk_low(struct replica *self)
{
    bool low = directory_space_low(self->directory, clock_ms());

    if (low != self->disk_low) {
        log_write(self->log, low ? LOG_LEVEL_ERROR : LOG_LEVEL_INFO,
                  low ? "too little free space: writes are refused" : "writes are accepted again",
                  LOG_INT("free_bytes_min", directory_free_bytes_min(self->directory)));
        metric_set(self->series.disk_low, low ? 1 : 0);
    }
    self->disk_low = low;
    return low;
}

static int replica_admit(struct replica *self, size_t size)
{
    if (!self->leader || self->closing)
        return ERR_NOT_LEADER;
    if (size > ENTRY_BYTES_MAX)
        return ERR_TOO_LARGE;
    if (self->pending_count >= SUBMIT_COUNT_MAX || self->pending_bytes + size > SUBMIT_BYTES_MAX)
        return ERR_BUSY;
    return replica_disk_low(self) ? ERR_DISK_LOW : 0;
}

int replica_submit(struct replica *self, const void *command, size_t size, replica_done_fn *done,
                   void *arg)
{
    assert(done != NULL);
    int result = replica_admit(self, size);
    metric_add(result == 0 ? self->series.accepted : self->series.refused, 1);
    if (result != 0)
        return result;
    submission_push(&self->waiting, submission_new(LOG_ENTRY_COMMAND, command, size, done, arg));
    self->pending_count++;
    self->pending_bytes += size;
    return 0;
}

int replica_read(struct replica *self, replica_read_fn *done, void *arg)
{
    /* Alone in its group, what this replica has applied is what anybody was ever told. */
    if (!self->leader || self->closing)
        return ERR_UNAVAILABLE;
    done(arg, OK);
    return 0;
}

bool replica_is_leader(const struct replica *self)
{
    return self->leader;
}

replica_term replica_current_term(const struct replica *self)
{
    return self->term;
}

replica_index replica_last_index(const struct replica *self)
{
    return self->last_index;
}

replica_index replica_commit_index(const struct replica *self)
{
    return self->commit_index;
}

replica_index replica_applied_index(const struct replica *self)
{
    return self->applied_index;
}

int64_t replica_log_time_ms(struct replica *self)
{
    return log_time_read(&self->time, clock_ms());
}

size_t replica_pending(const struct replica *self)
{
    return self->pending_count;
}

/* ---- Opening and closing ------------------------------------------------------------------- */

static int replica_check_options(const struct replica_options *options, char **error)
{
    if (options->member_count == 1 && options->id >= 1 && options->id <= INT64_MAX)
        return 0;
    if (options->member_count != 1)
        *error = zsys_sprintf("group %s has %zu members: a group has one member in this version",
                              options->group, options->member_count);
    else
        *error = zsys_sprintf("%s: a replica's id is 1 to %" PRId64, options->name, INT64_MAX);
    return ERR_INVALID;
}

/* Open the log, for reading here and for writing in the disk thread. */
static int replica_open_log(struct replica *self, const struct replica_options *options,
                            const struct directory_identity *identity, char **error)
{
    char *path = directory_file(self->directory, DIRECTORY_LOG);
    char *mark_path = directory_file(self->directory, DIRECTORY_MARK);
    struct log_store_options store = {
        .path = path,
        .mark_path = mark_path,
        .vfs = options->vfs,
        .identity = *identity,
        .check = true,
    };

    int result = log_store_open(&store, &self->reader, error);
    if (result == 0)
        result = disk_thread_new(&store, self->log, &self->disk, error);
    free(path);
    free(mark_path);
    return result;
}

/* The machine begins empty (directory_remove_state); the log makes it what it was. */
static int replica_open_machine(struct replica *self, char **error)
{
    char *path = directory_file(self->directory, DIRECTORY_STATE);

    int result = self->machine.open(self->machine.self, path, error);
    free(path);
    if (result == 0)
        self->applied_index = self->machine.applied(self->machine.self);
    assert(result != 0 || self->applied_index == 0);
    return result;
}

/* A new term with the own vote, and its first entry: durable before anything is done with what the
 * log was found to hold (see log_store.c: their sync is that of all before them). */
static void replica_begin_term(struct replica *self)
{
    struct log_state log = log_store_state(self->reader);

    self->term = log.term + 1;
    self->last_index = self->commit_index = log.last_index;
    log_time_init(&self->time, log.last_log_time_ms);
    submission_push(&self->waiting, submission_new(LOG_ENTRY_BARRIER, NULL, 0, NULL, NULL));
    replica_put_batch(self, self->term);
    replica_commit(self, disk_thread_wait(self->disk));
}

struct replica_replay {
    struct replica *replica;
    size_t count; /* entries in the machine's transaction under way */
};

static int replica_replay_entry(void *arg, const struct log_entry *entry)
{
    struct replica_replay *self = arg;
    const struct replica_machine *machine = &self->replica->machine;

    if (self->count == 0)
        machine->begin(machine->self);
    void *result = replica_apply_entry(self->replica, entry);
    if (result != NULL)
        machine->release(machine->self, result);
    if (++self->count == APPEND_COUNT_MAX) {
        machine->commit(machine->self);
        self->count = 0;
    }
    return 0;
}

/* Apply what the machine lacks of the entries before our own barrier. */
static int replica_replay(struct replica *self, char **error)
{
    struct replica_replay replay = {.replica = self};
    replica_index from = self->applied_index + 1;
    replica_index to = log_store_state(self->reader).last_index;
    int64_t begin_ms = clock_ms();

    int result = log_store_read(self->reader, from, to, replica_replay_entry, &replay);
    if (replay.count > 0)
        self->machine.commit(self->machine.self);
    if (result != 0)
        *error = zsys_sprintf("the log can't be replayed: %s", log_store_error(self->reader));
    log_write(self->log, LOG_LEVEL_INFO, "the log was replayed", LOG_UINT("from", from),
              LOG_UINT("to", self->applied_index), LOG_INT("duration_ms", clock_ms() - begin_ms));
    return result;
}

/* Apply the own barrier and lead. */
static void replica_take_lead(struct replica *self)
{
    assert(self->applied_index + 1 == self->commit_index);
    replica_apply(self);
    assert(self->applied_index == self->commit_index);
    log_time_start(&self->time, clock_ms());
    self->leader = true;
    metric_add(self->series.leader_changes, 1);
    replica_update_series(self);
    log_write(self->log, LOG_LEVEL_INFO, "took the lead", LOG_UINT("term", self->term),
              LOG_UINT("log_index", self->last_index));
    self->machine.lead(self->machine.self, true, self->term);
    if (self->on_lead != NULL)
        self->on_lead(self->arg, true, self->term);
    replica_on_tick(self);
}

/* All that may fail, in order. */
static int replica_open_all(struct replica *self, const struct replica_options *options,
                            char **error)
{
    struct directory_identity identity = {
        .uuid = options->uuid, .group = options->group, .replica_id = options->id};
    int64_t free_bytes_min =
        options->free_bytes_min > 0 ? options->free_bytes_min : DISK_FREE_BYTES_MIN;

    int result = replica_check_options(options, error);
    if (result == 0)
        result =
            directory_open(options->directory, &identity, free_bytes_min, &self->directory, error);
    if (result == 0)
        result = directory_remove_state(self->directory, error);
    if (result == 0)
        result = replica_open_log(self, options, &identity, error);
    if (result == 0)
        result = replica_open_machine(self, error);
    if (result != 0)
        return result;
    replica_begin_term(self);
    return replica_replay(self, error);
}

int replica_open(zloop_t *loop, const struct replica_options *options,
                 const struct replica_machine *machine, struct replica **self_p, char **error)
{
    struct replica *self = alloc_zero(sizeof *self);

    self->loop = loop;
    self->log = options->log;
    self->machine = *machine;
    self->on_lead = options->on_lead;
    self->arg = options->arg;
    self->id = options->id;
    self->applied = alloc_zero(APPEND_COUNT_MAX * sizeof *self->applied);
    replica_make_series(&self->series, options->metrics);
    int result = replica_open_all(self, options, error);
    if (result != 0) {
        replica_close(&self);
        return result;
    }
    log_store_close(&self->reader);
    self->more = alarm_new(loop, replica_on_more, self);
    self->tick = alarm_new(loop, replica_on_tick, self);
    zloop_reader(loop, disk_thread_socket(self->disk), replica_on_disk, self);
    *self_p = self; /* before lead(), which may submit */
    replica_take_lead(self);
    return 0;
}

/* Wait for what is under way, and apply and call back all of it. */
static void replica_drain(struct replica *self)
{
    while (disk_thread_pending(self->disk) > 0)
        replica_commit(self, disk_thread_wait(self->disk));
    while (self->durable_first != NULL)
        replica_apply(self);
}

/* An opening that failed leaves its barrier behind: there was nobody to apply it. */
static void replica_drop_durable(struct replica *self)
{
    while (self->durable_first != NULL) {
        struct replica_batch *batch = (struct replica_batch *)self->durable_first;
        self->durable_first = batch->disk.next;
        while (batch->submissions.count > 0)
            free(submission_pop(&batch->submissions));
        free(batch);
    }
}

void replica_close(struct replica **self_p)
{
    struct replica *self = *self_p;

    if (self == NULL)
        return;
    self->closing = true;
    if (self->leader)
        replica_drain(self);
    replica_drop_durable(self);
    while (self->waiting.count > 0)
        replica_finish(self, submission_pop(&self->waiting), ERR_UNKNOWN, NULL, 0);
    if (self->tick != NULL)
        zloop_reader_end(self->loop, disk_thread_socket(self->disk));
    alarm_destroy(&self->more);
    alarm_destroy(&self->tick);
    disk_thread_destroy(&self->disk);
    log_store_close(&self->reader);
    directory_close(&self->directory);
    free(self->applied);
    free(self);
    *self_p = NULL;
}
