/* Paths, queries and numbers of a request.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "broker/bus/err.h"
#include "client/bridge/params.h"

static void expect_decoded(const char *text, bool plus, const char *expected)
{
    char *decoded = NULL;
    const char *why = NULL;
    assert_int_equal(params_decode(text, strlen(text), plus, &decoded, &why), 0);
    assert_string_equal(decoded, expected);
    free(decoded);
}

/* Escapes become bytes; a plus is a blank in queries only. */
static void test_escapes_are_decoded(void **state)
{
    (void)state;
    expect_decoded("", true, "");
    expect_decoded("a%20b", true, "a b");
    expect_decoded("a+b%2B", true, "a b+");
    expect_decoded("a+b", false, "a+b");
    expect_decoded("%2Fx%2f%25", false, "/x/%");
    expect_decoded("caf%C3%A9", false, "caf\xc3\xa9");
}

/* Bad escapes, control characters and text that is not UTF-8 are refused with the reason. */
static void test_bad_text_is_refused(void **state)
{
    static const struct {
        const char *text, *says;
    } bad[] = {
        {"%", "hexadecimal"},   {"%2", "hexadecimal"},     {"a%2x", "hexadecimal"},
        {"%00", "control"},     {"a%0Ab", "control"},      {"%7f", "control"},
        {"%ff", "UTF-8"},       {"%C3", "UTF-8"},          {"%C0%AF", "UTF-8"},
        {"%ED%A0%80", "UTF-8"}, {"%F4%90%80%80", "UTF-8"}, {"%C3%28", "UTF-8"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        char *decoded = NULL;
        const char *why = NULL;
        assert_int_equal(params_decode(bad[i].text, strlen(bad[i].text), false, &decoded, &why),
                         ERR_INVALID);
        assert_null(decoded);
        assert_non_null(strstr(why, bad[i].says));
    }
}

/* What is encoded decodes to what it was, whatever it was. */
static void test_encoded_text_decodes_to_itself(void **state)
{
    static const char text[] = "a b+c&d=e/f?g%h#\xc3\xa9~-._";
    struct bytes_writer out = {0};
    (void)state;

    params_encode(&out, text);
    assert_null(memchr(out.data, '&', out.size));
    assert_null(memchr(out.data, '+', out.size));
    bytes_put_u8(&out, 0);
    expect_decoded((const char *)out.data, true, text);
    bytes_writer_close(&out);
}

/* Numbers are whole, plain and within their range. */
static void test_numbers_are_plain_and_in_range(void **state)
{
    static const char *const bad[] = {"",    "0",  "11", "-1", "+1",  "1.0",
                                      "1e1", " 1", "1 ", "01", "0x1", "9999999999999999999"};
    int64_t number = 7;
    (void)state;

    assert_true(params_number("1", 1, 10, &number));
    assert_int_equal(number, 1);
    assert_true(params_number("10", 1, 10, &number));
    assert_int_equal(number, 10);
    assert_true(params_number("999999999999999999", 0, INT64_MAX, &number));
    assert_true(number == 999999999999999999);
    assert_true(params_number("0", 0, 10, &number));
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(params_number(bad[i], 1, 10, &number));
    assert_int_equal(number, 0);
}

static const char *const known[] = {"q", "limit", NULL};

/* Known parameters are found by name, empty ones and stray '&' are no error. */
static void test_a_query_is_read(void **state)
{
    struct params_query query;
    char *error = NULL;
    (void)state;

    assert_int_equal(params_query_read(&query, "&q=harry+potter&&limit=&", known, &error), 0);
    assert_string_equal(params_query_get(&query, "q"), "harry potter");
    assert_string_equal(params_query_get(&query, "limit"), "");
    assert_null(params_query_get(&query, "cursor"));
    params_query_close(&query);
    assert_int_equal(params_query_read(&query, "q", known, &error), 0);
    assert_string_equal(params_query_get(&query, "q"), "");
    params_query_close(&query);
    assert_int_equal(params_query_read(&query, "", NULL, &error), 0);
    params_query_close(&query);
}

/* Unknown, doubled and undecodable parameters are errors that name them. */
static void test_a_wrong_parameter_is_named(void **state)
{
    static const struct {
        const char *text, *says;
    } bad[] = {
        {"colour=red", "\"colour\" here"}, {"q=1&q=2", "\"q\" is there twice"},
        {"q=%zz", "\"q\": a '%'"},         {"q=%ff", "\"q\": it is not UTF-8"},
        {"%zz=1", "name: a '%'"},          {"limit=1&Q=1", "\"Q\" here"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct params_query query;
        char *error = NULL;
        assert_int_equal(params_query_read(&query, bad[i].text, known, &error), ERR_INVALID);
        assert_non_null(strstr(error, bad[i].says));
        free(error);
        params_query_close(&query);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_escapes_are_decoded),
        cmocka_unit_test(test_bad_text_is_refused),
        cmocka_unit_test(test_encoded_text_decodes_to_itself),
        cmocka_unit_test(test_numbers_are_plain_and_in_range),
        cmocka_unit_test(test_a_query_is_read),
        cmocka_unit_test(test_a_wrong_parameter_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
