/* Frames out of the bytes of a fuzz target's input: a count, then each frame as a u16 length and so
 * many bytes, or as many as are left.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_TESTS_FRAMES_H
#define PYGMY_TESTS_FRAMES_H

#include "broker/bus/bytes.h"
#include "broker/bus/frame.h"

static inline void frames_get(struct bytes_reader *reader, struct message *message)
{
    size_t count = bytes_get_u8(reader) % (MESSAGE_FRAMES_MAX + 1);

    message_init(message);
    while (count-- > 0 && !reader->failed) {
        size_t size = bytes_get_u16(reader);
        size = size < reader->size ? size : reader->size;
        message_add_copy(message, bytes_get_raw(reader, size), size);
    }
}

#endif
