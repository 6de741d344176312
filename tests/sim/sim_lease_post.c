/* See sim_lease_post.h.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/sim_lease_post.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "broker/bus/alloc.h"
#include "tests/sim/sim_lease_node.h"
#include "tests/sim/sim_lease_world.h"
#include "tests/sim/sim_node.h"

#define LEAST_US    50
#define GREATEST_US 3000

struct sim_lease_post {
    struct sim_weather weather;
    bool quick;
    int64_t cut_us[SIM_NODES_MAX][LEASE_CACHES_MAX]
                  [LEASE_WAY_COUNT]; /* since when; 0: it is not cut */
    int64_t arrived_us[SIM_NODES_MAX]
                      [LEASE_CACHES_MAX]; /* the last of the feed, if it is not late */
};

struct sim_lease_post *sim_lease_post_new(void)
{
    return alloc_zero(sizeof(struct sim_lease_post));
}

void sim_lease_post_destroy(struct sim_lease_post **self_p)
{
    free(*self_p);
    *self_p = NULL;
}

static bool to_cache(const struct lease_mail *mail)
{
    return mail->kind == LEASE_MAIL_NEWS || mail->kind == LEASE_MAIL_ANSWER ||
           mail->kind == LEASE_MAIL_VALUE;
}

static enum lease_way way_of(const struct lease_mail *mail)
{
    if (mail->kind == LEASE_MAIL_NEWS)
        return LEASE_WAY_FEED;
    return to_cache(mail) ? LEASE_WAY_ANSWERS : LEASE_WAY_ASKS;
}

static bool is_cut(const struct sim_lease_post *self, int node, int cache, enum lease_way way)
{
    return cache >= 0 && self->cut_us[node][cache][way] != 0;
}

/* ---- On the way --------------------------------------------------------------------------------- */

static void drop(void **load_p)
{
    free(*load_p);
    *load_p = NULL;
}

static void arrive_at_node(struct sim *sim, struct sim_event *event)
{
    if (sim_node_deferred(sim, event))
        return;
    sim_lease_node_receive(sim, sim->nodes[event->node], event->load);
    drop(&event->load);
}

static void arrive_at_cache(struct sim *sim, struct sim_event *event)
{
    const struct lease_mail *mail = event->load;
    struct sim_lease_cache *cache = sim_lease_of(sim)->caches[mail->cache];

    if (sim_lease_cache_deferred(cache, event))
        return;
    sim_lease_cache_receive(cache, mail);
    drop(&event->load);
}

static void post(struct sim *sim, const struct lease_mail *mail, int64_t at_us)
{
    struct sim_event event = {.at_us = at_us, .node = -1, .drop = drop};

    event.load = alloc_copy(mail, sizeof *mail);
    event.fire = to_cache(mail) ? arrive_at_cache : arrive_at_node;
    if (!to_cache(mail))
        event.node = mail->node;
    sim_at(sim, &event);
}

/* The feed is a stream, which only loses: what is not late arrives in its order. */
static int64_t arrival_us(struct sim *sim, struct sim_lease_post *self,
                          const struct lease_mail *mail)
{
    int64_t at_us =
        sim->world->now_us + sim_between(sim, LEAST_US, self->quick ? LEAST_US : GREATEST_US);

    if (sim_chance(sim, self->weather.late)) {
        sim->counts.feed_late += mail->kind == LEASE_MAIL_NEWS;
        return at_us + sim_between(sim, 0, self->weather.late_us_max);
    }
    if (mail->kind != LEASE_MAIL_NEWS)
        return at_us;
    if (at_us < self->arrived_us[mail->node][mail->cache])
        at_us = self->arrived_us[mail->node][mail->cache];
    self->arrived_us[mail->node][mail->cache] = at_us;
    return at_us;
}

static bool is_lost(struct sim *sim, const struct sim_lease_post *self,
                    const struct lease_mail *mail)
{
    if (!sim_chance(sim, self->weather.lost))
        return false;
    sim->counts.feed_lost += mail->kind == LEASE_MAIL_NEWS;
    return true;
}

void sim_lease_send(struct sim *sim, const struct lease_mail *mail)
{
    struct sim_lease_post *self = sim_lease_of(sim)->post;

    assert(mail->node >= 0);
    sim->counts.calls++;
    if (is_cut(self, mail->node, mail->cache, way_of(mail)) || is_lost(sim, self, mail)) {
        sim->counts.calls_lost++;
        return;
    }
    post(sim, mail, arrival_us(sim, self, mail));
    if (sim_chance(sim, self->weather.doubled)) {
        sim->counts.calls_doubled++;
        sim->counts.feed_doubled += mail->kind == LEASE_MAIL_NEWS;
        post(sim, mail,
             sim->world->now_us + LEAST_US + sim_between(sim, 0, self->weather.late_us_max));
    }
}

/* ---- To whom ------------------------------------------------------------------------------------ */

/* More than one is taken for the leader when one does not know yet that it was deposed; now and then
 * one that never led. */
static int choose(struct sim *sim, const struct lease_mail *mail, bool leader)
{
    const struct sim_lease_post *self = sim_lease_of(sim)->post;
    size_t offset = sim_below(sim, sim->node_count);

    for (size_t i = 0; i < sim->node_count; i++) {
        const struct sim_node *node = sim->nodes[(offset + i) % sim->node_count];

        if (node->up && node->applied.index > 0 && (!leader || node->lead_term != 0) &&
            !is_cut(self, node->slot, mail->cache, LEASE_WAY_ASKS))
            return node->slot;
    }
    return -1;
}

static void send_chosen(struct sim *sim, struct lease_mail *mail, bool leader)
{
    mail->node = choose(sim, mail, leader);
    if (mail->node >= 0)
        sim_lease_send(sim, mail);
}

void sim_lease_send_leader(struct sim *sim, struct lease_mail *mail)
{
    const bool by_hand = sim_lease_of(sim)->post->quick;

    send_chosen(sim, mail, by_hand || sim_below(sim, 32) != 0);
}

void sim_lease_send_any(struct sim *sim, struct lease_mail *mail)
{
    send_chosen(sim, mail, false);
}

/* ---- Faults ------------------------------------------------------------------------------------- */

void sim_lease_weather(struct sim_lease_post *self, const struct sim_weather *weather)
{
    self->weather = *weather;
}

void sim_lease_cut(struct sim *sim, int node, int cache, enum lease_way way, bool cut)
{
    int64_t *cut_us = &sim_lease_of(sim)->post->cut_us[node][cache][way];

    assert(sim->world->now_us > 0);
    if (!cut)
        *cut_us = 0;
    else if (*cut_us == 0)
        *cut_us = sim->world->now_us;
}

void sim_lease_cut_all(struct sim *sim, int node, int cache)
{
    for (int way = 0; way < LEASE_WAY_COUNT; way++)
        sim_lease_cut(sim, node, cache, (enum lease_way)way, true);
}

void sim_lease_uncut_all(struct sim_lease_post *self)
{
    memset(self->cut_us, 0, sizeof self->cut_us);
}

int64_t sim_lease_longest_cut_us(const struct sim *sim)
{
    const struct sim_lease *lease = sim->user;
    const int64_t *cut_us = &lease->post->cut_us[0][0][0];
    int64_t longest_us = 0;

    for (size_t i = 0; i < sizeof lease->post->cut_us / sizeof *cut_us; i++)
        if (cut_us[i] != 0 && sim->world->now_us - cut_us[i] > longest_us)
            longest_us = sim->world->now_us - cut_us[i];
    return longest_us;
}

bool sim_lease_apart_since(const struct sim *sim, int node, int cache, int64_t since_us)
{
    const struct sim_lease *lease = sim->user;
    bool apart = true;

    for (int way = 0; way < LEASE_WAY_COUNT; way++) {
        const int64_t cut_us = lease->post->cut_us[node][cache][way];

        apart = apart && cut_us != 0 && cut_us <= since_us;
    }
    return apart;
}

void sim_lease_post_quick(struct sim_lease_post *self)
{
    self->quick = true;
}
