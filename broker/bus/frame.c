/* See frame.h.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/bus/frame.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <zmq.h>

#include "broker/bus/alloc.h"
#include "broker/bus/err.h"

_Static_assert(sizeof(struct frame) == sizeof(zmq_msg_t), "a frame is a zmq_msg_t in place");
_Static_assert(_Alignof(struct frame) >= _Alignof(zmq_msg_t), "and aligned like one");

static zmq_msg_t *frame_msg(struct frame *self)
{
    return (zmq_msg_t *)(void *)self->opaque;
}

/* libzmq reads without writing, but says so in few of its prototypes. */
static zmq_msg_t *frame_msg_const(const struct frame *self)
{
    return (zmq_msg_t *)(uintptr_t)self->opaque;
}

void frame_init(struct frame *self)
{
    int rc = zmq_msg_init(frame_msg(self));
    assert(rc == 0);
    (void)rc;
}

void frame_init_size(struct frame *self, size_t size)
{
    /* The only failure is exhausted memory, which ends the process here as in alloc.c. */
    if (zmq_msg_init_size(frame_msg(self), size) != 0)
        abort();
}

void frame_init_copy(struct frame *self, const void *data, size_t size)
{
    frame_init_size(self, size);
    if (size > 0)
        memcpy(frame_data_mutable(self), data, size);
}

void frame_move(struct frame *self, struct frame *from)
{
    frame_init(self);
    int rc = zmq_msg_move(frame_msg(self), frame_msg(from));
    assert(rc == 0);
    (void)rc;
}

void frame_share(struct frame *self, struct frame *from)
{
    frame_init(self);
    int rc = zmq_msg_copy(frame_msg(self), frame_msg(from));
    assert(rc == 0);
    (void)rc;
}

struct frame_watch {
    struct frame frame;
    frame_gone_fn *gone;
    void *arg;
};

static void frame_watch_end(void *data, void *hint)
{
    struct frame_watch *watch = hint;
    (void)data;
    frame_close(&watch->frame);
    watch->gone(watch->arg);
    free(watch);
}

void frame_watch(struct frame *self, struct frame *from, frame_gone_fn *gone, void *arg)
{
    struct frame_watch *watch = alloc_zero(sizeof *watch);
    frame_move(&watch->frame, from);
    watch->gone = gone;
    watch->arg = arg;
    if (zmq_msg_init_data(frame_msg(self), frame_data_mutable(&watch->frame),
                          frame_size(&watch->frame), frame_watch_end, watch) != 0)
        abort();
}

void frame_close(struct frame *self)
{
    int rc = zmq_msg_close(frame_msg(self));
    assert(rc == 0);
    (void)rc;
}

const uint8_t *frame_data(const struct frame *self)
{
    return zmq_msg_data(frame_msg_const(self));
}

uint8_t *frame_data_mutable(struct frame *self)
{
    return zmq_msg_data(frame_msg(self));
}

size_t frame_size(const struct frame *self)
{
    return zmq_msg_size(frame_msg_const(self));
}

bool frame_equals(const struct frame *self, const void *data, size_t size)
{
    return frame_size(self) == size && (size == 0 || memcmp(frame_data(self), data, size) == 0);
}

void message_init(struct message *self)
{
    self->count = 0;
}

void message_close(struct message *self)
{
    for (size_t i = 0; i < self->count; i++)
        frame_close(&self->frames[i]);
    self->count = 0;
}

size_t message_size(const struct message *self)
{
    size_t size = 0;
    for (size_t i = 0; i < self->count; i++)
        size += frame_size(&self->frames[i]);
    return size;
}

void message_add_copy(struct message *self, const void *data, size_t size)
{
    assert(self->count < MESSAGE_FRAMES_MAX);
    frame_init_copy(&self->frames[self->count++], data, size);
}

void message_add_frame(struct message *self, struct frame *frame)
{
    assert(self->count < MESSAGE_FRAMES_MAX);
    frame_move(&self->frames[self->count++], frame);
}

/* Send one frame, which libzmq takes over on success. */
static int frame_send(struct frame *self, void *socket, bool more)
{
    int flags = ZMQ_DONTWAIT | (more ? ZMQ_SNDMORE : 0);
    int rc;
    do
        rc = zmq_msg_send(frame_msg(self), socket, flags);
    while (rc < 0 && errno == EINTR);
    if (rc >= 0)
        return 0;
    if (errno == EAGAIN)
        return ERR_BUSY;
    return errno == EHOSTUNREACH ? ERR_WORKER_LOST : ERR_UNKNOWN;
}

/* Send the first frame of all: the only one that may be refused with nothing sent. */
static int message_send_first(struct message *self, void *socket, struct frame *routing_id)
{
    if (routing_id == NULL)
        return frame_send(&self->frames[0], socket, self->count > 1);
    struct frame first;
    frame_share(&first, routing_id);
    int rc = frame_send(&first, socket, true);
    if (rc != 0)
        frame_close(&first);
    return rc;
}

int message_send(struct message *self, void *socket, struct frame *routing_id)
{
    assert(self->count > 0);
    int rc = message_send_first(self, socket, routing_id);
    if (rc != 0)
        return rc;
    /* A frame in the middle fails when the connection was lost meanwhile: libzmq has dropped what
     * it had of the message, and drops the rest until the last frame, which must be sent to it. */
    for (size_t i = routing_id == NULL ? 1 : 0; i < self->count; i++)
        (void)frame_send(&self->frames[i], socket, i + 1 < self->count);
    message_close(self);
    return 0;
}

/* Receive one frame; @self is initialised on success. */
static int frame_receive(struct frame *self, void *socket)
{
    frame_init(self);
    int rc;
    do
        rc = zmq_msg_recv(frame_msg(self), socket, ZMQ_DONTWAIT);
    while (rc < 0 && errno == EINTR);
    if (rc >= 0)
        return 0;
    rc = errno == EAGAIN ? ERR_BUSY : ERR_UNKNOWN;
    frame_close(self);
    return rc;
}

/* Read the frames that follow, as many as fit; more are read and dropped. @more: there are any. */
static int message_receive_rest(struct message *self, void *socket, bool more)
{
    int rc = 0;
    while (more) {
        struct frame frame;
        /* The frames of a message arrive together, so that this can't be ERR_BUSY. */
        if (frame_receive(&frame, socket) != 0)
            return ERR_UNKNOWN;
        more = zmq_msg_more(frame_msg(&frame));
        if (self->count < MESSAGE_FRAMES_MAX) {
            message_add_frame(self, &frame);
        } else {
            frame_close(&frame);
            rc = ERR_MALFORMED;
        }
    }
    return rc;
}

int message_receive(struct message *self, void *socket, struct frame *routing_id)
{
    struct frame first;
    message_init(self);
    int rc = frame_receive(&first, socket);
    if (rc != 0)
        return rc;
    bool more = zmq_msg_more(frame_msg(&first));
    if (routing_id == NULL)
        message_add_frame(self, &first);
    rc = message_receive_rest(self, socket, more);
    if (rc != 0)
        message_close(self);
    if (routing_id != NULL && rc != ERR_UNKNOWN)
        frame_move(routing_id, &first);
    else if (routing_id != NULL)
        frame_close(&first);
    return rc;
}
