/* A request over HTTP, as it came: nothing in it has been checked or decoded.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_BRIDGE_HTTP_REQUEST_H
#define PYGMY_BRIDGE_HTTP_REQUEST_H

#include <stddef.h>
#include <stdint.h>

/* Bytes with their length, without a NUL of their own. */
struct http_header {
    const char *name;
    size_t name_len;
    const char *value;
    size_t value_len;
};

struct http_request {
    const char *method;  /* "GET" */
    const char *target;  /* raw: "/search?q=a%20b" */
    const char *version; /* "HTTP/1.1" */
    const struct http_header *headers;
    size_t header_count;
    const uint8_t *body; /* NULL: none */
    size_t body_size;
};

/* The header of that name (case ignored) at @index among those of the name, from 0, or NULL. */
const struct http_header *http_request_header(const struct http_request *self, const char *name,
                                              size_t index);
/* How many headers have that name. */
size_t http_request_count(const struct http_request *self, const char *name);

#endif
