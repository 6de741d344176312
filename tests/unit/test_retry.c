/* Retries: pauses that grow, and an honest memory.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "broker/bus/err.h"
#include "broker/bus/limits.h"
#include "client/store/retry.h"

#define LONG_MS 1000000

/* A pause is at least half of its step; steps double from the first to the greatest. */
static void test_pauses_grow_up_to_a_bound(void **state)
{
    struct retry retry = {0};
    int64_t step_ms = RETRY_PAUSE_MS_MIN;
    (void)state;
    for (int i = 0; i < 20; i++) {
        int64_t pause_ms = 0;
        assert_true(retry_take(&retry, ERR_NO_SERVICE, LONG_MS, &pause_ms));
        assert_in_range(pause_ms, step_ms / 2, step_ms);
        assert_true(pause_ms >= 1);
        step_ms = step_ms * 2 > RETRY_PAUSE_MS_MAX ? RETRY_PAUSE_MS_MAX : step_ms * 2;
    }
    assert_int_equal(retry.attempts, 20);
}

/* Calls that failed together come back at different times, and the same call always at the same. */
static void test_pauses_are_spread_by_the_seed_alone(void **state)
{
    int64_t pauses[64];
    size_t different = 0;
    (void)state;
    for (uint64_t seed = 0; seed < 64; seed++) {
        struct retry one = {.seed = seed, .attempts = 7};
        struct retry same = {.seed = seed, .attempts = 7};
        int64_t again_ms = 0;
        assert_true(retry_take(&one, ERR_BUSY, LONG_MS, &pauses[seed]));
        assert_true(retry_take(&same, ERR_BUSY, LONG_MS, &again_ms));
        assert_int_equal(pauses[seed], again_ms);
        different += seed > 0 && pauses[seed] != pauses[seed - 1];
    }
    assert_true(different > 50);
}

/* There is no attempt that could not be answered before the deadline. */
static void test_no_attempt_begins_at_or_after_the_deadline(void **state)
{
    struct retry retry = {0};
    int64_t pause_ms = -1;
    (void)state;
    assert_false(retry_take(&retry, ERR_NO_BROKER, 1, &pause_ms));
    assert_false(retry_take(&retry, ERR_NO_BROKER, 0, &pause_ms));
    assert_false(retry_take(&retry, ERR_NO_BROKER, -5, &pause_ms));
    assert_int_equal(pause_ms, -1);
}

/* The store's verdict is not asked for twice. */
static void test_a_definite_refusal_is_not_repeated(void **state)
{
    static const int codes[] = {OK,          ERR_OUT_OF_STOCK, ERR_NOT_FOUND, ERR_KEY_REUSED,
                                ERR_INVALID, ERR_FORBIDDEN,    ERR_STAMP_OLD, ERR_TOO_LARGE};
    (void)state;
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
        struct retry retry = {.write = true};
        int64_t pause_ms;
        assert_false(retry_take(&retry, codes[i], LONG_MS, &pause_ms));
        assert_int_equal(retry_outcome(&retry, codes[i]), codes[i]);
    }
}

/* Once an attempt of a write may have taken effect, "not attempted" is not the whole truth. */
static void test_an_unknown_attempt_of_a_write_is_not_forgotten(void **state)
{
    struct retry retry = {.write = true};
    int64_t pause_ms;
    (void)state;
    assert_true(retry_take(&retry, ERR_WORKER_LOST, LONG_MS, &pause_ms));
    assert_false(retry_take(&retry, ERR_NO_SERVICE, 1, &pause_ms));
    assert_int_equal(retry_outcome(&retry, ERR_NO_SERVICE), ERR_UNKNOWN);
    assert_int_equal(retry_outcome(&retry, ERR_DISK_LOW), ERR_UNKNOWN);
    assert_int_equal(retry_outcome(&retry, ERR_REFUSED), ERR_UNKNOWN);
    assert_int_equal(retry_outcome(&retry, ERR_TIMEOUT), ERR_TIMEOUT);
}

/* The store's verdict is for the key, so it holds for the attempt that was lost as well. */
static void test_a_verdict_ends_the_doubt(void **state)
{
    struct retry retry = {.write = true};
    int64_t pause_ms;
    (void)state;
    assert_true(retry_take(&retry, ERR_TIMEOUT, LONG_MS, &pause_ms));
    assert_false(retry_take(&retry, ERR_OUT_OF_STOCK, LONG_MS, &pause_ms));
    assert_int_equal(retry_outcome(&retry, ERR_OUT_OF_STOCK), ERR_OUT_OF_STOCK);
    assert_int_equal(retry_outcome(&retry, OK), OK);
}

/* A read has no effect, so nothing about it can be unknown. */
static void test_a_read_remembers_nothing(void **state)
{
    struct retry retry = {.write = false};
    int64_t pause_ms;
    (void)state;
    assert_true(retry_take(&retry, ERR_WORKER_LOST, LONG_MS, &pause_ms));
    assert_int_equal(retry_outcome(&retry, ERR_NO_SERVICE), ERR_NO_SERVICE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pauses_grow_up_to_a_bound),
        cmocka_unit_test(test_pauses_are_spread_by_the_seed_alone),
        cmocka_unit_test(test_no_attempt_begins_at_or_after_the_deadline),
        cmocka_unit_test(test_a_definite_refusal_is_not_repeated),
        cmocka_unit_test(test_an_unknown_attempt_of_a_write_is_not_forgotten),
        cmocka_unit_test(test_a_verdict_ends_the_doubt),
        cmocka_unit_test(test_a_read_remembers_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
