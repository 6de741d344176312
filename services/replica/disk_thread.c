/* See disk_thread.h.
 *
 * A message on the pipe is the address of a batch: of one going there, of the first of a
 * transaction coming back. The thread ends at czmq's "$TERM", which has another length.
 *
 * Whoever hands something over counts that in an atomic which the receiver reads first. The pipe
 * orders memory as well, but only inside libzmq; this says it in the language's own terms, where
 * compilers and checkers see it.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "services/replica/disk_thread.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <unistd.h>

#include "broker/bus/alloc.h"
#include "broker/bus/clock.h"
#include "broker/bus/limits.h"
#include "services/replica/fatal.h"

struct disk_thread {
    zactor_t *actor;
    size_t pending;
    /* What the thread is started with, and what came of it. */
    const struct log_store_options *options; /* until it has started */
    struct log *log;
    int result;
    char *error;
    atomic_uint hops; /* 1: it has started, 2: it has ended */
};

/* The thread's own. */
struct disk_worker {
    void *socket; /* libzmq's, of the pipe */
    struct log_store *store;
    struct log *log;
    bool ended; /* "$TERM" was read, or it never began */
};

static_assert(sizeof(struct disk_batch *) != sizeof "$TERM" - 1, "told apart by length");

/* Receive a batch; NULL when there is none, or the message was another one. */
static struct disk_batch *disk_receive(void *socket, int flags)
{
    struct disk_batch *batch = NULL;
    int size;

    do
        size = zmq_recv(socket, &batch, sizeof batch, flags);
    while (size < 0 && errno == EINTR);
    if (size != (int)sizeof batch)
        return NULL;
    atomic_load(&batch->hops);
    return batch;
}

static void disk_send(void *socket, struct disk_batch *batch)
{
    int size;

    atomic_fetch_add(&batch->hops, 1);
    do
        size = zmq_send(socket, &batch, sizeof batch, 0);
    while (size < 0 && errno == EINTR);
    assert(size == (int)sizeof batch);
}

/* ---- In the thread ------------------------------------------------------------------------- */

static _Noreturn void disk_worker_fail(struct disk_worker *self)
{
    log_write(self->log, LOG_LEVEL_ERROR,
              "the disk failed and this process ends; repair the disk and restart the machine (its "
              "memory may hold what the disk does not) before starting it again",
              LOG_TEXT("error", log_store_error(self->store)));
    _exit(FATAL_EXIT_STATUS);
}

static int disk_worker_write_batch(struct disk_worker *self, const struct disk_batch *batch)
{
    int result = 0;

    if (batch->term > 0)
        result = log_store_vote(self->store, batch->term, batch->vote);
    if (result == 0 && batch->snapshot_kind == DISK_SNAPSHOT_TAKEN)
        result = log_store_put_snapshot(self->store, batch->snapshot, batch->keep_from);
    if (result == 0 && batch->snapshot_kind == DISK_SNAPSHOT_INSTALLED)
        result = log_store_install(self->store, batch->snapshot);
    if (result == 0 && batch->count > 0)
        result = log_store_append(self->store, batch->entries, batch->count);
    return result;
}

/* Write all batches of the list in one transaction. */
static void disk_worker_write(struct disk_worker *self, struct disk_batch *first)
{
    int result = log_store_begin(self->store);

    for (const struct disk_batch *batch = first; batch != NULL && result == 0; batch = batch->next)
        result = disk_worker_write_batch(self, batch);
    if (result == 0)
        result = log_store_commit(self->store);
    if (result != 0)
        disk_worker_fail(self);
}

/* Take what has come: wait for the first, and add all that is there. "$TERM" is never among the
 * latter: it is sent when no batch is under way. */
static struct disk_batch *disk_worker_gather(struct disk_worker *self)
{
    struct disk_batch *first = disk_receive(self->socket, 0);
    struct disk_batch *last = first;
    size_t count = 0;

    if (first == NULL) {
        self->ended = true;
        return NULL;
    }
    for (;;) {
        last->next = NULL;
        count += last->count;
        struct disk_batch *more =
            count < DISK_GROUP_COUNT_MAX ? disk_receive(self->socket, ZMQ_DONTWAIT) : NULL;
        if (more == NULL)
            return first;
        last = last->next = more;
    }
}

static void disk_worker_run(zsock_t *pipe, void *arg)
{
    struct disk_thread *starter = arg;
    struct disk_worker self = {.socket = zsock_resolve(pipe), .log = starter->log};

    starter->result = log_store_open(starter->options, &self.store, &starter->error);
    self.ended = starter->result != 0;
    atomic_fetch_add(&starter->hops, 1);
    zsock_signal(pipe, 0);
    while (!self.ended) {
        struct disk_batch *first = disk_worker_gather(&self);
        if (first == NULL)
            break;
        int64_t begin_us = clock_us();
        disk_worker_write(&self, first);
        first->sync_us = clock_us() - begin_us;
        disk_send(self.socket, first);
        if (log_store_tidy(self.store) != 0)
            disk_worker_fail(&self);
    }
    log_store_close(&self.store);
    atomic_fetch_add(&starter->hops, 1);
}

/* ---- In the loop --------------------------------------------------------------------------- */

int disk_thread_new(const struct log_store_options *options, struct log *log,
                    struct disk_thread **self_p, char **error)
{
    struct log_store_options unchecked = *options;
    struct disk_thread *self = alloc_zero(sizeof *self);

    unchecked.check = false;
    self->options = &unchecked;
    self->log = log;
    self->actor = zactor_new(disk_worker_run, self);
    atomic_load(&self->hops);
    self->options = NULL;
    int result = self->result;
    if (result == 0) {
        *self_p = self;
        return 0;
    }
    *error = self->error;
    disk_thread_destroy(&self);
    return result;
}

void disk_thread_destroy(struct disk_thread **self_p)
{
    struct disk_thread *self = *self_p;

    if (self == NULL)
        return;
    assert(self->pending == 0);
    zactor_destroy(&self->actor);
    atomic_load(&self->hops);
    free(self);
    *self_p = NULL;
}

void disk_thread_put(struct disk_thread *self, struct disk_batch *batch)
{
    assert(self->pending < DISK_BATCH_COUNT_MAX);
    batch->sync_us = 0;
    self->pending++;
    disk_send(zsock_resolve(self->actor), batch);
}

static struct disk_batch *disk_thread_receive(struct disk_thread *self, int flags)
{
    struct disk_batch *first = disk_receive(zsock_resolve(self->actor), flags);

    for (const struct disk_batch *batch = first; batch != NULL; batch = batch->next) {
        assert(self->pending > 0);
        self->pending--;
    }
    return first;
}

struct disk_batch *disk_thread_take(struct disk_thread *self)
{
    return disk_thread_receive(self, ZMQ_DONTWAIT);
}

struct disk_batch *disk_thread_wait(struct disk_thread *self)
{
    assert(self->pending > 0);
    return disk_thread_receive(self, 0);
}

size_t disk_thread_pending(const struct disk_thread *self)
{
    return self->pending;
}

zsock_t *disk_thread_socket(struct disk_thread *self)
{
    return zactor_sock(self->actor);
}
