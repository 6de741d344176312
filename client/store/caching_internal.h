/* What the sources of a handle's cache share. Nobody else includes this.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_STORE_CACHING_INTERNAL_H
#define PYGMY_STORE_CACHING_INTERNAL_H

#include "client/store/cached_fills.h"
#include "client/store/cached_lease.h"
#include "client/store/cached_spellings.h"
#include "client/store/caching.h"

struct caching {
    struct pygmy *store;
    struct leased_cache *cache;
    struct cached_lease *lease;
    struct cached_fills *fills;
    struct cached_spellings *spellings;
};

/* A search by topic alone. */
struct cached_search {
    const char *topic;
    int64_t after;
    size_t limit;
};

/* cached_items.c, cached_pages.c: the call is answered from memory, or from fills, or passed on. */
void cached_item_route(struct caching *self, struct call *call, int64_t id);
void cached_page_route(struct caching *self, struct call *call, const struct cached_search *search);

#endif
