/* The reader of the snapshot channel's messages on any bytes: what it says lies within them, and
 * what was read is written as the same bytes again. Bit 0 of the first byte: the last four are
 * made the checksum of the rest, as one does who can.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "broker/bus/alloc.h"
#include "broker/bus/err.h"
#include "services/replica/snapshot_message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void seal(uint8_t *text, size_t size)
{
    uint32_t sum = (uint32_t)crc32(0, text, (uInt)(size - 4));

    for (size_t i = 0; i < 4; i++)
        text[size - 4 + i] = (uint8_t)(sum >> 8 * (3 - i));
}

static void check(const struct snapshot_message *message, const uint8_t *text, size_t size)
{
    struct bytes_writer again = {0};

    assert(message->index >= 1 && message->index <= INT64_MAX);
    assert(message->size <= SNAPSHOT_CHUNK_BYTES);
    assert(message->data == NULL ||
           (message->data >= text && message->data + message->size <= text + size));
    assert((message->kind == SNAPSHOT_CHUNK) == (message->data != NULL));
    snapshot_message_encode(message, &again);
    assert(again.size == size && memcmp(again.data, text, size) == 0);
    bytes_writer_close(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct snapshot_message message;

    if (size == 0)
        return 0;
    /* A copy of exactly its size, so that a read past the end is seen. */
    uint8_t *text = alloc_zero(size);
    memcpy(text, data + 1, size - 1);
    if (data[0] & 1 && size - 1 >= 4)
        seal(text, size - 1);
    uint8_t *exact = alloc_resize(text, size > 1 ? size - 1 : 1);
    int code = snapshot_message_decode(&message, exact, size - 1);
    assert(code == OK || code == ERR_MALFORMED || code == ERR_VERSION);
    if (code == OK)
        check(&message, exact, size - 1);
    free(exact);
    return 0;
}
