/* What a request must be like before anything else is made of it.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "broker/bus/err.h"
#include "client/bridge/http_check.h"

#define HEADERS_MAX 6

/* A request from text: "METHOD TARGET VERSION", then pairs of name and value up to NULL. */
struct sample {
    const char *line[3];
    const char *pairs[2 * HEADERS_MAX + 1];
};

static int check(const struct sample *sample,
                 int (*run)(const struct http_request *, const char **), const char **why)
{
    struct http_header headers[HEADERS_MAX];
    struct http_request request = {.method = sample->line[0],
                                   .target = sample->line[1],
                                   .version = sample->line[2],
                                   .headers = headers};
    *why = NULL;
    for (const char *const *pair = sample->pairs; *pair != NULL; pair += 2)
        headers[request.header_count++] =
            (struct http_header){pair[0], strlen(pair[0]), pair[1], strlen(pair[1])};
    return run(&request, why);
}

static void expect(const struct sample *sample,
                   int (*run)(const struct http_request *, const char **), int code,
                   const char *says)
{
    const char *why;
    int rc = check(sample, run, &why);
    if (rc != code)
        print_error("%s %s: %s\n", sample->line[0], sample->line[1],
                    why != NULL ? why : "accepted");
    assert_int_equal(rc, code);
    if (says != NULL)
        assert_non_null(strstr(why, says));
}

#define GET(target)                                                                                \
    {                                                                                              \
        "GET", target, "HTTP/1.1"                                                                  \
    }
#define POST                                                                                       \
    {                                                                                              \
        "POST", "/orders", "HTTP/1.1"                                                              \
    }
#define HOST "Host", "localhost:8080"

/* What well-behaved clients send passes. */
static void test_ordinary_requests_pass(void **state)
{
    static const struct sample good[] = {
        {GET("/"), {HOST}},
        {GET("/search?q=a%20b"), {HOST, "Accept", "*/*"}},
        {{"GET", "/", "HTTP/1.0"}, {HOST}},
        {{"OPTIONS", "*", "HTTP/1.1"}, {HOST}},
        {GET("http://localhost:8080/orders"), {HOST}},
        {GET("/"), {"host", "[::1]:8080"}},
        {GET("/"), {"HOST", "store.example"}},
        {POST, {HOST, "Content-Length", "12"}},
        {POST, {HOST, "Transfer-Encoding", "Chunked"}},
        {GET("/"), {HOST, "X-Name", "caf\xc3\xa9\tau lait"}},
    };
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        expect(&good[i], http_check_head, 0, NULL);
}

/* What two servers may read in two ways is refused, and the reason says what it was. */
static void test_ambiguous_framing_is_refused(void **state)
{
    static const struct {
        struct sample sample;
        const char *says;
    } bad[] = {
        {{POST, {HOST, "Content-Length", "1", "Content-Length", "2"}}, "more than one Content-L"},
        {{POST, {HOST, "Content-Length", "1", "content-length", "1"}}, "more than one Content-L"},
        {{POST, {HOST, "Content-Length", "+1"}}, "not a number"},
        {{POST, {HOST, "Content-Length", "1, 1"}}, "not a number"},
        {{POST, {HOST, "Content-Length", ""}}, "not a number"},
        {{POST, {HOST, "Content-Length", "0x1"}}, "not a number"},
        {{POST, {HOST, "Content-Length", "1", "Transfer-Encoding", "chunked"}},
         "Content-Length and"},
        {{POST, {HOST, "Transfer-Encoding", "gzip, chunked"}}, "only Transfer-Encoding"},
        {{POST, {HOST, "Transfer-Encoding", "identity"}}, "only Transfer-Encoding"},
        {{POST, {HOST, "Transfer-Encoding", "chunked", "Transfer-Encoding", "chunked"}},
         "only Transfer-Encoding"},
        {{{"POST", "/orders", "HTTP/1.0"}, {HOST, "Transfer-Encoding", "chunked"}}, "HTTP/1.0"},
        {{GET("/"), {HOST, "X-A ", "b"}}, "name"},
        {{GET("/"), {HOST, "", "b"}}, "name"},
        {{GET("/"), {HOST, "X(A)", "b"}}, "name"},
        {{GET("/"), {HOST, "X-A", "b\rc"}}, "control character"},
        {{GET("/"), {HOST, "X-A", "b\x7f"}}, "control character"},
        {{GET("/"), {NULL}}, "Host is missing"},
        {{GET("/"), {HOST, HOST}}, "more than one Host"},
        {{GET("/"), {"Host", ""}}, "NAME"},
        {{GET("/"), {"Host", "a b"}}, "NAME"},
        {{GET("/"), {"Host", "a@b"}}, "NAME"},
        {{GET("/"), {"Host", "localhost:80x"}}, "NAME"},
        {{GET("/"), {"Host", "localhost:123456"}}, "NAME"},
        {{GET("/"), {"Host", "[::1"}}, "NAME"},
        {{GET("/"), {"Host", "localhost, evil"}}, "NAME"},
        {{GET("/a b"), {HOST}}, "visible ASCII"},
        {{GET("/a#b"), {HOST}}, "visible ASCII"},
        {{GET("/\xc3\xa9"), {HOST}}, "visible ASCII"},
        {{GET("orders"), {HOST}}, "begin with"},
        {{GET("*"), {HOST}}, "begin with"},
        {{GET(""), {HOST}}, "begin with"},
        {{GET("http://evil/"), {HOST}}, "another host"},
        {{{"GET", "/", "HTTP/2.0"}, {HOST}}, "HTTP/1.1"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        expect(&bad[i].sample, http_check_head, ERR_MALFORMED, bad[i].says);
}

static int run_host(const struct http_request *request, const char **why)
{
    static const char *const hosts[] = {"localhost", "127.0.0.1", "[::1]", "store.example"};
    return http_check_host(request, hosts, 4, why);
}

/* Only names of the list are served, with any port, in any case. */
static void test_only_listed_hosts_are_served(void **state)
{
    static const char *const good[] = {"localhost", "LocalHost:1", "127.0.0.1:8080", "[::1]:8080",
                                       "store.example"};
    static const char *const bad[] = {"evil.example", "localhost.evil.example", "127.0.0.10",
                                      "xlocalhost", "[::2]"};
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        expect(&(struct sample){GET("/"), {"Host", good[i]}}, run_host, 0, NULL);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        expect(&(struct sample){GET("/"), {"Host", bad[i]}}, run_host, ERR_HTTP_HOST, "hosts");
}

/* A page of another site may not write; who tells no origin is no browser. */
static void test_pages_of_other_sites_may_not_write(void **state)
{
    static const struct sample good[] = {
        {POST, {HOST}},
        {POST, {HOST, "Origin", "http://localhost:8080"}},
        {POST, {HOST, "Origin", "https://LOCALHOST:8080"}},
        {POST, {HOST, "Sec-Fetch-Site", "same-origin"}},
        {POST, {HOST, "Sec-Fetch-Site", "none"}},
    };
    static const struct sample bad[] = {
        {POST, {HOST, "Origin", "http://evil.example"}},
        {POST, {HOST, "Origin", "http://localhost:8081"}},
        {POST, {HOST, "Origin", "http://localhost:80801"}},
        {POST, {HOST, "Origin", "http://localhost"}},
        {POST, {HOST, "Origin", "null"}},
        {POST, {HOST, "Origin", ""}},
        {POST, {HOST, "Origin", "http://localhost:8080", "Origin", "http://evil.example"}},
        {POST, {HOST, "Sec-Fetch-Site", "cross-site"}},
        {POST, {HOST, "Sec-Fetch-Site", "same-site"}},
        {POST, {HOST, "Origin", "http://localhost:8080", "Sec-Fetch-Site", "cross-site"}},
    };
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        expect(&good[i], http_check_origin, 0, NULL);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        expect(&bad[i], http_check_origin, ERR_HTTP_ORIGIN, NULL);
    assert_true(http_check_is_write("POST"));
    assert_true(http_check_is_write("DELETE"));
    assert_true(http_check_is_write("ANYTHING"));
    assert_false(http_check_is_write("GET"));
    assert_false(http_check_is_write("HEAD"));
    assert_false(http_check_is_write("OPTIONS"));
}

/* Both forms of a target lead to the same path. */
static void test_the_path_is_found_in_both_forms_of_a_target(void **state)
{
    (void)state;
    assert_string_equal(http_check_path("/orders?limit=1"), "/orders?limit=1");
    assert_string_equal(http_check_path("http://localhost:8080/orders?limit=1"), "/orders?limit=1");
    assert_string_equal(http_check_path("HTTPS://localhost"), "/");
    assert_string_equal(http_check_path("*"), "*");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ordinary_requests_pass),
        cmocka_unit_test(test_ambiguous_framing_is_refused),
        cmocka_unit_test(test_only_listed_hosts_are_served),
        cmocka_unit_test(test_pages_of_other_sites_may_not_write),
        cmocka_unit_test(test_the_path_is_found_in_both_forms_of_a_target),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
