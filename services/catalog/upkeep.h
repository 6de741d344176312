/* What the leader does by itself: submit RESTOCK for rules that are due, and TICK when the log has
 * stood still for LOG_TIME_IDLE_MS (why: records.h).
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_CATALOG_UPKEEP_H
#define PYGMY_CATALOG_UPKEEP_H

#include <czmq.h>
#include <stdbool.h>
#include <stdint.h>

#include "broker/bus/log.h"
#include "services/catalog/command.h"
#include "services/catalog/leases.h"
#include "services/catalog/machine.h"
#include "services/replica/replica.h"

struct upkeep;

/* Look each RESTOCK_CHECK_MS, and act if the replica leads then, by way of @leases. All is borrowed
 * and must outlive this. */
struct upkeep *upkeep_new(zloop_t *loop, struct replica *replica, struct leases *leases,
                          struct machine *machine, struct log *log);
/* Nobody calls back any more. Accepts NULL. */
void upkeep_destroy(struct upkeep **self_p);

/* Look now, as the timer does: submit what a leader should, if the replica leads and nothing that
 * was submitted before waits to be called back. */
void upkeep_look(struct upkeep *self);

/* What a leader should submit at @now_ms of log time: @command, to be given to command_close().
 * False when there is nothing to do. At most one command at a time: a rule is due until it has
 * acted. */
bool upkeep_command(struct state *state, int64_t now_ms, struct command *command);

#endif
