/* See sessions.h.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "services/catalog/sessions.h"

#include <assert.h>

#include "broker/bus/err.h"
#include "broker/bus/limits.h"

struct outcome *sessions_open(struct state *state, const struct command *command)
{
    const int64_t session = (int64_t)state_index(state);
    (void)command;

    if (state_totals(state)->sessions >= LEASE_SESSIONS_MAX)
        return outcome_refuse(ERR_LIMIT, NULL, "there are %d leased caches already",
                              LEASE_SESSIONS_MAX);
    sqlite3_stmt *statement = sql_get(state_sql(state), SQL_SESSION_ADD);
    sqlite3_bind_int64(statement, 1, session);
    sql_run(state_sql(state), statement);
    state_totals(state)->sessions++;
    return outcome_answer(json_pack("{s:I}", "session", (json_int_t)session));
}

static bool sessions_has(struct state *state, uint64_t session)
{
    sqlite3_stmt *statement = sql_get(state_sql(state), SQL_SESSION_GET);
    sqlite3_bind_int64(statement, 1, (sqlite3_int64)session);
    const bool has = sql_row(state_sql(state), statement);
    sql_reset(statement);
    return has;
}

struct outcome *sessions_close(struct state *state, const struct command *command)
{
    const bool open = sessions_has(state, command->session);

    if (open) {
        sqlite3_stmt *statement = sql_get(state_sql(state), SQL_SESSION_REMOVE);
        sqlite3_bind_int64(statement, 1, (sqlite3_int64)command->session);
        sql_run(state_sql(state), statement);
        state_totals(state)->sessions--;
    }
    return outcome_answer(json_pack("{s:b}", "closed", open));
}

size_t sessions_list(struct state *state, uint64_t *ids, size_t max)
{
    size_t count = 0;
    sqlite3_stmt *statement = sql_get(state_sql(state), SQL_SESSION_LIST);

    while (sql_row(state_sql(state), statement)) {
        assert(count < max);
        ids[count++] = (uint64_t)sqlite3_column_int64(statement, 0);
    }
    return count;
}
