/* The disk thread: appends to the log and waits for their sync, so that the
 * loop never does.
 *
 * It shares nothing with the loop: batches go to it over a pipe and come back
 * when they are durable, in order; whoever holds a batch owns it. Everything
 * that has come while it wrote is its next transaction, one sync for all of it
 * (group commit).
 *
 * A write or sync that fails ends the process at once, with status
 * FATAL_EXIT_STATUS (fatal.h): the kernel has by then forgotten which pages never reached
 * the disk and would read them back as if they had, so nothing that is done
 * after it can be trusted. Nothing more is written, and the process must not
 * be started again by itself.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_REPLICA_DISK_THREAD_H
#define PYGMY_REPLICA_DISK_THREAD_H

#include <czmq.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "broker/bus/log.h"
#include "services/replica/log_store.h"

/* What a batch does about a snapshot. */
enum disk_snapshot {
    DISK_SNAPSHOT_NONE,
    DISK_SNAPSHOT_TAKEN,     /* log_store_put_snapshot */
    DISK_SNAPSHOT_INSTALLED, /* log_store_install */
};

/* What is to become durable as a whole: term and vote, then the snapshot, then the entries. */
struct disk_batch {
    struct disk_batch *next; /* when it came back: next of the same transaction, or NULL */
    replica_term term;       /* new current term, stored with the vote; 0: unchanged */
    uint64_t vote;           /* in that term */
    enum disk_snapshot snapshot_kind;
    const struct snapshot_mark *snapshot; /* of that kind; borrowed until the batch is back */
    replica_index keep_from;              /* taken: entries below it go */
    struct log_entry *entries; /* as for log_store_append, with the bytes they point to */
    size_t count;              /* of the entries, may be 0 */
    int64_t sync_us;           /* when it came back: the transaction took so long; 0 but in the
                                * first batch of a transaction */
    atomic_uint hops;          /* how often it was handed over; see disk_thread.c */
};

struct disk_thread;

/* Start the thread, which opens the store (@options->check is not repeated: see log_store.h).
 *
 * @log  for the last words; may be NULL
 *
 * Returns 0 or what log_store_open() returns, with *error set. */
int disk_thread_new(const struct log_store_options *options, struct log *log,
                    struct disk_thread **self_p, char **error);

/* Stop the thread and close the store. All batches must have come back (asserted). Accepts NULL. */
void disk_thread_destroy(struct disk_thread **self_p);

/* Hand a batch over. Never waits: at most DISK_BATCH_COUNT_MAX may be under way (asserted). */
void disk_thread_put(struct disk_thread *self, struct disk_batch *batch);

/* Take the next batches that have become durable: those of one transaction, as a list. NULL when
 * there are none yet. */
struct disk_batch *disk_thread_take(struct disk_thread *self);
/* The same, but wait for them: there must be some under way (asserted). */
struct disk_batch *disk_thread_wait(struct disk_thread *self);

/* Batches put and not yet taken. */
size_t disk_thread_pending(const struct disk_thread *self);

/* Readable when there may be something to take. */
zsock_t *disk_thread_socket(struct disk_thread *self);

#endif
