/* The handlers of the routes, by subject: shop.c, items.c, cache.c, ops.c.
 *
 * Each answers its exchange once, now or later.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_BRIDGE_HANDLERS_H
#define PYGMY_BRIDGE_HANDLERS_H

struct exchange;

void shop_search(struct exchange *exchange);
void shop_search_topic(struct exchange *exchange);
void shop_lookup(struct exchange *exchange);
void shop_lookup_title(struct exchange *exchange);
void shop_buy(struct exchange *exchange);
void shop_order_make(struct exchange *exchange);
void shop_order(struct exchange *exchange);
void shop_orders(struct exchange *exchange);
void shop_order_cancel(struct exchange *exchange);

void items_add(struct exchange *exchange);
void items_edit(struct exchange *exchange);
void items_remove(struct exchange *exchange);
void items_stock(struct exchange *exchange);
void items_movements(struct exchange *exchange);

void cache_show(struct exchange *exchange);
void cache_drop(struct exchange *exchange);
void cache_drop_item(struct exchange *exchange);

void ops_healthz(struct exchange *exchange);
void ops_readyz(struct exchange *exchange);
void ops_version(struct exchange *exchange);
void ops_metrics(struct exchange *exchange);

#endif
