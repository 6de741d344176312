/* pygmy watch: what changes in the store, as it changes.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "broker/bus/err.h"
#include "client/cli/change.h"
#include "client/cli/cli.h"
#include "client/cli/since.h"
#include "client/cli/verbs.h"

#define CLOCK_BYTES 16

struct watch;

/* A group that is watched. */
struct watched {
    struct watch *watch;
    const char *group; /* as the protocol names it */
    const char *title; /* in a sentence */
    struct pygmy_watch *changes;
};

struct watch {
    struct cli *cli;
    size_t count;
    struct watched groups[SINCE_GROUPS];
    struct since_group since[SINCE_GROUPS]; /* of each group: everything up to it was written */
    bool failed;                            /* what is shown can't be written any more */
};

/* ---- Showing --------------------------------------------------------------------------- */

/* The time of day @ago_ms ago. Returns @text. */
static char *watch_clock(int64_t ago_ms, char text[CLOCK_BYTES])
{
    const time_t then = time(NULL) - (time_t)(ago_ms / 1000);
    struct tm parts;
    if (localtime_r(&then, &parts) == NULL || strftime(text, CLOCK_BYTES, "%H:%M:%S", &parts) == 0)
        text[0] = '\0';
    return text;
}

static void watch_print_sentence(const struct cli *cli, const json_t *change)
{
    char clock[CLOCK_BYTES];
    char *sentence = change_sentence(change);
    printf("%s%s%s  %s\n", cli->color ? "\033[2m" : "", watch_clock(0, clock),
           cli->color ? "\033[0m" : "", sentence);
    free(sentence);
}

static void watch_print_plain(const char *group, const json_t *change, int64_t resume)
{
    struct table *table = change_table_new();
    change_add_row(table, group, change, resume);
    table_print_plain(table, stdout);
    table_destroy(&table);
}

/* Where to go on from, as --since has it: with the cluster that this is a place in. */
static char *watch_since(struct watch *self, bool words, char text[SINCE_TEXT_BYTES])
{
    for (size_t i = 0; i < self->count; i++) {
        const char *cluster = pygmy_watch_cluster(self->groups[i].changes);
        if (cluster[0] != '\0')
            snprintf(self->since[i].cluster, sizeof self->since[i].cluster, "%.*s",
                     SINCE_CLUSTER_DIGITS_MAX, cluster);
    }
    return since_write(self->since, self->count, words, text);
}

static void watch_print_json(struct watch *self, const char *group, const json_t *change)
{
    char since[SINCE_TEXT_BYTES];
    json_t *object = change_object(group, change, watch_since(self, true, since));
    cli_print_json(self->cli, object);
    json_decref(object);
}

/* A line each, at once: whoever reads them wants to know now. */
static void watch_change(void *arg, const json_t *change, int64_t resume)
{
    struct watched *group = arg;
    struct watch *self = group->watch;
    struct since_group *since = &self->since[group - self->groups];
    const int64_t before = since->index;
    if (self->failed)
        return;
    since->index = resume;
    if (self->cli->json)
        watch_print_json(self, group->group, change);
    else if (self->cli->plain)
        watch_print_plain(group->group, change, resume);
    else
        watch_print_sentence(self->cli, change);
    if (fflush(stdout) == 0 && !ferror(stdout))
        return;
    since->index = before;
    self->failed = true;
    loop_end_now(self->cli->loop_end);
}

static void watch_news(void *arg, enum pygmy_news news, int64_t number)
{
    struct watched *group = arg;
    struct watch *self = group->watch;
    const struct cli *cli = self->cli;
    char clock[CLOCK_BYTES];
    switch (news) {
    case PYGMY_BEGUN:
        self->since[group - self->groups].index = number;
        cli_notice(cli, "%s from index %lld on", group->title, (long long)number);
        break;
    case PYGMY_SILENT:
        cli_error(cli, "no news from %s since %s", group->title, watch_clock(number, clock));
        break;
    case PYGMY_HEARD:
        cli_error(cli, "news from %s again, after %lld.%lld s", group->title,
                  (long long)number / 1000, (long long)number / 100 % 10);
        break;
    case PYGMY_AHEAD:
        cli_error(cli, "%s only at index %lld yet: nothing is shown before the one of --since",
                  group->title, (long long)number);
        break;
    case PYGMY_RESET:
        self->since[group - self->groups].index = 0;
        cli_error(cli, "this is another store: all that was shown of %s is void", group->title);
        break;
    }
}

/* ---- The end ---------------------------------------------------------------------------- */

/* Nobody reads any more what is shown: there may be nothing to show for long, so don't wait
 * until it can't be written. */
static int watch_unread(zloop_t *loop, zmq_pollitem_t *item, void *arg)
{
    struct watch *self = arg;
    (void)loop;
    (void)item;
    self->failed = true;
    return -1;
}

static void watch_reader(struct watch *self)
{
    struct stat status;
    zmq_pollitem_t item = {.fd = STDOUT_FILENO, .events = ZMQ_POLLERR};
    if (fstat(STDOUT_FILENO, &status) != 0 ||
        (!S_ISFIFO(status.st_mode) && !S_ISSOCK(status.st_mode)))
        return;
    if (zloop_poller(self->cli->loop, &item, watch_unread, self) == 0)
        zloop_poller_set_tolerant(self->cli->loop, &item);
}

static void watch_say_how_to_resume(struct watch *self)
{
    char since[SINCE_TEXT_BYTES];
    for (size_t i = 0; i < self->count && !self->failed; i++)
        if (pygmy_watch_index(self->groups[i].changes) != PYGMY_NOW)
            self->since[i].index = pygmy_watch_index(self->groups[i].changes);
    watch_since(self, self->count > 1, since);
    if (since[0] != '\0')
        cli_notice(self->cli, "go on from here: pygmy watch%s%s --since %s",
                   self->count == 1 ? " " : "", self->count == 1 ? self->since[0].word : "", since);
}

/* ---- The verb --------------------------------------------------------------------------- */

static int watch_read_arguments(struct watch *self)
{
    static const char *const words[SINCE_GROUPS] = {"catalog", "orders"};
    static const char *const groups[SINCE_GROUPS] = {"catalog", "order"};
    static const char *const titles[SINCE_GROUPS] = {"the catalog", "the orders"};
    const char *which = cli_operand(self->cli, 0);
    const char *since = cli_option(self->cli, "since");
    char why[SINCE_WHY_BYTES];
    for (size_t i = 0; i < SINCE_GROUPS; i++) {
        if (which != NULL && strcmp(which, words[i]) != 0)
            continue;
        self->groups[self->count] =
            (struct watched){.watch = self, .group = groups[i], .title = titles[i]};
        self->since[self->count++] = (struct since_group){.word = words[i], .index = PYGMY_NOW};
    }
    if (self->count == 0)
        return cli_usage(self->cli, "\"%s\" is neither catalog nor orders", which);
    if (since != NULL && !since_read(since, self->since, self->count, why))
        return cli_usage(self->cli, "--since \"%s\" %s", since, why);
    return EXIT_DONE;
}

static int watch_begin(struct watch *self)
{
    for (size_t i = 0; i < self->count; i++) {
        struct watched *group = &self->groups[i];
        char *error = NULL;
        const struct pygmy_watch_options options = {.group = group->group,
                                                    .since = self->since[i].index,
                                                    .cluster = self->since[i].cluster,
                                                    .change = watch_change,
                                                    .news = watch_news,
                                                    .arg = group};
        if (pygmy_watch_new(self->cli->store, &options, &group->changes, &error) != OK) {
            cli_error(self->cli, "%s", error);
            free(error);
            return EXIT_USAGE;
        }
    }
    return EXIT_DONE;
}

static int watch_run(struct cli *cli)
{
    struct watch self = {.cli = cli};
    int status = watch_read_arguments(&self);
    if (status == EXIT_DONE)
        status = cli_open_loop(cli);
    if (status == EXIT_DONE)
        status = watch_begin(&self);
    if (status == EXIT_DONE) {
        watch_reader(&self);
        (void)cli_run(cli);
        watch_say_how_to_resume(&self);
        if (self.failed) {
            cli_error(cli, "standard output can't be written");
            status = EXIT_USAGE;
        }
    }
    for (size_t i = 0; i < self.count; i++)
        pygmy_watch_destroy(&self.groups[i].changes);
    return status;
}

static const struct args_option watch_options[] = {
    {"since", "INDEX", "begin after this index of the group's log: catalog=N,orders=M for both"},
    {0},
};

const struct verb verb_watch = {
    .name = "watch",
    .operands = "[catalog|orders]",
    .summary = "show what changes in the store, live",
    .examples = "  pygmy watch\n"
                "  pygmy watch orders\n"
                "  pygmy watch catalog --since 1234\n"
                "  pygmy watch --json --since catalog=1234,orders=56 >>changes.jsonl\n",
    .notes =
        "One line for each item or order that was changed, as it is then; what changes several\n"
        "times in a moment may be shown once. It goes on whatever fails, and misses no last "
        "state;\n"
        "more than 2 s without news, and their end, are told on standard error. Ctrl-C ends it "
        "with\n"
        "status 0, and says how to go on from there.\n"
        "What it says to go on from names the store as well (1234@0123abcd): in another one, "
        "which\n"
        "is told on standard error, everything is shown.\n"
        "--json prints the change with \"group\" and \"since\", which --since takes.\n"
        "--plain prints: group, version, index for --since, and\n"
        "  item, id, stock, price in cents, currency, title\n"
        "  removed, id\n"
        "  order, number, state, lines, total in cents, currency.\n",
    .options = watch_options,
    .operand_max = 1,
    .run = watch_run,
};
