/* See records.h.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "services/catalog/records.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "broker/bus/err.h"
#include "broker/bus/limits.h"

/* Whether it waits for somebody to settle or close it, and so is never forgotten. */
static bool record_is_open(enum record_state state)
{
    return state == RECORD_GRANTED || state == RECORD_RELEASED;
}

static void record_count(struct state *state, enum record_state in, int64_t change)
{
    if (in == RECORD_GRANTED)
        state_totals(state)->unsettled += change;
    if (in == RECORD_RELEASED)
        state_totals(state)->unclosed += change;
}

bool record_find(struct state *state, struct text key, struct record *record)
{
    sqlite3_stmt *statement = sql_get(state_sql(state), SQL_RECORD_GET);
    sql_bind_text(statement, 1, key);
    if (!sql_row(state_sql(state), statement))
        return false;
    *record = (struct record){
        .state = (enum record_state)sqlite3_column_int(statement, 0),
        .code = sqlite3_column_int(statement, 1),
        .content = {sqlite3_column_blob(statement, 2), (size_t)sqlite3_column_bytes(statement, 2)},
        .answer = sql_text(statement, 3),
    };
    return true;
}

void record_leave(struct state *state)
{
    sql_reset(sql_get(state_sql(state), SQL_RECORD_GET));
}

struct outcome *record_admit_stamp(struct state *state, const struct command *command)
{
    int64_t now_ms = state_now_ms(state);
    if (command->stamp < now_ms - STAMP_AGE_MS_MAX)
        return outcome_refuse(ERR_STAMP_OLD, NULL,
                              "stamp %" PRId64 " is more than %" PRId64
                              " ms before the log's time and its key is not known",
                              command->stamp, STAMP_AGE_MS_MAX);
    if (command->stamp > now_ms + STAMP_AHEAD_MS_MAX)
        return outcome_refuse(ERR_INVALID, NULL,
                              "stamp %" PRId64 " is more than %" PRId64
                              " ms ahead of the log's time",
                              command->stamp, STAMP_AHEAD_MS_MAX);
    return NULL;
}

struct outcome *record_admit(struct state *state, const struct command *command)
{
    const struct text content = {(const char *)command->content, command->content_size};
    struct record record;

    if (!record_find(state, command->key, &record))
        return record_admit_stamp(state, command);
    struct outcome *outcome =
        text_equal(record.content, content)
            ? outcome_replay(record.code, record.answer.data, record.answer.size)
            : outcome_refuse(ERR_KEY_REUSED, NULL, "the key was used with other content");
    record_leave(state);
    record_touch(state, command->key);
    return outcome;
}

/* The log time since which a record waits, or NULL. */
static void record_bind_open(struct state *state, sqlite3_stmt *statement, int place,
                             enum record_state in)
{
    if (record_is_open(in))
        sqlite3_bind_int64(statement, place, state_now_ms(state));
    else
        sqlite3_bind_null(statement, place);
}

void record_add(struct state *state, const struct command *command, enum record_state in,
                const struct outcome *outcome)
{
    char *answer = outcome_text(outcome);
    sqlite3_stmt *statement = sql_get(state_sql(state), SQL_RECORD_ADD);
    sql_bind_text(statement, 1, command->key);
    sqlite3_bind_int(statement, 2, (int)in);
    sqlite3_bind_int64(statement, 3, command->stamp);
    sqlite3_bind_int64(statement, 4, state_now_ms(state));
    record_bind_open(state, statement, 5, in);
    sqlite3_bind_int(statement, 6, outcome->code);
    sql_bind_blob(statement, 7, command->content, command->content_size);
    sql_bind_text(statement, 8, text_of(answer));
    sql_run(state_sql(state), statement);
    free(answer);
    state_totals(state)->records++;
    record_count(state, in, 1);
}

static bool record_may_turn(enum record_state from, enum record_state to)
{
    switch (to) {
    case RECORD_SETTLED: return from == RECORD_GRANTED;
    case RECORD_RELEASED: return from == RECORD_GRANTED || from == RECORD_SETTLED;
    case RECORD_CLOSED: return from == RECORD_RELEASED;
    default: return false;
    }
}

void record_turn(struct state *state, struct text key, enum record_state from, enum record_state to)
{
    assert(record_may_turn(from, to));
    sqlite3_stmt *statement = sql_get(state_sql(state), SQL_RECORD_TURN);
    sql_bind_text(statement, 1, key);
    sqlite3_bind_int(statement, 2, (int)to);
    sqlite3_bind_int64(statement, 3, state_now_ms(state));
    record_bind_open(state, statement, 4, to);
    sql_run(state_sql(state), statement);
    record_count(state, from, -1);
    record_count(state, to, 1);
}

void record_touch(struct state *state, struct text key)
{
    sqlite3_stmt *statement = sql_get(state_sql(state), SQL_RECORD_TOUCH);
    sql_bind_text(statement, 1, key);
    sqlite3_bind_int64(statement, 2, state_now_ms(state));
    sql_run(state_sql(state), statement);
}

/* Put the rows that may be forgotten into @rows, and return how many. The first that may not be
 * tells from when on there can be another. */
static size_t record_find_old(struct state *state, int64_t before_ms, int64_t *rows)
{
    size_t count = 0;
    int64_t from_ms = state_now_ms(state);
    sqlite3_stmt *statement = sql_get(state_sql(state), SQL_RECORD_OLD);
    sqlite3_bind_int(statement, 1, FORGET_COUNT_MAX + 1);
    while (sql_row(state_sql(state), statement)) {
        from_ms = sqlite3_column_int64(statement, 1);
        if (from_ms >= before_ms || count == FORGET_COUNT_MAX) {
            sql_reset(statement);
            break;
        }
        rows[count++] = sqlite3_column_int64(statement, 0);
    }
    state_totals(state)->touched_from_ms = from_ms;
    return count;
}

void record_forget(struct state *state)
{
    int64_t rows[FORGET_COUNT_MAX];
    int64_t before_ms = state_now_ms(state) - RECORD_MEMORY_MS;

    if (state_totals(state)->touched_from_ms >= before_ms)
        return;
    size_t count = record_find_old(state, before_ms, rows);
    for (size_t i = 0; i < count; i++) {
        sqlite3_stmt *statement = sql_get(state_sql(state), SQL_RECORD_FORGET);
        sqlite3_bind_int64(statement, 1, rows[i]);
        sql_run(state_sql(state), statement);
    }
    state_totals(state)->records -= (int64_t)count;
}
