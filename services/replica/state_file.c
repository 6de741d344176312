/* See state_file.h. The version is where SQLite keeps one for applications: user_version.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "services/replica/state_file.h"

#include <assert.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "broker/bus/alloc.h"
#include "broker/bus/err.h"

static int state_file_say(char *text, int code, char **error)
{
    *error = alloc_copy(text, strlen(text));
    sqlite3_free(text);
    return code;
}

int state_file_failed(sqlite3 *database, const char *path, char **error)
{
    int code = sqlite3_errcode(database);

    return state_file_say(
        sqlite3_mprintf("%s: %s", path, sqlite3_errmsg(database)),
        code == SQLITE_CORRUPT || code == SQLITE_NOTADB ? ERR_CORRUPT : ERR_STORAGE, error);
}

/* The only number of the only row. */
static bool state_file_number(sqlite3 *database, const char *query, int *number)
{
    sqlite3_stmt *statement = NULL;
    bool row = sqlite3_prepare_v2(database, query, -1, &statement, NULL) == SQLITE_OK &&
               sqlite3_step(statement) == SQLITE_ROW;

    if (row)
        *number = sqlite3_column_int(statement, 0);
    return sqlite3_finalize(statement) == SQLITE_OK && row;
}

static int state_file_found(sqlite3 *database, const char *path, const char *schema, int version,
                            char **error)
{
    char set_version[48];

    (void)snprintf(set_version, sizeof set_version, "PRAGMA user_version = %d; COMMIT", version);
    if (sqlite3_exec(database, "BEGIN IMMEDIATE", NULL, NULL, NULL) != SQLITE_OK ||
        sqlite3_exec(database, schema, NULL, NULL, NULL) != SQLITE_OK ||
        sqlite3_exec(database, set_version, NULL, NULL, NULL) != SQLITE_OK)
        return state_file_failed(database, path, error);
    return OK;
}

int state_file_prepare(sqlite3 *database, const char *path, const char *schema, int version,
                       char **error)
{
    int tables = 0, found = 0;

    assert(version > 0);
    if (!state_file_number(database, "SELECT count(*) FROM sqlite_schema", &tables) ||
        !state_file_number(database, "PRAGMA user_version", &found))
        return state_file_failed(database, path, error);
    if (tables == 0 && found == 0)
        return state_file_found(database, path, schema, version, error);
    if (found == version)
        return OK;
    return state_file_say(
        sqlite3_mprintf("%s: its tables are of version %d, those known here are of version %d",
                        path, found, version),
        ERR_VERSION, error);
}
