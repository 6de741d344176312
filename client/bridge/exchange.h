/* One request of a client and its answer, as the handlers see it: parsed, checked, and with a way
 * to ask the store.
 *
 * An exchange belongs to its call: after exchange_send() or exchange_refuse() it is gone.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_BRIDGE_EXCHANGE_H
#define PYGMY_BRIDGE_EXCHANGE_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "broker/bus/limits.h"
#include "client/bridge/bridge.h"
#include "client/bridge/http_reply.h"
#include "client/bridge/http_server.h"
#include "client/bridge/params.h"
#include "client/bridge/routes.h"

struct exchange;

/* Make the reply of the store's good answer, @body (borrowed). */
typedef struct http_reply *exchange_answer_fn(struct exchange *self, json_t *body);

struct exchange {
    struct bridge *bridge;
    struct http_call *call;
    const struct route *route; /* NULL: none was found */
    int64_t start_us;
    char request_id[REQUEST_ID_BYTES_MAX + 1];
    char key[KEY_BYTES_MAX + 1]; /* of a write: the client's or a new one; else "" */
    char *text;                  /* the path's parameter, decoded, where it is text */
    int64_t number;              /* where it is a number */
    struct params_query query;
    json_t *body; /* the request's: an object with known members only, or NULL */
    exchange_answer_fn *answer;
    bool cacheable; /* it is asked for in the way that libpygmy's cache knows */
};

/* Answer. The reply is taken over. */
void exchange_send(struct exchange *self, struct http_reply *reply);

/* A problem of this exchange: @detail may be NULL, @extra is borrowed and may be NULL. */
struct http_reply *exchange_problem(const struct exchange *self, int code, const char *detail,
                                    json_t *extra);
/* Answer with a problem. @detail is taken over (free()), and may be NULL. */
void exchange_refuse(struct exchange *self, int code, char *detail);

/* A reply with a JSON body, taken over: as an object, or as the text of one. */
struct http_reply *exchange_json(int status, json_t *body);
struct http_reply *exchange_text(int status, char *text, size_t size);
/* A reply to what the store refused with @code and the answer @body. */
struct http_reply *exchange_refused(const struct exchange *self, int code, const json_t *body);

/* Say in Cache-Status whether the answer is from memory (RFC 9211), where there is a cache. */
void exchange_tell_cache(const struct exchange *self, struct http_reply *reply, bool hit);

/* Ask the store, and answer with what @answer makes of it, or with the problem that it has.
 *
 * @request  the operation's object, taken over; a write's key is added here */
void exchange_ask(struct exchange *self, const char *service, json_t *request,
                  exchange_answer_fn *answer);

/* Copy the query's limit and cursor into a request. Returns false when the limit is none; then the
 * exchange has been refused. */
bool exchange_page(struct exchange *self, json_t *request);

/* A reply with a page: the store's answer, which must hold the list @name, less its log time; with
 * a Link to the next page. */
struct http_reply *exchange_page_reply(struct exchange *self, json_t *body, const char *name);

/* A reply with the member @name of the store's answer; that it was replayed is told. */
struct http_reply *exchange_member_reply(struct exchange *self, int status, json_t *body,
                                         const char *name);

#endif
