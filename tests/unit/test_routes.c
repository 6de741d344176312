/* From a method and a path to a route.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "broker/bus/err.h"
#include "client/bridge/routes.h"

static int find(const char *method, const char *path, const struct route **route,
                struct route_parameter *parameter, char *allow)
{
    size_t count;
    const struct route *routes = routes_all(&count);
    *route = NULL;
    return routes_find(routes, count, method, path, strlen(path), route, parameter, allow);
}

static void expect(const char *method, const char *path, const char *pattern, const char *text)
{
    const struct route *route;
    struct route_parameter parameter = {0};
    char allow[ROUTE_ALLOW_BYTES];

    assert_int_equal(find(method, path, &route, &parameter, allow), 0);
    assert_string_equal(route->pattern, pattern);
    if (text != NULL) {
        assert_int_equal(parameter.len, strlen(text));
        assert_memory_equal(parameter.text, text, parameter.len);
    }
}

/* Every route is found by its method and a path of its pattern, with its parameter. */
static void test_routes_are_found(void **state)
{
    (void)state;
    expect("GET", "/search", "/search", NULL);
    expect("GET", "/search/distributed%20systems", "/search/{topic}", "distributed%20systems");
    expect("GET", "/search/a%2Fb", "/search/{topic}", "a%2Fb");
    expect("GET", "/lookup/20001", "/lookup/{id}", "20001");
    expect("GET", "/lookup", "/lookup", NULL);
    expect("POST", "/buy/1", "/buy/{id}", "1");
    expect("POST", "/orders", "/orders", NULL);
    expect("GET", "/orders", "/orders", NULL);
    expect("GET", "/orders/7", "/orders/{n}", "7");
    expect("POST", "/orders/7/cancel", "/orders/{n}/cancel", "7");
    expect("POST", "/items", "/items", NULL);
    expect("PATCH", "/items/7", "/items/{id}", "7");
    expect("DELETE", "/items/7", "/items/{id}", "7");
    expect("POST", "/items/7/stock", "/items/{id}/stock", "7");
    expect("GET", "/items/7/movements", "/items/{id}/movements", "7");
    expect("GET", "/cache", "/cache", NULL);
    expect("DELETE", "/cache", "/cache", NULL);
    expect("DELETE", "/cache/7", "/cache/{id}", "7");
    expect("GET", "/healthz", "/healthz", NULL);
}

/* HEAD is GET without the body. */
static void test_head_finds_get(void **state)
{
    const struct route *route;
    struct route_parameter parameter;
    char allow[ROUTE_ALLOW_BYTES];
    (void)state;
    assert_int_equal(find("HEAD", "/lookup/1", &route, &parameter, allow), 0);
    assert_string_equal(route->method, "GET");
    assert_int_equal(find("HEAD", "/buy/1", &route, &parameter, allow), ERR_HTTP_METHOD);
    assert_string_equal(allow, "POST, OPTIONS");
}

/* Paths that are almost one are none. */
static void test_other_paths_have_no_route(void **state)
{
    static const char *const paths[] = {"/",
                                        "",
                                        "/searchx",
                                        "/search/",
                                        "/search//",
                                        "/lookup/1/",
                                        "/lookup/1/2",
                                        "//lookup/1",
                                        "/orders/7/cance",
                                        "/orders//cancel",
                                        "/healthz/x",
                                        "/Search"};
    const struct route *route;
    struct route_parameter parameter;
    char allow[ROUTE_ALLOW_BYTES];
    (void)state;
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        assert_int_equal(find("GET", paths[i], &route, &parameter, allow), ERR_HTTP_ROUTE);
        assert_null(route);
    }
}

/* A path that is known for other methods names them all, each once. */
static void test_other_methods_of_a_path_are_named(void **state)
{
    static const struct {
        const char *method, *path, *allow;
    } wrong[] = {
        {"DELETE", "/orders", "GET, HEAD, POST, OPTIONS"},
        {"GET", "/items/1", "PATCH, DELETE, OPTIONS"},
        {"OPTIONS", "/healthz", "GET, HEAD, OPTIONS"},
        {"get", "/healthz", "GET, HEAD, OPTIONS"},
        {"TRACE", "/buy/1", "POST, OPTIONS"},
    };
    const struct route *route;
    struct route_parameter parameter;
    char allow[ROUTE_ALLOW_BYTES];
    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        assert_int_equal(find(wrong[i].method, wrong[i].path, &route, &parameter, allow),
                         ERR_HTTP_METHOD);
        assert_string_equal(allow, wrong[i].allow);
    }
}

/* Whether a path is about the bridge's own memory, and not the store. */
static bool is_of_cache(const struct route *route)
{
    return strncmp(route->pattern, "/cache", 6) == 0;
}

/* What changes something in the store has a key, and only that; what has a body knows its members;
 * the operator's paths take the token. */
static void test_the_table_is_consistent(void **state)
{
    size_t count;
    const struct route *routes = routes_all(&count);
    (void)state;
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(strcmp(routes[i].method, "GET") == 0 || is_of_cache(&routes[i]),
                         routes[i].key == KEY_NONE);
        assert_int_equal(routes[i].body != BODY_NONE, routes[i].members != NULL);
        assert_int_equal(strchr(routes[i].pattern, '{') != NULL,
                         routes[i].parameter != PARAMETER_NONE);
        assert_int_equal(strncmp(routes[i].pattern, "/items", 6) == 0 || is_of_cache(&routes[i]),
                         routes[i].admin);
        assert_non_null(routes[i].handle);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_routes_are_found),
        cmocka_unit_test(test_head_finds_get),
        cmocka_unit_test(test_other_paths_have_no_route),
        cmocka_unit_test(test_other_methods_of_a_path_are_named),
        cmocka_unit_test(test_the_table_is_consistent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
