/* The reader of the extension's messages on arbitrary bytes. The first two bytes of the input say
 * how many frames there are and how long the first is; what is read must lie within the frames,
 * and must be read the same again after it was written.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <string.h>

#include "broker/bus/limits.h"
#include "broker/bus/pack.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Cut the input into up to three frames. */
static void cut(struct message *message, const uint8_t *data, size_t size)
{
    size_t count = size > 0 ? data[0] % 4 : 0;
    size_t first = size > 1 ? data[1] : 0;

    data += size > 2 ? 2 : size;
    size -= size > 2 ? 2 : size;
    message_init(message);
    for (size_t i = 0; i < count; i++) {
        size_t part = i == 0 && first < size ? first : size;
        message_add_copy(message, data, part);
        data += part;
        size -= part;
    }
}

static void check_within(const struct frame *frame, const void *place, size_t size)
{
    const uint8_t *begin = frame_data(frame);
    const uint8_t *at = place;
    assert(at >= begin && at + size <= begin + frame_size(frame));
}

static void check_again(const struct pack_record *records, size_t count)
{
    struct pack_record again[BATCH_COUNT_MAX];
    struct message message;
    size_t again_count = 0;

    pack_write(&message, 'C', records, count);
    int rc = pack_read(&message, 'C', again, &again_count);
    assert(rc == 0 && again_count == count);
    for (size_t i = 0; i < count; i++) {
        assert(again[i].correlation == records[i].correlation);
        assert(again[i].body_len == records[i].body_len);
        assert(memcmp(again[i].body, records[i].body, records[i].body_len) == 0);
    }
    message_close(&message);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct pack_record records[BATCH_COUNT_MAX];
    struct message message;
    size_t count;

    cut(&message, data, size);
    if (pack_read(&message, 'C', records, &count) == 0 && count > 0) {
        for (size_t i = 0; i < count; i++) {
            check_within(&message.frames[0], records[i].service, records[i].service_len);
            if (records[i].body_len > 0)
                check_within(&message.frames[1], records[i].body, records[i].body_len);
        }
        check_again(records, count);
    }
    message_close(&message);
    return 0;
}
