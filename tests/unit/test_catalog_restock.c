/* Automatic rules, and what the leader submits by itself.
 *
 * SPDX-License-Identifier: Apache-2.0 */
/* link: catalog */
#include "tests/unit/catalog_driver.h"

#include "services/catalog/upkeep.h"

static int set_up(void **state)
{
    struct driver *driver = driver_new();
    add_item(driver, 1, 5);
    add_item(driver, 2, 5);
    *state = driver;
    return 0;
}

static int tear_down(void **state)
{
    driver_destroy(*state);
    return 0;
}

static void set_rule(struct driver *driver, int id, const char *rule)
{
    expect(driver_write(driver,
                        "{'op':'item_edit','key':'rule-%lld','stamp':0,'id':%d,'restock':%s}",
                        (long long)driver->index, id, rule),
           OK);
}

static void take_stock(struct driver *driver, int id, int quantity)
{
    expect(driver_write(driver, "{'op':'stock','key':'take-%lld','stamp':0,'id':%d,'change':%d}",
                        (long long)driver->index, id, -quantity),
           OK);
}

/* What the leader would submit now is applied. Returns on how many items a rule acted; -1 when
 * there was nothing to submit, -2 for a tick. */
static int64_t upkeep(struct driver *driver)
{
    struct command command;
    int64_t acted = -1;
    if (upkeep_command(driver_state(driver), driver->now_ms, &command)) {
        struct outcome *outcome = driver_apply(driver, &command);
        acted = command.op == COMMAND_TICK ? -2 : number_at(outcome, "restocked");
        outcome_destroy(&outcome);
    }
    command_close(&command);
    return acted;
}

/* A rule acts when the stock is at its threshold, by a movement with its reason. */
static void test_a_rule_acts_at_its_threshold(void **state)
{
    struct driver *driver = *state;
    set_rule(driver, 1, "{'threshold':3,'amount':100,'period_ms':0}");
    assert_int_equal(upkeep(driver), -1);
    take_stock(driver, 1, 1);
    assert_int_equal(upkeep(driver), -1);
    take_stock(driver, 1, 1);
    assert_int_equal(upkeep(driver), 1);
    assert_int_equal(stock_of(driver, 1), 103);
    assert_int_equal(upkeep(driver), -1);

    struct outcome *outcome = driver_read(driver, "{'op':'movements','id':1}");
    assert_int_equal(number_at(outcome, "movements.2.change"), 100);
    json_t *movement = json_array_get(json_object_get(outcome->body, "movements"), 2);
    assert_string_equal(json_string_value(json_object_get(movement, "reason")),
                        "automatic restock");
    assert_int_equal(number_at(outcome, "restock.threshold"), 3);
    outcome_destroy(&outcome);
}

/* It acts once in its period at most, by log time. */
static void test_a_rule_waits_for_its_period(void **state)
{
    struct driver *driver = *state;
    set_rule(driver, 1, "{'threshold':5,'amount':1,'period_ms':10000}");
    driver->now_ms = 1000;
    assert_int_equal(upkeep(driver), 1);
    take_stock(driver, 1, 3);
    driver->now_ms = 10999;
    assert_int_equal(upkeep(driver), -1);
    driver->now_ms = 11000;
    assert_int_equal(upkeep(driver), 1);
    assert_int_equal(stock_of(driver, 1), 4);
}

/* What the log did since the leader looked counts: the apply looks again. */
static void test_a_rule_that_is_due_no_more_does_not_act(void **state)
{
    struct driver *driver = *state;
    int64_t ids[] = {1, 2, 3};
    const struct command restock = {.op = COMMAND_RESTOCK, .count = 3, .ids = ids};
    set_rule(driver, 1, "{'threshold':4,'amount':1,'period_ms':10000}");
    take_stock(driver, 1, 5);
    assert_int_equal(take_number(driver_apply(driver, &restock), "restocked"), 1);
    assert_int_equal(take_number(driver_apply(driver, &restock), "restocked"), 0); /* period */
    assert_int_equal(stock_of(driver, 1), 1);
    set_rule(driver, 2, "{'threshold':4,'amount':1,'period_ms':0}");
    assert_int_equal(take_number(driver_apply(driver, &restock), "restocked"), 0); /* stock */
    assert_int_equal(stock_of(driver, 2), 5);
}

/* A rule ends with null, with its item, and is set anew at once. */
static void test_a_rule_ends(void **state)
{
    struct driver *driver = *state;
    set_rule(driver, 1, "{'threshold':5,'amount':1,'period_ms':0}");
    set_rule(driver, 1, "null");
    assert_int_equal(upkeep(driver), -1);
    set_rule(driver, 2, "{'threshold':5,'amount':1,'period_ms':0}");
    expect(driver_write(driver, "{'op':'item_remove','key':'r','stamp':0,'id':2}"), OK);
    assert_int_equal(upkeep(driver), -1);
    add_item(driver, 2, 0);
    assert_int_equal(upkeep(driver), -1);
}

/* An entry holds a bounded number of items; the others' turn comes next. */
static void test_many_rules_act_in_turns(void **state)
{
    struct driver *driver = *state;
    for (int id = 100; id < 250; id++) {
        add_item(driver, id, 0);
        set_rule(driver, id, "{'threshold':0,'amount':7,'period_ms':1000}");
    }
    assert_int_equal(upkeep(driver), 100);
    assert_int_equal(upkeep(driver), 50);
    assert_int_equal(upkeep(driver), -1);
    for (int id = 100; id < 250; id++)
        assert_int_equal(stock_of(driver, id), 7);
}

/* After five minutes without an entry the leader makes one, so that the log's time is not lost
 * with it. */
static void test_a_silent_log_gets_a_tick(void **state)
{
    struct driver *driver = *state;
    tick(driver, 1000);
    driver->now_ms = 1000 + LOG_TIME_IDLE_MS - 1;
    assert_int_equal(upkeep(driver), -1);
    driver->now_ms = 1000 + LOG_TIME_IDLE_MS;
    assert_int_equal(upkeep(driver), -2);
    assert_int_equal(state_now_ms(driver_state(driver)), 1000 + LOG_TIME_IDLE_MS);
    assert_int_equal(upkeep(driver), -1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_rule_acts_at_its_threshold),
        TEST(test_a_rule_waits_for_its_period),
        TEST(test_a_rule_that_is_due_no_more_does_not_act),
        TEST(test_a_rule_ends),
        TEST(test_many_rules_act_in_turns),
        TEST(test_a_silent_log_gets_a_tick),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
