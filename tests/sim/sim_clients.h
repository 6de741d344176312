/* The clients: they submit commands to whoever leads, and read at any node.
 *
 * Every command has a number of its own and is submitted once. It is acknowledged when the node that
 * took it, still in the same life, applies it; what becomes of all others nobody is told.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_SIM_CLIENTS_H
#define PYGMY_SIM_CLIENTS_H

#include "tests/sim/sim_node.h"

struct sim_clients;

struct sim_clients *sim_clients_new(void);
void sim_clients_destroy(struct sim_clients **self_p);

/* Begin, and go on to the end of the run. */
void sim_clients_start(struct sim *sim);
/* Submit @count commands at a node, whoever it is. Returns 0 or the driver's code. */
int sim_clients_submit(struct sim *sim, int slot, size_t count);

/* The entry is committed; a node applies it. */
void sim_clients_committed(struct sim *sim, const struct log_entry *entry);
void sim_clients_applied(struct sim *sim, const struct sim_node *node,
                         const struct log_entry *entry);

#endif
