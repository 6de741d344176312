/* Alarms in a loop.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/bus/alarm.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>

#include <cmocka.h>

#include "broker/bus/clock.h"
#include "tests/lib/scripted_broker.h"

struct bell {
    struct alarm *alarm;
    size_t count;      /* how often it rang */
    int64_t rang_ms;   /* when it did last */
    int64_t again_ms;  /* it sets itself so much later; 0: it does not */
    struct bell *kill; /* an alarm that it destroys */
};

static void ring(void *arg)
{
    struct bell *bell = arg;
    bell->count++;
    bell->rang_ms = clock_ms();
    if (bell->again_ms > 0)
        alarm_set(bell->alarm, bell->rang_ms + bell->again_ms);
    if (bell->kill != NULL)
        alarm_destroy(&bell->kill->alarm);
}

static bool has_rung_thrice(void *arg)
{
    const struct bell *bell = arg;
    return bell->count >= 3;
}

static bool has_rung(void *arg)
{
    const struct bell *bell = arg;
    return bell->count >= 1;
}

/* It goes off at its time or after it, once; a time that has passed means at once. */
static void test_an_alarm_goes_off_once_and_not_before_its_time(void **state)
{
    zloop_t *loop = zloop_new();
    struct bell bell = {0};

    (void)state;
    bell.alarm = alarm_new(loop, ring, &bell);
    scripted_run_for(loop, 10);
    assert_int_equal(bell.count, 0);
    int64_t at_ms = clock_ms() + 30;
    alarm_set(bell.alarm, at_ms);
    scripted_run_until(loop, has_rung, &bell);
    assert_true(bell.rang_ms >= at_ms);
    scripted_run_for(loop, 30);
    assert_int_equal(bell.count, 1);

    alarm_set(bell.alarm, 0);
    alarm_set(bell.alarm, 0);
    scripted_run_for(loop, 10);
    assert_int_equal(bell.count, 2);
    alarm_destroy(&bell.alarm);
    assert_null(bell.alarm);
    alarm_destroy(&bell.alarm);
    zloop_destroy(&loop);
}

/* The last setting counts, from inside the handler as well. */
static void test_an_alarm_may_be_set_anew(void **state)
{
    zloop_t *loop = zloop_new();
    struct bell bell = {.again_ms = 5};

    (void)state;
    bell.alarm = alarm_new(loop, ring, &bell);
    alarm_set(bell.alarm, clock_ms() + 3600 * 1000);
    alarm_set(bell.alarm, clock_ms() + 5);
    scripted_run_until(loop, has_rung_thrice, &bell);
    alarm_destroy(&bell.alarm);
    zloop_destroy(&loop);
}

/* An alarm destroyed in the turn in which it is due does not go off any more. */
static void test_a_destroyed_alarm_is_silent_at_once(void **state)
{
    zloop_t *loop = zloop_new();
    struct bell one = {0}, other = {0};

    (void)state;
    one.alarm = alarm_new(loop, ring, &one);
    other.alarm = alarm_new(loop, ring, &other);
    one.kill = &other;
    other.kill = &one;
    alarm_set(one.alarm, 0);
    alarm_set(other.alarm, 0);
    scripted_run_for(loop, 20);
    assert_int_equal(one.count + other.count, 1);
    alarm_destroy(&one.alarm);
    alarm_destroy(&other.alarm);
    zloop_destroy(&loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_alarm_goes_off_once_and_not_before_its_time),
        cmocka_unit_test(test_an_alarm_may_be_set_anew),
        cmocka_unit_test(test_a_destroyed_alarm_is_silent_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
