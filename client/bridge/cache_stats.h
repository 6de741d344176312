/* What the bridge's cache holds and has done, as metrics and as JSON.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_BRIDGE_CACHE_STATS_H
#define PYGMY_BRIDGE_CACHE_STATS_H

#include <jansson.h>

#include "broker/bus/metrics.h"
#include "client/store/pygmy.h"

struct cache_stats;

/* Make the series, pygmy_cache_*, in @metrics. */
struct cache_stats *cache_stats_new(struct metrics *metrics);
void cache_stats_destroy(struct cache_stats **self_p);

/* Set the series to what @store counts now, before they are written. */
void cache_stats_update(struct cache_stats *self, const struct pygmy *store);

/* An object of the same, with the lease's session and term. */
json_t *cache_stats_json(const struct pygmy_cache_counts *counts);

#endif
