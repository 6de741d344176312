/* A catalog's file: checked as a whole, with the line and column of what is wrong.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "broker/bus/alloc.h"
#include "broker/bus/limits.h"
#include "client/cli/catalog_file.h"

static void check_refused(const char *text, const char *expected)
{
    struct catalog_file file;
    char *error = NULL;
    assert_false(catalog_file_read(&file, "f.csv", text, strlen(text), &error));
    assert_string_equal(error, expected);
    assert_null(file.rows);
    free(error);
}

static struct catalog_file read_file(const char *text)
{
    struct catalog_file file;
    char *error = NULL;
    bool good = catalog_file_read(&file, "f.csv", text, strlen(text), &error);
    if (!good)
        fail_msg("%s", error);
    return file;
}

static void check_row(const struct catalog_file *file, size_t index, const char *expected)
{
    char *text = json_dumps(json_array_get(file->rows, index), JSON_COMPACT);
    assert_string_equal(text, expected);
    free(text);
}

/* Columns in any order; an empty cell is an empty text, an unknown year, an unnamed price. */
static void test_rows_hold_what_the_columns_say(void **state)
{
    (void)state;
    struct catalog_file file = read_file("title,id,year,topic,price_cents,stock,currency\r\n"
                                         "\"A, B\",5,-800,classics,1999,0,USD\r\n"
                                         "C,6,,,,,\r\n");
    assert_int_equal(file.row_count, 2);
    check_row(&file, 0,
              "{\"title\":\"A, B\",\"id\":5,\"year\":-800,\"topic\":\"classics\","
              "\"price_cents\":1999,\"stock\":0,\"currency\":\"USD\"}");
    check_row(&file, 1, "{\"title\":\"C\",\"id\":6,\"year\":null,\"topic\":\"\"}");
    assert_null(file.ignored);
    catalog_file_close(&file);
}

/* A column that is not there is not mentioned; one that is not known is ignored, and told. */
static void test_other_columns_are_ignored_and_told(void **state)
{
    (void)state;
    struct catalog_file file = read_file("id,language,title,rating\n5,en,A,4.5\n");
    check_row(&file, 0, "{\"id\":5,\"title\":\"A\"}");
    assert_string_equal(file.ignored, "language, rating");
    catalog_file_close(&file);
}

/* Rows know their lines, also behind titles of two lines in a column that is ignored. */
static void test_rows_know_their_lines(void **state)
{
    (void)state;
    struct catalog_file file = read_file("id,title,note\n1,A,\"x\ny\"\n2,B,\n\n\n");
    assert_int_equal(file.row_count, 2);
    assert_int_equal(file.lines[0], 2);
    assert_int_equal(file.lines[1], 4);
    catalog_file_close(&file);
}

/* A header and nothing else is a catalog without rows. */
static void test_a_header_alone_is_no_error(void **state)
{
    (void)state;
    struct catalog_file file = read_file("\xef\xbb\xbfid,title\n");
    assert_int_equal(file.row_count, 0);
    assert_int_equal(json_array_size(file.rows), 0);
    catalog_file_close(&file);
}

/* Faults of the header. */
static void test_a_wrong_header_is_refused(void **state)
{
    (void)state;
    check_refused("", "f.csv:1: there is nothing; the first line names the columns");
    check_refused("\n\n", "f.csv:1: there is nothing; the first line names the columns");
    check_refused("id,authors\n1,A\n", "f.csv:1: the column \"title\" is missing; the first line "
                                       "names the columns");
    check_refused("title\nA\n", "f.csv:1: the column \"id\" is missing; the first line names the "
                                "columns");
    check_refused("id,title,id\n", "f.csv:1: column \"id\" is there twice");
    check_refused("id,title,x,x\n", "f.csv:1: column \"x\" is there twice");
    check_refused("id,title,\n", "f.csv:1: column 3 has no name");
}

/* Faults of rows: each names its line, and the column. */
static void test_a_wrong_row_is_refused_with_line_and_column(void **state)
{
    static const struct {
        const char *text;
        const char *error;
    } cases[] = {
        {"id,title\n1,A\n2\n", "f.csv:3: there are 1 fields where the first line names 2 columns"},
        {"id,title\n1,A,x\n", "f.csv:2: there are 3 fields where the first line names 2 columns"},
        {"id,title\n1,A\n\n2,B\n", "f.csv:3: an empty line"},
        {"id,title\n0,A\n", "f.csv:2: column \"id\" \"0\" must be 1 to 9007199254740991"},
        {"id,title\n,A\n",
         "f.csv:2: column \"id\" \"\" is not a whole number (1 to 9007199254740991)"},
        {"id,title\n1.5,A\n",
         "f.csv:2: column \"id\" \"1.5\" is not a whole number (1 to 9007199254740991)"},
        {"id,title\n1,\n", "f.csv:2: column \"title\" is empty"},
        {"id,title\n1,\"A\nB\"\n", "f.csv:2: column \"title\" has a control character in it"},
        {"id,title,stock\n1,A,5\n2,B,-1\n",
         "f.csv:3: column \"stock\" \"-1\" must be 0 to 1000000000"},
        {"id,title,price_cents\n1,A,19.99\n",
         "f.csv:2: column \"price_cents\" \"19.99\" is not a whole number (0 to 1000000000)"},
        {"id,title,year\n1,A,12000\n", "f.csv:2: column \"year\" \"12000\" must be -9999 to 9999"},
        {"id,title,currency\n1,A,usd\n",
         "f.csv:2: column \"currency\" is not three letters A to Z"},
        {"id,title,currency\n1,A,EURO\n",
         "f.csv:2: column \"currency\" is not three letters A to Z"},
        {"id,title\n7,A\n8,\"B\n\"\"\n", "f.csv:3: a quote that is never closed"},
        {"id,title\n7,A\n8,B\"\n", "f.csv:3: a quote inside a field that does not begin with one"},
        {"id,title\n7,A\n8,\xff\n", "f.csv:3: byte 0xff is not UTF-8"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        check_refused(cases[i].text, cases[i].error);
}

/* An id that is there twice names both lines, also when it is written in two ways. */
static void test_a_doubled_id_is_refused_with_both_lines(void **state)
{
    (void)state;
    check_refused("id,title\n7,A\n8,B\n7,C\n",
                  "f.csv:4: column \"id\" has 7, which is on line 2 already");
    check_refused("id,title\n7,A\n007,C\n",
                  "f.csv:3: column \"id\" has 7, which is on line 2 already");
}

/* Texts are bounded in bytes, as the store bounds them. */
static void test_texts_are_bounded(void **state)
{
    char *text = alloc_zero(TITLE_BYTES_MAX + 32);
    (void)state;
    strcpy(text, "id,title\n1,");
    size_t head = strlen(text);
    memset(text + head, 'x', TITLE_BYTES_MAX);
    struct catalog_file file = read_file(text);
    assert_int_equal(file.row_count, 1);
    catalog_file_close(&file);
    text[head + TITLE_BYTES_MAX] = 'x';
    check_refused(text, "f.csv:2: column \"title\" has 513 bytes; at most 512 are allowed");
    free(text);
}

/* Items that are written are read back as the same rows. */
static void test_what_is_dumped_is_read_back(void **state)
{
    static const char *const items[] = {
        "{\"id\":1,\"title\":\"A \\\"B\\\", C\",\"authors\":\"X; Y\",\"topic\":\"t\","
        "\"year\":-800,\"isbn\":\"9\",\"price_cents\":1999,\"currency\":\"USD\",\"stock\":0}",
        "{\"id\":2,\"title\":\" d\xc3\xa9j\xc3\xa0\",\"authors\":\"\",\"topic\":\"\","
        "\"year\":null,\"isbn\":\"\",\"price_cents\":0,\"currency\":\"EUR\",\"stock\":7}"};
    struct bytes_writer out = {0};
    struct catalog_file file;
    char *error = NULL;
    (void)state;
    catalog_file_write_header(&out);
    for (size_t i = 0; i < 2; i++) {
        json_t *item = json_loads(items[i], 0, NULL);
        json_object_set_new(item, "version", json_integer(99));
        catalog_file_write_item(&out, item);
        json_decref(item);
    }
    assert_true(catalog_file_read(&file, "f.csv", out.data, out.size, &error));
    for (size_t i = 0; i < 2; i++)
        check_row(&file, i, items[i]);
    catalog_file_close(&file);
    bytes_writer_close(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows_hold_what_the_columns_say),
        cmocka_unit_test(test_other_columns_are_ignored_and_told),
        cmocka_unit_test(test_rows_know_their_lines),
        cmocka_unit_test(test_a_header_alone_is_no_error),
        cmocka_unit_test(test_a_wrong_header_is_refused),
        cmocka_unit_test(test_a_wrong_row_is_refused_with_line_and_column),
        cmocka_unit_test(test_a_doubled_id_is_refused_with_both_lines),
        cmocka_unit_test(test_texts_are_bounded),
        cmocka_unit_test(test_what_is_dumped_is_read_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
