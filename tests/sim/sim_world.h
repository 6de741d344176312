/* What the groups of one simulated world share: the clock, the queue of events, chance, and whether
 * something was found.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_SIM_WORLD_H
#define PYGMY_SIM_WORLD_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct sim;
struct sim_event;
typedef void sim_event_fn(struct sim *self, struct sim_event *event);

struct sim_event {
    int64_t at_us;
    uint64_t number; /* events at the same time are fired in the order of their making */
    sim_event_fn *fire;
    struct sim *group; /* in which it is */
    int node;          /* whose it is; -1: nobody's */
    uint64_t life;     /* of that node: one of an earlier life is dropped; 0: of any */
    uint64_t argument;
    void *load;                  /* the event's own; fire() takes it over */
    void (*drop)(void **load_p); /* lets go of it; NULL: there is none */
};

struct sim_world {
    uint64_t random;
    int64_t now_us;
    struct sim_queue *queue;
    FILE *trace;         /* NULL: none */
    char violation[512]; /* what the judge found first; "": nothing */
};

struct sim_world *sim_world_new(uint64_t seed, FILE *trace);
/* With all events that are still to come. Before the groups. */
void sim_world_destroy(struct sim_world **self_p);

/* Put an event into the queue; its time must not be past. Number and load are taken over. */
void sim_world_at(struct sim_world *self, const struct sim_event *event);
/* Whether an event's time has come. */
bool sim_world_due(const struct sim_world *self);
/* Take out the earliest event, whose time it is then; false when there is none. */
bool sim_world_next(struct sim_world *self, struct sim_event *event);

uint64_t sim_world_draw(struct sim_world *self);

/* What a clock shows that began with the world and gains @drift_ppm on it; and when it comes to show
 * @ms. */
int64_t sim_clock_ms(int64_t now_us, int64_t drift_ppm);
int64_t sim_clock_due_us(int64_t ms, int64_t drift_ppm);

#endif
