/* See state.h.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "services/catalog/state.h"

#include <assert.h>
#include <stdlib.h>

#include "broker/bus/alloc.h"
#include "broker/bus/err.h"
#include "services/catalog/fold.h"
#include "services/catalog/records.h"
#include "services/replica/digest.h"
#include "services/replica/state_file.h"

struct state {
    struct sql *sql;
    struct fold *fold;
    struct digest *digest;
    uint64_t index;
    int64_t now_ms;
    int64_t wall_ms;
    struct state_totals totals;
    struct state_totals saved; /* as they were at state_save() */
    uint64_t saved_digest;     /* likewise */
};

static int64_t state_count_open(struct state *self, enum record_state state)
{
    sqlite3_stmt *statement = sql_get(self->sql, SQL_RECORD_OPEN_COUNT);
    sqlite3_bind_int64(statement, 1, state);
    return sql_number(self->sql, statement);
}

static void state_load(struct state *self)
{
    sqlite3_stmt *statement = sql_get(self->sql, SQL_META_GET);
    bool row = sql_row(self->sql, statement);
    assert(row);
    self->index = (uint64_t)sqlite3_column_int64(statement, 0);
    self->now_ms = sqlite3_column_int64(statement, 1);
    sql_reset(statement);

    self->totals = (struct state_totals){
        .items = sql_number(self->sql, sql_get(self->sql, SQL_ITEM_COUNT)),
        .topics = sql_number(self->sql, sql_get(self->sql, SQL_TOPIC_COUNT)),
        .records = sql_number(self->sql, sql_get(self->sql, SQL_RECORD_COUNT)),
        .unsettled = state_count_open(self, RECORD_GRANTED),
        .unclosed = state_count_open(self, RECORD_RELEASED),
        .sessions = sql_number(self->sql, sql_get(self->sql, SQL_SESSION_COUNT)),
    };
}

/* The row of meta is left out of the digest: it is written at the end of a batch, and what it says is
 * mixed in as it is at each entry. */
static const char *const state_left_out[] = {"meta"};

int state_count(const char *path, uint64_t *rows, char **error)
{
    return digest_count_file(path, state_left_out, 1, rows, error);
}

static int state_open_digest(struct state *self, const char *path, const uint64_t *rows,
                             char **error)
{
    self->digest = digest_open(sql_database(self->sql), state_left_out, 1, rows);
    sql_set_digest(self->sql, self->digest);
    return self->digest != NULL ? OK : state_file_failed(sql_database(self->sql), path, error);
}

int state_open(const char *path, struct log *log, const uint64_t *rows, struct state **self_p,
               char **error)
{
    struct sql *sql = NULL;
    int code = sql_open(path, log, &sql, error);
    if (code != OK)
        return code;

    struct state *self = alloc_zero(sizeof *self);
    self->sql = sql;
    self->fold = fold_new(sql_database(sql));
    if (self->fold == NULL) {
        static const char text[] = "this SQLite was built without full-text search (FTS5)";
        *error = alloc_copy(text, sizeof text - 1);
        state_close(&self);
        return ERR_STORAGE;
    }
    code = state_open_digest(self, path, rows, error);
    if (code != OK) {
        state_close(&self);
        return code;
    }
    state_load(self);
    *self_p = self;
    return OK;
}

void state_close(struct state **self_p)
{
    struct state *self = *self_p;
    if (self == NULL)
        return;
    fold_destroy(&self->fold);
    digest_close(&self->digest);
    sql_close(&self->sql);
    free(self);
    *self_p = NULL;
}

struct sql *state_sql(struct state *self)
{
    return self->sql;
}

struct text state_fold(struct state *self, struct text text)
{
    return fold_text(self->fold, text);
}

struct state_totals *state_totals(struct state *self)
{
    return &self->totals;
}

void state_begin(struct state *self)
{
    sql_run(self->sql, sql_get(self->sql, SQL_BEGIN));
}

void state_commit(struct state *self)
{
    if (!digest_sound(self->digest))
        sql_die(self->sql, "the digest of a row");
    sqlite3_stmt *statement = sql_get(self->sql, SQL_META_PUT);
    sqlite3_bind_int64(statement, 1, (sqlite3_int64)self->index);
    sqlite3_bind_int64(statement, 2, self->now_ms);
    sql_run(self->sql, statement);
    sql_run(self->sql, sql_get(self->sql, SQL_COMMIT));
}

void state_enter(struct state *self, uint64_t index, int64_t log_time_ms, int64_t wall_ms)
{
    assert(index > self->index);
    assert(log_time_ms >= self->now_ms);
    self->index = index;
    self->now_ms = log_time_ms;
    self->wall_ms = wall_ms;
}

uint64_t state_index(const struct state *self)
{
    return self->index;
}

int64_t state_now_ms(const struct state *self)
{
    return self->now_ms;
}

int64_t state_wall_ms(const struct state *self)
{
    return self->wall_ms;
}

uint64_t state_digest(const struct state *self)
{
    return digest_with(digest_with(digest_value(self->digest), self->index),
                       (uint64_t)self->now_ms);
}

uint32_t state_digest_format(const struct state *self)
{
    return digest_format(self->digest);
}

void state_save(struct state *self)
{
    self->saved_digest = digest_value(self->digest);
    self->saved = self->totals;
    sql_run(self->sql, sql_get(self->sql, SQL_SAVE));
}

void state_keep(struct state *self)
{
    sql_run(self->sql, sql_get(self->sql, SQL_SAVE_KEEP));
}

void state_undo(struct state *self)
{
    /* Undone, the mark is still there. */
    sql_run(self->sql, sql_get(self->sql, SQL_SAVE_DROP));
    sql_run(self->sql, sql_get(self->sql, SQL_SAVE_KEEP));
    self->totals = self->saved;
    digest_return(self->digest, self->saved_digest);
}
