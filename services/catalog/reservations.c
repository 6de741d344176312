/* See reservations.h.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "services/catalog/reservations.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/bus/alloc.h"
#include "broker/bus/err.h"
#include "broker/bus/limits.h"
#include "services/catalog/item.h"
#include "services/catalog/records.h"
#include "services/catalog/stock.h"

/* ---- Reserve ------------------------------------------------------------ */

/* Find a line's item; NULL, or why it can't be had. */
static struct outcome *reserve_check_line(struct state *state, const struct command_line *line,
                                          struct item *item)
{
    if (!item_find_present(state, line->id, item))
        return outcome_refuse(ERR_NOT_FOUND, json_pack("{s:I}", "id", (json_int_t)line->id),
                              "there is no item %" PRId64, line->id);
    if (item->stock < line->quantity)
        return outcome_refuse(
            ERR_OUT_OF_STOCK,
            json_pack("{s:I,s:I,s:I}", "id", (json_int_t)line->id, "requested",
                      (json_int_t)line->quantity, "available", (json_int_t)item->stock),
            "of item %" PRId64 " only %" PRId64 " are left, %" PRId64 " are wanted", line->id,
            item->stock, line->quantity);
    return NULL;
}

/* Find all items and the total; NULL, or why they can't be had. */
static struct outcome *reserve_check(struct state *state, const struct command *command,
                                     struct item *items, int64_t *total)
{
    *total = 0;
    for (size_t i = 0; i < command->count; i++) {
        const struct command_line *line = &command->lines[i];
        struct outcome *refusal = reserve_check_line(state, line, &items[i]);
        if (refusal != NULL)
            return refusal;
        if (strcmp(items[i].currency, items[0].currency) != 0)
            return outcome_refuse(ERR_INVALID, json_pack("{s:I}", "id", (json_int_t)line->id),
                                  "item %" PRId64 " is sold in %s, item %" PRId64 " in %s",
                                  items[0].id, items[0].currency, line->id, items[i].currency);
        *total += items[i].price_cents * line->quantity; /* 100 times 10^15 at most */
    }
    if (*total > TOTAL_CENTS_MAX)
        return outcome_refuse(ERR_LIMIT, NULL, "the total is above %" PRId64 " cents",
                              TOTAL_CENTS_MAX);
    return NULL;
}

static json_t *reserve_take(struct state *state, const struct command *command, struct item *items)
{
    json_t *lines = json_array();
    for (size_t i = 0; i < command->count; i++) {
        struct item *item = &items[i];
        int64_t quantity = command->lines[i].quantity;
        stock_sell(state, item, quantity);
        json_array_append_new(
            lines, json_pack("{s:I,s:s,s:I,s:I,s:I,s:I}", "id", (json_int_t)item->id, "title",
                             item->title, "quantity", (json_int_t)quantity, "price_cents",
                             (json_int_t)item->price_cents, "stock_left", (json_int_t)item->stock,
                             "version", (json_int_t)item->version));
    }
    return lines;
}

struct outcome *reservations_reserve(struct state *state, const struct command *command)
{
    struct item *items = alloc_zero(command->count * sizeof items[0]);
    int64_t total;

    struct outcome *outcome = reserve_check(state, command, items, &total);
    if (outcome == NULL) {
        json_t *lines = reserve_take(state, command, items);
        outcome =
            outcome_answer(json_pack("{s:b,s:o,s:s,s:I}", "granted", 1, "lines", lines, "currency",
                                     items[0].currency, "total_cents", (json_int_t)total));
    }
    free(items);
    return outcome;
}

/* ---- Undo --------------------------------------------------------------- */

static struct outcome *undo_answer(void)
{
    return outcome_answer(json_pack("{s:b}", "released", 1));
}

static void undo_give_back(struct state *state, const struct command *command)
{
    for (size_t i = 0; i < command->count; i++) {
        struct item item;
        bool found = item_find(state, command->lines[i].id, &item);
        assert(found); /* an item that was ever sold stays in the tables */
        stock_return(state, &item, command->lines[i].quantity);
    }
}

/* The command as the reserve was, so that both have the same content. The caller's to free(). */
static uint8_t *undo_content(const struct command *command)
{
    uint8_t *content = (uint8_t *)alloc_copy(command->content, command->content_size);
    assert(content[0] == COMMAND_UNDO);
    content[0] = COMMAND_RESERVE;
    return content;
}

/* Whether each line may have been sold, and was not given back since. */
static bool undo_is_accounted_for(struct state *state, const struct command *command)
{
    for (size_t i = 0; i < command->count; i++) {
        struct item item;
        if (!item_find(state, command->lines[i].id, &item) ||
            item.sold < command->lines[i].quantity)
            return false;
    }
    return true;
}

static struct outcome *undo_known(struct state *state, const struct command *command,
                                  enum record_state from)
{
    switch (from) {
    case RECORD_GRANTED:
    case RECORD_SETTLED:
        /* An undo under a made-up key may have been there before it. */
        if (!undo_is_accounted_for(state, command))
            return outcome_refuse(ERR_STATE, NULL, "what was sold was given back already");
        undo_give_back(state, command);
        record_turn(state, command->key, from, RECORD_RELEASED);
        return undo_answer();
    case RECORD_RELEASED:
    case RECORD_CLOSED: record_touch(state, command->key); return undo_answer();
    case RECORD_DENIED:
        record_touch(state, command->key);
        return outcome_refuse(ERR_STATE, NULL, "the reservation was denied");
    case RECORD_WRITTEN: break;
    }
    assert(false); /* its content is no reserve's */
    return NULL;
}

static struct outcome *undo_forgotten(struct state *state, const struct command *command)
{
    struct outcome *refusal = record_admit_stamp(state, command);
    if (refusal != NULL)
        return refusal;
    if (!undo_is_accounted_for(state, command)) {
        refusal = outcome_refuse(ERR_STATE, NULL, "no such sale was ever made");
        record_add(state, command, RECORD_DENIED, refusal);
        return refusal;
    }
    undo_give_back(state, command);
    struct outcome *answer =
        outcome_refuse(ERR_STAMP_OLD, NULL, "the reservation was forgotten, and then undone");
    record_add(state, command, RECORD_RELEASED, answer);
    outcome_destroy(&answer);
    return undo_answer();
}

struct outcome *reservations_undo(struct state *state, const struct command *command)
{
    struct record record;
    struct outcome *outcome;
    uint8_t *content = undo_content(command);
    struct command reserve = *command; /* as it is recorded: with the content of the reserve */
    reserve.content = content;

    if (!record_find(state, command->key, &record)) {
        outcome = undo_forgotten(state, &reserve);
    } else {
        const struct text same = {(const char *)content, command->content_size};
        bool equal = text_equal(record.content, same);
        record_leave(state);
        outcome = equal ? undo_known(state, command, record.state)
                        : outcome_refuse(ERR_KEY_REUSED, NULL,
                                         "the key was used for another reservation");
    }
    free(content);
    return outcome;
}

/* ---- Settle and close --------------------------------------------------- */

/* Move the keys that are in @from to @to. Returns how many are in @to then. */
static json_int_t turn_keys(struct state *state, const struct command *command,
                            enum record_state from, enum record_state to)
{
    json_int_t count = 0;
    for (size_t i = 0; i < command->count; i++) {
        struct record record;
        if (!record_find(state, command->keys[i], &record))
            continue;
        record_leave(state);
        if (record.state == from)
            record_turn(state, command->keys[i], from, to);
        else
            record_touch(state, command->keys[i]);
        count += record.state == from || record.state == to;
    }
    return count;
}

struct outcome *reservations_settle(struct state *state, const struct command *command)
{
    json_int_t count = turn_keys(state, command, RECORD_GRANTED, RECORD_SETTLED);
    return outcome_answer(json_pack("{s:I}", "settled", count));
}

struct outcome *reservations_close(struct state *state, const struct command *command)
{
    json_int_t count = turn_keys(state, command, RECORD_RELEASED, RECORD_CLOSED);
    return outcome_answer(json_pack("{s:I}", "closed", count));
}

/* ---- What waits --------------------------------------------------------- */

static sqlite3_stmt *unsettled_find(struct state *state, enum record_state in, int64_t before_ms,
                                    int64_t limit)
{
    sqlite3_stmt *statement = sql_get(state_sql(state), SQL_RECORD_OPEN);
    sqlite3_bind_int(statement, 1, (int)in);
    sqlite3_bind_int64(statement, 2, before_ms);
    sqlite3_bind_int64(statement, 3, limit);
    return statement;
}

/* Lines as "ID*QUANTITY,ID*QUANTITY": what was asked for, in one canonical text. */
static json_t *unsettled_content(const json_t *lines)
{
    char content[ORDER_LINES_MAX * 32];
    size_t size = 0;
    for (size_t i = 0; i < json_array_size(lines); i++) {
        const json_t *line = json_array_get(lines, i);
        int printed =
            snprintf(content + size, sizeof content - size, "%s%lld*%lld", i > 0 ? "," : "",
                     (long long)json_integer_value(json_object_get(line, "id")),
                     (long long)json_integer_value(json_object_get(line, "quantity")));
        assert(printed > 0 && size + (size_t)printed < sizeof content);
        size += (size_t)printed;
    }
    return json_stringn(content, size);
}

static json_t *unsettled_grant(sqlite3_stmt *row)
{
    struct text key = sql_text(row, 0);
    struct text text = sql_text(row, 2);
    json_t *answer = json_loadb(text.data, text.size, 0, NULL);
    json_t *lines = json_object_get(answer, "lines");
    json_t *grant =
        json_pack("{s:s%,s:I,s:O,s:O,s:o}", "key", key.data, key.size, "stamp",
                  (json_int_t)sqlite3_column_int64(row, 1), "lines", lines, "currency",
                  json_object_get(answer, "currency"), "content", unsettled_content(lines));
    json_decref(answer);
    assert(grant != NULL);
    return grant;
}

static json_t *unsettled_grants(struct state *state, int64_t before_ms, int64_t limit)
{
    json_t *grants = json_array();
    size_t bytes = 0;
    sqlite3_stmt *row = unsettled_find(state, RECORD_GRANTED, before_ms, limit);
    while (sql_row(state_sql(state), row)) {
        bytes += KEY_BYTES_MAX + sql_text(row, 2).size + 256;
        if (bytes > PAGE_BYTES_MAX && json_array_size(grants) > 0) {
            sql_reset(row);
            break;
        }
        json_array_append_new(grants, unsettled_grant(row));
    }
    return grants;
}

json_t *reservations_unsettled(struct state *state, int64_t before_ms, int64_t limit)
{
    json_t *grants = unsettled_grants(state, before_ms, limit);
    json_t *releases = json_array();
    sqlite3_stmt *row = unsettled_find(state, RECORD_RELEASED, before_ms, limit);
    while (sql_row(state_sql(state), row)) {
        struct text key = sql_text(row, 0);
        json_array_append_new(releases, json_stringn(key.data, key.size));
    }
    return json_pack("{s:o,s:o}", "grants", grants, "releases", releases);
}
