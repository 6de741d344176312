/* A way to end a zloop: an eventfd whose handler returns -1.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "client/store/loop_end.h"

#include <assert.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "broker/bus/alloc.h"

struct loop_end {
    zloop_t *loop;
    zmq_pollitem_t item; /* the eventfd */
};

static int loop_end_rang(zloop_t *loop, zmq_pollitem_t *item, void *arg)
{
    eventfd_t count;
    (void)loop;
    (void)arg;
    return eventfd_read(item->fd, &count) == 0 ? -1 : 0;
}

struct loop_end *loop_end_new(zloop_t *loop)
{
    struct loop_end *self = alloc_zero(sizeof *self);
    int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (fd == -1) {
        perror("eventfd");
        abort();
    }
    self->loop = loop;
    self->item = (zmq_pollitem_t){.fd = fd, .events = ZMQ_POLLIN};
    int rc = zloop_poller(loop, &self->item, loop_end_rang, self);
    assert(rc == 0);
    return self;
}

void loop_end_destroy(struct loop_end **self_p)
{
    struct loop_end *self = *self_p;
    if (self == NULL)
        return;
    zloop_poller_end(self->loop, &self->item);
    close(self->item.fd);
    free(self);
    *self_p = NULL;
}

void loop_end_now(struct loop_end *self)
{
    int rc = eventfd_write(self->item.fd, 1);
    assert(rc == 0);
}
