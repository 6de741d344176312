/* See cache_stats.h.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "client/bridge/cache_stats.h"

#include <assert.h>
#include <stdlib.h>

#include "broker/bus/alloc.h"

enum cache_stat {
    CACHE_STAT_ENTRIES,
    CACHE_STAT_BYTES,
    CACHE_STAT_PENDING,
    CACHE_STAT_FILLS,
    CACHE_STAT_LEASE,
    CACHE_STAT_HITS,
    CACHE_STAT_MISSES,
    CACHE_STAT_JOINS,
    CACHE_STAT_PASSES,
    CACHE_STAT_STORED,
    CACHE_STAT_DISCARDED,
    CACHE_STAT_EVICTED,
    CACHE_STAT_INVALIDATED,
    CACHE_STAT_FLUSHES,
    CACHE_STAT_RENEWALS,
    CACHE_STATS,
};

static const struct {
    const char *name; /* in JSON */
    const char *series;
    const char *help;
    bool counter;
} cache_stat_rows[CACHE_STATS] = {
    [CACHE_STAT_ENTRIES] = {"entries", "pygmy_cache_entries",
                            "Items and lists of topics kept in memory.", false},
    [CACHE_STAT_BYTES] = {"bytes", "pygmy_cache_bytes", "What they take, with their keys.", false},
    [CACHE_STAT_PENDING] = {"pending", "pygmy_cache_pending",
                            "Keys that are being changed, and are not kept.", false},
    [CACHE_STAT_FILLS] = {"fills", "pygmy_cache_fills",
                          "Reads under way whose answers may be kept.", false},
    [CACHE_STAT_LEASE] = {"lease_left_ms", "pygmy_cache_lease_seconds",
                          "What is left of the lease; 0: nothing is served from memory.", false},
    [CACHE_STAT_HITS] = {"hits", "pygmy_cache_hits_total",
                         "Items and lists that memory could serve.", true},
    [CACHE_STAT_MISSES] = {"misses", "pygmy_cache_misses_total",
                           "Items and lists asked for, since it could not.", true},
    [CACHE_STAT_JOINS] = {"joins", "pygmy_cache_joins_total",
                          "Misses that had the answer of one under way.", true},
    [CACHE_STAT_PASSES] =
        {"passes", "pygmy_cache_passes_total",
         "Misses without a lease, of a key that is being changed, or one too many.", true},
    [CACHE_STAT_STORED] = {"stored", "pygmy_cache_fills_stored_total", "Answers kept.", true},
    [CACHE_STAT_DISCARDED] = {"discarded", "pygmy_cache_fills_discarded_total",
                              "Answers that could not be kept: too old by then, or too large.",
                              true},
    [CACHE_STAT_EVICTED] = {"evicted", "pygmy_cache_evictions_total",
                            "Entries that went for others.", true},
    [CACHE_STAT_INVALIDATED] = {"invalidated", "pygmy_cache_invalidations_total",
                                "Keys that were written, whether they were kept or not.", true},
    [CACHE_STAT_FLUSHES] = {"flushes", "pygmy_cache_flushes_total",
                            "How often everything went: a new leader, a gap in the feed, silence.",
                            true},
    [CACHE_STAT_RENEWALS] = {"renewals", "pygmy_cache_renewals_total",
                             "Renewals of the lease; the first one after a flush is none.", true},
};

struct cache_stats {
    struct metric *series[CACHE_STATS];
};

static int64_t cache_stat_value(const struct pygmy_cache_counts *counts, enum cache_stat stat)
{
    switch (stat) {
    case CACHE_STAT_ENTRIES: return (int64_t)counts->entries;
    case CACHE_STAT_BYTES: return (int64_t)counts->bytes;
    case CACHE_STAT_PENDING: return (int64_t)counts->pending;
    case CACHE_STAT_FILLS: return (int64_t)counts->fills;
    case CACHE_STAT_LEASE: return counts->lease_left_ms;
    case CACHE_STAT_HITS: return (int64_t)counts->hits;
    case CACHE_STAT_MISSES: return (int64_t)counts->misses;
    case CACHE_STAT_JOINS: return (int64_t)counts->joins;
    case CACHE_STAT_PASSES: return (int64_t)counts->passes;
    case CACHE_STAT_STORED: return (int64_t)counts->stored;
    case CACHE_STAT_DISCARDED: return (int64_t)counts->discarded;
    case CACHE_STAT_EVICTED: return (int64_t)counts->evicted;
    case CACHE_STAT_INVALIDATED: return (int64_t)counts->invalidated;
    case CACHE_STAT_FLUSHES: return (int64_t)counts->flushes;
    case CACHE_STAT_RENEWALS: return (int64_t)counts->renewals;
    case CACHE_STATS: break;
    }
    assert(false);
    return 0;
}

struct cache_stats *cache_stats_new(struct metrics *metrics)
{
    struct cache_stats *self = alloc_zero(sizeof *self);
    for (size_t i = 0; i < CACHE_STATS; i++)
        self->series[i] = (cache_stat_rows[i].counter ? metrics_counter : metrics_gauge)(
            metrics, cache_stat_rows[i].series, NULL, cache_stat_rows[i].help);
    return self;
}

void cache_stats_destroy(struct cache_stats **self_p)
{
    free(*self_p);
    *self_p = NULL;
}

void cache_stats_update(struct cache_stats *self, const struct pygmy *store)
{
    struct pygmy_cache_counts counts;
    pygmy_cache_count(store, &counts);
    for (enum cache_stat i = 0; i < CACHE_STATS; i++) {
        double value = (double)cache_stat_value(&counts, i);
        if (i == CACHE_STAT_LEASE)
            value /= 1000;
        if (cache_stat_rows[i].counter)
            metric_add(self->series[i], value - metric_value(self->series[i]));
        else
            metric_set(self->series[i], value);
    }
}

json_t *cache_stats_json(const struct pygmy_cache_counts *counts)
{
    json_t *object = json_object();
    for (enum cache_stat i = 0; i < CACHE_STATS; i++)
        json_object_set_new(object, cache_stat_rows[i].name,
                            json_integer(cache_stat_value(counts, i)));
    json_object_set_new(object, "all_pending", json_boolean(counts->all_pending));
    json_object_set_new(object, "session", json_integer((json_int_t)counts->session));
    json_object_set_new(object, "term", json_integer((json_int_t)counts->term));
    return object;
}
