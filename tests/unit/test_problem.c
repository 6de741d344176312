/* Errors over HTTP.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "broker/bus/err.h"
#include "client/bridge/problem.h"

/* The body of a problem's reply, parsed; the reply is destroyed. */
static json_t *body_of(struct http_reply *reply)
{
    json_t *body = json_loadb(reply->body, reply->body_size, 0, NULL);
    assert_non_null(body);
    http_reply_destroy(&reply);
    return body;
}

/* The value of a header, or NULL. */
static const char *header_of(const struct http_reply *reply, const char *name)
{
    for (size_t i = 0; i < reply->header_count; i++)
        if (strcmp(reply->headers[i].name, name) == 0)
            return http_reply_value(reply, i);
    return NULL;
}

static const char *text_of(const json_t *body, const char *name)
{
    return json_string_value(json_object_get(body, name));
}

/* Type, title and status come from the one table; what is known of the request is told. */
static void test_a_problem_names_its_kind_and_request(void **state)
{
    struct problem problem = {
        .code = ERR_NOT_FOUND, .detail = "no item 7", .instance = "/lookup/7", .request_id = "r-1"};
    struct http_reply *reply = problem_reply(&problem);
    (void)state;

    assert_int_equal(reply->status, 404);
    assert_string_equal(header_of(reply, "Content-Type"), "application/problem+json");
    assert_null(header_of(reply, "Retry-After"));
    json_t *body = body_of(reply);
    assert_string_equal(text_of(body, "type"), "urn:pygmy:problem:not-found");
    assert_string_equal(text_of(body, "title"), "There is no such thing");
    assert_int_equal(json_integer_value(json_object_get(body, "status")), 404);
    assert_string_equal(text_of(body, "detail"), "no item 7");
    assert_string_equal(text_of(body, "instance"), "/lookup/7");
    assert_string_equal(text_of(body, "request_id"), "r-1");
    json_decref(body);
}

/* What the store says of an error comes along, but can't replace what we say. */
static void test_the_stores_members_come_along(void **state)
{
    json_t *answer =
        json_pack("{s:{s:s, s:s, s:i, s:i, s:i}}", "error", "type", "out-of-stock", "detail",
                  "2 of item 7 are left", "requested", 5, "available", 2, "status", 200);
    struct problem problem = problem_of_answer(ERR_OUT_OF_STOCK, answer);
    json_t *body = body_of(problem_reply(&problem));
    (void)state;

    assert_string_equal(text_of(body, "type"), "urn:pygmy:problem:out-of-stock");
    assert_string_equal(text_of(body, "detail"), "2 of item 7 are left");
    assert_int_equal(json_integer_value(json_object_get(body, "requested")), 5);
    assert_int_equal(json_integer_value(json_object_get(body, "available")), 2);
    assert_int_equal(json_integer_value(json_object_get(body, "status")), 409);
    json_decref(body);
    json_decref(answer);
}

/* An answer without an error object is still a problem. */
static void test_an_answer_without_words_is_a_problem(void **state)
{
    json_t *odd[] = {NULL, json_object(), json_array(), json_pack("{s:i}", "error", 1)};
    (void)state;
    for (size_t i = 0; i < sizeof odd / sizeof odd[0]; i++) {
        struct problem problem = problem_of_answer(ERR_BUSY, odd[i]);
        json_t *body = body_of(problem_reply(&problem));
        assert_string_equal(text_of(body, "type"), "urn:pygmy:problem:busy");
        json_decref(body);
        json_decref(odd[i]);
    }
}

/* What was not attempted may be sent again after a moment; who must log in is told how. */
static void test_statuses_have_their_headers(void **state)
{
    struct http_reply *reply = problem_reply(&(struct problem){.code = ERR_UNAVAILABLE});
    (void)state;

    assert_int_equal(reply->status, 503);
    assert_string_equal(header_of(reply, "Retry-After"), "1");
    http_reply_destroy(&reply);
    reply = problem_reply(&(struct problem){.code = ERR_HTTP_BUSY});
    assert_int_equal(reply->status, 429);
    assert_string_equal(header_of(reply, "Retry-After"), "1");
    http_reply_destroy(&reply);
    reply = problem_reply(&(struct problem){.code = ERR_UNAUTHORIZED});
    assert_int_equal(reply->status, 401);
    assert_string_equal(header_of(reply, "WWW-Authenticate"), "Bearer realm=\"pygmy\"");
    http_reply_destroy(&reply);
}

/* An unknown outcome of a write is told as such, and that the same key is safe; a code that nobody
 * knows is one as well. A read that came to nothing is just that. */
static void test_an_unknown_outcome_is_told_honestly(void **state)
{
    static const int codes[] = {ERR_TIMEOUT, ERR_WORKER_LOST, ERR_UNKNOWN, 12345};
    (void)state;
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
        struct http_reply *reply =
            problem_reply(&(struct problem){.code = codes[i], .write = true});
        assert_int_equal(reply->status, 504);
        json_t *body = body_of(reply);
        assert_non_null(strstr(text_of(body, "detail"), "outcome is unknown"));
        assert_non_null(strstr(text_of(body, "detail"), "same Idempotency-Key"));
        json_decref(body);
    }
    json_t *body = body_of(problem_reply(&(struct problem){.code = ERR_TIMEOUT}));
    assert_null(strstr(text_of(body, "detail"), "outcome"));
    json_decref(body);
}

/* Bytes that are not UTF-8 are left out rather than passed on. */
static void test_what_is_not_utf8_is_left_out(void **state)
{
    json_t *body = body_of(problem_reply(&(struct problem){.code = ERR_INVALID, .detail = "\xff"}));
    (void)state;
    assert_null(text_of(body, "detail"));
    assert_string_equal(text_of(body, "type"), "urn:pygmy:problem:invalid");
    json_decref(body);
}

/* A header's value can't end its line. */
static void test_a_header_cannot_be_split(void **state)
{
    struct http_reply *reply = http_reply_new(200);
    (void)state;
    http_reply_header(reply, "Link", "a\r\nSet-Cookie: b\xc3\xa9");
    assert_string_equal(header_of(reply, "Link"), "a??Set-Cookie: b??");
    http_reply_destroy(&reply);
    assert_null(reply);
    http_reply_destroy(&reply);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_problem_names_its_kind_and_request),
        cmocka_unit_test(test_the_stores_members_come_along),
        cmocka_unit_test(test_an_answer_without_words_is_a_problem),
        cmocka_unit_test(test_statuses_have_their_headers),
        cmocka_unit_test(test_an_unknown_outcome_is_told_honestly),
        cmocka_unit_test(test_what_is_not_utf8_is_left_out),
        cmocka_unit_test(test_a_header_cannot_be_split),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
