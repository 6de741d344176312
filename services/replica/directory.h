/* A replica's data directory: made, locked, identified.
 *
 *   lock          held (flock) while the process lives; holds its pid, for people
 *   identity      cluster, group and replica that the directory belongs to
 *   log.db        the log (log_store.h), with log.mark beside it (side_mark.h)
 *   state.db      the machine's own store: disposable, see directory_prepare_state
 *   state.boot    says under which boot, and for whom, state.db was written
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

/* Path of a file in it, the caller's to free(). */
char *directory_file(const struct directory *self, const char *name);

/* Make the machine's store usable, before the log is opened: remove it unless it was written under
 * this same boot of the machine by this same replica and there is a log that it came from, and
 * mark it as ours.
 *
 * The store is never synced. Its pages live as long as the kernel, so after the death of a process
 * it is what that process left, and after a boot it may be anything.
 *
 * Returns 0 or ERR_STORAGE, with *error set. */
int directory_prepare_state(struct directory *self, char **error);

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
