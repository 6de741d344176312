/* What the bridge keeps in memory under a lease: the operator looks at it, and drops it.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "client/bridge/cache_stats.h"
#include "client/bridge/exchange.h"
#include "client/bridge/handlers.h"

void cache_show(struct exchange *exchange)
{
    const struct config_node *node = exchange->bridge->node;
    struct pygmy_cache_counts counts;

    pygmy_cache_count(exchange->bridge->store, &counts);
    json_t *state = cache_stats_json(&counts);
    json_object_set_new(state, "entries_max", json_integer(node->cache_entries));
    json_object_set_new(state, "bytes_max", json_integer(node->cache_bytes));
    exchange_send(exchange, exchange_json(200, state));
}

void cache_drop(struct exchange *exchange)
{
    pygmy_cache_drop(exchange->bridge->store, 0);
    exchange_send(exchange, http_reply_new(204));
}

void cache_drop_item(struct exchange *exchange)
{
    pygmy_cache_drop(exchange->bridge->store, exchange->number);
    exchange_send(exchange, http_reply_new(204));
}
