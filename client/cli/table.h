/* Rows of cells: aligned for people, tab-separated for programs.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_CLI_TABLE_H
#define PYGMY_CLI_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define TABLE_COLUMNS_MAX 16

struct table;

struct table_column {
    const char *name; /* the heading; may be NULL in a table that is only printed plain */
    bool right;       /* aligned to the right */
};

/* @columns lives as long as the table. */
struct table *table_new(const struct table_column *columns, size_t column_count);
/* Accepts NULL. */
void table_destroy(struct table **self_p);

/* Add a cell, left to right, row by row. The text is cleaned (text_clean) and copied; NULL is an
 * empty cell. */
void table_text(struct table *self, const char *text);
void table_number(struct table *self, int64_t number);

/* The row is full, as each must be when it is printed. */
size_t table_rows(const struct table *self);

/* With headings, in columns; @bold draws the headings bold. */
void table_print(const struct table *self, FILE *file, bool bold);

/* Without headings, one tab between cells. */
void table_print_plain(const struct table *self, FILE *file);

#endif
