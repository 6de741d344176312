/* See sim_store.h.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/sim_store.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/sim_catalog.h"
#include "tests/sim/sim_check.h"
#include "tests/sim/sim_conductor.h"
#include "tests/sim/sim_customers.h"
#include "tests/sim/sim_nemesis.h"
#include "tests/sim/sim_order.h"

/* Between two looks at some replica's items, and at whether all is quiet. */
#define AUDIT_US 1000000
#define LOOK_US  50000

struct store {
    struct sim_world *world;
    struct sim_parts parts;
    struct sim_ledger *ledger;
    bool calm; /* no more faults of the bus */
};

/* ---- What a group of a store is there for ------------------------------------------------------- */

static void start(struct sim *sim)
{
    (void)sim; /* the customers are the store's */
}

static void committed(struct sim *sim, const struct log_entry *entry)
{
    sim->counts.commits += entry->kind == LOG_ENTRY_COMMAND;
}

static struct sim_shell *shell_of(const struct sim_node *node)
{
    return ((struct sim_process *)node->process)->shell;
}

static void applied(struct sim *sim, struct sim_node *node, const struct log_entry *entry,
                    void *result)
{
    (void)sim;
    sim_shell_applied(shell_of(node), entry, result);
}

static void settled(struct sim *sim, struct sim_node *node)
{
    (void)sim;
    sim_shell_settled(shell_of(node));
}

static void served(struct sim *sim, struct sim_node *node, const struct sim_read *read)
{
    (void)sim;
    sim_shell_served(shell_of(node), read);
}

static const struct sim_use use_catalog = {
    .name = "catalog ",
    .machine = &sim_catalog,
    .start = start,
    .committed = committed,
    .applied = applied,
    .settled = settled,
    .served = served,
    .lead = sim_catalog_lead,
    .born = sim_catalog_born,
    .died = sim_catalog_died,
};

static const struct sim_use use_order = {
    .name = "order   ",
    .machine = &sim_order,
    .start = start,
    .committed = committed,
    .applied = applied,
    .settled = settled,
    .served = served,
    .lead = sim_order_lead,
    .born = sim_order_born,
    .died = sim_order_died,
};

/* ---- The bus under fire, and audits --------------------------------------------------------------- */

static const struct sim_node *some_up(struct sim *sim)
{
    size_t offset = sim_below(sim, sim->node_count);

    for (size_t i = 0; i < sim->node_count; i++) {
        const struct sim_node *node = sim->nodes[(offset + i) % sim->node_count];

        if (node->up)
            return node;
    }
    return NULL;
}

static void weather(struct sim *sim, struct sim_event *event)
{
    struct store *self = event->load;
    struct sim_event next = *event;
    struct sim *group = sim_below(sim, 2) == 0 ? self->parts.catalog : self->parts.order;

    if (self->calm)
        return;
    switch (sim_below(sim, 4)) {
    case 0: sim_bus_calm(self->parts.bus); break;
    case 1: sim_bus_storm(self->parts.bus, sim); break;
    default: sim_bus_cut(self->parts.bus, group, (int)sim_below(sim, group->node_count)); break;
    }
    next.at_us = sim->world->now_us + sim_between(sim, 1, 2 * (int64_t)sim->traits.nemesis_us);
    sim_at(sim, &next);
}

static void audit(struct sim *sim, struct sim_event *event)
{
    struct store *self = event->load;
    const struct sim_node *node = some_up(self->parts.catalog);
    struct sim_event next = *event;

    if (node != NULL)
        sim_ledger_audit(self->ledger, node);
    next.at_us = sim->world->now_us + AUDIT_US;
    sim_at(sim, &next);
}

static void begin(struct store *self, sim_event_fn *fire)
{
    struct sim_event event = {
        .at_us = self->world->now_us + AUDIT_US, .fire = fire, .node = -1, .load = self};

    sim_at(self->parts.order, &event);
}

/* ---- Life --------------------------------------------------------------------------------------- */

static void open_store(struct store *self, const struct sim_options *options)
{
    struct sim_parts *parts = &self->parts;

    self->world = sim_world_new(options->seed, options->trace);
    sim_mutation_set(options->mutation);
    parts->catalog = sim_new_in(self->world, options, &use_catalog);
    parts->order = sim_new_in(self->world, options, &use_order);
    /* An order takes both groups and the bus at one time: each is left alone twice as long. */
    parts->catalog->traits.nemesis_us *= 2;
    parts->order->traits.nemesis_us *= 2;
    parts->bus = sim_bus_new();
    self->ledger = sim_ledger_new(parts->order);
    parts->customers = sim_customers_new(parts, self->ledger);
    parts->catalog->user = parts->order->user = parts;
}

static void close_store(struct store *self)
{
    sim_world_destroy(&self->world);
    sim_customers_destroy(&self->parts.customers);
    sim_ledger_destroy(&self->ledger);
    sim_destroy(&self->parts.catalog);
    sim_destroy(&self->parts.order);
    sim_bus_destroy(&self->parts.bus);
    sim_mutation_set(MUTATION_NONE);
}

/* ---- The end ------------------------------------------------------------------------------------ */

static bool group_quiet(const struct sim *sim, bool (*quiet)(const struct sim_node *node))
{
    replica_index last = sim_check_committed(sim);

    for (size_t i = 0; i < sim->node_count; i++) {
        const struct sim_node *node = sim->nodes[i];

        if (membership_find(sim_check_committed_membership(sim), node->id) == NULL || node->gone)
            continue;
        if (!node->up || node->installing || node->applied.index < last || !quiet(node))
            return false;
    }
    return true;
}

static bool sagas_quiet(const struct sim *sim)
{
    for (size_t i = 0; i < sim->node_count; i++)
        if (sim->nodes[i]->up && !sim_conductor_quiet(sim_conductor_of(sim->nodes[i])))
            return false;
    return true;
}

static bool is_quiet(const struct store *self)
{
    const struct sim_parts *parts = &self->parts;

    return sim_customers_done(parts->customers) && sagas_quiet(parts->order) &&
           group_quiet(parts->catalog, sim_ledger_catalog_quiet) &&
           group_quiet(parts->order, sim_ledger_order_quiet);
}

static void for_members(struct store *self, struct sim *sim,
                        void (*check)(struct sim_ledger *ledger, const struct sim_node *node))
{
    for (size_t i = 0; i < sim->node_count; i++) {
        const struct sim_node *node = sim->nodes[i];

        if (node->up && self->world->violation[0] == '\0' &&
            membership_find(sim_check_committed_membership(sim), node->id) != NULL)
            check(self->ledger, node);
    }
}

static void fire(struct store *self)
{
    const struct sim_parts *parts = &self->parts;

    sim_start(parts->catalog);
    sim_start(parts->order);
    sim_customers_start(parts->customers);
    begin(self, weather);
    begin(self, audit);
    while ((!sim_fire_is_over(parts->catalog) || !sim_fire_is_over(parts->order)) &&
           sim_step(parts->order))
        if (self->world->now_us > SIM_STORE_FIRE_US_MAX)
            sim_fail(parts->order, "only %" PRIu64 " and %" PRIu64 " commands committed under fire",
                     parts->catalog->counts.commits, parts->order->counts.commits);
    sim_nemesis_stop(parts->catalog);
    sim_nemesis_stop(parts->order);
    while ((sim_nemesis_paused(parts->catalog) || sim_nemesis_paused(parts->order)) &&
           sim_step(parts->order))
        ;
}

static void heal(struct store *self)
{
    const struct sim_parts *parts = &self->parts;
    int64_t heal_us = self->world->now_us;

    self->calm = true;
    sim_bus_calm(parts->bus);
    sim_nemesis_heal(parts->catalog);
    sim_nemesis_heal(parts->order);
    while ((!sim_check_healed(parts->catalog) || !sim_check_healed(parts->order)) &&
           sim_step(parts->order)) {
        int slots[] = {sim_check_unserved(parts->catalog), sim_check_unserved(parts->order)};

        if (slots[0] >= 0 &&
            parts->catalog->nodes[slots[0]]->paused_until_us <= self->world->now_us)
            sim_node_read(parts->catalog, slots[0]);
        if (slots[1] >= 0 && parts->order->nodes[slots[1]]->paused_until_us <= self->world->now_us)
            sim_node_read(parts->order, slots[1]);
        if (self->world->now_us > heal_us + SIM_STORE_HEAL_US_MAX)
            sim_fail(parts->order, "not healed: catalog: %s; orders: %s",
                     sim_check_unhealed(parts->catalog), sim_check_unhealed(parts->order));
    }
}

static void quieten(struct store *self)
{
    const struct sim_parts *parts = &self->parts;
    int64_t stop_us = self->world->now_us, look_us = stop_us;

    sim_customers_stop(parts->customers);
    while (sim_step(parts->order)) {
        if (self->world->now_us < look_us)
            continue;
        look_us = self->world->now_us + LOOK_US;
        if (is_quiet(self))
            return;
        if (self->world->now_us > stop_us + SIM_STORE_QUIET_US_MAX)
            sim_fail(parts->order, "L7: what was begun comes to no end: customers %s, sagas %s",
                     sim_customers_done(parts->customers) ? "done" : "wait",
                     sagas_quiet(parts->order) ? "done" : "at work");
    }
}

static void count(const struct store *self, int64_t heal_us, struct sim_counts *counts)
{
    const struct sim_customer_counts *customers = sim_customers_counts(self->parts.customers);

    sim_counts_add(counts, &self->parts.catalog->counts);
    sim_counts_add(counts, &self->parts.order->counts);
    for (int i = 0; i < MUTATION_COUNT; i++)
        counts->guarded[i] = sim_mutation_acted((enum sim_mutation)i);
    counts->runs = 1;
    counts->simulated_ms = (uint64_t)sim_now_ms(self->parts.order);
    counts->heal_us = counts->heal_us_max = (uint64_t)(self->world->now_us - heal_us);
    counts->bought = customers->bought;
    counts->denied = customers->denied;
    counts->cancelled = customers->cancelled;
    counts->moved = customers->moved;
    counts->looked = customers->looked;
    counts->found = customers->found;
    counts->repeated = customers->repeated;
    counts->order_commits = self->parts.order->counts.commits;
    counts->calls = sim_bus_counts(self->parts.bus)->calls;
    counts->calls_lost = sim_bus_counts(self->parts.bus)->lost;
    counts->calls_doubled = sim_bus_counts(self->parts.bus)->doubled;
}

bool sim_store_run(const struct sim_options *options, struct sim_counts *counts,
                   char violation[512])
{
    struct store store = {0};
    int64_t heal_us;

    memset(counts, 0, sizeof *counts);
    open_store(&store, options);
    fire(&store);
    heal_us = store.world->now_us;
    heal(&store);
    quieten(&store);
    for_members(&store, store.parts.order, sim_ledger_check_orders);
    for_members(&store, store.parts.catalog, sim_ledger_check_catalog);
    sim_end(store.parts.catalog, heal_us);
    sim_end(store.parts.order, heal_us);
    count(&store, heal_us, counts);
    memcpy(violation, store.world->violation, sizeof store.world->violation);
    close_store(&store);
    return violation[0] == '\0';
}
