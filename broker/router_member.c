/* Who is there: peers as they come, beat, fall silent and go.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>

#include "broker/bus/limits.h"
#include "broker/router_state.h"

/* Make room for one more by forgetting a peer that waits for nothing; there may be none. */
static void member_evict(struct router *self)
{
    struct peer *peer = peer_first(self->peers, PEER_CLASS_IDLE);
    for (int i = 0; i < BROKER_PEERS_LOOK && peer != NULL; i++) {
        struct peer *next = peer_after(self->peers, peer);
        if (peer->request_count == 0 && list_empty(&peer->parcels)) {
            member_forget(self, &peer);
            return;
        }
        peer = next;
    }
}

struct peer *member_arrive(struct router *self, struct frame *routing_id)
{
    if (peer_table_count(self->peers) >= self->limits.peers)
        member_evict(self);
    struct peer *peer = peer_add(self->peers, routing_id, self->awake_ms);
    if (peer_table_count(self->peers) > self->limits.peers) {
        peer->doomed = true;
        self->counts[COUNT_PEERS_REFUSED]++;
        router_tell(self, NOTE_PEER_REFUSED, peer, "", 0);
    }
    return peer;
}

void member_client(struct router *self, struct peer *peer)
{
    peer->role = PEER_CLIENT;
    peer->worker_side = false;
    peer_classify(self->peers, peer, PEER_CLASS_IDLE, self->awake_ms);
}

uint32_t member_free_credit(const struct peer *worker)
{
    if (worker->leaving || worker->resting || worker->credit <= worker->in_hand_count)
        return 0;
    return worker->credit - worker->in_hand_count;
}

void member_set_credit(struct router *self, struct peer *worker, uint32_t credit)
{
    const uint32_t bounded = credit <= CREDIT_MAX ? credit : CREDIT_MAX;
    const bool more = bounded > worker->credit;
    /* A heartbeat that says what is known leaves the worker its place among equals. */
    if (bounded == worker->credit && !worker->leaving)
        return;
    worker->credit = bounded;
    ranking_put(&worker->service->ready, worker, member_free_credit(worker));
    if (more)
        dispatch_pump(self, worker->service);
}

void member_worker(struct router *self, struct peer *peer, struct service *service, uint32_t credit)
{
    peer->role = PEER_WORKER;
    peer->worker_side = true;
    peer->service = service;
    peer->leaving = peer->resting = false;
    peer->credit = 0;
    list_add_last(&service->workers, &peer->service_link);
    service->worker_count++;
    service->had_worker = true;
    service_settle(self->services, service);
    peer_classify(self->peers, peer, peer->extension ? PEER_CLASS_OURS : PEER_CLASS_PLAIN,
                  self->awake_ms);
    router_tell(self, NOTE_WORKER_JOINED, peer, service->name, 0);
    member_set_credit(self, peer, credit);
}

static void member_worker_leave(struct router *self, struct peer *worker)
{
    struct service *service = worker->service;
    assert(service != NULL);
    worker->leaving = true;
    ranking_put(&service->ready, worker, 0);
    list_remove(&worker->rest_link);
    list_remove(&worker->service_link);
    if (--service->worker_count == 0)
        service->worker_left_ms = self->now_ms;
    router_tell(self, NOTE_WORKER_LEFT, worker, service->name, worker->in_hand_count);
    dispatch_worker_lost(self, worker);
    assert(worker->in_hand_count == 0);
    worker->service = NULL;
    service_settle(self->services, service);
}

/* End what the peer was; it is closed afterwards. */
static void member_leave(struct router *self, struct peer *peer)
{
    const enum peer_role role = peer->role;
    peer->role = PEER_CLOSED;
    if (role == PEER_WORKER)
        member_worker_leave(self, peer);
    if (role == PEER_CLIENT && peer->class == PEER_CLASS_OURS)
        router_tell(self, NOTE_CLIENT_LEFT, peer, "", peer->request_count);
    if (role == PEER_CLIENT)
        dispatch_client_lost(self, peer);
}

void member_close(struct router *self, struct peer *peer, bool tell)
{
    member_leave(self, peer);
    if (tell)
        router_post(self, peer, PACK_DISCONNECT, NULL);
    peer_classify(self->peers, peer, PEER_CLASS_IDLE, self->awake_ms);
}

void member_forget(struct router *self, struct peer **peer_p)
{
    member_leave(self, *peer_p);
    parcel_drop_all(*peer_p);
    list_remove(&(*peer_p)->parcel_link);
    list_remove(&(*peer_p)->held_link);
    peer_delete(self->peers, peer_p);
}

/* Plain clients have no word for it; all others are told. */
static bool member_understands_disconnect(const struct peer *peer)
{
    return peer->extension || peer->worker_side;
}

static void member_ban(struct router *self, struct peer *peer)
{
    peer->banned = true;
    self->counts[COUNT_BANNED]++;
    router_tell(self, NOTE_BANNED, peer, "", peer->strikes);
    member_close(self, peer, peer->role != PEER_CLOSED && member_understands_disconnect(peer));
}

void member_strike(struct router *self, struct peer *peer)
{
    peer->strikes++;
    self->counts[COUNT_MALFORMED]++;
    router_tell(self, NOTE_STRIKE, peer, "", peer->strikes);
    if (peer->strikes >= BROKER_STRIKES_MAX && !peer->banned)
        member_ban(self, peer);
}

void member_refuse(struct router *self, struct peer *peer)
{
    self->counts[COUNT_READY_REFUSED]++;
    router_tell(self, NOTE_WORKER_REFUSED, peer, "", 0);
    member_close(self, peer, true);
    peer->strikes++;
    if (peer->strikes >= BROKER_STRIKES_MAX)
        member_ban(self, peer);
}

void member_misplaced(struct router *self, struct peer *peer)
{
    /* It was told already: 7/MDP, nothing more to that peer. */
    if (peer->role == PEER_CLOSED) {
        self->counts[COUNT_IGNORED]++;
        return;
    }
    self->counts[COUNT_MISPLACED]++;
    router_tell(self, NOTE_MISPLACED, peer, "", 0);
    member_close(self, peer, true);
}

/* ---- Time ------------------------------------------------------------- */

static void member_expire(struct router *self, enum peer_class class, int64_t gone_ms)
{
    struct peer *peer;
    while ((peer = peer_silent(self->peers, class, self->awake_ms - gone_ms)) != NULL) {
        self->counts[COUNT_EXPIRED_PEERS]++;
        router_tell(self, NOTE_EXPIRED, peer, peer->service != NULL ? peer->service->name : "", 0);
        member_forget(self, &peer);
    }
}

/* Clients that don't beat are never gone, only forgotten when that costs them nothing. */
static void member_forget_idle(struct router *self)
{
    struct peer *peer;
    while ((peer = peer_silent(self->peers, PEER_CLASS_IDLE,
                               self->awake_ms - BROKER_PEER_IDLE_MS)) != NULL) {
        if (peer->request_count > 0 || !list_empty(&peer->parcels))
            peer_heard(self->peers, peer, self->awake_ms);
        else
            member_forget(self, &peer);
    }
}

static void member_beat(struct router *self, enum peer_class class, int64_t pace_ms)
{
    struct peer *peer;
    while ((peer = peer_unsent(self->peers, class, self->awake_ms - pace_ms)) != NULL)
        router_post(self, peer, PACK_HEARTBEAT, NULL);
}

static void member_wake_resting(struct router *self)
{
    struct list_link *link;
    while ((link = list_first(&self->resting)) != NULL) {
        struct peer *worker = LIST_OBJECT(link, struct peer, rest_link);
        if (worker->rest_end_ms > self->now_ms)
            return;
        list_remove(link);
        worker->resting = false;
        ranking_put(&worker->service->ready, worker, member_free_credit(worker));
        dispatch_pump(self, worker->service);
    }
}

void member_tick(struct router *self)
{
    member_expire(self, PEER_CLASS_OURS, HEARTBEAT_GONE_MS);
    member_expire(self, PEER_CLASS_PLAIN, HEARTBEAT_PLAIN_GONE_MS);
    member_forget_idle(self);
    member_wake_resting(self);
    member_beat(self, PEER_CLASS_OURS, HEARTBEAT_MS);
    member_beat(self, PEER_CLASS_PLAIN, HEARTBEAT_PLAIN_MS);
}
