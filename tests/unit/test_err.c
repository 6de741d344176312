/* The table of outcomes.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/bus/err.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static const struct {
    int code;
    int http;
    const char *type;
    const char *title;
} rows[] = {
#define X(name, code, http, type, title) {code, http, type, title},
    ERR_TABLE(X)
#undef X
};

#define ROWS (sizeof rows / sizeof rows[0])

/* No code and no slug stands twice, and both fit where they are put: a code is two bytes on the
 * wire, a slug is part of an address. */
static void test_codes_and_slugs_are_unique_and_well_formed(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS; i++) {
        assert_in_range(rows[i].code, 0, UINT16_MAX);
        assert_in_range(rows[i].http, 200, 599);
        assert_int_equal(strspn(rows[i].type, "abcdefghijklmnopqrstuvwxyz-"), strlen(rows[i].type));
        assert_true(strlen(rows[i].type) > 0 && strlen(rows[i].title) > 0);
        for (size_t j = 0; j < i; j++) {
            assert_int_not_equal(rows[i].code, rows[j].code);
            assert_string_not_equal(rows[i].type, rows[j].type);
        }
    }
}

/* Each row is found by its code. */
static void test_each_row_is_found(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS; i++) {
        assert_string_equal(err_type(rows[i].code), rows[i].type);
        assert_string_equal(err_title(rows[i].code), rows[i].title);
        assert_int_equal(err_http(rows[i].code), rows[i].http);
    }
}

/* The codes are on the wire: these numbers never change. */
static void test_codes_keep_their_numbers(void **state)
{
    (void)state;
    assert_int_equal(OK, 0);
    assert_int_equal(ERR_NO_SERVICE, 1);
    assert_int_equal(ERR_NOT_IMPLEMENTED, 12);
    assert_int_equal(ERR_UNKNOWN, 100);
    assert_int_equal(ERR_VERSION, 108);
    assert_int_equal(ERR_INVALID, 200);
    assert_int_equal(ERR_LIMIT, 212);
    assert_int_equal(ERR_HTTP_METHOD, 300);
    assert_int_equal(ERR_INTERNAL, 399);
}

/* From a code that a newer peer sends nothing is concluded. */
static void test_an_unlisted_code_is_an_unknown_outcome(void **state)
{
    static const int codes[] = {-1, 99, 4711, UINT16_MAX};

    (void)state;
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
        assert_string_equal(err_type(codes[i]), "unknown-outcome");
        assert_int_equal(err_http(codes[i]), 504);
        assert_true(err_is_unknown(codes[i]));
        assert_true(err_is_retryable(codes[i]));
    }
}

/* HTTP tells the same story: 504 is an unknown outcome, 503 was not attempted and may be tried
 * again, anything below 500 is definite and repeating it is in vain. */
static void test_http_agrees_with_the_effect(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS; i++) {
        if (rows[i].http == 504)
            assert_true(err_is_unknown(rows[i].code));
        if (rows[i].http == 503) {
            assert_false(err_is_unknown(rows[i].code));
            assert_true(err_is_retryable(rows[i].code));
        }
        if (rows[i].http < 500) {
            assert_false(err_is_unknown(rows[i].code));
            assert_false(err_is_retryable(rows[i].code));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_codes_and_slugs_are_unique_and_well_formed),
        cmocka_unit_test(test_each_row_is_found),
        cmocka_unit_test(test_codes_keep_their_numbers),
        cmocka_unit_test(test_an_unlisted_code_is_an_unknown_outcome),
        cmocka_unit_test(test_http_agrees_with_the_effect),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
