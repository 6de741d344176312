/* See audit.h.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "services/catalog/audit.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "broker/bus/alloc.h"
#include "broker/bus/err.h"
#include "broker/bus/limits.h"
#include "services/catalog/sql.h"

struct audit {
    char *path;
    struct log *log;
    struct sql *sql; /* NULL before the first audit */
    bool under_way;
    int64_t last_id;
    struct audit_result result; /* so far */
};

struct audit *audit_new(const char *path, struct log *log)
{
    struct audit *self = alloc_zero(sizeof *self);
    self->path = alloc_copy(path, strlen(path));
    self->log = log;
    return self;
}

void audit_reset(struct audit *self)
{
    sql_close(&self->sql);
    self->under_way = false;
}

void audit_destroy(struct audit **self_p)
{
    struct audit *self = *self_p;
    if (self == NULL)
        return;
    sql_close(&self->sql);
    free(self->path);
    free(self);
    *self_p = NULL;
}

static int audit_open(struct audit *self)
{
    char *error = NULL;
    if (self->sql != NULL)
        return OK;
    int code = sql_open_reader(self->path, self->log, &self->sql, &error);
    if (code != OK)
        log_write(self->log, LOG_LEVEL_ERROR, "no audit", LOG_TEXT("error", error));
    free(error);
    return code == OK ? OK : ERR_STORAGE;
}

int audit_begin(struct audit *self)
{
    assert(!self->under_way);
    int code = audit_open(self);
    if (code != OK)
        return code;
    self->result = (struct audit_result){0};
    self->last_id = 0;
    self->under_way = true;
    /* The transaction's view is taken by its first read. */
    sql_run(self->sql, sql_get(self->sql, SQL_BEGIN_READ));
    self->result.log_index = (uint64_t)sql_number(self->sql, sql_get(self->sql, SQL_META_GET));
    return OK;
}

bool audit_is_under_way(const struct audit *self)
{
    return self->under_way;
}

static void audit_look(struct audit *self, sqlite3_stmt *row)
{
    struct audit_result *sums = &self->result;
    int64_t present = sqlite3_column_int64(row, 1);
    int64_t initial = sqlite3_column_int64(row, 2);
    int64_t moved = sqlite3_column_int64(row, 3);
    int64_t sold = sqlite3_column_int64(row, 4);
    int64_t stock = sqlite3_column_int64(row, 5);
    bool lawful = initial + moved - sold == stock && stock >= 0 && (present != 0 || stock == 0);

    self->last_id = sqlite3_column_int64(row, 0);
    sums->items++;
    sums->initial += initial;
    sums->moved += moved;
    sums->sold += sold;
    sums->stock += stock;
    if (!lawful) {
        sums->violations++;
        log_write(self->log, LOG_LEVEL_ERROR, "an item breaks the law of conservation",
                  LOG_INT("item", self->last_id), LOG_INT("initial", initial),
                  LOG_INT("moved", moved), LOG_INT("sold", sold), LOG_INT("stock", stock));
    }
}

bool audit_step(struct audit *self, struct audit_result *result)
{
    int count = 0;
    assert(self->under_way);
    sqlite3_stmt *row = sql_get(self->sql, SQL_AUDIT_PAGE);
    sqlite3_bind_int64(row, 1, self->last_id);
    sqlite3_bind_int(row, 2, AUDIT_ROWS_MAX);
    for (; sql_row(self->sql, row); count++)
        audit_look(self, row);
    if (count == AUDIT_ROWS_MAX)
        return false;
    sql_run(self->sql, sql_get(self->sql, SQL_COMMIT));
    self->under_way = false;
    *result = self->result;
    return true;
}
