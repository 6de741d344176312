/* A replicated log: submit a command, have committed ones applied in order,
 * read what they have made.
 *
 * This is the interface the services are written against. It speaks of leader,
 * term, log index and commit index because consensus goes underneath; a group
 * of one member is a group whose majority is itself.
 *
 * Invariants
 *   R1  a command is applied only when it is committed, in the order of the log, exactly once
 *       in the life of the process and of the machine's own store, which begins empty.
 *   R2  a submission's callback gets OK only after the entry is durable on a majority and applied
 *       here.
 *   R3  terms never fall; the log index of a command is never given to another command once it is
 *       committed.
 *   R4  log time never falls from one entry to the next, and never runs faster than real time. It
 *       is that of the last entry of earlier terms plus the CLOCK_BOOTTIME that passed at the
 *       leader since it applied its own barrier; no wall clock (log_time.h).
 *   R5  a read is served from a state that holds every write acknowledged before the read began.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_REPLICA_REPLICA_H
#define PYGMY_REPLICA_REPLICA_H

#include <czmq.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "broker/bus/log.h"
#include "broker/bus/metrics.h"

typedef uint64_t replica_term;  /* from 1; 0: none */
typedef uint64_t replica_index; /* log index, from 1; 0: none */

/* A committed command, as the machine sees it. */
struct replica_entry {
    replica_index index;
    replica_term term;
    int64_t log_time_ms; /* since the cluster's first entry; decides */
    int64_t wall_ms;     /* UTC at the leader; for people only */
    const uint8_t *data; /* the command; valid during the call */
    size_t size;
};

/* The state machine of a service. Apply is deterministic: it sees nothing but the entries and its
 * own tables. Any failure of its own storage ends the process (status 5): half an apply must never
 * be seen. */
struct replica_machine {
    void *self;
    /* Open the machine's own store at @path, where nothing is: the replica has removed what an
     * earlier process left there (directory.h). Returns 0 or a code, with *error set. */
    int (*open)(void *self, const char *path, char **error);
    /* Close it; open() may follow, with another file in its place. NULL: not possible (tests). */
    void (*close)(void *self);
    /* The digest of all that the tables hold (digest.h): equal at two replicas that have applied the
     * same entries. NULL: there is none. */
    uint64_t (*digest)(void *self);
    /* The index of the last entry in the machine's tables, 0 when they are empty. */
    replica_index (*applied)(void *self);
    /* Begin and commit the transaction around a batch of applies. */
    void (*begin)(void *self);
    void (*commit)(void *self);
    /* Apply one command. The result is opaque here and handed to who submitted it, else (when it
     * is not NULL) to release(); NULL is a result too. */
    void *(*apply)(void *self, const struct replica_entry *entry);
    void (*release)(void *self, void *result);
    /* The group's leadership was gained (true, after the leader's own barrier is applied) or lost
     * at this replica. Not called when the replica is closed. */
    void (*lead)(void *self, bool leader, replica_term term);
};

struct replica_options {
    const char *name;        /* "catalog-1" */
    const char *group;       /* "catalog" */
    const char *directory;   /* made if it is absent; locked while the replica lives */
    const char *uuid;        /* of the cluster: data of another one is refused (ERR_MISMATCH) */
    uint64_t id;             /* of this replica in the group, from 1 */
    size_t member_count;     /* of the group; only 1 for now: more is ERR_INVALID */
    struct log *log;         /* or NULL */
    struct metrics *metrics; /* or NULL */
    /* Told of leadership after the machine was, at the same occasions; NULL: nobody. */
    void (*on_lead)(void *arg, bool leader, replica_term term);
    void *arg;
    const char *vfs;        /* SQLite's VFS for the log, by name; NULL: the default */
    int64_t free_bytes_min; /* below it no more writes (ERR_DISK_LOW); 0: DISK_FREE_BYTES_MIN */
};

struct replica;

/* @code    OK: @result is what apply returned, now the callee's. Else @result is NULL and the
 *          outcome is what the code says: ERR_UNKNOWN once the command was accepted
 * @index   of the entry when OK, else 0 */
typedef void replica_done_fn(void *arg, int code, void *result, replica_index index);
typedef void replica_read_fn(void *arg, int code);

/* Lock and check the directory, open and check the log, start the disk thread, become leader (a new
 * term and a barrier entry, durable), replay what the machine lacks, and call machine->lead. Does
 * not return before that is done. A write that fails ends the process (disk_thread.h).
 *
 * @error  on failure a sentence for the operator, the caller's to free()
 *
 * Returns 0, ERR_LOCKED, ERR_MISMATCH, ERR_CORRUPT, ERR_VERSION, ERR_STORAGE or ERR_INVALID. */
int replica_open(zloop_t *loop, const struct replica_options *options,
                 const struct replica_machine *machine, struct replica **self_p, char **error);

/* Finish what is being written and call it back; call back what was not handed to the disk thread
 * with ERR_UNKNOWN; release the lock. What callbacks submit meanwhile is refused. Accepts NULL. */
void replica_close(struct replica **self_p);

/* Submit a command; it is copied. Nothing is written before replica_flush(), so that everything
 * that arrived in one turn of the loop is one append and one fsync; @done is never called from
 * inside replica_submit(), and must not close the replica.
 *
 * Returns 0, or a definite refusal with no effect: ERR_NOT_LEADER, ERR_BUSY (SUBMIT_COUNT_MAX or
 * SUBMIT_BYTES_MAX are waiting), ERR_TOO_LARGE (ENTRY_BYTES_MAX), ERR_DISK_LOW. */
int replica_submit(struct replica *self, const void *command, size_t size, replica_done_fn *done,
                   void *arg);

/* Hand what was submitted to the disk thread, which writes all that it has been handed in one
 * transaction; beyond DISK_BATCH_COUNT_MAX it waits here until some come back. The replica does it
 * by itself after its callbacks have run. */
void replica_flush(struct replica *self);

/* Call @done when a linearizable read may be made of the machine's tables: it runs at once when
 * this is so already. Returns 0, or ERR_UNAVAILABLE when the replica is closing. */
int replica_read(struct replica *self, replica_read_fn *done, void *arg);

bool replica_is_leader(const struct replica *self);
replica_term replica_current_term(const struct replica *self);
replica_index replica_last_index(const struct replica *self);
replica_index replica_commit_index(const struct replica *self);
replica_index replica_applied_index(const struct replica *self);
/* The log time that an entry submitted now would get at least. Never falls while the process lives;
 * a later leader's may be behind it by LOG_TIME_AHEAD_MS_MAX at most (log_time.h). */
int64_t replica_log_time_ms(struct replica *self);
/* Submitted and not yet called back. */
size_t replica_pending(const struct replica *self);

#endif
