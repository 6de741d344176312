/* Numbers: the whole text, or none.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "client/cli/number.h"

/* Whole numbers within their range are read, the ends included. */
static void test_whole_numbers_are_read(void **state)
{
    int64_t value = 0;
    (void)state;
    assert_true(number_read("1", 1, 1000000, &value));
    assert_int_equal(value, 1);
    assert_true(number_read("1000000", 1, 1000000, &value));
    assert_int_equal(value, 1000000);
    assert_true(number_read("-800", -9999, 9999, &value));
    assert_int_equal(value, -800);
    assert_true(number_read("007", 0, 10, &value));
    assert_int_equal(value, 7);
    assert_true(number_read("9223372036854775806", 0, INT64_MAX - 1, &value));
    assert_true(value == INT64_MAX - 1);
}

/* Nothing else is: no sign but '-', no blank, no fraction, exponent, other base, other digits. */
static void test_what_is_no_whole_number_is_refused(void **state)
{
    static const char *const texts[] = {"",    " ",   "1 ",  " 1",  "+1",      "-",
                                        "--1", "1.0", "1.5", "1e3", "0x1",     "1,000",
                                        "one", "1a",  "a1",  "1-",  "\xd9\xa1"};
    int64_t value = 42;
    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        assert_false(number_read(texts[i], -1000, 1000, &value));
    assert_int_equal(value, 42);
}

/* What is outside of the range is refused, however far. */
static void test_what_is_out_of_range_is_refused(void **state)
{
    static const char *const texts[] = {"0",
                                        "-1",
                                        "1000001",
                                        "9223372036854775807",
                                        "9223372036854775808",
                                        "-9223372036854775809",
                                        "18446744073709551617",
                                        "99999999999999999999999999999999999999999"};
    int64_t value = 42;
    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        assert_false(number_read(texts[i], 1, 1000000, &value));
    assert_int_equal(value, 42);
}

/* The reason tells a number that is out of range from what is none. */
static void test_the_reason_is_told(void **state)
{
    char why[NUMBER_WHY_BYTES];
    (void)state;
    assert_string_equal(number_why("0", 1, 100, why), "must be 1 to 100");
    assert_string_equal(number_why("99999999999999999999", 1, 100, why), "must be 1 to 100");
    assert_string_equal(number_why("1.5", 1, 100, why), "is not a whole number (1 to 100)");
}

/* Fractions, where they are allowed; no exponents, infinities, or signs. */
static void test_numbers_with_a_fraction_are_read(void **state)
{
    double value = 7;
    (void)state;
    assert_true(number_read_real("0.99", 0, 10, &value));
    assert_true(value > 0.9899 && value < 0.9901);
    assert_true(number_read_real("2", 0, 10, &value));
    assert_true(value > 1.9999 && value < 2.0001);
    assert_false(number_read_real("", 0, 10, &value));
    assert_false(number_read_real(".5", 0, 10, &value));
    assert_false(number_read_real("5.", 0, 10, &value));
    assert_false(number_read_real("1e1", 0, 10, &value));
    assert_false(number_read_real("nan", 0, 10, &value));
    assert_false(number_read_real("inf", 0, 10, &value));
    assert_false(number_read_real("-1", 0, 10, &value));
    assert_false(number_read_real("10.1", 0, 10, &value));
}

/* Durations: seconds unless a unit says otherwise. */
static void test_durations_are_read(void **state)
{
    int64_t value = 0;
    (void)state;
    assert_true(number_read_duration("10", 1, 300000, &value));
    assert_int_equal(value, 10000);
    assert_true(number_read_duration("2.5s", 1, 300000, &value));
    assert_int_equal(value, 2500);
    assert_true(number_read_duration("500ms", 1, 300000, &value));
    assert_int_equal(value, 500);
    assert_true(number_read_duration("5m", 1, 300000, &value));
    assert_int_equal(value, 300000);
    assert_false(number_read_duration("0", 1, 300000, &value));
    assert_false(number_read_duration("301", 1, 300000, &value));
    assert_false(number_read_duration("1h", 1, 300000, &value));
    assert_false(number_read_duration("-1", 1, 300000, &value));
    assert_false(number_read_duration("1 s", 1, 300000, &value));
    assert_false(number_read_duration("ms", 1, 300000, &value));
    assert_false(number_read_duration("99999999999999999999999999999999m", 1, 300000, &value));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_whole_numbers_are_read),
        cmocka_unit_test(test_what_is_no_whole_number_is_refused),
        cmocka_unit_test(test_what_is_out_of_range_is_refused),
        cmocka_unit_test(test_the_reason_is_told),
        cmocka_unit_test(test_numbers_with_a_fraction_are_read),
        cmocka_unit_test(test_durations_are_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
