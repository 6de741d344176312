/* The cache of a handle: calls on their way through it.
 *
 *   cached_lease.h   what keeps session, lease and feed up
 *   cached_fills.h   reads whose answers are kept, and who waits for them
 *   cached_items.c   lookups by id
 *   cached_pages.c   searches by topic, from a list of ids and the items' own entries
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_STORE_CACHING_H
#define PYGMY_STORE_CACHING_H

#include <stdbool.h>

#include "client/store/handle.h"
#include "client/store/leased_cache.h"

struct caching;

/* The cache of @options on the store, whose loop and bus client are there; NULL: they want none, or
 * no broker's feed is known. */
struct caching *caching_new(struct pygmy *store, const struct pygmy_options *options);
/* The handle is about to be closed: nothing is answered from memory any more, and the bus client
 * has something to send. */
void caching_leave(struct caching *self);
/* After the handle's calls and its bus client. Accepts NULL. */
void caching_destroy(struct caching **self_p);

/* Take a call of @service over, if it is one of those that may be answered from memory. */
bool caching_take(struct caching *self, struct call *call, const char *service);

bool caching_item(struct caching *self, int64_t id, struct pygmy_cached *item);
void caching_drop(struct caching *self, int64_t id);
void caching_count(const struct caching *self, struct leased_counts *counts);

#endif
