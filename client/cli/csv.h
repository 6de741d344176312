/* CSV as RFC 4180 has it: bytes in, records of fields out; and back.
 *
 * Pure, and the target of a fuzzer: it trusts nothing. Lines end with LF or
 * CRLF, also within quotes, where they belong to the field. A byte order mark
 * at the beginning is skipped. Refused, with the line: a quote inside an
 * unquoted field, anything after a closing quote, a quote that is never closed,
 * a CR without LF outside of quotes, NUL, broken UTF-8, fields longer than
 * CSV_FIELD_BYTES_MAX, records of more than CSV_FIELDS_MAX fields.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_CLI_CSV_H
#define PYGMY_CLI_CSV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "broker/bus/bytes.h"

#define CSV_WHY_BYTES 128

struct csv_reader {
    const uint8_t *data; /* not owned */
    size_t size;
    size_t at;                /* offset of the next byte */
    size_t line;              /* of the next byte, from 1 */
    struct bytes_writer text; /* the record's fields, each with a NUL after it */
    size_t *offsets;          /* where each begins */
    /* The last record: */
    size_t record_line; /* where it begins */
    size_t field_count; /* 1 or more */
    bool blank;         /* it is an empty line */
    /* The error: */
    size_t error_line;
    char why[CSV_WHY_BYTES];
};

enum csv_result { CSV_RECORD, CSV_END, CSV_ERROR };

/* @data lives as long as the reader. */
void csv_reader_init(struct csv_reader *self, const void *data, size_t size);
void csv_reader_close(struct csv_reader *self);

/* Read the next record. After CSV_ERROR, error_line and why say what is wrong, and nothing more is
 * read. */
enum csv_result csv_next(struct csv_reader *self);

/* The field at @index of the last record, from 0: NUL-terminated, valid until the next record. */
const char *csv_field(const struct csv_reader *self, size_t index);

/* Append a field, quoted if it has to be, and after the last one the end of the line. Reading it
 * gives the same bytes. */
void csv_write(struct bytes_writer *out, const char *field, bool last);

#endif
