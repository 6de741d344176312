/* See snapshot_message.h.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "services/replica/snapshot_message.h"

#include <assert.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "broker/bus/err.h"
#include "broker/bus/limits.h"

/* Integers that SQLite has to keep, or files to be long, stay below it. */
#define SNAPSHOT_NUMBER_MAX ((uint64_t)INT64_MAX)
#define SNAPSHOT_SUM_BYTES  4

void snapshot_message_set_uuid(struct snapshot_message *self, const char *uuid)
{
    size_t size = strlen(uuid);

    memset(self->uuid, 0, sizeof self->uuid);
    for (size_t i = 0; i < sizeof self->uuid && 2 * i + 1 < size; i++) {
        const char digits[] = {uuid[2 * i], uuid[2 * i + 1], '\0'};
        self->uuid[i] = (uint8_t)strtoul(digits, NULL, 16);
    }
}

void snapshot_message_encode(const struct snapshot_message *self, struct bytes_writer *writer)
{
    size_t begin = writer->size;

    bytes_put_u8(writer, SNAPSHOT_FORMAT);
    bytes_put_u8(writer, (uint8_t)self->kind);
    if (self->kind == SNAPSHOT_REQUEST)
        bytes_put_raw(writer, self->uuid, sizeof self->uuid);
    bytes_put_u64(writer, self->index);
    bytes_put_u64(writer, self->term);
    bytes_put_u32(writer, self->checksum);
    switch (self->kind) {
    case SNAPSHOT_REQUEST:
        bytes_put_u64(writer, self->offset);
        bytes_put_u32(writer, self->size);
        break;
    case SNAPSHOT_CHUNK:
        assert(self->size <= SNAPSHOT_CHUNK_BYTES);
        bytes_put_u64(writer, self->offset);
        bytes_put_blob(writer, self->data, self->size);
        break;
    case SNAPSHOT_REFUSAL: bytes_put_u16(writer, (uint16_t)self->code); break;
    }
    bytes_put_u32(writer, (uint32_t)crc32(0, writer->data + begin, (uInt)(writer->size - begin)));
}

/* The fields of one kind, and whether they make sense. */
static bool snapshot_message_get(struct snapshot_message *self, struct bytes_reader *reader)
{
    size_t size = 0;

    switch (self->kind) {
    case SNAPSHOT_REQUEST:
        self->offset = bytes_get_u64(reader);
        self->size = bytes_get_u32(reader);
        return self->size >= 1 && self->size <= SNAPSHOT_CHUNK_BYTES;
    case SNAPSHOT_CHUNK:
        self->offset = bytes_get_u64(reader);
        self->data = bytes_get_blob(reader, SNAPSHOT_CHUNK_BYTES, &size);
        self->size = (uint32_t)size;
        return self->size >= 1;
    case SNAPSHOT_REFUSAL: self->code = bytes_get_u16(reader); return self->code != OK;
    }
    return false;
}

/* Read all but format and checksum. */
static bool snapshot_message_read(struct snapshot_message *self, struct bytes_reader *reader)
{
    self->kind = (enum snapshot_message_kind)bytes_get_u8(reader);
    if (self->kind == SNAPSHOT_REQUEST) {
        const uint8_t *uuid = bytes_get_raw(reader, sizeof self->uuid);
        if (uuid != NULL)
            memcpy(self->uuid, uuid, sizeof self->uuid);
    }
    self->index = bytes_get_u64(reader);
    self->term = bytes_get_u64(reader);
    self->checksum = bytes_get_u32(reader);
    return snapshot_message_get(self, reader) && bytes_reader_done(reader) && self->index >= 1 &&
           self->index <= SNAPSHOT_NUMBER_MAX && self->term >= 1 &&
           self->term <= SNAPSHOT_NUMBER_MAX && self->offset <= SNAPSHOT_NUMBER_MAX;
}

int snapshot_message_decode(struct snapshot_message *self, const void *data, size_t size)
{
    struct snapshot_message found = {0};
    struct bytes_reader reader;

    bytes_reader_init(&reader, data, size);
    if (size > 0 && bytes_get_u8(&reader) != SNAPSHOT_FORMAT)
        return ERR_VERSION;
    if (size < SNAPSHOT_SUM_BYTES + 1 || size > SNAPSHOT_MESSAGE_BYTES_MAX)
        return ERR_MALFORMED;
    reader.size -= SNAPSHOT_SUM_BYTES;
    bool good = snapshot_message_read(&found, &reader);
    bytes_reader_init(&reader, (const uint8_t *)data + size - SNAPSHOT_SUM_BYTES,
                      SNAPSHOT_SUM_BYTES);
    if (!good ||
        bytes_get_u32(&reader) != (uint32_t)crc32(0, data, (uInt)(size - SNAPSHOT_SUM_BYTES)))
        return ERR_MALFORMED;
    *self = found;
    return 0;
}
