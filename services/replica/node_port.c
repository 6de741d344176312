/* The services that a node is registered for: see node_internal.h.
 *
 *   node.NAME      always
 *   GROUP          while linearizable reads can be made here within READ_WAIT_MS: from the first one
 *                  that could (a replica that is started replays its log first) until one could not
 *                  (it hears no leader). Others of the group serve them meanwhile. A read that
 *                  waits for an index in vain says nothing yet: anybody may have made that up
 *   GROUP.leader   while the replica leads
 *   GROUP.leases   likewise, where the service has operations for it; longer than GROUP.leader when
 *                  the node is told to stop, since writes in hand may wait for what comes by it
 *
 * Who is deregistered says farewell: the broker gives what it had in hand to another one. That is
 * done in a turn of the loop of its own, since a service may not go while it hands over a request.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <czmq.h>
#include <stdlib.h>

#include "broker/bus/clock.h"
#include "broker/bus/err.h"
#include "broker/bus/limits.h"
#include "services/replica/node_internal.h"

/* A batch of requests has been handed over: what they submitted is one append. */
static void node_port_flush(void *arg)
{
    struct node_port *self = arg;
    replica_flush(self->node->replica);
}

/* So many asks may be held at once, one of each cache: they never keep others out. */
static_assert(LEASE_SESSIONS_MAX <= CREDIT_MAX, "each cache has one ask that is held");

static void node_port_register(struct node_port *self)
{
    struct node *node = self->node;
    struct bus_worker_options options = {
        .service = self->service,
        .name = node->member->name,
        .secret = node->secret,
        .credit = self->kind == NODE_PORT_LEASES ? CREDIT_MAX : CREDIT_DEFAULT,
        .on_request = node_call_receive,
        .on_batch = node_port_flush,
        .arg = self,
    };
    const char **endpoints = config_bus_endpoints(node->config, &options.endpoint_count);

    options.endpoints = endpoints;
    self->worker = bus_worker_new(node->loop, &options);
    free(endpoints);
}

static bool node_port_wanted(const struct node_port *self)
{
    const struct node *node = self->node;

    switch (self->kind) {
    case NODE_PORT_READ: return node->readable;
    case NODE_PORT_WRITE: return replica_is_leader(node->replica);
    case NODE_PORT_LEASES: return self->table->count > 0 && replica_is_leader(node->replica);
    default: return true;
    }
}

static void node_port_look(struct node_port *self)
{
    bool wanted = node_port_wanted(self);

    if (wanted && self->worker == NULL && self->node->stage == NODE_UP)
        node_port_register(self);
    else if (!wanted)
        bus_worker_destroy(&self->worker);
}

/* ---- Whether reads can be made ------------------------------------------------------------- */

static void node_ports_answered(void *arg, int code)
{
    struct node *self = arg;

    self->asking = false;
    self->readable = code == OK;
    node_ports_look(self);
}

/* Make a read of our own; each time that it takes too long, another one. */
static void node_ports_ask(struct node *self)
{
    if ((self->readable && !self->doubted) || self->asking || self->stage != NODE_UP)
        return;
    self->doubted = false;
    self->asking = true;
    if (replica_read(self->replica, clock_ms() + READ_WAIT_MS, node_ports_answered, self) != OK)
        self->asking = false; /* enough others ask: theirs fail, and we look again */
    replica_flush(self->replica);
}

void node_ports_unreadable(struct node *self)
{
    self->readable = false;
    node_ports_look(self);
}

void node_ports_doubt(struct node *self)
{
    self->doubted = true;
    node_ports_look(self);
}

/* ---- Life ---------------------------------------------------------------------------------- */

static void node_ports_on_alarm(void *arg)
{
    struct node *self = arg;

    for (size_t i = 0; i < NODE_PORTS; i++)
        node_port_look(&self->ports[i]);
    node_ports_ask(self);
}

void node_ports_look(struct node *self)
{
    alarm_set(self->ports_alarm, 0);
}

void node_on_lead(void *arg, bool leader, replica_term term)
{
    struct node *self = arg;

    if (self->service->lead != NULL)
        self->service->lead(self->object, leader, term);
    if (!leader)
        node_members_moved(arg);
    node_ports_look(arg);
    node_feed_look(arg);
}

static void node_port_init(struct node *self, enum node_port_kind kind,
                           const struct node_table *table, const char *format, const char *name)
{
    struct node_port *port = &self->ports[kind];

    port->node = self;
    port->kind = kind;
    port->table = table;
    port->service = zsys_sprintf("%s%s", format, name);
}

void node_ports_init(struct node *self)
{
    const char *group = config_kind_name(self->service->kind);

    node_port_init(self, NODE_PORT_READ, &self->table, group, "");
    node_port_init(self, NODE_PORT_WRITE, &self->table, group, ".leader");
    node_port_init(self, NODE_PORT_LEASES, &self->leases, group, ".leases");
    node_port_init(self, NODE_PORT_OWN, &self->own, "node.", self->member->name);
    self->ports[NODE_PORT_READ].more = &self->members;
    self->ports[NODE_PORT_WRITE].more = &self->members;
    self->ports_alarm = alarm_new(self->loop, node_ports_on_alarm, self);
}

void node_ports_close(struct node *self)
{
    alarm_destroy(&self->ports_alarm);
    for (size_t i = 0; i < NODE_PORTS; i++) {
        bus_worker_destroy(&self->ports[i].worker);
        free(self->ports[i].service);
    }
}
