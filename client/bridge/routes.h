/* The routes: one table of method, path, handler and what each takes.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_BRIDGE_ROUTES_H
#define PYGMY_BRIDGE_ROUTES_H

#include <stdbool.h>
#include <stddef.h>

struct exchange;

struct route {
    const char *method;
    const char *pattern; /* "/items/{id}/stock": at most one parameter, a whole segment */
    void (*handle)(struct exchange *exchange);
    enum { PARAMETER_NONE, PARAMETER_NUMBER, PARAMETER_TEXT } parameter;
    enum { BODY_NONE, BODY_OPTIONAL, BODY_REQUIRED } body;
    enum { KEY_NONE, KEY_OPTIONAL, KEY_REQUIRED } key; /* NONE: it changes nothing */
    bool admin;                                        /* needs the admin's token */
    const char *const *query;   /* parameters that it knows, then NULL; NULL: none */
    const char *const *members; /* of the body, likewise */
};

/* A segment of the path that stands for the parameter: raw, within the path. */
struct route_parameter {
    const char *text;
    size_t len;
};

/* All routes, @count of them. */
const struct route *routes_all(size_t *count);

#define ROUTE_ALLOW_BYTES 64 /* room for all methods in an Allow header */

/* Find the route of @method and @path (of @path_len bytes, without query). HEAD finds GET.
 *
 * @parameter  set where the route has one
 * @allow      on ERR_HTTP_METHOD the methods that the path knows, as an Allow header has them;
 *             ROUTE_ALLOW_BYTES long
 *
 * Returns 0, ERR_HTTP_METHOD or ERR_HTTP_ROUTE. */
int routes_find(const struct route *routes, size_t count, const char *method, const char *path,
                size_t path_len, const struct route **found, struct route_parameter *parameter,
                char *allow);

#endif
