/* The worker's side of the bus: one service, registered with every broker.
 *
 * One DEALER for each broker (a lost one is reconnected by a new socket, as
 * 18/MDP demands); it speaks the extension (pack.h). Heartbeats come from the
 * owner's loop, never from a thread: a hung loop must look dead.
 *
 * Invariants
 *   W1  the service never has more requests of one broker in hand than twice the credit that the
 *       broker was given: the credit, and as many that the broker has given up meanwhile (expired,
 *       or lost with their connection).
 *   W2  each request is answered once; one whose answer is late or lost is the broker's to expire.
 *   W3  an answer goes to the connection its request came by, and nowhere if that is gone.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_BUS_WORKER_H
#define PYGMY_BUS_WORKER_H

#include <czmq.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct bus_worker;

/* A request in the hands of the service, to be answered exactly once. */
struct bus_request;

/* A request has come. The handler owns @request until it calls bus_request_reply(), at once or
 * later. It may have expired, when the loop was stalled: the service decides
 * (bus_request_remaining_ms).
 *
 * A request above that bound (W1), or above WORKER_BYTES_MAX, is answered ERR_QUEUE_FULL and not
 * handed over. */
typedef void bus_request_fn(void *arg, struct bus_request *request);

/* A batch of requests has been handed over: the moment to flush what they gave rise to. */
typedef void bus_batch_fn(void *arg);

struct bus_worker_options {
    const char *service;          /* copied */
    const char *name;             /* own name for displays; copied */
    const char *secret;           /* the cluster's, or NULL; copied */
    const char *const *endpoints; /* all brokers; copied */
    size_t endpoint_count;
    uint32_t credit; /* 1 to CREDIT_MAX; 0: CREDIT_DEFAULT */
    bus_request_fn *on_request;
    bus_batch_fn *on_batch; /* or NULL */
    void *arg;
};

/* Register with all brokers and with @loop. */
struct bus_worker *bus_worker_new(zloop_t *loop, const struct bus_worker_options *options);

/* Send the answers that wait, say DISCONNECT and go. Requests in hand become unanswerable, but must
 * still be replied to by their owner. Not from inside a callback of its own (asserted). Accepts
 * NULL. */
void bus_worker_destroy(struct bus_worker **self_p);

/* Ask for no more requests; those in hand may still be answered. No connection is made after those
 * that there are. */
void bus_worker_drain(struct bus_worker *self);

/* Requests in hand: not yet replied to. */
size_t bus_worker_pending(const struct bus_worker *self);

/* Brokers that were heard on their present connection, and within HEARTBEAT_GONE_MS. */
size_t bus_worker_connected(const struct bus_worker *self);

const uint8_t *bus_request_body(const struct bus_request *self);
size_t bus_request_size(const struct bus_request *self);
/* Milliseconds of its budget that are left at @now_ms (clock_ms); 0 or less when it expired. */
int64_t bus_request_remaining_ms(const struct bus_request *self, int64_t now_ms);

/* Answer, and free the request. Replies of one turn of the loop leave in one message. The bytes
 * are copied.
 *
 * @code  a code of err.h; an answer above BODY_BYTES_MAX becomes ERR_UNKNOWN without a body */
void bus_request_reply(struct bus_request **self_p, int code, const void *body, size_t size);

#endif
