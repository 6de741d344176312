/* The clients: they submit commands to whoever leads, and read at any node.
 *
 * Every command has a number of its own and is submitted once. It is acknowledged when the node that
 * took it, still in the same life, applies it; what becomes of all others nobody is told.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_SIM_CLIENTS_H
#define PYGMY_SIM_CLIENTS_H

#include "tests/sim/sim_node.h"

/* A command writes to one of so many places. It has as many bytes as the seed says, this many or more,
 * if that is possible; and there is always room for so many. */
#define SIM_PLACES             8
#define SIM_COMMAND_BYTES_MIN  9
#define SIM_COMMAND_BYTES_ROOM 1024

struct sim_clients;

struct sim_clients *sim_clients_new(void);
void sim_clients_destroy(struct sim_clients **self_p);

/* Submit @count commands at a node, whoever it is. Returns 0 or the driver's code. */
int sim_clients_submit(struct sim *sim, int slot, size_t count);

#endif
