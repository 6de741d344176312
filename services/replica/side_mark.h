/* The side mark: a small file that says how far the log had got at its last
 * sync, so that a log which lost its end is not taken for a whole one.
 *
 * SQLite takes a flipped bit in its write-ahead log for the end of it: every
 * later commit is dropped without a word, term and vote with them, and the
 * rest passes each of its own checks. A replica that went on from there would
 * vote twice and forget what it has acknowledged.
 *
 * Invariants
 *   M1  a mark is written only after what it describes is durable in the log.
 *   M2  whatever the log becomes later includes what the mark describes: its term is not below,
 *       within the same term its vote is the same, and the entry that was last is still there with
 *       its term, or is behind the log's snapshot and gone. Before the log gets a lower last entry
 *       than it had, the mark is lowered, durably, to an entry that is covered before and after.
 *
 * Hence a good log always passes, whichever of the marks ever written is found, and the mark needs
 * no sync of its own: when a process dies, the page cache keeps the newest one (or the one before
 * it, if death came between the log's sync and the mark's write); when the power fails, the disk
 * holds some mark that was written back at some time, and by M1 and M2 that one is true as well,
 * only less sharp. It is never newer than the log: the log was on the disk before the mark was
 * even written.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_REPLICA_SIDE_MARK_H
#define PYGMY_REPLICA_SIDE_MARK_H

#include <stdint.h>

struct side_mark;

struct side_mark_state {
    uint64_t last_index; /* of the log's last entry; 0: the log is empty */
    uint64_t last_term;  /* of that entry */
    uint64_t term;       /* current */
    uint64_t vote;       /* replica voted for in that term; 0: none */
};

/* Make the file with a mark of all zeros, durably, its directory entry too. It must not exist.
 * Returns 0 or ERR_STORAGE, with *error a sentence that is the caller's to free(). */
int side_mark_create(const char *path, char **error);

/* Open the file and read the newer of its valid marks.
 *
 * Returns 0, ERR_NOT_FOUND (no such file), ERR_CORRUPT (no valid mark in it: more than one torn
 * write explains), ERR_VERSION or ERR_STORAGE; *error as above. */
int side_mark_open(const char *path, struct side_mark **self_p, char **error);
/* Accepts NULL. */
void side_mark_close(struct side_mark **self_p);

/* What the file says. */
const struct side_mark_state *side_mark_read(const struct side_mark *self);

/* Write what the log has come to (M1 is the caller's to keep). Not synced. Returns 0 or
 * ERR_STORAGE, with errno set. */
int side_mark_write(struct side_mark *self, const struct side_mark_state *state);

/* Write and sync: before the log gets a lower last entry (M2). */
int side_mark_write_synced(struct side_mark *self, const struct side_mark_state *state);

#endif
