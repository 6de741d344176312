/* Harm to caches, and to what is between them and the replicas; see sim_lease.h. The group has its own
 * nemesis beside this one.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/bus/limits.h"
#include "tests/sim/sim_lease_world.h"
#include "tests/sim/sim_node.h"

#define CALM_US 1000000

static void later(struct sim *sim, int64_t in_us, sim_event_fn *fire, uint64_t argument)
{
    struct sim_event event = {
        .at_us = sim->world->now_us + in_us, .fire = fire, .node = -1, .argument = argument};

    sim_at(sim, &event);
}

static struct sim_lease_cache *some_cache(struct sim_lease *self)
{
    return self->caches[sim_below(self->sim, self->cache_count)];
}

/* Who leads, or thinks so; -1: nobody. */
static int some_leader(struct sim *sim)
{
    const size_t offset = sim_below(sim, sim->node_count);

    for (size_t i = 0; i < sim->node_count; i++) {
        const struct sim_node *node = sim->nodes[(offset + i) % sim->node_count];

        if (node->up && node->lead_term != 0)
            return node->slot;
    }
    return -1;
}

/* Longer than a lease, as often as not. */
static int64_t some_us(struct sim *sim)
{
    return sim_below(sim, 2) == 0 ? sim_between(sim, 1000, 300000)
                                  : sim_between(sim, 300000, 3500000);
}

/* ---- Processes ---------------------------------------------------------------------------------- */

static void pause_cache(struct sim_lease *self)
{
    struct sim_lease_cache *cache = some_cache(self);

    sim_lease_cache_pause(cache, self->sim->world->now_us + some_us(self->sim));
}

static void pause_leader(struct sim_lease *self)
{
    const int slot = some_leader(self->sim);

    if (slot >= 0)
        sim_node_pause(self->sim, slot, self->sim->world->now_us + some_us(self->sim));
}

static void crash_cache(struct sim_lease *self)
{
    sim_lease_cache_crash(some_cache(self));
}

static void leave(struct sim_lease *self)
{
    sim_lease_cache_leave(some_cache(self));
}

static void lose(struct sim_lease *self)
{
    sim_lease_cache_lose(some_cache(self));
}

/* ---- Connections -------------------------------------------------------------------------------- */

static unsigned side(uint64_t members, size_t i)
{
    return (unsigned)(members >> i & 1);
}

/* Whether the world is in the two parts still, in which it fell, and has been all the time. */
static bool is_parted(const struct sim_lease *self)
{
    const struct lease_parts *parts = &self->parts;
    bool parted = parts->since_us != 0 && self->sim->node_count == parts->node_count;

    for (size_t i = 0; parted && i < parts->node_count; i++) {
        for (size_t j = 0; j < parts->node_count; j++)
            parted = parted && (side(parts->nodes, i) == side(parts->nodes, j) ||
                                sim_net_blocked_since(self->sim, (int)i, (int)j, parts->since_us));
        for (size_t j = 0; j < self->cache_count; j++)
            parted = parted && (side(parts->nodes, i) == side(parts->caches, j) ||
                                sim_lease_apart_since(self->sim, (int)i, (int)j, parts->since_us));
    }
    return parted;
}

static bool has_caches_in_both(const struct sim_lease *self)
{
    const uint64_t all = (UINT64_C(1) << self->cache_count) - 1;

    return (self->parts.caches & all) != 0 && (~self->parts.caches & all) != 0;
}

static bool is_long(int64_t us)
{
    return us > LEASE_WAIT_MS * 1000;
}

/* All partitions between caches and replicas end, and are counted by what they have been. */
static void uncut_all(struct sim_lease *self)
{
    struct sim *sim = self->sim;

    sim->counts.long_partitions += is_long(sim_lease_longest_cut_us(sim));
    sim->counts.two_sided += is_long(sim->world->now_us - self->parts.since_us) &&
                             is_parted(self) && has_caches_in_both(self);
    self->parts.since_us = 0;
    sim_lease_uncut_all(self->post);
}

static void uncut(struct sim *sim, struct sim_event *event)
{
    struct sim_lease *self = sim_lease_of(sim);

    if (event->argument != self->cut)
        return;
    uncut_all(self);
    sim_net_unblock_all(sim);
}

static void uncut_in(struct sim_lease *self, int64_t us)
{
    self->sim->counts.partitions++;
    later(self->sim, us, uncut, ++self->cut);
}

static void uncut_later(struct sim_lease *self)
{
    uncut_in(self, some_us(self->sim));
}

static void isolate_cache(struct sim_lease *self)
{
    struct sim *sim = self->sim;
    const int cache = (int)sim_below(sim, self->cache_count);
    const uint64_t way = sim_below(sim, 8); /* one of them alone, or all */

    for (int i = 0; i < (int)sim->node_count; i++) {
        if (way < LEASE_WAY_COUNT)
            sim_lease_cut(sim, i, cache, (enum lease_way)way, true);
        else
            sim_lease_cut_all(sim, i, cache);
    }
    uncut_later(self);
}

/* Nothing is lost, but what was said may be heard again, much later. */
static void echo(struct sim_lease *self)
{
    const struct sim_weather weather = {
        .doubled = (unsigned)sim_below(self->sim, 60 * SIM_PERCENT),
        .late_us_max = sim_between(self->sim, 1000, 1500000),
    };

    sim_lease_weather(self->post, &weather);
}

static void write_each(struct sim *sim, struct sim_event *event)
{
    struct lease_mail mail = {.kind = LEASE_MAIL_WRITE, .cache = -1};

    (void)event;
    for (unsigned key = 0; key < LEASE_KEYS; key++) {
        mail.keys = UINT32_C(1) << key;
        sim_lease_send_leader(sim, &mail);
    }
}

/* A cache hears nothing, and mostly is not heard, for longer than a lease lasts, while all that it holds is
 * written: the moment at which its lease must be over is the writers'. */
static void starve(struct sim_lease *self)
{
    struct sim *sim = self->sim;
    const int cache = (int)sim_below(sim, self->cache_count);
    const bool heard = sim_below(sim, 4) == 0;

    uncut_all(self);
    echo(self);
    for (int i = 0; i < (int)sim->node_count; i++) {
        sim_lease_cut_all(sim, i, cache);
        sim_lease_cut(sim, i, cache, LEASE_WAY_ASKS, !heard);
    }
    later(sim, sim_between(sim, 10000, 500000), write_each, 0);
    uncut_in(self, sim_between(sim, 1200000, 2000000));
}

static void cut_some(struct sim_lease *self)
{
    struct sim *sim = self->sim;

    for (int64_t count = sim_between(sim, 1, 6); count > 0; count--) {
        const enum lease_way way = (enum lease_way)sim_below(sim, LEASE_WAY_COUNT);
        const int cache = (int)sim_below(sim, self->cache_count);

        sim_lease_cut(sim, (int)sim_below(sim, sim->node_count), cache, way, true);
    }
    uncut_later(self);
}

/* The world falls into two parts, of which a few replicas, the leader among them, have one, and some
 * caches with them. */
static void part(struct sim_lease *self)
{
    struct sim *sim = self->sim;
    const int leader = some_leader(sim);
    const uint64_t caches = sim_draw(sim) | sim_draw(sim);
    uint64_t nodes;

    if (leader < 0)
        return;
    nodes = UINT64_C(1) << leader;
    if (sim->node_count > 3 && sim_below(sim, 2) == 0)
        nodes |= UINT64_C(1) << sim_below(sim, sim->node_count);
    for (size_t i = 0; i < sim->node_count; i++) {
        for (size_t j = 0; j < sim->node_count; j++)
            if (side(nodes, i) != side(nodes, j))
                sim_net_block(sim, (int)i, (int)j, true);
        for (size_t j = 0; j < self->cache_count; j++)
            if (side(nodes, i) != side(caches, j))
                sim_lease_cut_all(sim, (int)i, (int)j);
    }
    self->parts = (struct lease_parts){sim->world->now_us, sim->node_count, nodes, caches};
    uncut_later(self);
}

/* The leader hands over and does not hear that it was done: for a moment, until it misses the others,
 * there are two, and nobody has waited for an election's timeout. Some caches know the old one only. */
static void hand_over(struct sim_lease *self)
{
    struct sim *sim = self->sim;
    const int leader = some_leader(sim);
    const uint64_t caches = sim_draw(sim) | sim_draw(sim);

    if (leader < 0 || sim->nodes[leader]->paused_until_us > sim->world->now_us ||
        sim_node_transfer(sim, leader, -1) != 0)
        return;
    sim->counts.transfers++;
    sim->counts.hand_overs++;
    for (int i = 0; i < (int)sim->node_count; i++) {
        sim_net_block(sim, i, leader, true);
        for (int j = 0; j < (int)self->cache_count; j++)
            if (((i == leader) ^ (int)(caches >> j & 1)) != 0)
                sim_lease_cut_all(sim, i, j);
    }
    uncut_later(self);
}

static void uncut_now(struct sim_lease *self)
{
    uncut_all(self);
}

static void storm(struct sim_lease *self)
{
    struct sim *sim = self->sim;
    const struct sim_weather weather = {
        .lost = (unsigned)sim_below(sim, sim_below(sim, 2) == 0 ? SIM_PERCENT : 30 * SIM_PERCENT),
        .doubled = (unsigned)sim_below(sim, 20 * SIM_PERCENT),
        .late = (unsigned)sim_below(sim, sim_below(sim, 2) == 0 ? SIM_PERCENT : 30 * SIM_PERCENT),
        .late_us_max = sim_between(sim, 1000, sim_below(sim, 2) == 0 ? 1500000 : 60000),
    };

    sim_lease_weather(self->post, &weather);
}

static void calm(struct sim_lease *self)
{
    sim_lease_weather(self->post, &(struct sim_weather){0});
}

void sim_lease_mend(struct sim_lease *self)
{
    uncut_now(self);
    calm(self);
}

/* ---- Its life ----------------------------------------------------------------------------------- */

static const struct {
    void (*act)(struct sim_lease *self);
    unsigned weight;
} harms[] = {
    {pause_cache, 8},   {pause_leader, 3}, {crash_cache, 8}, {leave, 4}, {lose, 2},
    {isolate_cache, 6}, {starve, 8},       {cut_some, 6},    {part, 8},  {hand_over, 4},
    {uncut_now, 6},     {storm, 8},        {echo, 4},        {calm, 8},
};

static void act_once(struct sim_lease *self)
{
    unsigned sum = 0, drawn;
    size_t i = 0;

    for (size_t j = 0; j < sizeof harms / sizeof harms[0]; j++)
        sum += harms[j].weight;
    drawn = (unsigned)sim_below(self->sim, sum);
    while (drawn >= harms[i].weight)
        drawn -= harms[i++].weight;
    harms[i].act(self);
}

static void act(struct sim *sim, struct sim_event *event)
{
    struct sim_lease *self = sim_lease_of(sim);

    (void)event;
    if (self->calm)
        return;
    act_once(self);
    later(sim, sim_between(sim, 1, 2 * (int64_t)self->harm_us), act, 0);
}

void sim_lease_harm_start(struct sim_lease *self)
{
    later(self->sim, CALM_US, act, 0);
}
