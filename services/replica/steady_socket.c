/* See steady_socket.h.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "services/replica/steady_socket.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/bus/alarm.h"
#include "broker/bus/alloc.h"
#include "broker/bus/clock.h"
#include "broker/bus/limits.h"

struct steady_socket {
    zloop_t *loop; /* not owned */
    char *endpoint;
    steady_socket_make_fn *make;
    zloop_reader_fn *read; /* or NULL */
    void *arg;
    struct alarm *alarm; /* for the end of the pause after a loss */
    zsock_t *socket;     /* NULL: during the pause */
    zsock_t *monitor;    /* libzmq's reports on it; lives as long as that */
};

static void steady_close(struct steady_socket *self)
{
    if (self->socket != NULL) {
        if (self->read != NULL)
            zloop_reader_end(self->loop, self->socket);
        /* First, because libzmq's thread would wait for ever to report to a closed monitor. */
        zmq_socket_monitor(zsock_resolve(self->socket), NULL, 0);
        zsock_destroy(&self->socket);
    }
    if (self->monitor != NULL) {
        zloop_reader_end(self->loop, self->monitor);
        zsock_destroy(&self->monitor);
    }
}

/* The connection is lost; libzmq may be about to try again, or not. What had arrived before is still
 * good: while there is some of it the report stays, so that its reader has a turn and then this. */
static int steady_lose(zloop_t *loop, zsock_t *monitor, void *arg)
{
    struct steady_socket *self = arg;

    (void)loop;
    (void)monitor;
    if (self->read != NULL && (zsock_events(self->socket) & ZMQ_POLLIN) != 0)
        return 0;
    steady_close(self);
    alarm_set(self->alarm, clock_ms() + PEER_RECONNECT_MS);
    return 0;
}

static int steady_watch(struct steady_socket *self)
{
    char name[64]; /* libzmq forgets one with some delay: no two may be the same */
    snprintf(name, sizeof name, "inproc://steady-%p-%" PRId64, (void *)self, clock_us());
    self->monitor = zsock_new(ZMQ_PAIR);
    if (self->monitor == NULL)
        return -1;
    zsock_set_linger(self->monitor, 0);
    if (zmq_socket_monitor(zsock_resolve(self->socket), name, ZMQ_EVENT_DISCONNECTED) != 0)
        return -1;
    if (zmq_connect(zsock_resolve(self->monitor), name) != 0)
        return -1;
    return zloop_reader(self->loop, self->monitor, steady_lose, self);
}

static int steady_open(struct steady_socket *self)
{
    self->socket = self->make(self->arg);
    if (self->read != NULL)
        zloop_reader(self->loop, self->socket, self->read, self->arg);
    if (steady_watch(self) == 0 && zsock_connect(self->socket, "%s", self->endpoint) == 0)
        return 0;
    steady_close(self);
    return -1;
}

/* The pause is over. What could be opened once, can be again, if not now. */
static void steady_open_again(void *arg)
{
    struct steady_socket *self = arg;
    if (steady_open(self) != 0)
        alarm_set(self->alarm, clock_ms() + PEER_RECONNECT_MS);
}

struct steady_socket *steady_socket_new(zloop_t *loop, const char *endpoint,
                                        steady_socket_make_fn *make, zloop_reader_fn *read,
                                        void *arg)
{
    struct steady_socket *self = alloc_zero(sizeof *self);
    self->loop = loop;
    self->endpoint = alloc_copy(endpoint, strlen(endpoint));
    self->make = make;
    self->read = read;
    self->arg = arg;
    self->alarm = alarm_new(loop, steady_open_again, self);
    if (steady_open(self) != 0)
        steady_socket_destroy(&self);
    return self;
}

void steady_socket_destroy(struct steady_socket **self_p)
{
    struct steady_socket *self = *self_p;
    if (self == NULL)
        return;
    steady_close(self);
    alarm_destroy(&self->alarm);
    free(self->endpoint);
    free(self);
    *self_p = NULL;
}

zsock_t *steady_socket_now(const struct steady_socket *self)
{
    return self->socket;
}
