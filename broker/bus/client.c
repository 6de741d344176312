/* See client.h.
 *
 * A request is in one of two lists: `waiting` until it leaves, then `sent`, found by the
 * correlation id of its attempt; the loss of the broker takes all of `sent` back to the front of
 * `waiting`, in order. All of them are in a heap by deadline.
 *
 *   waiting   client_sent  -> sent       client_expire -> answered (ERR_NO_BROKER, or
 *             ERR_TIMEOUT when an earlier attempt had left)
 *   sent      client_lost  -> waiting    client_record, client_expire -> answered
 *             (one that is sent once stays, and its deadline comes)
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/bus/client.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "broker/bus/alarm.h"
#include "broker/bus/alloc.h"
#include "broker/bus/clock.h"
#include "broker/bus/err.h"
#include "broker/bus/heap.h"
#include "broker/bus/limits.h"
#include "broker/bus/link.h"
#include "broker/bus/number_table.h"

struct client_request {
    struct heap_node deadline; /* first: a node of the heap is its request */
    zlistx_t *list;            /* the client's waiting or sent */
    void *handle;              /* in the list */
    uint64_t correlation;      /* of the latest attempt; 0: none was made */
    uint16_t attempt_count;    /* attempts that left */
    bool once;                 /* there is one attempt */
    bus_reply_fn *done;
    void *arg;
    char *service;
    size_t service_len;
    uint8_t *body;
    size_t body_len;
};

struct bus_client {
    struct bus_link *link;
    struct alarm *alarm; /* for the earliest deadline */
    int64_t alarm_ms;    /* when it goes off; INT64_MAX: it is off */
    zlistx_t *waiting;   /* requests to be sent, in order */
    zlistx_t *sent;      /* requests to be answered, in the order in which they left */
    zhashx_t *attempts;  /* those in sent, by correlation */
    struct heap deadlines;
    uint64_t correlation; /* of the latest attempt of all */
    size_t request_count; /* waiting and sent */
    size_t request_count_max;
    size_t request_bytes; /* their bodies */
    bool alone;           /* there is one broker, and no other to go to */
    int64_t leave_ms;     /* the broker drains: when to ask another at the latest; 0: it does not */
    struct alarm *leave_alarm;
    bool calling; /* inside a done() of the owner's */
};

/* ---- Requests --------------------------------------------------------- */

static void client_request_free(struct client_request *request)
{
    free(request->service);
    free(request->body);
    free(request);
}

/* C1, C2, C3 as far as they can be seen from here: a request is in exactly one list, in the heap,
 * and among the attempts if and only if it was sent. */
static void client_check(const struct bus_client *self)
{
    assert(zlistx_size(self->waiting) + zlistx_size(self->sent) == self->request_count);
    assert(zhashx_size(self->attempts) == zlistx_size(self->sent));
    assert(self->deadlines.count == self->request_count);
    assert(self->request_count <= self->request_count_max);
    assert(self->request_bytes <= CLIENT_BYTES_MAX);
}

/* What a code says of the whole request. A later attempt that was refused says nothing of an
 * earlier one that had left, unless the refusal is the same for every attempt: its outcome stays
 * unknown. */
static int client_code(const struct client_request *request, int code)
{
    if (request->attempt_count > 1 && !err_is_unknown(code) && !err_is_verdict(code))
        return ERR_UNKNOWN;
    return code;
}

/* Answer a request: it is out of everything when its owner hears. */
static void client_finish(struct bus_client *self, struct client_request *request, int code,
                          const uint8_t *body, size_t size)
{
    if (request->list == self->sent)
        zhashx_delete(self->attempts, &request->correlation);
    zlistx_detach(request->list, request->handle);
    heap_remove(&self->deadlines, &request->deadline);
    self->request_count--;
    self->request_bytes -= request->body_len;
    client_check(self);

    bool nested = self->calling;
    self->calling = true;
    request->done(request->arg, code, size > 0 ? body : NULL, size);
    self->calling = nested;
    client_request_free(request);
}

/* ---- What the link asks ----------------------------------------------- */

static bool client_next(void *arg, bool first, struct pack_record *record)
{
    struct bus_client *self = arg;

    if (self->leave_ms != 0)
        return false;
    struct client_request *request =
        first ? zlistx_first(self->waiting) : zlistx_next(self->waiting);
    if (request == NULL)
        return false;
    int64_t remaining_ms = request->deadline.at_ms - clock_ms();
    /* A fresh id at each asking, so that none is ever used twice (C2). */
    request->correlation = ++self->correlation;
    *record = (struct pack_record){
        .command = PACK_REQUEST,
        .flags = request->once ? 0 : PACK_REPLAY_SAFE,
        .number = remaining_ms > 0 ? (uint32_t)remaining_ms : 1,
        .correlation = request->correlation,
        .attempt = (uint16_t)(request->attempt_count + 1),
        .service = request->service,
        .service_len = request->service_len,
        .body = request->body,
        .body_len = request->body_len,
    };
    return true;
}

static void client_sent(void *arg, size_t count)
{
    struct bus_client *self = arg;

    for (size_t i = 0; i < count; i++) {
        struct client_request *request = zlistx_detach(self->waiting, NULL);
        assert(request != NULL);
        if (request->attempt_count < UINT16_MAX - 1)
            request->attempt_count++;
        request->list = self->sent;
        request->handle = zlistx_add_end(self->sent, request);
        int rc = zhashx_insert(self->attempts, &request->correlation, request);
        assert(rc == 0);
        (void)rc;
    }
    client_check(self);
}

static bool client_waits_once(struct bus_client *self)
{
    struct client_request *request = zlistx_first(self->waiting);
    while (request != NULL && !request->once)
        request = zlistx_next(self->waiting);
    return request != NULL;
}

/* What is sent once must not wait for the answers that a draining broker owes us, for one of them
 * may be waiting for it: a buy for a lease's acknowledgement. Leave at the end of this turn. Those
 * answers are asked for again, as when a broker is lost; so where there is no other one, stay. */
static void client_hurry(struct bus_client *self)
{
    if (self->leave_ms == 0 || self->alone)
        return;
    self->leave_ms = clock_ms();
    alarm_set(self->leave_alarm, self->leave_ms);
}

/* The broker drains: what it has it will answer, all else is for another one. */
static void client_leave(struct bus_client *self, int64_t now_ms)
{
    if (self->leave_ms != 0)
        return;
    self->leave_ms = now_ms + CLIENT_LEAVE_MS;
    alarm_set(self->leave_alarm, self->leave_ms);
    if (client_waits_once(self))
        client_hurry(self);
}

static void client_record(void *arg, const struct pack_record *record, int64_t now_ms)
{
    struct bus_client *self = arg;

    if (record->command == PACK_GOING_AWAY)
        client_leave(self, now_ms);
    if (record->command != PACK_REPLY)
        return;
    struct client_request *request = zhashx_lookup(self->attempts, &record->correlation);
    if (request == NULL) /* expired meanwhile */
        return;
    client_finish(self, request, client_code(request, record->status), record->body,
                  record->body_len);
}

static void client_drained(void *arg)
{
    struct bus_client *self = arg;

    if (self->leave_ms != 0 && zlistx_size(self->sent) == 0)
        bus_link_reset(self->link);
}

static void client_arm(struct bus_client *self);

static void client_take_back(struct bus_client *self, struct client_request *request)
{
    zhashx_delete(self->attempts, &request->correlation);
    zlistx_detach(self->sent, request->handle);
    request->list = self->waiting;
    request->handle = zlistx_add_start(self->waiting, request);
}

/* Its deadline is now: it is answered from the alarm. */
static void client_give_up(struct bus_client *self, struct client_request *request)
{
    heap_remove(&self->deadlines, &request->deadline);
    request->deadline.at_ms = 0;
    heap_push(&self->deadlines, &request->deadline);
}

/* Nothing that was sent is answered any more: all goes back to be sent again, ahead of what came
 * after it, but for what is sent once. */
static void client_lost(void *arg)
{
    struct bus_client *self = arg;
    struct client_request *request = zlistx_last(self->sent);

    self->leave_ms = 0;
    while (request != NULL) {
        struct client_request *before = zlistx_prev(self->sent);
        if (request->once)
            client_give_up(self, request);
        else
            client_take_back(self, request);
        request = before;
    }
    client_check(self);
    client_arm(self);
}

static const struct bus_link_owner client_owner = {
    .next = client_next,
    .sent = client_sent,
    .record = client_record,
    .drained = client_drained,
    .lost = client_lost,
};

/* ---- Time ------------------------------------------------------------- */

/* Have the alarm go off at the earliest deadline, or before. */
static void client_arm(struct bus_client *self)
{
    struct heap_node *first = heap_first(&self->deadlines);
    if (first == NULL || first->at_ms >= self->alarm_ms)
        return;
    self->alarm_ms = first->at_ms;
    alarm_set(self->alarm, self->alarm_ms);
}

/* Answer what has reached its deadline, after hearing what has arrived: an answer that is there
 * counts, however late this loop comes to it. */
static void client_expire(void *arg)
{
    struct bus_client *self = arg;
    struct heap_node *first;

    self->alarm_ms = INT64_MAX;
    bus_link_receive(self->link);
    int64_t now_ms = clock_ms();
    while ((first = heap_first(&self->deadlines)) != NULL && first->at_ms <= now_ms) {
        struct client_request *request = (struct client_request *)first;
        client_finish(self, request, request->attempt_count > 0 ? ERR_TIMEOUT : ERR_NO_BROKER, NULL,
                      0);
    }
    client_arm(self);
}

/* Leave, after hearing what has arrived. */
static void client_leave_expire(void *arg)
{
    struct bus_client *self = arg;

    if (self->leave_ms == 0 || clock_ms() < self->leave_ms)
        return;
    bus_link_receive(self->link);
    bus_link_reset(self->link);
}

/* ---- The public face -------------------------------------------------- */

struct bus_client *bus_client_new(zloop_t *loop, const struct bus_client_options *options)
{
    struct bus_client *self = alloc_zero(sizeof *self);
    struct pack_record hello = {
        .command = PACK_HELLO,
        .service = options->name,
        .service_len = strlen(options->name),
    };
    struct pack_record heartbeat = hello;

    self->request_count_max =
        options->request_count_max > 0 ? options->request_count_max : CLIENT_REQUESTS_MAX;
    self->waiting = zlistx_new();
    self->sent = zlistx_new();
    self->attempts = number_table_new();
    self->alone = options->endpoint_count == 1;
    heap_init(&self->deadlines);
    self->alarm = alarm_new(loop, client_expire, self);
    self->alarm_ms = INT64_MAX;
    self->leave_alarm = alarm_new(loop, client_leave_expire, self);
    heartbeat.command = PACK_HEARTBEAT;
    self->link = bus_link_new(loop, 'C', options->endpoints, options->endpoint_count, &hello,
                              &heartbeat, &client_owner, self);
    return self;
}

void bus_client_destroy(struct bus_client **self_p)
{
    struct bus_client *self = *self_p;
    struct heap_node *first;
    if (self == NULL)
        return;
    assert(!self->calling);
    bus_link_destroy(&self->link);
    alarm_destroy(&self->alarm);
    alarm_destroy(&self->leave_alarm);
    while ((first = heap_first(&self->deadlines)) != NULL) {
        heap_remove(&self->deadlines, first);
        client_request_free((struct client_request *)first);
    }
    heap_close(&self->deadlines);
    zhashx_destroy(&self->attempts);
    zlistx_destroy(&self->sent);
    zlistx_destroy(&self->waiting);
    free(self);
    *self_p = NULL;
}

static bool client_service_valid(const char *service)
{
    size_t len = strlen(service);
    for (size_t i = 0; i < len; i++)
        if (service[i] <= ' ' || service[i] > '~')
            return false;
    return len > 0 && len <= SERVICE_NAME_BYTES_MAX;
}

/* The refusals of bus_client_request(), before anything was kept. */
static int client_refuse(const struct bus_client *self, const char *service, size_t size,
                         int64_t budget_ms)
{
    if (!client_service_valid(service))
        return ERR_INVALID;
    if (size > BODY_BYTES_MAX)
        return ERR_TOO_LARGE;
    if (budget_ms < 1)
        return ERR_EXPIRED;
    if (self->request_count >= self->request_count_max ||
        self->request_bytes + size > CLIENT_BYTES_MAX)
        return ERR_QUEUE_FULL;
    return 0;
}

static int client_request(struct bus_client *self, const char *service, const void *body,
                          size_t size, int64_t budget_ms, bool once, bus_reply_fn *done, void *arg)
{
    int code = client_refuse(self, service, size, budget_ms);
    if (code != 0)
        return code;
    struct client_request *request = alloc_zero(sizeof *request);
    if (budget_ms > REQUEST_DEADLINE_MS_MAX)
        budget_ms = REQUEST_DEADLINE_MS_MAX;
    request->deadline.at_ms = clock_ms() + budget_ms;
    request->once = once;
    request->done = done;
    request->arg = arg;
    request->service_len = strlen(service);
    request->service = alloc_copy(service, request->service_len);
    request->body = (uint8_t *)alloc_copy(body, size);
    request->body_len = size;
    request->list = self->waiting;
    request->handle = zlistx_add_end(self->waiting, request);
    heap_push(&self->deadlines, &request->deadline);
    self->request_count++;
    self->request_bytes += size;
    client_check(self);
    client_arm(self);
    if (once)
        client_hurry(self);

    /* A single request goes at once. When others are under way, more may come in this turn of the
     * loop (64 requests of HTTP, say): they leave together at its end. */
    if (self->request_count == 1)
        bus_link_send(self->link);
    else
        bus_link_send_soon(self->link);
    return 0;
}

int bus_client_request(struct bus_client *self, const char *service, const void *body, size_t size,
                       int64_t budget_ms, bus_reply_fn *done, void *arg)
{
    return client_request(self, service, body, size, budget_ms, false, done, arg);
}

int bus_client_request_once(struct bus_client *self, const char *service, const void *body,
                            size_t size, int64_t budget_ms, bus_reply_fn *done, void *arg)
{
    return client_request(self, service, body, size, budget_ms, true, done, arg);
}

void bus_client_flush(struct bus_client *self)
{
    bus_link_send(self->link);
}

bool bus_client_connected(const struct bus_client *self)
{
    return bus_link_connected(self->link);
}
