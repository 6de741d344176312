/* pygmy ping: how long a request and its answer take.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "broker/bus/clock.h"
#include "broker/bus/limits.h"
#include "client/cli/cli.h"
#include "client/cli/verbs.h"

#define PINGS     4
#define PINGS_MAX 1000000
#define US_PER_MS 1000.0

/* A process by its name; else the whole way of a read, to the catalog and through its log. */
static void ping_ask(struct cli *cli, const char *name, struct pygmy_reply *reply)
{
    char service[SERVICE_NAME_BYTES_MAX + 1] = "catalog";
    if (name != NULL)
        snprintf(service, sizeof service, "node.%s", name);
    pygmy_start(cli->store, &(struct pygmy_call){
                                .service = service,
                                .request = json_pack("{ss}", "op", name != NULL ? "ping" : "time"),
                                .done = pygmy_keep,
                                .arg = reply,
                            });
}

static void ping_print(const struct cli *cli, const char *name, double ms)
{
    if (cli->json) {
        json_t *line = json_pack("{ss sf}", "name", name, "ms", ms);
        cli_print_json(cli, line);
        json_decref(line);
    } else if (cli->plain) {
        printf("%.3f\n", ms);
    } else {
        char text[32];
        snprintf(text, sizeof text, "%.3f ms", ms);
        cli_print_field(cli, name, text);
    }
}

static int ping_run(struct cli *cli)
{
    const char *name = cli_operand(cli, 0);
    int64_t count = PINGS;
    int status = cli_option_number(cli, "count", 1, PINGS_MAX, &count);
    if (status == EXIT_DONE && name != NULL && strlen(name) > NODE_NAME_BYTES_MAX)
        status = cli_usage(cli, "NAME has at most %d characters", NODE_NAME_BYTES_MAX);
    if (status == EXIT_DONE)
        status = cli_open(cli);
    for (int64_t i = 0; i < count && status == EXIT_DONE; i++) {
        struct pygmy_reply reply = {0};
        int64_t began_us = clock_us();
        ping_ask(cli, name, &reply);
        status = cli_wait(cli, &reply);
        if (status == EXIT_DONE)
            ping_print(cli, name != NULL ? name : "catalog",
                       (double)(clock_us() - began_us) / US_PER_MS);
        pygmy_reply_close(&reply);
    }
    return status;
}

static const struct args_option ping_options[] = {
    {"count", "N", "how many, one after the other (4)"},
    {0},
};

const struct verb verb_ping = {
    .name = "ping",
    .operands = "[NAME]",
    .summary = "measure the way to the catalog and back, or to a process",
    .examples = "  pygmy ping\n"
                "  pygmy ping order-1 --count 100\n",
    .notes = "The first includes the connection to a broker.\n",
    .options = ping_options,
    .operand_max = 1,
    .run = ping_run,
};
