/* The life of a replica's program: see node.h.
 *
 *   starting    options, configuration, service, replica          node_open
 *   up          registered, its loop turns                        node_run, node_port.c
 *   stopping    told to stop                                      node_stop.c
 *   stopped     replica, service, ports closed, in this order     node_close
 *
 * The order of closing: the replica first, so that what it finishes is still answered; then the
 * service, which answers what it holds; then the ports, which send the answers and say good-bye.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "services/replica/node.h"

#include <assert.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "broker/bus/alloc.h"
#include "broker/bus/err.h"
#include "broker/bus/limits.h"
#include "broker/bus/options.h"
#include "broker/bus/signals.h"
#include "services/replica/membership.h"
#include "services/replica/node_internal.h"

#define NODE_EXIT_FAILED 1

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

static void node_init_tables(struct node *self)
{
    const struct node_service *service = self->service;
    const char *group = config_kind_name(service->kind);

    node_init_table(self, &self->table, service->operations, service->operation_count, group);
    node_init_table(self, &self->leases, service->lease_operations, service->lease_operation_count,
                    group);
    node_init_table(self, &self->members, node_member_operations, node_member_operation_count,
                    group);
    self->members.arg = self;
    node_init_table(self, &self->own, node_own_operations, node_own_operation_count, "node");
    self->own.arg = self;
}

/* A member's address, as in struct member; the caller's to free(). */
static char *node_address(const struct config_node *member)
{
    return zsys_sprintf("%s %s %s", member->name, member->peer, member->snapshots);
}

/* Where the brokers take what is published: an array of *count that is the caller's to free(). */
static const char **node_relays(const struct node *self, size_t *count)
{
    const struct config *config = self->config;
    const char **relays = alloc_zero((config->node_count + 1) * sizeof relays[0]);

    *count = 0;
    for (size_t i = 0; i < config->node_count; i++)
        if (config->nodes[i].kind == NODE_BROKER && config->nodes[i].publish != NULL)
            relays[(*count)++] = config->nodes[i].publish;
    return relays;
}

static struct replica_options node_replica_options(struct node *self)
{
    return (struct replica_options){
        .name = self->member->name,
        .group = config_kind_name(self->service->kind),
        .directory = self->member->data,
        .uuid = self->config->uuid,
        .id = self->member->id,
        .peer = self->member->peer_bind,
        .snapshots = self->member->snapshots_bind,
        .join = self->join,
        .election_ms = self->config->election_ms,
        .heartbeat_ms = self->config->heartbeat_ms,
        .snapshot_entries = self->config->snapshot_entries,
        .log = self->log,
        .metrics = self->metrics,
        .on_lead = node_on_lead,
        .on_news = node_feed_look,
        .arg = self,
    };
}

/* Every node of the group that the configuration names. Returns 0, or ERR_INVALID. */
static int node_group(const struct node *self, struct membership *membership, char **error)
{
    for (size_t i = 0; i < self->config->node_count; i++) {
        const struct config_node *node = &self->config->nodes[i];
        struct member *member = &membership->members[membership->count];
        if (node->kind != self->service->kind)
            continue;
        char *address = node_address(node);
        bool fits = membership->count < MEMBERS_MAX && strlen(address) <= MEMBER_ADDRESS_BYTES_MAX;
        if (fits) {
            *member = (struct member){.id = node->id, .role = MEMBER_VOTER};
            memcpy(member->address, address, strlen(address) + 1);
            membership->count++;
        }
        free(address);
        if (!fits) {
            *error = zsys_sprintf("%s: a group has %d members at most, whose name and endpoints "
                                  "take %d bytes at most",
                                  node->name, MEMBERS_MAX, MEMBER_ADDRESS_BYTES_MAX);
            return ERR_INVALID;
        }
    }
    return 0;
}

static int node_open_replica(struct node *self, const struct replica_machine *machine, char **error)
{
    struct replica_options options = node_replica_options(self);
    struct membership group = {0};

    int result = node_group(self, &group, error);
    if (result != 0)
        return result;
    char *address = node_address(self->member);
    const char **relays = node_relays(self, &options.relay_count);
    options.address = address;
    options.contacts = &group;
    options.relays = relays;
    result = replica_open(self->loop, &options, machine, &self->replica, error);
    free(relays);
    free(address);
    return result;
}

/* Found this node's member of its group, and end (--found). */
static int node_found(struct node *self, char **error)
{
    struct replica_options options = node_replica_options(self);
    struct membership membership = {0};

    int result = node_group(self, &membership, error);
    if (result == 0)
        result = replica_found(&options, &membership, error);
    if (result == 0)
        log_write(self->log, LOG_LEVEL_INFO, "founded", LOG_UINT("members", membership.count));
    return result;
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
    self->leases.arg = self->object;
    int result = node_open_replica(self, &machine, error);
    if (result != 0)
        return result;
    if (self->service->started != NULL)
        self->service->started(self->object);
    node_ports_look(self);
    return 0;
}

static void node_close(struct node *self)
{
    replica_close(&self->replica);
    if (self->moving != NULL)
        node_refuse(&self->moving, ERR_UNAVAILABLE, NULL, NULL);
    if (self->object != NULL)
        self->service->close(self->object);
    node_ports_close(self);
    node_feed_close(self);
    alarm_destroy(&self->stop);
    alarm_destroy(&self->move_end);
    zloop_destroy(&self->loop);
    free(self->table.series);
    free(self->leases.series);
    free(self->members.series);
    free(self->own.series);
    metrics_destroy(&self->metrics);
    log_destroy(&self->log);
}

/* Open it and run it until it is told to stop. */
static int node_serve(struct node *self, char **error)
{
    int result = node_open(self, error);
    if (result != 0)
        return result;
    log_write(self->log, LOG_LEVEL_INFO, "up", LOG_TEXT("version", PYGMY_VERSION),
              LOG_INT("pid", getpid()));
    zloop_start(self->loop);
    log_write(self->log, LOG_LEVEL_INFO, "stopped", LOG_END);
    return 0;
}

/* Run the node to its end. @self holds what it is started with. Returns the exit status. */
static int node_run(struct node *self, bool found)
{
    int level = log_level_parse(self->config->log_level);
    char *error = NULL;

    assert(level >= 0); /* config_load() has checked it */
    self->log =
        log_new(config_kind_name(self->service->kind), self->member->name, (enum log_level)level);
    self->metrics = metrics_new();
    self->loop = zloop_new();
    self->stop = alarm_new(self->loop, node_on_stop, self);
    self->move_end = alarm_new(self->loop, node_members_on_move_end, self);
    node_init_tables(self);
    node_ports_init(self);
    node_feed_init(self);
    int result = found ? node_found(self, &error) : node_serve(self, &error);
    if (result != 0)
        log_write(self->log, LOG_LEVEL_ERROR, found ? "can't be founded" : "can't start",
                  LOG_TEXT("code", err_type(result)), LOG_TEXT("error", error));
    free(error);
    node_close(self);
    return result == 0 ? 0 : NODE_EXIT_FAILED;
}

static const struct option_row node_rows[] = {
    {"found", NULL, "make the data directory of a new group's member, and end: once for each"},
    {"join", NULL, "begin with an empty data directory, and wait to be added to the group"},
};

int node_main(const struct node_service *service, int argc, char **argv)
{
    const struct options_program program = {
        .name = service->program,
        .summary = service->summary,
        .status =
            "5 after a failed write or sync of its data, with a log that it can't read, or with "
            "tables\nthat are not those of the other replicas: not to be started again before the "
            "cause is known",
        .kind = service->kind,
        .rows = node_rows,
        .row_count = sizeof node_rows / sizeof node_rows[0],
    };
    struct options *options = NULL;
    struct config *config = NULL;
    struct node node = {.service = service, .signal_fd = signals_take()};
    char *secret = NULL;

    umask(077); /* what a replica writes is nobody else's to read */
    int status = options_parse(&program, argc, argv, &options);
    if (status == OPTIONS_GO_ON)
        status = options_load(options, &config, &node.member);
    if (status == OPTIONS_GO_ON)
        status = options_read_secret(options, config->secret, &secret);
    if (status == OPTIONS_GO_ON) {
        node.config = config;
        node.secret = secret;
        node.join = options_count(options, "join") > 0;
        status = node_run(&node, options_count(options, "found") > 0);
    }
    free(secret);
    config_destroy(&config);
    options_destroy(&options);
    close(node.signal_fd);
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
