/* See changes.h.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "services/replica/changes.h"

#include <assert.h>

#include "broker/bus/limits.h"

/* ---- A page ------------------------------------------------------------------------------------- */

void changes_page_init(struct changes_page *self, uint64_t since, size_t limit)
{
    assert(limit > 0);
    *self = (struct changes_page){
        .since = since, .limit = limit, .rows = json_array(), .version = since};
}

enum changes_room changes_page_room(struct changes_page *self, uint64_t version, size_t bytes)
{
    bool full = json_array_size(self->rows) >= self->limit || self->bytes >= CHANGES_BYTES_MAX;

    assert(version > self->since && version >= self->version);
    if (version != self->version && full) {
        self->more = true;
        return CHANGES_FULL;
    }
    return self->bytes + bytes > CHANGES_ENTRY_BYTES_MAX ? CHANGES_NAMED : CHANGES_WHOLE;
}

void changes_page_add(struct changes_page *self, uint64_t version, json_t *row, size_t bytes)
{
    assert(!self->more);
    json_array_append_new(self->rows, row);
    self->bytes += bytes; /* also of one that is only named: then those that follow it are, too */
    self->version = version;
}

uint64_t changes_page_index(const struct changes_page *self, uint64_t applied_index)
{
    return self->more ? self->version : applied_index;
}

/* ---- Publishing --------------------------------------------------------------------------------- */

void changes_feed_want(struct changes_feed *self, bool wanted, uint64_t applied_index,
                       int64_t now_ms)
{
    if (wanted && !self->on)
        *self = (struct changes_feed){
            .on = true, .index = applied_index, .sent_ms = now_ms - CHANGES_BEAT_MS};
    else if (!wanted)
        *self = (struct changes_feed){0};
}

int64_t changes_feed_due_ms(const struct changes_feed *self, uint64_t applied_index)
{
    if (!self->on)
        return INT64_MAX;
    return self->sent_ms + (applied_index > self->index ? CHANGES_PAUSE_MS : CHANGES_BEAT_MS);
}

void changes_feed_sent(struct changes_feed *self, uint64_t index, int64_t now_ms)
{
    assert(self->on && index >= self->index);
    self->index = index;
    self->sent_ms = now_ms;
}
