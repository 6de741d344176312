/* See cached_feed.h.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "client/store/cached_feed.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "broker/bus/alarm.h"
#include "broker/bus/alloc.h"
#include "broker/bus/clock.h"
#include "broker/bus/feed.h"
#include "broker/bus/limits.h"
#include "broker/bus/monitor.h"
#include "client/store/feed_socket.h"

/* The group whose leader gives leases. */
static const char feed_topic[] = FEED_TOPIC_LEASES "catalog";

struct cached_feed {
    zloop_t *loop;
    const struct cached_feed_owner *owner;
    void *arg;
    char **endpoints;
    size_t count;
    size_t place;            /* of the present one */
    zsock_t *socket;         /* SUB; NULL: during the pause after a loss */
    struct monitor *monitor; /* of the socket; lives as long as that */
    struct alarm *alarm;     /* for the end of the pause */
    int64_t opened_ms;
};

/* ---- Receiving ------------------------------------------------------------------------------- */

static void feed_take(void *arg, json_t *message, size_t size)
{
    struct cached_feed *self = arg;
    (void)size;
    self->owner->hear(self->arg, message);
}

static int feed_ready(zloop_t *loop, zsock_t *reader, void *arg)
{
    struct cached_feed *self = arg;
    (void)loop;
    feed_socket_read(reader, feed_topic, CACHE_FEED_TURN_MAX, feed_take, self);
    self->owner->drained(self->arg);
    return 0;
}

/* ---- Connections ----------------------------------------------------------------------------- */

static void feed_close(struct cached_feed *self)
{
    monitor_destroy(&self->monitor);
    if (self->socket == NULL)
        return;
    zloop_reader_end(self->loop, self->socket);
    zsock_destroy(&self->socket);
}

/* The connection has ended. libzmq would make another one behind our back, and say nothing of what
 * was missed. What had arrived before is still good: while there is some of it the report stays. */
static int feed_lose(zloop_t *loop, zsock_t *reports, void *arg)
{
    struct cached_feed *self = arg;
    (void)loop;
    (void)reports;
    if ((zsock_events(self->socket) & ZMQ_POLLIN) != 0)
        return 0;
    feed_close(self);
    self->place = (self->place + 1) % self->count;
    alarm_set(self->alarm, self->opened_ms + CACHE_FEED_PAUSE_MS);
    self->owner->lost(self->arg);
    self->owner->drained(self->arg);
    return 0;
}

static int feed_connect(struct cached_feed *self)
{
    self->socket = feed_socket_new(feed_topic, CACHE_FEED_QUEUE_MAX);
    if (self->socket == NULL)
        return -1;
    if (zloop_reader(self->loop, self->socket, feed_ready, self) != 0)
        return -1;
    self->monitor = monitor_new(self->loop, self->socket, feed_lose, self);
    if (self->monitor == NULL)
        return -1;
    return zsock_connect(self->socket, "%s", self->endpoints[self->place]);
}

/* What can't be opened now may be later; or the next one. */
static void feed_open(struct cached_feed *self)
{
    self->opened_ms = clock_ms();
    if (feed_connect(self) == 0)
        return;
    feed_close(self);
    self->place = (self->place + 1) % self->count;
    alarm_set(self->alarm, self->opened_ms + CACHE_FEED_PAUSE_MS);
}

static void feed_rang(void *arg)
{
    struct cached_feed *self = arg;
    if (self->socket == NULL)
        feed_open(self);
}

void cached_feed_next(struct cached_feed *self)
{
    feed_close(self);
    self->place = (self->place + 1) % self->count;
    feed_open(self);
}

/* ---- Life ------------------------------------------------------------------------------------ */

struct cached_feed *cached_feed_new(zloop_t *loop, const char *const *endpoints, size_t count,
                                    const struct cached_feed_owner *owner, void *arg)
{
    struct cached_feed *self = alloc_zero(sizeof *self);
    assert(count > 0);
    self->loop = loop;
    self->owner = owner;
    self->arg = arg;
    self->endpoints = alloc_zero(count * sizeof *self->endpoints);
    for (; self->count < count; self->count++)
        self->endpoints[self->count] =
            alloc_copy(endpoints[self->count], strlen(endpoints[self->count]));
    self->alarm = alarm_new(loop, feed_rang, self);
    feed_open(self);
    return self;
}

void cached_feed_destroy(struct cached_feed **self_p)
{
    struct cached_feed *self = *self_p;
    if (self == NULL)
        return;
    feed_close(self);
    alarm_destroy(&self->alarm);
    for (size_t i = 0; i < self->count; i++)
        free(self->endpoints[i]);
    free(self->endpoints);
    free(self);
    *self_p = NULL;
}
