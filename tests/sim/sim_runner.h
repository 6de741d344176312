/* Many runs, over several processes: an assertion that fails ends a process and is found like anything
 * else.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_SIM_RUNNER_H
#define PYGMY_SIM_RUNNER_H

#include "tests/sim/sim.h"

/* One run, in this process. Whether nothing was found; else @violation says what was. */
bool sim_run_one(const struct sim_options *options, struct sim_counts *counts, char violation[512]);

struct sim_batch {
    struct sim_options options; /* the seed is left out */
    uint64_t from;
    uint64_t to; /* the last one */
    unsigned jobs;
    bool stop; /* at the first failure; it is the lowest seed that fails all the same */
};

/* Failures that are told one by one; more are only counted. */
#define SIM_FAILURES_MAX 32

struct sim_failure {
    uint64_t seed;
    char violation[512]; /* what was found there */
};

struct sim_outcome {
    struct sim_counts counts; /* of those that passed */
    size_t failures;
    struct sim_failure first[SIM_FAILURES_MAX]; /* by seed */
};

void sim_run_batch(const struct sim_batch *batch, struct sim_outcome *outcome);

/* How to see what happened: the command line that replays @seed, for a program of that name. */
void sim_replay_text(const struct sim_options *options, uint64_t seed, char *text, size_t size);

#endif
