/* Requests and their answers: see node.h and part two of docs/protocol.md.
 *
 * The way of a request: received, parsed, its operation found, permitted, and (a read) allowed by
 * the replica; then run by the service, which answers now or later. What fails on the way is
 * refused at once, and had no effect.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <string.h>

#include "broker/bus/alloc.h"
#include "broker/bus/clock.h"
#include "broker/bus/err.h"
#include "broker/bus/key.h"
#include "broker/bus/limits.h"
#include "broker/bus/store_json.h"
#include "services/replica/node_internal.h"

struct node_call {
    struct node_port *port;
    struct bus_request *request;
    json_t *object;                         /* the parsed request, NULL until it is */
    const struct node_table *table;         /* of the operation */
    const struct node_operation *operation; /* NULL until it is found */
    int64_t begin_us;
};

/* ---- Answers ------------------------------------------------------------------------------- */

/* The request's own member of that name when it is a string, else NULL. */
static const char *node_call_text(const struct node_call *self, const char *name)
{
    return json_string_value(json_object_get(self->object, name));
}

static void node_call_count(const struct node_call *self, int code, int64_t duration_us)
{
    if (self->operation == NULL)
        return;
    const struct node_series *series = &self->table->series[self->operation - self->table->rows];
    metric_add(code == OK ? series->answered : series->refused, 1);
    metric_observe(series->seconds, (double)duration_us / 1e6);
}

/* A request that somebody wants to follow has an id. */
static void node_call_log(const struct node_call *self, int code, int64_t duration_us)
{
    const char *id = node_call_text(self, "request_id");

    log_write(self->port->node->log, id != NULL ? LOG_LEVEL_INFO : LOG_LEVEL_DEBUG, "request",
              LOG_TEXT("service", self->port->service),
              LOG_TEXT("op", self->operation != NULL ? self->operation->name : "-"),
              LOG_TEXT("code", err_type(code)), LOG_INT("duration_us", duration_us),
              LOG_TEXT("request_id", id));
}

/* Send the answer and end the call. */
static void node_call_end(struct node_call **self_p, int code, const char *text)
{
    struct node_call *self = *self_p;
    int64_t duration_us = clock_us() - self->begin_us;

    node_call_count(self, code, duration_us);
    node_call_log(self, code, duration_us);
    bus_request_reply(&self->request, code, text, strlen(text));
    json_decref(self->object);
    free(self);
    *self_p = NULL;
}

void node_refuse(struct node_call **self_p, int code, const char *detail, json_t *extra)
{
    json_t *body = store_json_error(code, detail, extra);
    char *text = json_dumps(body, JSON_COMPACT);
    node_call_end(self_p, code, text);
    free(text);
    json_decref(body);
}

/* Whether the answer would be out of tables that are known to be wrong. */
static bool node_call_is_wrong(const struct node_call *self)
{
    const struct replica *replica = self->port->node->replica; /* NULL: it is closed */

    return self->operation->tables && replica != NULL && replica_is_leaving(replica);
}

void node_answer(struct node_call **self_p, json_t *body)
{
    char *text = json_dumps(body, JSON_COMPACT);

    json_decref(body);
    if (node_call_is_wrong(*self_p))
        node_refuse(self_p, ERR_UNAVAILABLE, "the tables here are wrong, and this replica ends",
                    NULL);
    else if (text == NULL)
        node_refuse(self_p, ERR_INTERNAL, "the answer can't be written as JSON", NULL);
    else if (strlen(text) > BODY_BYTES_MAX)
        node_refuse(self_p, ERR_TOO_LARGE, "the answer is too large: ask for less at once", NULL);
    else
        node_call_end(self_p, OK, text);
    free(text);
}

int64_t node_call_remaining_ms(const struct node_call *self)
{
    return bus_request_remaining_ms(self->request, clock_ms());
}

/* ---- Requests ------------------------------------------------------------------------------ */

/* Parse the body. Returns true, or false when the call was refused. */
static bool node_call_parse(struct node_call **self_p)
{
    struct node_call *self = *self_p;
    char why[STORE_JSON_WHY_BYTES];
    int code = store_json_request(bus_request_body(self->request), bus_request_size(self->request),
                                  &self->object, why);
    if (code != OK)
        node_refuse(self_p, code, why, NULL);
    return code == OK;
}

/* Look the operation up. Returns whether @table has it. */
static bool node_call_look(struct node_call *self, const struct node_table *table)
{
    const char *name = node_call_text(self, "op");

    for (size_t i = 0; table != NULL && i < table->count; i++)
        if (strcmp(table->rows[i].name, name) == 0) {
            self->table = table;
            self->operation = &table->rows[i];
            return true;
        }
    return false;
}

/* Find the operation, for whoever serves it. */
static bool node_call_find(struct node_call **self_p)
{
    struct node_call *self = *self_p;
    const struct node_port *port = self->port;
    char detail[SERVICE_NAME_BYTES_MAX + 64];

    if (!node_call_look(self, port->table) && !node_call_look(self, port->more)) {
        node_refuse(self_p, ERR_NOT_IMPLEMENTED, "there is no operation of that name here", NULL);
        return false;
    }
    if (port->kind != NODE_PORT_READ || self->operation->kind == NODE_READ)
        return true;
    self->operation = NULL; /* it is not counted as done here */
    snprintf(detail, sizeof detail, "this operation is served by %s",
             port->node->ports[NODE_PORT_WRITE].service);
    node_refuse(self_p, ERR_NOT_IMPLEMENTED, detail, NULL);
    return false;
}

/* Without a secret in the configuration none is asked for. */
static bool node_call_permitted(const struct node_call *self)
{
    const char *secret = self->port->node->secret;
    const char *given = node_call_text(self, "secret");

    if (!self->operation->secret || secret == NULL)
        return true;
    return given != NULL && key_secret_equal(given, secret);
}

static void node_call_run(struct node_call *self)
{
    const struct node_operation *operation = self->operation;
    void *arg = self->table->arg;
    json_t *object = json_incref(self->object); /* the call may be answered within */

    operation->run(arg, self, object);
    json_decref(object);
}

static bool node_call_waited_long(const struct node_call *self)
{
    return clock_us() - self->begin_us >= READ_WAIT_MS * 1000;
}

/* The replica allows the read, or it took too long (replica_read_fn). */
static void node_call_read(void *arg, int code)
{
    struct node_call *self = arg;

    if (code == OK) {
        node_call_run(self);
        return;
    }
    if (node_call_waited_long(self))
        node_ports_unreadable(self->port->node);
    node_refuse(&self, code, NULL, NULL);
}

/* The replica has applied what was asked for, or it took too long. */
static void node_call_read_at(void *arg, int code)
{
    struct node_call *self = arg;

    if (code == OK) {
        node_call_run(self);
        return;
    }
    if (node_call_waited_long(self))
        node_ports_doubt(self->port->node);
    node_refuse(&self, code, NULL, NULL);
}

/* The log index that the read has to wait for, if it says one; then whether it is one. */
static bool node_call_applied(const struct node_call *self, json_t **applied)
{
    *applied = self->operation->applied ? json_object_get(self->object, "applied") : NULL;
    return *applied == NULL || (json_is_integer(*applied) && json_integer_value(*applied) >= 0);
}

/* Read when it may be done; nobody waits longer than a fail-over takes. */
static int node_call_ask(struct node_call *self, const json_t *applied)
{
    struct replica *replica = self->port->node->replica;
    int64_t wait_ms = node_call_remaining_ms(self);

    if (wait_ms > READ_WAIT_MS)
        wait_ms = READ_WAIT_MS;
    if (applied == NULL)
        return replica_read(replica, clock_ms() + wait_ms, node_call_read, self);
    return replica_read_at(replica, (replica_index)json_integer_value(applied),
                           clock_ms() + wait_ms, node_call_read_at, self);
}

/* Whether the port is there because this replica leads. */
static bool node_call_is_for_leader(const struct node_call *self)
{
    return self->port->kind == NODE_PORT_WRITE || self->port->kind == NODE_PORT_LEASES;
}

/* What stands against it, in this order: permission, then whether it can be done here and now. */
static void node_call_start(struct node_call *self)
{
    struct node *node = self->port->node;
    json_t *applied;
    int code = OK;

    if (!node_call_permitted(self)) {
        node_refuse(&self, ERR_FORBIDDEN, "this operation needs the cluster's secret", NULL);
    } else if (node_call_is_for_leader(self) && !replica_is_leader(node->replica)) {
        code = ERR_NOT_LEADER;
    } else if (self->port->kind == NODE_PORT_OWN || self->operation->kind == NODE_WRITE) {
        node_call_run(self);
    } else if (!node_call_applied(self, &applied)) {
        node_refuse(&self, ERR_INVALID, "applied must be an integer from 0", NULL);
    } else {
        code = node_call_ask(self, applied);
    }
    if (code != OK)
        node_refuse(&self, code, NULL, NULL);
}

void node_call_receive(void *arg, struct bus_request *request)
{
    struct node_call *self = alloc_zero(sizeof *self);

    self->port = arg;
    self->request = request;
    self->begin_us = clock_us();
    if (node_call_remaining_ms(self) <= 0) {
        node_refuse(&self, ERR_EXPIRED, NULL, NULL);
        return;
    }
    if (node_call_parse(&self) && node_call_find(&self))
        node_call_start(self);
}
