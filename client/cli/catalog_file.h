/* A catalog as a CSV file: checked as a whole, then a list of rows as the operation `import` takes
 * them.
 *
 * The first record names the columns: id and title are required; authors,
 * topic, year, isbn, price_cents, currency and stock are known; others are
 * ignored. A column that is there says what every row's value is, an empty cell
 * included ("" or, for a year, none); only an empty price, currency or stock
 * says nothing. A column that is not there changes nothing.
 *
 * Pure: bytes in, rows or a sentence out.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_CLI_CATALOG_FILE_H
#define PYGMY_CLI_CATALOG_FILE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "broker/bus/bytes.h"

struct catalog_file {
    json_t *rows;  /* an array of objects, in the order of the file */
    size_t *lines; /* where each begins, from 1 */
    size_t row_count;
    char *ignored; /* names of columns that are not known, comma-separated, or NULL */
};

/* Read a whole file. @name stands for it in errors.
 *
 * @error  on failure "NAME:LINE: what is wrong", with the column's name where there is one; the
 *         caller's to free()
 *
 * Returns whether all of it is well-formed; else @self is empty. */
bool catalog_file_read(struct catalog_file *self, const char *name, const void *data, size_t size,
                       char **error);
void catalog_file_close(struct catalog_file *self);

/* Write the line of column names, and items in full as `items` answers them. */
void catalog_file_write_header(struct bytes_writer *out);
void catalog_file_write_item(struct bytes_writer *out, const json_t *item);

#endif
