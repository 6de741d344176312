/* Imports, and how long they take.
 *
 * SPDX-License-Identifier: Apache-2.0 */
/* link: catalog */
#include "tests/unit/catalog_driver.h"

#include "broker/bus/clock.h"

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

static struct outcome *import(struct driver *driver, const char *key, const char *members)
{
    return driver_write(driver, "{'op':'import','key':'%s','stamp':0,%s}", key, members);
}

static void expect_counts(struct outcome *outcome, int added, int changed, int unchanged)
{
    assert_int_equal(number_at(outcome, "added"), added);
    assert_int_equal(number_at(outcome, "changed"), changed);
    assert_int_equal(number_at(outcome, "unchanged"), unchanged);
    expect(outcome, OK);
}

/* New ids get the row's price and stock, else the defaults. */
static void test_new_ids_get_the_defaults(void **state)
{
    struct driver *driver = *state;
    expect_counts(import(driver, "i",
                         "'rows':[{'id':1,'title':'A'},{'id':2,'title':'B','price_cents':5,"
                         "'stock':0,'currency':'EUR'}],'default_price_cents':1999,"
                         "'default_stock':100"),
                  2, 0, 0);
    struct outcome *one = driver_read(driver, "{'op':'lookup','id':1}");
    assert_int_equal(number_at(one, "item.price_cents"), 1999);
    assert_int_equal(number_at(one, "item.stock"), 100);
    outcome_destroy(&one);
    struct outcome *two = driver_read(driver, "{'op':'lookup','id':2}");
    assert_int_equal(number_at(two, "item.price_cents"), 5);
    assert_int_equal(number_at(two, "item.stock"), 0);
    outcome_destroy(&two);
}

/* Of what exists only what the row names is changed; what changes nothing keeps its version. */
static void test_existing_ids_change_only_in_what_is_named(void **state)
{
    struct driver *driver = *state;
    expect(import(driver, "i",
                  "'rows':[{'id':1,'title':'A','authors':'X','stock':3},{'id':2,'title':'B'},"
                  "{'id':3,'title':'C','stock':9}],'default_price_cents':5,'default_stock':7"),
           OK);
    expect(reserve(driver, "k", 0, "[{'id':1,'quantity':1}]"), OK);
    expect_counts(import(driver, "j",
                         "'rows':[{'id':1,'title':'A2'},{'id':2,'title':'B'},{'id':3,'title':'C',"
                         "'stock':4},{'id':4,'title':'D'}],'default_price_cents':6,"
                         "'default_stock':8"),
                  1, 2, 1);
    char *text = take_text(driver_read(driver, "{'op':'lookup','id':1}"));
    assert_string_equal(text, "{\"item\":{\"authors\":\"X\",\"currency\":\"USD\",\"id\":1,\"isbn\":"
                              "\"\",\"price_cents\":5,\"stock\":2,\"title\":\"A2\",\"topic\":\"\","
                              "\"version\":3,\"year\":null}}");
    free(text);
    assert_int_equal(take_number(driver_read(driver, "{'op':'lookup','id':2}"), "item.version"), 1);
    struct outcome *three = driver_read(driver, "{'op':'movements','id':3}");
    assert_int_equal(number_at(three, "stock"), 4);
    assert_int_equal(number_at(three, "moved"), -5);
    assert_int_equal(number_at(three, "movements.0.change"), -5);
    outcome_destroy(&three);
}

/* The same import again, under another key, changes nothing; under the same, it is replayed. */
static void test_an_import_is_idempotent(void **state)
{
    struct driver *driver = *state;
    static const char rows[] = "'rows':[{'id':1,'title':'A','topic':'t'},{'id':2,'title':'B'}],"
                               "'default_price_cents':5,'default_stock':7";
    expect_counts(import(driver, "i", rows), 2, 0, 0);
    char *before = driver_dump(driver);
    struct outcome *again = import(driver, "i", rows);
    assert_true(again->replayed);
    expect_counts(again, 2, 0, 0);
    char *after = driver_dump(driver);
    assert_string_equal(strstr(before, "\n"), strstr(after, "\n"));
    expect_counts(import(driver, "j", rows), 0, 0, 2);
    free(before);
    free(after);
}

/* One row that can't be refuses them all, by its index, and nothing of the others is left. */
static void test_an_import_is_all_or_nothing(void **state)
{
    struct driver *driver = *state;
    add_item(driver, 1, 5);
    char *before = driver_dump(driver);
    struct state_totals totals = *state_totals(driver_state(driver));
    struct outcome *outcome =
        import(driver, "i",
               "'rows':[{'id':1,'title':'New title','topic':'t','stock':9},{'id':2,"
               "'title':'B','topic':'u','price_cents':1},{'id':3,'title':'C'}]");
    assert_int_equal(number_at(outcome, "row"), 2);
    expect_detail(outcome, ERR_INVALID,
                  "rows[2]: price_cents is missing, and there is no default_price_cents");
    char *after = driver_dump(driver);
    totals.records++; /* the refusal is recorded */
    assert_memory_equal(state_totals(driver_state(driver)), &totals, sizeof totals);
    /* Items, topics, movements and words are as before; only meta and record have changed. */
    const char *items_before = strstr(before, "\n"), *items_after = strstr(after, "\n");
    assert_memory_equal(items_before, items_after,
                        (size_t)(strstr(items_before, "add-1") - items_before));
    assert_int_equal(stock_of(driver, 1), 5);
    free(before);
    free(after);
    expect(import(driver, "i", "'rows':[{'id':1,'title':'x'}]"), ERR_KEY_REUSED);
}

/* An id that was removed counts as added, and goes on with its history. */
static void test_a_removed_id_is_added_again(void **state)
{
    struct driver *driver = *state;
    add_item(driver, 1, 5);
    expect(driver_write(driver, "{'op':'item_remove','key':'r','stamp':0,'id':1}"), OK);
    expect_counts(import(driver, "i", "'rows':[{'id':1,'title':'A','price_cents':1,'stock':4}]"), 1,
                  0, 0);
    struct outcome *outcome = driver_read(driver, "{'op':'movements','id':1}");
    assert_int_equal(number_at(outcome, "initial"), 5);
    assert_int_equal(number_at(outcome, "moved"), -1);
    assert_int_equal(number_at(outcome, "stock"), 4);
    outcome_destroy(&outcome);
}

/* ---- Ten thousand books ------------------------------------------------- */

/* Read one CSV field (RFC 4180) into @field; returns where the next begins. */
static const char *csv_field(const char *at, char *field, size_t capacity)
{
    size_t size = 0;
    bool quoted = *at == '"';
    if (quoted)
        at++;
    while (*at != '\0' && (quoted || (*at != ',' && *at != '\n' && *at != '\r'))) {
        if (quoted && *at == '"' && *++at != '"')
            break;
        assert_true(size + 1 < capacity);
        field[size++] = *at++;
    }
    field[size] = '\0';
    return *at == ',' ? at + 1 : at;
}

static json_t *book(const char *line)
{
    char field[6][2048];
    for (int i = 0; i < 6; i++)
        line = csv_field(line, field[i], sizeof field[i]);
    json_t *row = json_pack("{s:I,s:s,s:s,s:s,s:s}", "id", (json_int_t)atoll(field[0]), "title",
                            field[1], "authors", field[2], "topic", field[3], "isbn", field[5]);
    if (field[4][0] != '\0')
        json_object_set_new(row, "year", json_integer(atoll(field[4])));
    return row;
}

static FILE *open_books(void)
{
    const char *path = getenv("PYGMY_BOOKS");
    FILE *file = fopen(path != NULL ? path : "../shared/data/books.csv", "r");
    if (file == NULL)
        print_message("no books.csv (PYGMY_BOOKS names one): skipped\n");
    return file;
}

static json_t *next_batch(FILE *file, int number)
{
    char line[4096];
    json_t *rows = json_array();
    while (json_array_size(rows) < IMPORT_ROWS_MAX && fgets(line, sizeof line, file) != NULL)
        json_array_append_new(rows, book(line));
    if (json_array_size(rows) == 0) {
        json_decref(rows);
        return NULL;
    }
    char key[32];
    (void)snprintf(key, sizeof key, "books-%d", number);
    return json_pack("{s:s,s:s,s:i,s:o,s:i,s:i}", "op", "import", "key", key, "stamp", 0, "rows",
                     rows, "default_price_cents", 1999, "default_stock", 100);
}

/* Import the file; returns the microseconds of the slowest entry. */
static int64_t import_books(struct driver *driver, FILE *file, int64_t *added)
{
    char header[256];
    json_t *request;
    int64_t slowest = 0;
    assert_non_null(fgets(header, sizeof header, file));
    for (int number = 0; (request = next_batch(file, number)) != NULL; number++) {
        int64_t begin = clock_us();
        struct outcome *outcome = driver_submit(driver, request);
        int64_t took = clock_us() - begin;
        slowest = took > slowest ? took : slowest;
        assert_int_equal(outcome->code, OK);
        *added += number_at(outcome, "added");
        outcome_destroy(&outcome);
    }
    return slowest;
}

/* The ten thousand real books go in, are found, and are bought from quickly. The times are shown;
 * the bounds checked are ten times above them, because a test machine is a busy one. */
static void test_ten_thousand_books_go_in_quickly(void **state)
{
    struct driver *driver = *state;
    FILE *file = open_books();
    int64_t added = 0;
    if (file == NULL)
        skip();
    int64_t begin = clock_us();
    int64_t slowest = import_books(driver, file, &added);
    int64_t total = clock_us() - begin;
    fclose(file);
    assert_int_equal(added, 10000);

    begin = clock_us();
    for (int i = 0; i < 1000; i++) {
        char key[32], lines[64];
        (void)snprintf(key, sizeof key, "buy-%d-0123456789abcdef012345", i);
        (void)snprintf(lines, sizeof lines, "[{'id':%d,'quantity':1}]", 1 + i * 7919 % 10000);
        expect(reserve(driver, key, 0, lines), OK);
    }
    int64_t reserves = clock_us() - begin;

    begin = clock_us();
    struct outcome *found =
        driver_read(driver, "{'op':'search','query':'harry potter','limit':500}");
    int64_t search = clock_us() - begin;
    assert_true(json_array_size(json_object_get(found->body, "items")) > 5);
    outcome_destroy(&found);
    print_message("10,000 books in %lld ms (slowest entry %lld us), 1,000 reserves, each its own "
                  "transaction and JSON, in %lld us, a search in %lld us\n",
                  (long long)total / 1000, (long long)slowest, (long long)reserves,
                  (long long)search);
    assert_true(slowest < 500000);
    assert_true(total < 5000000);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_new_ids_get_the_defaults),
        TEST(test_existing_ids_change_only_in_what_is_named),
        TEST(test_an_import_is_idempotent),
        TEST(test_an_import_is_all_or_nothing),
        TEST(test_a_removed_id_is_added_again),
        TEST(test_ten_thousand_books_go_in_quickly),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
