/* pygmy order: one order by its number.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "client/cli/cli.h"
#include "client/cli/show.h"
#include "client/cli/verbs.h"

/* By the key that it was made with: for a client that never got its answer. */
static void order_ask_by_key(struct cli *cli, const char *key, struct pygmy_reply *reply)
{
    pygmy_start(cli->store, &(struct pygmy_call){
                                .service = "order",
                                .request = json_pack("{ss ss}", "op", "order", "key", key),
                                .done = pygmy_keep,
                                .arg = reply,
                            });
}

static int order_run(struct cli *cli)
{
    const char *number_text = cli_operand(cli, 0);
    const char *key;
    struct pygmy_reply reply = {0};
    int64_t number = 0;
    int status = cli_key(cli, &key);
    if (status == EXIT_DONE && (number_text != NULL) == (key != NULL))
        status = cli_usage(cli, "give the order's NUMBER, or --key");
    if (status == EXIT_DONE && number_text != NULL)
        status = cli_number(cli, "NUMBER", number_text, 1, INT64_MAX - 1, &number);
    if (status == EXIT_DONE)
        status = cli_open(cli);
    if (status != EXIT_DONE)
        return status;
    if (key != NULL)
        order_ask_by_key(cli, key, &reply);
    else
        pygmy_order(cli->store, number, pygmy_keep, &reply);
    return show_reply(cli, &reply, "order", show_order);
}

static const struct args_option order_options[] = {
    {"key", "KEY", "the order that was made with this key, instead of a number"},
    {0},
};

const struct verb verb_order = {
    .name = "order",
    .operands = "NUMBER",
    .summary = "show an order",
    .examples = "  pygmy order 17\n"
                "  pygmy order --key my-order-17\n"
                "  pygmy order 17 --json\n",
    .options = order_options,
    .operand_max = 1,
    .run = order_run,
};
