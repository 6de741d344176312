/* The log on disk: entries, current term and vote, in one SQLite file.
 *
 * Everything that goes through log_store_begin() and log_store_commit() is one
 * transaction and durable as a whole when commit returns: WAL with
 * synchronous=FULL, one sync for each transaction.
 *
 * Invariants
 *   L1  indexes are contiguous from 1; terms and log times never fall from one entry to the next;
 *       no entry's term is above the current one.
 *   L2  current term and vote are durable with, or before, the first entry of that term.
 *   L3  a log that lost its end, or any part of it, does not open (checksums, and side_mark.h).
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

struct log_store_options {
    const char *path;                   /* of the database */
    const char *mark_path;              /* of the side mark */
    const char *vfs;                    /* SQLite's VFS by name; NULL: the default */
    struct directory_identity identity; /* stored in a new log, compared in an old one */
    bool check;                         /* read and check every entry: the first opening */
};

struct log_store;

/* Open the log, or make it where neither log nor mark exist.
 *
 * @error  on failure a sentence for the operator, the caller's to free()
 *
 * Returns 0, ERR_MISMATCH, ERR_CORRUPT (says which entry, or that the log is behind its mark),
 * ERR_VERSION or ERR_STORAGE. */
int log_store_open(const struct log_store_options *options, struct log_store **self_p,
                   char **error);
/* Roll back what was not committed. Accepts NULL. */
void log_store_close(struct log_store **self_p);

/* What is durable: a transaction under way does not show. */
struct log_state log_store_state(const struct log_store *self);

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
int log_store_commit(struct log_store *self);
/* Move pages from the write-ahead log to the database when there are LOG_WAL_PAGES_MAX of them.
 * Takes a few syncs: call it when nobody waits for an answer any more. */
int log_store_tidy(struct log_store *self);

/* Call @each for the entries from @from to @to in order, until it returns something else than 0,
 * which is then returned. The entry's data is valid during the call.
 * Returns 0, what @each returned, ERR_CORRUPT or ERR_STORAGE. */
typedef int log_entry_fn(void *arg, const struct log_entry *entry);
int log_store_read(struct log_store *self, replica_index from, replica_index to, log_entry_fn *each,
                   void *arg);

/* The term of an entry, in @term. Returns 0, ERR_NOT_FOUND (no such entry) or ERR_STORAGE. */
int log_store_term_of(struct log_store *self, replica_index index, replica_term *term);

#endif
