/* See imports.h.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "services/catalog/imports.h"

#include <string.h>

#include "broker/bus/err.h"
#include "services/catalog/items.h"
#include "services/catalog/stock.h"

struct imports_counts {
    int64_t added;
    int64_t changed;
    int64_t unchanged;
};

/* The row as an item_add would have it. */
static struct command_item imports_complete(const struct command *command,
                                            const struct command_item *row)
{
    struct command_item full = *row;
    if (!(row->fields & COMMAND_PRICE))
        full.price_cents = command->default_price_cents;
    if (!(row->fields & COMMAND_STOCK_LEVEL))
        full.stock = command->default_stock;
    if (!(row->fields & COMMAND_CURRENCY))
        full.currency = TEXT("USD");
    full.fields = COMMAND_FIELDS_ADD;
    return full;
}

/* Whether all that a client can see of them is equal. */
static bool imports_same(const struct item *one, const struct item *other)
{
    return strcmp(one->title, other->title) == 0 && strcmp(one->authors, other->authors) == 0 &&
           strcmp(one->topic, other->topic) == 0 && one->year_known == other->year_known &&
           one->year == other->year && strcmp(one->isbn, other->isbn) == 0 &&
           one->price_cents == other->price_cents && strcmp(one->currency, other->currency) == 0;
}

static const char *imports_update(struct state *state, const struct item *before,
                                  const struct command_item *row, struct imports_counts *counts)
{
    struct item item = *before;
    const char *limit = NULL;
    int64_t change = row->fields & COMMAND_STOCK_LEVEL ? row->stock - before->stock : 0;

    item_take(&item, row);
    bool same = imports_same(before, &item);
    if (!same)
        limit = item_put(state, before, &item);
    if (limit == NULL && change != 0)
        stock_move(state, &item, change, TEXT("import"));
    if (same && change == 0)
        counts->unchanged++;
    else
        counts->changed++;
    return limit;
}

/* Returns NULL, or what is wrong, with the code. */
static const char *imports_row(struct state *state, const struct command *command,
                               const struct command_item *row, struct imports_counts *counts,
                               int *code)
{
    struct item before, item;
    bool found = item_find(state, row->id, &before);

    *code = ERR_LIMIT;
    if (found && before.present)
        return imports_update(state, &before, row, counts);
    struct command_item full = imports_complete(command, row);
    if (full.price_cents < 0) {
        *code = ERR_INVALID;
        return "price_cents is missing, and there is no default_price_cents";
    }
    counts->added++;
    return items_create(state, found ? &before : NULL, &full, &item);
}

struct outcome *imports_apply(struct state *state, const struct command *command)
{
    struct imports_counts counts = {0};
    int code;

    state_save(state);
    for (size_t i = 0; i < command->count; i++) {
        const char *wrong = imports_row(state, command, &command->rows[i], &counts, &code);
        if (wrong != NULL) {
            state_undo(state);
            return outcome_refuse(
                code,
                json_pack("{s:I,s:I}", "row", (json_int_t)i, "id", (json_int_t)command->rows[i].id),
                "rows[%zu]: %s", i, wrong);
        }
    }
    state_keep(state);
    return outcome_answer(json_pack("{s:I,s:I,s:I}", "added", (json_int_t)counts.added, "changed",
                                    (json_int_t)counts.changed, "unchanged",
                                    (json_int_t)counts.unchanged));
}
