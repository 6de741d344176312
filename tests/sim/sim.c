/* See sim.h.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/sim.h"

#include <assert.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "broker/bus/alloc.h"
#include "tests/sim/sim_check.h"
#include "tests/sim/sim_clients.h"
#include "tests/sim/sim_nemesis.h"
#include "tests/sim/sim_net.h"
#include "tests/sim/sim_node.h"

/* ---- Random numbers ----------------------------------------------------------------------------- */

uint64_t sim_draw(struct sim *self)
{
    return sim_world_draw(self->world);
}

uint64_t sim_below(struct sim *self, uint64_t below)
{
    assert(below > 0);
    return sim_draw(self) % below;
}

int64_t sim_between(struct sim *self, int64_t least, int64_t greatest)
{
    assert(least <= greatest);
    return least + (int64_t)sim_below(self, (uint64_t)(greatest - least) + 1);
}

bool sim_chance(struct sim *self, unsigned of_a_million)
{
    return sim_below(self, 1000000) < of_a_million;
}

/* As much as it may be, as often as not. */
int64_t sim_draw_drift_ppm(struct sim *self)
{
    const int64_t most = self->traits.drift_ppm;

    switch (sim_below(self, 4)) {
    case 0: return most;
    case 1: return -most;
    default: return sim_between(self, -most, most);
    }
}

/* ---- Events ------------------------------------------------------------------------------------ */

void sim_at(struct sim *self, const struct sim_event *event)
{
    struct sim_event ours = *event;

    ours.group = self;
    sim_world_at(self->world, &ours);
}

bool sim_due(const struct sim *self)
{
    return sim_world_due(self->world);
}

bool sim_step(struct sim *self)
{
    struct sim_world *world = self->world;
    struct sim_event event;

    if (world->violation[0] != '\0' || !sim_world_next(world, &event))
        return false;
    if (event.life == 0 || event.group->nodes[event.node]->life == event.life)
        event.fire(event.group, &event);
    else if (event.drop != NULL)
        event.drop(&event.load);
    return world->violation[0] == '\0';
}

int64_t sim_now_ms(const struct sim *self)
{
    return self->world->now_us / 1000;
}

/* ---- Words -------------------------------------------------------------------------------------- */

void sim_fail(struct sim *self, const char *format, ...)
{
    va_list arguments;

    if (self->world->violation[0] != '\0')
        return;
    va_start(arguments, format);
    vsnprintf(self->world->violation, sizeof self->world->violation, format, arguments);
    va_end(arguments);
    sim_trace(self, -1, "VIOLATION %s", self->world->violation);
}

void sim_trace(struct sim *self, int node, const char *format, ...)
{
    va_list arguments;

    if (self->world->trace == NULL)
        return;
    fprintf(self->world->trace, "%10.3f %s", (double)self->world->now_us / 1000, self->use->name);
    if (node < 0)
        fprintf(self->world->trace, "%-24s ", "-");
    else
        sim_node_trace(self->nodes[node], self->world->trace);
    va_start(arguments, format);
    vfprintf(self->world->trace, format, arguments);
    va_end(arguments);
    fputc('\n', self->world->trace);
}

void sim_counts_add(struct sim_counts *self, const struct sim_counts *more)
{
    const struct sim_counts *slower = self->heal_us_max >= more->heal_us_max ? self : more;
    const uint64_t heal_us_max = slower->heal_us_max, heal_seed = slower->heal_seed;
    uint64_t *to = (uint64_t *)self;
    const uint64_t *from = (const uint64_t *)more;

    static_assert(sizeof *self % sizeof *to == 0, "counts are all alike");
    for (size_t i = 0; i < sizeof *self / sizeof *to; i++)
        to[i] += from[i];
    self->heal_us_max = heal_us_max;
    self->heal_seed = heal_seed;
}

/* ---- A run -------------------------------------------------------------------------------------- */

/* What is asked for in each of the ways that a group may be set up comes from the seed's lowest bits,
 * so that any sixteen seeds in a row are all of them. */
static void choose_group(struct sim *self)
{
    const struct sim_options *options = &self->options;
    struct sim_traits *traits = &self->traits;
    uint64_t bits = options->seed;

    traits->servers = options->servers != 0 ? options->servers : (bits & 1) != 0 ? 5 : 3;
    traits->election_ms = options->election_ms != 0 ? options->election_ms
                          : (bits & 2) != 0         ? 300
                                                    : 150;
    traits->heartbeat_ms = options->election_ms != 0 ? options->heartbeat_ms
                           : (bits & 2) != 0         ? 50
                                                     : 15;
    traits->heal_majority =
        options->heal_majority >= 0 ? options->heal_majority == 1 : (bits & 4) != 0;
    traits->pre_vote = options->pre_vote >= 0 ? options->pre_vote == 1 : (bits & 8) == 0;
    traits->membership =
        options->membership >= 0 ? options->membership == 1 : sim_below(self, 3) == 0;
}

static void choose_weather(struct sim *self)
{
    static const unsigned windows[] = {1, 32, 256, 4096, 4096};
    static const unsigned retries_ms[] = {100, 1000, 1000, 3000};
    struct sim_traits *traits = &self->traits;
    bool fat = sim_below(self, 32) == 0;
    bool many = sim_below(self, 8) == 0;

    traits->voters_min = sim_below(self, 4) == 0 ? 1 : 2;
    traits->change_us = (unsigned)sim_between(self, 30000, 600000);
    traits->wire = sim_below(self, 16) == 0;
    traits->in_flight_max = windows[sim_below(self, 5)];
    traits->snapshot_retry_ms = retries_ms[sim_below(self, 4)];
    traits->snapshot_entries = (unsigned)sim_between(self, 20, 400);
    traits->load_us = (unsigned)sim_between(self, 8000, 25000) * (many ? 4 : 1);
    traits->batch_max = many && !fat ? 256 : (unsigned)sim_between(self, 1, 6);
    /* What goes one by one must be done within the time for healing. */
    traits->backlog_max = traits->in_flight_max < 256 ? 400 * traits->in_flight_max : 1000000;
    traits->command_bytes_max = fat ? 60000 : 64;
    traits->nemesis_us = (unsigned)sim_between(self, 40000, 500000);
    traits->disk_us_max = (unsigned)sim_between(self, 200, 10000);
    traits->disk_fail = (unsigned)sim_below(self, 400);
    traits->disk_stall = (unsigned)sim_below(self, sim_below(self, 8) == 0 ? 20000 : 1000);
    traits->net_us_max = (unsigned)sim_between(self, 200, 4000);
}

struct sim *sim_new_in(struct sim_world *world, const struct sim_options *options,
                       const struct sim_use *use)
{
    struct sim *self = alloc_zero(sizeof *self);

    self->options = *options;
    self->world = world;
    self->use = use;
    choose_group(self);
    choose_weather(self);
    self->blank = use->machine->blank();
    self->net = sim_net_new();
    self->clients = sim_clients_new();
    self->nemesis = sim_nemesis_new();
    self->check = sim_check_new();
    return self;
}

struct sim *sim_new(const struct sim_options *options)
{
    struct sim_world *world = sim_world_new(options->seed, options->trace);
    struct sim *self = sim_new_in(world, options, options->use);

    self->owns_world = true;
    sim_mutation_set(options->mutation);
    return self;
}

void sim_destroy(struct sim **self_p)
{
    struct sim *self = *self_p;

    if (self == NULL)
        return;
    if (self->owns_world) {
        sim_world_destroy(&self->world);
        sim_mutation_set(MUTATION_NONE);
    }
    for (size_t i = 0; i < self->node_count; i++)
        sim_node_destroy(self, &self->nodes[i]);
    sim_nemesis_destroy(&self->nemesis);
    sim_clients_destroy(&self->clients);
    sim_net_destroy(&self->net);
    sim_check_destroy(&self->check);
    sim_image_release(&self->blank);
    free(self);
    *self_p = NULL;
}

static void trace_traits(struct sim *self)
{
    const struct sim_traits *t = &self->traits;

    sim_trace(self, -1,
              "seed %" PRIu64 ": %u servers, %u/%u ms, heal %s, pre-vote %s, membership %s, window "
              "%u, snapshots %u, load %u us, batch %u, nemesis %u us, disk %u us, net %u us",
              self->options.seed, t->servers, t->election_ms, t->heartbeat_ms,
              t->heal_majority ? "majority" : "all", t->pre_vote ? "on" : "off",
              t->membership ? "changes" : "stays", t->in_flight_max, t->snapshot_entries,
              t->load_us, t->batch_max, t->nemesis_us, t->disk_us_max, t->net_us_max);
}

/* ---- The parts of a run ------------------------------------------------------------------------- */

void sim_start(struct sim *self)
{
    trace_traits(self);
    sim_nodes_found(self, self->traits.servers);
    self->use->start(self);
    sim_nemesis_start(self);
}

bool sim_fire_is_over(const struct sim *self)
{
    return self->world->now_us >= SIM_FIRE_US && self->counts.commits >= SIM_FIRE_COMMITS;
}

void sim_end(struct sim *self, int64_t heal_us)
{
    sim_check_end(self);
    self->counts.runs = 1;
    for (int i = 0; i < MUTATION_COUNT; i++)
        self->counts.guarded[i] = sim_mutation_acted((enum sim_mutation)i);
    self->counts.simulated_ms = (uint64_t)sim_now_ms(self);
    self->counts.heal_seed = self->options.seed;
    self->counts.heal_us = self->counts.heal_us_max = (uint64_t)(self->world->now_us - heal_us);
}

/* ---- A run -------------------------------------------------------------------------------------- */

bool sim_run(struct sim *self)
{
    int64_t heal_us;

    sim_start(self);
    while (!sim_fire_is_over(self) && sim_step(self))
        if (self->world->now_us > SIM_FIRE_US_MAX)
            sim_fail(self, "only %" PRIu64 " commands committed under fire", self->counts.commits);
    sim_nemesis_stop(self);
    while (sim_nemesis_paused(self) && sim_step(self))
        ;
    heal_us = self->world->now_us;
    sim_nemesis_heal(self);
    while (!sim_check_healed(self) && sim_step(self))
        if (self->world->now_us > heal_us + SIM_HEAL_US_MAX)
            sim_fail(self, "not healed: %s", sim_check_unhealed(self));
    sim_end(self, heal_us);
    return self->world->violation[0] == '\0';
}
