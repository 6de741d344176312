/* The hands of a directed case: in its world nothing happens by itself, but disks are quick.
 *
 * Nodes are named by their place, from 0.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_SIM_SCRIPT_H
#define PYGMY_SIM_SCRIPT_H

#include "tests/sim/sim.h"
#include "tests/sim/sim_net.h"
#include "tests/sim/sim_node.h"

struct script {
    struct sim *sim;
};

/* What is not so is a finding. */
void script_expect(struct script *self, bool so, const char *what);
struct sim_node *script_node(struct script *self, int node);

/* What was begun on disks is done, but on slow ones. */
void script_settle(struct script *self);
/* Time passes, and with it what disks and snapshots take. */
void script_pass(struct script *self, int64_t us);
/* Time passes until the node's timer fires. */
void script_wake(struct script *self, int node);
/* It dies, with all that its disk was at, and comes back, and has forgotten who leads. */
void script_reboot(struct script *self, int node);

/* All that is on the way from one to the other arrives; returns how many messages. */
size_t script_deliver(struct script *self, int from, int to);
void script_lose(struct script *self, int from, int to);
/* Both talk until they have nothing more to say. */
void script_talk(struct script *self, int a, int b);
/* All do, but those that are down. */
void script_talk_all(struct script *self);
/* @node stands for election, and only those of @voters (a bit for each node) hear and answer. What
 * it then says as the leader is on the way. */
void script_elect(struct script *self, int node, unsigned voters);
/* Submit commands; returns the last one's log index. */
replica_index script_submit(struct script *self, int node, size_t count);
/* A new node comes and is made a member, and at last a voter, by the leader; who tells nobody yet but
 * what was needed for that. Returns it. */
int script_promote(struct script *self, int leader);
/* The term of a node's entry; 0: it has none. */
replica_term script_term_of(struct script *self, int node, replica_index index);

#endif
