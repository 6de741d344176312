/* See http_reply.h.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "client/bridge/http_reply.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "broker/bus/alloc.h"

struct http_reply *http_reply_new(int status)
{
    struct http_reply *self = alloc_zero(sizeof *self);
    self->status = status;
    return self;
}

void http_reply_destroy(struct http_reply **self_p)
{
    struct http_reply *self = *self_p;
    if (self == NULL)
        return;
    for (size_t i = 0; i < self->header_count; i++) {
        free(self->headers[i].name);
        free(self->headers[i].value);
    }
    free(self->body);
    free(self);
    *self_p = NULL;
}

void http_reply_header(struct http_reply *self, const char *name, const char *value)
{
    assert(self->header_count < HTTP_REPLY_HEADERS_MAX);
    struct http_reply_header *header = &self->headers[self->header_count++];
    header->name = alloc_copy(name, strlen(name));
    header->value = alloc_copy(value, strlen(value));
    for (char *at = header->value; *at != '\0'; at++)
        if (*at < 0x20 || *at > 0x7e)
            *at = '?';
}

void http_reply_body(struct http_reply *self, const char *type, char *body, size_t size)
{
    assert(self->body == NULL);
    http_reply_header(self, "Content-Type", type);
    self->body = body;
    self->body_size = size;
}
