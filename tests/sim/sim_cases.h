/* Directed cases: schedules that chance rarely finds, played by hand.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_SIM_CASES_H
#define PYGMY_SIM_CASES_H

#include "tests/sim/sim_lease_cases.h"
#include "tests/sim/sim_runner.h"

struct script;

struct sim_case {
    const char *name;
    unsigned servers;
    bool pre_vote;
    enum sim_mutation finds; /* what it is there to find; MUTATION_NONE: nothing of that kind */
    void (*play)(struct script *script);
    sim_lease_play_fn *play_lease; /* instead: of a group with leased caches */
};

extern const struct sim_case sim_cases[];
extern const size_t sim_case_count;

/* Play one, in this process. Returns whether nothing was found; else *why says what was. */
bool sim_case_run(const struct sim_case *self, enum sim_mutation mutation, FILE *trace, char *why,
                  size_t size);

/* As sim_case_run(), in a process of its own: an assertion that fails is a finding, too. */
bool sim_case_run_apart(const struct sim_case *self, enum sim_mutation mutation, char *why,
                        size_t size);

struct sim_finding {
    char what[512];      /* was found */
    const char *by_case; /* NULL: no case was there for it, or it found nothing */
    uint64_t seed;       /* the first that finds it; 0: none, or none was tried */
};

/* Look for a mutation with the case that is there for it; if there is none or @seeds_too, also with
 * the seeds of @batch. Returns whether it was found. */
bool sim_case_find(const struct sim_batch *batch, enum sim_mutation mutation, bool seeds_too,
                   struct sim_finding *finding);

#endif
