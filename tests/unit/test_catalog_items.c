/* Items: add, edit, remove, stock, movements.
 *
 * SPDX-License-Identifier: Apache-2.0 */
/* link: catalog */
#include "tests/unit/catalog_driver.h"

static int set_up(void **state)
{
    *state = driver_new();
    return 0;
}

static int tear_down(void **state)
{
    driver_destroy(*state);
    return 0;
}

/* What was added is answered in full, and found by its id. */
static void test_an_added_item_is_found(void **state)
{
    struct driver *driver = *state;
    static const char expected[] =
        "{\"item\":{\"authors\":\"Homer\",\"currency\":\"EUR\",\"id\":7,\"isbn\":\"978\","
        "\"price_cents\":1999,\"stock\":12,\"title\":\"The Odyssey\",\"topic\":\"classics\","
        "\"version\":1,\"year\":-800}}";
    char *added = take_text(driver_write(
        driver, "{'op':'item_add','key':'a','stamp':0,'id':7,'title':'The Odyssey','authors':"
                "'Homer','topic':'classics','year':-800,'isbn':'978','price_cents':1999,"
                "'currency':'EUR','stock':12}"));
    char *found = take_text(driver_read(driver, "{'op':'lookup','id':7}"));

    assert_string_equal(added, expected);
    assert_string_equal(found, expected);
    free(added);
    free(found);
}

/* What is left out gets its default. */
static void test_an_item_has_defaults(void **state)
{
    char *text = take_text(driver_write(
        *state, "{'op':'item_add','key':'a','stamp':0,'id':1,'title':'T','price_cents':0}"));
    assert_string_equal(text, "{\"item\":{\"authors\":\"\",\"currency\":\"USD\",\"id\":1,\"isbn\":"
                              "\"\",\"price_cents\":0,\"stock\":0,\"title\":\"T\",\"topic\":\"\","
                              "\"version\":1,\"year\":null}}");
    free(text);
}

/* An id that is in use can't be added. */
static void test_an_id_is_added_once(void **state)
{
    add_item(*state, 1, 5);
    expect_detail(driver_write(*state, "{'op':'item_add','key':'b','stamp':0,'id':1,'title':'U',"
                                       "'price_cents':1}"),
                  ERR_EXISTS, "there is an item 1 already");
}

/* An edit changes what it names, keeps the rest, and raises the version to its log index. */
static void test_an_edit_changes_what_it_names(void **state)
{
    struct driver *driver = *state;
    add_item(driver, 1, 5);
    struct outcome *outcome = driver_write(
        driver, "{'op':'item_edit','key':'e','stamp':0,'id':1,'price_cents':7,'year':1999}");
    assert_int_equal(number_at(outcome, "item.price_cents"), 7);
    assert_int_equal(number_at(outcome, "item.year"), 1999);
    assert_int_equal(number_at(outcome, "item.stock"), 5);
    assert_int_equal(number_at(outcome, "item.version"), 2);
    expect(outcome, OK);
    expect_detail(driver_write(driver, "{'op':'item_edit','key':'f','stamp':0,'id':2,"
                                       "'price_cents':7}"),
                  ERR_NOT_FOUND, "there is no item 2");
}

/* A change that names a version happens to that version or not at all. */
static void test_a_version_guards_a_change(void **state)
{
    struct driver *driver = *state;
    add_item(driver, 1, 5);
    expect(driver_write(driver, "{'op':'stock','key':'s','stamp':0,'id':1,'change':1}"), OK);
    struct outcome *outcome = driver_write(
        driver, "{'op':'item_edit','key':'e','stamp':0,'id':1,'version':1,'title':'U'}");
    assert_int_equal(number_at(outcome, "version"), 2);
    expect(outcome, ERR_VERSION_CONFLICT);
    expect(driver_write(driver, "{'op':'item_remove','key':'r','stamp':0,'id':1,'version':1}"),
           ERR_VERSION_CONFLICT);
    expect(driver_write(driver,
                        "{'op':'item_edit','key':'g','stamp':0,'id':1,'version':2,'title':'U'}"),
           OK);
}

/* Stock changes by movements; never below 0, never above STOCK_MAX. */
static void test_stock_stays_in_its_bounds(void **state)
{
    struct driver *driver = *state;
    add_item(driver, 1, 5);
    struct outcome *outcome =
        driver_write(driver, "{'op':'stock','key':'a','stamp':0,'id':1,'change':-6}");
    assert_int_equal(number_at(outcome, "requested"), 6);
    assert_int_equal(number_at(outcome, "available"), 5);
    expect(outcome, ERR_OUT_OF_STOCK);
    assert_int_equal(take_number(driver_write(driver, "{'op':'stock','key':'b','stamp':0,'id':1,"
                                                      "'change':-5}"),
                                 "item.stock"),
                     0);
    expect(driver_write(driver, "{'op':'stock','key':'c','stamp':0,'id':2,'change':1}"),
           ERR_NOT_FOUND);
    add_item(driver, 3, STOCK_MAX);
    expect(driver_write(driver, "{'op':'stock','key':'d','stamp':0,'id':3,'change':1}"), ERR_LIMIT);
}

/* A removed item is gone for readers and buyers, and what was left is a movement. */
static void test_a_removed_item_is_gone_but_accounted_for(void **state)
{
    struct driver *driver = *state;
    add_item(driver, 1, 5);
    expect(driver_write(driver, "{'op':'item_remove','key':'r','stamp':0,'id':1}"), OK);
    assert_int_equal(stock_of(driver, 1), -1);
    expect(driver_write(driver, "{'op':'item_remove','key':'s','stamp':0,'id':1}"), ERR_NOT_FOUND);
    expect(reserve(driver, "buy", 0, "[{'id':1,'quantity':1}]"), ERR_NOT_FOUND);

    struct outcome *outcome = driver_read(driver, "{'op':'movements','id':1}");
    assert_int_equal(number_at(outcome, "initial"), 5);
    assert_int_equal(number_at(outcome, "moved"), -5);
    assert_int_equal(number_at(outcome, "stock"), 0);
    assert_int_equal(number_at(outcome, "movements.0.change"), -5);
    assert_int_equal(number_at(outcome, "movements.0.log_index"), 2);
    outcome_destroy(&outcome);
}

/* Added again, an id goes on with its history. */
static void test_an_id_added_again_goes_on_with_its_history(void **state)
{
    struct driver *driver = *state;
    add_item(driver, 1, 5);
    expect(reserve(driver, "buy", 0, "[{'id':1,'quantity':2}]"), OK);
    expect(driver_write(driver, "{'op':'item_remove','key':'r','stamp':0,'id':1}"), OK);
    add_item(driver, 1, 8);
    assert_int_equal(stock_of(driver, 1), 8);

    struct outcome *outcome = driver_read(driver, "{'op':'movements','id':1}");
    assert_int_equal(number_at(outcome, "initial"), 5);
    assert_int_equal(number_at(outcome, "moved"), 5); /* -3 and +8 */
    assert_int_equal(number_at(outcome, "sold"), 2);
    assert_int_equal(number_at(outcome, "stock"), 8);
    assert_int_equal(json_array_size(json_object_get(outcome->body, "movements")), 2);
    outcome_destroy(&outcome);
}

/* Movements come in pages, oldest first, with their reason and time. */
static void test_movements_come_in_pages(void **state)
{
    struct driver *driver = *state;
    int64_t sum = 0;
    const char *cursor = "";
    char text[64] = "";
    add_item(driver, 1, 0);
    for (int i = 1; i <= 7; i++)
        expect(driver_write(driver,
                            "{'op':'stock','key':'k%d','stamp':0,'id':1,'change':%d,'reason':"
                            "'delivery %d'}",
                            i, i, i),
               OK);
    for (int page = 0; page < 4; page++) {
        struct outcome *outcome =
            driver_read(driver, "{'op':'movements','id':1,'limit':2%s}", cursor);
        json_t *row, *next = json_object_get(outcome->body, "next");
        size_t i;
        json_array_foreach(json_object_get(outcome->body, "movements"), i, row)
        {
            int64_t change = json_integer_value(json_object_get(row, "change"));
            char reason[32];
            (void)snprintf(reason, sizeof reason, "delivery %lld", (long long)change);
            assert_string_equal(json_string_value(json_object_get(row, "reason")), reason);
            assert_string_equal(json_string_value(json_object_get(row, "at")),
                                "2026-01-02T03:04:05.679Z");
            assert_int_equal(change, 2 * page + (int)i + 1);
            sum += change;
        }
        assert_int_equal(json_is_null(next), page == 3);
        (void)snprintf(text, sizeof text, ",'cursor':'%s'", json_string_value(next));
        cursor = text;
        outcome_destroy(&outcome);
    }
    assert_int_equal(sum, 28);
    expect(driver_read(driver, "{'op':'movements','id':2}"), ERR_NOT_FOUND);
}

/* Only so many topics may be in use, and one that is in use has always room. */
static void test_topics_are_limited(void **state)
{
    struct driver *driver = *state;
    driver->interface.begin(driver->interface.self);
    for (int i = 1; i <= TOPICS_MAX; i++) {
        char topic[32], key[32];
        struct bytes_writer bytes = {0};
        (void)snprintf(topic, sizeof topic, "topic %d", i);
        (void)snprintf(key, sizeof key, "key-%d", i);
        const struct command add = {
            .op = COMMAND_ITEM_ADD,
            .key = text_of(key),
            .item = {.id = i,
                     .fields = COMMAND_FIELDS_ADD,
                     .title = TEXT("T"),
                     .topic = text_of(topic),
                     .currency = TEXT("USD")},
        };
        command_encode(&add, &bytes);
        expect(driver_apply_bytes(driver, ++driver->index, 1, bytes.data, bytes.size), OK);
        bytes_writer_close(&bytes);
    }
    driver->interface.commit(driver->interface.self);
    expect(driver_write(driver, "{'op':'item_edit','key':'e','stamp':0,'id':1,'topic':'new'}"),
           ERR_LIMIT);
    expect(driver_write(driver, "{'op':'item_edit','key':'f','stamp':0,'id':1,'topic':'topic 2'}"),
           OK);
    expect(driver_write(driver, "{'op':'item_edit','key':'g','stamp':0,'id':1,'topic':'new'}"),
           OK); /* "topic 1" is free now */
    struct outcome *outcome = driver_read(driver, "{'op':'topics'}");
    assert_int_equal(json_array_size(json_object_get(outcome->body, "topics")), TOPICS_MAX);
    outcome_destroy(&outcome);
}

/* Only so many items may be present. (The count stands in for a million of them.) */
static void test_items_are_limited(void **state)
{
    struct driver *driver = *state;
    add_item(driver, 1, 1);
    state_totals(driver_state(driver))->items = ITEMS_MAX;
    expect_detail(driver_write(driver, "{'op':'item_add','key':'a','stamp':0,'id':2,'title':'T',"
                                       "'price_cents':1}"),
                  ERR_LIMIT, "the store holds 1000000 items already");
    struct outcome *outcome = driver_write(
        driver,
        "{'op':'import','key':'i','stamp':0,'rows':[{'id':1,'title':'U'},{'id':2,'title':'T'}],"
        "'default_price_cents':1}");
    assert_int_equal(number_at(outcome, "row"), 1);
    expect(outcome, ERR_LIMIT);
    expect(driver_write(driver, "{'op':'item_edit','key':'e','stamp':0,'id':1,'title':'U'}"), OK);
    expect(driver_write(driver, "{'op':'item_remove','key':'r','stamp':0,'id':1}"), OK);
    add_item(driver, 2, 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_an_added_item_is_found),
        TEST(test_an_item_has_defaults),
        TEST(test_an_id_is_added_once),
        TEST(test_an_edit_changes_what_it_names),
        TEST(test_a_version_guards_a_change),
        TEST(test_stock_stays_in_its_bounds),
        TEST(test_a_removed_item_is_gone_but_accounted_for),
        TEST(test_an_id_added_again_goes_on_with_its_history),
        TEST(test_movements_come_in_pages),
        TEST(test_topics_are_limited),
        TEST(test_items_are_limited),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
