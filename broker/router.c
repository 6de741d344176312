/* See router.h. This part: the events as they come in, the actions as they go out.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/router.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/bus/alloc.h"
#include "broker/bus/limits.h"
#include "broker/router_state.h"

static size_t limit_or(size_t limit, size_t otherwise)
{
    return limit > 0 ? limit : otherwise;
}

static struct router_limits router_limits_of(const struct router_limits *limits)
{
    return (struct router_limits){
        .peers = limit_or(limits->peers, BROKER_PEERS_MAX),
        .services = limit_or(limits->services, BROKER_SERVICES_MAX),
        .requests = limit_or(limits->requests, BROKER_REQUESTS_MAX),
        .bytes = limit_or(limits->bytes, BROKER_BYTES_MAX),
        .client_requests = limit_or(limits->client_requests, BROKER_CLIENT_REQUESTS_MAX),
        .client_bytes = limit_or(limits->client_bytes, BROKER_CLIENT_BYTES_MAX),
        .service_requests = limit_or(limits->service_requests, BROKER_SERVICE_REQUESTS_MAX),
        .service_bytes = limit_or(limits->service_bytes, BROKER_SERVICE_BYTES_MAX),
        .new_credit = (uint32_t)limit_or(limits->new_credit, CLIENT_NEW_CREDIT),
        .unserved = (uint32_t)limit_or(limits->unserved, BROKER_UNSERVED_MAX),
    };
}

static char *text_copy(const char *text)
{
    return text == NULL ? NULL : alloc_copy(text, strlen(text));
}

static void router_copy_options(struct router *self, const struct router_options *options)
{
    char name[SERVICE_NAME_BYTES_MAX + 1];
    snprintf(name, sizeof name, "node.%s", options->name);
    self->name = text_copy(name);
    self->secret = text_copy(options->secret);
    self->limits = router_limits_of(&options->limits);
    memcpy(self->seconds, options->seconds, sizeof self->seconds);
}

struct router *router_new(const struct router_options *options, int64_t now_ms)
{
    struct router *self = alloc_zero(sizeof *self);
    router_copy_options(self, options);
    self->now_ms = now_ms;
    self->start_grace_end_ms = now_ms + options->start_grace_ms;
    self->peers = peer_table_new(options->hash_seed);
    self->services =
        service_table_new(self->limits.services, options->replay_off, options->replay_off_count);
    self->requests = request_table_new(self->limits.requests, self->limits.bytes);
    self->wheel = wheel_new(now_ms);
    self->notes = alloc_zero(BROKER_NOTES_MAX * sizeof *self->notes);
    list_init(&self->outgoing);
    list_init(&self->resting);
    list_init(&self->held);
    list_init(&self->full);
    list_init(&self->asks);
    return self;
}

void router_destroy(struct router **self_p)
{
    struct router *self = *self_p;
    if (self == NULL)
        return;
    size_t slot = 0;
    struct request *request;
    while ((request = request_each(self->requests, &slot)) != NULL)
        dispatch_finish(self, request);
    for (int class = 0; class < PEER_CLASS_COUNT; class ++) {
        struct peer *peer;
        while ((peer = peer_first(self->peers, (enum peer_class) class)) != NULL)
            member_forget(self, &peer);
    }
    ranking_close(&self->unserved);
    peer_table_destroy(&self->peers);
    service_table_destroy(&self->services);
    request_table_destroy(&self->requests);
    wheel_destroy(&self->wheel);
    free(self->notes);
    free(self->secret);
    free(self->name);
    free(self);
    *self_p = NULL;
}

/* ---- Events ----------------------------------------------------------- */

/* It is @now_ms. What has expired ends before anything else is looked at. */
static void router_advance(struct router *self, int64_t now_ms)
{
    const int64_t passed_ms = now_ms > self->now_ms ? now_ms - self->now_ms : 0;
    self->now_ms += passed_ms;
    self->awake_ms += passed_ms < AWAKE_STEP_MS_MAX ? passed_ms : AWAKE_STEP_MS_MAX;
    dispatch_expire(self);
}

/* The peer that sent a message, or NULL when nothing more is to be done with it. */
static struct peer *router_sender(struct router *self, struct frame *routing_id)
{
    struct peer *peer = peer_find(self->peers, routing_id);
    self->counts[COUNT_RECEIVED]++;
    if (peer == NULL)
        return member_arrive(self, routing_id);
    /* A closed peer is forgotten after a while although it goes on sending, and is then told anew;
     * a banned one stays banned while it does. */
    if (peer->role != PEER_CLOSED || peer->banned)
        peer_heard(self->peers, peer, self->awake_ms);
    /* One that was told DISCONNECT in this very turn can't have heard it. */
    if (peer->banned || peer->doomed ||
        (peer->role == PEER_CLOSED && !list_empty(&peer->parcels))) {
        self->counts[COUNT_IGNORED]++;
        return NULL;
    }
    return peer;
}

/* Answer one for whom there is no room, as far as it has a form of speech that knows a no. */
static void router_turn_away(struct router *self, struct peer *peer, const struct message *message)
{
    struct mdp_message read = {0};
    peer->role = PEER_CLOSED;
    peer->extension = pack_is(message, 'C') || pack_is(message, 'W');
    peer->worker_side = pack_is(message, 'W');
    if (!peer->extension && mdp_read(message, &read) == 0) {
        peer->dialect = read.dialect;
        peer->worker_side = read.from_worker;
    }
    if (peer->extension || peer->worker_side)
        router_post(self, peer, PACK_DISCONNECT, NULL);
    else
        member_forget(self, &peer);
}

void router_receive(struct router *self, struct frame *routing_id, struct message *message,
                    int64_t now_ms)
{
    router_advance(self, now_ms);
    struct peer *peer = router_sender(self, routing_id);
    if (peer != NULL && peer->doomed)
        router_turn_away(self, peer, message);
    else if (peer != NULL)
        intake_receive(self, peer, message);
    message_close(message);
}

void router_receive_malformed(struct router *self, struct frame *routing_id, int64_t now_ms)
{
    router_advance(self, now_ms);
    struct peer *peer = router_sender(self, routing_id);
    if (peer != NULL && peer->doomed)
        member_forget(self, &peer);
    else if (peer != NULL)
        member_strike(self, peer);
}

void router_lost(struct router *self, const struct frame *routing_id, int64_t now_ms)
{
    router_advance(self, now_ms);
    struct peer *peer = peer_find(self->peers, routing_id);
    if (peer == NULL)
        return;
    self->counts[COUNT_LOST_PEERS]++;
    if (peer->role == PEER_WORKER || peer->class == PEER_CLASS_OURS)
        router_tell(self, NOTE_LOST, peer, peer->service != NULL ? peer->service->name : "", 0);
    member_forget(self, &peer);
}

void router_deaf(struct router *self, const struct frame *routing_id, int64_t now_ms)
{
    router_advance(self, now_ms);
    struct peer *peer = peer_find(self->peers, routing_id);
    if (peer != NULL && !peer->deaf)
        dispatch_deaf(self, peer);
}

void router_heard(struct router *self, const struct frame *routing_id, int64_t now_ms)
{
    router_advance(self, now_ms);
    struct peer *peer = peer_find(self->peers, routing_id);
    if (peer != NULL && peer->deaf)
        dispatch_heard(self, peer);
}

void router_answer(struct router *self, uint64_t id, int code, const void *body, size_t size,
                   int64_t now_ms)
{
    struct body answer;
    router_advance(self, now_ms);
    body_copy_bytes(&answer, body, size);
    dispatch_local_reply(self, id, code, &answer);
}

void router_tick(struct router *self, int64_t now_ms)
{
    router_advance(self, now_ms);
    member_tick(self);
    hold_tick(self);
    service_table_tick(self->services, now_ms);
}

void router_drain(struct router *self, int64_t now_ms)
{
    router_advance(self, now_ms);
    if (self->draining)
        return;
    self->draining = true;
    for (struct peer *peer = peer_first(self->peers, PEER_CLASS_OURS); peer != NULL;
         peer = peer_after(self->peers, peer))
        router_post(self, peer, PACK_GOING_AWAY, NULL);
    dispatch_drain(self);
}

bool router_idle(const struct router *self)
{
    return request_table_count(self->requests) == self->abandoned_count;
}

void router_stop(struct router *self, int64_t now_ms)
{
    struct peer *peer;
    router_advance(self, now_ms);
    self->draining = true;
    dispatch_stop(self);
    while ((peer = peer_first(self->peers, PEER_CLASS_OURS)) != NULL)
        member_close(self, peer, true);
    while ((peer = peer_first(self->peers, PEER_CLASS_PLAIN)) != NULL)
        member_close(self, peer, true);
}

/* ---- Actions ---------------------------------------------------------- */

struct parcel *router_post(struct router *self, struct peer *peer, enum pack_command command,
                           struct frame *name)
{
    struct parcel *parcel = parcel_add(peer, command, name);
    if (!list_linked(&peer->parcel_link))
        list_add_last(&self->outgoing, &peer->parcel_link);
    peer_sent(self->peers, peer, self->awake_ms);
    return parcel;
}

void router_tell(struct router *self, enum router_note_kind kind, const struct peer *peer,
                 const char *service, size_t number)
{
    if (self->note_count == BROKER_NOTES_MAX) {
        self->counts[COUNT_NOTES_DROPPED]++;
        return;
    }
    struct router_note *note =
        &self->notes[(self->note_first + self->note_count++) % BROKER_NOTES_MAX];
    note->kind = kind;
    note->number = number;
    peer_text(peer, note->peer);
    snprintf(note->service, sizeof note->service, "%s", service);
}

static bool router_next_send(struct router *self, struct router_action *action)
{
    if (list_empty(&self->outgoing))
        hold_release(self);
    struct list_link *link = list_first(&self->outgoing);
    if (link == NULL)
        return false;
    struct peer *peer = LIST_OBJECT(link, struct peer, parcel_link);
    action->kind = ROUTER_SEND;
    frame_share(&action->routing_id, &peer->routing_id);
    parcel_write(peer, &action->message);
    self->counts[COUNT_SENT]++;
    if (list_empty(&peer->parcels)) {
        list_remove(link);
        peer->posted_bytes = 0;
        if (peer->doomed)
            member_forget(self, &peer);
    }
    return true;
}

static bool router_next_ask(struct router *self, struct router_action *action)
{
    struct list_link *link = list_first(&self->asks);
    if (link == NULL)
        return false;
    struct request *request = LIST_OBJECT(link, struct request, place_link);
    list_remove(link);
    body_join(&request->body);
    action->kind = ROUTER_ASK;
    action->id = request->id;
    frame_share(&action->body, &request->body.first);
    return true;
}

static bool router_next_tell(struct router *self, struct router_action *action)
{
    if (self->note_count == 0)
        return false;
    action->kind = ROUTER_TELL;
    action->note = self->notes[self->note_first];
    self->note_first = (self->note_first + 1) % BROKER_NOTES_MAX;
    self->note_count--;
    return true;
}

bool router_next(struct router *self, struct router_action *action)
{
    return router_next_ask(self, action) || router_next_send(self, action) ||
           router_next_tell(self, action);
}

/* ---- Numbers ---------------------------------------------------------- */

uint64_t router_count(const struct router *self, enum router_count count)
{
    return self->counts[count];
}

uint64_t router_result(const struct router *self, enum service_class class,
                       enum router_result result)
{
    return self->results[class][result];
}

const char *router_count_label(enum router_count count)
{
    static const char *const labels[] = {
#define X(name, label, help) [name] = (label),
        ROUTER_COUNTS(X)
#undef X
    };
    return labels[count];
}

const char *router_count_help(enum router_count count)
{
    static const char *const helps[] = {
#define X(name, label, help) [name] = (help),
        ROUTER_COUNTS(X)
#undef X
    };
    return helps[count];
}

const char *router_result_label(enum router_result result)
{
    static const char *const labels[] = {
#define X(name, label) [name] = (label),
        ROUTER_RESULTS(X)
#undef X
    };
    return labels[result];
}

const char *router_note_text(enum router_note_kind kind)
{
    static const char *const texts[] = {
#define X(name, text) [name] = (text),
        ROUTER_NOTES(X)
#undef X
    };
    return texts[kind];
}
