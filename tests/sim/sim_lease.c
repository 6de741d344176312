/* See sim_lease.h.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/sim_lease.h"

#include <inttypes.h>
#include <string.h>

#include "tests/sim/sim_check.h"
#include "tests/sim/sim_lease_node.h"
#include "tests/sim/sim_lease_world.h"
#include "tests/sim/sim_nemesis.h"
#include "tests/sim/sim_node.h"

/* Clocks are wrong by so much at most, as the leases allow for. */
#define DRIFT_PPM 10000
/* Between two reads of a cache, at the mean, when all is over but that each serves again. */
#define STILL_READ_US 50000

/* ---- What the group is there for ---------------------------------------------------------------- */

static void write_some(struct sim *sim, struct sim_event *event)
{
    struct sim_lease *self = sim_lease_of(sim);
    struct lease_mail mail = {.kind = LEASE_MAIL_WRITE, .cache = -1};
    struct sim_event next = *event;

    if (self->still)
        return;
    mail.keys = UINT32_C(1) << sim_below(sim, LEASE_KEYS);
    if (sim_below(sim, 8) == 0)
        mail.keys |= UINT32_C(1) << sim_below(sim, LEASE_KEYS);
    if (sim_below(sim, 64) == 0) {
        mail.keys = (UINT32_C(1) << LEASE_KEYS) - 1;
        mail.all = true;
    }
    sim_lease_send_leader(sim, &mail);
    /* Now and then nobody writes for a while: then keys are released, and read from memory. */
    next.at_us = sim->world->now_us + sim_between(sim, 1, 2 * (int64_t)self->write_us);
    if (sim_below(sim, 32) == 0)
        next.at_us += sim_between(sim, 0, 400000);
    sim_at(sim, &next);
}

static void start(struct sim *sim)
{
    struct sim_lease *self = sim_lease_of(sim);
    struct sim_event event = {.at_us = sim->world->now_us, .fire = write_some, .node = -1};

    self->cache_count = 1 + sim_below(sim, LEASE_CACHES_MAX);
    for (size_t i = 0; i < self->cache_count; i++)
        self->caches[i] = sim_lease_cache_new(sim, (int)i);
    sim_at(sim, &event);
    sim_lease_harm_start(self);
}

static void committed(struct sim *sim, const struct log_entry *entry)
{
    sim->counts.commits += entry->kind == LOG_ENTRY_COMMAND;
}

static const struct sim_use use_lease = {
    .name = "",
    .machine = &sim_lease_machine,
    .start = start,
    .committed = committed,
    .applied = sim_lease_node_applied,
    .settled = sim_lease_node_settled,
    .served = sim_lease_node_served,
    .lead = sim_lease_node_lead,
    .born = sim_lease_node_born,
    .died = sim_lease_node_died,
    .resumed = sim_lease_node_resumed,
};

/* ---- Life --------------------------------------------------------------------------------------- */

static int64_t drift_ppm(void)
{
    if (sim_mutation_is(MUTATION_LEASE_DRIFT_3))
        return 3 * DRIFT_PPM;
    if (sim_mutation_is(MUTATION_LEASE_DRIFT_5))
        return 5 * DRIFT_PPM;
    if (sim_mutation_is(MUTATION_LEASE_DRIFT_10))
        return 10 * DRIFT_PPM;
    return DRIFT_PPM;
}

/* How patient a cache's host is: a late answer counts for whoever still waits for it. */
static unsigned some_patience_us(struct sim *sim)
{
    static const unsigned us[] = {150000, 700000, 2000000};

    return us[sim_below(sim, sizeof us / sizeof us[0])];
}

void sim_lease_open(struct sim_lease *self, const struct sim_options *options)
{
    struct sim_options ours = *options;
    struct sim *sim;

    ours.use = &use_lease;
    self->sim = sim = sim_new(&ours);
    sim->user = self;
    sim->traits.drift_ppm = drift_ppm();
    /* Leases last a second: there has to be time for some between two faults, and here and there for
     * many. */
    sim->traits.nemesis_us *= 4U << sim_below(sim, 3);
    self->post = sim_lease_post_new();
    self->read_us = (unsigned)sim_between(sim, 1000, 10000);
    self->write_us = (unsigned)sim_between(sim, 15000, 100000);
    self->harm_us = (unsigned)sim_between(sim, 100000, 1500000);
    self->ask_us = some_patience_us(sim);
}

void sim_lease_close(struct sim_lease *self)
{
    for (size_t i = 0; i < self->cache_count; i++)
        sim_lease_cache_destroy(&self->caches[i]);
    sim_destroy(&self->sim);
    sim_lease_post_destroy(&self->post);
}

/* ---- A run -------------------------------------------------------------------------------------- */

static bool caches_paused(const struct sim_lease *self)
{
    for (size_t i = 0; i < self->cache_count; i++)
        if (sim_lease_cache_paused(self->caches[i]))
            return true;
    return false;
}

static void fire(struct sim_lease *self)
{
    struct sim *sim = self->sim;

    sim_start(sim);
    while (!sim_fire_is_over(sim) && sim_step(sim))
        if (sim->world->now_us > SIM_LEASE_FIRE_US_MAX)
            sim_fail(sim, "only %" PRIu64 " commands committed under fire", sim->counts.commits);
    sim_nemesis_stop(sim);
    self->calm = true;
    while ((sim_nemesis_paused(sim) || caches_paused(self)) && sim_step(sim))
        ;
}

static void heal(struct sim_lease *self)
{
    struct sim *sim = self->sim;
    const int64_t heal_us = sim->world->now_us;

    sim_lease_mend(self);
    sim_nemesis_heal(sim);
    while (!sim_check_healed(sim) && sim_step(sim)) {
        const int slot = sim_check_unserved(sim);

        if (slot >= 0 && sim->nodes[slot]->paused_until_us <= sim->world->now_us)
            sim_node_read(sim, slot);
        if (sim->world->now_us > heal_us + SIM_HEAL_US_MAX)
            sim_fail(sim, "not healed: %s", sim_check_unhealed(sim));
    }
}

static bool all_hit(struct sim_lease *self, bool *hit)
{
    bool all = true;

    for (size_t i = 0; i < self->cache_count; i++) {
        hit[i] = hit[i] || sim_lease_cache_hits(self->caches[i]) > 0;
        all = all && hit[i];
    }
    return all;
}

/* V2. */
static void serve_again(struct sim_lease *self)
{
    struct sim *sim = self->sim;
    bool hit[LEASE_CACHES_MAX] = {false};
    const int64_t still_us = sim->world->now_us;

    self->still = true;
    self->read_us = STILL_READ_US; /* long back-offs are waited for */
    all_hit(self, hit);
    memset(hit, 0, sizeof hit);
    while (!all_hit(self, hit) && sim_step(sim))
        if (sim->world->now_us > still_us + SIM_LEASE_HEAL_US_MAX)
            sim_fail(sim, "V2: a cache does not serve from memory again");
}

static void count(struct sim_lease *self, struct sim_counts *counts)
{
    struct sim *sim = self->sim;

    for (size_t i = 0; i < sim->node_count; i++)
        if (sim->nodes[i]->up)
            sim_lease_node_count(sim, sim->nodes[i]);
    *counts = sim->counts;
}

bool sim_lease_run(const struct sim_options *options, struct sim_counts *counts,
                   char violation[512])
{
    struct sim_lease self = {0};
    int64_t heal_us, healed_us;

    sim_lease_open(&self, options);
    fire(&self);
    heal_us = self.sim->world->now_us;
    heal(&self);
    healed_us = self.sim->world->now_us;
    serve_again(&self);
    sim_end(self.sim, heal_us + self.sim->world->now_us - healed_us);
    count(&self, counts);
    memcpy(violation, self.sim->world->violation, sizeof self.sim->world->violation);
    sim_lease_close(&self);
    return violation[0] == '\0';
}
