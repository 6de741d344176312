/* One item: its row in the tables, and what hangs on it (topics, full-text index).
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_CATALOG_ITEM_H
#define PYGMY_CATALOG_ITEM_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "broker/bus/limits.h"
#include "services/catalog/command.h"
#include "services/catalog/state.h"

#define CURRENCY_BYTES 3

struct item {
    int64_t id;
    bool present; /* false: removed; then stock is 0 and there is no rule */
    int64_t price_cents;
    int64_t stock;
    int64_t initial; /* stock when the id was first added */
    int64_t moved;   /* sum of its movements */
    int64_t sold;    /* granted less released */
    int64_t version; /* log index of the last change, of stock or anything else */
    char currency[CURRENCY_BYTES + 1];
    char title[TITLE_BYTES_MAX + 1];
    char authors[AUTHORS_BYTES_MAX + 1];
    char topic[TOPIC_BYTES_MAX + 1];
    bool year_known;
    int64_t year;
    char isbn[ISBN_BYTES_MAX + 1];
    struct command_rule rule;
    int64_t due_ms; /* log time from which the rule may act */
};

/* Find an item, also one that was removed. */
bool item_find(struct state *state, int64_t id, struct item *item);
/* Find one that is present. */
bool item_find_present(struct state *state, int64_t id, struct item *item);
/* Read a row of SQL_ITEM_COLUMNS. */
void item_read(sqlite3_stmt *row, struct item *item);

/* Take over what a command names; an amount of stock is not among it (stock.h). */
void item_take(struct item *item, const struct command_item *from);

/* Store @after, whose version becomes this entry's, with its topic and its words.
 *
 * @before  as it was found, or NULL if the id was never used
 *
 * Returns NULL, or why a limit of the store is reached; nothing was stored then. */
const char *item_put(struct state *state, const struct item *before, struct item *after);

/* The law of conservation (asserted): initial + moved - sold = stock, stock and sold not negative,
 * and nothing is left of what was removed. */
void item_check(const struct item *item);

/* The item in full. */
json_t *item_json(const struct item *item);
/* As it stands in a search's page. */
json_t *item_json_short(const struct item *item);
/* The rule, or null. */
json_t *item_json_rule(const struct item *item);
/* About the bytes it takes in JSON, rather more. */
size_t item_json_bytes(const struct item *item);

#endif
