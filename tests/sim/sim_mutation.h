/* Faults that are put into the driver or its surroundings on purpose, to show that they are found.
 *
 * The programs know nothing of it. The guards (raft_guard.h) and the rule of the read index are
 * functions in sources of their own, called through their names; the simulator is linked so that
 * the names lead here first (ld --wrap).
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_SIM_MUTATION_H
#define PYGMY_SIM_MUTATION_H

#include <stdbool.h>
#include <stdint.h>

enum sim_mutation {
    MUTATION_NONE,
    /* Of the surroundings: sim_disk.c and sim_node.c look whether they are on. */
    MUTATION_FSYNC,       /* a write is said to be durable when it was only begun */
    MUTATION_APPLY_TWICE, /* after a restart, entries that the state holds are applied again */
    /* Of the driver. */
    MUTATION_READ_ROUND, /* reads are confirmed without a majority */
    MUTATION_SPLIT,
    MUTATION_PREFIX,
    MUTATION_VOTE_RESULT,
    MUTATION_STALE_REJECT,
    MUTATION_DOUBLE_CHANGE,
    MUTATION_PRE_VOTE_TERM,
    MUTATION_BARRIER,
    MUTATION_HINT,
    MUTATION_COMMIT,
    MUTATION_PERSISTED,
    MUTATION_TIMEOUT,
    MUTATION_SOLE_VOTER,
    MUTATION_VOTING_ROLE,
    MUTATION_DISRUPT,
    /* Of the store: sim_shell.c and sim_conductor.c look whether they are on. */
    MUTATION_STORE_FIRST,
    MUTATION_STORE_READ = MUTATION_STORE_FIRST, /* reads of the tables as they are */
    MUTATION_STORE_EARLY,  /* a buy is acknowledged when its order is submitted */
    MUTATION_STORE_LEAD,   /* the saga does not hear that leadership is lost */
    MUTATION_STORE_DENIAL, /* the catalog does not record denials */
    MUTATION_COUNT,
};

/* Its name, for the command line and the table. */
const char *sim_mutation_name(enum sim_mutation mutation);
/* By name; MUTATION_COUNT: there is none of that name. */
enum sim_mutation sim_mutation_find(const char *name);

/* Switch one on for the runs that follow in this process: a wrapped function gets no argument that
 * could say so, which is why this is the one variable outside all objects. */
void sim_mutation_set(enum sim_mutation mutation);
bool sim_mutation_is(enum sim_mutation mutation);
/* How often, since then, that guard's answer was another than that of no guard. */
uint64_t sim_mutation_acted(enum sim_mutation mutation);

#endif
