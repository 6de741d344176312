/* pygmy lookup: one item, by its id or its whole title.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "broker/bus/limits.h"
#include "client/cli/cli.h"
#include "client/cli/show.h"
#include "client/cli/verbs.h"

static int lookup_run(struct cli *cli)
{
    const char *what = cli_operand(cli, 0);
    struct pygmy_reply reply = {0};
    int64_t id = 0;
    int status = EXIT_DONE;
    bool by_id = !cli_flag(cli, "title") && strspn(what, "-0123456789") == strlen(what);
    if (by_id)
        status = cli_number(cli, "ID", what, 1, ITEM_ID_MAX, &id);
    if (status == EXIT_DONE)
        status = cli_open(cli);
    if (status != EXIT_DONE)
        return status;
    if (by_id)
        pygmy_lookup(cli->store, id, pygmy_keep, &reply);
    else
        pygmy_lookup_title(cli->store, what, pygmy_keep, &reply);
    return show_reply(cli, &reply, "item", show_item);
}

static const struct args_option lookup_options[] = {
    {"title", NULL, "take the argument for a title although it is a number, such as 1984"},
    {0},
};

const struct verb verb_lookup = {
    .name = "lookup",
    .operands = "ID|TITLE",
    .summary = "show an item, by its id or its exact title",
    .examples = "  pygmy lookup 20001\n"
                "  pygmy lookup \"Moby-Dick; or, The Whale\"\n"
                "  pygmy lookup --title 1984\n"
                "  pygmy lookup 20001 --json\n",
    .notes = "A title is the whole title; upper and lower case are the same. For words of a title\n"
             "see `pygmy help search`.\n"
             "--plain prints: id, title, authors, topic, year, isbn, price in cents, currency,\n"
             "stock, version.\n",
    .options = lookup_options,
    .operand_min = 1,
    .operand_max = 1,
    .run = lookup_run,
};
