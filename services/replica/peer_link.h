/* The link between the replicas of a group: one PUB socket, to which the others' SUB sockets connect.
 *
 * Losing messages is fine, blocking is not: a message that finds no room is dropped and counted. A
 * message goes to one member, by a topic of fixed length (subscriptions match by prefix: with names
 * "catalog-1" would also get what is for "catalog-10"). Members are connected to directly, each by a
 * socket of its own, so that one that floods or is stopped costs the others nothing and all that is
 * pending of one can be dropped with its socket.
 *
 * The same PUB socket carries what is for everybody (feed.h); brokers connect their XSUB to it, or
 * it to theirs.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_REPLICA_PEER_LINK_H
#define PYGMY_REPLICA_PEER_LINK_H

#include <czmq.h>

#include "broker/bus/metrics.h"
#include "services/replica/peer_message.h"

struct peer_link;

struct peer_link_options {
    const char *endpoint;    /* to bind the PUB at */
    const char *group;       /* "catalog" */
    const char *uuid;        /* of the cluster, as text */
    uint64_t id;             /* of this replica */
    uint64_t start_id;       /* of this process */
    struct metrics *metrics; /* or NULL */
    /* A message came that is for this replica, of this cluster; taken over. At most PEER_TURN_MAX of
     * one member in one turn of the loop; on_turn() follows the last of a turn. */
    void (*on_message)(void *arg, struct peer_message *message);
    void (*on_turn)(void *arg);
    void *arg;
};

/* Bind and register with @loop. NULL when that fails; errno says why. */
struct peer_link *peer_link_new(zloop_t *loop, const struct peer_link_options *options);
void peer_link_destroy(struct peer_link **self_p);

/* Connect to who is in @membership and not yet connected, at the endpoint of its address; forget who
 * is not in it. */
void peer_link_update(struct peer_link *self, const struct membership *membership);
/* Send to message->to; from and start id are filled in. Taken over. Never waits. */
void peer_link_send(struct peer_link *self, struct peer_message *message);

#endif
