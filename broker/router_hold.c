/* Clients that are not served for the moment: those that may turn out not to read.
 *
 * A worker takes its requests in order: what one client has there delays everybody. Whether a
 * client reads is only known after it got some answers, and by then it might have all of a worker's
 * credit. So two kinds of clients are held, which is to say that their requests wait:
 *
 *   full    a new client has CLIENT_NEW_CREDIT requests, at most, with workers that take several
 *           at once. It is new until it got CLIENT_NEW_ANSWERS answers, or was full for
 *           CLIENT_NEW_MS: then work takes long, and nothing is known by waiting. Workers that take
 *           one request at a time don't count: those are as many as there is work for them.
 *   loaded  large answers of this very turn are yet to be sent to it.
 *
 * Held clients are released when all that the turn brought is sent. Who reads is past both within a
 * few ms of its life.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>

#include "broker/bus/limits.h"
#include "broker/router_state.h"

void hold_stop_lanes(struct peer *client)
{
    for (struct list_link *link = list_first(&client->lanes); link != NULL;
         link = list_after(&client->lanes, link))
        queue_stop_lane(LIST_OBJECT(link, struct lane, client_link));
}

void hold_resume_lanes(struct router *self, struct peer *client)
{
    struct list_link *link;
    /* First all: a pump may end a lane, or stop the others again. */
    for (link = list_first(&client->lanes); link != NULL; link = list_after(&client->lanes, link))
        queue_resume_lane(LIST_OBJECT(link, struct lane, client_link));
    struct list_link *next;
    for (link = list_first(&client->lanes); link != NULL; link = next) {
        struct lane *lane = LIST_OBJECT(link, struct lane, client_link);
        const struct list_link *first = list_first(&lane->requests);
        next = list_after(&client->lanes, link);
        dispatch_pump(self, LIST_OBJECT(first, struct request, place_link)->service);
    }
}

static bool hold_is_full(const struct router *self, const struct peer *client)
{
    return !client->settled && client->shared_count >= self->limits.new_credit;
}

static void hold(struct peer *client, struct list *list)
{
    list_remove(&client->held_link);
    list_add_last(list, &client->held_link);
    if (!client->held)
        hold_stop_lanes(client);
    client->held = true;
}

void hold_answered(struct router *self, struct peer *client, size_t bytes)
{
    if (!client->settled && ++client->answered >= CLIENT_NEW_ANSWERS)
        client->settled = true;
    if (bytes >= OUTBOX_LARGE_BYTES)
        client->posted_bytes += bytes;
    if (client->posted_bytes > OUTBOX_DEAF_BYTES)
        hold(client, &self->held);
}

void hold_given(struct router *self, struct request *request)
{
    struct peer *client = request->client;
    if (request->worker->credit <= 1)
        return;
    request->shared = true;
    client->shared_count++;
    if (!hold_is_full(self, client) || client->held)
        return;
    client->full_ms = self->now_ms;
    hold(client, &self->full);
}

void hold_returned(struct router *self, struct request *request)
{
    struct peer *client = request->client;
    if (!request->shared || client == NULL)
        return;
    request->shared = false;
    client->shared_count--;
    if (client->held && !hold_is_full(self, client))
        hold(client, &self->held);
}

static void hold_end(struct router *self, struct peer *client)
{
    list_remove(&client->held_link);
    client->held = false;
    client->posted_bytes = 0;
    if (peer_is_served(client))
        hold_resume_lanes(self, client);
}

void hold_release(struct router *self)
{
    struct list_link *link;
    while ((link = list_first(&self->held)) != NULL) {
        struct peer *client = LIST_OBJECT(link, struct peer, held_link);
        if (!hold_is_full(self, client)) {
            hold_end(self, client);
            continue;
        }
        client->full_ms = self->now_ms;
        client->posted_bytes = 0;
        hold(client, &self->full);
    }
}

void hold_tick(struct router *self)
{
    struct list_link *link;
    while ((link = list_first(&self->full)) != NULL) {
        struct peer *client = LIST_OBJECT(link, struct peer, held_link);
        if (self->now_ms - client->full_ms < CLIENT_NEW_MS)
            return;
        client->settled = true;
        hold_end(self, client);
    }
}
