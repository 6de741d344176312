/* The smallest state machine: it keeps each command in a table, by log index.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_TESTS_TOY_MACHINE_H
#define PYGMY_TESTS_TOY_MACHINE_H

#include <stddef.h>
#include <sys/types.h>

#include "services/replica/replica.h"

struct toy_machine;

struct toy_machine *toy_machine_new(void);
void toy_machine_destroy(struct toy_machine **self_p);

/* The interface for a replica. A result is a copy of the command, NUL-terminated, to be freed. */
struct replica_machine toy_machine_interface(struct toy_machine *self);

/* Have each apply take so long, from now on. */
void toy_machine_set_slow(struct toy_machine *self, int64_t apply_ms);

/* Commands in the table, all together and with the text of @command. */
size_t toy_machine_count(struct toy_machine *self);
size_t toy_machine_count_of(struct toy_machine *self, const char *command);
/* Entries whose log time is below that of the entry before them. */
size_t toy_machine_count_of_falling_times(struct toy_machine *self);
int64_t toy_machine_last_log_time_ms(struct toy_machine *self);

/* Since it was made: applies, the largest transaction, results released. */
size_t toy_machine_applies(const struct toy_machine *self);
size_t toy_machine_largest_transaction(const struct toy_machine *self);
size_t toy_machine_releases(const struct toy_machine *self);

/* The thread that counted the rows of the file that was opened last; 0: none was told. */
pid_t toy_machine_counted_by(const struct toy_machine *self);

/* How often it was told to lead, and the last term of that. */
size_t toy_machine_leads(const struct toy_machine *self);
replica_term toy_machine_lead_term(const struct toy_machine *self);

#endif
