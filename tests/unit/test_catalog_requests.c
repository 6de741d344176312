/* What is refused before it gets into the log, and in which words.
 *
 * SPDX-License-Identifier: Apache-2.0 */
/* link: catalog */
#include "tests/unit/catalog_driver.h"

/* The refusal of a request, given as JSON with single quotes; NULL when it is accepted. */
static struct outcome *refusal_of(const char *text)
{
    struct command command;
    size_t size = strlen(text);
    char *copy = alloc_copy(text, size);
    for (size_t i = 0; i < size; i++)
        if (copy[i] == '\'')
            copy[i] = '"';
    json_t *json = json_loads(copy, JSON_REJECT_DUPLICATES, NULL);
    if (json == NULL)
        fail_msg("no JSON: %s", copy);
    struct outcome *refusal = request_read(json, &command);
    if (refusal == NULL)
        command_close(&command);
    json_decref(json);
    free(copy);
    return refusal;
}

static void expect_invalid(const char *text, const char *detail)
{
    struct outcome *refusal = refusal_of(text);
    if (refusal == NULL)
        fail_msg("accepted: %s", text);
    expect_detail(refusal, ERR_INVALID, detail);
}

static void expect_valid(const char *text)
{
    struct outcome *refusal = refusal_of(text);
    if (refusal != NULL)
        fail_msg("%s: %s", text, json_string_value(json_object_get(refusal->body, "detail")));
}

/* Each member has its type and bounds; a wrong one is named with what it must be. */
static void test_a_wrong_member_is_named_with_what_it_must_be(void **state)
{
    static const char *const rows[][2] = {
        {"'id':0,'title':'T','price_cents':1", "id must be an integer from 1 to 9007199254740991"},
        {"'id':1.0,'title':'T','price_cents':1",
         "id must be an integer from 1 to 9007199254740991"},
        {"'id':9007199254740992,'title':'T','price_cents':1",
         "id must be an integer from 1 to 9007199254740991"},
        {"'id':'1','title':'T','price_cents':1",
         "id must be an integer from 1 to 9007199254740991"},
        {"'id':true,'title':'T','price_cents':1",
         "id must be an integer from 1 to 9007199254740991"},
        {"'id':1,'title':'','price_cents':1", "title must be a string of 1 to 512 bytes"},
        {"'id':1,'title':5,'price_cents':1", "title must be a string of 1 to 512 bytes"},
        {"'id':1,'title':'a\\nb','price_cents':1", "title must not have control characters"},
        {"'id':1,'title':'a\\u0085b','price_cents':1", "title must not have control characters"},
        {"'id':1,'title':'T'", "price_cents is missing"},
        {"'id':1,'price_cents':1", "title is missing"},
        {"'title':'T','price_cents':1", "id is missing"},
        {"'id':1,'title':'T','price_cents':-1",
         "price_cents must be an integer from 0 to 1000000000"},
        {"'id':1,'title':'T','price_cents':2.5",
         "price_cents must be an integer from 0 to 1000000000"},
        {"'id':1,'title':'T','price_cents':1,'stock':1000000001",
         "stock must be an integer from 0 to 1000000000"},
        {"'id':1,'title':'T','price_cents':1,'year':10000",
         "year must be an integer from -9999 to 9999, or null"},
        {"'id':1,'title':'T','price_cents':1,'year':'1999'",
         "year must be an integer from -9999 to 9999, or null"},
        {"'id':1,'title':'T','price_cents':1,'currency':'usd'",
         "currency must be three letters A to Z"},
        {"'id':1,'title':'T','price_cents':1,'currency':'EURO'",
         "currency must be a string of 3 to 3 bytes"},
        {"'id':1,'title':'T','price_cents':1,'colour':'red'",
         "colour is not a member that is known here"},
        {"'id':1,'title':'T','price_cents':1,'authors':null",
         "authors must be a string of 0 to 1024 bytes"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char text[256];
        (void)snprintf(text, sizeof text, "{'op':'item_add','key':'k','stamp':0,%s}", rows[i][0]);
        expect_invalid(text, rows[i][1]);
    }
}

/* The bounds themselves are allowed. */
static void test_the_bounds_are_allowed(void **state)
{
    char title[TITLE_BYTES_MAX + 2], text[1024];
    (void)state;
    expect_valid("{'op':'item_add','key':'k','stamp':9007199254740991,'id':9007199254740991,"
                 "'title':'T','price_cents':1000000000,'stock':1000000000,'year':-9999,"
                 "'request_id':'r','secret':'s'}");
    expect_valid("{'op':'stock','key':'k','stamp':0,'id':1,'change':-1000000}");
    memset(title, 't', sizeof title);
    title[TITLE_BYTES_MAX] = '\0';
    (void)snprintf(text, sizeof text,
                   "{'op':'item_add','key':'k','stamp':0,'id':1,'price_cents':0,'title':'%s'}",
                   title);
    expect_valid(text);
    title[TITLE_BYTES_MAX] = 't';
    title[TITLE_BYTES_MAX + 1] = '\0';
    (void)snprintf(text, sizeof text,
                   "{'op':'item_add','key':'k','stamp':0,'id':1,'price_cents':0,'title':'%s'}",
                   title);
    expect_invalid(text, "title must be a string of 1 to 512 bytes");
}

/* Each text may have as many bytes as it may, and not one more. */
static void test_texts_are_bounded_by_bytes(void **state)
{
    static const struct {
        const char *before, *after; /* of the text, in a request */
        int bytes_max;
    } rows[] = {
        {"{'op':'item_add','key':'k','stamp':0,'id':1,'title':'", "','price_cents':1}",
         TITLE_BYTES_MAX},
        {"{'op':'item_edit','key':'k','stamp':0,'id':1,'authors':'", "'}", AUTHORS_BYTES_MAX},
        {"{'op':'item_edit','key':'k','stamp':0,'id':1,'topic':'", "'}", TOPIC_BYTES_MAX},
        {"{'op':'item_edit','key':'k','stamp':0,'id':1,'isbn':'", "'}", ISBN_BYTES_MAX},
        {"{'op':'stock','key':'k','stamp':0,'id':1,'change':1,'reason':'", "'}", REASON_BYTES_MAX},
        {"{'op':'item_remove','stamp':0,'id':1,'key':'", "'}", KEY_BYTES_MAX},
    };
    char value[AUTHORS_BYTES_MAX + 2], text[AUTHORS_BYTES_MAX + 200];
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        memset(value, 'x', sizeof value);
        value[rows[i].bytes_max] = '\0';
        (void)snprintf(text, sizeof text, "%s%s%s", rows[i].before, value, rows[i].after);
        expect_valid(text);
        value[rows[i].bytes_max] = 'x';
        value[rows[i].bytes_max + 1] = '\0';
        (void)snprintf(text, sizeof text, "%s%s%s", rows[i].before, value, rows[i].after);
        struct outcome *refusal = refusal_of(text);
        assert_non_null(refusal);
        expect(refusal, ERR_INVALID);
    }
}

/* A key and a stamp belong to each write that is not idempotent by nature. */
static void test_a_write_needs_key_and_stamp(void **state)
{
    (void)state;
    expect_detail(refusal_of("{'op':'item_remove','stamp':0,'id':1}"), ERR_KEY_MISSING,
                  "key is missing");
    expect_invalid("{'op':'item_remove','key':'','stamp':0,'id':1}",
                   "key must be a string of 1 to 255 visible ASCII characters");
    expect_invalid("{'op':'item_remove','key':'a b','stamp':0,'id':1}",
                   "key must be a string of 1 to 255 visible ASCII characters");
    expect_invalid("{'op':'item_remove','key':'k','id':1}", "stamp is missing");
    expect_invalid("{'op':'item_remove','key':'k','stamp':-1,'id':1}",
                   "stamp must be an integer from 0 to 9007199254740991");
    expect_invalid("{'op':'settle','key':'k','keys':['a']}",
                   "key is not a member that is known here");
    expect_detail(refusal_of("{'op':'nonsense'}"), ERR_NOT_IMPLEMENTED,
                  "there is no such operation");
}

/* Lines are named by their place; sums of one item are bounded like a single line. */
static void test_a_wrong_line_is_named_by_its_place(void **state)
{
    static const char *const rows[][2] = {
        {"5", "lines must be an array of 1 to 100 elements"},
        {"[]", "lines must be an array of 1 to 100 elements"},
        {"[5]", "lines[0] must be an object"},
        {"[{'id':1,'quantity':1},{'id':2,'quantity':0}]",
         "lines[1].quantity must be an integer from 1 to 1000000"},
        {"[{'id':1,'quantity':1.5}]", "lines[0].quantity must be an integer from 1 to 1000000"},
        {"[{'id':1,'quantity':2.0}]", "lines[0].quantity must be an integer from 1 to 1000000"},
        {"[{'id':1,'quantity':'2'}]", "lines[0].quantity must be an integer from 1 to 1000000"},
        {"[{'id':1,'quantity':-2}]", "lines[0].quantity must be an integer from 1 to 1000000"},
        {"[{'id':1,'quantity':1000001}]", "lines[0].quantity must be an integer from 1 to 1000000"},
        {"[{'id':1}]", "lines[0].quantity is missing"},
        {"[{'id':1,'quantity':1,'price':1}]", "lines[0].price is not a member that is known here"},
        {"[{'id':7,'quantity':1000000},{'id':7,'quantity':1}]",
         "lines want more than 1000000 of item 7 together"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char text[256];
        (void)snprintf(text, sizeof text, "{'op':'reserve','key':'k','stamp':0,'lines':%s}",
                       rows[i][0]);
        expect_invalid(text, rows[i][1]);
    }
}

/* Edits, rules, stock changes and key lists say what is wrong with them. */
static void test_other_writes_say_what_is_wrong(void **state)
{
    (void)state;
    expect_invalid("{'op':'item_edit','key':'k','stamp':0,'id':1}", "nothing to change is named");
    expect_invalid("{'op':'item_edit','key':'k','stamp':0,'id':1,'version':0,'title':'T'}",
                   "version must be an integer from 1 to 9007199254740991");
    expect_invalid("{'op':'item_edit','key':'k','stamp':0,'id':1,'currency':'EUR'}",
                   "nothing to change is named");
    expect_invalid("{'op':'item_edit','key':'k','stamp':0,'id':1,'restock':5}",
                   "restock must be an object");
    expect_invalid("{'op':'item_edit','key':'k','stamp':0,'id':1,'restock':{'threshold':1,"
                   "'amount':0,'period_ms':1}}",
                   "restock.amount must be an integer from 1 to 1000000");
    expect_invalid("{'op':'item_edit','key':'k','stamp':0,'id':1,'restock':{'threshold':1,"
                   "'amount':1}}",
                   "restock.period_ms is missing");
    expect_invalid("{'op':'item_edit','key':'k','stamp':0,'id':1,'restock':{'threshold':1,"
                   "'amount':1,'period_ms':1,'x':1}}",
                   "restock.x is not a member that is known here");
    expect_invalid("{'op':'stock','key':'k','stamp':0,'id':1,'change':0}", "change must not be 0");
    expect_invalid("{'op':'stock','key':'k','stamp':0,'id':1,'change':1000001}",
                   "change must be an integer from -1000000 to 1000000");
    expect_invalid("{'op':'settle','keys':[]}", "keys must be an array of 1 to 500 elements");
    expect_invalid("{'op':'settle','keys':['a',5]}",
                   "keys[1] must be a string of 1 to 255 visible ASCII characters");
}

/* A bad row of an import is named by its index, in the sentence and in a member. */
static void test_a_bad_row_of_an_import_is_named(void **state)
{
    static const struct {
        const char *rows;
        const char *detail;
        int row;
    } bad[] = {
        {"[{'id':1,'title':'T'},{'id':2}]", "rows[1].title is missing", 1},
        {"[{'id':1,'title':'T'},{'id':2,'title':'T','stock':-1}]",
         "rows[1].stock must be an integer from 0 to 1000000000", 1},
        {"[{'id':1,'title':'T'},{'id':2,'title':'T'},{'id':1,'title':'U'}]",
         "rows[2].id is the id of an earlier row, too", 2},
        {"['x']", "rows[0] must be an object", 0},
        {"[{'id':1,'title':'T','price':4}]", "rows[0].price is not a member that is known here", 0},
    };
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        char text[256];
        (void)snprintf(text, sizeof text, "{'op':'import','key':'k','stamp':0,'rows':%s}",
                       bad[i].rows);
        struct outcome *refusal = refusal_of(text);
        assert_int_equal(number_at(refusal, "row"), bad[i].row);
        expect_detail(refusal, ERR_INVALID, bad[i].detail);
    }
    expect_invalid("{'op':'import','key':'k','stamp':0,'rows':[]}",
                   "rows must be an array of 1 to 500 elements");
    expect_invalid("{'op':'import','key':'k','stamp':0,'rows':[{'id':1,'title':'T'}],"
                   "'default_stock':-1}",
                   "default_stock must be an integer from 0 to 1000000000");
}

/* A name that we did not choose is cut between characters, however long it is. */
static void test_a_long_unknown_name_is_cut(void **state)
{
    char text[512] = "{'op':'settle','keys':['a'],'x";
    char detail[256] = "x";
    (void)state;
    for (int i = 0; i < 60; i++)
        strcat(text, "\xc3\xa9");
    strcat(text, "':1}");
    for (int i = 0; i < 31; i++)
        strcat(detail, "\xc3\xa9");
    strcat(detail, " is not a member that is known here");
    expect_invalid(text, detail);
}

/* Reads check their members in the same way. */
static void test_reads_say_what_is_wrong(void **state)
{
    struct driver *driver = driver_new();
    (void)state;
    expect_detail(driver_read(driver, "{'op':'lookup'}"), ERR_INVALID,
                  "either id or title must be given");
    expect_detail(driver_read(driver, "{'op':'lookup','id':1,'title':'T'}"), ERR_INVALID,
                  "either id or title must be given");
    expect_detail(driver_read(driver, "{'op':'lookup','id':'x'}"), ERR_INVALID,
                  "id must be an integer from 1 to 9007199254740991");
    expect_detail(driver_read(driver, "{'op':'search','limit':1000}"), ERR_INVALID,
                  "limit must be an integer from 1 to 500");
    expect_detail(driver_read(driver, "{'op':'search','cursor':'abc'}"), ERR_INVALID,
                  "cursor is not one that an answer gave");
    expect_detail(driver_read(driver, "{'op':'time','x':1}"), ERR_INVALID,
                  "x is not a member that is known here");
    expect_detail(driver_read(driver, "{'op':'topics','limit':1}"), ERR_INVALID,
                  "limit is not a member that is known here");
    expect_detail(driver_read(driver, "{'op':'buy'}"), ERR_NOT_IMPLEMENTED,
                  "there is no such operation");
    expect_detail(driver_read(driver, "[]"), ERR_NOT_IMPLEMENTED, "there is no such operation");
    driver_destroy(driver);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_wrong_member_is_named_with_what_it_must_be),
        cmocka_unit_test(test_the_bounds_are_allowed),
        cmocka_unit_test(test_texts_are_bounded_by_bytes),
        cmocka_unit_test(test_a_write_needs_key_and_stamp),
        cmocka_unit_test(test_a_wrong_line_is_named_by_its_place),
        cmocka_unit_test(test_other_writes_say_what_is_wrong),
        cmocka_unit_test(test_a_bad_row_of_an_import_is_named),
        cmocka_unit_test(test_a_long_unknown_name_is_cut),
        cmocka_unit_test(test_reads_say_what_is_wrong),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
