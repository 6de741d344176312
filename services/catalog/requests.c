/* See requests.h.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "services/catalog/requests.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "broker/bus/alloc.h"
#include "broker/bus/err.h"
#include "broker/bus/key.h"
#include "broker/bus/limits.h"
#include "services/replica/fields.h"

/* ---- Items -------------------------------------------------------------- */

static void read_year(struct fields *fields, struct command_item *item)
{
    json_t *json = fields_any(fields, "year");
    if (json == NULL)
        return;
    item->fields |= COMMAND_YEAR;
    if (json_is_null(json))
        return;
    item->year_known = true;
    item->year = json_integer_value(json);
    if (!json_is_integer(json) || item->year < -YEAR_MAX || item->year > YEAR_MAX)
        fields_fail(fields, "year", "must be an integer from -9999 to 9999, or null");
}

static void read_currency(struct fields *fields, struct command_item *item)
{
    if (!fields_text_optional(fields, "currency", 3, 3, &item->currency))
        return;
    item->fields |= COMMAND_CURRENCY;
    for (size_t i = 0; i < item->currency.size; i++)
        if (item->currency.data[i] < 'A' || item->currency.data[i] > 'Z')
            fields_fail(fields, "currency", "must be three letters A to Z");
}

/* The rule stays below STOCK_MAX, so that it can always act. */
static void read_rule(struct fields *fields, struct command_item *item)
{
    json_t *json = fields_any(fields, "restock");
    struct fields part;
    if (json == NULL)
        return;
    item->fields |= COMMAND_RULE;
    if (json_is_null(json))
        return;
    item->rule.active = true;
    fields_init_member(&part, json, "restock");
    fields_integer(&part, "threshold", 0, STOCK_MAX - QUANTITY_MAX, &item->rule.threshold);
    fields_integer(&part, "amount", 1, QUANTITY_MAX, &item->rule.amount);
    fields_integer(&part, "period_ms", 0, RESTOCK_PERIOD_MS_MAX, &item->rule.period_ms);
    (void)fields_end(&part);
    fields_fail_as(fields, &part);
}

/* The fields of which any may be given, in an edit as in an import's row. */
static void read_texts(struct fields *fields, struct command_item *item)
{
    if (fields_text_optional(fields, "authors", 0, AUTHORS_BYTES_MAX, &item->authors))
        item->fields |= COMMAND_AUTHORS;
    if (fields_text_optional(fields, "topic", 0, TOPIC_BYTES_MAX, &item->topic))
        item->fields |= COMMAND_TOPIC;
    if (fields_text_optional(fields, "isbn", 0, ISBN_BYTES_MAX, &item->isbn))
        item->fields |= COMMAND_ISBN;
    if (fields_integer_optional(fields, "price_cents", 0, PRICE_CENTS_MAX, &item->price_cents))
        item->fields |= COMMAND_PRICE;
    read_year(fields, item);
}

/* An item as item_add has it, and a row of an import. */
static void read_item(struct fields *fields, struct command_item *item)
{
    fields_integer(fields, "id", 1, ITEM_ID_MAX, &item->id);
    if (fields_text(fields, "title", 1, TITLE_BYTES_MAX, &item->title))
        item->fields |= COMMAND_TITLE;
    if (fields_integer_optional(fields, "stock", 0, STOCK_MAX, &item->stock))
        item->fields |= COMMAND_STOCK_LEVEL;
    read_texts(fields, item);
    read_currency(fields, item);
}

static void read_item_add(struct fields *fields, struct command *command)
{
    struct command_item *item = &command->item;
    read_item(fields, item);
    if (!(item->fields & COMMAND_PRICE))
        fields_fail(fields, "price_cents", "is missing");
    if (!(item->fields & COMMAND_CURRENCY))
        item->currency = TEXT("USD");
    item->fields = COMMAND_FIELDS_ADD;
}

static void read_item_edit(struct fields *fields, struct command *command)
{
    struct command_item *item = &command->item;
    fields_integer(fields, "id", 1, ITEM_ID_MAX, &item->id);
    fields_integer_optional(fields, "version", 1, ITEM_ID_MAX, &command->version);
    if (fields_text_optional(fields, "title", 1, TITLE_BYTES_MAX, &item->title))
        item->fields |= COMMAND_TITLE;
    read_texts(fields, item);
    read_rule(fields, item);
    if (item->fields == 0)
        fields_fail(fields, "", "nothing to change is named");
}

static void read_item_remove(struct fields *fields, struct command *command)
{
    fields_integer(fields, "id", 1, ITEM_ID_MAX, &command->item.id);
    fields_integer_optional(fields, "version", 1, ITEM_ID_MAX, &command->version);
}

static void read_stock(struct fields *fields, struct command *command)
{
    fields_integer(fields, "id", 1, ITEM_ID_MAX, &command->item.id);
    if (fields_integer(fields, "change", -QUANTITY_MAX, QUANTITY_MAX, &command->change) &&
        command->change == 0)
        fields_fail(fields, "change", "must not be 0");
    fields_text_optional(fields, "reason", 0, REASON_BYTES_MAX, &command->reason);
}

/* ---- Import ------------------------------------------------------------- */

/* Returns the index of the first bad row, or the number of rows. */
static size_t read_rows(struct fields *fields, struct command *command)
{
    json_t *rows = fields_array(fields, "rows", 1, IMPORT_ROWS_MAX);
    if (rows == NULL)
        return 0;
    command->count = json_array_size(rows);
    command->rows = alloc_zero(command->count * sizeof command->rows[0]);
    for (size_t i = 0; i < command->count; i++) {
        struct fields row;
        fields_init_element(&row, json_array_get(rows, i), "rows", i);
        read_item(&row, &command->rows[i]);
        if (fields_end(&row) != OK) {
            fields_fail_as(fields, &row);
            return i;
        }
    }
    size_t doubled = command_doubled_row(command);
    if (doubled < command->count) {
        char name[32];
        (void)snprintf(name, sizeof name, "rows[%zu].id", doubled);
        fields_fail(fields, name, "is the id of an earlier row, too");
    }
    return doubled;
}

static struct outcome *read_import(struct fields *fields, struct command *command)
{
    command->default_price_cents = -1;
    fields_integer_optional(fields, "default_price_cents", 0, PRICE_CENTS_MAX,
                            &command->default_price_cents);
    fields_integer_optional(fields, "default_stock", 0, STOCK_MAX, &command->default_stock);
    size_t row = read_rows(fields, command);
    if (fields->code == OK || command->rows == NULL)
        return NULL;
    return outcome_refuse(fields->code, json_pack("{s:I}", "row", (json_int_t)row), "%s",
                          fields->detail);
}

/* ---- Between the two services ------------------------------------------- */

static void read_lines(struct fields *fields, struct command *command)
{
    json_t *lines = fields_array(fields, "lines", 1, ORDER_LINES_MAX);
    if (lines == NULL)
        return;
    command->count = json_array_size(lines);
    command->lines = alloc_zero(command->count * sizeof command->lines[0]);
    for (size_t i = 0; i < command->count; i++) {
        struct fields line;
        fields_init_element(&line, json_array_get(lines, i), "lines", i);
        fields_integer(&line, "id", 1, ITEM_ID_MAX, &command->lines[i].id);
        fields_integer(&line, "quantity", 1, QUANTITY_MAX, &command->lines[i].quantity);
        (void)fields_end(&line);
        fields_fail_as(fields, &line);
    }
    int64_t above = fields->code == OK ? command_sum_lines(command) : 0;
    if (above != 0) {
        fields_fail(fields, "lines", "want more than %d of item %" PRId64 " together", QUANTITY_MAX,
                    above);
    }
}

static void read_keys(struct fields *fields, struct command *command)
{
    json_t *keys = fields_array(fields, "keys", 1, KEYS_MAX);
    if (keys == NULL)
        return;
    command->count = json_array_size(keys);
    command->keys = alloc_zero(command->count * sizeof command->keys[0]);
    for (size_t i = 0; i < command->count; i++) {
        char name[32];
        json_t *key = json_array_get(keys, i);
        command->keys[i] = (struct text){json_string_value(key), json_string_length(key)};
        if (json_is_string(key) && key_valid(command->keys[i].data, command->keys[i].size))
            continue;
        (void)snprintf(name, sizeof name, "keys[%zu]", i);
        fields_fail(fields, name, "must be a string of 1 to 255 visible ASCII characters");
        return;
    }
}

/* ---- The table ---------------------------------------------------------- */

static const struct request_row {
    const char *name;
    enum command_op op;
    bool keyed;
    void (*read)(struct fields *fields, struct command *command); /* NULL: import */
} request_rows[] = {
    {"item_add", COMMAND_ITEM_ADD, true, read_item_add},
    {"item_edit", COMMAND_ITEM_EDIT, true, read_item_edit},
    {"item_remove", COMMAND_ITEM_REMOVE, true, read_item_remove},
    {"stock", COMMAND_STOCK, true, read_stock},
    {"import", COMMAND_IMPORT, true, NULL},
    {"reserve", COMMAND_RESERVE, true, read_lines},
    {"undo", COMMAND_UNDO, true, read_lines},
    {"settle", COMMAND_SETTLE, false, read_keys},
    {"close", COMMAND_CLOSE, false, read_keys},
};

static const struct request_row *request_find(json_t *request)
{
    const char *name = json_string_value(json_object_get(request, "op"));
    for (size_t i = 0; name != NULL && i < sizeof request_rows / sizeof request_rows[0]; i++)
        if (strcmp(request_rows[i].name, name) == 0)
            return &request_rows[i];
    return NULL;
}

struct outcome *request_read(json_t *request, struct command *command)
{
    struct fields fields;
    struct outcome *refusal = NULL;
    const struct request_row *row = request_find(request);
    if (row == NULL)
        return outcome_refuse(ERR_NOT_IMPLEMENTED, NULL, "there is no such operation");

    *command = (struct command){.op = row->op};
    fields_init(&fields, request);
    if (row->keyed) {
        fields_key(&fields, "key", &command->key);
        fields_integer(&fields, "stamp", 0, STAMP_MS_MAX, &command->stamp);
    }
    if (row->read != NULL)
        row->read(&fields, command);
    else
        refusal = read_import(&fields, command);
    if (refusal == NULL)
        refusal = outcome_of_fields(&fields);
    if (refusal != NULL)
        command_close(command);
    return refusal;
}
