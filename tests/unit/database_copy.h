/* A database's copy by SQLite's own means, while it is open: what a snapshot does.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_TESTS_DATABASE_COPY_H
#define PYGMY_TESTS_DATABASE_COPY_H

#include <sqlite3.h>
#include <stdio.h>
#include <unistd.h>

/* Remove the database at @path, with what stands beside it. Nobody has it open. */
static inline void database_remove(const char *path)
{
    static const char *const suffixes[] = {"", "-wal", "-shm"};
    char name[320];

    for (size_t i = 0; i < sizeof suffixes / sizeof suffixes[0]; i++) {
        (void)snprintf(name, sizeof name, "%s%s", path, suffixes[i]);
        (void)unlink(name);
    }
}

/* Make @to, in whose place nothing stands, a copy of @from. */
static inline void database_copy(const char *from, const char *to)
{
    sqlite3 *source = NULL, *copy = NULL;

    assert_int_equal(sqlite3_open(from, &source), SQLITE_OK);
    assert_int_equal(sqlite3_open(to, &copy), SQLITE_OK);
    sqlite3_backup *backup = sqlite3_backup_init(copy, "main", source, "main");
    assert_non_null(backup);
    assert_int_equal(sqlite3_backup_step(backup, -1), SQLITE_DONE);
    assert_int_equal(sqlite3_backup_finish(backup), SQLITE_OK);
    assert_int_equal(sqlite3_close(copy), SQLITE_OK);
    assert_int_equal(sqlite3_close(source), SQLITE_OK);
}

#endif
