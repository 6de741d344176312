/* See steady_socket.h.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "services/replica/steady_socket.h"

#include <stdlib.h>
#include <string.h>

#include "broker/bus/alarm.h"
#include "broker/bus/alloc.h"
#include "broker/bus/clock.h"
#include "broker/bus/limits.h"
#include "broker/bus/monitor.h"

struct steady_socket {
    zloop_t *loop; /* not owned */
    char *endpoint;
    steady_socket_make_fn *make;
    zloop_reader_fn *read; /* or NULL */
    void *arg;
    struct alarm *alarm;     /* for the end of the pause after a loss */
    zsock_t *socket;         /* NULL: during the pause */
    struct monitor *monitor; /* of the socket; lives as long as that */
};

static void steady_close(struct steady_socket *self)
{
    monitor_destroy(&self->monitor);
    if (self->socket == NULL)
        return;
    if (self->read != NULL)
        zloop_reader_end(self->loop, self->socket);
    zsock_destroy(&self->socket);
}

/* The connection is lost; libzmq may be about to try again, or not. What had arrived before is still
 * good: while there is some of it the report stays, so that its reader has a turn and then this. */
static int steady_lose(zloop_t *loop, zsock_t *reports, void *arg)
{
    struct steady_socket *self = arg;

    (void)loop;
    (void)reports;
    if (self->read != NULL && (zsock_events(self->socket) & ZMQ_POLLIN) != 0)
        return 0;
    steady_close(self);
    alarm_set(self->alarm, clock_ms() + PEER_RECONNECT_MS);
    return 0;
}

static int steady_open(struct steady_socket *self)
{
    self->socket = self->make(self->arg);
    if (self->read != NULL)
        zloop_reader(self->loop, self->socket, self->read, self->arg);
    self->monitor = monitor_new(self->loop, self->socket, steady_lose, self);
    if (self->monitor != NULL && zsock_connect(self->socket, "%s", self->endpoint) == 0)
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
