/* Messages of the snapshot channel: what is written is read, and nothing else is.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <zlib.h>

#include "broker/bus/alloc.h"
#include "broker/bus/err.h"
#include "services/replica/snapshot_message.h"

static const uint8_t some_bytes[] = "some bytes";

static struct snapshot_message message_of(enum snapshot_message_kind kind)
{
    struct snapshot_message message = {
        .kind = kind,
        .index = 20000,
        .term = 7,
        .checksum = 0xdeadbeef,
        .offset = kind == SNAPSHOT_REFUSAL ? 0 : 65536,
        .size = kind == SNAPSHOT_REFUSAL ? 0 : sizeof some_bytes,
        .data = kind == SNAPSHOT_CHUNK ? some_bytes : NULL,
        .code = kind == SNAPSHOT_REFUSAL ? ERR_BUSY : 0,
    };

    if (kind == SNAPSHOT_REQUEST)
        snapshot_message_set_uuid(&message, "00112233445566778899aabbccddeeff");
    return message;
}

/* Write a checksum over what stands there now, as one does who can. */
static void seal(struct bytes_writer *text)
{
    uint32_t sum = (uint32_t)crc32(0, text->data, (uInt)(text->size - 4));

    text->size -= 4;
    bytes_put_u32(text, sum);
}

static int decode(const struct bytes_writer *text, struct snapshot_message *message)
{
    return snapshot_message_decode(message, text->data, text->size);
}

/* Each kind comes back as it was. */
static void test_what_is_written_is_read(void **state)
{
    (void)state;
    for (int kind = SNAPSHOT_REQUEST; kind <= SNAPSHOT_REFUSAL; kind++) {
        struct snapshot_message written = message_of((enum snapshot_message_kind)kind);
        struct snapshot_message read = {0};
        struct bytes_writer text = {0};

        snapshot_message_encode(&written, &text);
        assert_int_equal(decode(&text, &read), 0);
        assert_int_equal(read.kind, kind);
        assert_memory_equal(read.uuid, written.uuid, sizeof read.uuid);
        assert_int_equal(read.index, written.index);
        assert_int_equal(read.term, written.term);
        assert_int_equal(read.checksum, written.checksum);
        assert_int_equal(read.offset, written.offset);
        assert_int_equal(read.size, written.size);
        assert_int_equal(read.code, written.code);
        if (kind == SNAPSHOT_CHUNK)
            assert_memory_equal(read.data, some_bytes, sizeof some_bytes);
        bytes_writer_close(&text);
    }
}

/* The uuid is its digits. */
static void test_a_uuid_is_its_digits(void **state)
{
    const uint8_t wanted[SNAPSHOT_UUID_BYTES] = {0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77,
                                                 0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff};
    struct snapshot_message message;

    (void)state;
    snapshot_message_set_uuid(&message, "00112233445566778899aabbccddeeff");
    assert_memory_equal(message.uuid, wanted, sizeof wanted);
    snapshot_message_set_uuid(&message, "00112233445566778899AABBCCDDEEFF");
    assert_memory_equal(message.uuid, wanted, sizeof wanted);
}

/* A message that is cut off anywhere, or is longer, or has any bit turned over, is no message. */
static void test_any_other_bytes_are_refused(void **state)
{
    (void)state;
    for (int kind = SNAPSHOT_REQUEST; kind <= SNAPSHOT_REFUSAL; kind++) {
        struct snapshot_message message = message_of((enum snapshot_message_kind)kind);
        struct bytes_writer text = {0};

        snapshot_message_encode(&message, &text);
        for (size_t size = 0; size < text.size; size++)
            assert_int_not_equal(snapshot_message_decode(&message, text.data, size), 0);
        for (size_t bit = 0; bit < text.size * 8; bit++) {
            text.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
            assert_int_equal(decode(&text, &message), bit < 8 ? ERR_VERSION : ERR_MALFORMED);
            text.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
        }
        bytes_put_u8(&text, 0);
        assert_int_equal(decode(&text, &message), ERR_MALFORMED);
        bytes_writer_close(&text);
    }
}

/* Put @value where the field of @size bytes at @offset stands, with a good checksum. */
static void assert_refused_with(enum snapshot_message_kind kind, size_t offset, size_t size,
                                uint64_t value)
{
    struct snapshot_message message = message_of(kind);
    struct bytes_writer text = {0};

    snapshot_message_encode(&message, &text);
    for (size_t i = 0; i < size; i++)
        text.data[offset + i] = (uint8_t)(value >> 8 * (size - 1 - i));
    seal(&text);
    assert_int_equal(decode(&text, &message), ERR_MALFORMED);
    bytes_writer_close(&text);
}

/* Fields that make no sense are refused, though the checksum is right. */
static void test_fields_out_of_range_are_refused(void **state)
{
    (void)state;
    assert_refused_with(SNAPSHOT_REQUEST, 1, 1, 0); /* kinds */
    assert_refused_with(SNAPSHOT_REQUEST, 1, 1, 4);
    assert_refused_with(SNAPSHOT_REQUEST, 18, 8, 0); /* index */
    assert_refused_with(SNAPSHOT_REQUEST, 18, 8, UINT64_MAX);
    assert_refused_with(SNAPSHOT_REQUEST, 26, 8, 0);          /* term */
    assert_refused_with(SNAPSHOT_REQUEST, 38, 8, UINT64_MAX); /* offset */
    assert_refused_with(SNAPSHOT_REQUEST, 46, 4, 0);          /* size */
    assert_refused_with(SNAPSHOT_REQUEST, 46, 4, SNAPSHOT_CHUNK_BYTES + 1);
    assert_refused_with(SNAPSHOT_CHUNK, 30, 4, sizeof some_bytes + 1);
    assert_refused_with(SNAPSHOT_CHUNK, 30, 4, sizeof some_bytes - 1);
    assert_refused_with(SNAPSHOT_REFUSAL, 22, 2, OK);
}

/* The largest piece fits; no message is longer than it and what stands around it. */
static void test_the_largest_piece(void **state)
{
    uint8_t *data = alloc_zero(SNAPSHOT_CHUNK_BYTES);
    struct snapshot_message message = message_of(SNAPSHOT_CHUNK);
    struct snapshot_message read;
    struct bytes_writer text = {0};

    (void)state;
    message.data = data;
    message.size = SNAPSHOT_CHUNK_BYTES;
    snapshot_message_encode(&message, &text);
    assert_true(text.size <= SNAPSHOT_MESSAGE_BYTES_MAX);
    assert_int_equal(decode(&text, &read), 0);
    assert_int_equal(read.size, SNAPSHOT_CHUNK_BYTES);
    bytes_writer_close(&text);
    free(data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_written_is_read),
        cmocka_unit_test(test_a_uuid_is_its_digits),
        cmocka_unit_test(test_any_other_bytes_are_refused),
        cmocka_unit_test(test_fields_out_of_range_are_refused),
        cmocka_unit_test(test_the_largest_piece),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
