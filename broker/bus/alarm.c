/* See alarm.h.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/bus/alarm.h"

#include <assert.h>
#include <stdlib.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "broker/bus/alloc.h"

struct alarm {
    zloop_t *loop; /* not owned */
    alarm_fn *handler;
    void *arg;
    int fd;
};

static int alarm_ready(zloop_t *loop, zmq_pollitem_t *item, void *arg)
{
    struct alarm *self = arg;
    uint64_t expirations;

    (void)loop;
    (void)item;
    /* Nothing to read: it was set anew in this turn, after it had gone off. */
    if (read(self->fd, &expirations, sizeof expirations) != sizeof expirations)
        return 0;
    self->handler(self->arg);
    return 0;
}

struct alarm *alarm_new(zloop_t *loop, alarm_fn *handler, void *arg)
{
    struct alarm *self = alloc_zero(sizeof *self);
    self->loop = loop;
    self->handler = handler;
    self->arg = arg;
    self->fd = timerfd_create(CLOCK_BOOTTIME, TFD_NONBLOCK | TFD_CLOEXEC);
    assert(self->fd >= 0);
    zmq_pollitem_t item = {NULL, self->fd, ZMQ_POLLIN, 0};
    int rc = zloop_poller(loop, &item, alarm_ready, self);
    assert(rc == 0);
    (void)rc;
    return self;
}

void alarm_destroy(struct alarm **self_p)
{
    struct alarm *self = *self_p;
    if (self == NULL)
        return;
    zmq_pollitem_t item = {NULL, self->fd, ZMQ_POLLIN, 0};
    zloop_poller_end(self->loop, &item);
    close(self->fd);
    free(self);
    *self_p = NULL;
}

void alarm_set(struct alarm *self, int64_t at_ms)
{
    struct itimerspec when = {0};

    /* All zeroes would turn it off: the earliest time is the first nanosecond. */
    if (at_ms <= 0) {
        when.it_value.tv_nsec = 1;
    } else {
        when.it_value.tv_sec = (time_t)(at_ms / 1000);
        when.it_value.tv_nsec = (long)(at_ms % 1000) * 1000000;
    }
    int rc = timerfd_settime(self->fd, TFD_TIMER_ABSTIME, &when, NULL);
    assert(rc == 0);
    (void)rc;
}
