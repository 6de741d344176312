/* See bytes.h.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/bus/bytes.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "broker/bus/alloc.h"

void bytes_writer_close(struct bytes_writer *self)
{
    free(self->data);
    *self = (struct bytes_writer){0};
}

void bytes_reserve(struct bytes_writer *self, size_t size)
{
    if (self->capacity - self->size >= size)
        return;
    size_t capacity = self->capacity > 0 ? self->capacity : 64;
    while (capacity - self->size < size)
        capacity *= 2;
    self->data = alloc_resize(self->data, capacity);
    self->capacity = capacity;
}

/* Make room for @size more bytes and return where they go. */
static uint8_t *bytes_writer_extend(struct bytes_writer *self, size_t size)
{
    bytes_reserve(self, size);
    uint8_t *place = self->data + self->size;
    self->size += size;
    return place;
}

static void bytes_put_number(struct bytes_writer *self, uint64_t value, size_t size)
{
    uint8_t *place = bytes_writer_extend(self, size);
    for (size_t i = 0; i < size; i++)
        place[i] = (uint8_t)(value >> (8 * (size - 1 - i)));
}

void bytes_put_u8(struct bytes_writer *self, uint8_t value)
{
    bytes_put_number(self, value, 1);
}

void bytes_put_u16(struct bytes_writer *self, uint16_t value)
{
    bytes_put_number(self, value, 2);
}

void bytes_put_u32(struct bytes_writer *self, uint32_t value)
{
    bytes_put_number(self, value, 4);
}

void bytes_put_u64(struct bytes_writer *self, uint64_t value)
{
    bytes_put_number(self, value, 8);
}

void bytes_put_i64(struct bytes_writer *self, int64_t value)
{
    bytes_put_number(self, (uint64_t)value, 8);
}

void bytes_put_raw(struct bytes_writer *self, const void *data, size_t size)
{
    if (size > 0)
        memcpy(bytes_writer_extend(self, size), data, size);
}

void bytes_put_blob(struct bytes_writer *self, const void *data, size_t size)
{
    assert(size <= UINT32_MAX);
    bytes_put_u32(self, (uint32_t)size);
    bytes_put_raw(self, data, size);
}

void bytes_put_string(struct bytes_writer *self, const char *string)
{
    bytes_put_blob(self, string, string != NULL ? strlen(string) : 0);
}

void bytes_reader_init(struct bytes_reader *self, const void *data, size_t size)
{
    /* Nothing at all is an address too, so that reading no bytes of it succeeds. */
    static const uint8_t nothing[1];
    *self = (struct bytes_reader){.data = data != NULL ? data : nothing, .size = size};
}

const uint8_t *bytes_get_raw(struct bytes_reader *self, size_t size)
{
    if (self->failed || self->size < size) {
        self->failed = true;
        return NULL;
    }
    const uint8_t *place = self->data;
    self->data += size;
    self->size -= size;
    return place;
}

static uint64_t bytes_get_number(struct bytes_reader *self, size_t size)
{
    const uint8_t *place = bytes_get_raw(self, size);
    uint64_t value = 0;
    if (place == NULL)
        return 0;
    for (size_t i = 0; i < size; i++)
        value = value << 8 | place[i];
    return value;
}

uint8_t bytes_get_u8(struct bytes_reader *self)
{
    return (uint8_t)bytes_get_number(self, 1);
}

uint16_t bytes_get_u16(struct bytes_reader *self)
{
    return (uint16_t)bytes_get_number(self, 2);
}

uint32_t bytes_get_u32(struct bytes_reader *self)
{
    return (uint32_t)bytes_get_number(self, 4);
}

uint64_t bytes_get_u64(struct bytes_reader *self)
{
    return bytes_get_number(self, 8);
}

int64_t bytes_get_i64(struct bytes_reader *self)
{
    return (int64_t)bytes_get_number(self, 8);
}

const uint8_t *bytes_get_blob(struct bytes_reader *self, size_t size_max, size_t *size)
{
    size_t length = bytes_get_u32(self);
    *size = 0;
    if (length > size_max) {
        self->failed = true;
        return NULL;
    }
    const uint8_t *place = bytes_get_raw(self, length);
    if (place != NULL)
        *size = length;
    return place;
}

char *bytes_get_string(struct bytes_reader *self, size_t size_max)
{
    size_t size;
    const uint8_t *place = bytes_get_blob(self, size_max, &size);
    if (place == NULL)
        return NULL;
    if (memchr(place, '\0', size) != NULL) {
        self->failed = true;
        return NULL;
    }
    return alloc_copy(place, size);
}

void bytes_reader_fail(struct bytes_reader *self)
{
    self->failed = true;
}

bool bytes_reader_done(const struct bytes_reader *self)
{
    return !self->failed && self->size == 0;
}
