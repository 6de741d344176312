/* CSV: what RFC 4180 allows is read as it was meant, and what it does not is refused with its line.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "broker/bus/alloc.h"
#include "broker/bus/limits.h"
#include "client/cli/csv.h"

/* Read all records of @text and write them as "a|b;c|d;", with the line of each before it when
 * @lines; or the error as "line: why". The caller's to free(). */
static char *read_all(const char *text, size_t size, bool lines)
{
    struct bytes_writer out = {0};
    struct csv_reader reader;
    enum csv_result result;
    char head[256];
    csv_reader_init(&reader, text, size);
    while ((result = csv_next(&reader)) == CSV_RECORD) {
        snprintf(head, sizeof head, "%zu:", reader.record_line);
        if (lines)
            bytes_put_raw(&out, head, strlen(head));
        for (size_t i = 0; i < reader.field_count; i++) {
            const char *field = csv_field(&reader, i);
            bytes_put_raw(&out, field, strlen(field));
            bytes_put_u8(&out, i + 1 < reader.field_count ? '|' : ';');
        }
    }
    if (result == CSV_ERROR) {
        snprintf(head, sizeof head, "%zu: %s", reader.error_line, reader.why);
        out.size = 0;
        bytes_put_raw(&out, head, strlen(head));
        /* An error is for good. */
        assert_int_equal(csv_next(&reader), CSV_ERROR);
    }
    bytes_put_u8(&out, 0);
    csv_reader_close(&reader);
    return (char *)out.data;
}

static void check(const char *text, size_t size, bool lines, const char *expected)
{
    char *read = read_all(text, size, lines);
    assert_string_equal(read, expected);
    free(read);
}

#define READS(text, expected)       check(text, sizeof(text) - 1, false, expected)
#define READS_LINES(text, expected) check(text, sizeof(text) - 1, true, expected)

/* The forms that RFC 4180 shows: plain, quoted, with and without a last end of line. */
static void test_the_forms_of_the_standard_are_read(void **state)
{
    (void)state;
    READS("", "");
    READS("aaa,bbb,ccc\r\nzzz,yyy,xxx\r\n", "aaa|bbb|ccc;zzz|yyy|xxx;");
    READS("aaa,bbb,ccc\nzzz,yyy,xxx", "aaa|bbb|ccc;zzz|yyy|xxx;");
    READS("\"aaa\",\"b\r\nbb\",\"ccc\"\r\nzzz,yyy,xxx", "aaa|b\r\nbb|ccc;zzz|yyy|xxx;");
    READS("\"aaa\",\"b\"\"bb\",\"ccc\"", "aaa|b\"bb|ccc;");
    READS("\"\",,\"\"\"\"\n", "||\";");
    READS(" a , b \n", " a | b ;");
    READS("a,b,", "a|b|;");
    READS(",\n", "|;");
}

/* A byte order mark is no part of the first field; elsewhere it is a character like others. */
static void test_a_byte_order_mark_is_skipped_at_the_beginning_only(void **state)
{
    (void)state;
    READS("\xef\xbb\xbfid,title\n", "id|title;");
    READS("\xef\xbb\xbf", "");
    READS("\xef\xbb\xbf\"id\",x\n", "id|x;");
    READS("a\xef\xbb\xbf,b\n", "a\xef\xbb\xbf|b;");
}

/* Records are counted by the line on which they begin, whatever their quotes hold. */
static void test_a_record_knows_the_line_it_begins_on(void **state)
{
    (void)state;
    READS_LINES("a\n\"b\nb\r\nb\"\nc\r\nd", "1:a;2:b\nb\r\nb;5:c;6:d;");
}

/* An empty line is a record with one empty field, and is marked. */
static void test_an_empty_line_is_marked(void **state)
{
    struct csv_reader reader;
    (void)state;
    csv_reader_init(&reader, "a\n\n\r\n\"\"\n", 8);
    assert_int_equal(csv_next(&reader), CSV_RECORD);
    assert_false(reader.blank);
    assert_int_equal(csv_next(&reader), CSV_RECORD);
    assert_true(reader.blank);
    assert_int_equal(csv_next(&reader), CSV_RECORD);
    assert_true(reader.blank);
    assert_int_equal(csv_next(&reader), CSV_RECORD);
    assert_false(reader.blank);
    assert_int_equal(csv_next(&reader), CSV_END);
    assert_int_equal(csv_next(&reader), CSV_END);
    csv_reader_close(&reader);
}

/* Each malformed file is refused with the line of the fault. */
static void test_what_is_malformed_is_refused_with_its_line(void **state)
{
    (void)state;
    READS("a\nb\"c\n", "2: a quote inside a field that does not begin with one");
    READS("a\n\"b\"c\n", "2: text after a closing quote");
    READS("a\n\"b\" ,c\n", "2: text after a closing quote");
    READS("a\nb\n\"c\nd\ne\n", "3: a quote that is never closed");
    READS("a,\"", "1: a quote that is never closed");
    READS("a,\"\"\"", "1: a quote that is never closed");
    READS("a\nb\rc\n", "2: a carriage return without a line feed");
    READS("a\r", "1: a carriage return without a line feed");
    READS("\"a\"\rb", "1: a carriage return without a line feed");
    READS("a\n\"x\ny\"\nb\0c\n", "4: a NUL byte");
    READS("\"a\0\"\n", "1: a NUL byte");
}

/* Bytes that are not UTF-8 are refused where they stand: cut off, overlong, surrogates, beyond
 * Unicode, strange heads. */
static void test_broken_utf8_is_refused_with_its_line(void **state)
{
    (void)state;
    READS("\xc3\xa9t\xc3\xa9,\xf0\x9f\x93\x9a\n", "\xc3\xa9t\xc3\xa9|\xf0\x9f\x93\x9a;");
    READS("a\nb\xff\n", "2: byte 0xff is not UTF-8");
    READS("\"a\nb\x80\"", "2: byte 0x80 is not UTF-8");
    READS("\xc3", "1: byte 0xc3 is not UTF-8");
    READS("\xc0\xaf", "1: byte 0xc0 is not UTF-8");
    READS("\xe0\x80\x80", "1: byte 0xe0 is not UTF-8");
    READS("\xed\xa0\x80", "1: byte 0xed is not UTF-8");
    READS("\xf4\x90\x80\x80", "1: byte 0xf4 is not UTF-8");
    READS("\xf8\x88\x80\x80\x80", "1: byte 0xf8 is not UTF-8");
}

/* A field may be as long as its bound, and not a byte longer: an unclosed quote is found early. */
static void test_a_field_is_bounded(void **state)
{
    size_t size = CSV_FIELD_BYTES_MAX + 2;
    char *text = alloc_zero(size);
    (void)state;
    memset(text, 'x', size);
    text[size - 2] = '\n';
    text[size - 1] = 'y';
    char *read = read_all(text, size, false);
    assert_int_equal(strlen(read), CSV_FIELD_BYTES_MAX + strlen(";y;"));
    free(read);
    text[size - 2] = 'x';
    read = read_all(text, size, false);
    assert_string_equal(read, "1: a field of more than 65536 bytes");
    free(read);
    free(text);
}

/* So is a record. */
static void test_the_fields_of_a_record_are_bounded(void **state)
{
    char text[CSV_FIELDS_MAX + 1];
    (void)state;
    memset(text, ',', sizeof text);
    text[CSV_FIELDS_MAX - 1] = '\n';
    char *read = read_all(text, CSV_FIELDS_MAX, false);
    assert_int_equal(strlen(read), CSV_FIELDS_MAX);
    free(read);
    text[CSV_FIELDS_MAX - 1] = ',';
    read = read_all(text, CSV_FIELDS_MAX, false);
    assert_string_equal(read, "1: more than 256 fields");
    free(read);
}

/* What is written is read back to the byte, whatever it is. */
static void test_what_is_written_is_read_back(void **state)
{
    static const char *const fields[] = {"",     "plain", "a,b", "say \"so\"",        "two\nlines",
                                         "\r\n", " x ",   "\"",  "d\xc3\xa9j\xc3\xa0"};
    const size_t count = sizeof fields / sizeof *fields;
    struct bytes_writer out = {0};
    struct csv_reader reader;
    (void)state;
    for (size_t round = 0; round < 2; round++)
        for (size_t i = 0; i < count; i++)
            csv_write(&out, fields[i], i + 1 == count);
    csv_reader_init(&reader, out.data, out.size);
    for (size_t round = 0; round < 2; round++) {
        assert_int_equal(csv_next(&reader), CSV_RECORD);
        assert_int_equal(reader.field_count, count);
        for (size_t i = 0; i < count; i++)
            assert_string_equal(csv_field(&reader, i), fields[i]);
    }
    assert_int_equal(csv_next(&reader), CSV_END);
    csv_reader_close(&reader);
    bytes_writer_close(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_forms_of_the_standard_are_read),
        cmocka_unit_test(test_a_byte_order_mark_is_skipped_at_the_beginning_only),
        cmocka_unit_test(test_a_record_knows_the_line_it_begins_on),
        cmocka_unit_test(test_an_empty_line_is_marked),
        cmocka_unit_test(test_what_is_malformed_is_refused_with_its_line),
        cmocka_unit_test(test_broken_utf8_is_refused_with_its_line),
        cmocka_unit_test(test_a_field_is_bounded),
        cmocka_unit_test(test_the_fields_of_a_record_are_bounded),
        cmocka_unit_test(test_what_is_written_is_read_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
