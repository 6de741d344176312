/* See status.h.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/status.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "broker/bus/alloc.h"
#include "broker/bus/err.h"
#include "broker/bus/limits.h"
#include "broker/bus/store_json.h"
#include "broker/router_state.h"

/* Series by class of service, and those without labels. */
struct status {
    struct status_options options;
    char *name;
    struct metric *results[SERVICE_CLASS_COUNT][ROUTER_RESULT_COUNT];
    struct metric *counts[ROUTER_COUNT_COUNT];
    struct metric *depth[SERVICE_CLASS_COUNT];
    struct metric *in_hand[SERVICE_CLASS_COUNT];
    struct metric *idle[SERVICE_CLASS_COUNT];
    struct metric *busy[SERVICE_CLASS_COUNT];
    struct metric *oldest;
    struct metric *peers;
    struct metric *services;
    struct metric *request_bytes;
    struct metric *outbox_bytes;
    struct metric *feed_relayed;
    struct metric *feed_dropped;
    struct metric *feed_refused;
};

/* ---- Metrics ---------------------------------------------------------- */

static void status_make_class(struct status *self, enum service_class class)
{
    struct metrics *metrics = self->options.metrics;
    const char *service = service_class_label(class);
    char labels[128];
    for (int i = 0; i < ROUTER_RESULT_COUNT; i++) {
        snprintf(labels, sizeof labels, "service=\"%s\",result=\"%s\"", service,
                 router_result_label((enum router_result)i));
        self->results[class][i] = metrics_counter(metrics, "pygmy_broker_requests_total", labels,
                                                  "Requests that ended, by how they ended");
    }
    snprintf(labels, sizeof labels, "service=\"%s\"", service);
    self->depth[class] = metrics_gauge(metrics, "pygmy_broker_queue_depth", labels,
                                       "Requests that wait for a worker");
    self->in_hand[class] =
        metrics_gauge(metrics, "pygmy_broker_in_flight", labels, "Requests that workers have");
    snprintf(labels, sizeof labels, "service=\"%s\",state=\"idle\"", service);
    self->idle[class] = metrics_gauge(metrics, "pygmy_broker_workers", labels,
                                      "Registered workers, by whether they have requests");
    snprintf(labels, sizeof labels, "service=\"%s\",state=\"busy\"", service);
    self->busy[class] = metrics_gauge(metrics, "pygmy_broker_workers", labels, "");
}

static void status_make_series(struct status *self)
{
    struct metrics *metrics = self->options.metrics;
    for (int class = 0; class < SERVICE_CLASS_COUNT; class ++)
        status_make_class(self, (enum service_class) class);
    for (int i = 0; i < ROUTER_COUNT_COUNT; i++) {
        char name[128];
        snprintf(name, sizeof name, "pygmy_broker_%s_total",
                 router_count_label((enum router_count)i));
        self->counts[i] =
            metrics_counter(metrics, name, NULL, router_count_help((enum router_count)i));
    }
    self->oldest = metrics_gauge(metrics, "pygmy_broker_oldest_request_seconds", NULL,
                                 "Age of the request that has waited longest");
    self->peers = metrics_gauge(metrics, "pygmy_broker_peers", NULL, "Connections that are known");
    self->services =
        metrics_gauge(metrics, "pygmy_broker_services", NULL, "Services that are known");
    self->request_bytes = metrics_gauge(metrics, "pygmy_broker_request_bytes", NULL,
                                        "Bytes of the requests that are held");
    self->outbox_bytes = metrics_gauge(metrics, "pygmy_broker_outbox_bytes", NULL,
                                       "Bytes that wait for peers that do not read");
    self->feed_relayed =
        metrics_counter(metrics, "pygmy_broker_feed_relayed_total", NULL, "Messages of the feed");
    self->feed_dropped = metrics_counter(metrics, "pygmy_broker_feed_dropped_total", NULL,
                                         "Messages of the feed that a subscriber was too slow for");
    self->feed_refused = metrics_counter(metrics, "pygmy_broker_feed_refused_total", NULL,
                                         "Messages and subscriptions that are not relayed");
}

struct status *status_new(const struct status_options *options)
{
    struct status *self = alloc_zero(sizeof *self);
    self->options = *options;
    self->name = alloc_copy(options->name, strlen(options->name));
    status_make_series(self);
    return self;
}

void status_destroy(struct status **self_p)
{
    struct status *self = *self_p;
    if (self == NULL)
        return;
    free(self->name);
    free(self);
    *self_p = NULL;
}

/* Bring a counter up to what was counted elsewhere. */
static void status_raise(struct metric *counter, uint64_t total)
{
    metric_add(counter, (double)total - metric_value(counter));
}

static size_t service_busy_workers(const struct service *service)
{
    size_t busy = 0;
    for (const struct list_link *link = list_first(&service->workers); link != NULL;
         link = list_after(&service->workers, link))
        busy += LIST_OBJECT(link, struct peer, service_link)->in_hand_count > 0;
    return busy;
}

static void status_collect_services(struct status *self, int64_t now_ms)
{
    struct router *router = self->options.router;
    int64_t oldest_ms = now_ms;
    for (int class = 0; class < SERVICE_CLASS_COUNT; class ++) {
        metric_set(self->depth[class], 0);
        metric_set(self->in_hand[class], 0);
        metric_set(self->idle[class], 0);
        metric_set(self->busy[class], 0);
    }
    for (const struct service *service = service_first(router->services); service != NULL;
         service = service_next(router->services)) {
        const enum service_class class = service->class;
        const size_t busy = service_busy_workers(service);
        const struct request *oldest = queue_oldest(&service->queue);
        metric_add(self->depth[class], (double)service->queue.count);
        metric_add(self->in_hand[class], (double)service->in_hand_count);
        metric_add(self->busy[class], (double)busy);
        metric_add(self->idle[class], (double)(service->worker_count - busy));
        if (oldest != NULL && oldest->accepted_ms < oldest_ms)
            oldest_ms = oldest->accepted_ms;
    }
    metric_set(self->oldest, (double)(now_ms - oldest_ms) / 1000.0);
}

static void status_collect(struct status *self, int64_t now_ms)
{
    struct router *router = self->options.router;
    for (int class = 0; class < SERVICE_CLASS_COUNT; class ++)
        for (int i = 0; i < ROUTER_RESULT_COUNT; i++)
            status_raise(self->results[class][i],
                         router_result(router, (enum service_class) class, (enum router_result)i));
    for (int i = 0; i < ROUTER_COUNT_COUNT; i++)
        status_raise(self->counts[i], router_count(router, (enum router_count)i));
    status_collect_services(self, now_ms);
    metric_set(self->peers, (double)peer_table_count(router->peers));
    metric_set(self->services, (double)service_table_count(router->services));
    metric_set(self->request_bytes, (double)request_table_bytes(router->requests));
    metric_set(self->outbox_bytes, (double)outbox_bytes(self->options.outbox));
    if (self->options.relay != NULL) {
        const struct relay_counts feed = relay_counts(self->options.relay);
        status_raise(self->feed_relayed, feed.relayed);
        status_raise(self->feed_dropped, feed.dropped);
        status_raise(self->feed_refused, feed.refused);
    }
}

static json_t *status_metrics(struct status *self, int64_t now_ms)
{
    struct bytes_writer text = {0};
    status_collect(self, now_ms);
    metrics_write(self->options.metrics, &text);
    json_t *answer = json_pack("{s:s%}", "text", text.data, text.size);
    bytes_writer_close(&text);
    return answer;
}

/* ---- Status ----------------------------------------------------------- */

static json_t *status_worker(const struct router *router, const struct peer *worker)
{
    char text[PEER_TEXT_BYTES];
    return json_pack("{s:s, s:I, s:I, s:I}", "name", peer_text(worker, text), "in_flight",
                     (json_int_t)worker->in_hand_count, "credit", (json_int_t)worker->credit,
                     "last_seen_ms", (json_int_t)(router->awake_ms - worker->heard_ms));
}

/* @room: how many more workers the answer may name. */
static json_t *status_service(const struct router *router, const struct service *service,
                              size_t *room)
{
    json_t *workers = json_array();
    for (const struct list_link *link = list_first(&service->workers); link != NULL && *room > 0;
         link = list_after(&service->workers, link), (*room)--)
        json_array_append_new(workers,
                              status_worker(router, LIST_OBJECT(link, struct peer, service_link)));
    return json_pack("{s:s, s:o, s:I, s:I, s:I}", "name", service->name, "workers", workers,
                     "worker_count", (json_int_t)service->worker_count, "queued",
                     (json_int_t)service->queue.count, "in_flight",
                     (json_int_t)service->in_hand_count);
}

static json_t *status_services(struct router *router)
{
    size_t room = STATUS_ROWS_MAX;
    json_t *services = json_array();
    for (const struct service *service = service_first(router->services);
         service != NULL && json_array_size(services) < STATUS_ROWS_MAX;
         service = service_next(router->services))
        json_array_append_new(services, status_service(router, service, &room));
    return services;
}

static json_t *status_counters(const struct status *self)
{
    const struct router *router = self->options.router;
    json_t *counters = json_object();
    for (int i = 0; i < ROUTER_COUNT_COUNT; i++)
        json_object_set_new(counters, router_count_label((enum router_count)i),
                            json_integer((json_int_t)router->counts[i]));
    for (int result = 0; result < ROUTER_RESULT_COUNT; result++) {
        char name[64];
        uint64_t total = 0;
        for (int class = 0; class < SERVICE_CLASS_COUNT; class ++)
            total += router->results[class][result];
        snprintf(name, sizeof name, "requests_%s", router_result_label((enum router_result)result));
        json_object_set_new(counters, name, json_integer((json_int_t)total));
    }
    json_object_set_new(counters, "outbox_bytes",
                        json_integer((json_int_t)outbox_bytes(self->options.outbox)));
    return counters;
}

static json_t *status_status(struct status *self)
{
    struct router *router = self->options.router;
    return json_pack(
        "{s:s, s:s, s:n, s:s, s:I, s:n, s:n, s:n, s:n, s:n, s:n, s:s, s:o, s:I, s:o}", "name",
        self->name, "kind", "broker", "role", "state", router->draining ? "draining" : "up", "pid",
        (json_int_t)getpid(), "term", "log_index", "commit_index", "applied_index", "lag",
        "last_contact_ms", "version", PYGMY_VERSION, "services", status_services(router), "peers",
        (json_int_t)peer_table_count(router->peers), "counters", status_counters(self));
}

static void status_write(json_t *answer, struct bytes_writer *writer)
{
    char *text = json_dumps(answer, JSON_COMPACT);
    bytes_put_raw(writer, text, strlen(text));
    free(text);
    json_decref(answer);
}

static int status_answer_op(struct status *self, const char *op, int64_t now_ms,
                            struct bytes_writer *answer)
{
    if (strcmp(op, "status") == 0) {
        status_write(status_status(self), answer);
    } else if (strcmp(op, "metrics") == 0) {
        status_write(status_metrics(self, now_ms), answer);
    } else if (strcmp(op, "ping") == 0) {
        status_write(json_object(), answer);
    } else {
        status_write(
            store_json_error(ERR_NOT_IMPLEMENTED, "a broker knows status, metrics and ping", NULL),
            answer);
        return ERR_NOT_IMPLEMENTED;
    }
    return OK;
}

int status_answer(struct status *self, const void *body, size_t size, int64_t now_ms,
                  struct bytes_writer *answer)
{
    char why[STORE_JSON_WHY_BYTES] = STORE_JSON_BARE;
    json_t *request = NULL;
    int code = store_json_request(body, size, &request, why);
    if (code == OK && !store_json_is_bare(request))
        code = ERR_INVALID;
    if (code == OK)
        code = status_answer_op(self, json_string_value(json_object_get(request, "op")), now_ms,
                                answer);
    else
        status_write(store_json_error(code, why, NULL), answer);
    json_decref(request);
    return code;
}
