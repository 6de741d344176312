/* See worker.h.
 *
 * A request is made when it arrives, waits in the hands of the service, turns into its own answer
 * when the service replies, waits to be sent, and is freed when it has left, or can't any more.
 *
 *   in hand   worker_record -> bus_request_reply -> answered, or freed: its connection is gone
 *   answered  worker_sent, worker_lost -> freed
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/bus/worker.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "broker/bus/alloc.h"
#include "broker/bus/err.h"
#include "broker/bus/limits.h"
#include "broker/bus/link.h"

/* One broker. */
struct worker_peer {
    struct bus_worker *worker;
    struct bus_link *link;
    zlistx_t *answers;    /* requests that were replied to by the present connection, in order */
    size_t in_hand_count; /* requests that came from it, by connections now lost as well (W1) */
};

struct bus_worker {
    struct worker_peer *peers;
    size_t peer_count;
    uint32_t credit;
    bus_request_fn *on_request;
    bus_batch_fn *on_batch;
    void *arg;
    zlistx_t *requests; /* in hand, of all connections, those lost included */
    size_t held_bytes;  /* bodies of requests in hand and of answers */
    bool fresh;         /* requests were handed over since the last on_batch() */
};

struct bus_request {
    struct bus_worker *worker; /* NULL once that is destroyed: unanswerable */
    struct worker_peer *peer;
    uint64_t connection; /* of the peer's link (W3) */
    uint64_t correlation;
    int64_t deadline_ms; /* the end of its budget, counted from its arrival */
    uint16_t status;     /* of the answer */
    void *handle;        /* in the worker's requests or the peer's answers */
    uint8_t *body;       /* of the request, then of the answer */
    size_t size;
};

/* ---- Requests and answers --------------------------------------------- */

static void worker_request_free(struct bus_request *request)
{
    free(request->body);
    free(request);
}

static struct bus_request *worker_request_new(struct worker_peer *peer,
                                              const struct pack_record *record, int64_t now_ms)
{
    struct bus_request *request = alloc_zero(sizeof *request);
    request->worker = peer->worker;
    request->peer = peer;
    request->connection = bus_link_connection(peer->link);
    request->correlation = record->correlation;
    request->deadline_ms = now_ms + (record->number > 0 ? record->number : REQUEST_DEADLINE_MS);
    request->body = (uint8_t *)alloc_copy(record->body, record->body_len);
    request->size = record->body_len;
    request->handle = zlistx_add_end(peer->worker->requests, request);
    peer->worker->held_bytes += request->size;
    peer->in_hand_count++;
    return request;
}

/* Whether the connection it came by still stands (W3). */
static bool worker_request_answerable(const struct bus_request *request)
{
    return request->worker != NULL &&
           request->connection == bus_link_connection(request->peer->link);
}

/* Out of the service's hands, towards an answer or the end. */
static void worker_request_return(struct bus_request *request)
{
    if (request->worker == NULL)
        return;
    zlistx_detach(request->worker->requests, request->handle);
    request->worker->held_bytes -= request->size;
    assert(request->peer->in_hand_count > 0);
    request->peer->in_hand_count--;
}

void bus_request_reply(struct bus_request **self_p, int code, const void *body, size_t size)
{
    struct bus_request *self = *self_p;
    *self_p = NULL;

    assert(code >= 0 && code <= UINT16_MAX);
    worker_request_return(self);
    if (!worker_request_answerable(self)) {
        worker_request_free(self);
        return;
    }
    if (size > BODY_BYTES_MAX) {
        code = ERR_UNKNOWN; /* what it would have told was done */
        size = 0;
    }
    uint8_t *answer = size > 0 ? (uint8_t *)alloc_copy(body, size) : NULL;
    free(self->body);
    self->status = (uint16_t)code;
    self->body = answer;
    self->size = size;
    self->handle = zlistx_add_end(self->peer->answers, self);
    self->worker->held_bytes += size;

    /* The last one in hand goes at once, with those that wait; before that, more may come in this
     * turn of the loop. */
    if (self->peer->in_hand_count == 0)
        bus_link_send(self->peer->link);
    else
        bus_link_send_soon(self->peer->link);
}

const uint8_t *bus_request_body(const struct bus_request *self)
{
    return self->body;
}

size_t bus_request_size(const struct bus_request *self)
{
    return self->size;
}

int64_t bus_request_remaining_ms(const struct bus_request *self, int64_t now_ms)
{
    return self->deadline_ms - now_ms;
}

/* ---- What the links ask ----------------------------------------------- */

static bool worker_next(void *arg, bool first, struct pack_record *record)
{
    struct worker_peer *peer = arg;
    struct bus_request *request = first ? zlistx_first(peer->answers) : zlistx_next(peer->answers);

    if (request == NULL)
        return false;
    *record = (struct pack_record){
        .command = PACK_REPLY,
        .status = request->status,
        .correlation = request->correlation,
        .body = request->body,
        .body_len = request->size,
    };
    return true;
}

/* Free the first of the answers, which has left or never will. */
static void worker_answer_end(struct worker_peer *peer)
{
    struct bus_request *request = zlistx_detach(peer->answers, NULL);
    assert(request != NULL);
    peer->worker->held_bytes -= request->size;
    worker_request_free(request);
}

static void worker_sent(void *arg, size_t count)
{
    struct worker_peer *peer = arg;

    for (size_t i = 0; i < count; i++)
        worker_answer_end(peer);
}

static void worker_lost(void *arg)
{
    struct worker_peer *peer = arg;

    while (zlistx_size(peer->answers) > 0)
        worker_answer_end(peer);
}

static void worker_record(void *arg, const struct pack_record *record, int64_t now_ms)
{
    struct worker_peer *peer = arg;
    struct bus_worker *self = peer->worker;

    if (record->command != PACK_REQUEST)
        return;
    /* A broker that gives and gives and takes no answers has lost its mind, or count. */
    size_t count_max = 2 * (size_t)self->credit;
    if (zlistx_size(peer->answers) >= count_max) {
        bus_link_reset(peer->link);
        return;
    }
    struct bus_request *request = worker_request_new(peer, record, now_ms);
    if (peer->in_hand_count > count_max || self->held_bytes > WORKER_BYTES_MAX) {
        bus_request_reply(&request, ERR_QUEUE_FULL, NULL, 0);
        return;
    }
    self->fresh = true;
    self->on_request(self->arg, request);
}

static void worker_drained(void *arg)
{
    struct worker_peer *peer = arg;
    struct bus_worker *self = peer->worker;

    if (!self->fresh)
        return;
    self->fresh = false;
    if (self->on_batch != NULL)
        self->on_batch(self->arg);
}

static const struct bus_link_owner worker_owner = {
    .next = worker_next,
    .sent = worker_sent,
    .record = worker_record,
    .drained = worker_drained,
    .lost = worker_lost,
};

/* ---- The public face -------------------------------------------------- */

struct bus_worker *bus_worker_new(zloop_t *loop, const struct bus_worker_options *options)
{
    const char *secret = options->secret != NULL ? options->secret : "";
    struct bus_worker *self = alloc_zero(sizeof *self);
    self->credit = options->credit > 0 ? options->credit : CREDIT_DEFAULT;
    self->on_request = options->on_request;
    self->on_batch = options->on_batch;
    self->arg = options->arg;
    self->requests = zlistx_new();
    self->peer_count = options->endpoint_count;
    self->peers = alloc_zero(self->peer_count * sizeof self->peers[0]);
    assert(self->credit <= CREDIT_MAX);

    struct pack_record ready = {
        .command = PACK_READY,
        .number = self->credit,
        .service = options->service,
        .service_len = strlen(options->service),
        .body = (const uint8_t *)secret,
        .body_len = strlen(secret),
    };
    struct pack_record heartbeat = {
        .command = PACK_HEARTBEAT,
        .number = self->credit,
        .service = options->name,
        .service_len = strlen(options->name),
    };
    for (size_t i = 0; i < self->peer_count; i++) {
        struct worker_peer *peer = &self->peers[i];
        peer->worker = self;
        peer->answers = zlistx_new();
        peer->link = bus_link_new(loop, 'W', &options->endpoints[i], 1, &ready, &heartbeat,
                                  &worker_owner, peer);
    }
    return self;
}

void bus_worker_destroy(struct bus_worker **self_p)
{
    struct bus_worker *self = *self_p;
    struct bus_request *request;
    if (self == NULL)
        return;
    for (size_t i = 0; i < self->peer_count; i++) {
        struct worker_peer *peer = &self->peers[i];
        bus_link_send(peer->link);
        bus_link_destroy(&peer->link);
        while (zlistx_size(peer->answers) > 0)
            worker_answer_end(peer);
        zlistx_destroy(&peer->answers);
    }
    while ((request = zlistx_detach(self->requests, NULL)) != NULL)
        request->worker = NULL;
    zlistx_destroy(&self->requests);
    free(self->peers);
    free(self);
    *self_p = NULL;
}

void bus_worker_drain(struct bus_worker *self)
{
    for (size_t i = 0; i < self->peer_count; i++)
        bus_link_leave(self->peers[i].link);
}

size_t bus_worker_pending(const struct bus_worker *self)
{
    return zlistx_size(self->requests);
}

size_t bus_worker_connected(const struct bus_worker *self)
{
    size_t count = 0;
    for (size_t i = 0; i < self->peer_count; i++)
        count += bus_link_connected(self->peers[i].link) ? 1 : 0;
    return count;
}
