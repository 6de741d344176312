/* See relay.h.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/relay.h"

#include <assert.h>

#include "broker/bus/alloc.h"
#include "broker/bus/err.h"
#include "broker/bus/feed.h"
#include "broker/bus/frame.h"
#include "broker/bus/limits.h"
#include "broker/bus/probe.h"

struct relay {
    zloop_t *loop;
    zsock_t *publishers;  /* XSUB */
    zsock_t *subscribers; /* XPUB; says so when a subscriber's queue is full */
    struct relay_counts counts;
};

/* To the subscribers. One whose queue is full loses the message, the others don't: libzmq says that
 * there is one only while it is told not to drop, and drops only when it is not. */
static void relay_publish(struct relay *self, struct message *message)
{
    void *socket = zsock_resolve(self->subscribers);
    if (message_send(message, socket, NULL) == ERR_BUSY) {
        self->counts.dropped++;
        zsock_set_xpub_nodrop(self->subscribers, 0);
        (void)message_send(message, socket, NULL);
        zsock_set_xpub_nodrop(self->subscribers, 1);
    }
    self->counts.relayed++;
}

/* To all publishers. */
static void relay_subscribe(struct relay *self, struct message *message)
{
    (void)message_send(message, zsock_resolve(self->publishers), NULL);
}

static bool relay_is_private(const struct frame *frame, size_t topic_at)
{
    return frame_size(frame) > topic_at && frame_data(frame)[topic_at] == FEED_TOPIC_PRIVATE;
}

/* Hand on what has come by a socket, a turn's worth; the topic is at @topic_at of the first frame. */
static void relay_drain(struct relay *self, zsock_t *reader, size_t topic_at,
                        void (*hand_on)(struct relay *self, struct message *message))
{
    for (int i = 0; i < TURN_MESSAGES_MAX; i++) {
        struct message message;
        const int rc = message_receive(&message, zsock_resolve(reader), NULL);
        if (rc == ERR_BUSY)
            return;
        if (rc == 0 && !relay_is_private(&message.frames[0], topic_at))
            hand_on(self, &message);
        else
            self->counts.refused++;
        message_close(&message);
    }
}

static int relay_from_publishers(zloop_t *loop, zsock_t *reader, void *arg)
{
    (void)loop;
    relay_drain(arg, reader, 0, relay_publish);
    return 0;
}

/* A subscription is one frame: 1 or 0 (no more), then the topic's beginning. */
static int relay_from_subscribers(zloop_t *loop, zsock_t *reader, void *arg)
{
    (void)loop;
    relay_drain(arg, reader, 1, relay_subscribe);
    return 0;
}

static zsock_t *relay_bind(int type, const char *endpoint, const char **failed)
{
    zsock_t *socket = zsock_new(type);
    assert(socket != NULL);
    zsock_set_linger(socket, 0);
    zsock_set_sndhwm(socket, RELAY_MESSAGES_MAX);
    zsock_set_rcvhwm(socket, RELAY_MESSAGES_MAX);
    zsock_set_maxmsgsize(socket, MESSAGE_BYTES_MAX);
    probe_connections(socket);
    if (type == ZMQ_XPUB)
        zsock_set_xpub_nodrop(socket, 1);
    if (zsock_bind(socket, "%s", endpoint) >= 0)
        return socket;
    const int reason = errno;
    zsock_destroy(&socket);
    errno = reason;
    if (failed != NULL)
        *failed = endpoint;
    return NULL;
}

struct relay *relay_new(zloop_t *loop, const char *publish, const char *subscribe,
                        const char **failed)
{
    struct relay *self = alloc_zero(sizeof *self);
    self->loop = loop;
    self->publishers = relay_bind(ZMQ_XSUB, publish, failed);
    if (self->publishers != NULL)
        self->subscribers = relay_bind(ZMQ_XPUB, subscribe, failed);
    if (self->subscribers == NULL) {
        const int reason = errno;
        relay_destroy(&self);
        errno = reason;
        return NULL;
    }
    zloop_reader(loop, self->publishers, relay_from_publishers, self);
    zloop_reader(loop, self->subscribers, relay_from_subscribers, self);
    return self;
}

void relay_destroy(struct relay **self_p)
{
    struct relay *self = *self_p;
    if (self == NULL)
        return;
    if (self->publishers != NULL)
        zloop_reader_end(self->loop, self->publishers);
    if (self->subscribers != NULL)
        zloop_reader_end(self->loop, self->subscribers);
    zsock_destroy(&self->publishers);
    zsock_destroy(&self->subscribers);
    free(self);
    *self_p = NULL;
}

struct relay_counts relay_counts(const struct relay *self)
{
    return self->counts;
}
