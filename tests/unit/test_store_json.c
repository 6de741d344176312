/* Requests of the store are read strictly, and errors have one shape.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "broker/bus/err.h"
#include "broker/bus/limits.h"
#include "broker/bus/store_json.h"

/* A request is an object with an op; what it may have besides is left to its operation. */
static void test_a_request_is_read(void **state)
{
    static const char text[] = "{\"op\": \"ping\", \"request_id\": \"r-1\", \"more\": [1, {}]}";
    char why[STORE_JSON_WHY_BYTES];
    json_t *request = NULL;
    (void)state;

    assert_int_equal(store_json_request(text, strlen(text), &request, why), OK);
    assert_string_equal(json_string_value(json_object_get(request, "op")), "ping");
    assert_false(store_json_is_bare(request));
    json_object_del(request, "more");
    assert_true(store_json_is_bare(request));
    json_decref(request);
}

/* What is no request is refused, with a sentence that says why. */
static void test_what_is_no_request_is_refused(void **state)
{
    static const struct {
        const char *text;
        int code;
        const char *says;
    } rows[] = {
        {"", ERR_MALFORMED, "line 1"},
        {"{\"op\": \"a\"", ERR_MALFORMED, "line 1"},
        {"[]", ERR_MALFORMED, "object"},
        {"{\"op\": \"a\", \"op\": \"a\"}", ERR_MALFORMED, "line 1"},
        {"{\"op\": \"\xff\"}", ERR_MALFORMED, "line 1"},
        {"{}", ERR_INVALID, "op"},
        {"{\"op\": 1}", ERR_INVALID, "op"},
        {"{\"op\": \"a\", \"request_id\": 1}", ERR_INVALID, "request_id"},
        {"{\"op\": \"a\", \"request_id\": \"\"}", ERR_INVALID, "request_id"},
        {"{\"op\": \"a\", \"request_id\": \"a b\"}", ERR_INVALID, "request_id"},
    };
    (void)state;

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char why[STORE_JSON_WHY_BYTES] = "";
        json_t *request = NULL;
        int code = store_json_request(rows[i].text, strlen(rows[i].text), &request, why);
        if (code != rows[i].code || strstr(why, rows[i].says) == NULL)
            fail_msg("%s: %d, %s", rows[i].text, code, why);
        assert_null(request);
    }
}

/* Nesting is bounded before anything is parsed; brackets within strings do not count. */
static void test_nesting_is_bounded(void **state)
{
    char text[256] = "";
    char why[STORE_JSON_WHY_BYTES];
    (void)state;

    for (size_t depth = JSON_DEPTH_MAX; depth <= JSON_DEPTH_MAX + 1; depth++) {
        int size = snprintf(text, sizeof text, "{\"\\\"[[[[[[[[[[[[[[[[[[\": %.*s%.*s}",
                            (int)depth - 1, "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[", (int)depth - 1,
                            "]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]");
        json_t *object = store_json_parse(text, (size_t)size, why);
        assert_int_equal(object != NULL, depth == JSON_DEPTH_MAX);
        json_decref(object);
    }
    assert_non_null(strstr(why, "too deep"));
}

/* An error has its type and title from the table, a detail that is JSON whatever it quotes, and the
 * members of its kind. */
static void test_an_error_has_one_shape(void **state)
{
    json_t *body = store_json_error(ERR_NOT_FOUND, "no \xc3", json_pack("{s:i}", "id", 7));
    const char *type, *title, *detail;
    int id;
    (void)state;

    assert_int_equal(json_unpack(body, "{s:{s:s, s:s, s:s, s:i !} !}", "error", "type", &type,
                                 "title", &title, "detail", &detail, "id", &id),
                     0);
    assert_string_equal(type, err_type(ERR_NOT_FOUND));
    assert_string_equal(title, err_title(ERR_NOT_FOUND));
    assert_string_equal(detail, "no ?");
    assert_int_equal(id, 7);
    json_decref(body);

    body = store_json_error(ERR_BUSY, NULL, NULL);
    assert_int_equal(json_object_size(json_object_get(body, "error")), 2);
    json_decref(body);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_request_is_read),
        cmocka_unit_test(test_what_is_no_request_is_refused),
        cmocka_unit_test(test_nesting_is_bounded),
        cmocka_unit_test(test_an_error_has_one_shape),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
