/* The pauses between connections. What else a link does shows in the tests of its two owners,
 * test_client.c and test_worker.c.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/bus/link.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "broker/bus/limits.h"

/* Whatever is drawn, the pause lies between the two bounds. */
static void test_a_pause_is_bounded(void **state)
{
    static const uint32_t draws[] = {0, 1, 49, 50, 51, 1000, 65535, UINT32_MAX};
    static const size_t counts[] = {0, 1, 2, 3, 4, 5, 31, 32, 63, 64, SIZE_MAX};

    (void)state;
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++)
        for (size_t j = 0; j < sizeof draws / sizeof draws[0]; j++) {
            int64_t pause_ms = bus_link_pause_ms('C', counts[i], draws[j]);
            assert_true(pause_ms >= RECONNECT_MS_MIN && pause_ms <= RECONNECT_MS_MAX);
            pause_ms = bus_link_pause_ms('W', counts[i], draws[j]);
            assert_true(pause_ms >= RECONNECT_MS_MIN && pause_ms <= RECONNECT_WORKER_MS_MAX);
        }
}

/* The longest pause that is drawn at a number of failures. */
static int64_t longest(char side, size_t failure_count)
{
    int64_t longest_ms = 0;
    for (uint32_t draw = 0; draw < 4000; draw++) {
        int64_t pause_ms = bus_link_pause_ms(side, failure_count, draw);
        longest_ms = pause_ms > longest_ms ? pause_ms : longest_ms;
    }
    return longest_ms;
}

/* The bound doubles with each failure: a broker that is started again within 200 ms is found soon,
 * one that stays away is asked once a second, by workers more often. */
static void test_the_bound_doubles_with_each_failure(void **state)
{
    static const int64_t expected_ms[] = {100, 200, 400, 800, 1000, 1000};

    (void)state;
    for (size_t i = 0; i < sizeof expected_ms / sizeof expected_ms[0]; i++)
        assert_int_equal(longest('C', i), expected_ms[i]);
    assert_int_equal(longest('W', 0), 100);
    assert_int_equal(longest('W', 1), RECONNECT_WORKER_MS_MAX);
    assert_int_equal(longest('W', 2), RECONNECT_WORKER_MS_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_pause_is_bounded),
        cmocka_unit_test(test_the_bound_doubles_with_each_failure),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
