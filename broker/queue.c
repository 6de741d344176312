/* See queue.h.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/queue.h"

#include <assert.h>
#include <czmq.h>
#include <stdlib.h>

#include "broker/bus/alloc.h"
#include "broker/peer.h"

/* The key is the client's address itself; its low bits are always zero. */
static size_t queue_key_hash(const void *key)
{
    const uint64_t mixed = (uint64_t)(uintptr_t)key * 0x9e3779b97f4a7c15u;
    return (size_t)(mixed >> 32);
}

static int queue_key_compare(const void *one, const void *other)
{
    return one != other;
}

void queue_init(struct queue *self)
{
    *self = (struct queue){0};
    zhashx_t *lanes = zhashx_new();
    zhashx_set_key_duplicator(lanes, NULL);
    zhashx_set_key_destructor(lanes, NULL);
    zhashx_set_key_hasher(lanes, queue_key_hash);
    zhashx_set_key_comparator(lanes, queue_key_compare);
    self->lanes = lanes;
    list_init(&self->turns);
}

void queue_close(struct queue *self)
{
    assert(self->count == 0);
    assert(self->bytes == 0);
    zhashx_t *lanes = self->lanes;
    zhashx_destroy(&lanes);
    self->lanes = NULL;
}

static struct lane *queue_lane(struct queue *self, struct peer *client)
{
    struct lane *lane = zhashx_lookup(self->lanes, client);
    if (lane != NULL)
        return lane;
    lane = alloc_zero(sizeof *lane);
    lane->queue = self;
    lane->client = client;
    list_init(&lane->requests);
    list_add_last(&client->lanes, &lane->client_link);
    if (peer_is_served(client))
        list_add_last(&self->turns, &lane->turn_link);
    int rc = zhashx_insert(self->lanes, client, lane);
    assert(rc == 0);
    (void)rc;
    return lane;
}

void queue_push(struct queue *self, struct request *request, bool front)
{
    assert(request->client != NULL);
    assert(request->state == REQUEST_WAITING);
    request->lane = queue_lane(self, request->client);
    if (front)
        list_add_first(&request->lane->requests, &request->place_link);
    else
        list_add_last(&request->lane->requests, &request->place_link);
    self->count++;
    self->bytes += request->bytes;
}

void queue_remove(struct queue *self, struct request *request)
{
    struct lane *lane = request->lane;
    list_remove(&request->place_link);
    request->lane = NULL;
    self->count--;
    self->bytes -= request->bytes;
    if (list_empty(&lane->requests)) {
        list_remove(&lane->turn_link);
        list_remove(&lane->client_link);
        zhashx_delete(self->lanes, lane->client);
        free(lane);
    }
}

struct request *queue_pop(struct queue *self)
{
    struct list_link *turn = list_first(&self->turns);
    if (turn == NULL)
        return NULL;
    struct lane *lane = LIST_OBJECT(turn, struct lane, turn_link);
    list_remove(turn);
    list_add_last(&self->turns, turn);
    struct list_link *link = list_first(&lane->requests);
    struct request *request = LIST_OBJECT(link, struct request, place_link);
    queue_remove(self, request);
    return request;
}

bool queue_has_turn(const struct queue *self)
{
    return !list_empty(&self->turns);
}

void queue_stop_lane(struct lane *lane)
{
    list_remove(&lane->turn_link);
}

void queue_resume_lane(struct lane *lane)
{
    list_add_last(&lane->queue->turns, &lane->turn_link);
}

const struct request *queue_oldest(const struct queue *self)
{
    const struct request *oldest = NULL;
    for (const struct list_link *turn = list_first(&self->turns); turn != NULL;
         turn = list_after(&self->turns, turn)) {
        const struct lane *lane = LIST_OBJECT(turn, struct lane, turn_link);
        const struct request *head =
            LIST_OBJECT(list_first(&lane->requests), struct request, place_link);
        if (oldest == NULL || head->accepted_ms < oldest->accepted_ms)
            oldest = head;
    }
    return oldest;
}
