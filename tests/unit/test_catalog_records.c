/* Keys: repetition, reuse, stamps, forgetting.
 *
 * SPDX-License-Identifier: Apache-2.0 */
/* link: catalog */
#include "tests/unit/catalog_driver.h"

static int set_up(void **state)
{
    struct driver *driver = driver_new();
    add_item(driver, 1, 100);
    *state = driver;
    return 0;
}

static int tear_down(void **state)
{
    driver_destroy(*state);
    return 0;
}

static struct outcome *add_stock(struct driver *driver, const char *key, int64_t stamp, int change)
{
    return driver_write(driver, "{'op':'stock','key':'%s','stamp':%lld,'id':1,'change':%d}", key,
                        (long long)stamp, change);
}

/* The same request again is answered the same, marked as replayed, and does nothing. */
static void test_a_repetition_is_answered_the_same_and_does_nothing(void **state)
{
    struct driver *driver = *state;
    char *first = take_text(add_stock(driver, "k", 0, 5));
    expect(add_stock(driver, "other", 0, 5), OK);
    struct outcome *again = add_stock(driver, "k", 0, 5);
    assert_int_equal(again->code, OK);
    assert_true(again->replayed);
    char *second = take_text(again);
    assert_string_equal(first, second);
    assert_int_equal(stock_of(driver, 1), 110);
    free(first);
    free(second);
}

/* A refusal is recorded too: its repetition is refused the same, though it would be possible now. */
static void test_a_refusal_is_final_for_its_key(void **state)
{
    struct driver *driver = *state;
    static const char edit[] = "{'op':'item_edit','key':'e','stamp':0,'id':9,'title':'U'}";
    expect(driver_write(driver, "%s", edit), ERR_NOT_FOUND);
    add_item(driver, 9, 0);
    struct outcome *again = driver_write(driver, "%s", edit);
    assert_true(again->replayed);
    expect_detail(again, ERR_NOT_FOUND, "there is no item 9");
    struct outcome *outcome = driver_read(driver, "{'op':'lookup','id':9}");
    assert_string_equal(
        json_string_value(json_object_get(json_object_get(outcome->body, "item"), "title")),
        "Item 9");
    outcome_destroy(&outcome);
}

/* One key is for one content, whatever the operation. */
static void test_a_key_is_for_one_content(void **state)
{
    struct driver *driver = *state;
    expect(add_stock(driver, "k", 0, 5), OK);
    expect_detail(add_stock(driver, "k", 0, 6), ERR_KEY_REUSED,
                  "the key was used with other content");
    expect(reserve(driver, "k", 0, "[{'id':1,'quantity':1}]"), ERR_KEY_REUSED);
    expect(undo(driver, "k", 0, "[{'id':1,'quantity':1}]"), ERR_KEY_REUSED);
    expect(driver_write(driver, "{'op':'item_remove','key':'k','stamp':0,'id':1}"), ERR_KEY_REUSED);
    assert_int_equal(stock_of(driver, 1), 105);
}

/* The stamp is no part of the content: a retry with a fresh one is the same request. */
static void test_the_stamp_is_no_content(void **state)
{
    struct driver *driver = *state;
    driver->now_ms = 5000;
    expect(add_stock(driver, "k", 0, 5), OK);
    struct outcome *again = add_stock(driver, "k", 5000, 5);
    assert_true(again->replayed);
    expect(again, OK);
}

/* An unknown key with a stamp above 24 h of log time is refused; exactly 24 h is not. */
static void test_an_old_stamp_is_refused(void **state)
{
    struct driver *driver = *state;
    driver->now_ms = 10 * DAY_MS;
    expect(add_stock(driver, "a", 9 * DAY_MS - 1, 5), ERR_STAMP_OLD);
    expect(add_stock(driver, "a", 9 * DAY_MS, 5), OK);
    assert_int_equal(stock_of(driver, 1), 105);
}

/* An old stamp does not matter to a key that is known. */
static void test_a_known_key_is_answered_whatever_its_stamp(void **state)
{
    struct driver *driver = *state;
    driver->now_ms = 10 * DAY_MS;
    expect(add_stock(driver, "a", 10 * DAY_MS, 5), OK);
    driver->now_ms = 11 * DAY_MS + HOUR_MS;
    struct outcome *again = add_stock(driver, "a", 10 * DAY_MS, 5);
    assert_true(again->replayed);
    expect(again, OK);
}

/* A stamp more than an hour ahead of the log's time was made up. */
static void test_a_stamp_far_ahead_is_refused(void **state)
{
    struct driver *driver = *state;
    driver->now_ms = DAY_MS;
    expect(add_stock(driver, "a", DAY_MS + HOUR_MS + 1, 5), ERR_INVALID);
    expect(add_stock(driver, "a", DAY_MS + HOUR_MS, 5), OK);
}

static int64_t record_count(struct driver *driver)
{
    return state_totals(driver_state(driver))->records;
}

/* A key is forgotten 48 h after it was last used, and each use begins them anew. */
static void test_a_key_is_remembered_for_48_hours_after_its_last_use(void **state)
{
    struct driver *driver = *state;
    tick(driver, 3 * DAY_MS); /* the item's own key is gone */
    assert_int_equal(record_count(driver), 0);
    expect(add_stock(driver, "a", 3 * DAY_MS, 5), OK);
    tick(driver, 5 * DAY_MS);
    assert_int_equal(record_count(driver), 1);
    struct outcome *again = add_stock(driver, "a", 3 * DAY_MS, 5);
    assert_true(again->replayed);
    expect(again, OK);
    tick(driver, 7 * DAY_MS);
    assert_int_equal(record_count(driver), 1);
    tick(driver, 7 * DAY_MS + 1);
    assert_int_equal(record_count(driver), 0);
    expect(add_stock(driver, "a", 3 * DAY_MS, 5), ERR_STAMP_OLD);
}

/* Being asked with other content is a use as well. */
static void test_a_key_that_is_tried_again_is_remembered(void **state)
{
    struct driver *driver = *state;
    tick(driver, 3 * DAY_MS);
    expect(add_stock(driver, "a", 3 * DAY_MS, 5), OK);
    driver->now_ms = 4 * DAY_MS;
    expect(add_stock(driver, "a", 4 * DAY_MS, 6), ERR_KEY_REUSED);
    tick(driver, 6 * DAY_MS);
    assert_int_equal(record_count(driver), 1);
}

/* One entry forgets a bounded number, and the next ones go on. */
static void test_forgetting_is_bounded_in_each_entry(void **state)
{
    struct driver *driver = *state;
    tick(driver, 3 * DAY_MS);
    for (int i = 0; i < 250; i++) {
        char key[16];
        (void)snprintf(key, sizeof key, "key-%d", i);
        expect(add_stock(driver, key, 3 * DAY_MS, 1), OK);
    }
    tick(driver, 6 * DAY_MS);
    assert_int_equal(record_count(driver), 150);
    tick(driver, 6 * DAY_MS);
    assert_int_equal(record_count(driver), 50);
    tick(driver, 6 * DAY_MS);
    assert_int_equal(record_count(driver), 0);
}

/* The counts survive a restart, and so does what is remembered. */
static void test_records_survive_a_restart(void **state)
{
    struct driver *driver = *state;
    expect(add_stock(driver, "a", 0, 5), OK);
    expect(reserve(driver, "b", 0, "[{'id':1,'quantity':1}]"), OK);
    struct state_totals before = *state_totals(driver_state(driver));
    driver_restart(driver);
    before.touched_from_ms = state_totals(driver_state(driver))->touched_from_ms;
    assert_memory_equal(state_totals(driver_state(driver)), &before, sizeof before);
    assert_int_equal(before.unsettled, 1);
    struct outcome *again = add_stock(driver, "a", 0, 5);
    assert_true(again->replayed);
    expect(again, OK);
}

/* Answers never say a log time more than ten minutes above the last entry. */
static void test_answers_do_not_run_ahead_of_the_log(void **state)
{
    struct driver *driver = *state;
    tick(driver, 1000);
    assert_int_equal(machine_log_time_ms(driver->machine, 2000), 2000);
    assert_int_equal(machine_log_time_ms(driver->machine, 1000 + LOG_TIME_AHEAD_MS),
                     1000 + LOG_TIME_AHEAD_MS);
    assert_int_equal(machine_log_time_ms(driver->machine, 5 * DAY_MS), 1000 + LOG_TIME_AHEAD_MS);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_repetition_is_answered_the_same_and_does_nothing),
        TEST(test_a_refusal_is_final_for_its_key),
        TEST(test_a_key_is_for_one_content),
        TEST(test_the_stamp_is_no_content),
        TEST(test_an_old_stamp_is_refused),
        TEST(test_a_known_key_is_answered_whatever_its_stamp),
        TEST(test_a_stamp_far_ahead_is_refused),
        TEST(test_a_key_is_remembered_for_48_hours_after_its_last_use),
        TEST(test_a_key_that_is_tried_again_is_remembered),
        TEST(test_forgetting_is_bounded_in_each_entry),
        TEST(test_records_survive_a_restart),
        TEST(test_answers_do_not_run_ahead_of_the_log),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
