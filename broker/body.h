/* The body of a request or reply: frames that travel from the socket they came from to the one they
 * leave by. The extension has one frame, plain Majordomo any number.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_BROKER_BODY_H
#define PYGMY_BROKER_BODY_H

#include <stddef.h>

#include "broker/bus/bytes.h"
#include "broker/bus/frame.h"

/* Zeroed: a body without frames, which needs no closing. */
struct body {
    size_t count;       /* frames */
    size_t bytes;       /* of all frames */
    struct frame first; /* initialised when count > 0 */
    struct frame *rest; /* count - 1 further ones, own memory; NULL when there are none */
};

/* Each makes @self anew from what it is given; @self is zeroed or closed before. */
void body_take_message(struct body *self, struct message *message, size_t from); /* moves frames */
void body_take_frame(struct body *self, struct frame *frame);                    /* moves it */
void body_copy_bytes(struct body *self, const void *data, size_t size);
void body_share(struct body *self, struct body *from); /* see frame_share */
void body_move(struct body *self, struct body *from);  /* @from is zeroed */

/* Make it exactly one frame, by copying when it is not one already. */
void body_join(struct body *self);

/* Copy small frames into memory of their own. What was received in one piece with other messages
 * holds all of them in memory (libzmq's receive buffer is 8 KiB); what waits must not. */
void body_settle(struct body *self);

/* Move all frames to the end of @message. There is room (the caller's to know). */
void body_add_to(struct body *self, struct message *message);

/* Append a copy of all bytes. */
void body_write(const struct body *self, struct bytes_writer *writer);

void body_close(struct body *self);

#endif
