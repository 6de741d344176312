/* A replica that has the lease table, as a service has it: what comes by the post is served, and what
 * the table says is done.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_SIM_LEASE_NODE_H
#define PYGMY_SIM_LEASE_NODE_H

#include "tests/sim/sim_lease_post.h"
#include "tests/sim/sim_node.h"

/* The node is up, and takes it now. */
void sim_lease_node_receive(struct sim *sim, struct sim_node *node, const struct lease_mail *mail);

/* Parts of struct sim_use. */
void sim_lease_node_born(struct sim *sim, struct sim_node *node);
void sim_lease_node_died(struct sim *sim, struct sim_node *node);
void sim_lease_node_resumed(struct sim *sim, struct sim_node *node, int64_t paused_us);
void sim_lease_node_lead(struct sim *sim, struct sim_node *node, bool leads);
void sim_lease_node_applied(struct sim *sim, struct sim_node *node, const struct log_entry *entry,
                            void *result);
void sim_lease_node_settled(struct sim *sim, struct sim_node *node);
void sim_lease_node_served(struct sim *sim, struct sim_node *node, const struct sim_read *read);

/* Add what its table has counted since it was made. */
void sim_lease_node_count(struct sim *sim, const struct sim_node *node);

#endif
