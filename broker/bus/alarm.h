/* An alarm: a handler that is called once, from the loop, at a stated time.
 *
 * It is a descriptor of timerfd_create(2) among the loop's pollers, and not a zloop timer, for
 * three reasons: it costs the same however many there are; it is on the clock of clock_ms(); and
 * it is gone at once when it is destroyed, where zloop may still call an ended timer in the same
 * turn.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_BUS_ALARM_H
#define PYGMY_BUS_ALARM_H

#include <czmq.h>
#include <stdint.h>

struct alarm;

/* The time has come. The alarm is off, and may be set again or destroyed here. */
typedef void alarm_fn(void *arg);

/* A new alarm, off. It needs a descriptor: not having one ends the process (made at its start). */
struct alarm *alarm_new(zloop_t *loop, alarm_fn *handler, void *arg);

/* Accepts NULL. */
void alarm_destroy(struct alarm **self_p);

/* Call the handler at @at_ms (clock_ms), and not at the time that was set before. A time that has
 * passed, such as 0, means the loop's next turn. */
void alarm_set(struct alarm *self, int64_t at_ms);

#endif
