/* Entity tags (RFC 9110, 8.8.3): an item's version, quoted. Pure.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_BRIDGE_ETAG_H
#define PYGMY_BRIDGE_ETAG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Whether an If-None-Match of @len bytes names @etag (with its quotes), or any: the weak
 * comparison, over a list. What can't be read matches nothing. */
bool etag_matches(const char *value, size_t len, const char *etag);

enum etag_demand {
    ETAG_VERSION, /* exactly one strong tag that is a version */
    ETAG_ANY,     /* "*" */
    ETAG_NONE,    /* a tag that can be none of ours: nothing matches it */
};

/* What an If-Match of @len bytes asks for; @version is set for ETAG_VERSION. */
enum etag_demand etag_demanded(const char *value, size_t len, int64_t *version);

#endif
