/* pygmy items add, edit, remove: the operator's changes to one item.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "broker/bus/limits.h"
#include "client/cli/cli.h"
#include "client/cli/number.h"
#include "client/cli/show.h"
#include "client/cli/verbs.h"
#include "client/cli/write.h"

/* THRESHOLD:AMOUNT:TIME */
#define RESTOCK_FIELDS 3

static const struct {
    const char *option;
    const char *member;
} items_texts[] = {{"title", "title"},
                   {"authors", "authors"},
                   {"topic", "topic"},
                   {"isbn", "isbn"},
                   {"currency", "currency"}};

static const struct {
    const char *option;
    const char *member;
    int64_t min;
    int64_t max;
} items_numbers[] = {{"price", "price_cents", 0, PRICE_CENTS_MAX},
                     {"stock", "stock", 0, STOCK_MAX},
                     {"year", "year", -YEAR_MAX, YEAR_MAX},
                     {"if-version", "version", 1, ITEM_ID_MAX}};

static int items_take_texts(const struct cli *cli, json_t *fields)
{
    for (size_t i = 0; i < sizeof items_texts / sizeof *items_texts; i++) {
        const char *text = cli_option(cli, items_texts[i].option);
        if (text == NULL)
            continue;
        if (json_object_set_new(fields, items_texts[i].member, json_string(text)) != 0)
            return cli_usage(cli, "--%s is not UTF-8", items_texts[i].option);
    }
    return EXIT_DONE;
}

static int items_take_numbers(const struct cli *cli, json_t *fields)
{
    for (size_t i = 0; i < sizeof items_numbers / sizeof *items_numbers; i++) {
        int64_t value;
        const char *name = items_numbers[i].option;
        const char *text = cli_option(cli, name);
        if (text == NULL)
            continue;
        /* The year may be unknown. */
        if (strcmp(name, "year") == 0 && *text == '\0') {
            json_object_set_new(fields, "year", json_null());
            continue;
        }
        int status =
            cli_option_number(cli, name, items_numbers[i].min, items_numbers[i].max, &value);
        if (status != EXIT_DONE)
            return status;
        json_object_set_new(fields, items_numbers[i].member, json_integer(value));
    }
    return EXIT_DONE;
}

/* THRESHOLD:AMOUNT:PERIOD, or "none". */
static int items_take_rule(const struct cli *cli, json_t *fields)
{
    char parts[RESTOCK_FIELDS][32];
    const char *rule = cli_option(cli, "restock");
    int64_t threshold;
    int64_t amount;
    int64_t period_ms;
    if (rule == NULL)
        return EXIT_DONE;
    if (strcmp(rule, "none") == 0) {
        json_object_set_new(fields, "restock", json_null());
        return EXIT_DONE;
    }
    int end = 0;
    if (sscanf(rule, "%31[^:]:%31[^:]:%31[^:]%n", parts[0], parts[1], parts[2], &end) !=
            RESTOCK_FIELDS ||
        rule[end] != '\0' || !number_read(parts[0], 0, STOCK_MAX - QUANTITY_MAX, &threshold) ||
        !number_read(parts[1], 1, QUANTITY_MAX, &amount) ||
        !number_read_duration(parts[2], 0, RESTOCK_PERIOD_MS_MAX, &period_ms))
        return cli_usage(cli, "--restock \"%s\" is not THRESHOLD:AMOUNT:TIME, nor none", rule);
    json_object_set_new(fields, "restock",
                        json_pack("{sI sI sI}", "threshold", (json_int_t)threshold, "amount",
                                  (json_int_t)amount, "period_ms", (json_int_t)period_ms));
    return EXIT_DONE;
}

static int items_take_fields(const struct cli *cli, json_t *fields)
{
    int status = items_take_texts(cli, fields);
    if (status == EXIT_DONE)
        status = items_take_numbers(cli, fields);
    if (status == EXIT_DONE)
        status = items_take_rule(cli, fields);
    return status;
}

/* ---- The three actions ------------------------------------------------------------ */

static void items_ask_add(const struct write *write, const char *key, pygmy_done_fn *done,
                          void *arg)
{
    pygmy_item_add(write->cli->store, write->fields, key, done, arg);
}

static void items_ask_edit(const struct write *write, const char *key, pygmy_done_fn *done,
                           void *arg)
{
    pygmy_item_edit(write->cli->store, write->fields, key, done, arg);
}

static void items_ask_remove(const struct write *write, const char *key, pygmy_done_fn *done,
                             void *arg)
{
    pygmy_item_remove(write->cli->store, write->fields, key, done, arg);
}

static void items_show(const struct write *write, const json_t *body)
{
    const json_t *item = json_object_get(body, "item");
    if (item != NULL)
        show_item(write->cli, item);
    else
        cli_notice(write->cli, "item %lld was removed", (long long)write->id);
}

static const struct items_action {
    const char *name;
    const char *needs;  /* options it can't do without, blank-separated */
    const char *takes;  /* options it allows, with a blank around each */
    bool needs_a_field; /* one of those that it allows */
    void (*ask)(const struct write *write, const char *key, pygmy_done_fn *done, void *arg);
} items_actions[] = {
    {"add", " title price ", " title price authors topic year isbn currency stock ", false,
     items_ask_add},
    {"edit", " ", " title price authors topic year isbn restock if-version ", true, items_ask_edit},
    {"remove", " ", " if-version ", false, items_ask_remove},
};

static bool items_has_word(const char *words, const char *word)
{
    char padded[32];
    snprintf(padded, sizeof padded, " %s ", word);
    return strstr(words, padded) != NULL;
}

/* Check which fields were given against those that the action knows. */
static int items_check(const struct cli *cli, const struct items_action *action)
{
    size_t count = 0;
    for (const struct args_option *option = verb_items.options; option->name != NULL; option++) {
        bool given = cli_option(cli, option->name) != NULL;
        if (strcmp(option->name, "key") == 0)
            continue;
        if (given && !items_has_word(action->takes, option->name))
            return cli_usage(cli, "%s takes no --%s", action->name, option->name);
        if (!given && items_has_word(action->needs, option->name))
            return cli_usage(cli, "%s needs --%s", action->name, option->name);
        count += given && strcmp(option->name, "if-version") != 0;
    }
    if (action->needs_a_field && count == 0)
        return cli_usage(cli, "what shall be changed? See the options");
    return EXIT_DONE;
}

static const struct items_action *items_find_action(const char *name)
{
    for (size_t i = 0; i < sizeof items_actions / sizeof *items_actions; i++)
        if (strcmp(items_actions[i].name, name) == 0)
            return &items_actions[i];
    return NULL;
}

static int items_run(struct cli *cli)
{
    const struct items_action *action = items_find_action(cli_operand(cli, 0));
    struct write write = {.cli = cli, .show = items_show};
    if (action == NULL)
        return cli_usage(cli, "\"%s\" is none of add, edit, remove", cli_operand(cli, 0));
    int status = cli_number(cli, "ID", cli_operand(cli, 1), 1, ITEM_ID_MAX, &write.id);
    if (status == EXIT_DONE)
        status = items_check(cli, action);
    if (status != EXIT_DONE)
        return status;
    write.fields = json_pack("{sI}", "id", (json_int_t)write.id);
    write.ask = action->ask;
    status = items_take_fields(cli, write.fields);
    if (status == EXIT_DONE)
        return write_run(&write);
    json_decref(write.fields);
    return status;
}

static const struct args_option items_options[] = {
    {"title", "TEXT", "the title"},
    {"price", "CENTS", "the price in cents"},
    {"authors", "NAMES", "names, with \"; \" between them"},
    {"topic", "TOPIC", "the topic"},
    {"year", "YEAR", "year of publication; negative: BCE; \"\": unknown"},
    {"isbn", "ISBN", "the ISBN"},
    {"currency", "CODE", "three letters (USD); add only"},
    {"stock", "N", "pieces to begin with (0); add only"},
    {"restock", "RULE", "THRESHOLD:AMOUNT:TIME, such as 0:100:10s, or none; edit only"},
    {"if-version", "N", "refuse when the item has another version by now"},
    WRITE_OPTION_KEY,
    {0},
};

const struct verb verb_items = {
    .name = "items",
    .operands = "add|edit|remove ID",
    .summary = "add, edit or remove an item",
    .examples = "  pygmy items add 30001 --title \"A Book\" --price 1999 --stock 5\n"
                "  pygmy items edit 30001 --price 1499 --topic classics\n"
                "  pygmy items edit 30001 --restock 0:100:10s\n"
                "  pygmy items remove 30001\n",
    .notes = "add needs --title and --price. edit changes what is named and nothing else; for the\n"
             "stock see `pygmy help restock`. With a restock rule, an item whose stock is at or\n"
             "below THRESHOLD gets AMOUNT more, at most once in TIME.\n"
             "This takes the cluster's secret.\n",
    .options = items_options,
    .operand_min = 2,
    .operand_max = 2,
    .run = items_run,
};
