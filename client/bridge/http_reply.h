/* An answer over HTTP: status, headers, body.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_BRIDGE_HTTP_REPLY_H
#define PYGMY_BRIDGE_HTTP_REPLY_H

#include <stddef.h>

#include "broker/bus/bytes.h"

struct http_reply_header {
    const char *name;
    size_t value_at; /* in the values of the reply */
};

#define HTTP_REPLY_HEADERS_MAX 16 /* what any of our answers needs, twice over */

struct http_reply {
    int status;
    size_t header_count;
    struct http_reply_header headers[HTTP_REPLY_HEADERS_MAX];
    struct bytes_writer values; /* each with a NUL */
    char *body;                 /* NULL: none */
    size_t body_size;
};

struct http_reply *http_reply_new(int status);
void http_reply_destroy(struct http_reply **self_p);

/* Add a header: a name that stays as it is, and a copy of its value. What can't stand in one
 * (anything but visible ASCII and blanks) becomes '?': values may hold what a client sent. */
void http_reply_header(struct http_reply *self, const char *name, const char *value);
/* The value of the header @index, until another is added. */
const char *http_reply_value(const struct http_reply *self, size_t index);

/* Set the body, taken over (free()), and its media type. */
void http_reply_body(struct http_reply *self, const char *type, char *body, size_t size);

#endif
