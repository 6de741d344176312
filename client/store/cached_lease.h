/* What keeps a leased cache's session, lease and feed up: the outside of leased_cache.h.
 *
 * Each ask is one request of the handle's bus client, sent once. An answer is taken as long as the
 * leader may take its time with it, also when the cache has asked again meanwhile. It listens to
 * one broker's feed at a time. When that is silent for LEASE_FEED_MS, or its connection ends, all
 * that is kept goes, and the next broker is heard.
 *
 * The process may stand still at any point, and then all that waits in its sockets is old, in any
 * order. None of it can make a lease last longer: that is counted from before the ask was sent. Nor
 * is anything served meanwhile: the clock is read for each answer.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_STORE_CACHED_LEASE_H
#define PYGMY_STORE_CACHED_LEASE_H

#include <stddef.h>

#include "client/store/leased_cache.h"
#include "client/store/pygmy.h"

struct cached_lease;

/* @cache  borrowed. @feeds: 1 or more, copied */
struct cached_lease *cached_lease_new(struct pygmy *store, struct leased_cache *cache,
                                      const char *const *feeds, size_t feed_count);
/* Let go of everything, for good, and have the bus client tell the leader, whose writers need not
 * wait for us then. */
void cached_lease_leave(struct cached_lease *self);
/* After the handle's bus client. Accepts NULL. */
void cached_lease_destroy(struct cached_lease **self_p);

#endif
