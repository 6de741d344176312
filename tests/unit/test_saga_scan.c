/* The saga, event by event: what it settles and closes behind itself, and what the scan finds.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/saga_rig.h"

/* SETTLE waits a moment for company, and names the keys whose orders were applied. */
static void test_settle_is_lazy_and_in_batches(void **state)
{
    struct fixture *self = *state;

    buy_through(self, 1, "one", 1);
    pass(self, SETTLE_WAIT_MS - 1);
    expect_nothing(self);
    buy_through(self, 2, "two", 2);
    pass(self, 1);
    expect(self, SAGA_SETTLE);
    assert_int_equal(self->action->key_count, 2);
    assert_string_equal(self->action->keys[0], "one");
    assert_string_equal(self->action->keys[1], "two");
    saga_settled(self->saga, self->action->call, OK, self->now_ms);
    pass(self, SETTLE_WAIT_MS);
    expect_nothing(self);
}

/* A full batch goes at once; one at a time is under way. */
static void test_a_full_batch_does_not_wait(void **state)
{
    struct fixture *self = *state;
    uint64_t call;
    char key[32];

    for (uint64_t i = 0; i < KEYS_MAX + 1; i++) {
        snprintf(key, sizeof key, "key-%d", (int)i);
        buy_through(self, i, key, i + 1);
    }
    pass(self, 0);
    call = expect(self, SAGA_SETTLE)->call;
    assert_int_equal(self->action->key_count, KEYS_MAX);
    pass(self, SETTLE_WAIT_MS);
    expect_nothing(self);
    saga_settled(self->saga, call, ERR_TIMEOUT, self->now_ms);
    pass(self, 0);
    expect(self, SAGA_SETTLE);
    assert_int_equal(self->action->key_count, 1);
}

/* Above the bound of keys that wait a key is left to the scan: what waits goes in batches, and no
 * more of it than there may be. */
static void test_keys_that_wait_for_a_settle_are_bounded(void **state)
{
    struct fixture *self = *state;
    size_t settled = 0;
    char key[32];

    for (uint64_t i = 0; i < SETTLE_QUEUE_MAX + KEYS_MAX; i++) {
        snprintf(key, sizeof key, "key-%d", (int)i);
        buy_through(self, i, key, i + 1);
    }
    pass(self, SETTLE_WAIT_MS);
    for (saga_action_destroy(&self->action); (self->action = saga_next(self->saga)) != NULL;
         saga_action_destroy(&self->action)) {
        if (self->action->type != SAGA_SETTLE)
            continue;
        settled += self->action->key_count;
        saga_settled(self->saga, self->action->call, OK, self->now_ms);
        pass(self, SETTLE_WAIT_MS);
    }
    assert_int_equal(settled, SETTLE_QUEUE_MAX);
}

/* Every second the catalog is asked for what is not settled: an unordered grant is ordered, with
 * the grant's own stamp, and then settled. */
static void test_the_scan_orders_what_was_granted(void **state)
{
    struct fixture *self = *state;
    struct saga_grant grant = {
        .key = "lost", .content = bytes("content"), .stamp = 77, .grant = bytes("grant")};
    struct saga_scan scan = {.grants = &grant, .grant_count = 1};

    pass(self, SCAN_PERIOD_MS);
    expect(self, SAGA_SCAN);
    saga_scanned(self->saga, self->action->call, OK, &scan, self->now_ms);
    expect(self, SAGA_LIST);
    expect(self, SAGA_ORDER);
    assert_string_equal(self->action->key, "lost");
    assert_int_equal(self->action->stamp, 77);
    assert_true(bytes_are(self->action->content, "content"));
    assert_true(bytes_are(self->action->grant, "grant"));
    buy(self, 1, "lost", "content"); /* its client asks again meanwhile */
    saga_applied(self->saga, self->action->call, OK, 17, true, self->now_ms);
    expect_order(self, 1, 17, true);
    pass(self, SETTLE_WAIT_MS);
    assert_string_equal(expect(self, SAGA_SETTLE)->keys[0], "lost");
}

/* A grant with its order is settled; one whose key has an order of other content is left alone;
 * one that is under way is left to its flow. */
static void test_the_scan_settles_what_is_ordered_and_nothing_else(void **state)
{
    struct fixture *self = *state;
    struct saga_grant grants[] = {
        {.key = "done", .content = bytes("c"), .grant = bytes("g"), .order = SAGA_ORDERED},
        {.key = "odd", .content = bytes("c"), .grant = bytes("g"), .order = SAGA_ORDERED_OTHERWISE},
        {.key = "running", .content = bytes("c"), .grant = bytes("g"), .order = SAGA_UNORDERED},
    };
    struct saga_scan scan = {.grants = grants, .grant_count = 3};
    struct saga_numbers numbers;

    buy_to_reserve(self, 1, "running");
    pass(self, SCAN_PERIOD_MS);
    expect(self, SAGA_SCAN);
    saga_scanned(self->saga, self->action->call, OK, &scan, self->now_ms);
    expect(self, SAGA_LIST);
    expect_nothing(self);
    pass(self, SETTLE_WAIT_MS);
    expect(self, SAGA_SETTLE);
    assert_int_equal(self->action->key_count, 1);
    assert_string_equal(self->action->keys[0], "done");
    saga_numbers(self->saga, &numbers);
    assert_int_equal(numbers.conflicts, 1);
    assert_int_equal(numbers.unsettled, 3);
}

/* While a scan finds work, the next follows as soon as that is done. */
static void test_a_scan_that_found_work_is_followed_at_once(void **state)
{
    struct fixture *self = *state;
    struct saga_grant grant = {.key = "k", .content = bytes("c"), .grant = bytes("g")};
    struct saga_scan scan = {.grants = &grant, .grant_count = 1};

    pass(self, SCAN_PERIOD_MS);
    expect(self, SAGA_SCAN);
    saga_scanned(self->saga, self->action->call, OK, &scan, self->now_ms);
    expect(self, SAGA_LIST);
    ordered(self, OK, 1, true);
    pass(self, SETTLE_WAIT_MS);
    expect(self, SAGA_SETTLE);
    saga_settled(self->saga, self->action->call, OK, self->now_ms);
    pass(self, 0);
    expect(self, SAGA_SCAN);
}

/* A scan without an answer is not repeated until it has failed, and then at its next second. */
static void test_one_scan_at_a_time(void **state)
{
    struct fixture *self = *state;
    uint64_t call;

    pass(self, SCAN_PERIOD_MS);
    call = expect(self, SAGA_SCAN)->call;
    expect(self, SAGA_LIST);
    pass(self, 3 * SCAN_PERIOD_MS);
    expect_nothing(self);
    saga_scanned(self->saga, call, ERR_TIMEOUT, NULL, self->now_ms);
    pass(self, 0);
    expect(self, SAGA_SCAN);
}

/* What scans have begun is bounded; further finds are left to a next scan. */
static void test_recovered_flows_are_bounded(void **state)
{
    struct fixture *self = *state;
    struct saga_numbers numbers;
    char key[32];

    for (int i = 0; i < SAGA_RECOVERED_MAX + 10; i++) {
        struct saga_listed row = {
            .cancel_key = key, .order_key = "o", .number = 1, .content = bytes("c")};

        snprintf(key, sizeof key, "cancel-%d", i);
        saga_listed(self->saga, &row, 1);
    }
    saga_numbers(self->saga, &numbers);
    assert_int_equal(numbers.recovered, SAGA_RECOVERED_MAX);
}

/* A release whose order is cancelled is closed. */
static void test_the_scan_closes_releases_of_cancelled_orders(void **state)
{
    struct fixture *self = *state;
    const char *closable[] = {"buy"};
    struct saga_scan scan = {.closable = closable, .closable_count = 1};

    pass(self, SCAN_PERIOD_MS);
    expect(self, SAGA_SCAN);
    saga_scanned(self->saga, self->action->call, OK, &scan, self->now_ms);
    expect(self, SAGA_LIST);
    pass(self, SETTLE_WAIT_MS);
    assert_string_equal(expect(self, SAGA_CLOSE)->keys[0], "buy");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_settle_is_lazy_and_in_batches),
        TEST(test_a_full_batch_does_not_wait),
        TEST(test_keys_that_wait_for_a_settle_are_bounded),
        TEST(test_the_scan_orders_what_was_granted),
        TEST(test_the_scan_settles_what_is_ordered_and_nothing_else),
        TEST(test_a_scan_that_found_work_is_followed_at_once),
        TEST(test_one_scan_at_a_time),
        TEST(test_recovered_flows_are_bounded),
        TEST(test_the_scan_closes_releases_of_cancelled_orders),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
