/* A digest of all rows of a SQLite database, kept up as they change: equal at two replicas that have
 * applied the same entries, whatever became of them meanwhile (batches, restarts, snapshots).
 *
 * It is the sum, modulo 2^64, of hashes: of each row (of its table's name and its primary key), and of
 * each further value in it (of the row's hash, the column and the value). A sum does not depend on the
 * order of rows, and a change takes the old hashes away and adds the new ones; so the sum kept up is that
 * of counting all rows again, which is done at the start: what a file came with counts as it is, and
 * not as somebody says that it is. This finds what disks, memory and our own slips do to a table; it is
 * no defence against somebody who chooses rows.
 *
 * An UPDATE need not look at more than the columns that it sets: they are noted when the statement is
 * prepared by digest_prepare(), and used when it is run by digest_step(). Any other statement counts as
 * one that sets all.
 *
 * What it sees, by SQLite's pre-update hook: each row that a statement of this connection inserts,
 * changes or deletes, by whatever clause, in tables with a rowid or without. What it does not see:
 *   - virtual tables: their shadow tables are left out, which full-text search fills with segments
 *     that depend on where transactions end; their content is that of other tables
 *   - a rollback: see digest_return()
 *   - rowids that are no column of the table, and whether a number is stored as 3 or as 3.0
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_REPLICA_DIGEST_H
#define PYGMY_REPLICA_DIGEST_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct digest;

/* Keep the sum of all rows up from here on. The database has its tables already, all of them
 * until the digest is closed, and its connection has no other pre-update hook and no authorizer.
 *
 * @left_out  tables that are left out, @count of them (what says how far the entries are applied, and
 *            is only written at the end of a batch); copied
 * @counted   the sum, by digest_count_file(): no row is read here. NULL: they are counted
 *
 * Returns NULL when the database can't be read: sqlite3_errmsg() says why. */
struct digest *digest_open(sqlite3 *database, const char *const *left_out, size_t count,
                           const uint64_t *counted);
/* Before the database is closed. Accepts NULL. */
void digest_close(struct digest **self_p);

/* As sqlite3_prepare_v3() for a statement that is kept until the digest is closed, and sqlite3_step().
 * Return SQLite's codes. */
int digest_prepare(struct digest *self, const char *text, sqlite3_stmt **statement);
int digest_step(struct digest *self, sqlite3_stmt *statement);

/* What can be compared with it: sums that are made in the same way, of tables of the same version
 * (state_file.h). */
uint32_t digest_format(const struct digest *self);

/* The sum, with what was changed in a transaction that is under way. */
uint64_t digest_value(const struct digest *self);
/* The changes since digest_value() was @value were rolled back. */
void digest_return(struct digest *self, uint64_t value);

/* Whether every change so far could be seen. One that could not (an old row can't be read any more)
 * leaves a sum that says nothing, and a store that nobody should go on with. */
bool digest_sound(const struct digest *self);

/* The sum of all rows, counted again. Returns false when they can't be read. */
bool digest_count(const struct digest *self, uint64_t *value);

/* The sum of all rows of a file that nobody has open, for a digest_open() that follows: in another thread
 * than the loop's, since it takes as long as reading all of them. Returns 0, ERR_CORRUPT or
 * ERR_STORAGE, with a sentence in *error that is the caller's to free(). */
int digest_count_file(const char *path, const char *const *left_out, size_t count, uint64_t *value,
                      char **error);

/* @digest and a number that belongs to it but stands in no row. */
uint64_t digest_with(uint64_t digest, uint64_t number);

#endif
