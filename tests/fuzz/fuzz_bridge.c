/* A whole HTTP request after libmicrohttpd has taken it apart: checks, route, parameters, body, the
 * request to the store that comes of it, and the HTTP answer that comes of whatever the store says.
 *
 * The input: a line "METHOD TARGET", lines "Name: value", an empty line, the body; and after a byte
 * 0x1e the store's answer, with its code in front when it begins with a digit. Without one the bus is
 * down.
 *
 * Held: each request gets exactly one answer, what goes to the store is JSON that asks for an
 * operation, and an answer's JSON is JSON.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE /* memmem */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "broker/bus/alloc.h"
#include "broker/bus/err.h"
#include "client/bridge/bridge.h"
#include "client/bridge/dispatch.h"

enum { HEADERS_MAX = 12, ANSWER_MARK = 0x1e };

struct http_call {
    struct http_request request;
    struct http_header headers[HEADERS_MAX];
    void *context;
    const struct dispatch *dispatch;
    int answers;
};

struct pygmy {
    const char *answer; /* NULL: no broker */
    size_t size;
    char *kept; /* text of the item that is in memory, or NULL */
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* ---- In the place of http_server.c ----------------------------------------------------------- */

const struct http_request *http_call_request(const struct http_call *self)
{
    return &self->request;
}

void http_call_set_context(struct http_call *self, void *context)
{
    self->context = context;
}

void *http_call_context(const struct http_call *self)
{
    return self->context;
}

static void check_text(const char *text)
{
    for (; *text != '\0'; text++)
        assert(*text >= 0x20 && *text < 0x7f);
}

static const char *header_of(const struct http_reply *reply, const char *name)
{
    for (size_t i = 0; i < reply->header_count; i++)
        if (strcmp(reply->headers[i].name, name) == 0)
            return http_reply_value(reply, i);
    return NULL;
}

static void check_reply(const struct http_reply *reply)
{
    const char *type = header_of(reply, "Content-Type");

    assert(reply->status >= 200 && reply->status < 600);
    for (size_t i = 0; i < reply->header_count; i++) {
        check_text(reply->headers[i].name);
        check_text(http_reply_value(reply, i));
    }
    if (reply->body == NULL || type == NULL || strstr(type, "json") == NULL)
        return;
    json_t *json = json_loadb(reply->body, reply->body_size, JSON_REJECT_DUPLICATES, NULL);
    assert(json_is_object(json));
    assert((reply->status >= 400) == (strcmp(type, "application/problem+json") == 0));
    json_decref(json);
}

void http_call_reply(struct http_call **self_p, struct http_reply **reply)
{
    struct http_call *self = *self_p;

    dispatch_handler()->answered((void *)(uintptr_t)self->dispatch, self, *reply);
    check_reply(*reply);
    self->answers++;
    http_reply_destroy(reply);
    *self_p = NULL;
}

/* ---- In the place of pygmy.c and readiness.c ------------------------------------------------- */

/* What pygmy.c makes of a reply of the bus: a body always, and an error of our own shape. */
static json_t *store_answer(const struct pygmy *self, int *code)
{
    const char *at = self->answer;
    size_t size = self->size;
    json_t *body = NULL;

    *code = at == NULL ? ERR_NO_BROKER : OK;
    for (; size > 0 && *at >= '0' && *at <= '9'; at++, size--)
        *code = (10 * *code + (*at - '0')) & UINT16_MAX;
    if (at != NULL)
        body = json_loadb(at, size, JSON_REJECT_DUPLICATES, NULL);
    if (*code == OK && !json_is_object(body))
        *code = ERR_UNKNOWN;
    if (json_is_object(body))
        return body;
    json_decref(body);
    return json_pack("{s:{s:s, s:s}}", "error", "type", err_type(*code), "title", err_title(*code));
}

void pygmy_start(struct pygmy *self, const struct pygmy_call *call)
{
    struct pygmy_reply reply = {.attempts = 1, .done = true};
    char *text = call->request != NULL ? json_dumps(call->request, JSON_COMPACT) : NULL;

    assert(call->request == NULL || text != NULL);
    assert(text == NULL || json_is_string(json_object_get(call->request, "op")));
    assert(call->service[0] != '\0');
    free(text);
    reply.body = store_answer(self, &reply.code);
    if (call->request == NULL)
        reply.code = ERR_INVALID;
    json_decref(call->request);
    call->done(call->arg, &reply);
    json_decref(reply.body);
}

/* What the store would answer of an item is in memory when its id is even. */
bool pygmy_cached_item(struct pygmy *self, int64_t id, struct pygmy_cached *item)
{
    int code;
    json_t *body = store_answer(self, &code);
    json_t *kept = json_object_get(body, code == OK ? "item" : "error");
    bool hit = id % 2 == 0 && json_is_object(kept);

    if (hit) {
        free(self->kept);
        self->kept = json_dumps(kept, JSON_COMPACT);
        *item = (struct pygmy_cached){
            .present = code == OK,
            .version = json_integer_value(json_object_get(kept, "version")),
            .text = self->kept,
            .size = strlen(self->kept),
        };
    }
    json_decref(body);
    return hit;
}

void pygmy_cache_drop(struct pygmy *self, int64_t id)
{
    (void)self;
    assert(id >= 0);
}

void pygmy_cache_count(const struct pygmy *self, struct pygmy_cache_counts *counts)
{
    *counts = (struct pygmy_cache_counts){.entries = self->kept != NULL};
}

bool readiness_is_ready(const struct readiness *self)
{
    (void)self;
    return true;
}

json_t *readiness_checks(const struct readiness *self)
{
    (void)self;
    return json_object();
}

/* ---- The input ------------------------------------------------------------------------------- */

/* Cut off what is before @end, as a string; the rest is after it. */
static char *cut(char **rest, char end)
{
    char *text = *rest;
    char *at = strchr(text, end);
    *rest = at != NULL ? at + 1 : text + strlen(text);
    if (at != NULL)
        *at = '\0';
    return text;
}

static void read_headers(struct http_call *self, char **rest)
{
    while (**rest != '\0' && self->request.header_count < HEADERS_MAX) {
        char *value = cut(rest, '\n');
        if (*value == '\0')
            break;
        const char *name = cut(&value, ':');
        value += *value == ' ';
        self->headers[self->request.header_count++] =
            (struct http_header){name, strlen(name), value, strlen(value)};
    }
    self->request.headers = self->headers;
}

/* The head is text without a NUL, as libmicrohttpd has it; the body is any bytes. */
static void read_call(struct http_call *self, char *head)
{
    char *line = cut(&head, '\n');
    self->request.method = cut(&line, ' ');
    self->request.target = line;
    self->request.version = "HTTP/1.1";
    read_headers(self, &head);
}

static void run(struct bridge *bridge, struct http_call *call)
{
    const struct http_handler *handler = dispatch_handler();
    struct http_call *answered = call;
    struct http_reply *reply = handler->head(bridge->dispatch, call);

    if (reply != NULL)
        http_call_reply(&answered, &reply);
    else
        handler->request(bridge->dispatch, call);
    assert(call->answers == 1);
    handler->free_context(call->context);
}

static void open_bridge(struct bridge *self)
{
    static const char *hosts[] = {"localhost", "[::1]"};
    static struct config_node node = {
        .kind = NODE_BRIDGE, .name = (char *)(uintptr_t) "bridge-1", .cache_entries = 1};

    self->node = &node;
    self->metrics = metrics_new();
    self->cache_stats = cache_stats_new(self->metrics);
    self->hosts = hosts;
    self->host_count = 2;
    self->admin_token = (char *)(uintptr_t) "token";
    self->dispatch = dispatch_new(self);
}

static const char *find(const char *at, const char *end, const char *what)
{
    return at < end ? memmem(at, (size_t)(end - at), what, strlen(what)) : NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char mark[] = {ANSWER_MARK, '\0'};
    const char *text = (const char *)data, *end = text + size;
    const char *answer = find(text, end, mark);
    const char *request_end = answer != NULL ? answer : end;
    const char *body = find(text, request_end, "\n\n");
    const char *head_end = body != NULL ? body : request_end;
    struct pygmy store = {answer != NULL ? answer + 1 : NULL,
                          answer != NULL ? (size_t)(end - answer) - 1 : 0, NULL};
    struct bridge bridge = {.store = &store};
    struct http_call call = {0};
    char *head = alloc_copy(text, (size_t)(head_end - text));

    open_bridge(&bridge);
    read_call(&call, head);
    call.dispatch = bridge.dispatch;
    if (body != NULL && body + 2 < request_end) {
        call.request.body = (const uint8_t *)body + 2;
        call.request.body_size = (size_t)(request_end - body) - 2;
    }
    run(&bridge, &call);
    dispatch_destroy(&bridge.dispatch);
    cache_stats_destroy(&bridge.cache_stats);
    metrics_destroy(&bridge.metrics);
    free(store.kept);
    free(head);
    return 0;
}
