/* The file of a machine's tables as it is opened: an empty one gets its tables, one that holds some
 * (a snapshot's copy) must hold those that are known here.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_REPLICA_STATE_FILE_H
#define PYGMY_REPLICA_STATE_FILE_H

#include <sqlite3.h>

/* @path     for the sentence
 * @schema   statements that make the tables, run in one transaction
 * @version  of the tables, from 1: another one whenever @schema changes, or what rows mean
 * @error    on failure a sentence for the operator, the caller's to free()
 *
 * Returns 0, ERR_VERSION (tables of another version), ERR_CORRUPT or ERR_STORAGE. */
int state_file_prepare(sqlite3 *database, const char *path, const char *schema, int version,
                       char **error);

/* What the connection's last call failed with, as a sentence in *error; returns ERR_CORRUPT or
 * ERR_STORAGE. */
int state_file_failed(sqlite3 *database, const char *path, char **error);

#endif
