/* The sending side of the snapshot channel: a ROUTER that gives out the bytes of the snapshots in
 * the replica's directory, piece by piece, to whoever asks for them (snapshot_message.h).
 *
 * Nothing is sent that was not asked for, one chunk for each request, so the credit is the asker's
 * own; a request that is lost, or an answer that finds no room, is asked for again. So the channel
 * keeps nothing of a fetcher but when it last asked; a fetch outlives its connection, and a new
 * process of the sender. One request is served in a turn of the loop: a read of at most
 * SNAPSHOT_CHUNK_BYTES.
 *
 * A file that was opened stays open, and so readable though it has been removed, until nobody has
 * asked for it for SNAPSHOT_FILE_IDLE_MS, or, when another one needs its place, for
 * SNAPSHOT_ASK_AGAIN_MS.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_REPLICA_SNAPSHOT_CHANNEL_H
#define PYGMY_REPLICA_SNAPSHOT_CHANNEL_H

#include <czmq.h>

#include "broker/bus/log.h"
#include "broker/bus/metrics.h"

struct snapshot_channel;

struct snapshot_channel_options {
    const char *endpoint;    /* to bind the ROUTER at */
    const char *directory;   /* the replica's: copied */
    const char *uuid;        /* of the cluster: another one's requests are dropped */
    struct log *log;         /* or NULL */
    struct metrics *metrics; /* or NULL */
};

/* Bind and register with @loop. NULL when that fails; errno says why. */
struct snapshot_channel *snapshot_channel_new(zloop_t *loop,
                                              const struct snapshot_channel_options *options);
/* Accepts NULL. */
void snapshot_channel_destroy(struct snapshot_channel **self_p);

#endif
