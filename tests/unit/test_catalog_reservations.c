/* The catalog's part of the buy: reserve, settle, undo, close.
 *
 * SPDX-License-Identifier: Apache-2.0 */
/* link: catalog */
#include "tests/unit/catalog_driver.h"

#define TWO_OF_1 "[{'id':1,'quantity':2}]"

static int set_up(void **state)
{
    struct driver *driver = driver_new();
    add_item(driver, 1, 10);
    add_item(driver, 2, 3);
    *state = driver;
    return 0;
}

static int tear_down(void **state)
{
    driver_destroy(*state);
    return 0;
}

static int64_t settle(struct driver *driver, const char *key)
{
    return take_number(driver_write(driver, "{'op':'settle','keys':['%s']}", key), "settled");
}

static int64_t closed(struct driver *driver, const char *key)
{
    return take_number(driver_write(driver, "{'op':'close','keys':['%s']}", key), "closed");
}

static int64_t sold_of(struct driver *driver, int64_t id)
{
    return take_number(driver_read(driver, "{'op':'movements','id':%lld}", (long long)id), "sold");
}

static int64_t record_count(struct driver *driver)
{
    return state_totals(driver_state(driver))->records;
}

/* A grant takes the stock of all its lines, sums of one item together, and says what it sold. */
static void test_a_grant_takes_all_lines(void **state)
{
    struct driver *driver = *state;
    char *text = take_text(reserve(
        driver, "k", 0, "[{'id':2,'quantity':3},{'id':1,'quantity':1},{'id':1,'quantity':3}]"));
    assert_string_equal(
        text,
        "{\"currency\":\"USD\",\"granted\":true,\"lines\":[{\"id\":1,\"price_cents\":1000,"
        "\"quantity\":4,\"stock_left\":6,\"title\":\"Item 1\",\"version\":3},{\"id\":2,"
        "\"price_cents\":1000,\"quantity\":3,\"stock_left\":0,\"title\":\"Item 2\",\"version\":"
        "3}],\"total_cents\":7000}");
    assert_int_equal(stock_of(driver, 1), 6);
    assert_int_equal(stock_of(driver, 2), 0);
    assert_int_equal(sold_of(driver, 1), 4);
    free(text);
}

/* If one line can't be had, none is taken. Two lines of an item that fit one by one but not
 * together can't. */
static void test_a_denial_takes_nothing(void **state)
{
    struct driver *driver = *state;
    struct outcome *outcome = reserve(
        driver, "k", 0, "[{'id':1,'quantity':1},{'id':2,'quantity':2},{'id':2,'quantity':2}]");
    assert_int_equal(number_at(outcome, "id"), 2);
    assert_int_equal(number_at(outcome, "requested"), 4);
    assert_int_equal(number_at(outcome, "available"), 3);
    expect(outcome, ERR_OUT_OF_STOCK);
    outcome = reserve(driver, "l", 0, "[{'id':1,'quantity':1},{'id':5,'quantity':2}]");
    assert_int_equal(number_at(outcome, "id"), 5);
    expect(outcome, ERR_NOT_FOUND);
    assert_int_equal(stock_of(driver, 1), 10);
    assert_int_equal(stock_of(driver, 2), 3);
}

/* A denial is final: a late duplicate is denied in the same words, also after a restock. */
static void test_a_late_duplicate_of_a_denial_is_denied_after_a_restock(void **state)
{
    struct driver *driver = *state;
    char *first = take_text(reserve(driver, "k", 0, "[{'id':2,'quantity':4}]"));
    expect(driver_write(driver, "{'op':'stock','key':'s','stamp':0,'id':2,'change':50}"), OK);
    struct outcome *again = reserve(driver, "k", 0, "[{'id':2,'quantity':4}]");
    assert_int_equal(again->code, ERR_OUT_OF_STOCK);
    assert_true(again->replayed);
    char *second = take_text(again);
    assert_string_equal(first, second);
    assert_int_equal(stock_of(driver, 2), 53);
    free(first);
    free(second);
}

/* A repeated reserve is answered with the first grant: the stock and price of then. */
static void test_a_repeated_reserve_is_answered_with_the_first_grant(void **state)
{
    struct driver *driver = *state;
    char *first = take_text(reserve(driver, "k", 0, TWO_OF_1));
    expect(driver_write(driver, "{'op':'item_edit','key':'e','stamp':0,'id':1,'price_cents':1}"),
           OK);
    assert_int_equal(settle(driver, "k"), 1);
    struct outcome *again =
        reserve(driver, "k", 0, "[{'id':1,'quantity':1},{'id':1,'quantity':1}]");
    assert_true(again->replayed);
    char *second = take_text(again);
    assert_string_equal(first, second);
    assert_int_equal(stock_of(driver, 1), 8);
    free(first);
    free(second);
}

/* One order has one currency. */
static void test_items_of_two_currencies_cant_be_had_together(void **state)
{
    struct driver *driver = *state;
    expect(driver_write(driver, "{'op':'item_add','key':'a','stamp':0,'id':3,'title':'T',"
                                "'price_cents':1,'currency':'EUR','stock':1}"),
           OK);
    expect_detail(reserve(driver, "k", 0, "[{'id':1,'quantity':1},{'id':3,'quantity':1}]"),
                  ERR_INVALID, "item 1 is sold in USD, item 3 in EUR");
    assert_int_equal(stock_of(driver, 1), 10);
}

/* A total that JSON can't carry exactly is refused. */
static void test_a_total_is_bounded(void **state)
{
    struct driver *driver = *state;
    char lines[1024] = "[";
    for (int i = 10; i < 20; i++) {
        char line[64];
        expect(driver_write(driver,
                            "{'op':'item_add','key':'a%d','stamp':0,'id':%d,'title':'T',"
                            "'price_cents':%d,'stock':1000000}",
                            i, i, PRICE_CENTS_MAX),
               OK);
        (void)snprintf(line, sizeof line, "%s{'id':%d,'quantity':1000000}", i > 10 ? "," : "", i);
        strcat(lines, line);
    }
    strcat(lines, "]");
    expect(reserve(driver, "k", 0, lines), ERR_LIMIT);
    assert_int_equal(stock_of(driver, 10), 1000000);
}

/* An undo gives the stock back once, and the record answers the buy as before. */
static void test_an_undo_gives_back_once(void **state)
{
    struct driver *driver = *state;
    expect(reserve(driver, "k", 0, TWO_OF_1), OK);
    assert_int_equal(settle(driver, "k"), 1);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(take_number(undo(driver, "k", 0, TWO_OF_1), "released"), 1);
        assert_int_equal(stock_of(driver, 1), 10);
        assert_int_equal(sold_of(driver, 1), 0);
    }
    assert_int_equal(closed(driver, "k"), 1);
    expect(undo(driver, "k", 0, TWO_OF_1), OK);
    assert_int_equal(stock_of(driver, 1), 10);
    struct outcome *again = reserve(driver, "k", 0, TWO_OF_1);
    assert_true(again->replayed);
    assert_int_equal(take_number(again, "granted"), 1);
    assert_int_equal(stock_of(driver, 1), 10);
}

/* An undo must name what was granted. */
static void test_an_undo_of_other_lines_is_refused(void **state)
{
    struct driver *driver = *state;
    expect(reserve(driver, "k", 0, TWO_OF_1), OK);
    expect(undo(driver, "k", 0, "[{'id':1,'quantity':1}]"), ERR_KEY_REUSED);
    expect(undo(driver, "k", 0, "[{'id':2,'quantity':2}]"), ERR_KEY_REUSED);
    assert_int_equal(stock_of(driver, 1), 8);
}

/* What was denied can't be undone. */
static void test_a_denial_cant_be_undone(void **state)
{
    struct driver *driver = *state;
    expect(reserve(driver, "k", 0, "[{'id':2,'quantity':4}]"), ERR_OUT_OF_STOCK);
    expect(undo(driver, "k", 0, "[{'id':2,'quantity':4}]"), ERR_STATE);
    assert_int_equal(stock_of(driver, 2), 3);
}

/* A late settle of what was released changes nothing, nor does a close of what was not. */
static void test_a_late_settle_or_early_close_does_nothing(void **state)
{
    struct driver *driver = *state;
    expect(reserve(driver, "k", 0, TWO_OF_1), OK);
    assert_int_equal(closed(driver, "k"), 0);
    expect(undo(driver, "k", 0, TWO_OF_1), OK);
    assert_int_equal(settle(driver, "k"), 0);
    assert_int_equal(settle(driver, "unknown"), 0);
    assert_int_equal(closed(driver, "k"), 1);
    assert_int_equal(closed(driver, "k"), 1);
    assert_int_equal(settle(driver, "k"), 0);
    assert_int_equal(stock_of(driver, 1), 10);
}

/* A write's key is no reservation. */
static void test_a_writes_key_cant_be_settled(void **state)
{
    struct driver *driver = *state;
    expect(driver_write(driver, "{'op':'stock','key':'s','stamp':0,'id':2,'change':50}"), OK);
    assert_int_equal(settle(driver, "s"), 0);
    assert_int_equal(closed(driver, "s"), 0);
}

/* Grants not settled and releases not closed are never forgotten; settled and closed ones are. */
static void test_what_waits_is_never_forgotten(void **state)
{
    struct driver *driver = *state;
    tick(driver, 3 * DAY_MS);
    assert_int_equal(record_count(driver), 0);
    expect(reserve(driver, "granted", 3 * DAY_MS, TWO_OF_1), OK);
    expect(reserve(driver, "settled", 3 * DAY_MS, TWO_OF_1), OK);
    expect(reserve(driver, "released", 3 * DAY_MS, TWO_OF_1), OK);
    expect(reserve(driver, "denied", 3 * DAY_MS, "[{'id':2,'quantity':9}]"), ERR_OUT_OF_STOCK);
    assert_int_equal(settle(driver, "settled"), 1);
    expect(undo(driver, "released", 3 * DAY_MS, TWO_OF_1), OK);
    tick(driver, 30 * DAY_MS);
    assert_int_equal(record_count(driver), 2);
    struct outcome *again = reserve(driver, "granted", 3 * DAY_MS, TWO_OF_1);
    assert_true(again->replayed);
    expect(again, OK);
    expect(reserve(driver, "settled", 3 * DAY_MS, TWO_OF_1), ERR_STAMP_OLD);
    expect(reserve(driver, "denied", 3 * DAY_MS, "[{'id':2,'quantity':9}]"), ERR_STAMP_OLD);

    assert_int_equal(settle(driver, "granted"), 1);
    assert_int_equal(closed(driver, "released"), 1);
    tick(driver, 32 * DAY_MS);
    assert_int_equal(record_count(driver), 2);
    tick(driver, 32 * DAY_MS + 1);
    assert_int_equal(record_count(driver), 0);
}

/* An order may be cancelled long after its grant was forgotten: the stock is given back, once. */
static void test_an_undo_of_a_forgotten_grant_gives_back_once(void **state)
{
    struct driver *driver = *state;
    expect(reserve(driver, "k", 0, TWO_OF_1), OK);
    assert_int_equal(settle(driver, "k"), 1);
    tick(driver, 30 * DAY_MS);
    assert_int_equal(record_count(driver), 0);

    expect(undo(driver, "k", 30 * DAY_MS, TWO_OF_1), OK);
    expect(undo(driver, "k", 30 * DAY_MS, TWO_OF_1), OK);
    assert_int_equal(stock_of(driver, 1), 10);
    expect(undo(driver, "k", 30 * DAY_MS, "[{'id':1,'quantity':1}]"), ERR_KEY_REUSED);
    /* A copy of the buy that comes now is told what it would have been told without the undo. */
    expect(reserve(driver, "k", 0, TWO_OF_1), ERR_STAMP_OLD);
    assert_int_equal(stock_of(driver, 1), 10);

    /* Closed and forgotten again, a late copy of the undo is refused by its stamp. */
    assert_int_equal(closed(driver, "k"), 1);
    tick(driver, 33 * DAY_MS);
    expect(undo(driver, "k", 30 * DAY_MS, TWO_OF_1), ERR_STAMP_OLD);
    assert_int_equal(stock_of(driver, 1), 10);
}

/* An undo that no sale can account for is refused, and is so for good. */
static void test_an_undo_of_what_was_never_sold_is_refused(void **state)
{
    struct driver *driver = *state;
    expect(undo(driver, "k", 0, TWO_OF_1), ERR_STATE);
    expect(undo(driver, "l", 0, "[{'id':77,'quantity':1}]"), ERR_STATE);
    expect(reserve(driver, "sale", 0, "[{'id':1,'quantity':5}]"), OK);
    expect(undo(driver, "k", 0, TWO_OF_1), ERR_STATE);
    struct outcome *again = reserve(driver, "k", 0, TWO_OF_1);
    assert_true(again->replayed);
    expect(again, ERR_STATE);
    assert_int_equal(stock_of(driver, 1), 5);
}

/* Somebody with the secret gave back, by a made-up key, what another key holds: the law of
 * conservation stands above the grant's own undo, which is refused and not the end of the process. */
static void test_what_was_given_back_already_is_not_given_back_again(void **state)
{
    struct driver *driver = *state;
    expect(reserve(driver, "k", 0, TWO_OF_1), OK);
    expect(undo(driver, "made-up", 0, TWO_OF_1), OK);
    assert_int_equal(stock_of(driver, 1), 10);
    expect(undo(driver, "k", 0, TWO_OF_1), ERR_STATE);
    expect(undo(driver, "k", 0, TWO_OF_1), ERR_STATE);
    assert_int_equal(stock_of(driver, 1), 10);
}

/* An item may go while it is in an order; what comes back to it leaves with it. */
static void test_a_removed_item_takes_back_what_it_sold(void **state)
{
    struct driver *driver = *state;
    expect(reserve(driver, "k", 0, TWO_OF_1), OK);
    expect(driver_write(driver, "{'op':'item_remove','key':'r','stamp':0,'id':1}"), OK);
    expect(undo(driver, "k", 0, TWO_OF_1), OK);
    struct outcome *outcome = driver_read(driver, "{'op':'movements','id':1}");
    assert_int_equal(number_at(outcome, "sold"), 0);
    assert_int_equal(number_at(outcome, "moved"), -10);
    assert_int_equal(number_at(outcome, "stock"), 0);
    assert_int_equal(number_at(outcome, "movements.1.change"), -2);
    outcome_destroy(&outcome);
}

/* What waits is listed, the oldest first, once it is old enough. */
static void test_unsettled_lists_what_waits(void **state)
{
    struct driver *driver = *state;
    tick(driver, 1000);
    expect(reserve(driver, "first", 900, "[{'id':2,'quantity':1},{'id':1,'quantity':2}]"), OK);
    tick(driver, 2000);
    expect(reserve(driver, "second", 0, TWO_OF_1), OK);
    expect(reserve(driver, "third", 0, TWO_OF_1), OK);
    expect(undo(driver, "third", 0, TWO_OF_1), OK);
    expect(reserve(driver, "settled", 0, TWO_OF_1), OK);
    assert_int_equal(settle(driver, "settled"), 1);
    driver->now_ms = 2500;

    char *text = take_text(driver_read(driver, "{'op':'unsettled','older_ms':1000}"));
    assert_string_equal(
        text,
        "{\"grants\":[{\"content\":\"1*2,2*1\",\"currency\":\"USD\",\"key\":\"first\","
        "\"lines\":[{\"id\":1,\"price_cents\":1000,\"quantity\":2,\"stock_left\":8,\"title\":"
        "\"Item 1\",\"version\":4},{\"id\":2,\"price_cents\":1000,\"quantity\":1,\"stock_left\":"
        "2,\"title\":\"Item 2\",\"version\":4}],\"stamp\":900}],\"releases\":[]}");
    free(text);

    struct outcome *outcome = driver_read(driver, "{'op':'unsettled','older_ms':0}");
    assert_int_equal(json_array_size(json_object_get(outcome->body, "grants")), 2);
    json_t *releases = json_object_get(outcome->body, "releases");
    assert_int_equal(json_array_size(releases), 1);
    assert_string_equal(json_string_value(json_array_get(releases, 0)), "third");
    outcome_destroy(&outcome);
    outcome = driver_read(driver, "{'op':'unsettled','limit':1}");
    assert_int_equal(json_array_size(json_object_get(outcome->body, "grants")), 1);
    outcome_destroy(&outcome);
}

/* What waits with the longest titles is told in parts that the bus can carry. */
static void test_unsettled_is_bounded_by_bytes(void **state)
{
    struct driver *driver = *state;
    char title[TITLE_BYTES_MAX + 1], lines[ORDER_LINES_MAX * 32] = "[";
    memset(title, 't', TITLE_BYTES_MAX);
    title[TITLE_BYTES_MAX] = '\0';
    for (int i = 0; i < ORDER_LINES_MAX; i++) {
        char line[32];
        expect(driver_write(driver,
                            "{'op':'item_add','key':'t%d','stamp':0,'id':%d,'title':'%s',"
                            "'price_cents':1,'stock':1000}",
                            i, 100 + i, title),
               OK);
        (void)snprintf(line, sizeof line, "%s{'id':%d,'quantity':1}", i > 0 ? "," : "", 100 + i);
        strcat(lines, line);
    }
    strcat(lines, "]");
    for (int i = 0; i < 10; i++) {
        char key[16];
        (void)snprintf(key, sizeof key, "buy-%d", i);
        expect(reserve(driver, key, 0, lines), OK);
    }
    struct outcome *outcome = driver_read(driver, "{'op':'unsettled','limit':500}");
    size_t grants = json_array_size(json_object_get(outcome->body, "grants"));
    char *text = take_text(outcome);
    assert_in_range(grants, 2, 9);
    assert_true(strlen(text) < BODY_BYTES_MAX * 3 / 4);
    free(text);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_grant_takes_all_lines),
        TEST(test_a_denial_takes_nothing),
        TEST(test_a_late_duplicate_of_a_denial_is_denied_after_a_restock),
        TEST(test_a_repeated_reserve_is_answered_with_the_first_grant),
        TEST(test_items_of_two_currencies_cant_be_had_together),
        TEST(test_a_total_is_bounded),
        TEST(test_an_undo_gives_back_once),
        TEST(test_an_undo_of_other_lines_is_refused),
        TEST(test_a_denial_cant_be_undone),
        TEST(test_a_late_settle_or_early_close_does_nothing),
        TEST(test_a_writes_key_cant_be_settled),
        TEST(test_what_waits_is_never_forgotten),
        TEST(test_an_undo_of_a_forgotten_grant_gives_back_once),
        TEST(test_an_undo_of_what_was_never_sold_is_refused),
        TEST(test_what_was_given_back_already_is_not_given_back_again),
        TEST(test_a_removed_item_takes_back_what_it_sold),
        TEST(test_unsettled_lists_what_waits),
        TEST(test_unsettled_is_bounded_by_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
