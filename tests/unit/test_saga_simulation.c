/* The saga's promises under fire, by seed (tests/lib/saga_sim.h).
 *
 * In the end everything heals, and then must hold: what the catalog sold is what active orders
 * hold; each grant has its order and is settled, each release is closed; acknowledged orders and
 * cancels are there; nobody was told "denied", or "not attempted" at each try, who got an order.
 *
 * The same with one rule of the models (or of who carries the saga out) broken on purpose must be
 * caught within some seeds: else this test would prove nothing.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/lib/saga_sim.h"

struct sums {
    uint64_t orders;
    uint64_t regained; /* leaderships of a process that had led before */
};

static const char *run(uint64_t seed, enum broken_rule broken, struct sums *sums)
{
    struct sim *self = sim_new(seed, broken);
    const char *violation;

    sim_fire(self);
    sim_heal(self);
    sim_check(self);
    violation = self->violation;
    sums->orders += self->logs.table.count;
    sums->regained += (uint64_t)self->regained;
    sim_destroy(self);
    return violation;
}

/* ---- Tests -------------------------------------------------------------------- */

/* SAGA_SEED: run that one alone. SAGA_SEEDS: so many instead of a few. */
static uint64_t environment(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);

    return text != NULL ? strtoull(text, NULL, 10) : otherwise;
}

/* With all rules kept nothing is ever violated. */
static void test_the_saga_keeps_its_promises_under_fire(void **state)
{
    uint64_t first = environment("SAGA_SEED", 1);
    uint64_t count = getenv("SAGA_SEED") != NULL ? 1 : environment("SAGA_SEEDS", 400);
    struct sums sums = {0};
    (void)state;

    for (uint64_t seed = first; seed < first + count; seed++) {
        const char *violation = run(seed, NOTHING_BROKEN, &sums);

        if (violation != NULL)
            fail_msg("SAGA_SEED=%llu: %s", (unsigned long long)seed, violation);
    }
    print_message("%llu seeds, %llu orders, %llu leaderships regained\n", (unsigned long long)count,
                  (unsigned long long)sums.orders, (unsigned long long)sums.regained);
    assert_true(sums.orders > 5 * count); /* it was not all refusals */
    assert_true(count < 100 || sums.regained > count / 10);
}

/* With any one rule broken a violation is found: the checks have teeth. */
static void test_each_broken_rule_is_caught(void **state)
{
    static const char *const names[BROKEN_RULES] = {
        "nothing",
        "denial forgotten",
        "old stamp accepted",
        "unsettled forgotten",
        "late settle counts",
        "undo twice",
        "order not unique",
        "fresh stamp",
        "denied by timeout",
        "unknown is nothing",
    };
    uint64_t most = environment("SAGA_SEEDS", 4000);
    (void)state;

    for (int broken = NOTHING_BROKEN + 1; broken < BROKEN_RULES; broken++) {
        const char *violation = NULL;
        struct sums sums = {0};
        uint64_t seed = 0;

        while (violation == NULL && seed < most)
            violation = run(++seed, (enum broken_rule)broken, &sums);
        print_message("%s: seed %llu: %s\n", names[broken], (unsigned long long)seed,
                      violation != NULL ? violation : "not caught");
        assert_non_null(violation);
    }
}

/* A leader that dies at any one action of a buy and its cancel leaves nothing that its successor
 * and its client's repetitions don't bring to the end. */
static void test_a_crash_between_any_two_actions_is_finished_by_the_next_leader(void **state)
{
    int last = 0, crash_at;
    (void)state;

    for (crash_at = 1; crash_at == 1 || last >= crash_at - 1; crash_at++) {
        struct sim *self = sim_new(7, NOTHING_BROKEN);
        struct op *op = &self->ops[0];

        self->calm = true;
        self->crash_at = crash_at;
        op->content = (struct content){0, 2};
        op->stamp = op->cancel_stamp = two_logs_time(&self->logs);
        for (int i = 0; i < 3; i++)
            sim_ask(self, 0, -1, 100 + i * 12000);
        sim_run(self, self->logs.now_ms + 40000);
        assert_true(op->number == 1);
        for (int i = 0; i < 3; i++)
            sim_ask(self, 0, 0, 100 + i * 12000);
        sim_run(self, self->logs.now_ms + 40000);
        assert_true(op->cancelled == 0);
        sim_check(self);
        assert_null(self->violation);
        last = self->actions;
        sim_destroy(self);
        if (crash_at > 60) /* by then both are done, and what follows are scans */
            break;
    }
    assert_true(crash_at > 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_saga_keeps_its_promises_under_fire),
        cmocka_unit_test(test_each_broken_rule_is_caught),
        cmocka_unit_test(test_a_crash_between_any_two_actions_is_finished_by_the_next_leader),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
