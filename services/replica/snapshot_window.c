/* See snapshot_window.h.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "services/replica/snapshot_window.h"

#include <assert.h>

#include "broker/bus/limits.h"

void snapshot_window_init(struct snapshot_window *self, uint64_t bytes, int64_t now_ms)
{
    assert(bytes > 0);
    *self = (struct snapshot_window){
        .bytes = bytes,
        .progressed_ms = now_ms,
        .asked_ms = now_ms,
    };
}

/* The length of the piece at @offset: all but the last are full. */
static uint32_t snapshot_window_size(const struct snapshot_window *self, uint64_t offset)
{
    uint64_t rest = self->bytes - offset;
    return rest < SNAPSHOT_CHUNK_BYTES ? (uint32_t)rest : SNAPSHOT_CHUNK_BYTES;
}

bool snapshot_window_next(struct snapshot_window *self, int64_t now_ms, uint64_t *offset,
                          uint32_t *size)
{
    if (now_ms - self->asked_ms >= SNAPSHOT_ASK_AGAIN_MS) {
        self->asked = self->here;
        self->asked_ms = now_ms;
    }
    if (self->asked == self->bytes ||
        self->asked - self->here >= (uint64_t)SNAPSHOT_CREDIT * SNAPSHOT_CHUNK_BYTES)
        return false;
    *offset = self->asked;
    *size = snapshot_window_size(self, self->asked);
    self->asked += *size;
    return true;
}

void snapshot_window_undo(struct snapshot_window *self, uint64_t offset)
{
    assert(offset >= self->here && offset < self->asked);
    self->asked = offset;
}

bool snapshot_window_take(struct snapshot_window *self, uint64_t offset, uint32_t size,
                          int64_t now_ms)
{
    if (self->here == self->bytes || offset != self->here ||
        size != snapshot_window_size(self, offset))
        return false;
    self->here += size;
    if (self->asked < self->here)
        self->asked = self->here;
    self->progressed_ms = now_ms;
    self->asked_ms = now_ms;
    return true;
}

bool snapshot_window_done(const struct snapshot_window *self)
{
    return self->here == self->bytes;
}

bool snapshot_window_stalled(const struct snapshot_window *self, int64_t now_ms)
{
    return now_ms - self->progressed_ms >= SNAPSHOT_STALL_MS;
}
