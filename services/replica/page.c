/* See page.h.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "services/replica/page.h"

#include <inttypes.h>
#include <stdio.h>

#include "broker/bus/limits.h"

static void page_read_cursor(struct page *self, struct fields *fields)
{
    struct text cursor;
    if (!fields_text_optional(fields, "cursor", 1, CURSOR_BYTES_MAX, &cursor))
        return;
    for (size_t i = 0; i < cursor.size; i++) {
        int digit = cursor.data[i] - '0';
        if (digit < 0 || digit > 9 || self->after > (INT64_MAX - digit) / 10) {
            fields_fail(fields, "cursor", "is not one that an answer gave");
            return;
        }
        self->after = 10 * self->after + digit;
    }
}

void page_init(struct page *self, struct fields *fields, int64_t limit)
{
    *self = (struct page){.limit = limit};
    page_read_cursor(self, fields);
}

void page_init_asked(struct page *self, struct fields *fields)
{
    int64_t limit = PAGE_DEFAULT;
    fields_integer_optional(fields, "limit", 1, PAGE_MAX, &limit);
    page_init(self, fields, limit);
}

bool page_has_room(struct page *self, size_t bytes)
{
    int64_t count = (int64_t)json_array_size(self->rows);
    self->more = count == self->limit || (count > 0 && self->bytes + bytes > PAGE_BYTES_MAX);
    return !self->more;
}

void page_add(struct page *self, int64_t place, json_t *row, size_t bytes)
{
    json_array_append_new(self->rows, row);
    self->bytes += bytes;
    self->last = place;
}

json_t *page_next(const struct page *self)
{
    char cursor[CURSOR_BYTES_MAX + 1];
    if (!self->more)
        return json_null();
    (void)snprintf(cursor, sizeof cursor, "%" PRId64, self->last);
    return json_string(cursor);
}
