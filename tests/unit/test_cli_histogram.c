/* The histogram and the choice of items: what a measurement rests on.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "client/cli/histogram.h"
#include "client/cli/pick.h"

#define DRAWS 100000

/* Nothing measured is 0, and no division by it. */
static void test_an_empty_histogram_is_all_zero(void **state)
{
    struct histogram histogram = {0};
    (void)state;
    assert_int_equal(histogram_percentile(&histogram, 50), 0);
    assert_int_equal(histogram_percentile(&histogram, 100), 0);
    assert_true(histogram_mean(&histogram) < 1e-9);
}

/* Below the first power of two every microsecond is told apart. */
static void test_small_durations_are_exact(void **state)
{
    struct histogram histogram = {0};
    (void)state;
    for (int64_t us = 1; us <= 100; us++)
        histogram_add(&histogram, us);
    assert_int_equal(histogram_percentile(&histogram, 50), 50);
    assert_int_equal(histogram_percentile(&histogram, 90), 90);
    assert_int_equal(histogram_percentile(&histogram, 99), 99);
    assert_int_equal(histogram_percentile(&histogram, 100), 100);
    assert_int_equal(histogram_percentile(&histogram, 0), 1);
    assert_true(histogram_mean(&histogram) > 50.49 && histogram_mean(&histogram) < 50.51);
}

/* At every size, what is reported is not below what was measured, and at most 1/128 above. */
static void test_large_durations_are_within_their_error(void **state)
{
    (void)state;
    for (int64_t us = 1; us < INT64_C(1) << 40; us = us * 3 / 2 + 1) {
        struct histogram histogram = {0};
        histogram_add(&histogram, us);
        /* A longer one, or the maximum would make it exact. */
        histogram_add(&histogram, us * 4);
        int64_t reported = histogram_percentile(&histogram, 50);
        assert_in_range(reported, us, us + us / HISTOGRAM_STEPS);
        assert_int_equal(histogram_percentile(&histogram, 100), us * 4);
    }
}

/* Neither a clock that goes back nor a duration beyond the last bucket does harm. */
static void test_extreme_durations_are_kept(void **state)
{
    struct histogram histogram = {0};
    (void)state;
    histogram_add(&histogram, -5);
    assert_int_equal(histogram_percentile(&histogram, 100), 0);
    histogram_add(&histogram, INT64_C(1) << 60);
    assert_int_equal(histogram.count, 2);
    assert_true(histogram_percentile(&histogram, 100) == INT64_C(1) << 60);
}

/* One slow request in a thousand is in p99.9 and not in p99. */
static void test_the_tail_is_where_it_belongs(void **state)
{
    struct histogram histogram = {0};
    (void)state;
    for (int i = 0; i < 9985; i++)
        histogram_add(&histogram, 100);
    for (int i = 0; i < 15; i++)
        histogram_add(&histogram, 50000);
    assert_int_equal(histogram_percentile(&histogram, 99), 100);
    assert_int_equal(histogram_percentile(&histogram, 99.9), 50000);
}

/* Evenly means evenly: each of ten comes a tenth of the time, give or take. */
static void test_an_even_choice_is_even(void **state)
{
    struct pick *pick = pick_new(10, 0, 1);
    int counts[10] = {0};
    (void)state;
    for (int i = 0; i < DRAWS; i++)
        counts[pick_next(pick)]++;
    for (int i = 0; i < 10; i++)
        assert_in_range(counts[i], DRAWS / 10 * 95 / 100, DRAWS / 10 * 105 / 100);
    pick_destroy(&pick);
    pick_destroy(&pick);
}

/* By Zipf's law with exponent 1, rank 1 comes twice as often as rank 2, three times as rank 3. */
static void test_a_zipf_choice_follows_the_law(void **state)
{
    struct pick *pick = pick_new(1000, 1, 7);
    int counts[1000] = {0};
    (void)state;
    for (int i = 0; i < DRAWS; i++)
        counts[pick_next(pick)]++;
    /* The harmonic number of 1000 is 7.485. */
    assert_in_range(counts[0], DRAWS * 0.95 / 7.485, DRAWS * 1.05 / 7.485);
    assert_in_range(counts[1], DRAWS * 0.92 / 7.485 / 2, DRAWS * 1.08 / 7.485 / 2);
    assert_in_range(counts[2], DRAWS * 0.9 / 7.485 / 3, DRAWS * 1.1 / 7.485 / 3);
    pick_destroy(&pick);
}

/* The same seed is the same sequence, and one thing is always chosen. */
static void test_a_choice_follows_from_its_seed(void **state)
{
    struct pick *one = pick_new(1000000, 0.99, 3);
    struct pick *other = pick_new(1000000, 0.99, 3);
    struct pick *single = pick_new(1, 0.5, 3);
    (void)state;
    for (int i = 0; i < 1000; i++) {
        size_t place = pick_next(one);
        assert_int_equal(place, pick_next(other));
        assert_true(place < 1000000);
        assert_int_equal(pick_next(single), 0);
    }
    pick_destroy(&one);
    pick_destroy(&other);
    pick_destroy(&single);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_empty_histogram_is_all_zero),
        cmocka_unit_test(test_small_durations_are_exact),
        cmocka_unit_test(test_large_durations_are_within_their_error),
        cmocka_unit_test(test_extreme_durations_are_kept),
        cmocka_unit_test(test_the_tail_is_where_it_belongs),
        cmocka_unit_test(test_an_even_choice_is_even),
        cmocka_unit_test(test_a_zipf_choice_follows_the_law),
        cmocka_unit_test(test_a_choice_follows_from_its_seed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
