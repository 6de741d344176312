/* pygmy-http: the store over HTTP.
 *
 * On SIGTERM or SIGINT it says at /readyz that it is about to go, takes no more connections a
 * moment later, answers what is under way, and ends; a second signal ends it at once.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <czmq.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "broker/bus/alloc.h"
#include "broker/bus/clock.h"
#include "broker/bus/limits.h"
#include "broker/bus/options.h"
#include "broker/bus/signals.h"
#include "client/bridge/bridge.h"
#include "client/bridge/dispatch.h"

static const struct options_program program = {
    .name = "pygmy-http",
    .summary = "Serves the store as JSON over HTTP.",
    .kind = NODE_BRIDGE,
};

enum { DRAIN_LOOK_MS = 20, DESCRIPTORS_SPARE = 256 };

/* ---- Parts -------------------------------------------------------------------------------- */

static int bridge_fail(struct bridge *self, const char *what, char *error)
{
    log_write(self->log, LOG_LEVEL_ERROR, what, LOG_TEXT("err", error));
    free(error);
    return EXIT_FAILURE;
}

/* A name in the list of hosts, less its port. */
static void bridge_add_host(struct bridge *self, const char *name)
{
    self->hosts = alloc_resize(self->hosts, (self->host_count + 1) * sizeof *self->hosts);
    self->hosts[self->host_count++] = name;
}

/* Who may stand in Host: loopback names, the address we listen on, and what the setting lists. */
static void bridge_list_hosts(struct bridge *self)
{
    const char *more = self->node->hosts != NULL ? self->node->hosts : "";
    char *rest = NULL;

    self->host_names = zsys_sprintf("localhost 127.0.0.1 [::1] %.*s %s",
                                    (int)(strrchr(self->node->http, ':') - self->node->http),
                                    self->node->http, more);
    for (char *name = strtok_r(self->host_names, " ", &rest); name != NULL;
         name = strtok_r(NULL, " ", &rest))
        bridge_add_host(self, name);
}

static int bridge_open_store(struct bridge *self)
{
    size_t count, feed_count;
    const char **endpoints = config_bus_endpoints(self->config, &count);
    const char **feeds = config_feeds(self->config, &feed_count);
    char *error = NULL;
    int rc = pygmy_open(&(struct pygmy_options){.name = self->node->name,
                                                .loop = self->loop,
                                                .endpoints = endpoints,
                                                .endpoint_count = count,
                                                .secret = self->secret,
                                                .cache_entries = self->node->cache_entries,
                                                .cache_bytes = self->node->cache_bytes,
                                                .feeds = feeds,
                                                .feed_count = feed_count},
                        &self->store, &error);
    free(endpoints);
    free(feeds);
    return rc == 0 ? EXIT_SUCCESS : bridge_fail(self, "can't open the store", error);
}

static int bridge_open_server(struct bridge *self)
{
    char *error = NULL;
    int rc = http_server_new(&(struct http_server_options){.loop = self->loop,
                                                           .address = self->node->http,
                                                           .handler = dispatch_handler(),
                                                           .arg = self->dispatch,
                                                           .log = self->log,
                                                           .metrics = self->metrics},
                             &self->server, &error);
    return rc == 0 ? EXIT_SUCCESS : bridge_fail(self, "can't serve", error);
}

/* A descriptor for each connection that may be, and some for the rest. */
static void bridge_raise_descriptors(struct bridge *self)
{
    const rlim_t wanted = HTTP_CONNECTIONS_MAX + DESCRIPTORS_SPARE;
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= wanted)
        return;
    limit.rlim_cur = limit.rlim_max < wanted ? limit.rlim_max : wanted;
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur < wanted)
        log_write(self->log, LOG_LEVEL_WARN, "fewer connections than meant: too few descriptors",
                  LOG_UINT("descriptors", limit.rlim_cur));
}

static int bridge_open(struct bridge *self)
{
    self->log = log_new("bridge", self->node->name,
                        (enum log_level)log_level_parse(self->config->log_level));
    self->metrics = metrics_new();
    self->cache_stats = cache_stats_new(self->metrics);
    self->loop = zloop_new();
    bridge_raise_descriptors(self);
    bridge_list_hosts(self);
    self->dispatch = dispatch_new(self);
    int status = bridge_open_store(self);
    if (status == EXIT_SUCCESS)
        status = bridge_open_server(self);
    if (status != EXIT_SUCCESS)
        return status;
    self->readiness = readiness_new(self->loop, self->store, self->metrics);
    self->service = node_service_new(self);
    log_write(self->log, LOG_LEVEL_INFO, "listening", LOG_TEXT("address", self->node->http),
              LOG_TEXT("version", PYGMY_VERSION));
    return EXIT_SUCCESS;
}

/* The store's handle goes before the server: after that nobody replies to a call any more. */
static void bridge_close(struct bridge *self)
{
    node_service_destroy(&self->service);
    pygmy_close(&self->store);
    readiness_destroy(&self->readiness);
    http_server_destroy(&self->server);
    dispatch_destroy(&self->dispatch);
    zloop_destroy(&self->loop);
    cache_stats_destroy(&self->cache_stats);
    metrics_destroy(&self->metrics);
    log_destroy(&self->log);
    free(self->hosts);
    free(self->host_names);
}

/* ---- The end ------------------------------------------------------------------------------ */

/* Whether the loop may end: -1, as zloop wants it, or 0. */
static int bridge_on_drain_timer(zloop_t *loop, int timer, void *arg)
{
    struct bridge *self = arg;
    int64_t passed_ms = clock_ms() - self->drain_ms;
    (void)loop;
    (void)timer;
    if (passed_ms < HTTP_DRAIN_GRACE_MS)
        return 0;
    http_server_drain(self->server);
    return http_server_busy(self->server) == 0 || passed_ms >= HTTP_DRAIN_MS ? -1 : 0;
}

static int bridge_on_signal(zloop_t *loop, zmq_pollitem_t *item, void *arg)
{
    struct bridge *self = arg;
    struct signalfd_siginfo signal;

    if (read(item->fd, &signal, sizeof signal) != (ssize_t)sizeof signal)
        return 0;
    if (self->draining)
        return -1;
    log_write(self->log, LOG_LEVEL_INFO, "draining", LOG_UINT("signal", signal.ssi_signo));
    self->draining = true;
    self->drain_ms = clock_ms();
    node_service_drain(self->service);
    zloop_timer(loop, DRAIN_LOOK_MS, 0, bridge_on_drain_timer, self);
    return 0;
}

static int bridge_run(struct bridge *self, int signal_fd)
{
    zmq_pollitem_t item = {.fd = signal_fd, .events = ZMQ_POLLIN};
    zloop_poller(self->loop, &item, bridge_on_signal, self);
    int rc = zloop_start(self->loop);
    zloop_poller_end(self->loop, &item);
    log_write(self->log, LOG_LEVEL_INFO, "ended", LOG_END);
    return rc == -1 ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* The configuration, and what is in the files that it names. Returns as options_parse(). */
static int bridge_configure(struct bridge *self, int argc, char **argv, struct config **config)
{
    struct options *options = NULL;
    int status = options_parse(&program, argc, argv, &options);

    if (status == OPTIONS_GO_ON)
        status = options_load(options, config, &self->node);
    if (status == OPTIONS_GO_ON)
        status = options_read_secret(options, (*config)->secret, &self->secret);
    if (status == OPTIONS_GO_ON)
        status = options_read_secret(options, (*config)->admin_token, &self->admin_token);
    options_destroy(&options);
    return status;
}

static int bridge_serve(struct bridge *self)
{
    int signal_fd = signals_take();
    int status = bridge_open(self);

    if (status == EXIT_SUCCESS)
        status = bridge_run(self, signal_fd);
    bridge_close(self);
    close(signal_fd);
    return status;
}

int main(int argc, char **argv)
{
    struct bridge bridge = {0};
    struct config *config = NULL;
    int status = bridge_configure(&bridge, argc, argv, &config);

    bridge.config = config;
    if (status == OPTIONS_GO_ON)
        status = bridge_serve(&bridge);
    free(bridge.secret);
    free(bridge.admin_token);
    config_destroy(&config);
    return status;
}
