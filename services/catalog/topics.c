/* See topics.h.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "services/catalog/topics.h"

#include <assert.h>

#include "broker/bus/limits.h"

static bool topic_is_used(struct state *state, struct text name)
{
    sqlite3_stmt *statement = sql_get(state_sql(state), SQL_TOPIC_GET);
    sql_bind_text(statement, 1, name);
    bool used = sql_row(state_sql(state), statement);
    sql_reset(statement);
    return used;
}

bool topic_has_room(struct state *state, struct text name)
{
    return state_totals(state)->topics < TOPICS_MAX || name.size == 0 || topic_is_used(state, name);
}

static void topic_add(struct state *state, struct text name)
{
    bool used = topic_is_used(state, name);
    sqlite3_stmt *statement = sql_get(state_sql(state), SQL_TOPIC_ADD);
    sql_bind_text(statement, 1, name);
    sql_bind_text(statement, 2, state_fold(state, name));
    sql_run(state_sql(state), statement);
    if (!used)
        state_totals(state)->topics++;
}

static void topic_drop(struct state *state, struct text name)
{
    sqlite3_stmt *statement = sql_get(state_sql(state), SQL_TOPIC_LESS);
    sql_bind_text(statement, 1, name);
    sql_run(state_sql(state), statement);

    statement = sql_get(state_sql(state), SQL_TOPIC_DROP);
    sql_bind_text(statement, 1, name);
    sql_run(state_sql(state), statement);
    if (!topic_is_used(state, name))
        state_totals(state)->topics--;
}

void topic_replace(struct state *state, struct text before, struct text after)
{
    if (text_equal(before, after))
        return;
    if (after.size > 0)
        topic_add(state, after);
    if (before.size > 0)
        topic_drop(state, before);
}

json_t *topic_list(struct state *state)
{
    json_t *list = json_array();
    sqlite3_stmt *statement = sql_get(state_sql(state), SQL_TOPIC_LIST);
    while (sql_row(state_sql(state), statement)) {
        struct text name = sql_text(statement, 0);
        json_array_append_new(list, json_pack("{s:s%,s:I}", "topic", name.data, name.size, "items",
                                              (json_int_t)sqlite3_column_int64(statement, 1)));
    }
    return list;
}
