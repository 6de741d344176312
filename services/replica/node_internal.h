/* What the parts of a node know of each other: node.c (life), node_port.c (the services that it is
 * registered for), node_stop.c (from the signal to the end), node_call.c (requests and answers),
 * node_members.c (the operations on the group of every service), node_own.c (those of node.NAME),
 * node_changes.c (the stream of changes: what was missed, and what is published).
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_REPLICA_NODE_INTERNAL_H
#define PYGMY_REPLICA_NODE_INTERNAL_H

#include "broker/bus/alarm.h"
#include "services/replica/membership.h"
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

enum node_port_kind {
    NODE_PORT_READ,
    NODE_PORT_WRITE,
    NODE_PORT_LEASES,
    NODE_PORT_OWN,
    NODE_PORTS
};

/* A service that the node is registered for. */
struct node_port {
    struct node *node;
    enum node_port_kind kind;
    const struct node_table *table;
    const struct node_table *more; /* further operations; NULL: none */
    char *service;             /* "catalog", "catalog.leader", "catalog.leases", "node.catalog-1" */
    struct bus_worker *worker; /* NULL: not registered now */
};

/* What is published of the stream of changes. */
struct node_feed {
    struct changes_feed changes;
    struct alarm *alarm; /* for the next message */
    int64_t due_ms;      /* what it is set to; INT64_MAX: it is off, or late and of no use */
    struct metric *messages;
    struct metric *rows;
    struct metric *seconds;
};

/* From the first signal on. */
enum node_stage {
    NODE_UP,
    NODE_FINISHING,    /* takes no more writes; those in hand are answered */
    NODE_HANDING_OVER, /* of a leader: another member is to lead */
    NODE_DRAINING,     /* takes no more requests; those in hand are answered */
};

struct node {
    const struct node_service *service;
    const struct config *config;      /* not owned */
    const struct config_node *member; /* this node, within the config */
    struct log *log;
    struct metrics *metrics;
    const char *secret; /* not owned; or NULL */
    bool join;          /* --join */
    zloop_t *loop;
    void *object; /* the service's */
    struct node_feed feed;
    struct replica *replica;
    struct node_table table;   /* the service's operations */
    struct node_table leases;  /* those for leased caches */
    struct node_table members; /* those on its group */
    struct node_table own;     /* those of node.NAME */
    struct node_call *moving;  /* waits for another leader; NULL: nobody does */
    struct alarm *move_end;    /* that did not come about */
    struct node_port ports[NODE_PORTS];
    struct alarm *ports_alarm; /* registers and deregisters, in a turn of its own */
    bool readable;             /* the replica is near enough to its leader to serve reads */
    bool doubted;              /* it may not be so any more */
    bool asking;               /* whether it is, is being found out */
    enum node_stage stage;
    struct alarm *stop;   /* looks whether the stage has come to its end */
    int64_t stage_end_ms; /* when it ends whatever is left */
    int signal_fd;
};

/* Fill in what the ports are, and make what keeps them. */
void node_ports_init(struct node *self);
void node_ports_close(struct node *self);
/* Look in the loop's next turn which services this node has to be registered for. */
void node_ports_look(struct node *self);
/* Reads take too long here. */
void node_ports_unreadable(struct node *self);
/* They may: have it found out. */
void node_ports_doubt(struct node *self);

/* Leadership came or went (replica_options). */
void node_on_lead(void *arg, bool leader, replica_term term);

/* A signal came: the first one stops the node, the second one ends the loop. */
int node_on_signal(zloop_t *loop, zmq_pollitem_t *item, void *arg);
/* Looks whether a stage of stopping has ended. */
void node_on_stop(void *arg);

/* A request has come to a port, @arg (bus_request_fn). */
void node_call_receive(void *arg, struct bus_request *request);

/* The operations on the group, for its leader. */
extern const struct node_operation node_member_operations[];
extern const size_t node_member_operation_count;
/* Answer who asked for another leader: there is one, or it took too long. */
void node_members_moved(struct node *self);
void node_members_on_move_end(void *arg);
/* What a member is: id, name, role. */
json_t *node_member_json(const struct member *member);

/* The operation "changes" of node.NAME: what changed since an index, as this replica has it. */
void node_changes_answer(void *arg, struct node_call *call, json_t *request);

void node_feed_init(struct node *self);
void node_feed_close(struct node *self);
/* Something has changed that decides what is published, and when (replica_options.on_news). */
void node_feed_look(void *arg);

/* The operations of node.NAME. */
extern const struct node_operation node_own_operations[];
extern const size_t node_own_operation_count;

#endif
