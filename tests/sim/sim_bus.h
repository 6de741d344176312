/* The bus of a simulated store, as far as a caller sees it: a request goes to who leads a group, or to
 * any of it, and an answer comes back, or none in time. Both may be lost, doubled, late; replicas may
 * be cut off from it, and not from each other.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_SIM_BUS_H
#define PYGMY_SIM_BUS_H

#include <jansson.h>

#include "tests/sim/sim_node.h"

struct sim_bus;

/* A request; what is only read by those that hold it. */
struct sim_call;

/* Told once, in the process that called. @slot -1: a customer. @body: the answer, or
 * {"error": {...}}, or NULL; borrowed. */
typedef void sim_bus_done_fn(struct sim *from, int slot, int what, uint64_t number, int code,
                             const json_t *body);
/* A request has come to a node, which lives and answers it (sim_bus_answer), or never does. */
typedef void sim_bus_serve_fn(struct sim *sim, struct sim_node *node, struct sim_call *call);

struct sim_bus_caller {
    struct sim *from; /* where its events are */
    int slot;         /* -1: a customer */
    int what;         /* both are given back */
    uint64_t number;
    sim_bus_done_fn *done;
};

struct sim_bus_counts {
    uint64_t calls;
    uint64_t lost; /* requests and answers */
    uint64_t doubled;
};

struct sim_bus *sim_bus_new(void);
/* The world, and with it all calls under way, goes first. */
void sim_bus_destroy(struct sim_bus **self_p);
const struct sim_bus_counts *sim_bus_counts(const struct sim_bus *self);

/* Send @request, taken over, to the leader of a group or to anybody of it. */
void sim_bus_call(struct sim_bus *self, const struct sim_bus_caller *caller, struct sim *to,
                  bool leader, int64_t budget_ms, json_t *request, sim_bus_serve_fn *serve);

struct sim_call *sim_call_hold(struct sim_call *self);
void sim_call_release(struct sim_call **self_p);
json_t *sim_call_request(const struct sim_call *self);
int64_t sim_call_remaining_ms(const struct sim_call *self, const struct sim *sim);
/* From the node that was asked; @body is taken over. The hold of the call is the caller's still. */
void sim_bus_answer(struct sim_call *self, const struct sim_node *node, int code, json_t *body);

/* Faults. */
void sim_bus_storm(struct sim_bus *self, struct sim *sim);
void sim_bus_cut(struct sim_bus *self, const struct sim *group, int slot);
void sim_bus_calm(struct sim_bus *self);

#endif
