/* A database in memory, where a service's machine takes it for a file: SQLite's own VFS for that takes
 * the place of the default one in this program.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_SIM_TABLES_H
#define PYGMY_SIM_TABLES_H

#include "tests/sim/sim_machine.h"

struct sim_tables;

/* From now on there is a file at @path ("/" and a name), which holds @image; NULL: nothing. It is there
 * as long as this, or as anybody has it open. */
struct sim_tables *sim_tables_new(const char *path, const struct sim_image *image);
/* Accepts NULL. */
void sim_tables_destroy(struct sim_tables **self_p);

const char *sim_tables_path(const struct sim_tables *self);
/* What it holds now, between two transactions. */
struct sim_image *sim_tables_save(struct sim_tables *self);

#endif
