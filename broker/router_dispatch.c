/* Requests, from acceptance to answer.
 *
 *   (accepted) --> WAITING --> IN_HAND --> answered, freed
 *                   ^            |  \--> ABANDONED --> freed (plain workers, at the deadline)
 *                   +------------+  its worker is lost, or does not lead
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <string.h>

#include "broker/bus/err.h"
#include "broker/bus/limits.h"
#include "broker/router_state.h"

static enum router_result result_of(int code)
{
    switch (code) {
    case OK: return RESULT_OK;
    case ERR_NO_SERVICE: return RESULT_NO_SERVICE;
    case ERR_QUEUE_FULL: return RESULT_QUEUE_FULL;
    case ERR_EXPIRED: return RESULT_EXPIRED;
    case ERR_TIMEOUT: return RESULT_TIMEOUT;
    case ERR_WORKER_LOST: return RESULT_WORKER_LOST;
    case ERR_TOO_LARGE:
    case ERR_UNKNOWN: return RESULT_TOO_LARGE;
    case ERR_DRAINING: return RESULT_DRAINING;
    default: return RESULT_REFUSED;
    }
}

static bool request_is_local(const struct request *request)
{
    return request->state == REQUEST_LOCAL;
}

static enum service_class request_class(const struct request *request)
{
    return request_is_local(request) ? SERVICE_NODE : request->service->class;
}

/* ---- Answers ---------------------------------------------------------- */

/* Note how a request ended: by the broker's word, or by a worker's answer. */
static void dispatch_count(struct router *self, const struct request *request,
                           enum router_result result)
{
    const enum service_class class = request_class(request);
    self->results[class][result]++;
    metric_observe(self->seconds[class], (double)(self->now_ms - request->accepted_ms) / 1000.0);
}

/* Tell a client that its request ended without a worker's answer. Plain Majordomo has no word for
 * that: silence. */
static void dispatch_post_error(struct router *self, struct peer *client, uint64_t correlation,
                                int code)
{
    if (!client->extension) {
        self->counts[COUNT_SILENT]++;
        return;
    }
    struct parcel *parcel = router_post(self, client, PACK_REPLY, NULL);
    parcel->correlation = correlation;
    parcel->status = (uint16_t)code;
}

void dispatch_refuse(struct router *self, struct peer *client, struct ask *ask, int code)
{
    char name[SERVICE_NAME_BYTES_MAX + 1] = "";
    if (ask->service_len < sizeof name)
        memcpy(name, ask->service, ask->service_len);
    self->results[service_classify(name)][result_of(code)]++;
    dispatch_post_error(self, client, ask->correlation, code);
    body_close(&ask->body);
}

/* Send a worker's answer, or a part of one, to the client; @body is taken over. */
static void dispatch_send_answer(struct router *self, struct request *request, int status,
                                 struct body *body, bool partial)
{
    struct peer *client = request->client;
    struct frame *name = NULL;
    if (!client->extension)
        name = &request->service->name_frame;
    else
        body_join(body);
    struct parcel *parcel = router_post(self, client, PACK_REPLY, name);
    parcel->partial = partial;
    parcel->correlation = request->correlation;
    parcel->dialect = request->dialect;
    parcel->status = (uint16_t)status;
    body_move(&parcel->body, body);
    hold_answered(self, client, parcel->body.bytes);
}

/* Tell the client, if there is one, how its request ended. */
static void dispatch_give_up(struct router *self, const struct request *request, int code)
{
    if (request->client == NULL)
        return;
    dispatch_count(self, request, result_of(code));
    dispatch_post_error(self, request->client, request->correlation, code);
}

void dispatch_fail(struct router *self, struct request *request, int code)
{
    dispatch_give_up(self, request, code);
    dispatch_finish(self, request);
}

/* ---- The record ------------------------------------------------------- */

/* Nobody waits for the answer any more. */
static void dispatch_detach_client(struct router *self, struct request *request)
{
    struct peer *client = request->client;
    if (client == NULL)
        return;
    hold_returned(self, request);
    list_remove(&request->client_link);
    client->request_count--;
    client->request_bytes -= request->bytes;
    request->client = NULL;
}

/* The worker has it no more: its credit is free again. */
static void dispatch_take_back(struct router *self, struct request *request)
{
    struct peer *worker = request->worker;
    if (worker == NULL)
        return;
    hold_returned(self, request);
    list_remove(&request->place_link);
    worker->in_hand_count--;
    request->service->in_hand_count--;
    request->worker = NULL;
    ranking_put(&request->service->ready, worker, member_free_credit(worker));
}

void dispatch_finish(struct router *self, struct request *request)
{
    struct service *service = request->service;
    if (request->state == REQUEST_ABANDONED)
        self->abandoned_count--;
    if (request->lane != NULL)
        queue_remove(&service->queue, request);
    unserved_leave(self, request);
    dispatch_take_back(self, request);
    dispatch_detach_client(self, request);
    list_remove(&request->place_link);
    wheel_cancel(&request->timer);
    if (service != NULL)
        service_settle(self->services, service);
    request_delete(self->requests, &request);
}

/* ---- To a worker ------------------------------------------------------ */

static void dispatch_post_request(struct router *self, struct request *request)
{
    struct peer *worker = request->worker;
    struct parcel *parcel = router_post(self, worker, PACK_REQUEST, &request->service->name_frame);
    parcel->correlation = request->id;
    parcel->attempt = request->attempts;
    parcel->number = (uint32_t)(request->deadline_ms - self->now_ms);
    parcel->flags = request->replay_safe ? PACK_REPLAY_SAFE : 0;
    if (worker->extension)
        body_join(&request->body);
    body_share(&parcel->body, &request->body);
}

static void dispatch_set_deadline(struct router *self, struct request *request, int64_t deadline_ms)
{
    request->deadline_ms = deadline_ms;
    wheel_set(self->wheel, &request->timer, deadline_ms);
}

static void dispatch_hand(struct router *self, struct request *request, struct peer *worker)
{
    assert(member_free_credit(worker) > 0);
    unserved_leave(self, request);
    request_renew(self->requests, request);
    request->state = REQUEST_IN_HAND;
    request->worker = worker;
    request->attempts++;
    list_add_last(&worker->in_hand, &request->place_link);
    worker->in_hand_count++;
    request->service->in_hand_count++;
    ranking_put(&request->service->ready, worker, member_free_credit(worker));
    /* A plain client's request expires in the queue; a worker that has it may take its time. */
    if (!request->client->extension && request->attempts == 1)
        dispatch_set_deadline(self, request, self->now_ms + REQUEST_DEADLINE_MS_MAX);
    else if (request->forbearing)
        dispatch_set_deadline(self, request, request->deadline_ms);
    request->forbearing = false;
    dispatch_post_request(self, request);
    hold_given(self, request);
}

static void dispatch_expire_waiting(struct router *self, struct request *request)
{
    /* A worker that was lost with it may have done it: then its outcome is unknown. */
    dispatch_fail(self, request, request->attempts > 0 ? ERR_TIMEOUT : ERR_EXPIRED);
}

void dispatch_pump(struct router *self, struct service *service)
{
    struct peer *worker;
    while (queue_has_turn(&service->queue) && (worker = ranking_first(&service->ready)) != NULL) {
        struct request *request = queue_pop(&service->queue);
        if (request->deadline_ms <= self->now_ms)
            dispatch_expire_waiting(self, request);
        else
            dispatch_hand(self, request, worker);
    }
}

static void dispatch_wait(struct router *self, struct request *request, bool front)
{
    request->state = REQUEST_WAITING;
    queue_push(&request->service->queue, request, front);
    service_settle(self->services, request->service);
}

/* ---- Acceptance ------------------------------------------------------- */

static bool dispatch_fits(const struct router *self, const struct peer *client, size_t bytes)
{
    return request_table_fits(self->requests, bytes) &&
           client->request_count < self->limits.client_requests &&
           client->request_bytes + bytes <= self->limits.client_bytes;
}

static bool dispatch_queue_fits(const struct router *self, const struct service *service,
                                size_t bytes)
{
    return service->queue.count < self->limits.service_requests &&
           service->queue.bytes + bytes <= self->limits.service_bytes;
}

static int64_t dispatch_budget(const struct ask *ask)
{
    if (ask->budget_ms == 0)
        return REQUEST_DEADLINE_MS;
    return ask->budget_ms <= REQUEST_DEADLINE_MS_MAX ? ask->budget_ms : REQUEST_DEADLINE_MS_MAX;
}

static struct request *dispatch_new(struct router *self, struct peer *client, struct ask *ask)
{
    struct request *request = request_new(self->requests, &ask->body);
    request->client = client;
    request->correlation = ask->correlation;
    request->dialect = ask->dialect;
    request->replay_safe = ask->replay_safe;
    request->accepted_ms = self->now_ms;
    list_add_last(&client->requests, &request->client_link);
    client->request_count++;
    client->request_bytes += request->bytes;
    dispatch_set_deadline(self, request, self->now_ms + dispatch_budget(ask));
    return request;
}

/* The service that a request may go to, or NULL: nobody serves it, nor did a moment ago. */
static struct service *dispatch_service(struct router *self, const struct peer *client,
                                        const struct ask *ask)
{
    /* Plain clients have no word for "no such service": 7/MDP has them wait. */
    if (!client->extension || self->now_ms < self->start_grace_end_ms)
        return service_obtain(self->services, ask->service, ask->service_len, self->now_ms);
    struct service *service = service_find(self->services, ask->service, ask->service_len);
    return service != NULL && service_promising(service, self->now_ms) ? service : NULL;
}

/* A request to the broker itself. */
static void dispatch_local(struct router *self, struct peer *client, struct ask *ask)
{
    if (!dispatch_fits(self, client, ask->body.bytes)) {
        dispatch_refuse(self, client, ask, ERR_QUEUE_FULL);
        return;
    }
    struct request *request = dispatch_new(self, client, ask);
    request->state = REQUEST_LOCAL;
    list_add_last(&self->asks, &request->place_link);
}

/* The worker that a request need not wait for, or NULL. */
static struct peer *dispatch_at_once(const struct service *service, const struct peer *client)
{
    return peer_is_served(client) ? ranking_first(&service->ready) : NULL;
}

static int dispatch_admit(const struct router *self, const struct peer *client,
                          const struct service *service, size_t bytes)
{
    if (service == NULL)
        return ERR_NO_SERVICE;
    if (!dispatch_fits(self, client, bytes))
        return ERR_QUEUE_FULL;
    if (dispatch_at_once(service, client) == NULL && !dispatch_queue_fits(self, service, bytes))
        return ERR_QUEUE_FULL;
    return 0;
}

/* It waits for a service that nobody serves: not for long if its client can be told, and as one of
 * few. */
static void dispatch_forbear(struct router *self, struct request *request)
{
    if (request->client->extension && self->start_grace_end_ms < request->deadline_ms) {
        request->forbearing = true;
        wheel_set(self->wheel, &request->timer, self->start_grace_end_ms);
    }
    unserved_enter(self, request);
}

void dispatch_accept(struct router *self, struct peer *client, struct ask *ask)
{
    if (ask->body.bytes > BODY_BYTES_MAX) {
        dispatch_refuse(self, client, ask, ERR_TOO_LARGE);
        return;
    }
    if (ask->service_len == strlen(self->name) &&
        memcmp(ask->service, self->name, ask->service_len) == 0) {
        dispatch_local(self, client, ask);
        return;
    }
    if (self->draining) {
        dispatch_refuse(self, client, ask, ERR_DRAINING);
        return;
    }
    struct service *service = dispatch_service(self, client, ask);
    const int rc = dispatch_admit(self, client, service, ask->body.bytes);
    if (rc != 0) {
        if (rc == ERR_QUEUE_FULL)
            router_tell(self, NOTE_QUEUE_FULL, client, service->name, service->queue.count);
        dispatch_refuse(self, client, ask, rc);
        if (service != NULL)
            service_settle(self->services, service);
        return;
    }
    struct request *request = dispatch_new(self, client, ask);
    request->service = service;
    struct peer *worker = dispatch_at_once(service, client);
    if (worker != NULL) {
        dispatch_hand(self, request, worker);
        service_settle(self->services, service);
        return;
    }
    body_settle(&request->body);
    dispatch_wait(self, request, false);
    if (!service_promising(service, self->now_ms))
        dispatch_forbear(self, request);
}

/* ---- From a worker ---------------------------------------------------- */

/* The request that @worker has in hand under that id, or NULL: an answer of an attempt that is
 * over. */
static struct request *dispatch_in_hand(struct router *self, const struct peer *worker, uint64_t id)
{
    struct request *request = request_find(self->requests, id);
    if (request != NULL && request->worker == worker)
        return request;
    self->counts[COUNT_LATE]++;
    return NULL;
}

/* Put a request whose worker does not have it any more back into the queue. */
static void dispatch_requeue(struct router *self, struct request *request)
{
    request_collected_drop(self->requests, request);
    body_settle(&request->body);
    /* What a plain client's request was given for the work is not for waiting again. */
    if (request->deadline_ms > self->now_ms + REQUEST_DEADLINE_MS && !request->client->extension)
        dispatch_set_deadline(self, request, self->now_ms + REQUEST_DEADLINE_MS);
    dispatch_wait(self, request, true);
}

/* The worker does not lead: nothing was attempted. It rests, so that the request, and others, go
 * elsewhere in the meantime. */
static void dispatch_not_leader(struct router *self, struct peer *worker, struct request *request)
{
    struct service *service = worker->service;
    self->counts[COUNT_NOT_LEADER]++;
    if (!worker->resting) {
        worker->resting = true;
        worker->rest_end_ms = self->now_ms + NOT_LEADER_REST_MS;
        list_add_last(&self->resting, &worker->rest_link);
        router_tell(self, NOTE_NOT_LEADER, worker, service->name, worker->in_hand_count);
    }
    if (request->client == NULL) {
        dispatch_finish(self, request);
        return;
    }
    dispatch_take_back(self, request);
    request->attempts--;
    dispatch_requeue(self, request);
    dispatch_pump(self, service);
}

/* Make @body the whole answer. One that is too large can't be passed on, but the work was done: its
 * client may not conclude that nothing happened. Returns 0 or ERR_UNKNOWN. */
static int dispatch_complete(struct router *self, struct request *request, struct body *body)
{
    if (body->bytes > BODY_BYTES_MAX - request->collected.size)
        return ERR_UNKNOWN;
    if (request->collected.size > 0)
        request_collected_take(self->requests, request, body);
    return 0;
}

/* Whether a worker refused this attempt alone, while an earlier worker was lost with the request
 * and may have carried it out: "not attempted" would not be true of the whole. */
static bool dispatch_is_half_truth(const struct request *request, int status)
{
    return request->attempts > 1 && !err_is_verdict(status) && !err_is_unknown(status);
}

void dispatch_reply(struct router *self, struct peer *worker, uint64_t id, int status,
                    struct body *body)
{
    struct service *service = worker->service;
    struct request *request = dispatch_in_hand(self, worker, id);
    if (request == NULL) {
        body_close(body);
        return;
    }
    if (status == ERR_NOT_LEADER) {
        body_close(body);
        dispatch_not_leader(self, worker, request);
        return;
    }
    if (request->client == NULL) {
        dispatch_finish(self, request);
    } else if (dispatch_is_half_truth(request, status)) {
        dispatch_count(self, request, RESULT_FAILED);
        dispatch_post_error(self, request->client, request->correlation, ERR_UNKNOWN);
        dispatch_finish(self, request);
    } else if (dispatch_complete(self, request, body) != 0) {
        dispatch_fail(self, request, ERR_UNKNOWN);
    } else {
        dispatch_count(self, request, status == OK ? RESULT_OK : RESULT_FAILED);
        dispatch_send_answer(self, request, status, body, false);
        dispatch_finish(self, request);
    }
    body_close(body);
    dispatch_pump(self, service);
}

/* Nobody waits for it any more, but a plain worker has it: it can't be told to stop, and takes one
 * request at a time. */
static void dispatch_abandon(struct router *self, struct request *request)
{
    dispatch_detach_client(self, request);
    request->state = REQUEST_ABANDONED;
    self->abandoned_count++;
    body_close(&request->body);
    request_collected_drop(self->requests, request);
    dispatch_set_deadline(self, request, self->now_ms + REQUEST_DEADLINE_MS_MAX);
}

/* End a request that is with a worker: one of ours knows its deadline and drops it by itself. */
static void dispatch_fail_in_hand(struct router *self, struct request *request, int code)
{
    struct service *service = request->service;
    if (request->worker->extension) {
        dispatch_fail(self, request, code);
        dispatch_pump(self, service);
        return;
    }
    dispatch_give_up(self, request, code);
    dispatch_abandon(self, request);
}

void dispatch_partial(struct router *self, struct peer *worker, uint64_t id, struct body *body)
{
    struct request *request = dispatch_in_hand(self, worker, id);
    if (request == NULL || request->client == NULL) {
        body_close(body);
        return;
    }
    if (!request->client->extension && request->dialect.version == MDP_02) {
        request->partial_sent = true;
        dispatch_send_answer(self, request, OK, body, true);
    } else if (!request_collect(self->requests, request, body)) {
        dispatch_fail_in_hand(self, request, ERR_UNKNOWN);
    }
}

/* ---- Losses ----------------------------------------------------------- */

/* What becomes of a request whose worker is gone. */
static void dispatch_return(struct router *self, struct request *request)
{
    dispatch_take_back(self, request);
    if (request->client == NULL) {
        dispatch_finish(self, request);
    } else if (!request->replay_safe || request->service->replay_off || request->partial_sent) {
        dispatch_fail(self, request, ERR_WORKER_LOST);
    } else if (request->attempts >= ATTEMPTS_MAX) {
        self->counts[COUNT_POISON]++;
        router_tell(self, NOTE_POISON, request->client, request->service->name, 1);
        dispatch_fail(self, request, ERR_WORKER_LOST);
    } else {
        self->counts[COUNT_REDISPATCHED]++;
        dispatch_requeue(self, request);
    }
}

void dispatch_worker_lost(struct router *self, struct peer *worker)
{
    struct service *service = worker->service;
    const uint64_t before = self->counts[COUNT_REDISPATCHED];
    struct list_link *link;
    /* From the last to the first, each in front of the queue: the order is kept. */
    while ((link = list_last(&worker->in_hand)) != NULL)
        dispatch_return(self, LIST_OBJECT(link, struct request, place_link));
    const size_t count = (size_t)(self->counts[COUNT_REDISPATCHED] - before);
    if (count > 0)
        router_tell(self, NOTE_REDISPATCHED, worker, service->name, count);
    dispatch_pump(self, service);
    if (self->draining)
        dispatch_drain(self);
}

void dispatch_client_lost(struct router *self, struct peer *client)
{
    struct list_link *link;
    while ((link = list_first(&client->requests)) != NULL) {
        struct request *request = LIST_OBJECT(link, struct request, client_link);
        dispatch_count(self, request, RESULT_CLIENT_GONE);
        if (request->state == REQUEST_IN_HAND)
            dispatch_detach_client(self, request);
        else
            dispatch_finish(self, request);
    }
}

void dispatch_deaf(struct router *self, struct peer *peer)
{
    peer->deaf = true;
    self->counts[COUNT_DEAF]++;
    hold_stop_lanes(peer);
}

void dispatch_heard(struct router *self, struct peer *peer)
{
    peer->deaf = false;
    if (peer_is_served(peer))
        hold_resume_lanes(self, peer);
}

/* ---- Time and the end ------------------------------------------------- */

static void dispatch_expire_one(struct router *self, struct request *request)
{
    struct peer *worker = request->worker;
    switch (request->state) {
    case REQUEST_WAITING:
        if (!request->forbearing || request->deadline_ms <= self->now_ms) {
            dispatch_expire_waiting(self, request);
        } else if (service_promising(request->service, self->now_ms)) {
            request->forbearing = false;
            dispatch_set_deadline(self, request, request->deadline_ms);
        } else {
            dispatch_fail(self, request, ERR_NO_SERVICE);
        }
        break;
    case REQUEST_IN_HAND: dispatch_fail_in_hand(self, request, ERR_TIMEOUT); break;
    case REQUEST_LOCAL: dispatch_fail(self, request, ERR_EXPIRED); break;
    case REQUEST_ABANDONED:
        router_tell(self, NOTE_WORKER_HUNG, worker, worker->service->name, 1);
        member_close(self, worker, true);
        break;
    }
}

void dispatch_expire(struct router *self)
{
    struct wheel_timer *timer;
    while ((timer = wheel_next(self->wheel, self->now_ms)) != NULL)
        dispatch_expire_one(self, LIST_OBJECT(timer, struct request, timer));
}

void dispatch_local_reply(struct router *self, uint64_t id, int code, struct body *body)
{
    struct request *request = request_find(self->requests, id);
    if (request != NULL && request_is_local(request)) {
        struct peer *client = request->client;
        struct frame name;
        dispatch_count(self, request, code == OK ? RESULT_OK : RESULT_FAILED);
        frame_init_copy(&name, self->name, strlen(self->name));
        struct parcel *parcel =
            router_post(self, client, PACK_REPLY, client->extension ? NULL : &name);
        frame_close(&name);
        parcel->correlation = request->correlation;
        parcel->dialect = request->dialect;
        parcel->status = (uint16_t)code;
        body_move(&parcel->body, body);
        dispatch_finish(self, request);
    }
    body_close(body);
}

void dispatch_drain(struct router *self)
{
    size_t slot = 0;
    struct request *request;
    while ((request = request_each(self->requests, &slot)) != NULL) {
        if (request->state == REQUEST_WAITING && request->service->worker_count == 0)
            dispatch_fail(self, request, request->attempts > 0 ? ERR_TIMEOUT : ERR_DRAINING);
    }
}

void dispatch_stop(struct router *self)
{
    size_t slot = 0;
    struct request *request;
    while ((request = request_each(self->requests, &slot)) != NULL) {
        const bool attempted = request->state == REQUEST_IN_HAND || request->attempts > 0;
        dispatch_fail(self, request, attempted ? ERR_TIMEOUT : ERR_DRAINING);
    }
}
