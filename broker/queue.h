/* The requests that wait for a service: in order for each client, and the clients in turn, so that
 * one that sends fifty thousand does not hold up another that sends one.
 *
 * A client's requests are a lane. A lane exists while it has requests, and lanes that exist take
 * turns, one request each, but for those of clients that are not served.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_BROKER_QUEUE_H
#define PYGMY_BROKER_QUEUE_H

#include <stdbool.h>
#include <stddef.h>

#include "broker/list.h"
#include "broker/request.h"

struct queue {
    void *lanes;       /* zhashx_t: struct peer to struct lane, owned */
    struct list turns; /* struct lane.turn_link; the first is served next */
    size_t count;
    size_t bytes;
};

/* What waits of one client in one queue. */
struct lane {
    struct queue *queue;
    struct peer *client;
    struct list requests;         /* struct request.place_link; never empty */
    struct list_link turn_link;   /* in queue->turns, while the client is served */
    struct list_link client_link; /* in client->lanes */
};

void queue_init(struct queue *self);
/* It is empty. */
void queue_close(struct queue *self);
/* Add a request at the end of its client's lane, or in front of it (one that was given out and came
 * back is older than those behind it). The request has a client and waits. */
void queue_push(struct queue *self, struct request *request, bool front);
/* Take the request whose turn it is, or return NULL when nobody has a turn. */
struct request *queue_pop(struct queue *self);
bool queue_has_turn(const struct queue *self);
/* Its client is served no more, or again. */
void queue_stop_lane(struct lane *lane);
void queue_resume_lane(struct lane *lane);
/* Take out one that is in it. */
void queue_remove(struct queue *self, struct request *request);
/* The request that has waited longest among the heads of the lanes that have turns, or NULL. For
 * displays: looks at each lane. */
const struct request *queue_oldest(const struct queue *self);

#endif
