/* Requests that wait for services that nobody serves.
 *
 * 7/MDP has a request wait for a worker that may yet come, and anybody may make up names. So a
 * request that is accepted while its service has no worker, nor had one a moment ago, is one of
 * few: all of them together cost BROKER_UNSERVED_MAX at most. It is counted so until it is handed
 * to a worker or ends, and no longer once it turns out that its service got a worker. What was
 * accepted while there were workers is not: a fail-over must not look like an outage.
 *
 * At the bound the oldest request of the client that has most goes. Of the client with most, so
 * that nobody crowds out others: who has less than his share keeps it all. The oldest, because its
 * sender is the least likely to be there still (a plain client asks again after a while, by a new
 * connection, and the broker does not see the old one's end), so that new requests are not kept out
 * by those of the dead.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>

#include "broker/bus/err.h"
#include "broker/bus/limits.h"
#include "broker/router_state.h"

_Static_assert(BROKER_UNSERVED_MAX + 1 + BODY_BYTES_MAX / BROKER_UNSERVED_PIECE_BYTES <= RANK_MAX,
               "what one client has is a rank, also just before some of it goes");

uint32_t unserved_cost(const struct request *request)
{
    return 1 + (uint32_t)(request->bytes / BROKER_UNSERVED_PIECE_BYTES);
}

static void unserved_rank(struct router *self, struct peer *client)
{
    ranking_put(&self->unserved, client, client->unserved_cost);
}

void unserved_leave(struct router *self, struct request *request)
{
    if (!list_linked(&request->unserved_link))
        return;
    const uint32_t cost = unserved_cost(request);
    list_remove(&request->unserved_link);
    request->client->unserved_cost -= cost;
    self->unserved_cost -= cost;
    unserved_rank(self, request->client);
}

/* The oldest of the client that has most. */
static struct request *unserved_victim(const struct router *self)
{
    const struct peer *client = ranking_first(&self->unserved);
    return LIST_OBJECT(list_first(&client->unserved), struct request, unserved_link);
}

/* It is counted no longer; and unless its service is served by now, it ends. */
static void unserved_drop(struct router *self, struct request *request)
{
    const struct service *service = request->service;
    unserved_leave(self, request);
    if (service_promising(service, self->now_ms))
        return;
    assert(request->attempts == 0);
    self->counts[COUNT_UNSERVED]++;
    router_tell(self, NOTE_QUEUE_FULL, request->client, service->name, service->queue.count);
    dispatch_fail(self, request, ERR_QUEUE_FULL);
}

void unserved_enter(struct router *self, struct request *request)
{
    struct peer *client = request->client;
    const uint32_t cost = unserved_cost(request);
    list_add_last(&client->unserved, &request->unserved_link);
    client->unserved_cost += cost;
    self->unserved_cost += cost;
    unserved_rank(self, client);
    while (self->unserved_cost > self->limits.unserved)
        unserved_drop(self, unserved_victim(self));
}
