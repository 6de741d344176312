/* Items and orders as people and programs read them.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "client/cli/show.h"

#include <inttypes.h>
#include <stdio.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

/* ---- Items ------------------------------------------------------------------- */

static void show_item_plain(const struct cli *cli, const json_t *item)
{
    static const struct table_column columns[10];
    static const char *const texts[] = {"title", "authors", "topic"};
    struct table *table = table_new(columns, COUNT(columns));
    table_number(table, cli_integer(item, "id"));
    for (size_t i = 0; i < COUNT(texts); i++)
        table_text(table, cli_text(item, texts[i]));
    if (json_is_integer(json_object_get(item, "year")))
        table_number(table, cli_integer(item, "year"));
    else
        table_text(table, "");
    table_text(table, cli_text(item, "isbn"));
    table_number(table, cli_integer(item, "price_cents"));
    table_text(table, cli_text(item, "currency"));
    table_number(table, cli_integer(item, "stock"));
    table_number(table, cli_integer(item, "version"));
    cli_print_table(cli, table);
    table_destroy(&table);
}

static void show_known(const struct cli *cli, const char *name, const char *value)
{
    if (*value != '\0')
        cli_print_field(cli, name, value);
}

static void show_item_page(const struct cli *cli, const json_t *item)
{
    char text[CLI_MONEY_BYTES];
    int64_t year = cli_integer(item, "year");
    cli_print_field(cli, "title", cli_text(item, "title"));
    show_known(cli, "authors", cli_text(item, "authors"));
    show_known(cli, "topic", cli_text(item, "topic"));
    if (json_is_integer(json_object_get(item, "year"))) {
        snprintf(text, sizeof text, "%" PRId64 "%s", year < 0 ? -year : year,
                 year < 0 ? " BCE" : "");
        cli_print_field(cli, "year", text);
    }
    show_known(cli, "isbn", cli_text(item, "isbn"));
    cli_print_field(cli, "price",
                    cli_money(cli_text(item, "currency"), cli_integer(item, "price_cents"), text));
    snprintf(text, sizeof text, "%" PRId64, cli_integer(item, "stock"));
    cli_print_field(cli, "stock", text);
    snprintf(text, sizeof text, "%" PRId64, cli_integer(item, "id"));
    cli_print_field(cli, "id", text);
}

void show_item(const struct cli *cli, const json_t *item)
{
    if (cli->plain)
        show_item_plain(cli, item);
    else
        show_item_page(cli, item);
}

int show_reply(struct cli *cli, struct pygmy_reply *reply, const char *name,
               void (*show)(const struct cli *cli, const json_t *member))
{
    int status = cli_wait(cli, reply);
    if (status == EXIT_DONE && cli->json)
        cli_print_json(cli, reply->body);
    else if (status == EXIT_DONE)
        show(cli, json_object_get(reply->body, name));
    pygmy_reply_close(reply);
    return status;
}

struct table *show_items_new(void)
{
    static const struct table_column columns[] = {
        {"ID", true}, {"CENTS", true}, {"TOPIC", false}, {"TITLE", false}, {"AUTHORS", false}};
    return table_new(columns, COUNT(columns));
}

void show_items_add(struct table *table, const json_t *items)
{
    size_t i;
    json_t *item;
    json_array_foreach(items, i, item)
    {
        table_number(table, cli_integer(item, "id"));
        table_number(table, cli_integer(item, "price_cents"));
        table_text(table, cli_text(item, "topic"));
        table_text(table, cli_text(item, "title"));
        table_text(table, cli_text(item, "authors"));
    }
}

/* ---- Orders ------------------------------------------------------------------ */

static void show_order_plain(const struct cli *cli, const json_t *order)
{
    static const struct table_column columns[8];
    struct table *table = table_new(columns, COUNT(columns));
    size_t i;
    json_t *line;
    json_array_foreach(json_object_get(order, "lines"), i, line)
    {
        table_number(table, cli_integer(order, "order_number"));
        table_text(table, cli_text(order, "state"));
        table_number(table, cli_integer(line, "id"));
        table_number(table, cli_integer(line, "quantity"));
        table_number(table, cli_integer(line, "price_cents"));
        table_text(table, cli_text(order, "currency"));
        table_number(table, cli_integer(line, "stock_left"));
        table_text(table, cli_text(line, "title"));
    }
    cli_print_table(cli, table);
    table_destroy(&table);
}

static void show_order_lines(const struct cli *cli, const json_t *order)
{
    static const struct table_column columns[] = {
        {"QUANTITY", true}, {"ITEM", true}, {"EACH", true}, {"LEFT", true}, {"TITLE", false}};
    struct table *table = table_new(columns, COUNT(columns));
    char money[CLI_MONEY_BYTES];
    size_t i;
    json_t *line;
    json_array_foreach(json_object_get(order, "lines"), i, line)
    {
        table_number(table, cli_integer(line, "quantity"));
        table_number(table, cli_integer(line, "id"));
        table_text(table,
                   cli_money(cli_text(order, "currency"), cli_integer(line, "price_cents"), money));
        table_number(table, cli_integer(line, "stock_left"));
        table_text(table, cli_text(line, "title"));
    }
    cli_print_table(cli, table);
    table_destroy(&table);
}

static void show_order_page(const struct cli *cli, const json_t *order)
{
    char text[CLI_MONEY_BYTES];
    snprintf(text, sizeof text, "%" PRId64, cli_integer(order, "order_number"));
    cli_print_field(cli, "order", text);
    cli_print_field(cli, "state", cli_text(order, "state"));
    cli_print_field(cli, "created", cli_text(order, "created_at"));
    show_known(cli, "cancelled", cli_text(order, "cancelled_at"));
    cli_print_field(
        cli, "total",
        cli_money(cli_text(order, "currency"), cli_integer(order, "total_cents"), text));
    show_order_lines(cli, order);
}

void show_order(const struct cli *cli, const json_t *order)
{
    if (cli->plain)
        show_order_plain(cli, order);
    else
        show_order_page(cli, order);
}

struct table *show_orders_new(const struct cli *cli)
{
    static const struct table_column plain[6];
    static const struct table_column page[] = {
        {"ORDER", true}, {"STATE", false}, {"PIECES", true}, {"TOTAL", true}, {"CREATED", false}};
    return cli->plain ? table_new(plain, COUNT(plain)) : table_new(page, COUNT(page));
}

static int64_t show_pieces(const json_t *order)
{
    int64_t pieces = 0;
    size_t i;
    json_t *line;
    json_array_foreach(json_object_get(order, "lines"), i, line)
    {
        pieces += cli_integer(line, "quantity");
    }
    return pieces;
}

void show_orders_add(const struct cli *cli, struct table *table, const json_t *orders)
{
    char money[CLI_MONEY_BYTES];
    size_t i;
    json_t *order;
    json_array_foreach(orders, i, order)
    {
        const char *currency = cli_text(order, "currency");
        int64_t total = cli_integer(order, "total_cents");
        table_number(table, cli_integer(order, "order_number"));
        table_text(table, cli_text(order, "state"));
        table_number(table, show_pieces(order));
        if (cli->plain) {
            table_number(table, total);
            table_text(table, currency);
        } else {
            table_text(table, cli_money(currency, total, money));
        }
        table_text(table, cli_text(order, "created_at"));
    }
}
