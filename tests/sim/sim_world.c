/* See sim_world.h.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/sim_world.h"

#include <assert.h>
#include <stdlib.h>

#include "broker/bus/alloc.h"

/* A binary heap of values: they come and go by the million, and broker/bus/heap.h does not keep the
 * order of those at the same time. */
struct sim_queue {
    struct sim_event *events;
    size_t count;
    size_t capacity;
    uint64_t made;
};

static bool earlier(const struct sim_event *a, const struct sim_event *b)
{
    return a->at_us < b->at_us || (a->at_us == b->at_us && a->number < b->number);
}

static void queue_push(struct sim_queue *self, const struct sim_event *event)
{
    size_t place = self->count++;

    if (self->count > self->capacity) {
        self->capacity = self->capacity == 0 ? 256 : 2 * self->capacity;
        self->events = alloc_resize(self->events, self->capacity * sizeof *self->events);
    }
    for (; place > 0 && earlier(event, &self->events[(place - 1) / 2]); place = (place - 1) / 2)
        self->events[place] = self->events[(place - 1) / 2];
    self->events[place] = *event;
}

static struct sim_event queue_pop(struct sim_queue *self)
{
    struct sim_event first = self->events[0];
    struct sim_event last = self->events[--self->count];
    size_t place = 0;

    for (;;) {
        size_t child = 2 * place + 1;

        if (child >= self->count)
            break;
        if (child + 1 < self->count && earlier(&self->events[child + 1], &self->events[child]))
            child++;
        if (!earlier(&self->events[child], &last))
            break;
        self->events[place] = self->events[child];
        place = child;
    }
    self->events[place] = last;
    return first;
}

static void queue_destroy(struct sim_queue **self_p)
{
    struct sim_queue *self = *self_p;

    if (self == NULL)
        return;
    for (size_t i = 0; i < self->count; i++)
        if (self->events[i].drop != NULL)
            self->events[i].drop(&self->events[i].load);
    free(self->events);
    free(self);
    *self_p = NULL;
}

struct sim_world *sim_world_new(uint64_t seed, FILE *trace)
{
    struct sim_world *self = alloc_zero(sizeof *self);

    self->random = seed * 0x2545f4914f6cdd1dULL;
    self->queue = alloc_zero(sizeof *self->queue);
    self->trace = trace;
    return self;
}

void sim_world_destroy(struct sim_world **self_p)
{
    struct sim_world *self = *self_p;

    if (self == NULL)
        return;
    queue_destroy(&self->queue);
    free(self);
    *self_p = NULL;
}

void sim_world_at(struct sim_world *self, const struct sim_event *event)
{
    struct sim_event numbered = *event;

    assert(event->at_us >= self->now_us);
    numbered.number = ++self->queue->made;
    queue_push(self->queue, &numbered);
}

bool sim_world_due(const struct sim_world *self)
{
    return self->queue->count > 0 && self->queue->events[0].at_us <= self->now_us;
}

bool sim_world_next(struct sim_world *self, struct sim_event *event)
{
    if (self->queue->count == 0)
        return false;
    *event = queue_pop(self->queue);
    self->now_us = event->at_us;
    return true;
}

uint64_t sim_world_draw(struct sim_world *self)
{
    uint64_t z = self->random += 0x9e3779b97f4a7c15ULL; /* splitmix64 */

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    return z ^ (z >> 31);
}

/* ---- Clocks ------------------------------------------------------------------------------------- */

#define PPM 1000000

int64_t sim_clock_ms(int64_t now_us, int64_t drift_ppm)
{
    return (now_us + now_us * drift_ppm / PPM) / 1000;
}

int64_t sim_clock_due_us(int64_t ms, int64_t drift_ppm)
{
    int64_t us = ms * 1000;

    if (drift_ppm == 0)
        return us;
    us = us * PPM / (PPM + drift_ppm) - 2; /* from there a step or two, as the clock is rounded */
    while (sim_clock_ms(us, drift_ppm) < ms)
        us++;
    return us;
}
