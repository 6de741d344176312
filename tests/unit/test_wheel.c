/* The wheel of deadlines.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "broker/bus/limits.h"
#include "broker/wheel.h"

#define START 1234567

/* A timer fires when its time has passed, at most a tick late, once. */
static void test_a_timer_fires_after_its_time(void **state)
{
    (void)state;
    for (int64_t due = START; due < START + 3 * WHEEL_TICK_MS; due++) {
        struct wheel *wheel = wheel_new(START);
        struct wheel_timer timer = {0};
        int64_t now = due;
        wheel_set(wheel, &timer, due);
        assert_null(wheel_next(wheel, due - 1));
        while (wheel_next(wheel, now) == NULL)
            now++;
        assert_true(now <= due + WHEEL_TICK_MS);
        assert_null(wheel_next(wheel, now + WHEEL_SPAN_MS));
        wheel_destroy(&wheel);
    }
}

/* One that was cancelled does not fire; one that was set anew fires at its new time only. */
static void test_timers_are_cancelled_and_moved(void **state)
{
    (void)state;
    struct wheel *wheel = wheel_new(START);
    struct wheel_timer one = {0}, other = {0};
    wheel_set(wheel, &one, START + 100);
    wheel_set(wheel, &other, START + 100);
    wheel_cancel(&one);
    wheel_cancel(&one);
    wheel_set(wheel, &other, START + 300);
    assert_null(wheel_next(wheel, START + 200));
    assert_ptr_equal(wheel_next(wheel, START + 300 + WHEEL_TICK_MS), &other);
    wheel_destroy(&wheel);
}

/* After a pause of any length all that was due fires once, and what is set meanwhile keeps its
 * time. */
static void test_a_long_pause_fires_all_that_was_due(void **state)
{
    (void)state;
    static const int64_t pauses[] = {WHEEL_SPAN_MS - 1, WHEEL_SPAN_MS, 10 * (int64_t)WHEEL_SPAN_MS};
    for (size_t i = 0; i < sizeof pauses / sizeof *pauses; i++) {
        struct wheel *wheel = wheel_new(START);
        struct wheel_timer timers[100] = {0}, later = {0};
        const int64_t now = START + pauses[i];
        for (int64_t t = 0; t < 100; t++)
            wheel_set(wheel, &timers[t], START + t * (REQUEST_DEADLINE_MS_MAX / 100));
        assert_non_null(wheel_next(wheel, now));
        wheel_set(wheel, &later, now + REQUEST_DEADLINE_MS_MAX);
        for (int t = 1; t < 100; t++)
            assert_ptr_not_equal(wheel_next(wheel, now), &later);
        assert_null(wheel_next(wheel, now));
        assert_null(wheel_next(wheel, now + REQUEST_DEADLINE_MS_MAX - 1));
        assert_ptr_equal(wheel_next(wheel, now + REQUEST_DEADLINE_MS_MAX + WHEEL_TICK_MS), &later);
        wheel_destroy(&wheel);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_timer_fires_after_its_time),
        cmocka_unit_test(test_timers_are_cancelled_and_moved),
        cmocka_unit_test(test_a_long_pause_fires_all_that_was_due),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
