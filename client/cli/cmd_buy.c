/* pygmy buy: an order of one or more items, exactly once for its key.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "broker/bus/limits.h"
#include "client/cli/cli.h"
#include "client/cli/show.h"
#include "client/cli/verbs.h"

/* Digits of an id, more than any has. */
#define ID_TEXT_BYTES 64

/* Read ID or ID:QUANTITY. */
static int buy_read_line(const struct cli *cli, const char *text, int64_t quantity,
                         struct pygmy_line *line)
{
    char id[ID_TEXT_BYTES];
    size_t len = strcspn(text, ":");
    snprintf(id, sizeof id, "%.*s", (int)(len < sizeof id ? len : sizeof id - 1), text);
    int status = cli_number(cli, "ID", id, 1, ITEM_ID_MAX, &line->id);
    line->quantity = quantity;
    if (status == EXIT_DONE && text[len] == ':')
        status = cli_number(cli, "QUANTITY", text + len + 1, 1, QUANTITY_MAX, &line->quantity);
    return status;
}

static int buy_read_lines(const struct cli *cli, struct pygmy_line *lines)
{
    int64_t quantity = 1;
    int status = cli_option_number(cli, "quantity", 1, QUANTITY_MAX, &quantity);
    for (size_t i = 0; i < cli->args.operand_count && status == EXIT_DONE; i++)
        status = buy_read_line(cli, cli_operand(cli, i), quantity, &lines[i]);
    return status;
}

static void buy_show(const struct cli *cli, const struct pygmy_reply *reply, const char *key)
{
    if (cli->json) {
        json_object_set_new(reply->body, "key", json_string(key));
        cli_print_json(cli, reply->body);
        return;
    }
    show_order(cli, json_object_get(reply->body, "order"));
    if (json_is_true(json_object_get(reply->body, "replayed")))
        cli_notice(cli, "this order was made before, with the same key");
}

static int buy_run(struct cli *cli)
{
    struct pygmy_line lines[ORDER_LINES_MAX];
    struct pygmy_reply reply = {0};
    char made[PYGMY_KEY_BYTES];
    const char *key;
    int status = buy_read_lines(cli, lines);
    if (status == EXIT_DONE)
        status = cli_key(cli, &key);
    if (status == EXIT_DONE)
        status = cli_open(cli);
    if (status != EXIT_DONE)
        return status;
    if (key == NULL) {
        pygmy_key_make(made);
        key = made;
        /* Before it is sent: whoever ends this process finds the key on the screen. */
        cli_notice(cli, "key %s", key);
    }
    pygmy_buy(cli->store, lines, cli->args.operand_count, key, pygmy_keep, &reply);
    status = cli_wait(cli, &reply);
    if (status == EXIT_DONE)
        buy_show(cli, &reply, key);
    pygmy_reply_close(&reply);
    return cli_tell_key(cli, status, key);
}

static const struct args_option buy_options[] = {
    {"quantity", "N", "pieces of each item that names none, 1 to 1000000 (1)"},
    {"key", "KEY", "the idempotency key; one is made otherwise"},
    {0},
};

const struct verb verb_buy = {
    .name = "buy",
    .operands = "ID[:QUANTITY]...",
    .summary = "buy one or more items",
    .examples = "  pygmy buy 20001\n"
                "  pygmy buy 20001 --quantity 2\n"
                "  pygmy buy 20001:2 20005 20007:10\n"
                "  pygmy buy 20001 --key my-order-17\n",
    .notes =
        "All lines are sold, or none. A purchase takes effect at most once for its key: it is\n"
        "tried again by itself until --timeout, and if the outcome is then unknown (exit\n"
        "status 3) the same command with the key that was shown is safe to repeat, and\n"
        "prints the order that was made.\n"
        "--plain prints for each line: order number, state, item, quantity, price in cents,\n"
        "currency, stock left, title.\n",
    .options = buy_options,
    .operand_min = 1,
    .operand_max = ORDER_LINES_MAX,
    .run = buy_run,
};
