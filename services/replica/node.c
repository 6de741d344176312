/* The life of a replica's program: see node.h.
 *
 *   starting    options, configuration, service, replica          node_open
 *   up          registered, its loop turns                        node_run
 *   draining    told to stop: no more requests are asked for      node_drain
 *   stopped     replica, service, ports closed, in this order     node_close
 *
 * The order of stopping: the replica first, so that what it finishes is still answered; then the
 * service, which answers what it holds; then the ports, which send the answers and say good-bye.
 *
 * Signals come through a descriptor (signalfd), blocked in every thread: the loop is the only
 * place that learns of them, and czmq's own handler, which would end all loops of the process at
 * once, is off.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "services/replica/node.h"

#include <assert.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "broker/bus/alloc.h"
#include "broker/bus/clock.h"
#include "broker/bus/err.h"
#include "broker/bus/limits.h"
#include "broker/bus/options.h"
#include "services/replica/node_internal.h"

#define NODE_EXIT_FAILED   1
#define NODE_DRAIN_LOOK_MS 10 /* pace of looking whether all is answered */

/* ---- Ports --------------------------------------------------------------------------------- */

/* A batch of requests has been handed over: what they submitted is one append. */
static void node_port_flush(void *arg)
{
    struct node_port *self = arg;
    replica_flush(self->node->replica);
}

static void node_port_register(struct node_port *self)
{
    struct node *node = self->node;
    struct bus_worker_options options = {
        .service = self->service,
        .name = node->member->name,
        .secret = node->secret,
        .on_request = node_call_receive,
        .on_batch = node_port_flush,
        .arg = self,
    };

    if (self->worker != NULL)
        return;
    const char **endpoints = config_bus_endpoints(node->config, &options.endpoint_count);
    options.endpoints = endpoints;
    self->worker = bus_worker_new(node->loop, &options);
    free(endpoints);
}

/* Only the leader is registered for writes. */
static void node_on_lead(void *arg, bool leader, replica_term term)
{
    struct node *self = arg;
    struct node_port *port = &self->ports[NODE_PORT_WRITE];

    (void)term;
    if (leader)
        node_port_register(port);
    else
        bus_worker_destroy(&port->worker);
}

/* ---- Draining ------------------------------------------------------------------------------ */

/* What still has to be answered. */
static size_t node_pending(const struct node *self)
{
    size_t count = replica_pending(self->replica);

    for (size_t i = 0; i < NODE_PORTS; i++)
        if (self->ports[i].worker != NULL)
            count += bus_worker_pending(self->ports[i].worker);
    return count;
}

/* Ask for no more requests; the loop ends when those in hand are answered. */
static void node_drain(struct node *self)
{
    int64_t now_ms = clock_ms();

    log_write(self->log, LOG_LEVEL_INFO, "draining", LOG_UINT("pending", node_pending(self)));
    self->drain_deadline_ms = now_ms + DRAIN_MS_MAX;
    for (size_t i = 0; i < NODE_PORTS; i++)
        if (self->ports[i].worker != NULL)
            bus_worker_drain(self->ports[i].worker);
    alarm_set(self->drain, now_ms + NODE_DRAIN_LOOK_MS);
}

/* A handler of zloop ends the loop by returning -1; an alarm can't, so it goes through a timer. */
static int node_end_loop(zloop_t *loop, int timer, void *arg)
{
    (void)loop;
    (void)timer;
    (void)arg;
    return -1;
}

static void node_on_drain(void *arg)
{
    struct node *self = arg;
    int64_t now_ms = clock_ms();
    size_t pending = node_pending(self);

    if (pending > 0 && now_ms < self->drain_deadline_ms) {
        alarm_set(self->drain, now_ms + NODE_DRAIN_LOOK_MS);
        return;
    }
    if (pending > 0)
        log_write(self->log, LOG_LEVEL_WARN, "requests are left without an answer",
                  LOG_UINT("pending", pending));
    zloop_timer(self->loop, 0, 1, node_end_loop, NULL);
}

/* The first signal drains, the second one ends the loop. */
static int node_on_signal(zloop_t *loop, zmq_pollitem_t *item, void *arg)
{
    struct node *self = arg;
    struct signalfd_siginfo signal;

    (void)loop;
    if (read(item->fd, &signal, sizeof signal) != (ssize_t)sizeof signal)
        return 0;
    if (self->drain_deadline_ms != 0)
        return -1;
    node_drain(self);
    return 0;
}

/* Take SIGTERM and SIGINT from all threads, before there are any. */
static int node_take_signals(void)
{
    sigset_t set;

    signal(SIGPIPE, SIG_IGN); /* a log that nobody reads any more is no reason to die */
    zsys_handler_set(NULL);
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigprocmask(SIG_BLOCK, &set, NULL);
    int fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    assert(fd >= 0);
    return fd;
}

/* ---- Life ---------------------------------------------------------------------------------- */

static struct node_series *node_make_series(const struct node *self,
                                            const struct node_operation *rows, size_t count,
                                            const char *service)
{
    struct node_series *series = alloc_zero(count * sizeof *series);

    for (size_t i = 0; i < count; i++) {
        const char *help = "Requests by operation and result";
        char *labels = zsys_sprintf("service=\"%s\",op=\"%s\"", service, rows[i].name);
        char *ok = zsys_sprintf("%s,result=\"ok\"", labels);
        char *refused = zsys_sprintf("%s,result=\"refused\"", labels);
        series[i].answered =
            metrics_counter(self->metrics, "pygmy_service_requests_total", ok, help);
        series[i].refused =
            metrics_counter(self->metrics, "pygmy_service_requests_total", refused, help);
        series[i].seconds =
            metrics_histogram(self->metrics, "pygmy_service_request_duration_seconds", labels,
                              "From the arrival of a request to its answer");
        free(labels);
        free(ok);
        free(refused);
    }
    return series;
}

static void node_init_table(struct node *self, struct node_table *table,
                            const struct node_operation *rows, size_t count, const char *service)
{
    table->rows = rows;
    table->count = count;
    table->series = node_make_series(self, rows, count, service);
}

static void node_init_port(struct node *self, enum node_port_kind kind,
                           const struct node_table *table, const char *format, const char *name)
{
    struct node_port *port = &self->ports[kind];

    port->node = self;
    port->kind = kind;
    port->table = table;
    port->service = zsys_sprintf("%s%s", format, name);
}

static void node_init_ports(struct node *self)
{
    const struct node_service *service = self->service;
    const char *group = config_kind_name(service->kind);

    node_init_table(self, &self->table, service->operations, service->operation_count, group);
    node_init_table(self, &self->own, node_own_operations, node_own_operation_count, "node");
    self->own.arg = self;
    node_init_port(self, NODE_PORT_READ, &self->table, group, "");
    node_init_port(self, NODE_PORT_WRITE, &self->table, group, ".leader");
    node_init_port(self, NODE_PORT_OWN, &self->own, "node.", self->member->name);
}

static int node_open_replica(struct node *self, const struct replica_machine *machine, char **error)
{
    struct replica_options options = {
        .name = self->member->name,
        .group = config_kind_name(self->service->kind),
        .directory = self->member->data,
        .uuid = self->config->uuid,
        .id = self->member->id,
        .member_count = config_count(self->config, self->service->kind),
        .log = self->log,
        .metrics = self->metrics,
        .on_lead = node_on_lead,
        .arg = self,
    };
    return replica_open(self->loop, &options, machine, &self->replica, error);
}

/* All that may fail. */
static int node_open(struct node *self, char **error)
{
    struct replica_machine machine = {0};
    zmq_pollitem_t signals = {.fd = self->signal_fd, .events = ZMQ_POLLIN};

    if (self->secret == NULL)
        log_write(self->log, LOG_LEVEL_WARN,
                  "the configuration names no secret: whoever reaches the bus may change the store",
                  LOG_TEXT("setting", "cluster/secret"));
    zloop_poller(self->loop, &signals, node_on_signal, self);
    self->object = self->service->open(self, &machine);
    self->table.arg = self->object;
    int result = node_open_replica(self, &machine, error);
    if (result != 0)
        return result;
    if (self->service->started != NULL)
        self->service->started(self->object);
    node_port_register(&self->ports[NODE_PORT_READ]);
    node_port_register(&self->ports[NODE_PORT_OWN]);
    return 0;
}

static void node_close(struct node *self)
{
    replica_close(&self->replica);
    if (self->object != NULL)
        self->service->close(self->object);
    for (size_t i = 0; i < NODE_PORTS; i++) {
        bus_worker_destroy(&self->ports[i].worker);
        free(self->ports[i].service);
    }
    alarm_destroy(&self->drain);
    zloop_destroy(&self->loop);
    free(self->table.series);
    free(self->own.series);
    metrics_destroy(&self->metrics);
    log_destroy(&self->log);
}

/* Run the node to its end. Returns the exit status. */
static int node_run(const struct node_service *service, const struct config *config,
                    const struct config_node *member, const char *secret, int signal_fd)
{
    struct node self = {.service = service,
                        .config = config,
                        .member = member,
                        .secret = secret,
                        .signal_fd = signal_fd};
    int level = log_level_parse(config->log_level);
    char *error = NULL;

    assert(level >= 0); /* config_load() has checked it */
    self.log = log_new(config_kind_name(service->kind), member->name, (enum log_level)level);
    self.metrics = metrics_new();
    self.loop = zloop_new();
    self.drain = alarm_new(self.loop, node_on_drain, &self);
    node_init_ports(&self);
    int result = node_open(&self, &error);
    if (result == 0) {
        log_write(self.log, LOG_LEVEL_INFO, "up", LOG_TEXT("version", PYGMY_VERSION),
                  LOG_INT("pid", getpid()));
        zloop_start(self.loop);
        log_write(self.log, LOG_LEVEL_INFO, "stopped", LOG_END);
    } else {
        log_write(self.log, LOG_LEVEL_ERROR, "can't start", LOG_TEXT("code", err_type(result)),
                  LOG_TEXT("error", error));
    }
    free(error);
    node_close(&self);
    return result == 0 ? 0 : NODE_EXIT_FAILED;
}

int node_main(const struct node_service *service, int argc, char **argv)
{
    const struct options_program program = {
        .name = service->program,
        .summary = service->summary,
        .status =
            "5 after a failed write or sync of its data, or with a log that it can't read: not to "
            "be\nstarted again before the cause is known",
        .kind = service->kind,
    };
    struct options *options = NULL;
    struct config *config = NULL;
    const struct config_node *member = NULL;
    char *secret = NULL;
    int signal_fd = node_take_signals();

    umask(077); /* what a replica writes is nobody else's to read */
    int status = options_parse(&program, argc, argv, &options);
    if (status == OPTIONS_GO_ON)
        status = options_load(options, &config, &member);
    if (status == OPTIONS_GO_ON)
        status = options_read_secret(options, config->secret, &secret);
    if (status == OPTIONS_GO_ON)
        status = node_run(service, config, member, secret, signal_fd);
    free(secret);
    config_destroy(&config);
    options_destroy(&options);
    close(signal_fd);
    return status;
}

zloop_t *node_loop(struct node *self)
{
    return self->loop;
}

struct log *node_log(struct node *self)
{
    return self->log;
}

struct metrics *node_metrics(struct node *self)
{
    return self->metrics;
}

struct replica *node_replica(struct node *self)
{
    return self->replica;
}

const struct config *node_config(struct node *self)
{
    return self->config;
}

const char *node_name(struct node *self)
{
    return self->member->name;
}

const char *node_secret(struct node *self)
{
    return self->secret;
}
