/* The link between the replicas of a group: one PUB socket, to which the others connect SUBs.
 *
 * Losing messages is fine, blocking is not: a message that finds no room is dropped and counted. A
 * message goes to one member, by a topic of fixed length (subscriptions match by prefix: with names
 * "catalog-1" would also get what is for "catalog-10"). Members are connected to directly, each by
 * a socket of its own, so that one that floods or is stopped costs the others nothing and all that
 * is pending of one can be dropped with its socket.
 *
 * What is for everybody, the group's streams (feed.h), leaves by other sockets, one connected to
 * each broker's relay: by the same one, a subscription to everything, which a broker passes on like
 * any other, would draw all that the replicas say to each other to that broker. They are XPUB
 * sockets: they tell which subscriptions a relay has passed on, so that nobody makes messages that
 * nobody wants. What a relay has asked for is forgotten with the connection to it; the relay that
 * comes next says it anew.
 *
 * Endpoints should be addresses, not names: libzmq looks a name up in the thread that does all the
 * work, and a resolver that does not answer would stop it.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_REPLICA_PEER_LINK_H
#define PYGMY_REPLICA_PEER_LINK_H

#include <czmq.h>

#include "broker/bus/feed.h"
#include "broker/bus/frame.h"
#include "broker/bus/metrics.h"
#include "services/replica/peer_message.h"

struct peer_link;

struct peer_link_options {
    const char *endpoint;      /* to bind the PUB at */
    const char *group;         /* "catalog" */
    const char *uuid;          /* of the cluster, 32 hexadecimal digits */
    uint64_t id;               /* of this replica */
    uint64_t start_id;         /* of this process */
    const char *const *relays; /* the brokers' endpoints for publishers */
    size_t relay_count;
    struct metrics *metrics; /* or NULL */
    /* A message came that is for this replica, of this cluster and of the member that was connected
     * to; taken over. At most PEER_TURN_MAX of one member in one turn of the loop; on_turn()
     * follows the last of them. Both may call update and send, and must not destroy the link. */
    void (*on_message)(void *arg, struct peer_message *message);
    void (*on_turn)(void *arg);
    /* Subscribers to a stream came where there were none, or its last ones went. Not called from
     * within peer_link_new() and peer_link_destroy(); must not destroy the link. NULL: nobody is
     * told. */
    void (*on_subscribers)(void *arg);
    void *arg;
};

/* Bind and register with @loop. NULL when that fails; errno says why: EINVAL for a uuid or a
 * relay's endpoint that is none, else zmq_bind(3)'s. */
struct peer_link *peer_link_new(zloop_t *loop, const struct peer_link_options *options);
/* Accepts NULL. */
void peer_link_destroy(struct peer_link **self_p);

/* Connect to who is in @membership and not yet connected, at the endpoint of its address; forget
 * who is not in it, with all of its messages that were not taken yet. Connecting goes on by itself,
 * for as long as it takes.
 *
 * Returns 0, or ERR_INVALID when the endpoint of a member is none: that member is not heard. */
int peer_link_update(struct peer_link *self, const struct membership *membership);
/* Send to message->to; from and start id are filled in. Taken over. Never waits. */
void peer_link_send(struct peer_link *self, struct peer_message *message);
/* Whether anybody has subscribed to that stream of the group, or to more than that. */
bool peer_link_has_subscribers(const struct peer_link *self, enum feed_stream stream);
/* Publish a message of it, to the relays that have subscribers to it. Never waits; a broker that is
 * RELAY_MESSAGES_MAX behind loses it. */
void peer_link_publish(struct peer_link *self, enum feed_stream stream, const void *text,
                       size_t size);

#endif
