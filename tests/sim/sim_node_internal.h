/* What the parts of a node know of each other.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_SIM_NODE_INTERNAL_H
#define PYGMY_SIM_NODE_INTERNAL_H

#include "tests/sim/sim_node.h"

/* sim_node.c: carry out what follows from the event that was just given to the driver. */
void sim_node_turn(struct sim *sim, struct sim_node *self);
/* Hand a write to the disk; it is taken over. */
void sim_node_write(struct sim *sim, struct sim_node *self, const struct sim_disk_op *op);

/* sim_life.c: open the machine with what the disk holds. */
void sim_node_restore(struct sim *sim, struct sim_node *self);

/* sim_snapshot.c */
void sim_node_fetch(struct sim *sim, struct sim_node *self, const struct consensus_action *action);
void sim_node_install(struct sim *sim, struct sim_node *self,
                      const struct consensus_action *action);
void sim_node_installed(struct sim *sim, struct sim_node *self);

#endif
