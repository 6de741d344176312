/* The snapshot thread: takes snapshots, fetches them from another replica and makes the machine's
 * store from them, so that the loop never waits for files of that size.
 *
 * One job at a time, in the order in which they were asked for. It shares nothing with the loop:
 * jobs go to it over a pipe and come back, as batches do at the disk thread. A failure costs
 * nothing but the snapshot: what was being made is removed, the log stays as long as it is.
 *
 * The ways of a snapshot:
 *
 *   taken       snapshot_thread_take -> on_taken -> consensus_snapshot_taken -> a disk_batch with
 *               DISK_SNAPSHOT_TAKEN -> when that is back, snapshot_file_remove_older
 *   installed   CONSENSUS_FETCH -> snapshot_thread_fetch -> on_fetched -> consensus_snapshot_fetched
 *               -> CONSENSUS_INSTALL -> snapshot_thread_restore -> on_restored -> a disk_batch with
 *               DISK_SNAPSHOT_INSTALLED -> when that is back: close the machine, directory_remove_
 *               state, snapshot_file_put_in_place, open it -> snapshot_file_remove_older ->
 *               consensus_snapshot_installed
 *   at a start  snapshot_file_remove_others, directory_remove_state, and for a log with a snapshot
 *               snapshot_file_restore, snapshot_file_put_in_place; then replay what follows it
 *
 * A death between any two of these leaves the log's mark, and the file that it names, either the old
 * ones or the new ones, and a machine's store that is made anew.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_REPLICA_SNAPSHOT_THREAD_H
#define PYGMY_REPLICA_SNAPSHOT_THREAD_H

#include <czmq.h>
#include <stdbool.h>

#include "broker/bus/log.h"
#include "broker/bus/metrics.h"
#include "services/replica/snapshot_mark.h"

struct snapshot_thread;

/* How a job ended: 0, or a code with @error, a sentence that is the thread's own. Called from the
 * loop, never from inside of a call of below; other jobs may be begun here. */
typedef void snapshot_done_fn(void *arg, int code, const char *error,
                              const struct snapshot_mark *mark);

struct snapshot_thread_options {
    const char *directory;   /* the replica's: copied */
    const char *uuid;        /* of the cluster: copied */
    int64_t free_bytes_min;  /* nothing is begun that would leave less; 0: DISK_FREE_BYTES_MIN */
    struct log *log;         /* or NULL */
    struct metrics *metrics; /* or NULL */
    /* The machine's (replica.h): called in the thread, of a file that is restored. NULL: it is not. */
    int (*count)(const char *path, uint64_t *rows, char **error);
    /* A snapshot stands in the directory under its name, durably. Else ERR_STORAGE. */
    snapshot_done_fn *on_taken;
    /* The same, of another replica: whole and checked. Else ERR_UNAVAILABLE (no progress for
     * SNAPSHOT_STALL_MS), ERR_NOT_FOUND (it has gone there), ERR_CORRUPT (not what the mark says) or
     * ERR_STORAGE: whoever offered it may offer one again. */
    snapshot_done_fn *on_fetched;
    /* SNAPSHOT_RESTORED is there. Else ERR_CORRUPT or ERR_STORAGE, after which an installation that
     * has begun can't go on: only a new start can. */
    snapshot_done_fn *on_restored;
    void *arg;
};

/* Start it and register with @loop. */
struct snapshot_thread *snapshot_thread_new(zloop_t *loop,
                                            const struct snapshot_thread_options *options);
/* Give up what is under way, without a call back, and end it. Accepts NULL. */
void snapshot_thread_destroy(struct snapshot_thread **self_p);

/* Whether a job is under way. */
bool snapshot_thread_busy(const struct snapshot_thread *self);

/* Take a snapshot of the machine's store at @state_path, which is between two transactions and holds
 * what @mark says; its bytes and checksum are found out. Nothing else may be under way (asserted).
 * Returns 0 or ERR_STORAGE: then there is no call back. */
int snapshot_thread_take(struct snapshot_thread *self, const char *state_path,
                         const struct snapshot_mark *mark);

/* Fetch a snapshot from another replica's snapshot channel at @endpoint. When the same one is being
 * fetched from there already, that goes on; another one being fetched is given up, without a call
 * back. */
void snapshot_thread_fetch(struct snapshot_thread *self, const char *endpoint,
                           const struct snapshot_mark *mark);

/* Check a snapshot that stands in the directory, copy it to SNAPSHOT_RESTORED, and count its rows. */
void snapshot_thread_restore(struct snapshot_thread *self, const struct snapshot_mark *mark);

/* What the rows of the last one that was restored came to; for on_restored(). */
uint64_t snapshot_thread_rows(const struct snapshot_thread *self);

/* Of the snapshot being fetched: how many bytes are here. 0: none is being fetched. */
uint64_t snapshot_thread_fetched_bytes(const struct snapshot_thread *self);

#endif
