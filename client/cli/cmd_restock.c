/* pygmy restock: change an item's stock by an amount.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "broker/bus/limits.h"
#include "client/cli/cli.h"
#include "client/cli/show.h"
#include "client/cli/verbs.h"
#include "client/cli/write.h"

static void restock_ask(const struct write *write, const char *key, pygmy_done_fn *done, void *arg)
{
    pygmy_stock(write->cli->store, write->id, write->change, write->reason, key, done, arg);
}

static void restock_show(const struct write *write, const json_t *body)
{
    show_item(write->cli, json_object_get(body, "item"));
}

static int restock_run(struct cli *cli)
{
    struct write write = {
        .cli = cli, .ask = restock_ask, .show = restock_show, .reason = cli_option(cli, "reason")};
    int status = cli_number(cli, "ID", cli_operand(cli, 0), 1, ITEM_ID_MAX, &write.id);
    if (status == EXIT_DONE)
        status = cli_number(cli, "CHANGE", cli_operand(cli, 1), -QUANTITY_MAX, QUANTITY_MAX,
                            &write.change);
    if (status == EXIT_DONE && write.change == 0)
        status = cli_usage(cli, "CHANGE is 0, which changes nothing");
    return status == EXIT_DONE ? write_run(&write) : status;
}

static const struct args_option restock_options[] = {
    {"reason", "TEXT", "why, for the item's list of movements"},
    WRITE_OPTION_KEY,
    {0},
};

const struct verb verb_restock = {
    .name = "restock",
    .operands = "ID CHANGE",
    .summary = "add to an item's stock, or take from it",
    .examples = "  pygmy restock 20001 50\n"
                "  pygmy restock 20001 -3 --reason \"damaged in storage\"\n",
    .notes = "CHANGE is added to the stock: -1000000 to 1000000. Less than 0 is never left.\n"
             "This takes the cluster's secret.\n",
    .options = restock_options,
    .operand_min = 2,
    .operand_max = 2,
    .run = restock_run,
};
