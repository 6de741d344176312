/* The judge: sees every node from outside, and after each step holds it to what Raft promises.
 *
 *   J1  at most one leader in a term
 *   J2  what is committed (index, term, data) is so for ever, and the same at every node; when it
 *       first is, a majority of the voters has it on its disks
 *   J3  a leader holds everything that was committed in earlier terms
 *   J4  state machines agree at every index
 *   J5  what was acknowledged is committed, at the index that was told; no command is there twice
 *   J6  writes and reads are linearizable: each shows at least what was acknowledged or shown by any
 *       other that ended before it began
 *   J7  no message speaks of a term, a vote or entries that are not durable
 *   J8  a node's log is what its driver says, its commit index never falls, its timer is ahead
 *   J9  after the fire is out, the group goes on within a bound
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_SIM_CHECK_H
#define PYGMY_SIM_CHECK_H

#include "services/replica/consensus.h"
#include "tests/sim/sim_node.h"

struct sim_check;

struct sim_check *sim_check_new(void);
void sim_check_destroy(struct sim_check **self_p);

/* A node is about to do this, or has just done it. */
void sim_check_write(struct sim *sim, const struct sim_node *node,
                     const struct consensus_write *write);
void sim_check_send(struct sim *sim, const struct sim_node *node,
                    const struct peer_message *message);
void sim_check_leader(struct sim *sim, const struct sim_node *node, replica_term term);
void sim_check_commit(struct sim *sim, struct sim_node *node, replica_index commit);
void sim_check_apply(struct sim *sim, const struct sim_node *node, const struct log_entry *entry);
/* The entry's checksum, which is reckoned once for all that share the entry. */
uint32_t sim_check_checksum(const struct sim *sim, const struct shared_entry *entry);
void sim_check_membership(struct sim *sim, const struct sim_node *node,
                          const struct snapshot_mark *mark);
void sim_check_installed(struct sim *sim, const struct sim_node *node);
void sim_check_step(struct sim *sim, struct sim_node *node);

/* What every operation that begins now has to show at least: an index. */
replica_index sim_check_floor(const struct sim *sim);
void sim_check_read(struct sim *sim, struct sim_node *node, const struct sim_read *read);
void sim_check_acknowledged(struct sim *sim, const struct sim_node *node,
                            const struct log_entry *entry, replica_index floor);

/* The last membership that is committed. */
const struct membership *sim_check_committed_membership(const struct sim *sim);
/* By the node's own log, durable or not when it is up. Empty: it has none. */
void sim_check_own_membership(const struct sim_node *node, struct membership *membership);
replica_index sim_check_committed(const struct sim *sim);

/* From now on the group has to recover. */
void sim_check_heal(struct sim *sim);
bool sim_check_healed(struct sim *sim);
/* A node that has to serve a read yet; -1: none, or nothing is to be healed. */
int sim_check_unserved(const struct sim *sim);
const char *sim_check_unhealed(struct sim *sim); /* why it is not */
/* All that can be said at the end. */
void sim_check_end(struct sim *sim);

#endif
