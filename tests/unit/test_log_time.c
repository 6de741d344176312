/* Log time: it never falls, never runs faster than the clock, and stands still without a leader.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "broker/bus/limits.h"
#include "services/replica/log_time.h"

/* Without a leader time stands still, as far as what is applied says. */
static void test_time_stands_still_without_a_leader(void **state)
{
    struct log_time time;
    (void)state;

    log_time_init(&time);
    log_time_apply(&time, 700);
    assert_int_equal(log_time_read(&time, 5000), 700);
    assert_int_equal(log_time_read(&time, 9000), 700);
    log_time_start(&time, 9000);
    assert_int_equal(log_time_propose(&time, 9250), 950);
}

/* A leader that lost its lead proposes nothing; when it leads again it goes on from what is applied
 * by then, though it had proposed later times that are gone. */
static void test_a_leader_again_goes_on_from_what_is_applied(void **state)
{
    struct log_time time;
    (void)state;

    log_time_init(&time);
    log_time_start(&time, 0);
    assert_int_equal(log_time_propose(&time, 1000), 1000);
    assert_int_equal(log_time_read(&time, 1100), 1100);
    log_time_stop(&time);
    log_time_apply(&time, 300); /* another leader's */
    assert_int_equal(log_time_read(&time, 2000), 1100);
    log_time_start(&time, 3000);
    assert_int_equal(log_time_propose(&time, 3050), 350);
    assert_int_equal(log_time_read(&time, 3050), 1100);
}

/* Steady load does not slow it: what passes between proposal and apply is not lost. */
static void test_load_does_not_hold_time_up(void **state)
{
    struct log_time time;
    (void)state;

    log_time_init(&time);
    log_time_start(&time, 1000);
    for (int64_t now_ms = 1000; now_ms < 2000; now_ms += 5) {
        assert_int_equal(log_time_propose(&time, now_ms), now_ms - 1000);
        if (now_ms >= 1020) /* applied 20 ms after they were proposed, always some under way */
            log_time_apply(&time, now_ms - 1020);
    }
}

/* A new leader goes on from the last entry, whatever its clock says. */
static void test_a_new_leader_goes_on_from_the_last_entry(void **state)
{
    struct log_time time;
    (void)state;

    log_time_init(&time);
    log_time_apply(&time, 123456);
    log_time_start(&time, 17);
    assert_int_equal(log_time_read(&time, 17), 123456);
    assert_int_equal(log_time_propose(&time, 20), 123459);
}

/* What is told is never above what the next entry gets, and never falls. */
static void test_what_is_told_never_falls(void **state)
{
    struct log_time time;
    (void)state;

    log_time_init(&time);
    log_time_apply(&time, 100);
    log_time_start(&time, 0);
    assert_int_equal(log_time_read(&time, 50), 150);
    assert_int_equal(log_time_propose(&time, 50), 150);
    assert_int_equal(log_time_read(&time, 50), 150);
}

/* Time that no entry holds is told up to a bound: it would be lost with the leader. */
static void test_what_is_told_is_bounded_by_what_was_applied(void **state)
{
    struct log_time time;
    (void)state;

    log_time_init(&time);
    log_time_start(&time, 0);
    assert_int_equal(log_time_read(&time, 10LL * LOG_TIME_AHEAD_MS_MAX), LOG_TIME_AHEAD_MS_MAX);
    int64_t time_ms = log_time_propose(&time, 10LL * LOG_TIME_AHEAD_MS_MAX);
    assert_int_equal(log_time_read(&time, 10LL * LOG_TIME_AHEAD_MS_MAX), LOG_TIME_AHEAD_MS_MAX);
    log_time_apply(&time, time_ms);
    assert_int_equal(log_time_read(&time, 10LL * LOG_TIME_AHEAD_MS_MAX), time_ms);
}

/* An idle leader is due to append an entry; one that did so just now, or no leader, is not. */
static void test_an_idle_leader_is_due_to_append(void **state)
{
    struct log_time time;
    (void)state;

    log_time_init(&time);
    assert_false(log_time_tick_due(&time, LOG_TIME_TICK_MS));
    log_time_start(&time, 0);
    assert_false(log_time_tick_due(&time, LOG_TIME_TICK_MS - 1));
    assert_true(log_time_tick_due(&time, LOG_TIME_TICK_MS));
    log_time_propose(&time, LOG_TIME_TICK_MS);
    assert_false(log_time_tick_due(&time, LOG_TIME_TICK_MS + 1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_time_stands_still_without_a_leader),
        cmocka_unit_test(test_a_leader_again_goes_on_from_what_is_applied),
        cmocka_unit_test(test_load_does_not_hold_time_up),
        cmocka_unit_test(test_a_new_leader_goes_on_from_the_last_entry),
        cmocka_unit_test(test_what_is_told_never_falls),
        cmocka_unit_test(test_what_is_told_is_bounded_by_what_was_applied),
        cmocka_unit_test(test_an_idle_leader_is_due_to_append),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
