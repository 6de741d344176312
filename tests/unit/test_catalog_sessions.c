/* The sessions of leased caches in the catalog's tables.
 *
 * SPDX-License-Identifier: Apache-2.0 */
/* link: catalog */
#include "tests/unit/catalog_driver.h"

#include "services/catalog/sessions.h"

static struct outcome *open_session(struct driver *driver)
{
    const struct command command = {.op = COMMAND_SESSION_OPEN};
    return driver_apply(driver, &command);
}

static void open_any(struct driver *driver)
{
    expect(open_session(driver), OK);
}

static int64_t close_session(struct driver *driver, uint64_t session)
{
    const struct command command = {.op = COMMAND_SESSION_CLOSE, .session = session};
    return take_number(driver_apply(driver, &command), "closed");
}

static uint64_t digest_of(struct driver *driver)
{
    return driver->interface.digest(driver->interface.self);
}

static void expect_sessions(struct driver *driver, const uint64_t *expected, size_t count)
{
    uint64_t ids[LEASE_SESSIONS_MAX];
    assert_int_equal(sessions_list(driver_state(driver), ids, LEASE_SESSIONS_MAX), count);
    assert_int_equal(state_totals(driver_state(driver))->sessions, count);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(ids[i], expected[i]);
}

/* A session's number is the index of its entry; opening twice makes two. */
static void test_a_session_has_the_number_of_its_entry(void **state)
{
    struct driver *driver = driver_new();
    (void)state;
    expect_sessions(driver, NULL, 0);
    add_item(driver, 1, 5);
    assert_int_equal(take_number(open_session(driver), "session"), 2);
    assert_int_equal(take_number(open_session(driver), "session"), 3);
    tick(driver, driver->now_ms);
    assert_int_equal(take_number(open_session(driver), "session"), 5);
    expect_sessions(driver, (const uint64_t[]){2, 3, 5}, 3);
    driver_destroy(driver);
}

/* Closed, it is gone; what is not open, or not any more, is closed without effect. */
static void test_a_session_is_closed_once(void **state)
{
    struct driver *driver = driver_new();
    (void)state;
    open_any(driver);
    open_any(driver);
    assert_int_equal(close_session(driver, 1), true);
    assert_int_equal(close_session(driver, 1), false);
    assert_int_equal(close_session(driver, 77), false);
    assert_int_equal(close_session(driver, INT64_MAX), false);
    expect_sessions(driver, (const uint64_t[]){2}, 1);
    assert_int_equal(close_session(driver, 2), true);
    expect_sessions(driver, NULL, 0);
    driver_destroy(driver);
}

/* There are LEASE_SESSIONS_MAX at most: one above is refused and leaves nothing, until another one
 * is closed. */
static void test_sessions_are_bounded(void **state)
{
    struct driver *driver = driver_new();
    uint64_t ids[LEASE_SESSIONS_MAX];
    (void)state;
    for (int i = 1; i <= LEASE_SESSIONS_MAX; i++)
        assert_int_equal(take_number(open_session(driver), "session"), i);
    expect_detail(open_session(driver), ERR_LIMIT, "there are 1000 leased caches already");
    assert_int_equal(sessions_list(driver_state(driver), ids, LEASE_SESSIONS_MAX),
                     LEASE_SESSIONS_MAX);
    assert_int_equal(ids[LEASE_SESSIONS_MAX - 1], LEASE_SESSIONS_MAX);
    assert_int_equal(close_session(driver, 500), true);
    assert_int_equal(take_number(open_session(driver), "session"), LEASE_SESSIONS_MAX + 3);
    expect_detail(open_session(driver), ERR_LIMIT, "there are 1000 leased caches already");
    assert_int_equal(state_totals(driver_state(driver))->sessions, LEASE_SESSIONS_MAX);
    driver_destroy(driver);
}

/* They are rows like others: there after a restart, counted anew, and part of the digest. */
static void test_sessions_outlive_a_restart(void **state)
{
    struct driver *one = driver_new(), *other = driver_new();
    (void)state;
    for (int i = 0; i < 3; i++)
        open_any(one);
    assert_int_equal(close_session(one, 2), true);
    for (int i = 0; i < 4; i++)
        tick(other, other->now_ms);
    assert_int_equal(one->index, other->index);
    assert_true(digest_of(one) != digest_of(other));
    uint64_t digest = digest_of(one);
    driver_restart(one);
    expect_sessions(one, (const uint64_t[]){1, 3}, 2);
    assert_true(digest_of(one) == digest);
    driver_destroy(one);
    driver_destroy(other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_session_has_the_number_of_its_entry),
        cmocka_unit_test(test_a_session_is_closed_once),
        cmocka_unit_test(test_sessions_are_bounded),
        cmocka_unit_test(test_sessions_outlive_a_restart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
