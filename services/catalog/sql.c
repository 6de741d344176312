/* See sql.h.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "services/catalog/sql.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "broker/bus/alloc.h"
#include "broker/bus/err.h"
#include "broker/bus/limits.h"
#include "services/replica/digest.h"
#include "services/replica/fatal.h"
#include "services/replica/state_file.h"

/* Somebody else may look into the file and hold a lock for a moment: rather stall than end. */
#define SQL_BUSY_MS 1000

/* Of the schema below, and of what its rows mean. */
#define SQL_SCHEMA_VERSION    4

#define TEXT_OF(number)       #number
#define TEXT_OF_VALUE(number) TEXT_OF(number)

struct sql {
    sqlite3 *database;
    struct log *log;                     /* not owned; may be NULL */
    struct digest *digest;               /* not owned; NULL: a reader's */
    sqlite3_stmt *statements[SQL_NAMES]; /* NULL until they are first asked for */
};

static const char *const sql_texts[] = {
#define X(name, text) text,
    SQL_TABLE(X)
#undef X
};

static const char sql_settings[] = "PRAGMA journal_mode = WAL;"
                                   "PRAGMA synchronous = OFF;"
                                   "PRAGMA temp_store = MEMORY;"
                                   "PRAGMA cache_size = -" TEXT_OF_VALUE(CATALOG_CACHE_KIB) ";";

/* Numbers stand first in item: a sale need not step over the texts. The partial indexes are small
 * where it counts: item_due holds only what its rule should act on, record_open only what waits to
 * be settled or closed. */
static const char sql_schema[] =
    "CREATE TABLE meta (id INTEGER PRIMARY KEY CHECK (id = 1),"
    " applied INTEGER NOT NULL, log_time_ms INTEGER NOT NULL) STRICT;"
    "INSERT INTO meta VALUES (1, 0, 0);"
    "CREATE TABLE item (id INTEGER PRIMARY KEY, present INTEGER NOT NULL,"
    " price_cents INTEGER NOT NULL, stock INTEGER NOT NULL, initial INTEGER NOT NULL,"
    " moved INTEGER NOT NULL, sold INTEGER NOT NULL, version INTEGER NOT NULL, due_ms INTEGER,"
    " threshold INTEGER, amount INTEGER, period_ms INTEGER, year INTEGER, currency TEXT NOT NULL,"
    " isbn TEXT NOT NULL, topic TEXT NOT NULL, topic_folded TEXT NOT NULL, title TEXT NOT NULL,"
    " title_folded TEXT NOT NULL, authors TEXT NOT NULL) STRICT;"
    "CREATE INDEX item_version ON item (version);"
    "CREATE INDEX item_present ON item (id) WHERE present = 1;"
    "CREATE INDEX item_title ON item (title_folded, id) WHERE present = 1;"
    "CREATE INDEX item_topic ON item (topic_folded, id) WHERE present = 1;"
    "CREATE INDEX item_due ON item (due_ms, id)"
    " WHERE threshold IS NOT NULL AND stock <= threshold;"
    "CREATE TABLE topic (name TEXT NOT NULL PRIMARY KEY, folded TEXT NOT NULL,"
    " items INTEGER NOT NULL) STRICT, WITHOUT ROWID;"
    "CREATE TABLE movement (item INTEGER NOT NULL, log_index INTEGER NOT NULL,"
    " change INTEGER NOT NULL, reason TEXT NOT NULL, wall_ms INTEGER NOT NULL,"
    " PRIMARY KEY (item, log_index)) STRICT, WITHOUT ROWID;"
    "CREATE TABLE record (key TEXT NOT NULL PRIMARY KEY, state INTEGER NOT NULL,"
    " stamp INTEGER NOT NULL, touched_ms INTEGER NOT NULL, open_ms INTEGER, code INTEGER NOT NULL,"
    " content BLOB NOT NULL, answer TEXT NOT NULL) STRICT;"
    "CREATE INDEX record_open ON record (state, open_ms) WHERE open_ms IS NOT NULL;"
    "CREATE INDEX record_touched ON record (touched_ms) WHERE open_ms IS NULL;"
    "CREATE TABLE session (id INTEGER PRIMARY KEY) STRICT;"
    "CREATE VIRTUAL TABLE item_search USING fts5 (title, authors, topic,"
    " content = 'item', content_rowid = 'id', columnsize = 0, prefix = '2 3',"
    " tokenize = \"unicode61 remove_diacritics 2\");";

_Noreturn void sql_die(struct sql *self, const char *statement)
{
    log_write(self->log, LOG_LEVEL_ERROR, "the state's file failed; ending",
              LOG_TEXT("error", sqlite3_errmsg(self->database)),
              LOG_INT("code", sqlite3_extended_errcode(self->database)),
              LOG_TEXT("statement", statement));
    _exit(FATAL_EXIT_STATUS);
}

static int sql_connect(const char *path, int flags, struct log *log, struct sql **self_p,
                       char **error)
{
    struct sql *self = alloc_zero(sizeof *self);
    self->log = log;
    if (sqlite3_open_v2(path, &self->database, flags | SQLITE_OPEN_NOMUTEX, NULL) != SQLITE_OK ||
        sqlite3_busy_timeout(self->database, SQL_BUSY_MS) != SQLITE_OK ||
        sqlite3_exec(self->database, sql_settings, NULL, NULL, NULL) != SQLITE_OK) {
        int code = state_file_failed(self->database, path, error);
        assert(code != OK);
        sql_close(&self);
        return code;
    }
    *self_p = self;
    return OK;
}

int sql_open(const char *path, struct log *log, struct sql **self_p, char **error)
{
    struct sql *self = NULL;
    int code = sql_connect(path, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, log, &self, error);
    if (code != OK)
        return code;
    code = state_file_prepare(self->database, path, sql_schema, SQL_SCHEMA_VERSION, error);
    if (code != OK) {
        sql_close(&self);
        return code;
    }
    *self_p = self;
    return OK;
}

int sql_open_reader(const char *path, struct log *log, struct sql **self_p, char **error)
{
    struct sql *self = NULL;
    int code = sql_connect(path, SQLITE_OPEN_READWRITE, log, &self, error);
    if (code != OK)
        return code;
    if (sqlite3_exec(self->database, "PRAGMA query_only = ON", NULL, NULL, NULL) != SQLITE_OK) {
        code = state_file_failed(self->database, path, error);
        sql_close(&self);
        return code;
    }
    *self_p = self;
    return OK;
}

void sql_close(struct sql **self_p)
{
    struct sql *self = *self_p;
    if (self == NULL)
        return;
    for (size_t i = 0; i < SQL_NAMES; i++)
        sqlite3_finalize(self->statements[i]);
    int code = sqlite3_close(self->database);
    assert(code == SQLITE_OK); /* else it would live on, beside the file that comes next */
    free(self);
    *self_p = NULL;
}

sqlite3 *sql_database(struct sql *self)
{
    return self->database;
}

void sql_set_digest(struct sql *self, struct digest *digest)
{
    self->digest = digest;
}

static int sql_prepare(struct sql *self, const char *text, sqlite3_stmt **statement)
{
    if (self->digest != NULL)
        return digest_prepare(self->digest, text, statement);
    return sqlite3_prepare_v3(self->database, text, -1, SQLITE_PREPARE_PERSISTENT, statement, NULL);
}

sqlite3_stmt *sql_get(struct sql *self, enum sql_name name)
{
    sqlite3_stmt **slot = &self->statements[name];
    if (*slot == NULL) {
        if (sql_prepare(self, sql_texts[name], slot) != SQLITE_OK)
            sql_die(self, sql_texts[name]);
        return *slot;
    }
    sqlite3_reset(*slot);
    sqlite3_clear_bindings(*slot);
    return *slot;
}

bool sql_row(struct sql *self, sqlite3_stmt *statement)
{
    switch (self->digest != NULL ? digest_step(self->digest, statement) : sqlite3_step(statement)) {
    case SQLITE_ROW: return true;
    case SQLITE_DONE: sqlite3_reset(statement); return false;
    default: sql_die(self, sqlite3_sql(statement));
    }
}

void sql_run(struct sql *self, sqlite3_stmt *statement)
{
    bool row = sql_row(self, statement);
    assert(!row);
}

int64_t sql_number(struct sql *self, sqlite3_stmt *statement)
{
    bool row = sql_row(self, statement);
    assert(row);
    int64_t number = sqlite3_column_int64(statement, 0);
    sqlite3_reset(statement);
    return number;
}

void sql_reset(sqlite3_stmt *statement)
{
    sqlite3_reset(statement);
}

void sql_bind_text(sqlite3_stmt *statement, int place, struct text text)
{
    /* A NULL pointer would bind NULL. */
    (void)sqlite3_bind_text64(statement, place, text.size > 0 ? text.data : "", text.size,
                              SQLITE_STATIC, SQLITE_UTF8);
}

void sql_bind_blob(sqlite3_stmt *statement, int place, const void *data, size_t size)
{
    (void)sqlite3_bind_blob64(statement, place, size > 0 ? data : "", size, SQLITE_STATIC);
}

struct text sql_text(sqlite3_stmt *statement, int place)
{
    const char *data = (const char *)sqlite3_column_text(statement, place);
    return (struct text){data, (size_t)sqlite3_column_bytes(statement, place)};
}
