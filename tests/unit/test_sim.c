/* Some runs of the simulator: the directed cases, a few hundred seeds, and a mutation or two. More of
 * them: make sim, make sim-mutations.
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
#include "tests/sim/sim_catalog.h"
#include "tests/sim/sim_net.h"
#include "tests/sim/sim_node.h"

#define SEEDS         240
#define CATALOG_SEEDS 16
#define JOBS          2
#define MUTANT_SEEDS  60

static const struct sim_options by_the_seed = {
    .heal_majority = -1, .pre_vote = -1, .membership = -1, .use = &sim_use_toy};

/* A crash of a node loses writes that are not durable, and keeps at most the first of them. */
static void test_a_crash_keeps_a_first_part_of_the_writes(void **state)
{
    struct sim_options options = by_the_seed;
    bool lost_all = false, lost_some = false, lost_none = false;
    (void)state;

    options.seed = 1;
    for (int round = 0; round < 100; round++) {
        struct sim *sim = sim_new(&options);
        struct sim_disk disk;
        size_t lost;

        sim->world->random += (uint64_t)round;
        sim_disk_init(&disk);
        for (replica_term term = 1; term <= 3; term++) {
            struct sim_disk_op op = {.kind = DISK_WRITE, .write = {.term = term, .vote = term}};

            sim_disk_begin(&disk, sim, &op);
        }
        lost = sim_disk_crash(&disk, sim);
        assert_int_equal(disk.state.term, 3 - lost);
        assert_int_equal(disk.state.vote, 3 - lost);
        lost_all |= lost == 3;
        lost_some |= lost > 0 && lost < 3;
        lost_none |= lost == 0;
        sim_disk_close(&disk);
        sim_destroy(&sim);
    }
    assert_true(lost_all && lost_some && lost_none);
}

static size_t arrived(struct sim *sim, int from, int to)
{
    struct peer_message message = {.kind = PEER_ROUND, .from = (uint64_t)from + 1, .term = 1};

    message.to = (uint64_t)to + 1;
    sim_net_send(sim, from, &message);
    return sim_net_discard(sim, from, to, PEER_ROUND);
}

/* A link is cut in one direction without the other. */
static void test_a_link_is_cut_one_way(void **state)
{
    struct sim_options options = by_the_seed;
    struct sim *sim;
    (void)state;

    options.seed = 1;
    sim = sim_new(&options);
    sim->scripted = true;
    sim_nodes_found(sim, 3);
    sim_net_block(sim, 0, 1, true);
    assert_int_equal(arrived(sim, 0, 1), 0);
    assert_int_equal(arrived(sim, 1, 0), 1);
    assert_int_equal(arrived(sim, 0, 2), 1);
    sim_net_unblock_all(sim);
    assert_int_equal(arrived(sim, 0, 1), 1);
    sim_destroy(&sim);
}

/* Each schedule that is played by hand ends as it must. */
static void test_directed_cases_pass(void **state)
{
    int failed = 0;
    (void)state;

    for (size_t i = 0; i < sim_case_count; i++) {
        char why[512];

        if (sim_case_run_apart(&sim_cases[i], MUTATION_NONE, why, sizeof why))
            continue;
        printf("# case %s: %s\n", sim_cases[i].name, why);
        failed++;
    }
    assert_int_equal(failed, 0);
}

static void assert_seeds_pass(const struct sim_use *use, uint64_t seeds)
{
    struct sim_batch batch = {.options = by_the_seed, .from = 1, .to = seeds, .jobs = JOBS};
    struct sim_outcome outcome;
    char replay[300];

    batch.options.use = use;
    sim_run_batch(&batch, &outcome);
    if (outcome.failures > 0) {
        sim_replay_text(&batch.options, outcome.first[0].seed, replay, sizeof replay);
        printf("# %s\n# replay: make sim-replay SIM_FLAGS=\"%s\"\n", outcome.first[0].violation,
               replay);
    }
    assert_int_equal(outcome.failures, 0);
    assert_int_equal(outcome.counts.runs, seeds);
    assert_true(outcome.counts.commits >= seeds * SIM_FIRE_COMMITS);
}

/* Groups of all kinds, under fire, keep all promises, and go on when it is out. */
static void test_seeds_pass(void **state)
{
    (void)state;
    assert_seeds_pass(&sim_use_toy, SEEDS);
}

/* So do groups whose machine is the catalog's, with its tables. */
static void test_seeds_of_the_catalog_pass(void **state)
{
    (void)state;
    assert_seeds_pass(&sim_use_catalog, CATALOG_SEEDS);
}

static void assert_found(enum sim_mutation mutation)
{
    struct sim_batch batch = {.options = by_the_seed, .from = 1, .to = MUTANT_SEEDS, .jobs = JOBS};
    struct sim_finding finding;
    bool found = sim_case_find(&batch, mutation, false, &finding);

    if (!found)
        printf("# mutation %s was not found\n", sim_mutation_name(mutation));
    assert_true(found);
}

/* The judge is not blind: faults that are put in are found. */
static void test_mutations_are_found(void **state)
{
    (void)state;
    assert_found(MUTATION_FSYNC);
    assert_found(MUTATION_APPLY_TWICE);
    assert_found(MUTATION_READ_ROUND);
    assert_found(MUTATION_BARRIER);
    assert_found(MUTATION_COMMIT);
}

/* The same seed is the same run, to the letter. */
static void test_a_seed_replays(void **state)
{
    struct sim_options options = by_the_seed;
    struct sim_counts counts[2];
    (void)state;

    options.seed = 11;
    for (int i = 0; i < 2; i++) {
        struct sim *sim = sim_new(&options);

        assert_true(sim_run(sim));
        counts[i] = sim->counts;
        sim_destroy(&sim);
    }
    assert_memory_equal(&counts[0], &counts[1], sizeof counts[0]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_crash_keeps_a_first_part_of_the_writes),
        cmocka_unit_test(test_a_link_is_cut_one_way),
        cmocka_unit_test(test_directed_cases_pass),
        cmocka_unit_test(test_seeds_pass),
        cmocka_unit_test(test_seeds_of_the_catalog_pass),
        cmocka_unit_test(test_mutations_are_found),
        cmocka_unit_test(test_a_seed_replays),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
