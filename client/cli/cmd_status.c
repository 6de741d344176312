/* pygmy status: every process of the cluster, in one screen.
 *
 * All are asked at once: a broker at its own endpoint, the others through every
 * broker, so that a dead broker hides nobody. The first answer counts.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/bus/alloc.h"
#include "broker/bus/config.h"
#include "broker/bus/err.h"
#include "broker/bus/limits.h"
#include "client/cli/cli.h"
#include "client/cli/status.h"
#include "client/cli/text.h"
#include "client/cli/verbs.h"

struct status;

struct process {
    struct status *status;
    const struct config_node *node;
    json_t *answer; /* NULL: none yet */
};

struct status {
    struct cli *cli;
    struct config *config;
    struct process *processes; /* one for each node of the configuration */
    struct pygmy **stores;     /* one for each broker */
    size_t store_count;
    size_t pending; /* calls */
    size_t missing; /* processes without an answer */
};

/* ---- Asking ---------------------------------------------------------------------- */

static void status_done(void *arg, const struct pygmy_reply *reply)
{
    struct process *process = arg;
    struct status *self = process->status;
    self->pending--;
    if (reply->code == OK && process->answer == NULL) {
        process->answer = json_incref(reply->body);
        self->missing--;
    }
    if (self->pending == 0 || self->missing == 0)
        loop_end_now(self->cli->loop_end);
}

/* Ask through one broker: itself, and all that are not brokers. */
static void status_ask_through(struct status *self, struct pygmy *store,
                               const struct config_node *broker)
{
    for (size_t i = 0; i < self->config->node_count; i++) {
        struct process *process = &self->processes[i];
        if (process->node->kind == NODE_BROKER && process->node != broker)
            continue;
        self->pending++;
        pygmy_node_status(store, process->node->name, status_done, process);
    }
}

static int status_ask(struct status *self)
{
    const int64_t timeout_ms = cli_timeout_ms(self->cli, STATUS_TIMEOUT_MS);
    for (size_t i = 0; i < self->config->node_count; i++) {
        const struct config_node *node = &self->config->nodes[i];
        char *error = NULL;
        if (node->kind != NODE_BROKER)
            continue;
        const char *endpoints[] = {node->bus};
        struct pygmy **store = &self->stores[self->store_count];
        int code = pygmy_open(&(struct pygmy_options){.loop = self->cli->loop,
                                                      .endpoints = endpoints,
                                                      .endpoint_count = 1,
                                                      .timeout_ms = timeout_ms},
                              store, &error);
        if (code != OK) {
            cli_error(self->cli, "%s", error);
            free(error);
            return EXIT_USAGE;
        }
        self->store_count++;
        status_ask_through(self, *store, node);
    }
    return self->pending > 0 ? cli_run(self->cli) : EXIT_DONE;
}

/* ---- Showing --------------------------------------------------------------------- */

static json_t *status_rows(const struct status *self)
{
    json_t *rows = json_array();
    for (size_t i = 0; i < self->config->node_count; i++) {
        const struct process *process = &self->processes[i];
        json_array_append_new(rows,
                              status_row(process->node->name, config_kind_name(process->node->kind),
                                         process->answer));
    }
    return rows;
}

/* What is not known is not 0. */
static void status_cell(const struct cli *cli, struct table *table, const json_t *value)
{
    if (json_is_integer(value))
        table_number(table, json_integer_value(value));
    else if (json_is_string(value))
        table_text(table, json_string_value(value));
    else
        table_text(table, cli->plain ? "" : "-");
}

static void status_print_table(const struct cli *cli, const json_t *rows)
{
    static const char *const members[] = {
        "name",         "kind",          "role", "state",           "pid",    "term", "log_index",
        "commit_index", "applied_index", "lag",  "last_contact_ms", "version"};
    static const struct table_column columns[] = {
        {"NAME", false},   {"KIND", false}, {"ROLE", false},      {"STATE", false},
        {"PID", true},     {"TERM", true},  {"LOG", true},        {"COMMIT", true},
        {"APPLIED", true}, {"LAG", true},   {"CONTACT MS", true}, {"VERSION", false}};
    struct table *table = table_new(columns, sizeof columns / sizeof *columns);
    size_t i;
    json_t *row;
    json_array_foreach(rows, i, row)
    {
        for (size_t j = 0; j < sizeof members / sizeof *members; j++)
            status_cell(cli, table, json_object_get(row, members[j]));
    }
    cli_print_table(cli, table);
    table_destroy(&table);
}

static void status_print_verdict(const struct cli *cli, const json_t *rows)
{
    static const char *const colors[] = {"\033[32m", "\033[33m", "\033[31m"};
    char *sentence = status_sentence(rows);
    char *clean = text_clean(sentence);
    printf("%s%s%s\n\n", cli->color ? colors[status_verdict_of(rows)] : "", clean,
           cli->color ? "\033[0m" : "");
    free(clean);
    free(sentence);
}

/* Leave the members to `pygmy cluster list`: rows are about one process each. */
static void status_bare(json_t *rows)
{
    size_t i;
    json_t *row;
    json_array_foreach(rows, i, row)
    {
        json_object_del(row, "members");
    }
}

static int status_print(const struct status *self)
{
    static const int statuses[] = {EXIT_DONE, EXIT_REFUSED, EXIT_UNANSWERED};
    json_t *rows = status_rows(self);
    status_compare(rows);
    enum status_verdict verdict = status_verdict_of(rows);
    if (self->cli->json) {
        status_bare(rows);
        json_t *all =
            json_pack("{ss sO}", "verdict", status_verdict_name(verdict), "processes", rows);
        cli_print_json(self->cli, all);
        json_decref(all);
    } else {
        if (!self->cli->plain)
            status_print_verdict(self->cli, rows);
        status_print_table(self->cli, rows);
    }
    json_decref(rows);
    return statuses[verdict];
}

/* ---- The verb ---------------------------------------------------------------------- */

static void status_close(struct status *self)
{
    for (size_t i = 0; i < self->store_count; i++)
        pygmy_close(&self->stores[i]);
    for (size_t i = 0; i < self->config->node_count; i++)
        json_decref(self->processes[i].answer);
    free(self->stores);
    free(self->processes);
    config_destroy(&self->config);
}

static int status_run(struct cli *cli)
{
    struct status self = {.cli = cli};
    char *error = NULL;
    if (config_load(cli_option(cli, "config"), NULL, 0, &self.config, &error) != OK) {
        cli_error(cli, "%s", error);
        free(error);
        return EXIT_USAGE;
    }
    self.missing = self.config->node_count;
    self.processes = alloc_zero(self.config->node_count * sizeof *self.processes);
    self.stores = alloc_zero(self.config->node_count * sizeof *self.stores);
    for (size_t i = 0; i < self.config->node_count; i++)
        self.processes[i] = (struct process){&self, &self.config->nodes[i], NULL};
    cli->loop = zloop_new();
    cli->loop_end = loop_end_new(cli->loop);
    int status = status_ask(&self);
    if (status == EXIT_DONE)
        status = status_print(&self);
    status_close(&self);
    return status;
}

const struct verb verb_status = {
    .name = "status",
    .operands = "",
    .summary = "show every process of the cluster, and a verdict",
    .examples = "  pygmy status\n"
                "  pygmy status --json | jq .verdict\n",
    .notes =
        "Every process is asked what it is now; one that does not answer within 500 ms, or\n"
        "the time of --timeout, is shown as unknown. LAG is in entries of the log: what the\n"
        "group's leader has committed and the replica has not applied. A majority is one of the\n"
        "members that have a vote.\n"
        "Exit status: 0 healthy, 1 degraded (something does not answer, drains, lags or is not in\n"
        "its group), 3 no majority.\n"
        "--plain prints the columns of the table without a verdict, unknown ones empty.\n",
    .run = status_run,
};
