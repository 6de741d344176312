/* See items.h.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "services/catalog/items.h"

#include <inttypes.h>
#include <string.h>

#include "broker/bus/err.h"
#include "services/catalog/stock.h"

const char *items_create(struct state *state, const struct item *before,
                         const struct command_item *from, struct item *item)
{
    *item = (struct item){.id = from->id, .present = true};
    item_take(item, from);
    if (before == NULL) {
        item->stock = from->stock;
        item->initial = from->stock;
    } else {
        item->initial = before->initial;
        item->moved = before->moved;
        item->sold = before->sold;
    }
    const char *limit = item_put(state, before, item);
    if (limit == NULL && before != NULL && from->stock > 0)
        stock_move(state, item, from->stock, TEXT("added again"));
    return limit;
}

static json_t *items_id(int64_t id)
{
    return json_pack("{s:I}", "id", (json_int_t)id);
}

static struct outcome *items_answer(const struct item *item)
{
    return outcome_answer(json_pack("{s:o}", "item", item_json(item)));
}

struct outcome *items_add(struct state *state, const struct command *command)
{
    struct item before, item;
    int64_t id = command->item.id;
    bool found = item_find(state, id, &before);

    if (found && before.present)
        return outcome_refuse(ERR_EXISTS, items_id(id), "there is an item %" PRId64 " already", id);
    const char *limit = items_create(state, found ? &before : NULL, &command->item, &item);
    return limit != NULL ? outcome_refuse(ERR_LIMIT, items_id(id), "%s", limit)
                         : items_answer(&item);
}

/* Find what is to be changed; NULL, or why it is not. */
static struct outcome *items_find(struct state *state, const struct command *command,
                                  struct item *item)
{
    int64_t id = command->item.id;
    if (!item_find_present(state, id, item))
        return outcome_refuse(ERR_NOT_FOUND, items_id(id), "there is no item %" PRId64, id);
    if (command->version != 0 && command->version != item->version)
        return outcome_refuse(
            ERR_VERSION_CONFLICT,
            json_pack("{s:I,s:I}", "id", (json_int_t)id, "version", (json_int_t)item->version),
            "item %" PRId64 " is at version %" PRId64 " by now", id, item->version);
    return NULL;
}

struct outcome *items_edit(struct state *state, const struct command *command)
{
    struct item before, item;
    struct outcome *refusal = items_find(state, command, &before);
    if (refusal != NULL)
        return refusal;

    item = before;
    item_take(&item, &command->item);
    const char *limit = item_put(state, &before, &item);
    return limit != NULL ? outcome_refuse(ERR_LIMIT, items_id(item.id), "%s", limit)
                         : items_answer(&item);
}

struct outcome *items_remove(struct state *state, const struct command *command)
{
    struct item before, item;
    struct outcome *refusal = items_find(state, command, &before);
    if (refusal != NULL)
        return refusal;

    if (before.stock > 0)
        stock_move(state, &before, -before.stock, TEXT("removed"));
    item = before;
    item.present = false;
    item.rule = (struct command_rule){0};
    (void)item_put(state, &before, &item); /* nothing grows */
    return outcome_answer(items_id(item.id));
}
