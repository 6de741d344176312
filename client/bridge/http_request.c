/* See http_request.h.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "client/bridge/http_request.h"

#include <string.h>
#include <strings.h>

const struct http_header *http_request_header(const struct http_request *self, const char *name,
                                              size_t index)
{
    size_t len = strlen(name);
    for (size_t i = 0; i < self->header_count; i++) {
        const struct http_header *header = &self->headers[i];
        if (header->name_len != len || strncasecmp(header->name, name, len) != 0)
            continue;
        if (index-- == 0)
            return header;
    }
    return NULL;
}

size_t http_request_count(const struct http_request *self, const char *name)
{
    size_t count = 0;
    while (http_request_header(self, name, count) != NULL)
        count++;
    return count;
}
