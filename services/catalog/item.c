/* See item.h.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "services/catalog/item.h"

#include <assert.h>
#include <string.h>

#include "broker/bus/limits.h"
#include "services/catalog/search.h"
#include "services/catalog/topics.h"

/* Columns of SQL_ITEM_COLUMNS; as parameters they count from 1. */
enum item_column {
    ITEM_ID,
    ITEM_PRESENT,
    ITEM_PRICE,
    ITEM_STOCK,
    ITEM_INITIAL,
    ITEM_MOVED,
    ITEM_SOLD,
    ITEM_VERSION,
    ITEM_CURRENCY,
    ITEM_TITLE,
    ITEM_AUTHORS,
    ITEM_TOPIC,
    ITEM_YEAR,
    ITEM_ISBN,
    ITEM_THRESHOLD,
    ITEM_AMOUNT,
    ITEM_PERIOD,
    ITEM_DUE,
    ITEM_TITLE_FOLDED, /* not read */
    ITEM_TOPIC_FOLDED, /* not read */
};

static bool item_known(sqlite3_stmt *row, enum item_column column)
{
    return sqlite3_column_type(row, (int)column) != SQLITE_NULL;
}

void item_read(sqlite3_stmt *row, struct item *item)
{
    item->id = sqlite3_column_int64(row, ITEM_ID);
    item->present = sqlite3_column_int(row, ITEM_PRESENT) != 0;
    item->price_cents = sqlite3_column_int64(row, ITEM_PRICE);
    item->stock = sqlite3_column_int64(row, ITEM_STOCK);
    item->initial = sqlite3_column_int64(row, ITEM_INITIAL);
    item->moved = sqlite3_column_int64(row, ITEM_MOVED);
    item->sold = sqlite3_column_int64(row, ITEM_SOLD);
    item->version = sqlite3_column_int64(row, ITEM_VERSION);
    text_copy(sql_text(row, ITEM_CURRENCY), item->currency, sizeof item->currency);
    text_copy(sql_text(row, ITEM_TITLE), item->title, sizeof item->title);
    text_copy(sql_text(row, ITEM_AUTHORS), item->authors, sizeof item->authors);
    text_copy(sql_text(row, ITEM_TOPIC), item->topic, sizeof item->topic);
    text_copy(sql_text(row, ITEM_ISBN), item->isbn, sizeof item->isbn);
    item->year_known = item_known(row, ITEM_YEAR);
    item->year = sqlite3_column_int64(row, ITEM_YEAR);
    item->rule.active = item_known(row, ITEM_THRESHOLD);
    item->rule.threshold = sqlite3_column_int64(row, ITEM_THRESHOLD);
    item->rule.amount = sqlite3_column_int64(row, ITEM_AMOUNT);
    item->rule.period_ms = sqlite3_column_int64(row, ITEM_PERIOD);
    item->due_ms = sqlite3_column_int64(row, ITEM_DUE);
}

bool item_find(struct state *state, int64_t id, struct item *item)
{
    sqlite3_stmt *statement = sql_get(state_sql(state), SQL_ITEM_GET);
    sqlite3_bind_int64(statement, 1, id);
    if (!sql_row(state_sql(state), statement))
        return false;
    item_read(statement, item);
    sql_reset(statement);
    return true;
}

bool item_find_present(struct state *state, int64_t id, struct item *item)
{
    return item_find(state, id, item) && item->present;
}

static void item_take_rule(struct item *item, const struct command_rule *rule)
{
    item->rule = *rule;
    item->due_ms = 0; /* a new rule has not acted yet */
}

void item_take(struct item *item, const struct command_item *from)
{
    if (from->fields & COMMAND_TITLE)
        text_copy(from->title, item->title, sizeof item->title);
    if (from->fields & COMMAND_AUTHORS)
        text_copy(from->authors, item->authors, sizeof item->authors);
    if (from->fields & COMMAND_TOPIC)
        text_copy(from->topic, item->topic, sizeof item->topic);
    if (from->fields & COMMAND_YEAR) {
        item->year_known = from->year_known;
        item->year = from->year;
    }
    if (from->fields & COMMAND_ISBN)
        text_copy(from->isbn, item->isbn, sizeof item->isbn);
    if (from->fields & COMMAND_PRICE)
        item->price_cents = from->price_cents;
    if (from->fields & COMMAND_CURRENCY)
        text_copy(from->currency, item->currency, sizeof item->currency);
    if (from->fields & COMMAND_RULE)
        item_take_rule(item, &from->rule);
}

void item_check(const struct item *item)
{
    assert(item->stock >= 0);
    assert(item->sold >= 0);
    assert(item->initial + item->moved - item->sold == item->stock);
    assert(item->present || item->stock == 0);
    assert(item->present || !item->rule.active);
}

static void item_bind_known(sqlite3_stmt *statement, enum item_column column, bool known,
                            int64_t value)
{
    if (known)
        sqlite3_bind_int64(statement, (int)column + 1, value);
    else
        sqlite3_bind_null(statement, (int)column + 1);
}

static void item_bind(sqlite3_stmt *statement, const struct item *item)
{
    sqlite3_bind_int64(statement, ITEM_ID + 1, item->id);
    sqlite3_bind_int(statement, ITEM_PRESENT + 1, item->present);
    sqlite3_bind_int64(statement, ITEM_PRICE + 1, item->price_cents);
    sqlite3_bind_int64(statement, ITEM_STOCK + 1, item->stock);
    sqlite3_bind_int64(statement, ITEM_INITIAL + 1, item->initial);
    sqlite3_bind_int64(statement, ITEM_MOVED + 1, item->moved);
    sqlite3_bind_int64(statement, ITEM_SOLD + 1, item->sold);
    sqlite3_bind_int64(statement, ITEM_VERSION + 1, item->version);
    sql_bind_text(statement, ITEM_CURRENCY + 1, text_of(item->currency));
    sql_bind_text(statement, ITEM_TITLE + 1, text_of(item->title));
    sql_bind_text(statement, ITEM_AUTHORS + 1, text_of(item->authors));
    sql_bind_text(statement, ITEM_TOPIC + 1, text_of(item->topic));
    sql_bind_text(statement, ITEM_ISBN + 1, text_of(item->isbn));
    item_bind_known(statement, ITEM_YEAR, item->year_known, item->year);
    item_bind_known(statement, ITEM_THRESHOLD, item->rule.active, item->rule.threshold);
    item_bind_known(statement, ITEM_AMOUNT, item->rule.active, item->rule.amount);
    item_bind_known(statement, ITEM_PERIOD, item->rule.active, item->rule.period_ms);
    item_bind_known(statement, ITEM_DUE, item->rule.active, item->due_ms);
}

static void item_write(struct state *state, const struct item *item)
{
    char title[4 * TITLE_BYTES_MAX];
    struct text folded = state_fold(state, text_of(item->title));
    text_copy(folded, title, sizeof title); /* the topic's fold takes its place */

    sqlite3_stmt *statement = sql_get(state_sql(state), SQL_ITEM_PUT);
    item_bind(statement, item);
    sql_bind_text(statement, ITEM_TITLE_FOLDED + 1, text_of(title));
    sql_bind_text(statement, ITEM_TOPIC_FOLDED + 1, state_fold(state, text_of(item->topic)));
    sql_run(state_sql(state), statement);
}

static const char *item_check_limits(struct state *state, bool was_present,
                                     const struct item *after)
{
    static_assert(ITEMS_MAX == 1000000 && TOPICS_MAX == 1000, "the sentences below say so");
    if (!was_present && after->present && state_totals(state)->items >= ITEMS_MAX)
        return "the store holds 1000000 items already";
    if (after->present && !topic_has_room(state, text_of(after->topic)))
        return "the store has 1000 topics already";
    return NULL;
}

const char *item_put(struct state *state, const struct item *before, struct item *after)
{
    bool was_present = before != NULL && before->present;
    const char *limit = item_check_limits(state, was_present, after);
    if (limit != NULL)
        return limit;

    after->version = (int64_t)state_index(state);
    item_check(after);
    search_replace(state, was_present ? before : NULL, after->present ? after : NULL);
    topic_replace(state, text_of(was_present ? before->topic : ""),
                  text_of(after->present ? after->topic : ""));
    item_write(state, after);
    state_totals(state)->items += (int)after->present - (int)was_present;
    return NULL;
}

json_t *item_json(const struct item *item)
{
    json_t *year = item->year_known ? json_integer(item->year) : json_null();
    json_t *json = json_pack("{s:I,s:s,s:s,s:s,s:o,s:s,s:I,s:s,s:I,s:I}", "id",
                             (json_int_t)item->id, "title", item->title, "authors", item->authors,
                             "topic", item->topic, "year", year, "isbn", item->isbn, "price_cents",
                             (json_int_t)item->price_cents, "currency", item->currency, "stock",
                             (json_int_t)item->stock, "version", (json_int_t)item->version);
    assert(json != NULL);
    return json;
}

json_t *item_json_short(const struct item *item)
{
    json_t *json = json_pack("{s:I,s:s,s:s,s:s,s:I}", "id", (json_int_t)item->id, "title",
                             item->title, "authors", item->authors, "topic", item->topic,
                             "price_cents", (json_int_t)item->price_cents);
    assert(json != NULL);
    return json;
}

json_t *item_json_rule(const struct item *item)
{
    const struct command_rule *rule = &item->rule;
    if (!rule->active)
        return json_null();
    return json_pack("{s:I,s:I,s:I}", "threshold", (json_int_t)rule->threshold, "amount",
                     (json_int_t)rule->amount, "period_ms", (json_int_t)rule->period_ms);
}

/* Of a text at most every byte is escaped. */
size_t item_json_bytes(const struct item *item)
{
    return PAGE_ROW_BYTES + 2 * (strlen(item->title) + strlen(item->authors) + strlen(item->topic) +
                                 strlen(item->isbn));
}
