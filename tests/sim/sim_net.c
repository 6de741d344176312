/* See sim_net.h.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/sim_net.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "broker/bus/alloc.h"
#include "tests/sim/sim_node.h"

#define LEAST_US 20

struct held { /* a message of a script's world */
    int from;
    int to;
    bool aside; /* for later */
    struct peer_message *message;
};

struct sim_net {
    bool blocked[SIM_NODES_MAX][SIM_NODES_MAX];       /* from, to */
    int64_t blocked_us[SIM_NODES_MAX][SIM_NODES_MAX]; /* since when, if it is */
    struct sim_weather weather;
    uint64_t era; /* messages of an earlier one do not arrive */
    struct held *held;
    size_t held_count;
};

struct sim_net *sim_net_new(void)
{
    return alloc_zero(sizeof(struct sim_net));
}

static void drop_message(void **load_p)
{
    struct peer_message *message = *load_p;

    peer_message_close(message);
    free(message);
    *load_p = NULL;
}

void sim_net_destroy(struct sim_net **self_p)
{
    struct sim_net *self = *self_p;

    if (self == NULL)
        return;
    for (size_t i = 0; i < self->held_count; i++)
        drop_message((void **)&self->held[i].message);
    free(self->held);
    free(self);
    *self_p = NULL;
}

/* ---- Copies ------------------------------------------------------------------------------------- */

static struct peer_message *message_copy(const struct peer_message *message)
{
    struct peer_message *copy = alloc_zero(sizeof *copy);

    *copy = *message;
    if (message->kind == PEER_SNAPSHOT) {
        copy->snapshot = alloc_zero(sizeof *copy->snapshot);
        *copy->snapshot = *message->snapshot;
    }
    if (message->kind == PEER_APPEND && message->append.count > 0) {
        copy->append.entries = alloc_zero(copy->append.count * sizeof *copy->append.entries);
        for (size_t i = 0; i < copy->append.count; i++)
            copy->append.entries[i] = shared_entry_hold(message->append.entries[i]);
    }
    return copy;
}

/* What comes out at the other end of a wire. */
static struct peer_message *message_by_wire(const struct peer_message *message)
{
    static const uint8_t uuid[16] = {1};
    struct bytes_writer writer = {0};
    struct peer_message *copy = alloc_zero(sizeof *copy);
    int code;

    peer_message_encode(message, uuid, &writer);
    code = peer_message_decode(copy, uuid, writer.data, writer.size);
    assert(code == 0);
    copy->to = message->to; /* it stands in the topic */
    bytes_writer_close(&writer);
    return copy;
}

/* ---- On the way --------------------------------------------------------------------------------- */

static void arrive(struct sim *sim, struct sim_event *event)
{
    struct peer_message *message = event->load;

    if (event->argument != sim->net->era) {
        drop_message(&event->load);
        return;
    }
    if (sim_node_deferred(sim, event))
        return;
    sim_node_receive(sim, event->node, message);
    free(message);
}

static int64_t passage_us(struct sim *sim)
{
    int64_t us = sim_between(sim, LEAST_US, sim->traits.net_us_max);

    if (sim_chance(sim, sim->net->weather.late))
        us += sim_between(sim, 0, sim->net->weather.late_us_max);
    return us;
}

int64_t sim_net_passage_us(struct sim *sim, int from, int to)
{
    if (sim->net->blocked[from][to] || sim_chance(sim, sim->net->weather.lost))
        return -1;
    return passage_us(sim);
}

static void post(struct sim *sim, int to, const struct peer_message *message)
{
    struct sim_event event = {
        .at_us = sim->world->now_us + passage_us(sim),
        .fire = arrive,
        .node = to,
        .argument = sim->net->era,
        .load = sim->traits.wire ? message_by_wire(message) : message_copy(message),
        .drop = drop_message,
    };

    sim_at(sim, &event);
}

static void hold(struct sim_net *self, int from, int to, const struct peer_message *message)
{
    self->held = alloc_resize(self->held, (self->held_count + 1) * sizeof *self->held);
    self->held[self->held_count++] = (struct held){from, to, false, message_copy(message)};
}

void sim_net_send(struct sim *sim, int from, struct peer_message *message)
{
    int to = sim_node_by_id(sim, message->to);

    sim->counts.sent++;
    if (to < 0 || sim->net->blocked[from][to] || sim_chance(sim, sim->net->weather.lost)) {
        sim->counts.dropped++;
    } else if (sim->scripted) {
        hold(sim->net, from, to, message);
    } else {
        post(sim, to, message);
        if (sim_chance(sim, sim->net->weather.doubled)) {
            sim->counts.doubled++;
            post(sim, to, message);
        }
    }
    peer_message_close(message);
}

/* ---- Faults ------------------------------------------------------------------------------------- */

void sim_net_weather(struct sim *sim, const struct sim_weather *weather)
{
    sim->net->weather = *weather;
}

void sim_net_block(struct sim *sim, int from, int to, bool blocked)
{
    if (blocked && !sim->net->blocked[from][to])
        sim->net->blocked_us[from][to] = sim->world->now_us;
    sim->net->blocked[from][to] = blocked;
}

bool sim_net_blocked_since(const struct sim *sim, int from, int to, int64_t since_us)
{
    return sim->net->blocked[from][to] && sim->net->blocked_us[from][to] <= since_us;
}

void sim_net_unblock_all(struct sim *sim)
{
    memset(sim->net->blocked, 0, sizeof sim->net->blocked);
}

void sim_net_lose_all(struct sim *sim)
{
    sim->net->era++;
}

/* ---- By a script's hand ------------------------------------------------------------------------- */

static bool meant(const struct held *held, bool aside, int from, int to, enum peer_kind kind)
{
    return held->aside == aside && (from < 0 || held->from == from) && (to < 0 || held->to == to) &&
           (kind == 0 || held->message->kind == kind);
}

/* Take out what is meant, in its order; what is sent because of it waits for the next call. */
static size_t take_out(struct sim *sim, bool aside, int from, int to, enum peer_kind kind,
                       bool deliver)
{
    struct sim_net *self = sim->net;
    struct held *taken = alloc_zero((self->held_count + 1) * sizeof *taken);
    size_t count = 0, kept = 0;

    for (size_t i = 0; i < self->held_count; i++) {
        if (meant(&self->held[i], aside, from, to, kind))
            taken[count++] = self->held[i];
        else
            self->held[kept++] = self->held[i];
    }
    self->held_count = kept;
    for (size_t i = 0; i < count; i++) {
        if (deliver)
            sim_node_receive(sim, taken[i].to, taken[i].message);
        drop_message((void **)&taken[i].message);
    }
    free(taken);
    return count;
}

size_t sim_net_deliver(struct sim *sim, int from, int to, enum peer_kind kind)
{
    return take_out(sim, false, from, to, kind, true);
}

size_t sim_net_discard(struct sim *sim, int from, int to, enum peer_kind kind)
{
    return take_out(sim, false, from, to, kind, false);
}

size_t sim_net_lay_aside(struct sim *sim, int from, int to, enum peer_kind kind)
{
    struct sim_net *self = sim->net;
    size_t count = self->held_count, laid = 0;

    for (size_t i = 0; i < count; i++) {
        if (!meant(&self->held[i], false, from, to, kind))
            continue;
        hold(self, self->held[i].from, self->held[i].to, self->held[i].message);
        self->held[self->held_count - 1].aside = true;
        laid++;
    }
    return laid;
}

size_t sim_net_deliver_aside(struct sim *sim)
{
    return take_out(sim, true, -1, -1, 0, true);
}
