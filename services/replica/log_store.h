/* The log on disk: entries, the snapshot that they begin behind, current term and vote, in one SQLite
 * file.
 *
 * Everything that goes through log_store_begin() and log_store_commit() is one
 * transaction and durable as a whole when commit returns: WAL with
 * synchronous=FULL, one sync for each transaction.
 *
 * Invariants
 *   L1  indexes are contiguous, from 1 or from any up to the one that follows the snapshot; the last
 *       one is not below the snapshot's. Terms and log times never fall from one entry to the next,
 *       nor from the snapshot to the entry after it, and the entry at the snapshot's index, when it
 *       is there, has the snapshot's term and time. No term is above the current one.
 *   L2  current term and vote are durable with, or before, the first entry of that term.
 *   L3  a log that lost its end, or any part of it, does not open (checksums, and side_mark.h).
 *   L4  no entry above the snapshot goes but by a cut of the log's end (log_store_append) or by an
 *       installation, and the snapshot is only ever followed by a higher one.
 *
 * A connection belongs to the thread that opened it. After any failure of a write the store is
 * good for nothing but log_store_close(): what the disk holds is unknown until the log is opened
 * and checked anew, by another process.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_REPLICA_LOG_STORE_H
#define PYGMY_REPLICA_LOG_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "services/replica/directory.h"
#include "services/replica/log_entry.h"
#include "services/replica/replica.h"
#include "services/replica/snapshot_mark.h"

/* What to do where there is neither log nor mark. A log is made as a whole or not at all. */
enum log_store_origin {
    LOG_STORE_MAKE,     /* make an empty one, at term 0: of who joins, and waits to be added */
    LOG_STORE_FOUND,    /* make that of a founding member: term 1, and one entry (see below) */
    LOG_STORE_EXISTING, /* refuse: ERR_NOT_FOUND */
};

struct log_store_options {
    const char *path;                   /* of the database */
    const char *mark_path;              /* of the side mark */
    const char *vfs;                    /* SQLite's VFS by name; NULL: the default */
    struct directory_identity identity; /* stored in a new log, compared in an old one */
    bool check;                         /* read and check every entry: the first opening */
    enum log_store_origin origin;
    /* LOG_STORE_FOUND: who belongs to the group from the start. The entry at index 1 holds it, in
     * term 1 at log time 0: the same bytes at all who found the group. */
    const struct membership *founders;
};

struct log_store;

/* Open the log, or do as options->origin says. A log that is there is never made anew, whatever that
 * says.
 *
 * @error  on failure a sentence for the operator, the caller's to free()
 *
 * Returns 0, ERR_NOT_FOUND, ERR_MISMATCH, ERR_CORRUPT (says which entry, or that the log is behind
 * its mark), ERR_VERSION or ERR_STORAGE. */
int log_store_open(const struct log_store_options *options, struct log_store **self_p,
                   char **error);
/* Roll back what was not committed. Accepts NULL. */
void log_store_close(struct log_store **self_p);

/* What is durable, as far as this connection has written or, at its opening, found it: a
 * transaction under way does not show. */
struct log_state log_store_state(const struct log_store *self);
/* The snapshot that the log begins behind, the store's own; NULL: none. Likewise. */
const struct snapshot_mark *log_store_snapshot(const struct log_store *self);

/* Why the last call failed. */
const char *log_store_error(const struct log_store *self);

/* The following return 0 or ERR_STORAGE. */

int log_store_begin(struct log_store *self);
/* Set current term and vote. @term is not below the current one, and a vote within one term is
 * given once (asserted). */
int log_store_vote(struct log_store *self, replica_term term, uint64_t vote);
/* Put @count entries, 1 or more with contiguous indexes, in the place of all from entries[0].index
 * on; that is at most the last index + 1. Their bytes are borrowed during the call. */
int log_store_append(struct log_store *self, const struct log_entry *entries, size_t count);
/* A snapshot was taken here: note it, and drop the entries below @keep_from. It is above the one
 * before it and not above the last entry, whose term it has if it is there; @keep_from is at most
 * the index after it (asserted). */
int log_store_put_snapshot(struct log_store *self, const struct snapshot_mark *mark,
                           replica_index keep_from);
/* A snapshot of another replica takes the place of the log. It is above the one before it. When the
 * entry at its index is there with its term, entries before and after it stay; else all go. */
int log_store_install(struct log_store *self, const struct snapshot_mark *mark);
int log_store_commit(struct log_store *self);
/* Move pages from the write-ahead log to the database when there are LOG_WAL_PAGES_MAX of them.
 * Takes a few syncs: call it when nobody waits for an answer any more. */
int log_store_tidy(struct log_store *self);

/* Call @each for the entries from @from to @to in order, until it returns something else than 0,
 * which is then returned. The entry's data is valid during the call. Those that are not there, being
 * behind the snapshot or not yet written, are left out. Another connection's commits are seen.
 * Returns 0, what @each returned, ERR_CORRUPT or ERR_STORAGE. */
typedef int log_entry_fn(void *arg, const struct log_entry *entry);
int log_store_read(struct log_store *self, replica_index from, replica_index to, log_entry_fn *each,
                   void *arg);

/* The term of an entry, in @term, the one at the snapshot's index included. Returns 0, ERR_NOT_FOUND
 * (no such entry) or ERR_STORAGE. */
int log_store_term_of(struct log_store *self, replica_index index, replica_term *term);

#endif
