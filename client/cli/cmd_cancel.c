/* pygmy cancel: give an order back.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "client/cli/cli.h"
#include "client/cli/show.h"
#include "client/cli/verbs.h"
#include "client/cli/write.h"

static void cancel_ask(const struct write *write, const char *key, pygmy_done_fn *done, void *arg)
{
    pygmy_cancel(write->cli->store, write->id, key, done, arg);
}

static void cancel_show(const struct write *write, const json_t *body)
{
    show_order(write->cli, json_object_get(body, "order"));
}

static int cancel_run(struct cli *cli)
{
    struct write write = {.cli = cli, .ask = cancel_ask, .show = cancel_show};
    int status = cli_number(cli, "NUMBER", cli_operand(cli, 0), 1, INT64_MAX - 1, &write.id);
    return status == EXIT_DONE ? write_run(&write) : status;
}

static const struct args_option cancel_options[] = {WRITE_OPTION_KEY, {0}};

const struct verb verb_cancel = {
    .name = "cancel",
    .operands = "NUMBER",
    .summary = "cancel an order and put its items back into stock",
    .examples = "  pygmy cancel 17\n",
    .options = cancel_options,
    .operand_min = 1,
    .operand_max = 1,
    .run = cancel_run,
};
