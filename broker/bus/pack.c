/* See pack.h, which draws the format.
 *
 * The reader is a fuzz target: it trusts no length before it has compared it with what is there.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/bus/pack.h"

#include <assert.h>
#include <string.h>

#include "broker/bus/bytes.h"
#include "broker/bus/err.h"
#include "broker/bus/limits.h"

#define PACK_MAGIC       "PYGMY1"
#define PACK_MAGIC_BYTES 6

static_assert(BATCH_COUNT_MAX <= UINT8_MAX, "the number of records is one byte");
static_assert(SERVICE_NAME_BYTES_MAX <= UINT16_MAX, "a name's length is two bytes");
static_assert(MESSAGE_BYTES_MAX <= UINT32_MAX, "a body's length is four bytes");

bool pack_is(const struct message *message, char side)
{
    if (message->count == 0 || frame_size(&message->frames[0]) <= PACK_MAGIC_BYTES)
        return false;
    const uint8_t *head = frame_data(&message->frames[0]);
    return memcmp(head, PACK_MAGIC, PACK_MAGIC_BYTES) == 0 &&
           head[PACK_MAGIC_BYTES] == (uint8_t)side;
}

static bool pack_command_known(uint8_t command)
{
    return command >= PACK_HELLO && command <= PACK_GOING_AWAY;
}

/* Read one record; its body is taken from the front of @bodies. A failed reader, of either frame,
 * makes fields of no meaning: the caller asks both at the end. */
static void pack_read_record(struct bytes_reader *head, struct bytes_reader *bodies,
                             struct pack_record *record)
{
    record->command = bytes_get_u8(head);
    record->flags = bytes_get_u8(head);
    record->status = bytes_get_u16(head);
    record->number = bytes_get_u32(head);
    record->correlation = bytes_get_u64(head);
    record->attempt = bytes_get_u16(head);
    record->service_len = bytes_get_u16(head);
    record->body_len = bytes_get_u32(head);
    if (record->service_len > SERVICE_NAME_BYTES_MAX)
        bytes_reader_fail(head);
    record->service = (const char *)bytes_get_raw(head, record->service_len);
    record->body = bytes_get_raw(bodies, record->body_len);
}

int pack_read(const struct message *message, char side, struct pack_record *records, size_t *count)
{
    struct bytes_reader head, bodies;
    size_t known = 0;

    if (!pack_is(message, side) || message->count > 2)
        return ERR_MALFORMED;
    bytes_reader_init(&head, frame_data(&message->frames[0]), frame_size(&message->frames[0]));
    bytes_get_raw(&head, PACK_MAGIC_BYTES + 1);
    bytes_reader_init(&bodies, "", 0);
    if (message->count == 2) {
        const struct frame *frame = &message->frames[1];
        /* There is no body frame when all bodies are empty: one way to write each message. */
        if (frame_size(frame) == 0)
            return ERR_MALFORMED;
        bytes_reader_init(&bodies, frame_data(frame), frame_size(frame));
    }

    size_t total = bytes_get_u8(&head);
    if (total == 0 || total > BATCH_COUNT_MAX)
        return ERR_MALFORMED;
    for (size_t i = 0; i < total; i++) {
        pack_read_record(&head, &bodies, &records[known]);
        if (pack_command_known(records[known].command))
            known++;
    }
    if (!bytes_reader_done(&head) || !bytes_reader_done(&bodies))
        return ERR_MALFORMED;
    *count = known;
    return 0;
}

static void pack_write_head(struct message *message, char side, const struct pack_record *records,
                            size_t count)
{
    struct bytes_writer head = {0};

    assert(count >= 1 && count <= BATCH_COUNT_MAX);
    bytes_put_raw(&head, PACK_MAGIC, PACK_MAGIC_BYTES);
    bytes_put_u8(&head, (uint8_t)side);
    bytes_put_u8(&head, (uint8_t)count);
    for (size_t i = 0; i < count; i++) {
        const struct pack_record *record = &records[i];
        assert(pack_command_known(record->command));
        assert(record->service_len <= SERVICE_NAME_BYTES_MAX);
        bytes_put_u8(&head, record->command);
        bytes_put_u8(&head, record->flags);
        bytes_put_u16(&head, record->status);
        bytes_put_u32(&head, record->number);
        bytes_put_u64(&head, record->correlation);
        bytes_put_u16(&head, record->attempt);
        bytes_put_u16(&head, (uint16_t)record->service_len);
        bytes_put_u32(&head, (uint32_t)record->body_len);
        bytes_put_raw(&head, record->service, record->service_len);
    }
    message_init(message);
    message_add_copy(message, head.data, head.size);
    bytes_writer_close(&head);
}

void pack_write(struct message *message, char side, const struct pack_record *records, size_t count)
{
    size_t total = 0;

    pack_write_head(message, side, records, count);
    for (size_t i = 0; i < count; i++)
        total += records[i].body_len;
    assert(frame_size(&message->frames[0]) + total <= MESSAGE_BYTES_MAX);
    if (total == 0)
        return;

    struct frame bodies = {0};
    frame_init_size(&bodies, total);
    uint8_t *place = frame_data_mutable(&bodies);
    for (size_t i = 0; i < count; i++)
        if (records[i].body_len > 0) {
            memcpy(place, records[i].body, records[i].body_len);
            place += records[i].body_len;
        }
    message_add_frame(message, &bodies);
}

void pack_write_frame(struct message *message, char side, const struct pack_record *record,
                      struct frame *body)
{
    struct pack_record whole = *record;

    whole.body_len = frame_size(body);
    pack_write_head(message, side, &whole, 1);
    assert(frame_size(&message->frames[0]) + whole.body_len <= MESSAGE_BYTES_MAX);
    if (whole.body_len > 0)
        message_add_frame(message, body);
    else
        frame_close(body);
}
