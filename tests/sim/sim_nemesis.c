/* See sim_nemesis.h.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/sim_nemesis.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "broker/bus/alloc.h"
#include "tests/sim/sim_check.h"
#include "tests/sim/sim_net.h"
#include "tests/sim/sim_node.h"

/* So long the group is left alone at first. */
#define CALM_US 1000000

struct sim_nemesis {
    bool stopped;
    uint64_t cut; /* number of the last partition: an older one's end ends nothing */
};

struct sim_nemesis *sim_nemesis_new(void)
{
    return alloc_zero(sizeof(struct sim_nemesis));
}

void sim_nemesis_destroy(struct sim_nemesis **self_p)
{
    free(*self_p);
    *self_p = NULL;
}

/* ---- Whom ---------------------------------------------------------------------------------------- */

static int some_slot(struct sim *sim)
{
    return (int)sim_below(sim, sim->node_count);
}

static int some_leader(struct sim *sim)
{
    int offset = some_slot(sim);

    for (int i = 0; i < (int)sim->node_count; i++) {
        const struct sim_node *node = sim->nodes[(offset + i) % (int)sim->node_count];

        if (node->up && node->role == CONSENSUS_LEADER)
            return node->slot;
    }
    return offset;
}

/* Leaders are worth more. */
static int some_victim(struct sim *sim)
{
    return sim_below(sim, 5) < 2 ? some_leader(sim) : some_slot(sim);
}

static void later(struct sim *sim, int64_t in_us, sim_event_fn *fire, int node, uint64_t argument)
{
    struct sim_event event = {
        .at_us = sim->world->now_us + in_us, .fire = fire, .node = node, .argument = argument};

    sim_at(sim, &event);
}

/* ---- Crashes and pauses --------------------------------------------------------------------------- */

static void come_back(struct sim *sim, struct sim_event *event)
{
    if (!sim->nemesis->stopped)
        sim_node_start(sim, event->node);
}

void sim_nemesis_crash(struct sim *sim, int slot)
{
    int64_t down_us = sim_below(sim, 2) == 0 ? 200000 : 2500000;

    if (!sim->nodes[slot]->up)
        return;
    sim_node_crash(sim, slot);
    later(sim, sim_between(sim, 0, down_us), come_back, slot, 0);
}

static void crash(struct sim *sim)
{
    sim_nemesis_crash(sim, some_victim(sim));
}

static void power_cut(struct sim *sim)
{
    for (int i = 0; i < (int)sim->node_count; i++)
        sim_nemesis_crash(sim, i);
}

static void stop_for_a_while(struct sim *sim)
{
    int64_t us = sim_below(sim, 4) == 0 ? 2000000 : 400000;

    us = sim_between(sim, 1000, us);
    sim_node_pause(sim, some_victim(sim), sim->world->now_us + us);
}

/* ---- The network ---------------------------------------------------------------------------------- */

static void mend(struct sim *sim, struct sim_event *event)
{
    if (event->argument == sim->nemesis->cut)
        sim_net_unblock_all(sim);
}

static void mend_later(struct sim *sim)
{
    sim->counts.partitions++;
    later(sim, sim_between(sim, 20000, 3000000), mend, -1, ++sim->nemesis->cut);
}

static void split(struct sim *sim)
{
    uint64_t side = sim_draw(sim);

    for (int i = 0; i < (int)sim->node_count; i++)
        for (int j = 0; j < (int)sim->node_count; j++)
            if (((side >> i) & 1) != ((side >> j) & 1))
                sim_net_block(sim, i, j, true);
    mend_later(sim);
}

static void isolate(struct sim *sim)
{
    int slot = some_victim(sim);
    uint64_t way = sim_below(sim, 4); /* 0: hears nothing; 1: is not heard; else both */

    for (int i = 0; i < (int)sim->node_count; i++) {
        if (way != 1)
            sim_net_block(sim, i, slot, true);
        if (way != 0)
            sim_net_block(sim, slot, i, true);
    }
    mend_later(sim);
}

/* One after the other: the order in which arguments of a call are drawn is the compiler's. */
static void block_some(struct sim *sim, bool blocked)
{
    const int to = some_slot(sim);

    sim_net_block(sim, some_slot(sim), to, blocked);
}

/* Some links, each in one direction. */
static void cut_links(struct sim *sim)
{
    for (int64_t count = sim_between(sim, 1, 6); count > 0; count--)
        block_some(sim, true);
    mend_later(sim);
}

/* One end only sees the other by a third. */
static void bridge(struct sim *sim)
{
    int a = some_slot(sim), b = some_slot(sim);

    sim_net_block(sim, a, b, true);
    sim_net_block(sim, b, a, true);
    mend_later(sim);
}

static void mend_some(struct sim *sim)
{
    for (int64_t count = sim_between(sim, 1, 12); count > 0; count--)
        block_some(sim, false);
}

static void mend_all(struct sim *sim)
{
    sim_net_unblock_all(sim);
}

static void storm(struct sim *sim)
{
    struct sim_weather weather = {
        .lost = (unsigned)sim_below(sim, 30 * SIM_PERCENT),
        .doubled = (unsigned)sim_below(sim, 20 * SIM_PERCENT),
        .late = (unsigned)sim_below(sim, 30 * SIM_PERCENT),
        .late_us_max = sim_between(sim, 1000, sim_below(sim, 4) == 0 ? 1500000 : 60000),
    };

    sim_net_weather(sim, &weather);
}

static void calm(struct sim *sim)
{
    sim_net_weather(sim, &(struct sim_weather){0});
}

/* ---- Disks, clients ------------------------------------------------------------------------------- */

static void slow_disk(struct sim *sim)
{
    const unsigned slow = (unsigned)sim_between(sim, 1, 20);

    sim->nodes[some_victim(sim)]->disk.slow = slow;
}

static void quick_disks(struct sim *sim)
{
    for (size_t i = 0; i < sim->node_count; i++)
        sim->nodes[i]->disk.slow = 1;
}

static bool listens(const struct sim *sim, int slot)
{
    return sim->nodes[slot]->up && sim->nodes[slot]->paused_until_us <= sim->world->now_us;
}

static void burst(struct sim *sim)
{
    int slot = some_leader(sim);

    for (int64_t count = sim_between(sim, 1, 20); count > 0 && listens(sim, slot); count--) {
        sim_node_read(sim, slot);
        if (sim->use->submit != NULL)
            sim->use->submit(sim, slot, (size_t)sim_between(sim, 1, sim->traits.batch_max));
    }
}

/* ---- The operator --------------------------------------------------------------------------------- */

static void snapshot(struct sim *sim)
{
    int slot = some_slot(sim);

    if (listens(sim, slot))
        sim_node_snapshot(sim, slot, (unsigned)sim_below(sim, 32));
}

static void transfer(struct sim *sim)
{
    int slot = some_leader(sim);
    int to = sim_below(sim, 3) == 0 ? -1 : some_slot(sim);

    if (listens(sim, slot) && sim_node_transfer(sim, slot, to) == 0)
        sim->counts.transfers++;
}

static const struct member *some_learner(struct sim *sim, const struct membership *membership)
{
    size_t offset = sim_below(sim, membership->count);

    for (size_t i = 0; i < membership->count; i++) {
        const struct member *member = &membership->members[(offset + i) % membership->count];

        if (member->role == MEMBER_LEARNER)
            return member;
    }
    return NULL;
}

/* A node that is a member nowhere: one whose addition came to nothing, or a new one. */
static int some_stranger(struct sim *sim, const struct membership *membership)
{
    for (int i = (int)sim->traits.servers; i < (int)sim->node_count; i++) {
        struct membership own;

        sim_check_own_membership(sim->nodes[i], &own);
        if (sim->nodes[i]->up && membership_find(membership, sim->nodes[i]->id) == NULL &&
            own.count == 0)
            return i;
    }
    return sim_node_join(sim);
}

/* Removed for good: the operator stops it, sooner or later. */
static void stop_removed(struct sim *sim)
{
    const struct membership *membership = sim_check_committed_membership(sim);

    for (int i = 0; i < (int)sim->node_count; i++) {
        struct sim_node *node = sim->nodes[i];
        bool was_member = node->applied.index > 0 || i < (int)sim->traits.servers;

        if (was_member && membership_find(membership, node->id) == NULL && !node->gone &&
            sim_below(sim, 4) == 0) {
            sim_node_crash(sim, i);
            node->gone = true;
        }
    }
}

static void change(struct sim *sim)
{
    int leader = some_leader(sim);
    const struct membership *membership = sim_check_committed_membership(sim);
    const struct member *learner;
    int who;

    stop_removed(sim);
    if (!listens(sim, leader) || membership->count == 0)
        return;
    learner = some_learner(sim, membership);
    if (learner != NULL && sim_below(sim, 5) != 0) {
        sim_node_promote(sim, leader, sim_node_by_id(sim, learner->id));
    } else if (membership->count < sim->traits.servers + 2 && sim_below(sim, 3) != 0) {
        who = some_stranger(sim, membership);
        if (who >= 0)
            sim_node_add(sim, leader, who);
    } else if (membership_voters(membership) > sim->traits.voters_min) {
        who = sim_node_by_id(sim, membership->members[sim_below(sim, membership->count)].id);
        sim_node_remove(sim, leader, who);
    }
}

/* ---- Its life ------------------------------------------------------------------------------------- */

static const struct {
    void (*act)(struct sim *sim);
    unsigned weight;
} acts[] = {
    {crash, 16},    {power_cut, 1}, {stop_for_a_while, 10}, {split, 6},     {isolate, 8},
    {cut_links, 6}, {bridge, 4},    {mend_some, 6},         {mend_all, 16}, {storm, 10},
    {calm, 8},      {slow_disk, 5}, {quick_disks, 5},       {burst, 4},     {snapshot, 8},
    {transfer, 6},
};

static void act_once(struct sim *sim)
{
    unsigned sum = 0, drawn;
    size_t i = 0;

    for (size_t j = 0; j < sizeof acts / sizeof acts[0]; j++)
        sum += acts[j].weight;
    drawn = (unsigned)sim_below(sim, sum);
    while (drawn >= acts[i].weight)
        drawn -= acts[i++].weight;
    acts[i].act(sim);
}

static void act(struct sim *sim, struct sim_event *event)
{
    struct sim_event next = *event;

    if (sim->nemesis->stopped)
        return;
    act_once(sim);
    next.at_us = sim->world->now_us + sim_between(sim, 1, 2 * (int64_t)sim->traits.nemesis_us);
    sim_at(sim, &next);
}

static void operate(struct sim *sim, struct sim_event *event)
{
    struct sim_event next = *event;

    if (sim->nemesis->stopped)
        return;
    change(sim);
    next.at_us = sim->world->now_us + sim_between(sim, 1, 2 * (int64_t)sim->traits.change_us);
    sim_at(sim, &next);
}

void sim_nemesis_start(struct sim *sim)
{
    later(sim, CALM_US, act, -1, 0);
    if (sim->traits.membership)
        later(sim, CALM_US, operate, -1, 0);
}

void sim_nemesis_stop(struct sim *sim)
{
    sim->nemesis->stopped = true;
}

bool sim_nemesis_paused(const struct sim *sim)
{
    for (size_t i = 0; i < sim->node_count; i++)
        if (sim->nodes[i]->up && sim->nodes[i]->paused_until_us > sim->world->now_us)
            return true;
    return false;
}

/* ---- Healing -------------------------------------------------------------------------------------- */

static bool has_majority(const struct sim *sim, const struct membership *membership,
                         const bool *alive)
{
    size_t count = 0;

    for (size_t i = 0; i < membership->count; i++) {
        const struct member *member = &membership->members[i];

        count += member->role == MEMBER_VOTER && alive[sim_node_by_id(sim, member->id)];
    }
    return count >= membership_majority(membership);
}

/* Whoever of those alive comes to lead, by whatever membership its log has, there is a majority. */
static bool suffices(const struct sim *sim, const bool *alive)
{
    if (!has_majority(sim, sim_check_committed_membership(sim), alive))
        return false;
    for (size_t i = 0; i < sim->node_count; i++) {
        struct membership own;

        sim_check_own_membership(sim->nodes[i], &own);
        if (alive[i] && own.count > 0 && !has_majority(sim, &own, alive))
            return false;
    }
    return true;
}

static void leave_majority(struct sim *sim)
{
    bool alive[SIM_NODES_MAX] = {false};
    size_t offset = sim_below(sim, sim->node_count);

    for (size_t i = 0; i < sim->node_count; i++)
        alive[i] = !sim->nodes[i]->gone;
    for (size_t i = 0; i < sim->node_count; i++) {
        size_t slot = (offset + i) % sim->node_count;
        bool was = alive[slot];

        alive[slot] = false;
        if (was && !suffices(sim, alive))
            alive[slot] = true;
    }
    for (size_t i = 0; i < sim->node_count; i++)
        sim->nodes[i]->gone = !alive[i];
}

void sim_nemesis_heal(struct sim *sim)
{
    sim_trace(sim, -1, "heal");
    sim_net_unblock_all(sim);
    calm(sim);
    quick_disks(sim);
    sim->traits.disk_stall = 0;
    sim->traits.disk_fail = 0;
    if (sim->traits.heal_majority) {
        for (size_t i = 0; i < sim->node_count; i++)
            sim_node_crash(sim, (int)i);
        sim_net_lose_all(sim);
        leave_majority(sim);
    }
    for (size_t i = 0; i < sim->node_count; i++)
        sim_node_start(sim, (int)i);
    sim_check_heal(sim);
}
