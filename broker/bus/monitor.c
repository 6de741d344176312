/* See monitor.h.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/bus/monitor.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "broker/bus/alloc.h"
#include "broker/bus/clock.h"

struct monitor {
    zloop_t *loop;    /* not owned */
    zsock_t *socket;  /* not owned */
    zsock_t *reports; /* NULL: there could be none */
};

static int monitor_begin(struct monitor *self, zloop_reader_fn *lost, void *arg)
{
    char name[64]; /* libzmq forgets one with some delay: no two may be the same */
    snprintf(name, sizeof name, "inproc://monitor-%p-%" PRId64, (void *)self, clock_us());
    self->reports = zsock_new(ZMQ_PAIR);
    if (self->reports == NULL)
        return -1;
    zsock_set_linger(self->reports, 0);
    if (zmq_socket_monitor(zsock_resolve(self->socket), name, ZMQ_EVENT_DISCONNECTED) != 0 ||
        zmq_connect(zsock_resolve(self->reports), name) != 0)
        return -1;
    return zloop_reader(self->loop, self->reports, lost, arg);
}

struct monitor *monitor_new(zloop_t *loop, zsock_t *socket, zloop_reader_fn *lost, void *arg)
{
    struct monitor *self = alloc_zero(sizeof *self);
    self->loop = loop;
    self->socket = socket;
    if (monitor_begin(self, lost, arg) != 0)
        monitor_destroy(&self);
    return self;
}

void monitor_destroy(struct monitor **self_p)
{
    struct monitor *self = *self_p;
    if (self == NULL)
        return;
    /* First, because libzmq's thread would wait for ever to report to closed reports. */
    zmq_socket_monitor(zsock_resolve(self->socket), NULL, 0);
    if (self->reports != NULL) {
        zloop_reader_end(self->loop, self->reports);
        zsock_destroy(&self->reports);
    }
    free(self);
    *self_p = NULL;
}
