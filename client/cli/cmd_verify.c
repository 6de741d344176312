/* pygmy verify: whether all replicas hold the same, and whether the stock adds up on each.
 *
 * Replicas are asked one after the other, so that under load no two answers are of the same index:
 * then their marks are compared (docs/protocol.md). Until a store has its first mark it takes a
 * moment in which nothing is written; it is asked again until there is one, or the time is up.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "broker/bus/clock.h"
#include "broker/bus/config.h"
#include "broker/bus/err.h"
#include "broker/bus/limits.h"
#include "client/cli/cli.h"
#include "client/cli/text.h"
#include "client/cli/verbs.h"
#include "client/cli/verify.h"

struct verify {
    struct cli *cli;
    struct config *config;
    json_t *audits; /* answers by name */
    int64_t end_ms; /* when to stop looking */
    bool cut;       /* a question was not asked, or not waited for, because of that */
};

/* How long to wait for an answer that is there within @own_ms, if at all: with --timeout not beyond
 * it. 0: the time is up. */
static int64_t verify_wait_ms(const struct verify *self, int64_t own_ms)
{
    if (cli_option(self->cli, "timeout") == NULL)
        return own_ms;
    int64_t left_ms = self->end_ms - clock_ms();
    if (left_ms > own_ms)
        return own_ms;
    return left_ms > 0 ? left_ms : 0;
}

/* The answer of a process to an operation without members, or NULL. */
static json_t *verify_ask(struct verify *self, const char *name, const char *operation,
                          int64_t own_ms)
{
    char service[SERVICE_NAME_BYTES_MAX + 1];
    struct pygmy_reply reply = {0};
    const int64_t wait_ms = verify_wait_ms(self, own_ms);
    json_t *answer = NULL;
    (void)snprintf(service, sizeof service, "node.%s", name);
    if (wait_ms > 0) {
        pygmy_start(self->cli->store,
                    &(struct pygmy_call){.service = service,
                                         .request = json_pack("{ss}", "op", operation),
                                         .timeout_ms = wait_ms,
                                         .done = pygmy_keep,
                                         .arg = &reply});
        if (pygmy_wait(self->cli->store, &reply) == OK)
            answer = json_incref(reply.body);
        pygmy_reply_close(&reply);
    }
    if (answer == NULL && wait_ms < own_ms)
        self->cut = true;
    return answer;
}

static bool verify_is_replica(const struct config_node *node)
{
    return node->kind == NODE_CATALOG || node->kind == NODE_ORDER;
}

/* Have a catalog audited, once. It is for who answers at all: an audit has so much time because of
 * its work, and a process that is away would be waited for as long. */
static void verify_ask_audit(struct verify *self, const struct config_node *node)
{
    json_t *audit = NULL;
    if (node->kind == NODE_CATALOG && json_object_get(self->audits, node->name) == NULL)
        audit = verify_ask(self, node->name, "audit", cli_timeout_ms(self->cli, VERIFY_AUDIT_MS));
    if (audit != NULL)
        json_object_set_new(self->audits, node->name, audit);
}

/* One look at all digests, and at what was not audited yet. */
static json_t *verify_rows(struct verify *self)
{
    json_t *rows = json_array();
    for (size_t i = 0; i < self->config->node_count && !zsys_interrupted; i++) {
        const struct config_node *node = &self->config->nodes[i];
        if (!verify_is_replica(node))
            continue;
        json_t *digest = verify_ask(self, node->name, "digest", STATUS_TIMEOUT_MS);
        if (digest != NULL)
            verify_ask_audit(self, node);
        json_array_append_new(rows, verify_row(node->name, config_kind_name(node->kind), digest,
                                               json_object_get(self->audits, node->name)));
        json_decref(digest);
    }
    verify_compare(rows);
    return rows;
}

/* Looks until everything could be compared, or the time is up; NULL when it was interrupted. A look
 * that was cut short and has found nothing says less than the one before it. */
static json_t *verify_look(struct verify *self)
{
    const struct timespec pause = {.tv_nsec = VERIFY_PAUSE_MS * 1000000};
    self->end_ms = clock_ms() + cli_timeout_ms(self->cli, VERIFY_MS);
    json_t *rows = verify_rows(self);
    while (verify_verdict_of(rows) == VERIFY_UNKNOWN && clock_ms() < self->end_ms &&
           !zsys_interrupted) {
        (void)nanosleep(&pause, NULL);
        json_t *before = rows;
        rows = verify_rows(self);
        bool less = self->cut && verify_verdict_of(rows) == VERIFY_UNKNOWN;
        json_decref(less ? rows : before);
        rows = less ? before : rows;
    }
    if (!zsys_interrupted)
        return rows;
    json_decref(rows);
    return NULL;
}

/* ---- Showing --------------------------------------------------------------------- */

static void verify_cell(const struct cli *cli, struct table *table, const json_t *value)
{
    if (json_is_integer(value))
        table_number(table, json_integer_value(value));
    else if (json_is_string(value))
        table_text(table, json_string_value(value));
    else if (json_is_boolean(value))
        table_text(table, json_is_true(value) ? "yes" : "no");
    else
        table_text(table, cli->plain ? "" : "-");
}

static void verify_print_table(const struct cli *cli, const json_t *rows)
{
    static const char *const members[] = {"name",   "kind",  "applied_index", "compared_index",
                                          "digest", "state", "items",         "conserved"};
    static const struct table_column columns[] = {
        {"NAME", false},   {"KIND", false},  {"APPLIED", true}, {"COMPARED", true},
        {"DIGEST", false}, {"STATE", false}, {"ITEMS", true},   {"CONSERVED", false}};
    struct table *table = table_new(columns, sizeof columns / sizeof *columns);
    size_t i;
    json_t *row;
    json_array_foreach(rows, i, row)
    {
        for (size_t j = 0; j < sizeof members / sizeof *members; j++)
            verify_cell(cli, table, json_object_get(row, members[j]));
    }
    cli_print_table(cli, table);
    table_destroy(&table);
}

static void verify_print_verdict(const struct cli *cli, const json_t *rows)
{
    static const char *const colors[] = {"\033[32m", "\033[31m", "\033[33m"};
    char *sentence = verify_sentence(rows);
    char *clean = text_clean(sentence);
    printf("%s%s%s\n\n", cli->color ? colors[verify_verdict_of(rows)] : "", clean,
           cli->color ? "\033[0m" : "");
    free(clean);
    free(sentence);
}

static int verify_print(const struct cli *cli, json_t *rows)
{
    static const int statuses[] = {EXIT_DONE, EXIT_REFUSED, EXIT_UNANSWERED};
    enum verify_verdict verdict = verify_verdict_of(rows);
    if (cli->json) {
        json_t *all =
            json_pack("{ss sO}", "verdict", verify_verdict_name(verdict), "replicas", rows);
        cli_print_json(cli, all);
        json_decref(all);
    } else {
        if (!cli->plain)
            verify_print_verdict(cli, rows);
        verify_print_table(cli, rows);
    }
    return statuses[verdict];
}

/* ---- The verb ---------------------------------------------------------------------- */

static int verify_run(struct cli *cli)
{
    struct verify self = {.cli = cli, .audits = json_object()};
    char *error = NULL;
    if (config_load(cli_option(cli, "config"), NULL, 0, &self.config, &error) != OK) {
        cli_error(cli, "%s", error);
        free(error);
        json_decref(self.audits);
        return EXIT_USAGE;
    }
    int status = cli_open(cli);
    if (status == EXIT_DONE) {
        json_t *rows = verify_look(&self);
        status = rows != NULL ? verify_print(cli, rows) : EXIT_INTERRUPTED;
        json_decref(rows);
    }
    json_decref(self.audits);
    config_destroy(&self.config);
    return status;
}

const struct verb verb_verify = {
    .name = "verify",
    .operands = "",
    .summary = "compare all replicas, and count the stock of every item on each",
    .examples = "  pygmy verify\n"
                "  pygmy verify --json | jq .verdict\n",
    .notes =
        "Replicas of a group must have the same digest (one number for all that their tables\n"
        "hold) at the same entry of their log; and on every catalog replica, for every item,\n"
        "initial + moved - sold = stock. Exit status: 0 equal and conserved, 1 something differs\n"
        "(the line above the table says which), 3 not everything could be compared within some\n"
        "5 s, or the time of --timeout.\n",
    .run = verify_run,
};
