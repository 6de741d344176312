/* See body.h.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/body.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "broker/bus/alloc.h"
#include "broker/bus/limits.h"

static struct frame *body_frame(const struct body *self, size_t index)
{
    return index == 0 ? (struct frame *)(uintptr_t)&self->first : &self->rest[index - 1];
}

static void body_reserve(struct body *self, size_t count)
{
    *self = (struct body){.count = count};
    if (count > 1)
        self->rest = alloc_zero((count - 1) * sizeof *self->rest);
}

void body_take_message(struct body *self, struct message *message, size_t from)
{
    assert(from <= message->count);
    body_reserve(self, message->count - from);
    for (size_t i = 0; i < self->count; i++) {
        frame_move(body_frame(self, i), &message->frames[from + i]);
        self->bytes += frame_size(body_frame(self, i));
    }
}

void body_take_frame(struct body *self, struct frame *frame)
{
    body_reserve(self, 1);
    frame_move(&self->first, frame);
    self->bytes = frame_size(&self->first);
}

void body_copy_bytes(struct body *self, const void *data, size_t size)
{
    body_reserve(self, 1);
    frame_init_copy(&self->first, data, size);
    self->bytes = size;
}

void body_share(struct body *self, struct body *from)
{
    body_reserve(self, from->count);
    for (size_t i = 0; i < from->count; i++)
        frame_share(body_frame(self, i), body_frame(from, i));
    self->bytes = from->bytes;
}

void body_move(struct body *self, struct body *from)
{
    /* libzmq's messages may be moved in memory while nobody holds their address. */
    *self = *from;
    *from = (struct body){0};
}

void body_join(struct body *self)
{
    if (self->count == 1)
        return;
    struct frame joined = {0};
    size_t at = 0;
    frame_init_size(&joined, self->bytes);
    for (size_t i = 0; i < self->count; i++) {
        const struct frame *frame = body_frame(self, i);
        if (frame_size(frame) > 0)
            memcpy(frame_data_mutable(&joined) + at, frame_data(frame), frame_size(frame));
        at += frame_size(frame);
    }
    body_close(self);
    body_take_frame(self, &joined);
}

void body_settle(struct body *self)
{
    for (size_t i = 0; i < self->count; i++) {
        struct frame *frame = body_frame(self, i);
        if (frame_size(frame) > BODY_SETTLE_BYTES)
            continue;
        struct frame copy;
        frame_init_copy(&copy, frame_data(frame), frame_size(frame));
        frame_close(frame);
        frame_move(frame, &copy);
    }
}

void body_add_to(struct body *self, struct message *message)
{
    for (size_t i = 0; i < self->count; i++)
        message_add_frame(message, body_frame(self, i));
    body_close(self);
}

void body_write(const struct body *self, struct bytes_writer *writer)
{
    for (size_t i = 0; i < self->count; i++)
        bytes_put_raw(writer, frame_data(body_frame(self, i)), frame_size(body_frame(self, i)));
}

void body_close(struct body *self)
{
    for (size_t i = 0; i < self->count; i++)
        frame_close(body_frame(self, i));
    free(self->rest);
    *self = (struct body){0};
}
