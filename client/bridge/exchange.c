/* See exchange.h.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "client/bridge/exchange.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "broker/bus/err.h"
#include "client/bridge/http_check.h"
#include "client/bridge/problem.h"

void exchange_send(struct exchange *self, struct http_reply *reply)
{
    struct http_call *call = self->call;
    http_call_reply(&call, &reply);
}

static struct http_reply *exchange_reply_to(const struct exchange *self, struct problem problem)
{
    const char *target = http_check_path(http_call_request(self->call)->target);
    char *path = zsys_sprintf("%.*s", (int)strcspn(target, "?"), target);

    problem.instance = path;
    problem.request_id = self->request_id;
    problem.write = self->route != NULL && self->route->key != KEY_NONE;
    struct http_reply *reply = problem_reply(&problem);
    if (problem.write && self->key[0] != '\0')
        http_reply_header(reply, "Idempotency-Key", self->key);
    free(path);
    return reply;
}

struct http_reply *exchange_problem(const struct exchange *self, int code, const char *detail,
                                    json_t *extra)
{
    return exchange_reply_to(self,
                             (struct problem){.code = code, .detail = detail, .extra = extra});
}

void exchange_refuse(struct exchange *self, int code, char *detail)
{
    struct http_reply *reply = exchange_problem(self, code, detail, NULL);
    free(detail);
    exchange_send(self, reply);
}

struct http_reply *exchange_text(int status, char *text, size_t size)
{
    struct http_reply *reply = http_reply_new(status);
    http_reply_body(reply, "application/json", text, size);
    http_reply_header(reply, "Cache-Control", "no-cache");
    return reply;
}

struct http_reply *exchange_json(int status, json_t *body)
{
    char *text = json_dumps(body, JSON_COMPACT);
    assert(text != NULL);
    json_decref(body);
    return exchange_text(status, text, strlen(text));
}

/* ---- The store ---------------------------------------------------------------------------- */

void exchange_tell_cache(const struct exchange *self, struct http_reply *reply, bool hit)
{
    if (self->bridge->node->cache_entries > 0)
        http_reply_header(reply, "Cache-Status", hit ? "pygmy; hit" : "pygmy; fwd=miss");
}

struct http_reply *exchange_refused(const struct exchange *self, int code, const json_t *body)
{
    return exchange_reply_to(self, problem_of_answer(code, body));
}

static void exchange_on_answer(void *arg, const struct pygmy_reply *answer)
{
    struct exchange *self = arg;
    struct http_reply *reply = answer->code == OK
                                   ? self->answer(self, answer->body)
                                   : exchange_refused(self, answer->code, answer->body);
    if (self->cacheable)
        exchange_tell_cache(self, reply, answer->cached);
    exchange_send(self, reply);
}

void exchange_ask(struct exchange *self, const char *service, json_t *request,
                  exchange_answer_fn *answer)
{
    bool write = self->route->key != KEY_NONE;
    self->answer = answer;
    if (write && request != NULL)
        json_object_set_new(request, "key", json_string(self->key));
    pygmy_start(self->bridge->store, &(struct pygmy_call){
                                         .service = service,
                                         .request = request,
                                         .write = write,
                                         .request_id = self->request_id,
                                         .done = exchange_on_answer,
                                         .arg = self,
                                     });
}

/* An answer of the store that is not what it should be. */
static struct http_reply *exchange_strange_answer(const struct exchange *self, const char *missing)
{
    log_write(self->bridge->log, LOG_LEVEL_ERROR, "an answer of the store lacks a member",
              LOG_TEXT("req", self->request_id), LOG_TEXT("member", missing));
    return exchange_problem(self, ERR_INTERNAL, NULL, NULL);
}

struct http_reply *exchange_member_reply(struct exchange *self, int status, json_t *body,
                                         const char *name)
{
    json_t *member = json_object_get(body, name);
    if (!json_is_object(member))
        return exchange_strange_answer(self, name);
    struct http_reply *reply = exchange_json(status, json_incref(member));
    if (self->key[0] != '\0')
        http_reply_header(reply, "Idempotency-Key", self->key);
    if (json_is_true(json_object_get(body, "replayed")))
        http_reply_header(reply, "Idempotency-Replayed", "true");
    return reply;
}

/* ---- Pages -------------------------------------------------------------------------------- */

bool exchange_page(struct exchange *self, json_t *request)
{
    const char *limit = params_query_get(&self->query, "limit");
    const char *cursor = params_query_get(&self->query, "cursor");
    int64_t number = 0;

    if (limit != NULL && !params_number(limit, 1, PAGE_MAX, &number)) {
        exchange_refuse(self, ERR_INVALID,
                        zsys_sprintf("limit must be a whole number from 1 to %d", PAGE_MAX));
        return false;
    }
    if (limit != NULL)
        json_object_set_new(request, "limit", json_integer(number));
    if (cursor != NULL)
        json_object_set_new(request, "cursor", json_string(cursor));
    return true;
}

static void exchange_put(struct bytes_writer *text, const char *string)
{
    bytes_put_raw(text, string, strlen(string));
}

/* Link: <this path, this query, the next cursor>; rel="next" (RFC 8288). */
static void exchange_link_next(const struct exchange *self, struct http_reply *reply,
                               const char *cursor)
{
    const char *path = http_check_path(http_call_request(self->call)->target);
    struct bytes_writer link = {0};

    exchange_put(&link, "<");
    bytes_put_raw(&link, path, strcspn(path, "?"));
    exchange_put(&link, "?");
    for (size_t i = 0; i < self->query.count; i++) {
        if (strcmp(self->query.items[i].name, "cursor") == 0)
            continue;
        exchange_put(&link, self->query.items[i].name);
        exchange_put(&link, "=");
        params_encode(&link, self->query.items[i].value);
        exchange_put(&link, "&");
    }
    exchange_put(&link, "cursor=");
    params_encode(&link, cursor);
    exchange_put(&link, ">; rel=\"next\"");
    bytes_put_u8(&link, 0);
    http_reply_header(reply, "Link", (const char *)link.data);
    bytes_writer_close(&link);
}

struct http_reply *exchange_page_reply(struct exchange *self, json_t *body, const char *name)
{
    json_t *list = json_object_get(body, name);
    json_t *next = json_object_get(body, "next");
    if (!json_is_array(list))
        return exchange_strange_answer(self, name);

    json_t *page = json_copy(body);
    json_object_del(page, "log_time");
    if (next == NULL)
        json_object_set_new(page, "next", json_null());
    struct http_reply *reply = exchange_json(200, page);
    if (json_is_string(next))
        exchange_link_next(self, reply, json_string_value(next));
    return reply;
}
