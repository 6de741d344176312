/* See node_service.h.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "client/bridge/node_service.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "broker/bus/alloc.h"
#include "broker/bus/err.h"
#include "broker/bus/store_json.h"
#include "broker/bus/worker.h"
#include "client/bridge/bridge.h"

struct node_service {
    struct bridge *bridge;
    struct bus_worker *worker;
};

/* A bridge has no role and no log: what it doesn't have is null, not 0. */
static json_t *node_status(struct bridge *bridge)
{
    return json_pack("{s:s, s:s, s:n, s:s, s:i, s:n, s:n, s:n, s:n, s:n, s:n, s:s, s:s, s:I, s:o}",
                     "name", bridge->node->name, "kind", config_kind_name(bridge->node->kind),
                     "role", "state", bridge->draining ? "draining" : "up", "pid", (int)getpid(),
                     "term", "log_index", "commit_index", "applied_index", "lag", "last_contact_ms",
                     "version", PYGMY_VERSION, "http", bridge->node->http, "requests",
                     (json_int_t)http_server_busy(bridge->server), "checks",
                     readiness_checks(bridge->readiness));
}

static json_t *node_metrics(struct bridge *bridge)
{
    struct bytes_writer text = {0};
    cache_stats_update(bridge->cache_stats, bridge->store);
    metrics_write(bridge->metrics, &text);
    json_t *answer = json_pack("{s:o}", "text", json_stringn((const char *)text.data, text.size));
    bytes_writer_close(&text);
    return answer;
}

static json_t *node_ping(struct bridge *bridge)
{
    (void)bridge;
    return json_object();
}

static const struct {
    const char *name;
    json_t *(*run)(struct bridge *bridge);
} node_operations[] = {{"status", node_status}, {"metrics", node_metrics}, {"ping", node_ping}};

/* The answer to a request of that operation, and its code. */
static json_t *node_answer(struct bridge *bridge, const char *op, int *code)
{
    for (size_t i = 0; i < sizeof node_operations / sizeof node_operations[0]; i++)
        if (strcmp(node_operations[i].name, op) == 0)
            return node_operations[i].run(bridge);
    *code = ERR_NOT_IMPLEMENTED;
    return store_json_error(*code, "a bridge knows status, metrics and ping", NULL);
}

static void node_on_request(void *arg, struct bus_request *bus_request)
{
    struct node_service *self = arg;
    char why[STORE_JSON_WHY_BYTES] = STORE_JSON_BARE;
    json_t *request = NULL;
    int code = store_json_request(bus_request_body(bus_request), bus_request_size(bus_request),
                                  &request, why);

    if (code == OK && !store_json_is_bare(request))
        code = ERR_INVALID;
    const char *op = json_string_value(json_object_get(request, "op"));
    json_t *answer =
        code == OK ? node_answer(self->bridge, op, &code) : store_json_error(code, why, NULL);
    char *text = json_dumps(answer, JSON_COMPACT);
    bus_request_reply(&bus_request, code, text, strlen(text));
    free(text);
    json_decref(answer);
    json_decref(request);
}

struct node_service *node_service_new(struct bridge *bridge)
{
    struct node_service *self = alloc_zero(sizeof *self);
    size_t count;
    const char **endpoints = config_bus_endpoints(bridge->config, &count);
    char *service = zsys_sprintf("node.%s", bridge->node->name);

    self->bridge = bridge;
    self->worker = bus_worker_new(bridge->loop, &(struct bus_worker_options){
                                                    .service = service,
                                                    .name = bridge->node->name,
                                                    .secret = bridge->secret,
                                                    .endpoints = endpoints,
                                                    .endpoint_count = count,
                                                    .on_request = node_on_request,
                                                    .arg = self,
                                                });
    free(service);
    free(endpoints);
    return self;
}

void node_service_drain(struct node_service *self)
{
    bus_worker_drain(self->worker);
}

void node_service_destroy(struct node_service **self_p)
{
    struct node_service *self = *self_p;
    if (self == NULL)
        return;
    bus_worker_destroy(&self->worker);
    free(self);
    *self_p = NULL;
}
