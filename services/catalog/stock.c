/* See stock.h.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "services/catalog/stock.h"

#include <assert.h>
#include <inttypes.h>

#include "broker/bus/err.h"
#include "broker/bus/limits.h"

static void stock_write(struct state *state, struct item *item)
{
    item->version = (int64_t)state_index(state);
    item_check(item);
    sqlite3_stmt *statement = sql_get(state_sql(state), SQL_STOCK_PUT);
    sqlite3_bind_int64(statement, 1, item->id);
    sqlite3_bind_int64(statement, 2, item->stock);
    sqlite3_bind_int64(statement, 3, item->moved);
    sqlite3_bind_int64(statement, 4, item->sold);
    sqlite3_bind_int64(statement, 5, item->version);
    sql_run(state_sql(state), statement);
}

static void stock_add_movement(struct state *state, int64_t id, int64_t change, struct text reason)
{
    sqlite3_stmt *statement = sql_get(state_sql(state), SQL_MOVEMENT_ADD);
    sqlite3_bind_int64(statement, 1, id);
    sqlite3_bind_int64(statement, 2, (sqlite3_int64)state_index(state));
    sqlite3_bind_int64(statement, 3, change);
    sql_bind_text(statement, 4, reason);
    sqlite3_bind_int64(statement, 5, state_wall_ms(state));
    sql_run(state_sql(state), statement);
}

void stock_move(struct state *state, struct item *item, int64_t change, struct text reason)
{
    item->stock += change;
    item->moved += change;
    stock_write(state, item);
    stock_add_movement(state, item->id, change, reason);
}

void stock_sell(struct state *state, struct item *item, int64_t quantity)
{
    assert(item->present && quantity > 0);
    item->stock -= quantity;
    item->sold += quantity;
    stock_write(state, item);
}

void stock_return(struct state *state, struct item *item, int64_t quantity)
{
    assert(quantity > 0);
    item->sold -= quantity;
    if (item->present) {
        item->stock += quantity;
        stock_write(state, item);
    } else {
        item->moved -= quantity;
        stock_write(state, item);
        stock_add_movement(state, item->id, -quantity, TEXT("returned after its removal"));
    }
}

struct outcome *stock_apply(struct state *state, const struct command *command)
{
    struct item item;
    int64_t id = command->item.id;

    if (!item_find_present(state, id, &item))
        return outcome_refuse(ERR_NOT_FOUND, json_pack("{s:I}", "id", (json_int_t)id),
                              "there is no item %" PRId64, id);
    if (item.stock + command->change < 0)
        return outcome_refuse(ERR_OUT_OF_STOCK,
                              json_pack("{s:I,s:I,s:I}", "id", (json_int_t)id, "requested",
                                        (json_int_t)-command->change, "available",
                                        (json_int_t)item.stock),
                              "of item %" PRId64 " only %" PRId64 " are left", id, item.stock);
    if (command->change > 0 && item.stock + command->change > STOCK_MAX)
        return outcome_refuse(ERR_LIMIT, json_pack("{s:I}", "id", (json_int_t)id),
                              "the stock of an item is at most %d", STOCK_MAX);
    stock_move(state, &item, command->change, command->reason);
    return outcome_answer(json_pack("{s:o}", "item", item_json(&item)));
}
