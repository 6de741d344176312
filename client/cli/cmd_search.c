/* pygmy search: items by topic, words and author, or all of them.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "broker/bus/bytes.h"
#include "client/cli/cli.h"
#include "client/cli/page.h"
#include "client/cli/show.h"
#include "client/cli/verbs.h"

#define SEARCH_WORDS_MAX 64

/* The operands with a blank between them, the caller's to free(); NULL when there are none. */
static char *search_join(const struct cli *cli)
{
    struct bytes_writer query = {0};
    for (size_t i = 0; cli_operand(cli, i) != NULL; i++) {
        if (i > 0)
            bytes_put_u8(&query, ' ');
        bytes_put_raw(&query, cli_operand(cli, i), strlen(cli_operand(cli, i)));
    }
    if (query.size > 0)
        bytes_put_u8(&query, '\0');
    return (char *)query.data;
}

static void search_ask(struct cli *cli, const char *cursor, int limit, pygmy_done_fn *done,
                       void *arg)
{
    char *query = search_join(cli);
    pygmy_search(cli->store,
                 &(struct pygmy_search){.topic = cli_option(cli, "topic"),
                                        .author = cli_option(cli, "author"),
                                        .query = query,
                                        .cursor = cursor,
                                        .limit = limit},
                 done, arg);
    free(query);
}

static void search_add(void *arg, const json_t *items)
{
    show_items_add(arg, items);
}

static int search_run(struct cli *cli)
{
    struct table *table = show_items_new();
    struct page page = {
        .cli = cli, .list = "items", .ask = search_ask, .add = search_add, .arg = table};
    int status = page_run(&page);
    if (status == EXIT_DONE && !cli->json) {
        if (table_rows(table) > 0)
            cli_print_table(cli, table);
        else
            cli_notice(cli, "nothing was found");
        if (page.more)
            cli_notice(cli, "there are more: --all, or --limit");
    }
    table_destroy(&table);
    return status;
}

static const struct args_option search_options[] = {
    {"topic", "TOPIC", "only items of this topic"},
    {"author", "WORDS", "only items with these words among the authors' names"},
    PAGE_OPTION_LIMIT,
    PAGE_OPTION_CURSOR,
    PAGE_OPTION_ALL,
    {0},
};

const struct verb verb_search = {
    .name = "search",
    .operands = "[WORD]...",
    .summary = "list items, by words, topic, author, or all",
    .examples = "  pygmy search harry potter\n"
                "  pygmy search --topic classics\n"
                "  pygmy search --author austen prid\n"
                "  pygmy search --all --json\n",
    .notes = "All words must occur in an item's title, authors or topic; the last may be the\n"
             "beginning of one. Upper and lower case are the same. Without any, every item.\n"
             "--plain prints: id, price in cents, topic, title, authors.\n",
    .options = search_options,
    .operand_max = SEARCH_WORDS_MAX,
    .run = search_run,
};
