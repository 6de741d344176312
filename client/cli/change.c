/* See change.h.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "client/cli/change.h"

#include <czmq.h>
#include <inttypes.h>
#include <stdlib.h>

#include "client/cli/cli.h"
#include "client/cli/text.h"

/* ---- For people --------------------------------------------------------------------- */

/* What it is now; one whose text was too much for the stream is only named. */
static char *change_item(const json_t *change)
{
    const json_t *item = json_object_get(change, "item");
    const int64_t id = cli_integer(change, "id");
    char money[CLI_MONEY_BYTES];
    if (json_is_true(json_object_get(change, "removed")))
        return zsys_sprintf("item %" PRId64 " removed", id);
    if (!json_is_object(item))
        return zsys_sprintf("item %" PRId64 " changed: pygmy lookup %" PRId64, id, id);
    return zsys_sprintf(
        "item %" PRId64 " '%s' stock %" PRId64 ", %s", id, cli_text(item, "title"),
        cli_integer(item, "stock"),
        cli_money(cli_text(item, "currency"), cli_integer(item, "price_cents"), money));
}

static char *change_order(const json_t *change)
{
    const json_t *order = json_object_get(change, "order");
    const int64_t number = cli_integer(change, "number");
    char money[CLI_MONEY_BYTES];
    if (!json_is_object(order))
        return zsys_sprintf("order %" PRId64 " changed: pygmy order %" PRId64, number, number);
    const size_t lines = json_array_size(json_object_get(order, "lines"));
    return zsys_sprintf(
        "order %" PRId64 " %s %zu line%s %s", number, cli_text(order, "state"), lines,
        lines == 1 ? "" : "s",
        cli_money(cli_text(order, "currency"), cli_integer(order, "total_cents"), money));
}

static bool change_is_order(const json_t *change)
{
    return json_object_get(change, "number") != NULL;
}

char *change_sentence(const json_t *change)
{
    char *what = change_is_order(change) ? change_order(change) : change_item(change);
    char *text = zsys_sprintf("%s (version %" PRId64 ")", what, cli_integer(change, "version"));
    char *clean = text_clean(text);
    free(text);
    free(what);
    return clean;
}

/* ---- For programs ------------------------------------------------------------------- */

struct table *change_table_new(void)
{
    static const struct table_column columns[9];
    return table_new(columns, sizeof columns / sizeof *columns);
}

static void change_add_cell(struct table *table, const json_t *object, const char *name)
{
    const json_t *value = json_object_get(object, name);
    if (json_is_integer(value))
        table_number(table, json_integer_value(value));
    else
        table_text(table, json_string_value(value));
}

static void change_add_order(struct table *table, const json_t *change)
{
    const json_t *order = json_object_get(change, "order");
    table_text(table, "order");
    change_add_cell(table, change, "number");
    change_add_cell(table, order, "state");
    if (json_is_object(order))
        table_number(table, (int64_t)json_array_size(json_object_get(order, "lines")));
    else
        table_text(table, "");
    change_add_cell(table, order, "total_cents");
    change_add_cell(table, order, "currency");
}

static void change_add_item(struct table *table, const json_t *change)
{
    const json_t *item = json_object_get(change, "item");
    table_text(table, json_is_true(json_object_get(change, "removed")) ? "removed" : "item");
    change_add_cell(table, change, "id");
    change_add_cell(table, item, "stock");
    change_add_cell(table, item, "price_cents");
    change_add_cell(table, item, "currency");
    change_add_cell(table, item, "title");
}

void change_add_row(struct table *table, const char *group, const json_t *change, int64_t resume)
{
    table_text(table, group);
    change_add_cell(table, change, "version");
    table_number(table, resume);
    if (change_is_order(change))
        change_add_order(table, change);
    else
        change_add_item(table, change);
}

json_t *change_object(const char *group, const json_t *change, const char *since)
{
    json_t *object = json_pack("{ss}", "group", group);
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)change, name, value)
    {
        json_object_set(object, name, value);
    }
    json_object_set_new(object, "since", json_string(since));
    return object;
}
