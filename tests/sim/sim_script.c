/* See sim_script.h.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/sim_script.h"

#include <assert.h>

#include "broker/bus/err.h"
#include "tests/sim/sim_clients.h"

/* Rounds of messages after which those who talk are taken never to end. */
#define ROUNDS_MAX 200
/* Timers that fire until a node is elected: it may have to pass the term of another. */
#define WAKES_MAX 8

void script_expect(struct script *self, bool so, const char *what)
{
    if (!so)
        sim_fail(self->sim, "not so: %s", what);
}

struct sim_node *script_node(struct script *self, int node)
{
    return self->sim->nodes[node];
}

static void nothing(struct sim *sim, struct sim_event *event)
{
    (void)sim;
    (void)event;
}

void script_settle(struct script *self)
{
    while (sim_due(self->sim) && sim_step(self->sim))
        ;
}

void script_pass(struct script *self, int64_t us)
{
    const int64_t until_us = self->sim->world->now_us + us;
    const struct sim_event end = {.at_us = until_us, .fire = nothing, .node = -1};

    sim_at(self->sim, &end);
    while (self->sim->world->now_us < until_us && sim_step(self->sim))
        ;
    script_settle(self);
}

void script_wake(struct script *self, int node)
{
    const struct sim_node *woken = self->sim->nodes[node];
    int64_t ms = consensus_deadline_ms(woken->consensus) - sim_node_now_ms(self->sim, woken);

    if (ms > 0)
        script_pass(self, ms * 1000);
    sim_node_tick(self->sim, node);
    script_settle(self);
}

void script_reboot(struct script *self, int node)
{
    sim_node_crash(self->sim, node);
    sim_node_start(self->sim, node);
    script_settle(self);
}

static size_t deliver_kind(struct script *self, int from, int to, enum peer_kind kind)
{
    size_t count = sim_net_deliver(self->sim, from, to, kind);

    script_settle(self);
    return count;
}

size_t script_deliver(struct script *self, int from, int to)
{
    return deliver_kind(self, from, to, 0);
}

void script_lose(struct script *self, int from, int to)
{
    sim_net_discard(self->sim, from, to, 0);
}

void script_talk(struct script *self, int a, int b)
{
    for (int i = 0; i < ROUNDS_MAX; i++)
        if (script_deliver(self, a, b) + script_deliver(self, b, a) == 0)
            return;
    script_expect(self, false, "two nodes come to an end of talking");
}

void script_talk_all(struct script *self)
{
    for (int i = 0; i < ROUNDS_MAX; i++)
        if (script_deliver(self, -1, -1) == 0)
            return;
    script_expect(self, false, "nodes come to an end of talking");
}

static size_t ask_for_votes(struct script *self, int node, unsigned voters)
{
    size_t count = 0;

    for (int other = 0; other < (int)self->sim->node_count; other++) {
        if (other == node || (voters >> other & 1) == 0)
            continue;
        count += deliver_kind(self, node, other, PEER_VOTE);
        count += deliver_kind(self, other, node, PEER_VOTE_RESULT);
    }
    return count;
}

void script_elect(struct script *self, int node, unsigned voters)
{
    struct sim *sim = self->sim;

    for (int i = 0; i < WAKES_MAX && sim->nodes[node]->role != CONSENSUS_LEADER; i++) {
        script_wake(self, node);
        while (ask_for_votes(self, node, voters) > 0)
            ;
    }
    sim_net_discard(sim, node, -1, PEER_VOTE);
    script_expect(self, sim->nodes[node]->role == CONSENSUS_LEADER, "the candidate is elected");
}

replica_index script_submit(struct script *self, int node, size_t count)
{
    int code = sim_clients_submit(self->sim, node, count);

    script_settle(self);
    script_expect(self, code == 0, "commands are taken");
    return sim_log_last(&self->sim->nodes[node]->log);
}

int script_promote(struct script *self, int leader)
{
    int learner = sim_node_join(self->sim), code;

    script_expect(self, sim_node_add(self->sim, leader, learner) == 0, "a learner is added");
    do {
        script_settle(self);
        script_talk_all(self);
        script_wake(self, leader);
        script_talk_all(self);
        code = sim_node_promote(self->sim, leader, learner);
    } while (code == ERR_UNAVAILABLE && self->sim->world->violation[0] == '\0');
    script_expect(self, code == 0, "the learner is promoted");
    script_settle(self);
    return learner;
}

replica_term script_term_of(struct script *self, int node, replica_index index)
{
    const struct shared_entry *entry = sim_log_entry(&self->sim->nodes[node]->log, index);

    return entry != NULL ? entry->entry.term : 0;
}
