/* See wheel.h.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/wheel.h"

#include <stdlib.h>

#include "broker/bus/alloc.h"
#include "broker/bus/limits.h"

#define WHEEL_SLOTS (WHEEL_SPAN_MS / WHEEL_TICK_MS)

_Static_assert((WHEEL_SLOTS & (WHEEL_SLOTS - 1)) == 0, "a slot is found by masking");
_Static_assert(WHEEL_SPAN_MS > REQUEST_DEADLINE_MS_MAX + WHEEL_TICK_MS, "one turn holds all");

struct wheel {
    int64_t tick;    /* the slot that fires next, counted from the beginning of time */
    struct list due; /* timers whose slot has passed */
    struct list slots[WHEEL_SLOTS];
};

static struct list *wheel_slot(struct wheel *self, int64_t tick)
{
    return &self->slots[tick & (WHEEL_SLOTS - 1)];
}

struct wheel *wheel_new(int64_t now_ms)
{
    struct wheel *self = alloc_zero(sizeof *self);
    self->tick = now_ms / WHEEL_TICK_MS;
    list_init(&self->due);
    for (size_t i = 0; i < WHEEL_SLOTS; i++)
        list_init(&self->slots[i]);
    return self;
}

void wheel_destroy(struct wheel **self_p)
{
    free(*self_p);
    *self_p = NULL;
}

void wheel_set(struct wheel *self, struct wheel_timer *timer, int64_t due_ms)
{
    int64_t tick = due_ms / WHEEL_TICK_MS;
    if (tick < self->tick)
        tick = self->tick;
    assert(tick - self->tick < WHEEL_SLOTS);
    list_remove(&timer->link);
    list_add_last(wheel_slot(self, tick), &timer->link);
}

void wheel_cancel(struct wheel_timer *timer)
{
    list_remove(&timer->link);
}

/* Move the timers of all slots that have passed to those that are due. This comes before the first
 * of them is given out: whoever gets it may set another, which must find the wheel at the
 * present. */
static void wheel_turn(struct wheel *self, int64_t now_tick)
{
    /* After a long pause each slot is visited once, not each tick that passed. */
    if (now_tick - self->tick > WHEEL_SLOTS)
        self->tick = now_tick - WHEEL_SLOTS;
    for (; self->tick < now_tick; self->tick++) {
        struct list *slot = wheel_slot(self, self->tick);
        struct list_link *link;
        while ((link = list_first(slot)) != NULL) {
            list_remove(link);
            list_add_last(&self->due, link);
        }
    }
}

struct wheel_timer *wheel_next(struct wheel *self, int64_t now_ms)
{
    wheel_turn(self, now_ms / WHEEL_TICK_MS);
    struct list_link *link = list_first(&self->due);
    if (link == NULL)
        return NULL;
    list_remove(link);
    return LIST_OBJECT(link, struct wheel_timer, link);
}
