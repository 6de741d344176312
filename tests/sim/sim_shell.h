/* What services/replica/replica.h is to a service, around a simulated node: commands that are called
 * back with what came of them, reads, leadership, log time. By the rules of that header, which the real
 * one keeps in replica_submit.c and replica_turn.c.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_SIM_SHELL_H
#define PYGMY_SIM_SHELL_H

#include "tests/sim/sim_node.h"

struct sim_shell;

/* @code, @result  as replica_done_fn */
typedef void sim_shell_done_fn(void *arg, int code, void *result);
typedef void sim_shell_read_fn(void *arg, int code);

/* Of a process that begins. */
struct sim_shell *sim_shell_new(struct sim *sim, struct sim_node *node);
/* The process has ended: nobody is called back. */
void sim_shell_destroy(struct sim_shell **self_p);

bool sim_shell_leads(const struct sim_shell *self);
int64_t sim_shell_log_time_ms(struct sim_shell *self);

/* Called back later, never from within; what was submitted at one time goes together. @drop lets go of
 * an @arg that is not called back any more. Returns 0, ERR_NOT_LEADER or ERR_BUSY. */
int sim_shell_submit(struct sim_shell *self, const void *command, size_t size,
                     sim_shell_done_fn *done, void (*drop)(void *arg), void *arg);
/* @deadline_ms of the node's clock. */
void sim_shell_read(struct sim_shell *self, int64_t deadline_ms, sim_shell_read_fn *done,
                    void (*drop)(void *arg), void *arg);

/* What a node tells its use (struct sim_use), to be passed on. Leadership that is lost: first the
 * service is told, then this. */
void sim_shell_lead(struct sim_shell *self, bool leads);
void sim_shell_applied(struct sim_shell *self, const struct log_entry *entry, void *result);
void sim_shell_settled(struct sim_shell *self);
void sim_shell_served(struct sim_shell *self, const struct sim_read *read);

#endif
