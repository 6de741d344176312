/* The clocks, as far as they can be told from one another.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/bus/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

/* Times for people are UTC with milliseconds; what can't be said so is no reason to stop. */
static void test_a_time_is_written_as_rfc_3339(void **state)
{
    static const struct {
        int64_t wall_ms;
        const char *text;
    } rows[] = {
        {0, "1970-01-01T00:00:00.000Z"},
        {1, "1970-01-01T00:00:00.001Z"},
        {951782400000, "2000-02-29T00:00:00.000Z"},
        {951868800000, "2000-03-01T00:00:00.000Z"},
        {1735689599999, "2024-12-31T23:59:59.999Z"},
        {1767323045678, "2026-01-02T03:04:05.678Z"},
        {4107542399000, "2100-02-28T23:59:59.000Z"},
        {4107542400000, "2100-03-01T00:00:00.000Z"},
        {253402300799999, "9999-12-31T23:59:59.999Z"},
        {253402300800000, "1970-01-01T00:00:00.000Z"},
        {INT64_MAX, "1970-01-01T00:00:00.000Z"},
        {-1, "1970-01-01T00:00:00.000Z"},
        {INT64_MIN, "1970-01-01T00:00:00.000Z"},
    };
    char text[CLOCK_TEXT_BYTES];

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        assert_string_equal(clock_text(rows[i].wall_ms, text), rows[i].text);
}

/* The two readings are of one clock, which does not go back. */
static void test_milliseconds_and_microseconds_are_one_clock(void **state)
{
    (void)state;
    int64_t before_us = clock_us();
    int64_t between_ms = clock_ms();
    int64_t after_us = clock_us();
    assert_true(before_us / 1000 <= between_ms);
    assert_true(between_ms <= after_us / 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_time_is_written_as_rfc_3339),
        cmocka_unit_test(test_milliseconds_and_microseconds_are_one_clock),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
