/* Items and orders as people and programs read them.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_CLI_SHOW_H
#define PYGMY_CLI_SHOW_H

#include "client/cli/cli.h"

/* One item in full. --plain: id, title, authors, topic, year, isbn, price_cents, currency, stock,
 * version. */
void show_item(const struct cli *cli, const json_t *item);

/* Wait for the one answer that is asked for, and show its member @name by @show, or with --json all
 * of it. Returns 0 or an exit status. */
int show_reply(struct cli *cli, struct pygmy_reply *reply, const char *name,
               void (*show)(const struct cli *cli, const json_t *member));

/* A list of items, as search gives them. */
struct table *show_items_new(void);
void show_items_add(struct table *table, const json_t *items);

/* One order with its lines. --plain: a row for each line: order number, state, item, quantity,
 * price_cents, currency, stock left, title. */
void show_order(const struct cli *cli, const json_t *order);

/* A list of orders. --plain: number, state, pieces, total_cents, currency, created_at. */
struct table *show_orders_new(const struct cli *cli);
void show_orders_add(const struct cli *cli, struct table *table, const json_t *orders);

#endif
