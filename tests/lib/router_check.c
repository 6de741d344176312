/* See router_check.h.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/router_check.h"

#include <assert.h>

#include "broker/router_state.h"

static void check_request(const struct request *request)
{
    assert(list_linked(&request->timer.link));
    assert((request->client != NULL) == list_linked(&request->client_link));
    assert((request->lane != NULL) == (request->state == REQUEST_WAITING));
    assert((request->worker != NULL) ==
           (request->state == REQUEST_IN_HAND || request->state == REQUEST_ABANDONED));
    assert((request->service == NULL) == (request->state == REQUEST_LOCAL));
    assert(request->attempts <= ATTEMPTS_MAX);
    if (request->state == REQUEST_WAITING)
        assert(request->client != NULL);
    if (list_linked(&request->unserved_link)) {
        assert(request->state == REQUEST_WAITING);
        assert(request->attempts == 0);
    }
    if (request->state == REQUEST_ABANDONED) {
        assert(request->client == NULL);
        assert(!request->worker->extension);
    }
    if (request->client != NULL)
        assert(request->client->role == PEER_CLIENT);
    if (request->worker != NULL) {
        assert(request->worker->role == PEER_WORKER);
        assert(request->worker->service == request->service);
    }
}

/* Every record, and the sums over them. */
static void check_requests(const struct router *self)
{
    size_t slot = 0, count = 0, bytes = 0, abandoned = 0;
    const struct request *request;
    while ((request = request_each(self->requests, &slot)) != NULL) {
        check_request(request);
        count++;
        bytes += request->bytes + request->collected.size;
        abandoned += request->state == REQUEST_ABANDONED;
        assert(request_find(self->requests, request->id) == request);
    }
    assert(count == request_table_count(self->requests));
    assert(bytes == request_table_bytes(self->requests));
    assert(abandoned == self->abandoned_count);
    assert(count <= self->limits.requests);
    assert(bytes <= self->limits.bytes);
}

static void check_client(const struct router *self, const struct peer *peer)
{
    size_t count = 0, bytes = 0;
    for (const struct list_link *link = list_first(&peer->requests); link != NULL;
         link = list_after(&peer->requests, link)) {
        const struct request *request = LIST_OBJECT(link, struct request, client_link);
        assert(request->client == peer);
        count++;
        bytes += request->bytes;
    }
    assert(count == peer->request_count);
    assert(bytes == peer->request_bytes);
    assert(count <= self->limits.client_requests);
    assert(bytes <= self->limits.client_bytes);
    assert(count == 0 || peer->role == PEER_CLIENT);
    assert(peer->held == list_linked(&peer->held_link));
    /* R9 */
    assert(peer->settled || peer->shared_count <= self->limits.new_credit);
    for (const struct list_link *link = list_first(&peer->lanes); link != NULL;
         link = list_after(&peer->lanes, link)) {
        const struct lane *lane = LIST_OBJECT(link, struct lane, client_link);
        assert(lane->client == peer);
        assert(!list_empty(&lane->requests));
        assert(list_linked(&lane->turn_link) == peer_is_served(peer));
    }
}

static uint32_t check_unserved(const struct peer *peer)
{
    uint32_t cost = 0;
    for (const struct list_link *link = list_first(&peer->unserved); link != NULL;
         link = list_after(&peer->unserved, link)) {
        const struct request *request = LIST_OBJECT(link, struct request, unserved_link);
        assert(request->client == peer);
        cost += unserved_cost(request);
    }
    assert(cost == peer->unserved_cost);
    assert(cost == 0 || (list_linked(&peer->rank_link) && peer->rank == cost));
    return cost;
}

static void check_worker(const struct peer *peer)
{
    size_t count = 0;
    for (const struct list_link *link = list_first(&peer->in_hand); link != NULL;
         link = list_after(&peer->in_hand, link)) {
        assert(LIST_OBJECT(link, struct request, place_link)->worker == peer);
        count++;
    }
    assert(count == peer->in_hand_count);
    assert((peer->role == PEER_WORKER) == (peer->service != NULL));
    assert((peer->role == PEER_WORKER) == list_linked(&peer->service_link));
    assert(list_linked(&peer->rank_link) ==
           (peer->role == PEER_WORKER ? member_free_credit(peer) > 0 : peer->unserved_cost > 0));
    if (peer->role == PEER_WORKER) {
        assert(peer->resting == list_linked(&peer->rest_link));
        assert(peer->credit <= CREDIT_MAX);
        assert(peer->extension || peer->in_hand_count <= 1);
        assert(peer->class == (peer->extension ? PEER_CLASS_OURS : PEER_CLASS_PLAIN));
    } else {
        assert(count == 0);
        assert(!list_linked(&peer->rest_link));
    }
}

static void check_peers(const struct router *self)
{
    size_t count = 0, doomed = 0;
    uint32_t unserved = 0;
    for (int class = 0; class < PEER_CLASS_COUNT; class ++) {
        int64_t heard_ms = 0;
        for (const struct peer *peer = peer_first(self->peers, (enum peer_class) class);
             peer != NULL; peer = peer_after(self->peers, peer)) {
            assert(peer->heard_ms >= heard_ms);
            heard_ms = peer->heard_ms;
            assert(list_empty(&peer->parcels) != list_linked(&peer->parcel_link));
            assert((peer->class == PEER_CLASS_IDLE) != list_linked(&peer->sent_link));
            check_client(self, peer);
            unserved += check_unserved(peer);
            check_worker(peer);
            count++;
            doomed += peer->doomed;
        }
    }
    assert(count == peer_table_count(self->peers));
    assert(count - doomed <= self->limits.peers);
    /* R8 */
    assert(unserved == self->unserved_cost);
    assert(unserved <= self->limits.unserved);
}

static void check_services(struct router *self)
{
    for (const struct service *service = service_first(self->services); service != NULL;
         service = service_next(self->services)) {
        size_t workers = 0, in_hand = 0;
        for (const struct list_link *link = list_first(&service->workers); link != NULL;
             link = list_after(&service->workers, link)) {
            workers++;
            in_hand += LIST_OBJECT(link, struct peer, service_link)->in_hand_count;
        }
        assert(workers == service->worker_count);
        assert(in_hand == service->in_hand_count);
        /* R4 */
        assert(!queue_has_turn(&service->queue) || ranking_first(&service->ready) == NULL);
        assert(list_linked(&service->idle_link) ==
               (workers == 0 && in_hand == 0 && service->queue.count == 0));
        assert(service->had_worker || service->queue.count > 0);
    }
    assert(service_table_count(self->services) <= self->limits.services);
}

void router_check(struct router *self)
{
    check_requests(self);
    check_peers(self);
    check_services(self);
}
