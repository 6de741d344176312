/* Snapshots as files in the replica's directory: made, checked, put in the state's place, removed.
 *
 *   snapshot-INDEX-TERM-CHECKSUM.db      whole and durable: nothing gets this name before it is
 *   snapshot.taking, snapshot.fetching   being made; worth nothing after a death
 *   state.restored                       a checked copy, about to become the machine's store
 *
 * A snapshot counts from the moment the log holds its mark, which has the checksum; the name has it
 * too, so that no two contents ever share a name. All calls but those that say otherwise take as
 * long as the disk does, and belong into the snapshot thread or a start.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_REPLICA_SNAPSHOT_FILE_H
#define PYGMY_REPLICA_SNAPSHOT_FILE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "services/replica/snapshot_mark.h"

#define SNAPSHOT_TAKING   "snapshot.taking"
#define SNAPSHOT_FETCHING "snapshot.fetching"
#define SNAPSHOT_RESTORED "state.restored"

/* The tables as they are at one moment, held for a copy. A connection to the machine's store, in a
 * read transaction; used by one thread at a time. */
struct snapshot_pin;

/* Pin what the machine's store holds, between two of its transactions. Some hundred microseconds;
 * the machine goes on writing meanwhile, into its write-ahead log. Returns 0 or ERR_STORAGE. */
int snapshot_pin_open(const char *state_path, struct snapshot_pin **self_p, char **error);
/* How large a copy will be. */
uint64_t snapshot_pin_bytes(const struct snapshot_pin *self);
/* Accepts NULL. */
void snapshot_pin_close(struct snapshot_pin **self_p);

/* Copy what is pinned to @path, one file that needs no other, and sync it; then fill in bytes and
 * checksum of @mark. @stop ends it early when it becomes true. Returns 0 or ERR_STORAGE. */
int snapshot_file_copy(struct snapshot_pin *pin, const char *path, struct snapshot_mark *mark,
                       const atomic_bool *stop, char **error);

/* Whether @directory has room for a snapshot of @bytes, and for the machine's store that is made of
 * it, above the reserve. Returns 0 or ERR_STORAGE. */
int snapshot_file_fits(const char *directory, uint64_t bytes, int64_t free_bytes_min, char **error);

/* Where the snapshot of that mark stands in @directory; the caller's to free(). */
char *snapshot_file_path(const char *directory, const struct snapshot_mark *mark);

/* Give a synced file that name, durably. Returns 0 or ERR_STORAGE. */
int snapshot_file_keep(const char *directory, const char *path, const struct snapshot_mark *mark,
                       char **error);

/* Copy it to SNAPSHOT_RESTORED, checking what is copied: the machine's store is never made from
 * anything but bytes that were just compared with the mark. Returns 0, ERR_CORRUPT (missing or
 * damaged; says how to re-seed) or ERR_STORAGE. */
int snapshot_file_restore(const char *directory, const struct snapshot_mark *mark, char **error);

/* Let SNAPSHOT_RESTORED take the place of the machine's store, which is closed and gone
 * (directory_remove_state). A rename: for the loop. Returns 0 or ERR_STORAGE. */
int snapshot_file_put_in_place(const char *directory, char **error);

/* Remove all of the above but the snapshot of @mark (NULL: not even that): at a start, before
 * anything is made. Returns 0 or ERR_STORAGE. */
int snapshot_file_remove_others(const char *directory, const struct snapshot_mark *mark,
                                char **error);

/* Remove the snapshots below the one of @mark, when the log's mark is durable: for the loop. What a
 * reader has open stays readable for him. A higher one, fetched and about to be installed, stays.
 * Returns 0 or ERR_STORAGE. */
int snapshot_file_remove_older(const char *directory, const struct snapshot_mark *mark,
                               char **error);

#endif
