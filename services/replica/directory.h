/* A replica's data directory: made, locked, identified.
 *
 *   lock          held (flock) while the process lives; holds its pid, for people
 *   identity      cluster, group and replica that the directory belongs to
 *   log.db        the log (log_store.h), with log.mark beside it (side_mark.h)
 *   snapshot-*    snapshots (snapshot_file.h)
 *   state.db      the machine's own store: of one process' life, see directory_remove_state
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_REPLICA_DIRECTORY_H
#define PYGMY_REPLICA_DIRECTORY_H

#include <stdbool.h>
#include <stdint.h>

#define DIRECTORY_LOG   "log.db"
#define DIRECTORY_MARK  "log.mark"
#define DIRECTORY_STATE "state.db"

/* Whose data it is. */
struct directory_identity {
    const char *uuid;    /* of the cluster */
    const char *group;   /* "catalog" */
    uint64_t replica_id; /* in the group, from 1 */
};

struct directory;

/* Make @path if it is absent (mode 0700; its parent must exist), lock it, check or write the
 * identity.
 *
 * @free_bytes_min  below it directory_space_low() says true
 * @error           on failure a sentence for the operator, the caller's to free()
 *
 * Returns 0, ERR_LOCKED, ERR_MISMATCH, ERR_CORRUPT (a log without an identity) or ERR_STORAGE. */
int directory_open(const char *path, const struct directory_identity *identity,
                   int64_t free_bytes_min, struct directory **self_p, char **error);

/* Release the lock. Accepts NULL. */
void directory_close(struct directory **self_p);

/* Whether a replica's log stands in the directory at @path, whole or about to be made: without one it
 * has to be founded, or to join, first. (Who founds asks log_store.h's LOG_STORE_FOUND, which does
 * nothing where a whole one is.) */
bool directory_holds_log(const char *path);

/* Its path, as it was given. */
const char *directory_path(const struct directory *self);

/* Path of a file in it, the caller's to free(). */
char *directory_file(const struct directory *self, const char *name);

/* Remove what an earlier process left of the machine's store, before the log is opened.
 *
 * The store is never synced and has no checksums, so nothing tells a whole one from one in which a
 * power failure or a flipped bit changed a stock. The log tells, of each of its entries, and so does
 * a snapshot of its file; so the store is made from these anew at each start, and what was read back
 * from the disk is never believed unchecked. (The price: a snapshot's copy, and 55,000 entries, of
 * 10,000 items and 50,000 orders, take about a second.)
 *
 * Returns 0 or ERR_STORAGE, with *error set. */
int directory_remove_state(const struct directory *self, char **error);

/* Whether less space is free than the minimum. Cheap: the file system is asked once in
 * DISK_CHECK_MS at most. One that can't be asked counts as full. */
bool directory_space_low(struct directory *self, int64_t now_ms);

int64_t directory_free_bytes_min(const struct directory *self);

/* Sync the directory that @path stands in, so that its entry there is durable. Returns 0 or
 * ERR_STORAGE, with *error set. */
int directory_sync_parent(const char *path, char **error);

/* Append to *error what a replica needs that can't go on with its data, and return @code. */
int directory_refuse(int code, char **error);

#endif
