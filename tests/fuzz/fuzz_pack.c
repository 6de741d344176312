/* The reader of the extension's messages on any frames: what it says lies within them, what was read
 * and written is read as the same, and what held nothing but known commands is written as the same
 * bytes.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <string.h>

#include "broker/bus/limits.h"
#include "broker/bus/pack.h"
#include "tests/fuzz/frames.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_within(const struct frame *frame, const void *place, size_t size)
{
    const uint8_t *begin = frame_data(frame);
    const uint8_t *at = place;
    assert(at >= begin && at + size <= begin + frame_size(frame));
}

static void check_places(const struct message *message, const struct pack_record *records,
                         size_t count)
{
    for (size_t i = 0; i < count; i++) {
        assert(records[i].service_len <= SERVICE_NAME_BYTES_MAX);
        check_within(&message->frames[0], records[i].service, records[i].service_len);
        if (records[i].body_len > 0)
            check_within(&message->frames[1], records[i].body, records[i].body_len);
    }
}

/* Only an empty body frame may be missing. */
static void check_bytes(const struct message *message, const struct message *again)
{
    for (size_t i = 0; i < again->count; i++)
        assert(frame_equals(&message->frames[i], frame_data(&again->frames[i]),
                            frame_size(&again->frames[i])));
    assert(message_size(message) == message_size(again));
}

static void check_again(const struct message *message, char side, const struct pack_record *records,
                        size_t count)
{
    struct pack_record again[BATCH_COUNT_MAX];
    struct message written;
    size_t again_count = 0;

    pack_write(&written, side, records, count);
    int rc = pack_read(&written, side, again, &again_count);
    assert(rc == 0 && again_count == count);
    for (size_t i = 0; i < count; i++) {
        assert(again[i].correlation == records[i].correlation);
        assert(again[i].body_len == records[i].body_len);
        assert(again[i].body_len == 0 ||
               memcmp(again[i].body, records[i].body, records[i].body_len) == 0);
    }
    if (count == frame_data(&message->frames[0])[7])
        check_bytes(message, &written);
    message_close(&written);
}

static void check(const struct message *message, char side)
{
    struct pack_record records[BATCH_COUNT_MAX];
    size_t count;

    if (pack_read(message, side, records, &count) != 0)
        return;
    assert(pack_is(message, side));
    check_places(message, records, count);
    if (count > 0)
        check_again(message, side, records, count);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes_reader reader;
    struct message message;

    bytes_reader_init(&reader, data, size);
    frames_get(&reader, &message);
    check(&message, 'C');
    check(&message, 'W');
    message_close(&message);
    return 0;
}
