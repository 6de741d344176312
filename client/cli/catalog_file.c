/* A catalog as a CSV file.
 *
 * The rules for the cells are those of the store (docs/protocol.md, "Shapes"):
 * what passes here is refused there only for what the file can't know.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "client/cli/catalog_file.h"

#include <czmq.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/bus/alloc.h"
#include "broker/bus/limits.h"
#include "client/cli/csv.h"
#include "client/cli/number.h"
#include "client/cli/text.h"

enum column_kind { COLUMN_TEXT, COLUMN_NUMBER, COLUMN_YEAR, COLUMN_CURRENCY };

static const struct column {
    const char *name;
    enum column_kind kind;
    bool required; /* in the header, and a value in each row */
    int64_t min;   /* of a number, or bytes of a text */
    int64_t max;
} columns[] = {
    {"id", COLUMN_NUMBER, true, 1, ITEM_ID_MAX},
    {"title", COLUMN_TEXT, true, 1, TITLE_BYTES_MAX},
    {"authors", COLUMN_TEXT, false, 0, AUTHORS_BYTES_MAX},
    {"topic", COLUMN_TEXT, false, 0, TOPIC_BYTES_MAX},
    {"year", COLUMN_YEAR, false, -YEAR_MAX, YEAR_MAX},
    {"isbn", COLUMN_TEXT, false, 0, ISBN_BYTES_MAX},
    {"price_cents", COLUMN_NUMBER, false, 0, PRICE_CENTS_MAX},
    {"currency", COLUMN_CURRENCY, false, 3, 3},
    {"stock", COLUMN_NUMBER, false, 0, STOCK_MAX},
};
#define COLUMN_COUNT (sizeof columns / sizeof *columns)

struct reading {
    struct catalog_file *file;
    const char *name;
    struct csv_reader csv;
    const struct column *meanings[CSV_FIELDS_MAX]; /* by field; NULL: ignored */
    size_t field_count;                            /* of the header */
    size_t capacity;                               /* of file->lines */
    zhashx_t *ids; /* text of an id -> the line it was on, as a pointer's value */
    char **error;
};

/* ---- Errors -------------------------------------------------------------------- */

__attribute__((format(printf, 3, 4))) static bool reading_fail(struct reading *self, size_t line,
                                                               const char *format, ...)
{
    va_list args;
    va_start(args, format);
    char *what = zsys_vprintf(format, args);
    va_end(args);
    *self->error = zsys_sprintf("%s:%zu: %s", self->name, line, what);
    free(what);
    return false;
}

static bool reading_fail_cell(struct reading *self, const struct column *column, const char *what)
{
    return reading_fail(self, self->csv.record_line, "column \"%s\" %s", column->name, what);
}

/* ---- The header ------------------------------------------------------------------ */

static const struct column *column_find(const char *name)
{
    for (size_t i = 0; i < COLUMN_COUNT; i++)
        if (strcmp(columns[i].name, name) == 0)
            return &columns[i];
    return NULL;
}

static void reading_ignore(struct reading *self, const char *name)
{
    char *before = self->file->ignored;
    self->file->ignored =
        before == NULL ? alloc_copy(name, strlen(name)) : zsys_sprintf("%s, %s", before, name);
    free(before);
}

static bool reading_take_name(struct reading *self, size_t field)
{
    const char *name = csv_field(&self->csv, field);
    const struct column *column = column_find(name);
    if (*name == '\0')
        return reading_fail(self, self->csv.record_line, "column %zu has no name", field + 1);
    for (size_t i = 0; i < field; i++)
        if (strcmp(csv_field(&self->csv, i), name) == 0)
            return reading_fail(self, self->csv.record_line, "column \"%s\" is there twice", name);
    if (column == NULL)
        reading_ignore(self, name);
    self->meanings[field] = column;
    return true;
}

static bool reading_has(const struct reading *self, const struct column *column)
{
    for (size_t i = 0; i < self->field_count; i++)
        if (self->meanings[i] == column)
            return true;
    return false;
}

static bool reading_take_header(struct reading *self)
{
    self->field_count = self->csv.field_count;
    for (size_t i = 0; i < self->field_count; i++)
        if (!reading_take_name(self, i))
            return false;
    for (size_t i = 0; i < COLUMN_COUNT; i++)
        if (columns[i].required && !reading_has(self, &columns[i]))
            return reading_fail(self, self->csv.record_line,
                                "the column \"%s\" is missing; the first line names the columns",
                                columns[i].name);
    return true;
}

/* ---- Cells ------------------------------------------------------------------------ */

/* The cell's value; json_null() for an unknown year; NULL with an empty @why: it says nothing; NULL
 * with @why filled: it is wrong. */
static json_t *cell_text(const struct column *column, const char *text, char *why)
{
    size_t size = strlen(text);
    if (size < (size_t)column->min)
        snprintf(why, CSV_WHY_BYTES, "is empty");
    else if (size > (size_t)column->max)
        snprintf(why, CSV_WHY_BYTES, "has %zu bytes; at most %" PRId64 " are allowed", size,
                 column->max);
    else if (text_has_controls(text))
        snprintf(why, CSV_WHY_BYTES, "has a control character in it");
    else
        return json_string(text);
    return NULL;
}

static json_t *cell_number(const struct column *column, const char *text, char *why)
{
    int64_t value;
    char reason[NUMBER_WHY_BYTES];
    if (*text == '\0' && column->kind == COLUMN_YEAR)
        return json_null();
    if (*text == '\0' && !column->required)
        return NULL;
    if (number_read(text, column->min, column->max, &value))
        return json_integer(value);
    snprintf(why, CSV_WHY_BYTES, "\"%.16s\" %s", text,
             number_why(text, column->min, column->max, reason));
    return NULL;
}

static json_t *cell_currency(const char *text, char *why)
{
    if (*text == '\0')
        return NULL;
    if (strlen(text) == 3 && strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") == 3)
        return json_string(text);
    snprintf(why, CSV_WHY_BYTES, "is not three letters A to Z");
    return NULL;
}

static json_t *cell_value(const struct column *column, const char *text, char *why)
{
    switch (column->kind) {
    case COLUMN_TEXT: return cell_text(column, text, why);
    case COLUMN_NUMBER:
    case COLUMN_YEAR: return cell_number(column, text, why);
    case COLUMN_CURRENCY: return cell_currency(text, why);
    }
    return NULL;
}

/* ---- Rows ------------------------------------------------------------------------- */

static bool reading_take_cells(struct reading *self, json_t *row)
{
    for (size_t i = 0; i < self->field_count; i++) {
        const struct column *column = self->meanings[i];
        char why[CSV_WHY_BYTES] = "";
        if (column == NULL)
            continue;
        json_t *value = cell_value(column, csv_field(&self->csv, i), why);
        if (*why != '\0')
            return reading_fail_cell(self, column, why);
        if (value != NULL)
            json_object_set_new(row, column->name, value);
    }
    return true;
}

static bool reading_check_id(struct reading *self, const json_t *row)
{
    char id[24];
    json_int_t number = json_integer_value(json_object_get(row, "id"));
    snprintf(id, sizeof id, "%" JSON_INTEGER_FORMAT, number);
    const void *before = zhashx_lookup(self->ids, id);
    if (before != NULL)
        return reading_fail(self, self->csv.record_line,
                            "column \"id\" has %s, which is on line %zu already", id,
                            (size_t)(uintptr_t)before);
    zhashx_insert(self->ids, id, (void *)(uintptr_t)self->csv.record_line);
    return true;
}

static void reading_keep(struct reading *self, json_t *row)
{
    struct catalog_file *file = self->file;
    if (file->row_count == self->capacity) {
        self->capacity = self->capacity > 0 ? self->capacity * 2 : 1024;
        file->lines = alloc_resize(file->lines, self->capacity * sizeof *file->lines);
    }
    file->lines[file->row_count++] = self->csv.record_line;
    json_array_append_new(file->rows, row);
}

static bool reading_take_row(struct reading *self)
{
    if (self->csv.field_count != self->field_count)
        return reading_fail(self, self->csv.record_line,
                            "there are %zu fields where the first line names %zu columns",
                            self->csv.field_count, self->field_count);
    json_t *row = json_object();
    if (reading_take_cells(self, row) && reading_check_id(self, row)) {
        reading_keep(self, row);
        return true;
    }
    json_decref(row);
    return false;
}

/* Read on to the next record that is not an empty line. Those may stand at the end, and nowhere
 * else. */
static enum csv_result reading_next(struct reading *self)
{
    size_t blank_line = 0;
    enum csv_result result = csv_next(&self->csv);
    while (result == CSV_RECORD && self->csv.blank) {
        if (blank_line == 0)
            blank_line = self->csv.record_line;
        result = csv_next(&self->csv);
    }
    if (result == CSV_ERROR) {
        reading_fail(self, self->csv.error_line, "%s", self->csv.why);
    } else if (result == CSV_RECORD && blank_line != 0) {
        reading_fail(self, blank_line, "an empty line");
        result = CSV_ERROR;
    }
    return result;
}

static bool reading_all(struct reading *self)
{
    enum csv_result result = reading_next(self);
    if (result == CSV_END)
        return reading_fail(self, 1, "there is nothing; the first line names the columns");
    if (result == CSV_ERROR || !reading_take_header(self))
        return false;
    while ((result = reading_next(self)) == CSV_RECORD)
        if (!reading_take_row(self))
            return false;
    return result == CSV_END;
}

bool catalog_file_read(struct catalog_file *self, const char *name, const void *data, size_t size,
                       char **error)
{
    struct reading reading = {.file = self, .name = name, .error = error};
    *self = (struct catalog_file){.rows = json_array()};
    reading.ids = zhashx_new();
    csv_reader_init(&reading.csv, data, size);
    bool good = reading_all(&reading);
    csv_reader_close(&reading.csv);
    zhashx_destroy(&reading.ids);
    if (!good)
        catalog_file_close(self);
    return good;
}

void catalog_file_close(struct catalog_file *self)
{
    json_decref(self->rows);
    free(self->lines);
    free(self->ignored);
    *self = (struct catalog_file){0};
}

/* ---- Writing ----------------------------------------------------------------------- */

void catalog_file_write_header(struct bytes_writer *out)
{
    for (size_t i = 0; i < COLUMN_COUNT; i++)
        csv_write(out, columns[i].name, i + 1 == COLUMN_COUNT);
}

void catalog_file_write_item(struct bytes_writer *out, const json_t *item)
{
    for (size_t i = 0; i < COLUMN_COUNT; i++) {
        const json_t *value = json_object_get(item, columns[i].name);
        char number[24] = "";
        if (json_is_integer(value))
            snprintf(number, sizeof number, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
        csv_write(out, json_is_string(value) ? json_string_value(value) : number,
                  i + 1 == COLUMN_COUNT);
    }
}
