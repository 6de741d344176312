/* What could not be sent at once because a peer does not read: kept in order for each peer, tried
 * again later, bounded by count and bytes. The broker never waits for a peer.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_BROKER_OUTBOX_H
#define PYGMY_BROKER_OUTBOX_H

#include <stdbool.h>
#include <stddef.h>

#include "broker/bus/frame.h"

/* Send without waiting, with the contract of message_send(). */
typedef int outbox_send_fn(void *arg, struct message *message, struct frame *routing_id);

struct outbox_options {
    outbox_send_fn *send;
    void *arg;
    size_t peer_messages_max; /* 0: OUTBOX_PEER_MESSAGES_MAX */
    size_t peer_bytes_max;    /* 0: OUTBOX_PEER_BYTES_MAX */
    size_t bytes_max;         /* 0: OUTBOX_BYTES_MAX */
    size_t deaf_bytes;        /* 0: OUTBOX_DEAF_BYTES */
    size_t deaf_messages;     /* 0: OUTBOX_DEAF_MESSAGES */
};

struct outbox;

struct outbox *outbox_new(const struct outbox_options *options);
void outbox_destroy(struct outbox **self_p);

/* Send a message, or keep it behind those that already wait for the peer. It is taken over whatever
 * happens. Returns 0; ERR_BUSY when it was kept and the peer is deaf, which is to say that more
 * than .deaf_bytes of large frames, or .deaf_messages, wait for it, until outbox_heard() says
 * otherwise; or the reason why the peer counts as gone, with all that waited for it dropped:
 * ERR_WORKER_LOST (no such peer), ERR_QUEUE_FULL (a bound), ERR_UNKNOWN (the socket). At the bound
 * for all it is another peer that is gone, if another holds most: see outbox_lost(). */
int outbox_send(struct outbox *self, struct frame *routing_id, struct message *message);

/* Try again what waits, of OUTBOX_FLUSH_PEERS_MAX peers at most; those that wait longest for their
 * turn come first. Returns whether anything was sent: then more may soon be. */
bool outbox_flush(struct outbox *self);

/* After a flush, or sending: the next peer that turned out to be gone, its messages dropped.
 * @routing_id is the caller's to close. False when there is none. */
bool outbox_lost(struct outbox *self, struct frame *routing_id);

/* After a flush: the next peer that was deaf and has taken all that waited for it. @routing_id is
 * the caller's to close. False when there is none. */
bool outbox_heard(struct outbox *self, struct frame *routing_id);

/* Whether there is nothing to be flushed. */
bool outbox_idle(const struct outbox *self);
/* Bytes that wait, with the overhead that is charged for each frame; and messages. */
size_t outbox_bytes(const struct outbox *self);
size_t outbox_messages(const struct outbox *self);

#endif
