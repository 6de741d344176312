/* The catalog's part of the stream of changes: which items changed since an index, and what they are
 * now.
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

/* A page; its rows are the caller's to release. */
static struct changes_page page_of(struct driver *driver, uint64_t since, size_t limit)
{
    struct changes_page page;
    changes_page_init(&page, since, limit);
    read_changes(driver_state(driver), &page);
    return page;
}

/* The rows since an index are exactly these. */
static void expect_since(struct driver *driver, uint64_t since, const char *expected)
{
    struct changes_page page = page_of(driver, since, CHANGES_COUNT_MAX);
    char *text = json_dumps(page.rows, JSON_COMPACT | JSON_SORT_KEYS);
    assert_string_equal(text, expected);
    assert_false(page.more);
    free(text);
    json_decref(page.rows);
}

#define ITEM(id, stock, version)                                                                   \
    "{\"id\":" id ",\"item\":{\"authors\":\"\",\"currency\":\"USD\",\"id\":" id                    \
    ",\"isbn\":\"\",\"price_cents\":1000,\"stock\":" stock ",\"title\":\"Item " id                 \
    "\",\"topic\":\"\",\"version\":" version ",\"year\":null},\"version\":" version "}"

/* Each item stands there once, by its last change, whatever it was that changed it. */
static void test_an_item_comes_by_its_last_change(void **state)
{
    struct driver *driver = *state;

    add_item(driver, 1, 5);
    add_item(driver, 2, 6);
    expect_since(driver, 0, "[" ITEM("1", "5", "1") "," ITEM("2", "6", "2") "]");
    expect_since(driver, 1, "[" ITEM("2", "6", "2") "]");
    expect_since(driver, 2, "[]");
    expect(reserve(driver, "r", 1, "[{'id':1,'quantity':2}]"), OK);
    expect_since(driver, 0, "[" ITEM("2", "6", "2") "," ITEM("1", "3", "3") "]");
    expect_since(driver, 2, "[" ITEM("1", "3", "3") "]");
}

/* What changed no item passes without a trace: a tick, a refusal, a repetition. */
static void test_what_changes_no_item_leaves_no_trace(void **state)
{
    struct driver *driver = *state;

    add_item(driver, 1, 5);
    expect(reserve(driver, "r", 1, "[{'id':1,'quantity':2}]"), OK);
    expect(reserve(driver, "r", 1, "[{'id':1,'quantity':2}]"), OK);
    expect(reserve(driver, "s", 1, "[{'id':1,'quantity':9}]"), ERR_OUT_OF_STOCK);
    tick(driver, 50);
    expect_since(driver, 2, "[]");
}

/* An item that was removed is told as such, also when something of it comes back later; one that is
 * added again is an item like any other. */
static void test_what_was_removed_is_told(void **state)
{
    struct driver *driver = *state;

    add_item(driver, 1, 5);
    expect(reserve(driver, "r", 1, "[{'id':1,'quantity':2}]"), OK);
    expect(driver_write(driver, "{'op':'item_remove','key':'x','stamp':0,'id':1}"), OK);
    expect_since(driver, 2, "[{\"id\":1,\"removed\":true,\"version\":3}]");
    expect(undo(driver, "r", 1, "[{'id':1,'quantity':2}]"), OK);
    expect_since(driver, 3, "[{\"id\":1,\"removed\":true,\"version\":4}]");
    add_item(driver, 1, 7);
    expect_since(driver, 4, "[" ITEM("1", "7", "5") "]");
}

/* All items of one entry have its index, come by their ids, and are never on two pages. */
static void test_the_items_of_one_entry_stay_together(void **state)
{
    struct driver *driver = *state;

    add_item(driver, 9, 1);
    expect(driver_write(driver, "{'op':'import','key':'i','stamp':0,'rows':[{'id':3,'title':'T'},"
                                "{'id':1,'title':'T'},{'id':2,'title':'T'}],"
                                "'default_price_cents':1}"),
           OK);
    add_item(driver, 8, 1);
    struct changes_page page = page_of(driver, 0, 2);
    assert_int_equal(json_array_size(page.rows), 4);
    assert_true(page.more);
    assert_int_equal(changes_page_index(&page, driver->index), 2);
    for (size_t i = 1; i < 4; i++)
        assert_int_equal(json_integer_value(json_object_get(json_array_get(page.rows, i), "id")),
                         i);
    json_decref(page.rows);
    page = page_of(driver, 2, 2);
    assert_int_equal(json_array_size(page.rows), 1);
    assert_int_equal(changes_page_index(&page, driver->index), 3);
    json_decref(page.rows);
}

/* Page after page, everything is told once, and it stays so over a restart. */
static void test_pages_tell_everything_once(void **state)
{
    struct driver *driver = *state;
    bool told[1001] = {false};
    uint64_t since = 0;
    bool more = true;

    for (int i = 1; i <= 1000; i++)
        add_item(driver, i, 1);
    driver_restart(driver);
    while (more) {
        struct changes_page page = page_of(driver, since, CHANGES_COUNT_MAX);
        json_t *row;
        size_t i;
        json_array_foreach(page.rows, i, row)
        {
            json_int_t id = json_integer_value(json_object_get(row, "id"));
            assert_false(told[id]);
            told[id] = true;
        }
        more = page.more;
        since = changes_page_index(&page, driver->index);
        json_decref(page.rows);
    }
    assert_int_equal(since, driver->index);
    for (int i = 1; i <= 1000; i++)
        assert_true(told[i]);
}

/* An import of the longest texts is one page that fits a body: what is too much of it is named. */
static void test_the_largest_entry_fits_a_body(void **state)
{
    struct driver *driver = *state;
    char authors[AUTHORS_BYTES_MAX + 1];
    struct bytes_writer rows = {0};

    memset(authors, '\\', AUTHORS_BYTES_MAX); /* takes two bytes, in JSON */
    authors[AUTHORS_BYTES_MAX] = '\0';
    for (int i = 1; i <= IMPORT_ROWS_MAX; i++) {
        char row[64];
        int size = snprintf(row, sizeof row, "%s{'id':%d,'title':'U'}", i > 1 ? "," : "", i);
        bytes_put_raw(&rows, row, (size_t)size);
        struct command add = {.op = COMMAND_ITEM_ADD, .key = {row, (size_t)size}};
        add.item = (struct command_item){.id = i,
                                         .fields = COMMAND_FIELDS_ADD,
                                         .title = TEXT("T"),
                                         .authors = {authors, AUTHORS_BYTES_MAX},
                                         .topic = TEXT(""),
                                         .isbn = TEXT(""),
                                         .currency = TEXT("USD")};
        expect(driver_apply(driver, &add), OK);
    }
    bytes_put_u8(&rows, 0);
    expect(driver_write(driver,
                        "{'op':'import','key':'i','stamp':0,'rows':[%s],"
                        "'default_price_cents':1}",
                        (const char *)rows.data),
           OK);
    struct changes_page page = page_of(driver, 0, CHANGES_COUNT_MAX);
    assert_int_equal(json_array_size(page.rows), IMPORT_ROWS_MAX);
    const json_t *last = json_array_get(page.rows, IMPORT_ROWS_MAX - 1);
    assert_true(json_is_null(json_object_get(last, "item")));
    assert_int_equal(json_integer_value(json_object_get(last, "id")), IMPORT_ROWS_MAX);
    assert_true(json_dumpb(page.rows, NULL, 0, JSON_COMPACT) < BODY_BYTES_MAX - 1024);
    json_decref(page.rows);
    bytes_writer_close(&rows);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_an_item_comes_by_its_last_change),
        TEST(test_what_changes_no_item_leaves_no_trace),
        TEST(test_what_was_removed_is_told),
        TEST(test_the_items_of_one_entry_stay_together),
        TEST(test_pages_tell_everything_once),
        TEST(test_the_largest_entry_fits_a_body),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
