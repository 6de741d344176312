/* See routes.h.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "client/bridge/routes.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "broker/bus/err.h"
#include "client/bridge/handlers.h"

static const char *const names_search[] = {"q", "topic", "author", "limit", "cursor", NULL};
static const char *const names_page[] = {"limit", "cursor", NULL};
static const char *const names_title[] = {"title", NULL};
static const char *const names_buy[] = {"quantity", NULL};
static const char *const names_order[] = {"lines", NULL};
static const char *const names_stock[] = {"change", "reason", NULL};
static const char *const names_item[] = {"id",   "title",       "authors",  "topic", "year",
                                         "isbn", "price_cents", "currency", "stock", NULL};
static const char *const names_edit[] = {"title", "authors",     "topic",   "year",
                                         "isbn",  "price_cents", "restock", NULL};

static const struct route routes_table[] = {
    {"GET", "/search", shop_search, .query = names_search},
    {"GET", "/search/{topic}", shop_search_topic, .parameter = PARAMETER_TEXT, .query = names_page},
    {"GET", "/lookup", shop_lookup_title, .query = names_title},
    {"GET", "/lookup/{id}", shop_lookup, .parameter = PARAMETER_NUMBER},
    {"POST", "/buy/{id}", shop_buy, .parameter = PARAMETER_NUMBER, .body = BODY_OPTIONAL,
     .key = KEY_OPTIONAL, .members = names_buy},
    {"GET", "/orders", shop_orders, .query = names_page},
    {"POST", "/orders", shop_order_make, .body = BODY_REQUIRED, .key = KEY_REQUIRED,
     .members = names_order},
    {"GET", "/orders/{n}", shop_order, .parameter = PARAMETER_NUMBER},
    {"POST", "/orders/{n}/cancel", shop_order_cancel, .parameter = PARAMETER_NUMBER,
     .key = KEY_OPTIONAL},
    {"POST", "/items", items_add, .body = BODY_REQUIRED, .key = KEY_OPTIONAL, .admin = true,
     .members = names_item},
    {"PATCH", "/items/{id}", items_edit, .parameter = PARAMETER_NUMBER, .body = BODY_REQUIRED,
     .key = KEY_OPTIONAL, .admin = true, .members = names_edit},
    {"DELETE", "/items/{id}", items_remove, .parameter = PARAMETER_NUMBER, .key = KEY_OPTIONAL,
     .admin = true},
    {"POST", "/items/{id}/stock", items_stock, .parameter = PARAMETER_NUMBER, .body = BODY_REQUIRED,
     .key = KEY_OPTIONAL, .admin = true, .members = names_stock},
    {"GET", "/items/{id}/movements", items_movements, .parameter = PARAMETER_NUMBER, .admin = true,
     .query = names_page},
    {"GET", "/cache", cache_show, .admin = true},
    {"DELETE", "/cache", cache_drop, .admin = true},
    {"DELETE", "/cache/{id}", cache_drop_item, .parameter = PARAMETER_NUMBER, .admin = true},
    {"GET", "/healthz", .handle = ops_healthz},
    {"GET", "/readyz", .handle = ops_readyz},
    {"GET", "/version", .handle = ops_version},
    {"GET", "/metrics", .handle = ops_metrics},
};

const struct route *routes_all(size_t *count)
{
    *count = sizeof routes_table / sizeof routes_table[0];
    return routes_table;
}

/* Whether the path is of the pattern, segment by segment. An empty segment is no parameter. */
static bool route_matches(const char *pattern, const char *path, size_t path_len,
                          struct route_parameter *parameter)
{
    const char *end = path + path_len;
    while (*pattern != '\0' && path < end) {
        if (*pattern != '{') {
            if (*pattern++ != *path++)
                return false;
            continue;
        }
        parameter->text = path;
        while (path < end && *path != '/')
            path++;
        parameter->len = (size_t)(path - parameter->text);
        if (parameter->len == 0)
            return false;
        pattern = strchr(pattern, '}') + 1;
    }
    return *pattern == '\0' && path == end;
}

/* Add a method to an Allow header, unless it is there. */
static void route_allow(char *allow, const char *method)
{
    if (strstr(allow, method) != NULL)
        return;
    size_t len = strlen(allow);
    int added = snprintf(allow + len, ROUTE_ALLOW_BYTES - len, "%s%s", len > 0 ? ", " : "", method);
    assert((size_t)added < ROUTE_ALLOW_BYTES - len);
}

int routes_find(const struct route *routes, size_t count, const char *method, const char *path,
                size_t path_len, const struct route **found, struct route_parameter *parameter,
                char *allow)
{
    const char *wanted = strcmp(method, "HEAD") == 0 ? "GET" : method;

    allow[0] = '\0';
    for (size_t i = 0; i < count; i++) {
        if (!route_matches(routes[i].pattern, path, path_len, parameter))
            continue;
        if (strcmp(routes[i].method, wanted) == 0) {
            *found = &routes[i];
            return 0;
        }
        route_allow(allow, routes[i].method);
        if (strcmp(routes[i].method, "GET") == 0)
            route_allow(allow, "HEAD");
    }
    if (allow[0] == '\0')
        return ERR_HTTP_ROUTE;
    route_allow(allow, "OPTIONS");
    return ERR_HTTP_METHOD;
}
