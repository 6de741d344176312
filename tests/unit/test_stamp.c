/* Stamps: what was heard last, for a while, and never advanced by a clock of ours.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "broker/bus/limits.h"
#include "client/store/stamp.h"

/* Nothing is made up before the first answer. */
static void test_nothing_is_known_before_the_first_answer(void **state)
{
    struct stamp stamp = {0};
    int64_t log_time_ms = 7;
    (void)state;
    assert_false(stamp_get(&stamp, 0, &log_time_ms));
    assert_int_equal(log_time_ms, 7);
}

/* Time that passes here is not added to what the catalog said. */
static void test_the_stamp_does_not_run_with_the_local_clock(void **state)
{
    struct stamp stamp = {0};
    int64_t log_time_ms = 0;
    (void)state;
    stamp_learn(&stamp, 5000, 100);
    assert_true(stamp_get(&stamp, 100 + STAMP_FRESH_MS, &log_time_ms));
    assert_int_equal(log_time_ms, 5000);
}

/* After an hour it is asked for anew, a day before the store would mind. */
static void test_an_old_answer_is_good_for_nothing(void **state)
{
    struct stamp stamp = {0};
    int64_t log_time_ms;
    (void)state;
    stamp_learn(&stamp, 5000, 100);
    assert_false(stamp_get(&stamp, 101 + STAMP_FRESH_MS, &log_time_ms));
}

/* A store that was set up anew begins at 0: the last word counts. */
static void test_a_lower_log_time_replaces_a_higher_one(void **state)
{
    struct stamp stamp = {0};
    int64_t log_time_ms = 0;
    (void)state;
    stamp_learn(&stamp, 5000, 100);
    stamp_learn(&stamp, 3, 200);
    assert_true(stamp_get(&stamp, 201, &log_time_ms));
    assert_int_equal(log_time_ms, 3);
    stamp_learn(&stamp, -1, 300);
    assert_true(stamp_get(&stamp, 301, &log_time_ms));
    assert_int_equal(log_time_ms, 3);
}

/* A stamp that was refused is not used again. */
static void test_a_forgotten_stamp_is_unknown(void **state)
{
    struct stamp stamp = {0};
    int64_t log_time_ms;
    (void)state;
    stamp_learn(&stamp, 5000, 100);
    stamp_forget(&stamp);
    assert_false(stamp_get(&stamp, 101, &log_time_ms));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing_is_known_before_the_first_answer),
        cmocka_unit_test(test_the_stamp_does_not_run_with_the_local_clock),
        cmocka_unit_test(test_an_old_answer_is_good_for_nothing),
        cmocka_unit_test(test_a_lower_log_time_replaces_a_higher_one),
        cmocka_unit_test(test_a_forgotten_stamp_is_unknown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
