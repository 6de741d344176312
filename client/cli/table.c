/* Rows of cells, kept until all widths are known.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "client/cli/table.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>

#include "broker/bus/alloc.h"
#include "client/cli/text.h"

#define GAP "  "

struct table {
    const struct table_column *columns;
    size_t column_count;
    size_t widths[TABLE_COLUMNS_MAX];
    char **cells; /* row by row */
    size_t cell_count;
    size_t capacity;
};

struct table *table_new(const struct table_column *columns, size_t column_count)
{
    assert(column_count > 0 && column_count <= TABLE_COLUMNS_MAX);
    struct table *self = alloc_zero(sizeof *self);
    self->columns = columns;
    self->column_count = column_count;
    for (size_t i = 0; i < column_count; i++)
        self->widths[i] = columns[i].name != NULL ? text_width(columns[i].name) : 0;
    return self;
}

void table_destroy(struct table **self_p)
{
    struct table *self = *self_p;
    if (self == NULL)
        return;
    for (size_t i = 0; i < self->cell_count; i++)
        free(self->cells[i]);
    free(self->cells);
    free(self);
    *self_p = NULL;
}

void table_text(struct table *self, const char *text)
{
    if (self->cell_count == self->capacity) {
        self->capacity = self->capacity > 0 ? self->capacity * 2 : 64;
        self->cells = alloc_resize(self->cells, self->capacity * sizeof *self->cells);
    }
    char *cell = text_clean(text != NULL ? text : "");
    size_t column = self->cell_count % self->column_count;
    size_t width = text_width(cell);
    if (width > self->widths[column])
        self->widths[column] = width;
    self->cells[self->cell_count++] = cell;
}

void table_number(struct table *self, int64_t number)
{
    char text[24];
    snprintf(text, sizeof text, "%" PRId64, number);
    table_text(self, text);
}

size_t table_rows(const struct table *self)
{
    assert(self->column_count > 0);
    assert(self->cell_count % self->column_count == 0);
    return self->cell_count / self->column_count;
}

static void table_pad(FILE *file, size_t columns)
{
    while (columns-- > 0)
        fputc(' ', file);
}

static void table_print_cell(const struct table *self, FILE *file, size_t column, const char *cell)
{
    size_t pad = self->widths[column] - text_width(cell);
    bool right = self->columns[column].right;
    bool last = column + 1 == self->column_count;
    if (right)
        table_pad(file, pad);
    fputs(cell, file);
    if (!right && !last)
        table_pad(file, pad);
    fputs(last ? "\n" : GAP, file);
}

void table_print(const struct table *self, FILE *file, bool bold)
{
    if (bold)
        fputs("\033[1m", file);
    for (size_t i = 0; i < self->column_count; i++)
        table_print_cell(self, file, i, self->columns[i].name);
    if (bold)
        fputs("\033[0m", file);
    for (size_t i = 0; i < table_rows(self) * self->column_count; i++)
        table_print_cell(self, file, i % self->column_count, self->cells[i]);
}

void table_print_plain(const struct table *self, FILE *file)
{
    for (size_t i = 0; i < table_rows(self) * self->column_count; i++) {
        fputs(self->cells[i], file);
        fputc((i + 1) % self->column_count == 0 ? '\n' : '\t', file);
    }
}
