/* CSV: a reader that goes through the bytes once, and a writer.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "client/cli/csv.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/bus/alloc.h"
#include "broker/bus/limits.h"
#include "client/cli/text.h"

#define BYTE_ORDER_MARK "\xef\xbb\xbf"

/* What ended a field. */
enum csv_end { END_FIELD, END_LINE, END_FILE, END_ERROR };

void csv_reader_init(struct csv_reader *self, const void *data, size_t size)
{
    *self = (struct csv_reader){.data = data, .size = size, .line = 1};
    self->offsets = alloc_zero(CSV_FIELDS_MAX * sizeof *self->offsets);
    if (size >= 3 && memcmp(data, BYTE_ORDER_MARK, 3) == 0)
        self->at = 3;
}

void csv_reader_close(struct csv_reader *self)
{
    bytes_writer_close(&self->text);
    free(self->offsets);
    self->offsets = NULL;
}

__attribute__((format(printf, 3, 4))) static enum csv_end csv_fail(struct csv_reader *self,
                                                                   size_t line, const char *format,
                                                                   ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(self->why, sizeof self->why, format, args);
    va_end(args);
    self->error_line = line;
    self->at = self->size;
    return END_ERROR;
}

static int csv_peek(const struct csv_reader *self, size_t ahead)
{
    return self->at + ahead < self->size ? self->data[self->at + ahead] : -1;
}

/* Take one character into the field. Returns whether it may be there. */
static bool csv_take(struct csv_reader *self, size_t field_begin)
{
    uint32_t point;
    size_t len = text_utf8_next(self->data + self->at, self->size - self->at, &point);
    if (len == 0) {
        csv_fail(self, self->line, "byte 0x%02x is not UTF-8", self->data[self->at]);
    } else if (point == 0) {
        csv_fail(self, self->line, "a NUL byte");
    } else if (self->text.size - field_begin + len > CSV_FIELD_BYTES_MAX) {
        csv_fail(self, self->record_line, "a field of more than %d bytes", CSV_FIELD_BYTES_MAX);
    } else {
        bytes_put_raw(&self->text, self->data + self->at, len);
        self->at += len;
        self->line += point == '\n';
        return true;
    }
    return false;
}

/* What stands after a field: a comma, an end of line, the end. Nothing else may. */
static enum csv_end csv_end_of_field(struct csv_reader *self)
{
    int next = csv_peek(self, 0);
    if (next == -1)
        return END_FILE;
    if (next == ',') {
        self->at++;
        return END_FIELD;
    }
    if (next == '\n' || (next == '\r' && csv_peek(self, 1) == '\n')) {
        self->at += next == '\r' ? 2 : 1;
        self->line++;
        return END_LINE;
    }
    if (next == '\r')
        return csv_fail(self, self->line, "a carriage return without a line feed");
    return csv_fail(self, self->line, "text after a closing quote");
}

static enum csv_end csv_quoted(struct csv_reader *self)
{
    size_t begin = self->text.size;
    size_t begin_line = self->line;
    self->at++;
    for (;;) {
        int next = csv_peek(self, 0);
        if (next == -1)
            return csv_fail(self, begin_line, "a quote that is never closed");
        if (next == '"' && csv_peek(self, 1) != '"') {
            self->at++;
            return csv_end_of_field(self);
        }
        if (next == '"')
            self->at++;
        if (!csv_take(self, begin))
            return END_ERROR;
    }
}

static enum csv_end csv_unquoted(struct csv_reader *self)
{
    size_t begin = self->text.size;
    for (;;) {
        int next = csv_peek(self, 0);
        if (next == -1 || next == ',' || next == '\n' || next == '\r')
            return csv_end_of_field(self);
        if (next == '"')
            return csv_fail(self, self->line,
                            "a quote inside a field that does not begin with one");
        if (!csv_take(self, begin))
            return END_ERROR;
    }
}

enum csv_result csv_next(struct csv_reader *self)
{
    if (self->error_line != 0)
        return CSV_ERROR;
    if (self->at >= self->size)
        return CSV_END;
    self->text.size = 0;
    self->field_count = 0;
    self->record_line = self->line;
    int first = csv_peek(self, 0);
    self->blank = first == '\n' || (first == '\r' && csv_peek(self, 1) == '\n');
    enum csv_end end;
    do {
        if (self->field_count == CSV_FIELDS_MAX) {
            csv_fail(self, self->record_line, "more than %d fields", CSV_FIELDS_MAX);
            return CSV_ERROR;
        }
        self->offsets[self->field_count++] = self->text.size;
        end = csv_peek(self, 0) == '"' ? csv_quoted(self) : csv_unquoted(self);
        bytes_put_u8(&self->text, 0);
    } while (end == END_FIELD);
    return end == END_ERROR ? CSV_ERROR : CSV_RECORD;
}

const char *csv_field(const struct csv_reader *self, size_t index)
{
    assert(index < self->field_count);
    return (const char *)self->text.data + self->offsets[index];
}

static bool csv_needs_quotes(const char *field)
{
    return strpbrk(field, ",\"\r\n") != NULL;
}

void csv_write(struct bytes_writer *out, const char *field, bool last)
{
    if (csv_needs_quotes(field)) {
        bytes_put_u8(out, '"');
        for (const char *at = field; *at != '\0'; at++) {
            if (*at == '"')
                bytes_put_u8(out, '"');
            bytes_put_u8(out, (uint8_t)*at);
        }
        bytes_put_u8(out, '"');
    } else {
        bytes_put_raw(out, field, strlen(field));
    }
    bytes_put_u8(out, last ? '\n' : ',');
}
