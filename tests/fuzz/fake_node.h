/* A node without bus, disk, loop or time, for the fuzz targets of the two services: what a peer sends
 * goes through node_call.c and the service to the state machine and back, in one thread and at once.
 *
 * It defines what worker.c, node.c, node_port.c and the replica's sources would, so that the linker
 * takes none of these: a program includes it in one file. Tables are in memory. Submitted commands
 * wait for fake_node_apply(), which is one batch; reads are allowed at once.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_TESTS_FAKE_NODE_H
#define PYGMY_TESTS_FAKE_NODE_H

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "broker/bus/alloc.h"
#include "broker/bus/err.h"
#include "broker/bus/limits.h"
#include "services/replica/membership.h"
#include "services/replica/node_internal.h"

#define FAKE_SUBMIT_MAX 32
#define FAKE_SECRET     "the-secret"

struct fake_submission {
    uint8_t *data;
    size_t size;
    replica_done_fn *done;
    void *arg;
    void *result;
};

struct replica {
    struct replica_machine machine;
    replica_index index;
    int64_t now_ms;
    struct fake_submission queue[FAKE_SUBMIT_MAX];
    size_t count;
};

/* A request and what became of it. */
struct bus_request {
    const uint8_t *body;
    size_t size;
    size_t *open; /* requests not answered yet */
    json_t *answer;
};

struct fake_node {
    struct node node;
    struct replica replica;
    struct config_node member;
    struct config config;
    size_t open;
};

/* A replica ends itself when an entry can't be read or its tables fail: no input may lead there. */
void _exit(int status)
{
    (void)status;
    abort();
}

/* ---- In the place of worker.c ---------------------------------------------------------------- */

const uint8_t *bus_request_body(const struct bus_request *self)
{
    return self->body;
}

size_t bus_request_size(const struct bus_request *self)
{
    return self->size;
}

int64_t bus_request_remaining_ms(const struct bus_request *self, int64_t now_ms)
{
    (void)self;
    (void)now_ms;
    return REQUEST_DEADLINE_MS;
}

/* Every answer is a JSON object of a lawful size; an error is one that says so in both places. */
void bus_request_reply(struct bus_request **self_p, int code, const void *body, size_t size)
{
    struct bus_request *self = *self_p;
    json_t *answer = json_loadb(body, size, JSON_REJECT_DUPLICATES, NULL);
    const json_t *error = json_object_get(answer, "error");
    const char *type = json_string_value(json_object_get(error, "type"));

    assert(json_is_object(answer) && size <= BODY_BYTES_MAX);
    assert((code == OK) == (error == NULL));
    assert(code == OK || (type != NULL && strcmp(type, err_type(code)) == 0));
    assert(code != ERR_INTERNAL);
    json_decref(answer);
    assert(*self->open > 0);
    (*self->open)--;
    free(self);
    *self_p = NULL;
}

/* ---- In the place of node.c ------------------------------------------------------------------ */

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

void node_ports_unreadable(struct node *self)
{
    (void)self;
}

void node_ports_doubt(struct node *self)
{
    (void)self;
}

/* ---- In the place of replica.c --------------------------------------------------------------- */

int replica_submit(struct replica *self, const void *command, size_t size, replica_done_fn *done,
                   void *arg)
{
    if (size > ENTRY_BYTES_MAX)
        return ERR_TOO_LARGE;
    if (self->count == FAKE_SUBMIT_MAX)
        return ERR_BUSY;
    self->queue[self->count++] =
        (struct fake_submission){(uint8_t *)alloc_copy(command, size), size, done, arg, NULL};
    return OK;
}

void replica_flush(struct replica *self)
{
    (void)self;
}

int replica_read(struct replica *self, int64_t deadline_ms, replica_read_fn *done, void *arg)
{
    (void)self;
    (void)deadline_ms;
    done(arg, OK);
    return OK;
}

int replica_read_at(struct replica *self, replica_index index, int64_t deadline_ms,
                    replica_read_fn *done, void *arg)
{
    if (index > self->index)
        return ERR_UNAVAILABLE;
    return replica_read(self, deadline_ms, done, arg);
}

bool replica_is_leader(const struct replica *self)
{
    (void)self;
    return true;
}

void replica_status(const struct replica *self, struct replica_status *status)
{
    *status = (struct replica_status){
        .role = "leader",
        .term = 1,
        .last_index = self->index,
        .durable_index = self->index,
        .commit_index = self->index,
        .applied_index = self->index,
    };
}

bool replica_digest(const struct replica *self, uint64_t *digest)
{
    (void)self;
    (void)digest;
    return false;
}

const struct digest_marks *replica_digest_marks(const struct replica *self)
{
    (void)self;
    return NULL;
}

const struct membership *replica_membership(const struct replica *self)
{
    static const struct membership nobody;
    (void)self;
    return &nobody;
}

replica_term replica_current_term(const struct replica *self)
{
    (void)self;
    return 1;
}

replica_index replica_last_index(const struct replica *self)
{
    return self->index;
}

replica_index replica_commit_index(const struct replica *self)
{
    return self->index;
}

replica_index replica_applied_index(const struct replica *self)
{
    return self->index;
}

/* Its group is nobody's to change: members' requests have tests of their own. */

replica_index replica_membership_index(const struct replica *self)
{
    (void)self;
    return 0;
}

bool replica_progress(const struct replica *self, uint64_t id, replica_index *match_index,
                      int64_t *last_contact_ms)
{
    (void)self;
    (void)id;
    (void)match_index;
    (void)last_contact_ms;
    return false;
}

int replica_transfer(struct replica *self, uint64_t id)
{
    (void)self;
    (void)id;
    return ERR_NOT_LEADER;
}

int replica_add(struct replica *self, uint64_t id, const char *address, replica_done_fn *done,
                void *arg)
{
    (void)self;
    (void)id;
    (void)address;
    (void)done;
    (void)arg;
    return ERR_NOT_LEADER;
}

int replica_promote(struct replica *self, uint64_t id, replica_done_fn *done, void *arg)
{
    return replica_add(self, id, "", done, arg);
}

int replica_remove(struct replica *self, uint64_t id, replica_done_fn *done, void *arg)
{
    return replica_add(self, id, "", done, arg);
}

/* Nobody has subscribed to what is published. */

bool replica_is_leaving(const struct replica *self)
{
    (void)self;
    return false;
}

bool replica_has_subscribers(const struct replica *self, enum feed_stream stream)
{
    (void)self;
    (void)stream;
    return false;
}

void replica_publish(struct replica *self, enum feed_stream stream, const void *text, size_t size)
{
    (void)self;
    (void)stream;
    (void)text;
    (void)size;
}

int64_t replica_log_time_ms(struct replica *self)
{
    return self->now_ms;
}

/* ---- The node -------------------------------------------------------------------------------- */

/* Apply what was submitted, and what is submitted while that is answered. */
static void fake_node_apply(struct fake_node *self)
{
    struct replica *replica = &self->replica;
    struct fake_submission batch[FAKE_SUBMIT_MAX];

    while (replica->count > 0) {
        const size_t count = replica->count;
        memcpy(batch, replica->queue, sizeof batch);
        replica->count = 0;
        replica->machine.begin(replica->machine.self);
        for (size_t i = 0; i < count; i++) {
            const struct replica_entry entry = {
                .index = ++replica->index,
                .term = 1,
                .log_time_ms = replica->now_ms,
                .wall_ms = INT64_C(1767323045678) + replica->now_ms,
                .data = batch[i].data,
                .size = batch[i].size,
            };
            batch[i].result = replica->machine.apply(replica->machine.self, &entry);
            free(batch[i].data);
        }
        replica->machine.commit(replica->machine.self);
        for (size_t i = 0; i < count; i++)
            batch[i].done(batch[i].arg, OK, batch[i].result, replica->index - count + 1 + i);
    }
}

static void fake_node_table(struct node_table *table, const struct node_operation *rows,
                            size_t count, void *arg)
{
    *table = (struct node_table){rows, count, arg, alloc_zero(count * sizeof *table->series)};
}

static void fake_node_port(struct fake_node *self, enum node_port_kind kind,
                           const struct node_table *table, const char *service)
{
    self->node.ports[kind] = (struct node_port){
        .node = &self->node,
        .kind = kind,
        .table = table,
        .service = alloc_copy(service, strlen(service)),
    };
}

static struct fake_node *fake_node_new(const struct node_service *service)
{
    struct fake_node *self = alloc_zero(sizeof *self);
    struct node *node = &self->node;
    char name[] = "node-1", uuid[] = "0123456789abcdef0123456789abcdef";
    char *error = NULL;

    self->member = (struct config_node){.kind = service->kind, .name = alloc_copy(name, 6)};
    self->config.uuid = alloc_copy(uuid, sizeof uuid - 1);
    self->replica.now_ms = 1;
    self->replica.index = 1; /* the leader's barrier */
    node->service = service;
    node->config = &self->config;
    node->member = &self->member;
    node->metrics = metrics_new();
    node->secret = FAKE_SECRET;
    node->loop = zloop_new();
    node->replica = &self->replica;
    node->object = service->open(node, &self->replica.machine);
    int code = self->replica.machine.open(self->replica.machine.self, ":memory:", &error);
    assert(code == OK);
    fake_node_table(&node->table, service->operations, service->operation_count, node->object);
    fake_node_table(&node->leases, service->lease_operations, service->lease_operation_count,
                    node->object);
    fake_node_table(&node->own, node_own_operations, node_own_operation_count, node);
    fake_node_port(self, NODE_PORT_READ, &node->table, "service");
    fake_node_port(self, NODE_PORT_WRITE, &node->table, "service.leader");
    fake_node_port(self, NODE_PORT_LEASES, &node->leases, "service.leases");
    fake_node_port(self, NODE_PORT_OWN, &node->own, "node.node-1");
    if (service->started != NULL)
        service->started(node->object);
    if (service->lead != NULL)
        service->lead(node->object, true, 1);
    return self;
}

/* A request comes to a port. It may be answered when fake_node_apply() has run. */
static void fake_node_request(struct fake_node *self, enum node_port_kind port, const void *body,
                              size_t size)
{
    struct bus_request *request = alloc_zero(sizeof *request);
    request->body = body;
    request->size = size;
    request->open = &self->open;
    self->open++;
    node_call_receive(&self->node.ports[port], request);
}

static void fake_node_destroy(struct fake_node **self_p)
{
    struct fake_node *self = *self_p;
    struct node *node = &self->node;

    fake_node_apply(self);
    node->replica = NULL;
    node->service->close(node->object);
    /* Whatever it was: answered, and once. */
    assert(self->open == 0);
    for (int i = 0; i < NODE_PORTS; i++)
        free(node->ports[i].service);
    free(node->table.series);
    free(node->leases.series);
    free(node->own.series);
    zloop_destroy(&node->loop);
    metrics_destroy(&node->metrics);
    free(self->member.name);
    free(self->config.uuid);
    free(self);
    *self_p = NULL;
}

#endif
