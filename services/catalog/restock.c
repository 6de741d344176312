/* See restock.h.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "services/catalog/restock.h"

#include "broker/bus/limits.h"
#include "services/catalog/item.h"
#include "services/catalog/stock.h"

size_t restock_find_due(struct state *state, int64_t now_ms, int64_t *ids)
{
    size_t count = 0;
    sqlite3_stmt *statement = sql_get(state_sql(state), SQL_DUE_PAGE);
    sqlite3_bind_int64(statement, 1, now_ms);
    sqlite3_bind_int(statement, 2, RESTOCK_COUNT_MAX);
    while (sql_row(state_sql(state), statement))
        ids[count++] = sqlite3_column_int64(statement, 0);
    return count;
}

/* Threshold and amount are bounded so that the sum is at most STOCK_MAX. */
static void restock_act(struct state *state, struct item *item)
{
    stock_move(state, item, item->rule.amount, TEXT("automatic restock"));
    sqlite3_stmt *statement = sql_get(state_sql(state), SQL_DUE_PUT);
    sqlite3_bind_int64(statement, 1, item->id);
    sqlite3_bind_int64(statement, 2, state_now_ms(state) + item->rule.period_ms);
    sql_run(state_sql(state), statement);
}

struct outcome *restock_apply(struct state *state, const struct command *command)
{
    json_int_t count = 0;
    for (size_t i = 0; i < command->count; i++) {
        struct item item;
        if (!item_find_present(state, command->ids[i], &item) || !item.rule.active ||
            item.stock > item.rule.threshold || item.due_ms > state_now_ms(state))
            continue;
        restock_act(state, &item);
        count++;
    }
    return outcome_answer(json_pack("{s:I}", "restocked", count));
}
