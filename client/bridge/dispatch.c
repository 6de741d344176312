/* See dispatch.h.
 *
 * A request passes the steps of the table at the end of this file in their order; the first that
 * refuses it words the answer. The framing is checked as soon as the headers are there, and the
 * connection closed when it is bad, because nobody knows then where the next request begins. All
 * else waits for the body, so that a client which is still sending gets to read the refusal.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "client/bridge/dispatch.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "broker/bus/alloc.h"
#include "broker/bus/clock.h"
#include "broker/bus/err.h"
#include "broker/bus/key.h"
#include "broker/bus/store_json.h"
#include "client/bridge/exchange.h"
#include "client/bridge/http_check.h"

enum { STATUS_MIN = 100, STATUS_END = 600 };

/* The series of one route. */
struct route_stats {
    struct metric *seconds;
    struct metric *by_status[STATUS_END - STATUS_MIN]; /* made when the first comes */
};

struct dispatch {
    struct bridge *bridge;
    char id_start
        [KEY_TEXT_BYTES]; /* random: the ids that this process makes begin with half of it */
    uint64_t id_count;    /* and end in their number */
    const struct route *routes;
    size_t route_count;
    struct route_stats *stats; /* for each route, and one more for requests without one */
};

/* ---- Exchanges ---------------------------------------------------------------------------- */

static bool dispatch_is_request_id(const struct http_header *header)
{
    if (header->value_len < 1 || header->value_len > REQUEST_ID_BYTES_MAX)
        return false;
    for (size_t i = 0; i < header->value_len; i++)
        if (header->value[i] < 0x21 || header->value[i] > 0x7e)
            return false;
    return true;
}

/* An id that no other request has: randomness of its own for each would be a call of the system. */
static void dispatch_make_id(struct dispatch *self, char *text)
{
    static const char digits[] = "0123456789abcdef";
    const size_t half = (KEY_TEXT_BYTES - 1) / 2;
    uint64_t number = ++self->id_count;

    memcpy(text, self->id_start, half);
    for (size_t i = 2 * half; i > half; i--, number >>= 4)
        text[i - 1] = digits[number & 15];
    text[2 * half] = '\0';
}

/* The exchange of a call; made when there is none yet. */
static struct exchange *dispatch_exchange(struct dispatch *self, struct http_call *call)
{
    struct exchange *exchange = http_call_context(call);
    const struct http_request *request = http_call_request(call);
    const struct http_header *id = http_request_header(request, "Request-Id", 0);

    if (exchange != NULL)
        return exchange;
    exchange = alloc_zero(sizeof *exchange);
    exchange->bridge = self->bridge;
    exchange->call = call;
    exchange->start_us = clock_us();
    if (id != NULL && dispatch_is_request_id(id) && http_request_count(request, "Request-Id") == 1)
        memcpy(exchange->request_id, id->value, id->value_len);
    else
        dispatch_make_id(self, exchange->request_id);
    http_call_set_context(call, exchange);
    return exchange;
}

static void dispatch_free_exchange(void *context)
{
    struct exchange *exchange = context;
    params_query_close(&exchange->query);
    json_decref(exchange->body);
    free(exchange->text);
    free(exchange);
}

/* A problem as a reply; @detail is taken over, and may be NULL. */
static struct http_reply *dispatch_refuse(const struct exchange *exchange, int code, char *detail)
{
    struct http_reply *reply = exchange_problem(exchange, code, detail, NULL);
    free(detail);
    return reply;
}

/* ---- The steps: each returns NULL to go on, or the reply of a refusal ------------------------ */

static struct http_reply *dispatch_check_host(struct dispatch *self, struct exchange *exchange,
                                              const struct http_request *request)
{
    const char *why;
    int rc = http_check_host(request, self->bridge->hosts, self->bridge->host_count, &why);
    return rc != 0 ? exchange_problem(exchange, rc, why, NULL) : NULL;
}

static struct http_reply *dispatch_check_origin(struct dispatch *self, struct exchange *exchange,
                                                const struct http_request *request)
{
    const char *why;
    (void)self;
    if (!http_check_is_write(request->method))
        return NULL;
    int rc = http_check_origin(request, &why);
    return rc != 0 ? exchange_problem(exchange, rc, why, NULL) : NULL;
}

/* The answer for a path that knows other methods: OPTIONS is told them, others as well, with
 * 405. */
static struct http_reply *dispatch_tell_methods(const struct exchange *exchange, const char *method,
                                                const char *allow)
{
    struct http_reply *reply = strcmp(method, "OPTIONS") == 0
                                   ? http_reply_new(204)
                                   : exchange_problem(exchange, ERR_HTTP_METHOD, NULL, NULL);
    http_reply_header(reply, "Allow", allow);
    return reply;
}

static struct http_reply *dispatch_find_route(struct dispatch *self, struct exchange *exchange,
                                              const struct http_request *request)
{
    const char *path = http_check_path(request->target);
    struct route_parameter parameter;
    char allow[ROUTE_ALLOW_BYTES];
    const char *why;

    if (strcmp(path, "*") == 0)
        return dispatch_tell_methods(exchange, request->method,
                                     "GET, HEAD, POST, PATCH, DELETE, OPTIONS");
    int rc = routes_find(self->routes, self->route_count, request->method, path, strcspn(path, "?"),
                         &exchange->route, &parameter, allow);
    if (rc == ERR_HTTP_METHOD)
        return dispatch_tell_methods(exchange, request->method, allow);
    if (rc != 0)
        return exchange_problem(exchange, rc, NULL, NULL);
    if (exchange->route->parameter == PARAMETER_NONE)
        return NULL;
    if (params_decode(parameter.text, parameter.len, false, &exchange->text, &why) != 0)
        return dispatch_refuse(exchange, ERR_INVALID, zsys_sprintf("the path: %s", why));
    if (exchange->route->parameter == PARAMETER_NUMBER &&
        !params_number(exchange->text, 1, ITEM_ID_MAX, &exchange->number))
        return dispatch_refuse(
            exchange, ERR_INVALID,
            zsys_sprintf("the path: \"%s\" is not a whole number from 1 on", exchange->text));
    return NULL;
}

/* RFC 6750: 401 to who shows nothing, 403 to who shows the wrong thing. */
static struct http_reply *dispatch_check_admin(struct dispatch *self, struct exchange *exchange,
                                               const struct http_request *request)
{
    static const char scheme[] = "Bearer ";
    const struct http_header *header = http_request_header(request, "Authorization", 0);
    const char *expected = self->bridge->admin_token;

    if (!exchange->route->admin)
        return NULL;
    if (header == NULL || http_request_count(request, "Authorization") > 1 ||
        header->value_len < sizeof scheme ||
        strncasecmp(header->value, scheme, sizeof scheme - 1) != 0)
        return exchange_problem(exchange, ERR_UNAUTHORIZED,
                                "Authorization: Bearer and the admin's token are required", NULL);
    char *token =
        alloc_copy(header->value + sizeof scheme - 1, header->value_len - (sizeof scheme - 1));
    bool good = expected != NULL && key_secret_equal(expected, token);
    free(token);
    if (good)
        return NULL;
    return exchange_problem(exchange, ERR_FORBIDDEN,
                            expected != NULL
                                ? "this is not the admin's token"
                                : "this bridge has no admin's token (cluster/admin_token)",
                            NULL);
}

static struct http_reply *dispatch_read_query(struct dispatch *self, struct exchange *exchange,
                                              const struct http_request *request)
{
    const char *query = strchr(request->target, '?');
    char *error;
    (void)self;
    if (params_query_read(&exchange->query, query != NULL ? query + 1 : "", exchange->route->query,
                          &error) == 0)
        return NULL;
    return dispatch_refuse(exchange, ERR_INVALID, error);
}

static struct http_reply *dispatch_read_key(struct dispatch *self, struct exchange *exchange,
                                            const struct http_request *request)
{
    const struct http_header *key = http_request_header(request, "Idempotency-Key", 0);
    (void)self;
    if (exchange->route->key == KEY_NONE)
        return NULL;
    if (http_request_count(request, "Idempotency-Key") > 1)
        return exchange_problem(exchange, ERR_INVALID, "there is more than one Idempotency-Key",
                                NULL);
    if (key == NULL && exchange->route->key == KEY_REQUIRED)
        return exchange_problem(exchange, ERR_KEY_MISSING,
                                "Idempotency-Key is required here: 1 to 255 visible ASCII "
                                "characters, new for each order, the same for each repetition",
                                NULL);
    if (key == NULL) {
        key_make(exchange->key);
        return NULL;
    }
    if (!key_valid(key->value, key->value_len))
        return exchange_problem(exchange, ERR_INVALID,
                                "Idempotency-Key must be 1 to 255 visible ASCII characters", NULL);
    memcpy(exchange->key, key->value, key->value_len);
    return NULL;
}

/* Whether the body is said to be JSON, as it is: not compressed. Parameters (charset) don't
 * matter. */
static bool dispatch_is_json(const struct http_request *request)
{
    static const char type[] = "application/json";
    const struct http_header *header = http_request_header(request, "Content-Type", 0);
    size_t len = sizeof type - 1;

    return header != NULL && http_request_count(request, "Content-Type") == 1 &&
           http_request_header(request, "Content-Encoding", 0) == NULL &&
           header->value_len >= len && strncasecmp(header->value, type, len) == 0 &&
           (header->value_len == len || strchr("; \t", header->value[len]) != NULL);
}

/* The first member of the body that the route does not know, or NULL. */
static const char *dispatch_unknown_member(const struct exchange *exchange)
{
    const char *name;
    json_t *value;
    json_object_foreach(exchange->body, name, value)
    {
        const char *const *known = exchange->route->members;
        while (known != NULL && *known != NULL && strcmp(*known, name) != 0)
            known++;
        if (known == NULL || *known == NULL)
            return name;
    }
    return NULL;
}

static struct http_reply *dispatch_parse_body(struct exchange *exchange,
                                              const struct http_request *request)
{
    char why[STORE_JSON_WHY_BYTES];
    exchange->body = store_json_parse(request->body, request->body_size, why);
    if (exchange->body == NULL)
        return dispatch_refuse(exchange, ERR_INVALID, zsys_sprintf("the body: %s", why));
    const char *unknown = dispatch_unknown_member(exchange);
    if (unknown != NULL)
        return dispatch_refuse(exchange, ERR_INVALID,
                               zsys_sprintf("the body: there is no member \"%s\" here", unknown));
    return NULL;
}

static struct http_reply *dispatch_read_body(struct dispatch *self, struct exchange *exchange,
                                             const struct http_request *request)
{
    (void)self;
    if (request->body_size == 0 && exchange->route->body == BODY_REQUIRED)
        return exchange_problem(exchange, ERR_INVALID, "a JSON object is required as the body",
                                NULL);
    if (request->body_size == 0)
        return NULL;
    if (exchange->route->body == BODY_NONE)
        return exchange_problem(exchange, ERR_INVALID, "there must be no body here", NULL);
    if (!dispatch_is_json(request))
        return exchange_problem(exchange, ERR_HTTP_MEDIA_TYPE, NULL, NULL);
    return dispatch_parse_body(exchange, request);
}

static struct http_reply *(*const dispatch_steps[])(struct dispatch *self,
                                                    struct exchange *exchange,
                                                    const struct http_request *request) = {
    dispatch_check_host, dispatch_check_origin, dispatch_find_route, dispatch_check_admin,
    dispatch_read_query, dispatch_read_key,     dispatch_read_body,
};

/* ---- The server's callbacks --------------------------------------------------------------- */

static struct http_reply *dispatch_on_head(void *arg, struct http_call *call)
{
    struct exchange *exchange = dispatch_exchange(arg, call);
    const char *why;
    int rc = http_check_head(http_call_request(call), &why);
    return rc != 0 ? exchange_problem(exchange, rc, why, NULL) : NULL;
}

static void dispatch_on_request(void *arg, struct http_call *call)
{
    struct dispatch *self = arg;
    struct exchange *exchange = dispatch_exchange(self, call);
    struct http_reply *reply = NULL;

    for (size_t i = 0; reply == NULL && i < sizeof dispatch_steps / sizeof dispatch_steps[0]; i++)
        reply = dispatch_steps[i](self, exchange, http_call_request(call));
    if (reply != NULL)
        exchange_send(exchange, reply);
    else
        exchange->route->handle(exchange);
}

static struct http_reply *dispatch_on_refuse(void *arg, struct http_call *call, int code)
{
    return exchange_problem(dispatch_exchange(arg, call), code, NULL, NULL);
}

static void dispatch_count(struct dispatch *self, const struct exchange *exchange, int status,
                           int64_t duration_us)
{
    const struct route *route = exchange->route;
    size_t index = route != NULL ? (size_t)(route - self->routes) : self->route_count;
    struct route_stats *stats = &self->stats[index];

    assert(status >= STATUS_MIN && status < STATUS_END);
    struct metric **series = &stats->by_status[status - STATUS_MIN];
    if (*series == NULL) {
        char labels[128];
        snprintf(labels, sizeof labels, "route=\"%s\",method=\"%s\",code=\"%d\"",
                 route != NULL ? route->pattern : "none", route != NULL ? route->method : "any",
                 status);
        *series = metrics_counter(self->bridge->metrics, "pygmy_http_requests_total", labels,
                                  "Requests answered.");
    }
    metric_add(*series, 1);
    metric_observe(stats->seconds, (double)duration_us / 1e6);
}

static void dispatch_on_answered(void *arg, struct http_call *call, struct http_reply *reply)
{
    struct dispatch *self = arg;
    const struct exchange *exchange = dispatch_exchange(self, call);
    const struct http_request *request = http_call_request(call);
    int64_t duration_us = clock_us() - exchange->start_us;

    http_reply_header(reply, "Request-Id", exchange->request_id);
    http_reply_header(reply, "X-Content-Type-Options", "nosniff");
    dispatch_count(self, exchange, reply->status, duration_us);
    log_write(self->bridge->log, LOG_LEVEL_INFO, "request", LOG_TEXT("req", exchange->request_id),
              LOG_TEXT("method", request->method), LOG_TEXT("target", request->target),
              LOG_INT("status", reply->status), LOG_INT("duration_us", duration_us));
}

const struct http_handler *dispatch_handler(void)
{
    static const struct http_handler handler = {
        .head = dispatch_on_head,
        .request = dispatch_on_request,
        .refuse = dispatch_on_refuse,
        .answered = dispatch_on_answered,
        .free_context = dispatch_free_exchange,
    };
    return &handler;
}

/* ---- Start and stop ----------------------------------------------------------------------- */

struct dispatch *dispatch_new(struct bridge *bridge)
{
    struct dispatch *self = alloc_zero(sizeof *self);
    self->bridge = bridge;
    key_make(self->id_start);
    self->routes = routes_all(&self->route_count);
    self->stats = alloc_zero((self->route_count + 1) * sizeof *self->stats);
    for (size_t i = 0; i <= self->route_count; i++) {
        const struct route *route = i < self->route_count ? &self->routes[i] : NULL;
        char labels[128];
        snprintf(labels, sizeof labels, "route=\"%s\",method=\"%s\"",
                 route != NULL ? route->pattern : "none", route != NULL ? route->method : "any");
        self->stats[i].seconds =
            metrics_histogram(bridge->metrics, "pygmy_http_request_duration_seconds", labels,
                              "From the request's headers to its answer.");
    }
    return self;
}

void dispatch_destroy(struct dispatch **self_p)
{
    struct dispatch *self = *self_p;
    if (self == NULL)
        return;
    free(self->stats);
    free(self);
    *self_p = NULL;
}
