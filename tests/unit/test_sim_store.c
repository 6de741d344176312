/* Some simulated stores: both groups with their real machines, the saga and customers, under fire; and
 * faults that the judge has to find. More of them: make sim-store, make sim-mutations.
 *
 * SPDX-License-Identifier: Apache-2.0 */
/* link: catalog order pygmy */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>

#include "tests/sim/sim_cases.h"

#define SEEDS        24
#define JOBS         2
#define MUTANT_SEEDS 40

static const struct sim_options by_the_seed = {
    .heal_majority = -1, .pre_vote = -1, .membership = -1, .store = true};

/* Stores of all kinds, under fire, keep all promises, and come to rest when it is out. */
static void test_stores_pass(void **state)
{
    struct sim_batch batch = {.options = by_the_seed, .from = 1, .to = SEEDS, .jobs = JOBS};
    struct sim_outcome outcome;
    char replay[300];
    (void)state;

    sim_run_batch(&batch, &outcome);
    if (outcome.failures > 0) {
        sim_replay_text(&batch.options, outcome.first[0].seed, replay, sizeof replay);
        printf("# %s\n# replay: make sim-replay SIM_FLAGS=\"%s\"\n", outcome.first[0].violation,
               replay);
    }
    assert_int_equal(outcome.failures, 0);
    assert_int_equal(outcome.counts.runs, SEEDS);
    assert_true(outcome.counts.order_commits >= SEEDS * SIM_FIRE_COMMITS);
    assert_true(outcome.counts.commits - outcome.counts.order_commits >= SEEDS * SIM_FIRE_COMMITS);
    assert_true(outcome.counts.denied > 0);
    assert_true(outcome.counts.cancelled > 0);
}

/* The judge is not blind: faults that are put in are found. */
static void test_faults_of_a_store_are_found(void **state)
{
    static const enum sim_mutation mutations[] = {MUTATION_APPLY_TWICE, MUTATION_STORE_READ,
                                                  MUTATION_STORE_EARLY, MUTATION_STORE_LEAD,
                                                  MUTATION_STORE_DENIAL};
    struct sim_batch batch = {.options = by_the_seed, .from = 1, .to = MUTANT_SEEDS, .jobs = JOBS};
    (void)state;

    for (size_t i = 0; i < sizeof mutations / sizeof mutations[0]; i++) {
        struct sim_finding finding;
        bool found = sim_case_find(&batch, mutations[i], true, &finding);

        if (!found)
            printf("# mutation %s was not found\n", sim_mutation_name(mutations[i]));
        assert_true(found);
    }
}

/* The same seed is the same run, to the letter. */
static void test_a_store_replays(void **state)
{
    struct sim_options options = by_the_seed;
    struct sim_counts counts[2];
    char violation[512];
    (void)state;

    options.seed = 7;
    for (int i = 0; i < 2; i++)
        assert_true(sim_run_one(&options, &counts[i], violation));
    assert_memory_equal(&counts[0], &counts[1], sizeof counts[0]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stores_pass),
        cmocka_unit_test(test_faults_of_a_store_are_found),
        cmocka_unit_test(test_a_store_replays),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
