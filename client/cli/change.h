/* A committed change (docs/protocol.md, "The stream of changes") as people and programs read it.
 * Pure.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_CLI_CHANGE_H
#define PYGMY_CLI_CHANGE_H

#include <jansson.h>
#include <stdint.h>

#include "client/cli/table.h"

/* A sentence on one line, fit for a terminal, such as
 * "item 5 'Title' stock 98, USD 19.99 (version 1234)". The caller's to free(). */
char *change_sentence(const json_t *change);

/* A table for rows of it, for --plain: group, version, index to resume after, "item", "order" or
 * "removed", id or number; then of an item: stock, price_cents, currency, title; of an order:
 * state, lines, total_cents, currency. What is not known is empty. */
struct table *change_table_new(void);
void change_add_row(struct table *table, const char *group, const json_t *change, int64_t resume);

/* An object for --json: the change's members, "group", and "since", text that --since takes.
 * The caller's to release. */
json_t *change_object(const char *group, const json_t *change, const char *since);

#endif
