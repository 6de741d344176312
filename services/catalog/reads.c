/* See reads.h.
 *
 * The place of a row on a page is its id, of a movement its log index.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "services/catalog/reads.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "broker/bus/bytes.h"
#include "broker/bus/clock.h"
#include "broker/bus/err.h"
#include "broker/bus/limits.h"
#include "services/replica/fields.h"
#include "services/catalog/item.h"
#include "services/catalog/reservations.h"
#include "services/catalog/search.h"
#include "services/catalog/topics.h"
#include "services/catalog/touched.h"
#include "services/replica/page.h"

/* Fill a page with items from @row's statement, each written by @json. */
static struct outcome *page_of_items(struct state *state, struct page *page, sqlite3_stmt *row,
                                     json_t *(*json)(const struct item *))
{
    struct item item;
    page->rows = json_array();
    while (sql_row(state_sql(state), row)) {
        item_read(row, &item);
        if (!page_has_room(page, item_json_bytes(&item))) {
            sql_reset(row);
            break;
        }
        page_add(page, item.id, json(&item), item_json_bytes(&item));
    }
    return outcome_answer(json_pack("{s:o,s:o}", "items", page->rows, "next", page_next(page)));
}

/* ---- The operations ----------------------------------------------------- */

struct reading {
    struct state *state;
    struct fields fields; /* of the request */
    int64_t log_time_ms;
};

static struct outcome *read_time(struct reading *reading)
{
    struct outcome *refusal = outcome_of_fields(&reading->fields);
    return refusal != NULL ? refusal : outcome_answer(json_object());
}

/* Whether it was asked for with a log index: the skeleton has seen to that (node.h). */
static bool read_is_at_index(struct fields *fields)
{
    return fields_any(fields, "applied") != NULL;
}

/* The lowest id of that title, or 0. */
static int64_t read_id_of_title(struct state *state, struct text title)
{
    sqlite3_stmt *statement = sql_get(state_sql(state), SQL_ITEM_BY_TITLE);
    sql_bind_text(statement, 1, state_fold(state, title));
    int64_t id = sql_row(state_sql(state), statement) ? sqlite3_column_int64(statement, 0) : 0;
    sql_reset(statement);
    return id;
}

static struct outcome *read_lookup(struct reading *reading)
{
    struct fields *fields = &reading->fields;
    struct text title = {0};
    int64_t id = 0;
    struct item item;

    bool by_id = fields_integer_optional(fields, "id", 1, ITEM_ID_MAX, &id);
    bool by_title = fields_text_optional(fields, "title", 1, TITLE_BYTES_MAX, &title);
    if (by_id == by_title)
        fields_fail(fields, "", "either id or title must be given");
    if (read_is_at_index(fields) && by_title)
        fields_fail(fields, "applied", "goes with id alone");
    struct outcome *refusal = outcome_of_fields(fields);
    if (refusal != NULL)
        return refusal;

    if (by_title)
        id = read_id_of_title(reading->state, title);
    if (item_find_present(reading->state, id, &item))
        return outcome_answer(json_pack("{s:o}", "item", item_json(&item)));
    return by_title ? outcome_refuse(ERR_NOT_FOUND, NULL, "there is no item of this title")
                    : outcome_refuse(ERR_NOT_FOUND, json_pack("{s:I}", "id", (json_int_t)id),
                                     "there is no item %" PRId64, id);
}

/* The statement of a search: by words if there are any, else by topic, else all items. @match and
 * @folded must live as long as it. */
static sqlite3_stmt *read_search_find(struct state *state, const struct page *page,
                                      const struct bytes_writer *match, struct text folded)
{
    const struct text expression = {(const char *)match->data, match->size};
    enum sql_name name = match->size > 0   ? SQL_SEARCH_PAGE
                         : folded.size > 0 ? SQL_ITEM_BY_TOPIC
                                           : SQL_ITEM_PAGE;
    sqlite3_stmt *statement = sql_get(state_sql(state), name);
    sqlite3_bind_int64(statement, 1, page->after);
    if (name == SQL_SEARCH_PAGE)
        sql_bind_text(statement, 2, expression);
    if (name != SQL_ITEM_PAGE && folded.size > 0)
        sql_bind_text(statement, name == SQL_SEARCH_PAGE ? 3 : 2, folded);
    return statement;
}

static struct outcome *read_search(struct reading *reading)
{
    struct fields *fields = &reading->fields;
    struct text topic = {0}, query = {0}, author = {0};
    struct page page;
    struct bytes_writer match = {0};

    fields_text_optional(fields, "topic", 0, TOPIC_BYTES_MAX, &topic);
    fields_text_optional(fields, "query", 0, QUERY_BYTES_MAX, &query);
    fields_text_optional(fields, "author", 0, QUERY_BYTES_MAX, &author);
    page_init_asked(&page, fields);
    struct outcome *outcome = outcome_of_fields(fields);
    if (outcome != NULL)
        return outcome;

    search_match(&match, query, author, topic);
    sqlite3_stmt *statement =
        read_search_find(reading->state, &page, &match, state_fold(reading->state, topic));
    outcome = page_of_items(reading->state, &page, statement, item_json_short);
    sql_reset(statement);
    bytes_writer_close(&match);
    return outcome;
}

static struct outcome *read_items(struct reading *reading)
{
    struct page page;
    page_init_asked(&page, &reading->fields);
    struct outcome *refusal = outcome_of_fields(&reading->fields);
    if (refusal != NULL)
        return refusal;
    sqlite3_stmt *statement = sql_get(state_sql(reading->state), SQL_ITEM_PAGE);
    sqlite3_bind_int64(statement, 1, page.after);
    return page_of_items(reading->state, &page, statement, item_json);
}

/* NULL: there are more than TOPIC_IDS_MAX. */
static json_t *read_topic_ids(struct state *state, struct text name)
{
    json_t *ids = json_array();
    sqlite3_stmt *row = sql_get(state_sql(state), SQL_TOPIC_IDS);

    sql_bind_text(row, 1, state_fold(state, name));
    while (ids != NULL && sql_row(state_sql(state), row)) {
        if (json_array_size(ids) == TOPIC_IDS_MAX) {
            sql_reset(row);
            json_decref(ids);
            ids = NULL;
        } else {
            json_array_append_new(ids, json_integer(sqlite3_column_int64(row, 0)));
        }
    }
    return ids;
}

static struct outcome *read_topic(struct reading *reading)
{
    struct text name = {0};

    fields_text(&reading->fields, "topic", 1, TOPIC_BYTES_MAX, &name);
    (void)read_is_at_index(&reading->fields);
    struct outcome *refusal = outcome_of_fields(&reading->fields);
    if (refusal != NULL)
        return refusal;
    json_t *ids = read_topic_ids(reading->state, name);
    if (ids == NULL)
        return outcome_refuse(ERR_TOO_LARGE, NULL, "the topic has more than %d items: search it",
                              TOPIC_IDS_MAX);
    char *key = touched_topic_key(reading->state, name);
    struct outcome *answer = outcome_answer(json_pack("{s:s,s:o}", "key", key, "ids", ids));
    free(key);
    return answer;
}

static struct outcome *read_topics(struct reading *reading)
{
    struct outcome *refusal = outcome_of_fields(&reading->fields);
    if (refusal != NULL)
        return refusal;
    return outcome_answer(json_pack("{s:o}", "topics", topic_list(reading->state)));
}

static json_t *read_movement(sqlite3_stmt *row)
{
    char at[CLOCK_TEXT_BYTES];
    struct text reason = sql_text(row, 2);
    return json_pack("{s:I,s:I,s:s%,s:s}", "log_index", (json_int_t)sqlite3_column_int64(row, 0),
                     "change", (json_int_t)sqlite3_column_int64(row, 1), "reason", reason.data,
                     reason.size, "at", clock_text(sqlite3_column_int64(row, 3), at));
}

static void read_movement_rows(struct state *state, int64_t id, struct page *page)
{
    sqlite3_stmt *row = sql_get(state_sql(state), SQL_MOVEMENT_PAGE);
    sqlite3_bind_int64(row, 1, id);
    sqlite3_bind_int64(row, 2, page->after);
    page->rows = json_array();
    while (sql_row(state_sql(state), row)) {
        size_t bytes = 128 + 2 * sql_text(row, 2).size;
        if (!page_has_room(page, bytes)) {
            sql_reset(row);
            break;
        }
        page_add(page, sqlite3_column_int64(row, 0), read_movement(row), bytes);
    }
}

static struct outcome *read_movements(struct reading *reading)
{
    struct page page;
    struct item item;
    int64_t id = 0;

    fields_integer(&reading->fields, "id", 1, ITEM_ID_MAX, &id);
    page_init_asked(&page, &reading->fields);
    struct outcome *refusal = outcome_of_fields(&reading->fields);
    if (refusal != NULL)
        return refusal;
    if (!item_find(reading->state, id, &item))
        return outcome_refuse(ERR_NOT_FOUND, json_pack("{s:I}", "id", (json_int_t)id),
                              "there never was an item %" PRId64, id);
    read_movement_rows(reading->state, id, &page);
    return outcome_answer(json_pack("{s:I,s:I,s:I,s:I,s:I,s:o,s:o,s:o}", "id", (json_int_t)id,
                                    "initial", (json_int_t)item.initial, "moved",
                                    (json_int_t)item.moved, "sold", (json_int_t)item.sold, "stock",
                                    (json_int_t)item.stock, "restock", item_json_rule(&item),
                                    "movements", page.rows, "next", page_next(&page)));
}

static struct outcome *read_unsettled(struct reading *reading)
{
    int64_t older_ms = 0;
    int64_t limit = PAGE_DEFAULT;
    fields_integer_optional(&reading->fields, "older_ms", 0, STAMP_MS_MAX, &older_ms);
    fields_integer_optional(&reading->fields, "limit", 1, PAGE_MAX, &limit);
    struct outcome *refusal = outcome_of_fields(&reading->fields);
    if (refusal != NULL)
        return refusal;
    return outcome_answer(
        reservations_unsettled(reading->state, reading->log_time_ms - older_ms, limit));
}

/* ---- The stream of changes ---------------------------------------------- */

static json_t *read_change(const struct item *item, bool whole)
{
    json_t *change =
        json_pack("{s:I,s:I}", "version", (json_int_t)item->version, "id", (json_int_t)item->id);
    if (item->present)
        json_object_set_new(change, "item", whole ? item_json(item) : json_null());
    else
        json_object_set_new(change, "removed", json_true());
    return change;
}

void read_changes(struct state *state, struct changes_page *page)
{
    sqlite3_stmt *row = sql_get(state_sql(state), SQL_ITEM_CHANGES);
    struct item item;

    sqlite3_bind_int64(row, 1, (sqlite3_int64)page->since);
    while (sql_row(state_sql(state), row)) {
        item_read(row, &item);
        size_t bytes = item_json_bytes(&item);
        enum changes_room room = changes_page_room(page, (uint64_t)item.version, bytes);
        if (room == CHANGES_FULL) {
            sql_reset(row);
            break;
        }
        changes_page_add(page, (uint64_t)item.version, read_change(&item, room == CHANGES_WHOLE),
                         bytes);
    }
}

/* ---- Which one ----------------------------------------------------------- */

typedef struct outcome *read_fn(struct reading *reading);

static const struct read_row {
    const char *name;
    read_fn *run;
} read_rows[] = {
    {"time", read_time},           {"lookup", read_lookup},       {"search", read_search},
    {"items", read_items},         {"topic", read_topic},         {"topics", read_topics},
    {"movements", read_movements}, {"unsettled", read_unsettled},
};

static read_fn *read_find(json_t *request)
{
    const char *name = json_string_value(json_object_get(request, "op"));
    for (size_t i = 0; name != NULL && i < sizeof read_rows / sizeof read_rows[0]; i++)
        if (strcmp(read_rows[i].name, name) == 0)
            return read_rows[i].run;
    return NULL;
}

struct outcome *read_answer(struct state *state, json_t *request, int64_t log_time_ms)
{
    struct reading reading = {.state = state, .log_time_ms = log_time_ms};
    read_fn *run = read_find(request);

    fields_init(&reading.fields, request);
    if (run == NULL)
        return outcome_refuse(ERR_NOT_IMPLEMENTED, NULL, "there is no such operation");
    /* cppcheck-suppress returnDanglingLifetime ; an outcome keeps nothing of the reading */
    return run(&reading);
}
