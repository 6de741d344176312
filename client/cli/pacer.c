/* Beats at a fixed rate: a periodic timerfd among the loop's pollers.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "client/cli/pacer.h"

#include <assert.h>
#include <stdlib.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "broker/bus/alloc.h"
#include "broker/bus/clock.h"

#define NS_PER_SECOND 1000000000
#define NS_PER_US     1000

struct pacer {
    zloop_t *loop;
    zmq_pollitem_t item; /* the timerfd */
    int64_t begin_us;    /* beat 0 */
    int64_t period_ns;
    pacer_fn *handler;
    void *arg;
};

static int pacer_beats(zloop_t *loop, zmq_pollitem_t *item, void *arg)
{
    struct pacer *self = arg;
    uint64_t count;
    (void)loop;
    if (read(item->fd, &count, sizeof count) == (ssize_t)sizeof count)
        self->handler(self->arg, count);
    return 0;
}

static struct timespec pacer_time(int64_t ns)
{
    return (struct timespec){.tv_sec = ns / NS_PER_SECOND, .tv_nsec = ns % NS_PER_SECOND};
}

struct pacer *pacer_new(zloop_t *loop, double rate, pacer_fn *handler, void *arg)
{
    assert(rate > 0 && rate <= PACER_RATE_MAX);
    struct pacer *self = alloc_zero(sizeof *self);
    int fd = timerfd_create(CLOCK_BOOTTIME, TFD_NONBLOCK | TFD_CLOEXEC);
    if (fd == -1) {
        perror("timerfd_create");
        abort();
    }
    self->loop = loop;
    self->item = (zmq_pollitem_t){.fd = fd, .events = ZMQ_POLLIN};
    self->begin_us = clock_us();
    self->period_ns = (int64_t)(NS_PER_SECOND / rate);
    self->handler = handler;
    self->arg = arg;
    struct itimerspec setting = {.it_value = pacer_time(self->begin_us * NS_PER_US),
                                 .it_interval = pacer_time(self->period_ns)};
    int rc = timerfd_settime(fd, TFD_TIMER_ABSTIME, &setting, NULL);
    assert(rc == 0);
    rc = zloop_poller(loop, &self->item, pacer_beats, self);
    assert(rc == 0);
    return self;
}

void pacer_destroy(struct pacer **self_p)
{
    struct pacer *self = *self_p;
    if (self == NULL)
        return;
    zloop_poller_end(self->loop, &self->item);
    close(self->item.fd);
    free(self);
    *self_p = NULL;
}

int64_t pacer_due_us(const struct pacer *self, uint64_t number)
{
    return self->begin_us + (int64_t)number * self->period_ns / NS_PER_US;
}
