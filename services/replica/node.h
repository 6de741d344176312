/* The skeleton of a replica's program: options, configuration, log, loop,
 * signals, the services every replica registers (GROUP, GROUP.leader,
 * GROUP.leases, node.NAME), drain on SIGTERM.
 *
 * It knows no service's operations: a request's JSON object is parsed here and
 * handed on; its answer is a JSON object and a code.
 *
 * Exit statuses: 0 it was told to stop; 1 it can't start (directory in use,
 * foreign or damaged; the message says what to do); 2 wrong flag or
 * configuration; 5 it must not go on (fatal.h).
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_REPLICA_NODE_H
#define PYGMY_REPLICA_NODE_H

#include <czmq.h>
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "broker/bus/config.h"
#include "broker/bus/log.h"
#include "broker/bus/metrics.h"
#include "broker/bus/worker.h"
#include "services/replica/changes.h"
#include "services/replica/replica.h"

struct node;
struct node_call; /* a request being worked on */

/* One operation of a service: a row of its table. */
struct node_operation {
    const char *name; /* the request's "op" */
    enum {
        NODE_READ,  /* any replica, on GROUP, or the leader, on GROUP.leader; called when a
                     * linearizable read may be made */
        NODE_WRITE, /* the leader, on GROUP.leader or GROUP.leases */
    } kind;
    bool secret; /* needs the cluster's secret in the request ("secret") */
    /* Says what the tables hold, without such a read or long after it: not answered by a replica that
     * knows them to be wrong by then. */
    bool tables;
    /* A read that may be asked for with a log index ("applied"): then it is called when this
     * replica has applied that much, be it linearizable or not (replica_read_at()). */
    bool applied;
    /* @request  the parsed object, borrowed: take a reference to keep it
     * @call     to be answered exactly once with node_answer() or node_refuse(), now or later */
    void (*run)(void *arg, struct node_call *call, json_t *request);
};

/* What a service's program gives to the skeleton. */
struct node_service {
    enum node_kind kind;
    const char *program; /* "pygmy-catalog", for --help and --version */
    const char *summary; /* what it is: one sentence, for --help */
    const struct node_operation *operations;
    size_t operation_count;
    /* Those of GROUP.leases: what writes may wait for. By GROUP.leader they would wait behind these
     * writes, which hold all of its credit. NULL: there is no such service. */
    const struct node_operation *lease_operations;
    size_t lease_operation_count;
    /* Make the service's object and fill @machine; the replica is opened after it (and the machine
     * told to lead), and started() called when it stands, unless it is NULL. */
    void *(*open)(struct node *node, struct replica_machine *machine);
    void (*started)(void *arg);
    /* Leadership came or went, as the machine was told just before; the ports follow. Called from
     * within the replica. NULL: nobody is told. */
    void (*lead)(void *arg, bool leader, replica_term term);
    /* Add the service's own fields to its status object. */
    void (*status)(void *arg, json_t *status);
    /* The operation "audit" of node.NAME: count again what must add up in the tables here, as they
     * are, whoever leads. NULL: nothing must. Called as an operation's run(). */
    void (*audit)(void *arg, struct node_call *call, json_t *request);
    /* Fill a page of the stream of changes with the rows here whose version is above page->since, by
     * version: changes.h. */
    void (*changes)(void *arg, struct changes_page *page);
    /* Destroy it, and answer or refuse the calls that it still holds. The replica is closed by
     * then, its callbacks have run, and node_replica() is NULL. */
    void (*close)(void *arg);
};

/* Run a program to its end; the whole of its main(). Returns the exit status. */
int node_main(const struct node_service *service, int argc, char **argv);

zloop_t *node_loop(struct node *self);
struct log *node_log(struct node *self);
struct metrics *node_metrics(struct node *self);
struct replica *node_replica(struct node *self);
const struct config *node_config(struct node *self);
const char *node_name(struct node *self);
/* The cluster's secret, NULL when the configuration names none. */
const char *node_secret(struct node *self);

/* Milliseconds that are left of the request's budget, now. */
int64_t node_call_remaining_ms(const struct node_call *self);
/* Answer with @body (taken over); ERR_TOO_LARGE takes its place above BODY_BYTES_MAX. */
void node_answer(struct node_call **self_p, json_t *body);
/* Answer with @code, not OK, and an error object: {"error":{"type","title","detail",...}}. @detail
 * may be NULL; @extra (taken over, may be NULL) is an object whose members are added to it. */
void node_refuse(struct node_call **self_p, int code, const char *detail, json_t *extra);

#endif
