/* A service's machine as a replica calls it (struct replica_machine), with its tables in memory: what
 * the catalog's and the orders' have in common here.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_SIM_HOSTED_H
#define PYGMY_SIM_HOSTED_H

#include "services/replica/replica.h"
#include "tests/sim/sim_machine.h"
#include "tests/sim/sim_tables.h"

struct sim_hosted { /* the first member of what its owner has */
    struct sim_tables *tables;
    struct replica_machine calls;
};

/* The calls are set. An image that can't be opened ends the program. */
void sim_hosted_open(struct sim_hosted *self, const struct sim_image *image, const char *name);
/* After the machine has closed its tables. */
void sim_hosted_close(struct sim_hosted *self);

/* As in struct sim_machine_kind. */
struct sim_image *sim_hosted_save(void *machine);
void sim_hosted_begin(void *machine);
void sim_hosted_commit(void *machine);
void *sim_hosted_apply(void *machine, const struct log_entry *entry, uint32_t checksum);
void sim_hosted_release(void *machine, void *result);
uint64_t sim_hosted_digest(const void *machine);

#endif
