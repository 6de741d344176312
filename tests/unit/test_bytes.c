/* Integers and strings as bytes.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/bus/bytes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Every integer is big-endian, a blob has its length in front. */
static void test_bytes_stand_in_the_stated_order(void **state)
{
    static const uint8_t expected[] = {
        0x01,                                           /* u8 */
        0x02, 0x03,                                     /* u16 */
        0x04, 0x05, 0x06, 0x07,                         /* u32 */
        0x08, 0x09, 0x0a, 0x0b, 0x0c, 0x0d, 0x0e, 0x0f, /* u64 */
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfe, /* i64 of -2 */
        'r',  'a',  'w',                                /* raw */
        0x00, 0x00, 0x00, 0x02, 'h',  'i',              /* string */
        0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, /* "" and NULL */
    };
    struct bytes_writer writer = {0};

    (void)state;
    bytes_put_u8(&writer, 0x01);
    bytes_put_u16(&writer, 0x0203);
    bytes_put_u32(&writer, 0x04050607);
    bytes_put_u64(&writer, 0x08090a0b0c0d0e0f);
    bytes_put_i64(&writer, -2);
    bytes_put_raw(&writer, "raw", 3);
    bytes_put_raw(&writer, NULL, 0);
    bytes_put_string(&writer, "hi");
    bytes_put_string(&writer, "");
    bytes_put_string(&writer, NULL);
    assert_int_equal(writer.size, sizeof expected);
    assert_memory_equal(writer.data, expected, sizeof expected);
    bytes_writer_close(&writer);
}

/* What was written is read back, to the edges of each type, and then nothing is left. */
static void test_what_was_written_is_read_back(void **state)
{
    struct bytes_writer writer = {0};
    struct bytes_reader reader;
    size_t size;

    (void)state;
    bytes_put_u8(&writer, UINT8_MAX);
    bytes_put_u16(&writer, UINT16_MAX);
    bytes_put_u32(&writer, UINT32_MAX);
    bytes_put_u64(&writer, UINT64_MAX);
    bytes_put_i64(&writer, INT64_MIN);
    bytes_put_i64(&writer, INT64_MAX);
    bytes_put_blob(&writer, "a\0b", 3);
    bytes_put_string(&writer, "text");
    bytes_put_string(&writer, "");

    bytes_reader_init(&reader, writer.data, writer.size);
    assert_int_equal(bytes_get_u8(&reader), UINT8_MAX);
    assert_int_equal(bytes_get_u16(&reader), UINT16_MAX);
    assert_true(bytes_get_u32(&reader) == UINT32_MAX);
    assert_true(bytes_get_u64(&reader) == UINT64_MAX);
    assert_true(bytes_get_i64(&reader) == INT64_MIN);
    assert_true(bytes_get_i64(&reader) == INT64_MAX);
    assert_memory_equal(bytes_get_blob(&reader, 3, &size), "a\0b", 3);
    assert_int_equal(size, 3);
    assert_false(bytes_reader_done(&reader));
    char *text = bytes_get_string(&reader, 100);
    assert_string_equal(text, "text");
    free(text);
    text = bytes_get_string(&reader, 0);
    assert_string_equal(text, "");
    free(text);
    assert_true(bytes_reader_done(&reader));
    bytes_writer_close(&writer);
}

/* A writer grows over many reallocations without losing a byte, and is usable after its close. */
static void test_a_writer_grows(void **state)
{
    struct bytes_writer writer = {0};
    struct bytes_reader reader;

    (void)state;
    for (uint32_t i = 0; i < 10000; i++)
        bytes_put_u32(&writer, i);
    bytes_reader_init(&reader, writer.data, writer.size);
    for (uint32_t i = 0; i < 10000; i++)
        assert_int_equal(bytes_get_u32(&reader), i);
    assert_true(bytes_reader_done(&reader));
    bytes_writer_close(&writer);
    assert_int_equal(writer.size, 0);
    bytes_put_u8(&writer, 1);
    assert_int_equal(writer.size, 1);
    bytes_writer_close(&writer);
}

/* Room that was made is not made again, and nothing in it counts as written. */
static void test_room_is_made_once(void **state)
{
    struct bytes_writer writer = {0};
    (void)state;

    bytes_reserve(&writer, 1000);
    assert_int_equal(writer.size, 0);
    const uint8_t *place = writer.data;
    size_t capacity = writer.capacity;
    for (int i = 0; i < 1000; i++)
        bytes_put_u8(&writer, 1);
    bytes_reserve(&writer, 0);
    assert_ptr_equal(writer.data, place);
    assert_int_equal(writer.capacity, capacity);
    assert_int_equal(writer.size, 1000);
    bytes_writer_close(&writer);
}

/* A read past the end gives zero and fails the reader for good, at whatever byte the end is. */
static void test_a_read_past_the_end_fails_for_good(void **state)
{
    static const uint8_t data[8] = {1, 1, 1, 1, 1, 1, 1, 1};
    struct bytes_reader reader;

    (void)state;
    for (size_t size = 0; size < sizeof data; size++) {
        bytes_reader_init(&reader, data, size);
        assert_true(bytes_get_u64(&reader) == 0);
        assert_true(reader.failed);
        assert_int_equal(bytes_get_u8(&reader), 0);
        assert_null(bytes_get_raw(&reader, 0));
        assert_false(bytes_reader_done(&reader));
    }
    bytes_reader_init(&reader, data, sizeof data);
    bytes_reader_fail(&reader);
    assert_int_equal(bytes_get_u8(&reader), 0);
}

/* A blob is refused when it is cut off or longer than its reader takes; nothing is copied then. */
static void test_a_blob_is_bounded(void **state)
{
    static const uint8_t data[] = {0, 0, 0, 3, 'a', 'b', 'c'};
    static const uint8_t huge[] = {0xff, 0xff, 0xff, 0xff, 'a'};
    struct bytes_reader reader;
    size_t size = 4711;

    (void)state;
    for (size_t cut = 0; cut < sizeof data; cut++) {
        bytes_reader_init(&reader, data, cut);
        assert_null(bytes_get_blob(&reader, 100, &size));
        assert_int_equal(size, 0);
        assert_true(reader.failed);
    }
    bytes_reader_init(&reader, data, sizeof data);
    assert_null(bytes_get_blob(&reader, 2, &size));
    assert_false(bytes_reader_done(&reader));
    bytes_reader_init(&reader, huge, sizeof huge);
    assert_null(bytes_get_string(&reader, SIZE_MAX));
    assert_true(reader.failed);
}

/* A string holds no NUL, because its reader would see it cut off there. */
static void test_a_string_with_a_nul_is_refused(void **state)
{
    static const uint8_t data[] = {0, 0, 0, 3, 'a', 0, 'c'};
    struct bytes_reader reader;

    (void)state;
    bytes_reader_init(&reader, data, sizeof data);
    assert_null(bytes_get_string(&reader, 100));
    assert_true(reader.failed);
}

/* Nothing at all may be read from, as nothing. */
static void test_an_empty_reader_is_done(void **state)
{
    struct bytes_reader reader;

    (void)state;
    bytes_reader_init(&reader, NULL, 0);
    assert_non_null(bytes_get_raw(&reader, 0));
    assert_true(bytes_reader_done(&reader));
    bytes_get_u8(&reader);
    assert_false(bytes_reader_done(&reader));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bytes_stand_in_the_stated_order),
        cmocka_unit_test(test_what_was_written_is_read_back),
        cmocka_unit_test(test_a_writer_grows),
        cmocka_unit_test(test_room_is_made_once),
        cmocka_unit_test(test_a_read_past_the_end_fails_for_good),
        cmocka_unit_test(test_a_blob_is_bounded),
        cmocka_unit_test(test_a_string_with_a_nul_is_refused),
        cmocka_unit_test(test_an_empty_reader_is_done),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
