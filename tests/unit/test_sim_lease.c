/* Some simulated groups with leased caches: lease table, caches and feed under fire, and clocks that are
 * wrong; and faults that the judge has to find. More of them: make sim-lease, make sim-mutations.
 *
 * SPDX-License-Identifier: Apache-2.0 */
/* link: catalog order pygmy */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "tests/sim/sim_cases.h"

#define SEEDS        32
#define JOBS         2
#define MUTANT_SEEDS 60 /* most are found by the first few */

static const struct sim_options by_the_seed = {
    .heal_majority = -1, .pre_vote = -1, .membership = -1, .lease = true};

/* Harm was done, and not only begun: long is longer than a leader waits for a lease. Seeds are the same
 * runs everywhere, so that these bounds hold by the same margin whatever the machine does. */
static void expect_harm(const struct sim_counts *counts)
{
    assert_true(counts->long_pauses > SEEDS);
    assert_true(counts->long_leader_pauses > SEEDS / 4);
    assert_true(counts->long_partitions > SEEDS * 2);
    assert_true(counts->two_sided > 0); /* in few seeds: others' ends mostly come before theirs */
    assert_true(counts->hand_overs > SEEDS);
    assert_true(counts->feed_lost > SEEDS * 10);
    assert_true(counts->feed_doubled > SEEDS * 100);
    assert_true(counts->feed_late > SEEDS * 10);
}

/* No read is stale, from memory or not, and each cache serves from memory again when all is over. */
static void test_no_read_is_stale(void **state)
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
    assert_true(outcome.counts.commits >= SEEDS * SIM_FIRE_COMMITS);
    /* All that there is to try was tried. */
    assert_true(outcome.counts.hits > SEEDS * 1000);
    assert_true(outcome.counts.stored > SEEDS * 20);
    assert_true(outcome.counts.joins > 0);
    assert_true(outcome.counts.passes > 0);
    assert_true(outcome.counts.spared > 0);
    assert_true(outcome.counts.lapses > SEEDS);
    assert_true(outcome.counts.flushes > SEEDS);
    assert_true(outcome.counts.leaves > SEEDS);
    expect_harm(&outcome.counts);
}

/* The judge is not blind: faults that are put in are found. */
static void test_faults_of_leases_are_found(void **state)
{
    static const enum sim_mutation mutations[] = {
        MUTATION_LEASE_APPROVAL, MUTATION_LEASE_TAKEOVER,  MUTATION_LEASE_RELEASE,
        MUTATION_LEASE_PENDING,  MUTATION_LEASE_FILL_MARK, MUTATION_LEASE_GAP,
        MUTATION_LEASE_POISON,   MUTATION_LEASE_READ,      MUTATION_LEASE_APPROVING,
        MUTATION_LEASE_KEPT,     MUTATION_LEASE_BARRIER,   MUTATION_LEASE_READ_BARRIER,
        MUTATION_LEASE_LEAVE,    MUTATION_LEASE_THREADS,   MUTATION_LEASE_NAMES,
    };
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

/* What chance finds too seldom is found by a schedule that is there for it: a wait that is exactly a
 * lease, clocks that are wrong by 3 %, a lease that counts from its answer's arrival, and two ways in
 * which a session that was left out holds a lease again. */
static void test_rare_faults_are_found_by_hand(void **state)
{
    size_t count = 0;
    (void)state;

    for (size_t i = 0; i < sim_case_count; i++) {
        char why[512];
        bool good;

        if (sim_cases[i].play_lease == NULL)
            continue;
        count++;
        assert_true(sim_case_run_apart(&sim_cases[i], MUTATION_NONE, why, sizeof why));
        good = sim_case_run_apart(&sim_cases[i], sim_cases[i].finds, why, sizeof why);
        if (good || strncmp(why, "V1", 2) != 0)
            printf("# case %s: %s\n", sim_cases[i].name, why);
        assert_false(good);
        assert_int_equal(strncmp(why, "V1", 2), 0); /* a stale read, and nothing else */
    }
    assert_int_equal(count, 5);
}

/* The same seed is the same run, to the letter. */
static void test_a_run_with_caches_replays(void **state)
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
        cmocka_unit_test(test_no_read_is_stale),
        cmocka_unit_test(test_faults_of_leases_are_found),
        cmocka_unit_test(test_rare_faults_are_found_by_hand),
        cmocka_unit_test(test_a_run_with_caches_replays),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
