/* The catalog's state machine: commands of the log in, changes of the tables and outcomes out.
 *
 * Deterministic: an apply sees the entry and the tables, and neither clock nor chance; what has an
 * order to it has one in the SQL. Replicas that applied the same entries hold the same rows.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_CATALOG_MACHINE_H
#define PYGMY_CATALOG_MACHINE_H

#include <stdbool.h>
#include <stdint.h>

#include "broker/bus/log.h"
#include "broker/bus/metrics.h"
#include "services/catalog/state.h"
#include "services/replica/replica.h"

struct machine;

/* @metrics may be NULL. */
struct machine *machine_new(struct log *log, struct metrics *metrics);
/* Accepts NULL. */
void machine_destroy(struct machine **self_p);

/* What the replica calls. A result of apply is a struct outcome. An entry whose format is not known
 * here, or is damaged, ends the process with status 5 before it is applied: to go on without it
 * would be to hold another state than the others. */
void machine_interface(struct machine *self, struct replica_machine *interface);

/* The tables are about to be closed, and another file may take their place: whoever has connections of
 * his own to that file closes them now. SQLite removes what stands beside a file by its name when the
 * last connection goes, and that would be what belongs to the other one. */
typedef void machine_closing_fn(void *arg);
void machine_on_closing(struct machine *self, machine_closing_fn *closing, void *arg);

/* NULL while it is closed. Another one after it was closed and opened again: not to be kept. */
struct state *machine_state(struct machine *self);
const char *machine_path(const struct machine *self);

/* The log's time as answers say it: @replica_ms (replica_log_time_ms), but at most
 * LOG_TIME_AHEAD_MS above the last entry. Why: records.h. */
int64_t machine_log_time_ms(const struct machine *self, int64_t replica_ms);

#endif
