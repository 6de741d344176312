/* See snapshot_thread.h.
 *
 * A message on the pipe is the address of a job, going there and coming back; whoever holds a job
 * owns it, but for the two fields that say so. One byte coming back says that a fetch has got
 * further; czmq's "$TERM" ends the thread. As at the disk thread, whoever hands a job over counts
 * that in an atomic which the receiver reads first.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "services/replica/snapshot_thread.h"

#include <assert.h>
#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include "broker/bus/alloc.h"
#include "broker/bus/clock.h"
#include "broker/bus/err.h"
#include "broker/bus/limits.h"
#include "services/replica/snapshot_fetch.h"
#include "services/replica/snapshot_file.h"

enum snapshot_job_kind {
    SNAPSHOT_JOB_TAKE,
    SNAPSHOT_JOB_FETCH,
    SNAPSHOT_JOB_RESTORE,
    SNAPSHOT_JOBS,
};

static const char *const snapshot_job_names[SNAPSHOT_JOBS] = {"take", "fetch", "restore"};

struct snapshot_job {
    enum snapshot_job_kind kind;
    struct snapshot_mark mark;
    struct snapshot_pin *pin; /* of what is taken */
    char *endpoint;           /* to fetch from */
    uint64_t rows;            /* what those of a restored one come to */
    int code;                 /* when it came back */
    char *error;
    int64_t duration_us;
    struct snapshot_job *next; /* in the loop's list; the loop's alone */
    atomic_bool stop;          /* either's: give it up */
    atomic_ullong fetched;     /* either's: bytes that are here */
    atomic_uint hops;          /* how often it was handed over */
};

struct snapshot_series {
    struct metric *done[SNAPSHOT_JOBS];
    struct metric *failed[SNAPSHOT_JOBS];
    struct metric *seconds[SNAPSHOT_JOBS];
    struct metric *index; /* of the last one that was taken or restored */
    struct metric *bytes;
    struct metric *fetched_bytes;
};

struct snapshot_thread {
    zloop_t *loop; /* not owned */
    zactor_t *actor;
    struct log *log; /* not owned, or NULL */
    char *directory; /* what stands up to here never changes, and the thread may read it */
    char *uuid;
    int64_t free_bytes_min;
    int (*count_rows)(const char *path, uint64_t *rows, char **error); /* or NULL */
    snapshot_done_fn *on_done[SNAPSHOT_JOBS];
    void *arg;
    struct snapshot_job *first; /* under way, in their order */
    size_t count;
    uint64_t rows; /* of the last one that was restored */
    struct snapshot_series series;
};

static_assert(sizeof(struct snapshot_job *) != sizeof "$TERM" - 1, "told apart by length");
static_assert(sizeof(struct snapshot_job *) != 1, "told apart by length");

static void snapshot_job_destroy(struct snapshot_job **self_p)
{
    struct snapshot_job *self = *self_p;

    snapshot_pin_close(&self->pin);
    free(self->endpoint);
    free(self->error);
    free(self);
    *self_p = NULL;
}

/* Receive a job; NULL when there is none, or the message was another one. */
static struct snapshot_job *snapshot_receive(void *socket, int flags, int *size)
{
    struct snapshot_job *job = NULL;

    do
        *size = zmq_recv(socket, &job, sizeof job, flags);
    while (*size < 0 && errno == EINTR);
    if (*size != (int)sizeof job)
        return NULL;
    atomic_load(&job->hops);
    return job;
}

static void snapshot_send(void *socket, struct snapshot_job *job)
{
    int size;

    atomic_fetch_add(&job->hops, 1);
    do
        size = zmq_send(socket, &job, sizeof job, 0);
    while (size < 0 && errno == EINTR);
    assert(size == (int)sizeof job);
}

/* ---- In the thread ------------------------------------------------------------------------- */

struct snapshot_worker {
    const struct snapshot_thread *owner;
    void *socket; /* libzmq's, of the pipe */
    struct snapshot_job *job;
};

static void snapshot_worker_progress(void *arg, uint64_t bytes)
{
    struct snapshot_worker *self = arg;

    atomic_store(&self->job->fetched, bytes);
    (void)zmq_send(self->socket, "p", 1, ZMQ_DONTWAIT);
}

static int snapshot_worker_take(struct snapshot_worker *self, const char *path)
{
    struct snapshot_job *job = self->job;

    int result = snapshot_file_copy(job->pin, path, &job->mark, &job->stop, &job->error);
    /* The sooner the better: it holds up the machine's write-ahead log. */
    snapshot_pin_close(&job->pin);
    return result;
}

static int snapshot_worker_fetch(struct snapshot_worker *self, const char *path)
{
    struct snapshot_job *job = self->job;
    struct snapshot_fetch_options options = {
        .endpoint = job->endpoint,
        .uuid = self->owner->uuid,
        .path = path,
        .stop = &job->stop,
        .on_progress = snapshot_worker_progress,
        .arg = self,
    };

    return snapshot_fetch(&options, &job->mark, &job->error);
}

/* Make a file and give it its name; or take away what came of it. */
static int snapshot_worker_make(struct snapshot_worker *self)
{
    struct snapshot_job *job = self->job;
    const char *directory = self->owner->directory;
    bool take = job->kind == SNAPSHOT_JOB_TAKE;
    char *path = zsys_sprintf("%s/%s", directory, take ? SNAPSHOT_TAKING : SNAPSHOT_FETCHING);

    int result =
        snapshot_file_fits(directory, job->mark.bytes, self->owner->free_bytes_min, &job->error);
    if (result == 0)
        result = take ? snapshot_worker_take(self, path) : snapshot_worker_fetch(self, path);
    if (result == 0)
        result = snapshot_file_keep(directory, path, &job->mark, &job->error);
    if (result != 0)
        (void)unlink(path);
    snapshot_pin_close(&job->pin);
    free(path);
    return result;
}

static int snapshot_worker_restore(struct snapshot_worker *self)
{
    const struct snapshot_thread *owner = self->owner;
    struct snapshot_job *job = self->job;

    int result = snapshot_file_restore(owner->directory, &job->mark, &job->error);
    if (result != 0 || owner->count_rows == NULL)
        return result;
    char *path = zsys_sprintf("%s/" SNAPSHOT_RESTORED, owner->directory);
    result = owner->count_rows(path, &job->rows, &job->error);
    free(path);
    return result;
}

static void snapshot_worker_work(struct snapshot_worker *self)
{
    struct snapshot_job *job = self->job;
    int64_t begin_us = clock_us();

    if (atomic_load(&job->stop)) {
        job->code = ERR_UNAVAILABLE;
        snapshot_pin_close(&job->pin);
    } else if (job->kind == SNAPSHOT_JOB_RESTORE) {
        job->code = snapshot_worker_restore(self);
    } else {
        job->code = snapshot_worker_make(self);
    }
    job->duration_us = clock_us() - begin_us;
}

static void snapshot_worker_run(zsock_t *pipe, void *arg)
{
    struct snapshot_worker self = {.owner = arg, .socket = zsock_resolve(pipe)};
    int size;

    zsock_signal(pipe, 0);
    while ((self.job = snapshot_receive(self.socket, 0, &size)) != NULL) {
        snapshot_worker_work(&self);
        snapshot_send(self.socket, self.job);
    }
}

/* ---- In the loop --------------------------------------------------------------------------- */

static void snapshot_make_series(struct snapshot_series *self, struct metrics *metrics)
{
    char labels[64];

    if (metrics == NULL)
        return;
    for (int kind = 0; kind < SNAPSHOT_JOBS; kind++) {
        const char *name = "pygmy_snapshots_total";
        const char *help = "Snapshots that were taken, fetched and restored";
        snprintf(labels, sizeof labels, "kind=\"%s\",result=\"ok\"", snapshot_job_names[kind]);
        self->done[kind] = metrics_counter(metrics, name, labels, help);
        snprintf(labels, sizeof labels, "kind=\"%s\",result=\"failed\"", snapshot_job_names[kind]);
        self->failed[kind] = metrics_counter(metrics, name, labels, help);
        snprintf(labels, sizeof labels, "kind=\"%s\"", snapshot_job_names[kind]);
        self->seconds[kind] = metrics_histogram(metrics, "pygmy_snapshot_duration_seconds", labels,
                                                "Time that a snapshot took");
    }
    self->index = metrics_gauge(metrics, "pygmy_snapshot_log_index", NULL,
                                "Log index of the last snapshot that was taken or restored");
    self->bytes = metrics_gauge(metrics, "pygmy_snapshot_bytes", NULL, "Size of its file");
    self->fetched_bytes = metrics_gauge(metrics, "pygmy_snapshot_fetched_bytes", NULL,
                                        "Bytes that are here of the snapshot being fetched");
}

static void snapshot_thread_put(struct snapshot_thread *self, struct snapshot_job *job)
{
    struct snapshot_job **last = &self->first;

    assert(self->count < SNAPSHOT_JOBS_MAX);
    while (*last != NULL)
        last = &(*last)->next;
    *last = job;
    self->count++;
    snapshot_send(zsock_resolve(self->actor), job);
}

static struct snapshot_job *snapshot_job_new(enum snapshot_job_kind kind,
                                             const struct snapshot_mark *mark)
{
    struct snapshot_job *self = alloc_zero(sizeof *self);

    self->kind = kind;
    self->mark = *mark;
    return self;
}

/* The fetch that is wanted; NULL: none. */
static struct snapshot_job *snapshot_thread_fetching(const struct snapshot_thread *self)
{
    for (struct snapshot_job *job = self->first; job != NULL; job = job->next)
        if (job->kind == SNAPSHOT_JOB_FETCH && !atomic_load(&job->stop))
            return job;
    return NULL;
}

/* Say how a job ended. */
static void snapshot_thread_report(struct snapshot_thread *self, const struct snapshot_job *job)
{
    bool good = job->code == 0;

    metric_add(good ? self->series.done[job->kind] : self->series.failed[job->kind], 1);
    metric_observe(self->series.seconds[job->kind], (double)job->duration_us / 1e6);
    if (good && job->kind != SNAPSHOT_JOB_FETCH) {
        metric_set(self->series.index, (double)job->mark.index);
        metric_set(self->series.bytes, (double)job->mark.bytes);
    }
    if (good)
        log_write(self->log, LOG_LEVEL_INFO, "a snapshot is ready",
                  LOG_TEXT("kind", snapshot_job_names[job->kind]),
                  LOG_UINT("log_index", job->mark.index), LOG_UINT("term", job->mark.term),
                  LOG_UINT("bytes", job->mark.bytes),
                  LOG_INT("duration_ms", job->duration_us / 1000));
    else
        log_write(self->log, LOG_LEVEL_WARN, "no snapshot came of it",
                  LOG_TEXT("kind", snapshot_job_names[job->kind]),
                  LOG_UINT("log_index", job->mark.index), LOG_TEXT("error", job->error));
}

/* A job came back: the first, since there is one thread. */
static void snapshot_thread_finish(struct snapshot_thread *self, struct snapshot_job *job)
{
    assert(job == self->first);
    self->first = job->next;
    self->count--;
    if (job->kind == SNAPSHOT_JOB_FETCH)
        metric_set(self->series.fetched_bytes, 0);
    if (job->kind == SNAPSHOT_JOB_RESTORE)
        self->rows = job->rows;
    if (!atomic_load(&job->stop)) {
        snapshot_thread_report(self, job);
        self->on_done[job->kind](self->arg, job->code, job->error, &job->mark);
    }
    snapshot_job_destroy(&job);
}

static void snapshot_thread_on_progress(struct snapshot_thread *self)
{
    const struct snapshot_job *job = snapshot_thread_fetching(self);

    if (job == NULL)
        return;
    metric_set(self->series.fetched_bytes, (double)atomic_load(&job->fetched));
    log_write(self->log, LOG_LEVEL_DEBUG, "fetching a snapshot",
              LOG_UINT("log_index", job->mark.index), LOG_UINT("here", atomic_load(&job->fetched)),
              LOG_UINT("bytes", job->mark.bytes));
}

static int snapshot_thread_on_pipe(zloop_t *loop, zsock_t *socket, void *arg)
{
    struct snapshot_thread *self = arg;
    struct snapshot_job *job;
    int size;

    (void)loop;
    do {
        job = snapshot_receive(zsock_resolve(socket), ZMQ_DONTWAIT, &size);
        if (job != NULL)
            snapshot_thread_finish(self, job);
        else if (size > 0)
            snapshot_thread_on_progress(self);
    } while (size > 0);
    return 0;
}

struct snapshot_thread *snapshot_thread_new(zloop_t *loop,
                                            const struct snapshot_thread_options *options)
{
    struct snapshot_thread *self = alloc_zero(sizeof *self);

    self->loop = loop;
    self->log = options->log;
    self->directory = alloc_copy(options->directory, strlen(options->directory));
    self->uuid = alloc_copy(options->uuid, strlen(options->uuid));
    self->free_bytes_min = options->free_bytes_min;
    self->count_rows = options->count;
    self->on_done[SNAPSHOT_JOB_TAKE] = options->on_taken;
    self->on_done[SNAPSHOT_JOB_FETCH] = options->on_fetched;
    self->on_done[SNAPSHOT_JOB_RESTORE] = options->on_restored;
    self->arg = options->arg;
    snapshot_make_series(&self->series, options->metrics);
    self->actor = zactor_new(snapshot_worker_run, self);
    zloop_reader(loop, zactor_sock(self->actor), snapshot_thread_on_pipe, self);
    return self;
}

void snapshot_thread_destroy(struct snapshot_thread **self_p)
{
    struct snapshot_thread *self = *self_p;

    if (self == NULL)
        return;
    zloop_reader_end(self->loop, zactor_sock(self->actor));
    for (struct snapshot_job *job = self->first; job != NULL; job = job->next)
        atomic_store(&job->stop, true);
    /* The thread reads its pipe in order, so it is done with all jobs when it ends. */
    zactor_destroy(&self->actor);
    while (self->first != NULL) {
        struct snapshot_job *job = self->first;
        self->first = job->next;
        atomic_load(&job->hops);
        snapshot_job_destroy(&job);
    }
    free(self->directory);
    free(self->uuid);
    free(self);
    *self_p = NULL;
}

bool snapshot_thread_busy(const struct snapshot_thread *self)
{
    return self->count > 0;
}

int snapshot_thread_take(struct snapshot_thread *self, const char *state_path,
                         const struct snapshot_mark *mark)
{
    struct snapshot_job *job = snapshot_job_new(SNAPSHOT_JOB_TAKE, mark);
    char *error = NULL;

    assert(self->count == 0);
    int result = snapshot_pin_open(state_path, &job->pin, &error);
    if (result == 0) {
        job->mark.bytes = snapshot_pin_bytes(job->pin); /* about so much, for the room it takes */
        snapshot_thread_put(self, job);
        return 0;
    }
    log_write(self->log, LOG_LEVEL_WARN, "no snapshot can be taken",
              LOG_UINT("log_index", mark->index), LOG_TEXT("error", error));
    free(error);
    snapshot_job_destroy(&job);
    return result;
}

void snapshot_thread_fetch(struct snapshot_thread *self, const char *endpoint,
                           const struct snapshot_mark *mark)
{
    struct snapshot_job *other = snapshot_thread_fetching(self);

    if (other != NULL && snapshot_mark_same(&other->mark, mark) &&
        strcmp(other->endpoint, endpoint) == 0)
        return;
    if (other != NULL)
        atomic_store(&other->stop, true);
    if (self->count >= SNAPSHOT_JOBS_MAX - 1)
        return; /* offered again, when those that were given up have come back */
    struct snapshot_job *job = snapshot_job_new(SNAPSHOT_JOB_FETCH, mark);
    job->endpoint = alloc_copy(endpoint, strlen(endpoint));
    log_write(self->log, LOG_LEVEL_INFO, "fetching a snapshot", LOG_TEXT("from", endpoint),
              LOG_UINT("log_index", mark->index), LOG_UINT("bytes", mark->bytes));
    snapshot_thread_put(self, job);
}

void snapshot_thread_restore(struct snapshot_thread *self, const struct snapshot_mark *mark)
{
    snapshot_thread_put(self, snapshot_job_new(SNAPSHOT_JOB_RESTORE, mark));
}

uint64_t snapshot_thread_rows(const struct snapshot_thread *self)
{
    return self->rows;
}

uint64_t snapshot_thread_fetched_bytes(const struct snapshot_thread *self)
{
    const struct snapshot_job *job = snapshot_thread_fetching(self);

    return job != NULL ? atomic_load(&job->fetched) : 0;
}
