/* See sim_bus.h.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/sim_bus.h"

#include <stdlib.h>
#include <string.h>

#include "broker/bus/alloc.h"
#include "broker/bus/err.h"
#include "tests/sim/sim_net.h"

#define LEAST_US    50
#define GREATEST_US 5000

struct sim_bus {
    struct sim_weather weather;
    uint64_t cut[2]; /* of each group, by slot; a bit for each node */
    struct sim_bus_counts counts;
};

struct sim_call {
    size_t holders;
    struct sim_bus *bus;
    struct sim_bus_caller caller;
    uint64_t life; /* of the caller's process */
    struct sim *to;
    bool leader;
    int64_t end_us;
    json_t *request;
    sim_bus_serve_fn *serve;
    bool done;
};

struct answer {
    struct sim_call *call;
    int code;
    json_t *body;
};

struct sim_bus *sim_bus_new(void)
{
    return alloc_zero(sizeof(struct sim_bus));
}

void sim_bus_destroy(struct sim_bus **self_p)
{
    free(*self_p);
    *self_p = NULL;
}

const struct sim_bus_counts *sim_bus_counts(const struct sim_bus *self)
{
    return &self->counts;
}

struct sim_call *sim_call_hold(struct sim_call *self)
{
    self->holders++;
    return self;
}

void sim_call_release(struct sim_call **self_p)
{
    struct sim_call *self = *self_p;

    *self_p = NULL;
    if (--self->holders > 0)
        return;
    json_decref(self->request);
    free(self);
}

json_t *sim_call_request(const struct sim_call *self)
{
    return self->request;
}

int64_t sim_call_remaining_ms(const struct sim_call *self, const struct sim *sim)
{
    return (self->end_us - sim->world->now_us) / 1000;
}

static void call_drop(void **load_p)
{
    struct sim_call *call = *load_p;

    sim_call_release(&call);
    *load_p = NULL;
}

static void answer_drop(void **load_p)
{
    struct answer *self = *load_p;

    json_decref(self->body);
    sim_call_release(&self->call);
    free(self);
    *load_p = NULL;
}

/* ---- On the way --------------------------------------------------------------------------------- */

static bool is_cut(const struct sim_bus *self, const struct sim *group, int slot)
{
    return slot >= 0 && (self->cut[group->use->machine->name[0] == 'c'] >> slot & 1) != 0;
}

/* How long it takes; negative: it is lost. */
static int64_t passage_us(struct sim_bus *self, struct sim *sim)
{
    int64_t us = sim_between(sim, LEAST_US, GREATEST_US);

    if (sim_chance(sim, self->weather.lost)) {
        self->counts.lost++;
        return -1;
    }
    if (sim_chance(sim, self->weather.late))
        us += sim_between(sim, 0, self->weather.late_us_max);
    return us;
}

static void finish(struct sim_call *self, int code, const json_t *body)
{
    const struct sim_bus_caller *caller = &self->caller;

    if (self->done)
        return;
    self->done = true;
    caller->done(caller->from, caller->slot, caller->what, caller->number, code, body);
}

static void answered(struct sim *sim, struct sim_event *event)
{
    struct answer *answer = event->load;

    if (event->node >= 0 && sim_node_deferred(sim, event))
        return;
    finish(answer->call, answer->code, answer->body);
    answer_drop(&event->load);
}

static void timed_out(struct sim *sim, struct sim_event *event)
{
    if (event->node >= 0 && sim_node_deferred(sim, event))
        return;
    finish(event->load, ERR_TIMEOUT, NULL);
    call_drop(&event->load);
}

/* An event in the process of who called. */
static struct sim_event to_caller(struct sim_call *call, int64_t in_us)
{
    return (struct sim_event){.at_us = call->caller.from->world->now_us + in_us,
                              .node = call->caller.slot,
                              .life = call->life};
}

static void answer(struct sim_call *self, int code, json_t *body)
{
    struct answer *answer;
    struct sim_event event;
    int64_t us = passage_us(self->bus, self->to);

    if (us < 0 || is_cut(self->bus, self->caller.from, self->caller.slot))
        return;
    answer = alloc_zero(sizeof *answer);
    answer->call = sim_call_hold(self);
    answer->code = code;
    answer->body = json_incref(body);
    event = to_caller(self, us);
    event.fire = answered;
    event.load = answer;
    event.drop = answer_drop;
    sim_at(self->caller.from, &event);
}

void sim_bus_answer(struct sim_call *self, const struct sim_node *node, int code, json_t *body)
{
    if (!is_cut(self->bus, self->to, node->slot))
        answer(self, code, body);
    json_decref(body);
}

/* Of those the broker takes for who serves this; more than one when one does not know yet that it was
 * deposed. Now and then it takes one that never led. */
static int choose(const struct sim_call *self)
{
    struct sim *to = self->to;
    bool leader = self->leader && sim_below(to, 32) != 0;
    size_t offset = sim_below(to, to->node_count);

    for (size_t i = 0; i < to->node_count; i++) {
        const struct sim_node *node = to->nodes[(offset + i) % to->node_count];

        if (node->up && node->applied.index > 0 && (!leader || node->lead_term != 0) &&
            !is_cut(self->bus, to, node->slot))
            return node->slot;
    }
    return -1;
}

static void arrive_there(struct sim *sim, struct sim_event *event)
{
    struct sim_call *call = event->load;

    if (sim_node_deferred(sim, event))
        return;
    call->serve(sim, sim->nodes[event->node], call);
    call_drop(&event->load);
}

static void arrive(struct sim *sim, struct sim_event *event)
{
    struct sim_call *call = event->load;

    event->node = choose(call);
    if (event->node < 0) {
        answer(call, ERR_NO_SERVICE, NULL);
        call_drop(&event->load);
        return;
    }
    event->life = sim->nodes[event->node]->life;
    event->fire = arrive_there;
    arrive_there(sim, event);
}

static void post(struct sim_call *self, int64_t us)
{
    struct sim_event event = {.at_us = self->to->world->now_us + us,
                              .fire = arrive,
                              .node = -1,
                              .load = sim_call_hold(self),
                              .drop = call_drop};

    sim_at(self->to, &event);
}

void sim_bus_call(struct sim_bus *self, const struct sim_bus_caller *caller, struct sim *to,
                  bool leader, int64_t budget_ms, json_t *request, sim_bus_serve_fn *serve)
{
    struct sim_call *call = alloc_zero(sizeof *call);
    int64_t us = passage_us(self, to);
    struct sim_event end;

    *call = (struct sim_call){.holders = 1,
                              .bus = self,
                              .caller = *caller,
                              .to = to,
                              .leader = leader,
                              .end_us = to->world->now_us + budget_ms * 1000,
                              .request = request,
                              .serve = serve};
    if (caller->slot >= 0)
        call->life = caller->from->nodes[caller->slot]->life;
    self->counts.calls++;
    if (us >= 0 && !is_cut(self, caller->from, caller->slot))
        post(call, us);
    if (us >= 0 && sim_chance(to, self->weather.doubled)) {
        self->counts.doubled++;
        post(call, us + sim_between(to, 0, 2 * self->weather.late_us_max));
    }
    end = to_caller(call, budget_ms * 1000);
    end.fire = timed_out;
    end.load = call;
    end.drop = call_drop;
    sim_at(caller->from, &end);
}

/* ---- Faults ------------------------------------------------------------------------------------- */

void sim_bus_storm(struct sim_bus *self, struct sim *sim)
{
    self->weather = (struct sim_weather){
        .lost = (unsigned)sim_below(sim, 30 * SIM_PERCENT),
        .doubled = (unsigned)sim_below(sim, 20 * SIM_PERCENT),
        .late = (unsigned)sim_below(sim, 30 * SIM_PERCENT),
        .late_us_max = sim_between(sim, 1000, sim_below(sim, 4) == 0 ? 6000000 : 400000),
    };
}

void sim_bus_cut(struct sim_bus *self, const struct sim *group, int slot)
{
    self->cut[group->use->machine->name[0] == 'c'] |= UINT64_C(1) << slot;
}

void sim_bus_calm(struct sim_bus *self)
{
    memset(&self->weather, 0, sizeof self->weather);
    memset(self->cut, 0, sizeof self->cut);
}
