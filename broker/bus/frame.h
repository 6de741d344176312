/* One frame of a message: bytes that are moved, not copied.
 *
 * It holds libzmq's own message in place, so that a frame travels from the
 * socket it came from to the one it leaves by without a copy; nothing of
 * libzmq shows here, and pure modules may use it. A frame is a value that must
 * be initialised, and closed or moved away exactly once.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_BUS_FRAME_H
#define PYGMY_BUS_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "broker/bus/limits.h"

struct frame {
    _Alignas(8) unsigned char opaque[64]; /* a zmq_msg_t (checked in frame.c) */
};

/* An empty frame, of size 0. */
void frame_init(struct frame *self);
/* A frame with a copy of @size bytes at @data. */
void frame_init_copy(struct frame *self, const void *data, size_t size);
/* A frame of @size bytes not yet written: fill frame_data_mutable(). */
void frame_init_size(struct frame *self, size_t size);
/* Take over what @from holds; @from is an empty frame afterwards. @self need not be initialised. */
void frame_move(struct frame *self, struct frame *from);
/* Share what @from holds (counted references above a few bytes): neither may be written to any
 * more. @self need not be initialised. */
void frame_share(struct frame *self, struct frame *from);
/* Take over what @from holds, and have @gone called with @arg when the last that shares it is
 * closed: libzmq has written it to its connection, or dropped it. That may be in another thread.
 * @self need not be initialised. */
typedef void frame_gone_fn(void *arg);
void frame_watch(struct frame *self, struct frame *from, frame_gone_fn *gone, void *arg);
void frame_close(struct frame *self);

const uint8_t *frame_data(const struct frame *self);
uint8_t *frame_data_mutable(struct frame *self);
size_t frame_size(const struct frame *self);
bool frame_equals(const struct frame *self, const void *data, size_t size);

/* A message: up to MESSAGE_FRAMES_MAX frames in order. The routing id of a ROUTER is not among
 * them. All @count frames are initialised. */
struct message {
    size_t count;
    struct frame frames[MESSAGE_FRAMES_MAX];
};

void message_init(struct message *self);
/* Close all frames; the message is empty and usable again. */
void message_close(struct message *self);
/* Bytes of all frames. */
size_t message_size(const struct message *self);
/* Append a copy of bytes, or a frame that is taken over. The count stays below the maximum: that
 * is the caller's to know (asserted). */
void message_add_copy(struct message *self, const void *data, size_t size);
void message_add_frame(struct message *self, struct frame *frame);

/* Send to a socket without waiting. All frames are taken over on success (the message is empty
 * then) and kept on failure. A connection that is lost in the middle of a message takes the
 * message with it, as it would have taken one that was queued: that is a success.
 *
 * @self        holds at least one frame
 * @socket      libzmq's (zsock_resolve)
 * @routing_id  the first frame for a ROUTER, or NULL; shared, never taken over
 *
 * Returns 0, ERR_BUSY (would block), ERR_WORKER_LOST (no such peer on a mandatory ROUTER), or
 * ERR_UNKNOWN (the socket is unusable). */
int message_send(struct message *self, void *socket, struct frame *routing_id);

/* Receive without waiting. A message of too many frames is read to its end and dropped.
 *
 * @self        need not be initialised; empty on failure
 * @routing_id  gets the first frame, or is NULL for a DEALER; need not be initialised, and is the
 *              caller's to close after 0 and ERR_MALFORMED, untouched otherwise
 *
 * Returns 0, ERR_BUSY (nothing there), ERR_MALFORMED (dropped), ERR_UNKNOWN. */
int message_receive(struct message *self, void *socket, struct frame *routing_id);

#endif
