/* See http_reply.h.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "client/bridge/http_reply.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "broker/bus/alloc.h"

#define HTTP_REPLY_VALUES_BYTES 256 /* most replies need less */

struct http_reply *http_reply_new(int status)
{
    struct http_reply *self = alloc_zero(sizeof *self);
    self->status = status;
    bytes_reserve(&self->values, HTTP_REPLY_VALUES_BYTES);
    return self;
}

void http_reply_destroy(struct http_reply **self_p)
{
    struct http_reply *self = *self_p;
    if (self == NULL)
        return;
    bytes_writer_close(&self->values);
    free(self->body);
    free(self);
    *self_p = NULL;
}

void http_reply_header(struct http_reply *self, const char *name, const char *value)
{
    assert(self->header_count < HTTP_REPLY_HEADERS_MAX);
    size_t value_at = self->values.size;
    self->headers[self->header_count++] = (struct http_reply_header){name, value_at};
    bytes_put_raw(&self->values, value, strlen(value) + 1);
    for (uint8_t *at = self->values.data + value_at; *at != '\0'; at++)
        if (*at < 0x20 || *at > 0x7e)
            *at = '?';
}

const char *http_reply_value(const struct http_reply *self, size_t index)
{
    assert(index < self->header_count);
    return (const char *)self->values.data + self->headers[index].value_at;
}

void http_reply_body(struct http_reply *self, const char *type, char *body, size_t size)
{
    assert(self->body == NULL);
    http_reply_header(self, "Content-Type", type);
    self->body = body;
    self->body_size = size;
}
