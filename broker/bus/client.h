/* The client's side of the bus: requests out, answers back, by correlation id.
 *
 * One DEALER to one broker of a list (link.h), the next one when that is lost or
 * drains; it speaks the extension (pack.h). The object lives in the loop of its
 * owner and calls back from it.
 *
 * Invariants
 *   C1  each request that was accepted is answered exactly once: by a reply, or by a code of our
 *       own at its deadline or at the loss of the broker. Callbacks never run inside
 *       bus_client_request().
 *   C2  a fresh correlation id for each attempt: an answer of an earlier one is dropped.
 *   C3  a request that was sent and has no answer ends as *unknown* (ERR_TIMEOUT); one that never
 *       left ends as not attempted (ERR_NO_BROKER). When an attempt was lost and a later one is
 *       refused without effect, the outcome of the first stays unknown (ERR_UNKNOWN).
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_BUS_CLIENT_H
#define PYGMY_BUS_CLIENT_H

#include <czmq.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct bus_client;

struct bus_client_options {
    const char *name;             /* own name for displays ("bridge-1"); copied */
    const char *const *endpoints; /* brokers, in order of preference; copied */
    size_t endpoint_count;        /* 1 or more */
    size_t request_count_max;     /* requests under way; 0: CLIENT_REQUESTS_MAX */
};

/* @code   OK, or an error of err.h; a worker's reply carries the worker's code
 * @body   the answer's bytes, valid during the call; NULL with @size 0 when there is none */
typedef void bus_reply_fn(void *arg, int code, const uint8_t *body, size_t size);

/* Connect (in the background: an absent broker is no error) and register with @loop. */
struct bus_client *bus_client_new(zloop_t *loop, const struct bus_client_options *options);

/* Requests still under way are dropped without a call. Not from inside a callback of its own
 * (asserted). Accepts NULL. */
void bus_client_destroy(struct bus_client **self_p);

/* Send a request. The bytes are copied.
 *
 * @budget_ms  remaining time, cut to REQUEST_DEADLINE_MS_MAX; at its end @done gets ERR_TIMEOUT
 *             (was sent) or ERR_NO_BROKER (never was)
 * @done, @arg called once from the loop, later; it may make requests
 *
 * A request is sent again by itself, while its time lasts, when the broker was lost before an
 * answer: each of our operations is idempotent by key or by nature.
 *
 * Returns 0, or without having called or kept anything: ERR_QUEUE_FULL (request_count_max, or
 * CLIENT_BYTES_MAX in bodies), ERR_TOO_LARGE (BODY_BYTES_MAX), ERR_EXPIRED (@budget_ms below 1),
 * ERR_INVALID (the service's name: 1 to SERVICE_NAME_BYTES_MAX visible ASCII characters). */
int bus_client_request(struct bus_client *self, const char *service, const void *body, size_t size,
                       int64_t budget_ms, bus_reply_fn *done, void *arg);

/* The same of a request that must not be doubled by us: it is never sent again, nor may the broker
 * give it to another worker. When the broker is lost before an answer, @done gets ERR_TIMEOUT at
 * once.
 *
 * Nor does it wait for earlier answers, which may depend on it: a broker that drains is left at
 * once, when there is another, and all else that it has not answered is sent again. Is that other
 * one down, or drains too, what was sent may end as unknown. */
int bus_client_request_once(struct bus_client *self, const char *service, const void *body,
                            size_t size, int64_t budget_ms, bus_reply_fn *done, void *arg);

/* Send what waits to be sent now, as far as the broker takes it, and not at the end of the loop's
 * turn: before bus_client_destroy(), for what must still leave. */
void bus_client_flush(struct bus_client *self);

/* Whether the broker was heard on the present connection, and within HEARTBEAT_GONE_MS. */
bool bus_client_connected(const struct bus_client *self);

#endif
