/* What is to be sent to a peer at the end of the turn, before it has the form of a message: a
 * plain peer gets one message for each parcel, one of ours as many parcels in a message as are
 * there.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_BROKER_PARCEL_H
#define PYGMY_BROKER_PARCEL_H

#include <stdbool.h>
#include <stdint.h>

#include "broker/body.h"
#include "broker/bus/frame.h"
#include "broker/bus/pack.h"
#include "broker/list.h"
#include "broker/peer.h"

struct parcel {
    struct list_link link;      /* in peer->parcels */
    enum pack_command command;  /* a plain peer gets those that its protocol has words for */
    bool partial;               /* a REPLY that is not the last (0.2) */
    struct mdp_dialect dialect; /* to a plain peer: the peer's, or the one its request came in */
    uint8_t flags;
    uint16_t status;
    uint16_t attempt;
    uint32_t number;
    uint64_t correlation; /* for a plain worker, the client's address */
    struct frame name;    /* of the service, empty where there is none */
    struct body body;     /* for a peer of ours one frame, or none */
};

/* A parcel at the end of @peer's, zeroed but for the command; @name is shared, or NULL. */
struct parcel *parcel_add(struct peer *peer, enum pack_command command, struct frame *name);

/* Make a message of the first parcels of @peer, which has some, and free those. @message is
 * initialised here. */
void parcel_write(struct peer *peer, struct message *message);

/* Free all parcels of @peer. */
void parcel_drop_all(struct peer *peer);

#endif
