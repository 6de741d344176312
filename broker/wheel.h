/* Deadlines: timers that are set, moved and cancelled in constant time.
 *
 * A wheel of slots of WHEEL_TICK_MS each, wide enough that every deadline the broker gives falls
 * into one turn, so that a slot never holds timers of two turns. A timer fires when its slot has
 * passed, up to WHEEL_TICK_MS late and never early.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_BROKER_WHEEL_H
#define PYGMY_BROKER_WHEEL_H

#include <stdint.h>

#include "broker/list.h"

/* Zeroed: not set. */
struct wheel_timer {
    struct list_link link;
};

struct wheel;

struct wheel *wheel_new(int64_t now_ms);
/* All timers have been cancelled or have fired. Accepts NULL. */
void wheel_destroy(struct wheel **self_p);

/* Set @timer, or set it anew. @due_ms is less than WHEEL_SPAN_MS after the last wheel_next(); one
 * that has passed fires at the end of the present slot. */
void wheel_set(struct wheel *self, struct wheel_timer *timer, int64_t due_ms);
/* Accepts one that is not set. */
void wheel_cancel(struct wheel_timer *timer);

/* Take out a timer that is due at @now_ms, or return NULL when none is left. */
struct wheel_timer *wheel_next(struct wheel *self, int64_t now_ms);

#endif
