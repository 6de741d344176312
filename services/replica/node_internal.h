/* What the parts of a node know of each other: node.c (life), node_call.c
 * (requests and answers), node_own.c (the operations of node.NAME).
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_REPLICA_NODE_INTERNAL_H
#define PYGMY_REPLICA_NODE_INTERNAL_H

#include "broker/bus/alarm.h"
#include "services/replica/node.h"

/* Counted for each operation. */
struct node_series {
    struct metric *answered;
    struct metric *refused;
    struct metric *seconds;
};

/* Operations, and the object that they are called with. */
struct node_table {
    const struct node_operation *rows;
    size_t count;
    void *arg;                  /* first argument of run() */
    struct node_series *series; /* one for each row */
};

enum node_port_kind { NODE_PORT_READ, NODE_PORT_WRITE, NODE_PORT_OWN, NODE_PORTS };

/* A service that the node is registered for. */
struct node_port {
    struct node *node;
    enum node_port_kind kind;
    const struct node_table *table;
    char *service;             /* "catalog", "catalog.leader", "node.catalog-1" */
    struct bus_worker *worker; /* NULL: not registered now */
};

struct node {
    const struct node_service *service;
    const struct config *config;      /* not owned */
    const struct config_node *member; /* this node, within the config */
    struct log *log;
    struct metrics *metrics;
    const char *secret; /* not owned; or NULL */
    zloop_t *loop;
    void *object; /* the service's */
    struct replica *replica;
    struct node_table table; /* the service's operations */
    struct node_table own;   /* those of node.NAME */
    struct node_port ports[NODE_PORTS];
    struct alarm *drain;       /* looks whether all is answered, while draining */
    int64_t drain_deadline_ms; /* 0: not draining */
    int signal_fd;
};

/* A request has come to a port, @arg (bus_request_fn). */
void node_call_receive(void *arg, struct bus_request *request);

/* The operations of node.NAME. */
extern const struct node_operation node_own_operations[];
extern const size_t node_own_operation_count;

#endif
