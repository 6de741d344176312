/* A catalog without a replicated log: requests in their JSON form are turned into commands and
 * applied at once, each as an entry of its own, at a log time that the test sets.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_TESTS_CATALOG_DRIVER_H
#define PYGMY_TESTS_CATALOG_DRIVER_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>
#include <sqlite3.h>

#include "broker/bus/alloc.h"
#include "broker/bus/bytes.h"
#include "broker/bus/err.h"
#include "broker/bus/limits.h"
#include "services/catalog/command.h"
#include "services/catalog/machine.h"
#include "services/catalog/outcome.h"
#include "services/catalog/reads.h"
#include "services/catalog/requests.h"
#include "services/catalog/sql.h"

#define HOUR_MS (INT64_C(3600) * 1000)
#define DAY_MS  (24 * HOUR_MS)

struct driver {
    char directory[256];
    char path[300];
    struct machine *machine;
    struct replica_machine interface;
    uint64_t index;          /* of the last entry */
    int64_t now_ms;          /* log time of the next one */
    struct bytes_writer log; /* all entries: u64 index, i64 log time, blob */
};

static inline void driver_start(struct driver *self)
{
    char *error = NULL;
    self->machine = machine_new(NULL, NULL);
    machine_interface(self->machine, &self->interface);
    int code = self->interface.open(self->interface.self, self->path, &error);
    if (code != OK)
        fail_msg("%s", error);
}

static inline struct driver *driver_new(void)
{
    struct driver *self = alloc_zero(sizeof *self);
    const char *folder = getenv("TMPDIR");
    (void)snprintf(self->directory, sizeof self->directory, "%s/pygmy-catalog-XXXXXX",
                   folder != NULL ? folder : "/tmp");
    assert_non_null(mkdtemp(self->directory));
    (void)snprintf(self->path, sizeof self->path, "%s/state", self->directory);
    self->now_ms = 1;
    driver_start(self);
    return self;
}

/* The process ended, with whatever was committed. */
static inline void driver_restart(struct driver *self)
{
    machine_destroy(&self->machine);
    driver_start(self);
}

static inline void driver_destroy(struct driver *self)
{
    static const char *const suffixes[] = {"", "-wal", "-shm"};
    char name[320];
    machine_destroy(&self->machine);
    for (size_t i = 0; i < 3; i++) {
        (void)snprintf(name, sizeof name, "%s%s", self->path, suffixes[i]);
        (void)unlink(name);
    }
    assert_int_equal(rmdir(self->directory), 0);
    bytes_writer_close(&self->log);
    free(self);
}

static inline struct state *driver_state(struct driver *self)
{
    return machine_state(self->machine);
}

/* Apply bytes as the entry of an index, between begin and commit of the caller's. */
static inline struct outcome *driver_apply_bytes(struct driver *self, uint64_t index,
                                                 int64_t log_time_ms, const void *data, size_t size)
{
    struct replica_entry entry = {
        .index = index,
        .term = 1,
        .log_time_ms = log_time_ms,
        .wall_ms = 1767323045678 + log_time_ms,
        .data = data,
        .size = size,
    };
    return self->interface.apply(self->interface.self, &entry);
}

static inline struct outcome *driver_apply(struct driver *self, const struct command *command)
{
    struct bytes_writer bytes = {0};
    command_encode(command, &bytes);
    self->index++;
    bytes_put_u64(&self->log, self->index);
    bytes_put_i64(&self->log, self->now_ms);
    bytes_put_blob(&self->log, bytes.data, bytes.size);
    self->interface.begin(self->interface.self);
    struct outcome *outcome =
        driver_apply_bytes(self, self->index, self->now_ms, bytes.data, bytes.size);
    self->interface.commit(self->interface.self);
    bytes_writer_close(&bytes);
    return outcome;
}

/* A write from its JSON text; quotes may be single ones. */
static inline json_t *driver_json(const char *format, va_list arguments)
{
    char *text = sqlite3_vmprintf(format, arguments);
    json_error_t error;
    for (char *c = text; *c != '\0'; c++)
        if (*c == '\'')
            *c = '"';
    json_t *json = json_loads(text, JSON_REJECT_DUPLICATES, &error);
    if (json == NULL)
        fail_msg("%s in %s", error.text, text);
    sqlite3_free(text);
    return json;
}

static inline struct outcome *driver_submit(struct driver *self, json_t *request)
{
    struct command command;
    struct outcome *outcome = request_read(request, &command);
    if (outcome == NULL) {
        outcome = driver_apply(self, &command);
        command_close(&command);
    }
    json_decref(request);
    return outcome;
}

static inline struct outcome *__attribute__((format(printf, 2, 3)))
driver_write(struct driver *self, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    json_t *request = driver_json(format, arguments);
    va_end(arguments);
    return driver_submit(self, request);
}

static inline struct outcome *__attribute__((format(printf, 2, 3)))
driver_read(struct driver *self, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    json_t *request = driver_json(format, arguments);
    va_end(arguments);
    struct outcome *outcome = read_answer(driver_state(self), request, self->now_ms);
    json_decref(request);
    return outcome;
}

/* Check the code and drop the outcome. */
static inline void expect(struct outcome *outcome, int code)
{
    if (outcome->code != code)
        fail_msg("%s instead of %s: %s", err_type(outcome->code), err_type(code),
                 json_string_value(json_object_get(outcome->body, "detail")));
    outcome_destroy(&outcome);
}

/* Check that it is refused with exactly this sentence. */
static inline void expect_detail(struct outcome *outcome, int code, const char *detail)
{
    assert_string_equal(json_string_value(json_object_get(outcome->body, "detail")), detail);
    expect(outcome, code);
}

/* The number at a path of members ("item.stock"); the outcome must be OK. */
static inline int64_t number_at(const struct outcome *outcome, const char *path)
{
    char copy[64];
    char *rest = copy;
    json_t *json = outcome->body;
    (void)snprintf(copy, sizeof copy, "%s", path);
    for (char *name = strtok_r(rest, ".", &rest); name != NULL; name = strtok_r(NULL, ".", &rest))
        json = json_is_array(json) ? json_array_get(json, (size_t)atoi(name))
                                   : json_object_get(json, name);
    if (!json_is_integer(json) && !json_is_boolean(json))
        fail_msg("no number at %s", path);
    return json_is_integer(json) ? json_integer_value(json) : json_is_true(json);
}

/* The same, dropping the outcome. */
static inline int64_t take_number(struct outcome *outcome, const char *path)
{
    int64_t number = number_at(outcome, path);
    outcome_destroy(&outcome);
    return number;
}

/* The body as text, to be free()d, dropping the outcome. */
static inline char *take_text(struct outcome *outcome)
{
    char *text = json_dumps(outcome->body, JSON_COMPACT | JSON_SORT_KEYS);
    outcome_destroy(&outcome);
    return text;
}

/* What is left of an item; -1 when it is not there. */
static inline int64_t stock_of(struct driver *self, int64_t id)
{
    struct outcome *outcome = driver_read(self, "{'op':'lookup','id':%lld}", (long long)id);
    if (outcome->code == OK)
        return take_number(outcome, "item.stock");
    expect(outcome, ERR_NOT_FOUND);
    return -1;
}

/* An item with a stock at a price of 1000. */
static inline void add_item(struct driver *self, int64_t id, int64_t stock)
{
    expect(driver_write(self,
                        "{'op':'item_add','key':'add-%lld-%lld','stamp':%lld,'id':%lld,"
                        "'title':'Item %lld','price_cents':1000,'stock':%lld}",
                        (long long)id, (long long)self->index, (long long)self->now_ms,
                        (long long)id, (long long)id, (long long)stock),
           OK);
}

static inline struct outcome *reserve(struct driver *self, const char *key, int64_t stamp,
                                      const char *lines)
{
    return driver_write(self, "{'op':'reserve','key':'%s','stamp':%lld,'lines':%s}", key,
                        (long long)stamp, lines);
}

static inline struct outcome *undo(struct driver *self, const char *key, int64_t stamp,
                                   const char *lines)
{
    return driver_write(self, "{'op':'undo','key':'%s','stamp':%lld,'lines':%s}", key,
                        (long long)stamp, lines);
}

/* An entry that changes nothing but the log's time. */
static inline void tick(struct driver *self, int64_t now_ms)
{
    const struct command command = {.op = COMMAND_TICK};
    self->now_ms = now_ms;
    expect(driver_apply(self, &command), OK);
}

/* All rows of all tables as text, the caller's to free(); two machines that hold the same state
 * have the same. */
static inline char *driver_dump(struct driver *self)
{
    static const char *const queries[] = {
        "SELECT * FROM meta",
        "SELECT * FROM item ORDER BY id",
        "SELECT * FROM topic ORDER BY name",
        "SELECT * FROM movement ORDER BY item, log_index",
        ("SELECT rowid, key, state, stamp, touched_ms, open_ms, code, hex(content), answer"
         " FROM record ORDER BY key"),
        "SELECT 'session', id FROM session ORDER BY id",
        "SELECT * FROM temp.word ORDER BY term, doc, col, offset",
    };
    struct bytes_writer dump = {0};
    sqlite3 *database = NULL;
    assert_int_equal(sqlite3_open(self->path, &database), SQLITE_OK);
    assert_int_equal(sqlite3_exec(database,
                                  "CREATE VIRTUAL TABLE temp.word USING"
                                  " fts5vocab(main, item_search, instance)",
                                  NULL, NULL, NULL),
                     SQLITE_OK);
    for (size_t i = 0; i < sizeof queries / sizeof queries[0]; i++) {
        sqlite3_stmt *row = NULL;
        assert_int_equal(sqlite3_prepare_v2(database, queries[i], -1, &row, NULL), SQLITE_OK);
        while (sqlite3_step(row) == SQLITE_ROW) {
            for (int c = 0; c < sqlite3_column_count(row); c++) {
                const char *text = (const char *)sqlite3_column_text(row, c);
                bytes_put_raw(&dump, text != NULL ? text : "-", text != NULL ? strlen(text) : 1);
                bytes_put_u8(&dump, '|');
            }
            bytes_put_u8(&dump, '\n');
        }
        sqlite3_finalize(row);
    }
    assert_int_equal(sqlite3_close(database), SQLITE_OK);
    bytes_put_u8(&dump, 0);
    return (char *)dump.data;
}

#endif
