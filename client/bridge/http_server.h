/* HTTP/1.1 within a zloop: requests in, replies out, now or later.
 *
 * It wraps libmicrohttpd and shows nothing of it, so that another library could
 * take its place. It knows no route and no format of errors: what it has to
 * refuse by itself, it asks its owner to word.
 *
 * Invariants
 *   H1  a request that was handed over is answered once: by its owner, or by the 504 at
 *       HTTP_ANSWER_MS. What comes after the first is dropped.
 *   H2  a call stays valid until its owner has replied, also when its client has gone.
 *   H3  each phase of a connection has a deadline; no client holds a place for ever.
 *   H4  a connection is suspended only within the access handler, and every one is resumed before
 *       the server stops.
 *
 * Two limits of libmicrohttpd are felt by odd clients only. One that shuts down its sending side is
 * taken for gone, and gets no late reply (others do so as well). And while a request is suspended
 * its client's going is not noticed before the reply.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_BRIDGE_HTTP_SERVER_H
#define PYGMY_BRIDGE_HTTP_SERVER_H

#include <czmq.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "broker/bus/log.h"
#include "broker/bus/metrics.h"
#include "client/bridge/http_reply.h"
#include "client/bridge/http_request.h"

struct http_server;
struct http_call; /* one request and its answer */

struct http_handler {
    /* The headers are there, the body is not. Return NULL to go on, or a reply that refuses the
     * request; the connection is closed after it. */
    struct http_reply *(*head)(void *arg, struct http_call *call);
    /* The whole request is there. The handler owns @call until http_call_reply(), now or later. */
    void (*request)(void *arg, struct http_call *call);
    /* Word the refusal of a request by the server itself: ERR_TOO_LARGE, ERR_HTTP_HEADERS,
     * ERR_TIMEOUT, ERR_DRAINING. */
    struct http_reply *(*refuse)(void *arg, struct http_call *call, int code);
    /* @reply is about to be sent: the moment to add headers that all have, to count and to log.
     * Once for each call that is answered. */
    void (*answered)(void *arg, struct http_call *call, struct http_reply *reply);
    /* Free what http_call_set_context() attached. */
    void (*free_context)(void *context);
};

struct http_server_options {
    zloop_t *loop;
    const char *address; /* "127.0.0.1:8080", "[::1]:8080" */
    const struct http_handler *handler;
    void *arg;
    int64_t head_ms;         /* 0: HTTP_HEAD_MS */
    int64_t answer_ms;       /* 0: HTTP_ANSWER_MS */
    struct log *log;         /* or NULL */
    struct metrics *metrics; /* or NULL */
};

/* Listen. On failure ERR_STORAGE, and in @error a sentence, the caller's to free(). */
int http_server_new(const struct http_server_options *options, struct http_server **self_p,
                    char **error);

/* Take no more connections, and close each after its answer. */
void http_server_drain(struct http_server *self);

/* Requests that have begun and whose answers are not sent yet. */
size_t http_server_busy(const struct http_server *self);

/* Refuse what waits (ERR_TIMEOUT), send what can be sent at once, and stop. Calls that their owner
 * still holds are freed: nobody may reply to them any more. Accepts NULL. */
void http_server_destroy(struct http_server **self_p);

/* Valid until the reply. */
const struct http_request *http_call_request(const struct http_call *self);

/* What the owner keeps with a call, freed with it by free_context(). */
void http_call_set_context(struct http_call *self, void *context);
void *http_call_context(const struct http_call *self);

/* Answer. Both are taken over. */
void http_call_reply(struct http_call **self_p, struct http_reply **reply);

#endif
