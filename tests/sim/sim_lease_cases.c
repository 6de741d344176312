/* See sim_lease_cases.h.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/sim_lease_cases.h"

#include <stdio.h>

#include "broker/bus/limits.h"
#include "tests/sim/sim_lease.h"
#include "tests/sim/sim_lease_cache_internal.h"
#include "tests/sim/sim_lease_world.h"
#include "tests/sim/sim_node.h"

#define MS 1000

/* The key that is written while the cache holds it, and one that is there to make the feed go on. */
#define KEY   0
#define OTHER 1

/* ---- The hands ---------------------------------------------------------------------------------- */

static void no_more(struct sim *sim, struct sim_event *event)
{
    (void)sim;
    (void)event;
}

/* Time passes, and what is due in it happens. */
static void pass_until(struct sim_lease *self, int64_t until_us)
{
    const struct sim_event event = {.at_us = until_us, .fire = no_more, .node = -1};

    if (until_us <= self->sim->world->now_us)
        return;
    sim_at(self->sim, &event);
    while (self->sim->world->now_us < until_us && sim_step(self->sim))
        ;
}

static void pass(struct sim_lease *self, int64_t us)
{
    pass_until(self, self->sim->world->now_us + us);
}

static void expect(struct sim_lease *self, bool so, const char *what)
{
    if (!so)
        sim_fail(self->sim, "not so: %s", what);
}

static struct sim_lease_cache *cache_of(struct sim_lease *self)
{
    return self->caches[0];
}

static struct leased_counts counts_of(struct sim_lease *self)
{
    struct leased_counts counts;

    leased_cache_count(cache_of(self)->cache, &counts);
    return counts;
}

static struct sim_node *leader_of(struct sim_lease *self)
{
    for (size_t i = 0; i < self->sim->node_count; i++)
        if (self->sim->nodes[i]->lead_term != 0)
            return self->sim->nodes[i];
    return NULL;
}

/* Whether the cache had it in memory, and could serve it. */
static bool reads(struct sim_lease *self, unsigned key)
{
    const uint64_t hits = self->sim->counts.hits;

    sim_lease_cache_read_key(cache_of(self), key);
    return self->sim->counts.hits > hits;
}

static void write_key(struct sim_lease *self, unsigned key)
{
    struct lease_mail mail = {.kind = LEASE_MAIL_WRITE, .cache = -1, .keys = UINT32_C(1) << key};

    sim_lease_send_leader(self->sim, &mail);
}

/* What the feed has said long ago is heard once more: nothing is new in it, but it is not silent. An
 * INVALIDATE is acknowledged again, by a RENEW. */
static void echo(struct sim_lease *self, enum leased_news type)
{
    struct lease_mail mail = {.kind = LEASE_MAIL_NEWS, .type = (int)type};
    struct leased_counts counts = counts_of(self);

    mail.term = counts.term;
    sim_lease_cache_receive(cache_of(self), &mail);
}

static void cut(struct sim_lease *self, enum lease_way way, bool cut)
{
    for (int i = 0; i < (int)self->sim->node_count; i++)
        sim_lease_cut(self->sim, i, 0, way, cut);
}

static void cut_all(struct sim_lease *self)
{
    for (int i = 0; i < (int)self->sim->node_count; i++)
        sim_lease_cut_all(self->sim, i, 0);
}

/* ---- What they have in common ------------------------------------------------------------------- */

/* Somebody leads, and the cache holds both keys under a lease. */
static void begin(struct sim_lease *self)
{
    for (int i = 0; i < 3000 && (leader_of(self) == NULL || counts_of(self).lease_left_ms == 0);
         i++)
        pass(self, MS);
    pass(self, 100 * MS);
    write_key(self, OTHER); /* now the feed has said something */
    pass(self, 200 * MS);
    reads(self, KEY);
    reads(self, OTHER);
    pass(self, 20 * MS);
    expect(self, leader_of(self) != NULL, "somebody leads");
    expect(self, reads(self, KEY) && reads(self, OTHER), "the cache holds both keys");
}

/* Until its lease has just been renewed. */
static void await_grant(struct sim_lease *self)
{
    const uint64_t renewals = counts_of(self).renewals;

    for (int i = 0; i < 1000 && counts_of(self).renewals == renewals; i++)
        pass(self, MS);
    expect(self, counts_of(self).renewals > renewals, "the lease is renewed");
}

/* Read until the key's write was acknowledged for some time, and keep the feed from being silent. */
static void read_until(struct sim_lease *self, int64_t until_us)
{
    for (int i = 0; self->sim->world->now_us < until_us && self->sim->world->violation[0] == '\0';
         i++) {
        if (i % 100 == 0)
            echo(self, LEASED_BEAT);
        reads(self, KEY);
        pass(self, MS);
    }
}

static void expect_written(struct sim_lease *self, replica_index before)
{
    expect(self, self->judge.floors[KEY] > before, "the write is acknowledged");
    expect(self, !reads(self, KEY), "the cache has no lease, or not the key");
}

/* ---- Cases -------------------------------------------------------------------------------------- */

/* The write is done as soon as the leader thinks that the lease is over; some ten milliseconds are left
 * between that and the moment at which it is. */
void play_lease_end(struct sim_lease *self)
{
    replica_index before;

    begin(self);
    before = self->judge.floors[KEY];
    await_grant(self);
    cut_all(self);
    write_key(self, KEY);
    read_until(self, self->sim->world->now_us + 1300 * MS);
    expect_written(self, before);
}

void play_lease_late_answer(struct sim_lease *self)
{
    replica_index before;

    begin(self);
    before = self->judge.floors[KEY];
    await_grant(self);
    pass(self, 200 * MS);
    cut(self, LEASE_WAY_FEED, true);
    echo(self, LEASED_INVALIDATE); /* which sends a RENEW */
    sim_lease_cache_pause(cache_of(self), self->sim->world->now_us + 400 * MS);
    pass(self, 10 * MS);
    cut_all(self);
    write_key(self, KEY);
    pass(self, 390 * MS);
    read_until(self, self->sim->world->now_us + 1200 * MS);
    expect_written(self, before);
}

void play_lease_lapsed(struct sim_lease *self)
{
    replica_index before;

    begin(self);
    before = self->judge.floors[KEY];
    await_grant(self);
    cut_all(self);
    write_key(self, KEY);
    for (int i = 0; i < 13; i++) {
        pass(self, 100 * MS);
        echo(self, LEASED_BEAT);
    }
    expect(self, self->judge.floors[KEY] > before, "the write is acknowledged");
    cut(self, LEASE_WAY_ASKS, false);
    cut(self, LEASE_WAY_ANSWERS, false);
    echo(self, LEASED_INVALIDATE);
    pass(self, 5 * MS);
    expect_written(self, before);
}

/* The cache hears that all is well, and can't be heard. Just before its lease is over by the leader's
 * clock something is written; of that it does not hear. Its RENEW comes while the leader is stopped, and
 * is the first thing that it takes up after the lease's end. */
void play_lease_renewal(struct sim_lease *self)
{
    replica_index before;
    int64_t end_us;

    begin(self);
    before = self->judge.floors[KEY];
    await_grant(self);
    end_us = self->sim->world->now_us + LEASE_WAIT_MS * MS;
    cut(self, LEASE_WAY_ASKS, true);
    pass_until(self, end_us - 80 * MS);
    cut(self, LEASE_WAY_FEED, true);
    write_key(self, KEY);
    pass(self, 5 * MS);
    sim_node_pause(self->sim, leader_of(self)->slot, end_us + 3 * MS);
    pass(self, 5 * MS);
    cut(self, LEASE_WAY_ASKS, false);
    echo(self, LEASED_INVALIDATE);
    read_until(self, end_us + 100 * MS);
    expect_written(self, before);
}

/* ---- Playing ------------------------------------------------------------------------------------ */

/* Timers that were set by another rate are found to be early, and set again. */
static void open_quiet(struct sim_lease *self, const struct sim_options *options)
{
    struct sim_traits *traits;

    sim_lease_open(self, options);
    traits = &self->sim->traits;
    traits->disk_fail = traits->disk_stall = 0;
    traits->disk_us_max = traits->net_us_max = 200;
    traits->snapshot_entries = 1000000;
    traits->in_flight_max = traits->backlog_max = 4096;
    sim_lease_post_quick(self->post);
    self->read_us = 0;
    self->ask_us = 2000 * MS;
    sim_nodes_found(self->sim, traits->servers);
    for (size_t i = 0; i < self->sim->node_count; i++)
        self->sim->nodes[i]->drift_ppm = traits->drift_ppm;
    self->cache_count = 2;
    for (int i = 0; i < 2; i++) {
        self->caches[i] = sim_lease_cache_new(self->sim, i);
        self->caches[i]->drift_ppm = -traits->drift_ppm;
    }
}

bool sim_lease_play(sim_lease_play_fn *play, enum sim_mutation mutation, FILE *trace, char *why,
                    size_t size)
{
    const struct sim_options options = {.seed = 1,
                                        .servers = 3,
                                        .election_ms = 150,
                                        .heartbeat_ms = 15,
                                        .heal_majority = 0,
                                        .pre_vote = 1,
                                        .membership = 0,
                                        .mutation = mutation,
                                        .trace = trace};
    struct sim_lease self = {0};
    bool good;

    open_quiet(&self, &options);
    play(&self);
    good = self.sim->world->violation[0] == '\0';
    snprintf(why, size, "%s", self.sim->world->violation);
    sim_lease_close(&self);
    return good;
}
