/* pygmy-broker: the message bus. From a cluster's configuration (--config, --name), or on its own
 * with nothing but endpoints (--bind).
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <czmq.h>
#include <stdio.h>
#include <stdlib.h>

#include "broker/bus/alloc.h"
#include "broker/bus/config.h"
#include "broker/bus/log.h"
#include "broker/bus/options.h"
#include "broker/server.h"

static const struct option_row main_rows[] = {
    {"bind", "ENDPOINT", "listen here, without a configuration or feed (tcp://*:5555); repeatable"},
    {"no-replay", "SERVICE", "never give a request of this service to a second worker; repeatable"},
};

static const struct options_program main_program = {
    .name = "pygmy-broker",
    .summary = "The message bus: Majordomo 0.1 and 0.2, and Pygmy's extension, on one socket.",
    .kind = NODE_BROKER,
    .rows = main_rows,
    .row_count = sizeof main_rows / sizeof main_rows[0],
};

/* All values of a repeatable option, @count of them: an array that is the caller's to free. */
static const char **main_values(const struct options *options, const char *name, size_t *count)
{
    *count = options_count(options, name);
    const char **values = alloc_zero((*count + 1) * sizeof *values);
    for (size_t i = 0; i < *count; i++)
        values[i] = options_value(options, name, i);
    return values;
}

static int main_serve(struct server_options *server_options, const struct options *options,
                      const char *level)
{
    struct log *log =
        log_new("broker", server_options->name, (enum log_level)log_level_parse(level));
    const char **replay_off = main_values(options, "no-replay", &server_options->replay_off_count);
    int status = EXIT_FAILURE;
    server_options->replay_off = replay_off;
    server_options->log = log;
    struct server *server = server_new(server_options);
    if (server != NULL)
        status = server_run(server);
    server_destroy(&server);
    log_destroy(&log);
    free(replay_off);
    return status;
}

/* On its own: what would come from a configuration is left out. */
static int main_bound(const struct options *options)
{
    static const char *const configured[] = {"config", "set", "check-config", "print-config"};
    for (size_t i = 0; i < sizeof configured / sizeof *configured; i++) {
        if (options_count(options, configured[i]) > 0) {
            fprintf(stderr, "pygmy-broker: --bind and --%s exclude each other\n", configured[i]);
            return OPTIONS_USAGE;
        }
    }
    const char *level = options_value(options, "log-level", OPTIONS_LAST);
    const char *name = options_value(options, "name", OPTIONS_LAST);
    struct server_options server = {.name = name != NULL ? name : "broker"};
    if (level != NULL && log_level_parse(level) < 0) {
        fprintf(stderr, "pygmy-broker: --log-level is debug, info, warn or error, not \"%s\"\n",
                level);
        return OPTIONS_USAGE;
    }
    const char **endpoints = main_values(options, "bind", &server.endpoint_count);
    server.endpoints = endpoints;
    const int status = main_serve(&server, options, level != NULL ? level : "info");
    free(endpoints);
    return status;
}

static int main_configured(const struct options *options)
{
    struct config *config = NULL;
    const struct config_node *node = NULL;
    char *secret = NULL;
    int status = options_load(options, &config, &node);
    if (status == OPTIONS_GO_ON)
        status = options_read_secret(options, config->secret, &secret);
    if (status == OPTIONS_GO_ON) {
        const char *endpoint = node->bus_bind;
        struct server_options server = {.name = node->name,
                                        .secret = secret,
                                        .endpoints = &endpoint,
                                        .endpoint_count = 1,
                                        .publish = node->publish,
                                        .subscribe = node->subscribe};
        status = main_serve(&server, options, config->log_level);
    }
    free(secret);
    config_destroy(&config);
    return status;
}

int main(int argc, char **argv)
{
    struct options *options = NULL;
    int status = options_parse(&main_program, argc, argv, &options);
    if (status == OPTIONS_GO_ON)
        status =
            options_count(options, "bind") > 0 ? main_bound(options) : main_configured(options);
    options_destroy(&options);
    return status;
}
