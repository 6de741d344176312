/* A clock and alarms that a test plays, in the place of the real ones: for test programs that have
 * one alarm at a time. The test sets `now`, and calls the handler of `the_alarm` when it is due.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_TESTS_PLAYED_CLOCK_H
#define PYGMY_TESTS_PLAYED_CLOCK_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "broker/bus/alarm.h"
#include "broker/bus/alloc.h"
#include "broker/bus/clock.h"

static int64_t now = 1000000;

int64_t clock_ms(void)
{
    return now;
}

int64_t clock_us(void)
{
    return 1000 * now;
}

int64_t clock_wall_ms(void)
{
    return now;
}

char *clock_text(int64_t wall_ms, char *text)
{
    (void)snprintf(text, CLOCK_TEXT_BYTES, "%lld", (long long)wall_ms);
    return text;
}

struct alarm {
    alarm_fn *handler;
    void *arg;
    int64_t at_ms; /* INT64_MAX: off */
};

static struct alarm *the_alarm;

struct alarm *alarm_new(zloop_t *loop, alarm_fn *handler, void *arg)
{
    (void)loop;
    the_alarm = alloc_zero(sizeof *the_alarm);
    *the_alarm = (struct alarm){handler, arg, INT64_MAX};
    return the_alarm;
}

void alarm_destroy(struct alarm **self_p)
{
    free(*self_p);
    *self_p = NULL;
}

void alarm_set(struct alarm *self, int64_t at_ms)
{
    self->at_ms = at_ms;
}

#endif
