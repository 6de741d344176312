/* pygmy orders: the orders, newest first.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "client/cli/cli.h"
#include "client/cli/page.h"
#include "client/cli/show.h"
#include "client/cli/verbs.h"

struct orders {
    const struct cli *cli;
    struct table *table;
};

static void orders_ask(struct cli *cli, const char *cursor, int limit, pygmy_done_fn *done,
                       void *arg)
{
    pygmy_orders(cli->store, cursor, limit, done, arg);
}

static void orders_add(void *arg, const json_t *rows)
{
    struct orders *self = arg;
    show_orders_add(self->cli, self->table, rows);
}

static int orders_run(struct cli *cli)
{
    struct orders self = {.cli = cli, .table = show_orders_new(cli)};
    struct page page = {
        .cli = cli, .list = "orders", .ask = orders_ask, .add = orders_add, .arg = &self};
    int status = page_run(&page);
    if (status == EXIT_DONE && !cli->json) {
        if (table_rows(self.table) > 0)
            cli_print_table(cli, self.table);
        else
            cli_notice(cli, "there are no orders");
        if (page.more)
            cli_notice(cli, "there are more: --all, or --limit");
    }
    table_destroy(&self.table);
    return status;
}

static const struct args_option orders_options[] = {
    PAGE_OPTION_LIMIT, PAGE_OPTION_CURSOR, PAGE_OPTION_ALL, {0}};

const struct verb verb_orders = {
    .name = "orders",
    .operands = "",
    .summary = "list orders, newest first",
    .examples = "  pygmy orders\n"
                "  pygmy orders --limit 10\n"
                "  pygmy orders --all --json\n",
    .notes = "--plain prints: number, state, pieces, total in cents, currency, time.\n",
    .options = orders_options,
    .run = orders_run,
};
