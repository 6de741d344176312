/* Requests read strictly; grants and scans of the catalog read with care.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "broker/bus/err.h"
#include "services/order/command.h"
#include "services/order/render.h"
#include "services/order/scan.h"
#include "services/replica/page.h"

static json_t *parse(const char *text)
{
    json_t *object = json_loads(text, JSON_REJECT_DUPLICATES, NULL);

    assert_non_null(object);
    return object;
}

/* Read all members of @text, of which one is wrong: the code and the detail must say so. */
static void expect_fields(const char *text, int code, const char *part)
{
    json_t *object = parse(text);
    struct basket basket;
    struct fields fields;
    struct page page;
    struct text key;
    int64_t number;

    fields_init(&fields, object);
    fields_key(&fields, "key", &key);
    render_read_basket(&fields, &basket);
    fields_integer_optional(&fields, "number", 1, 100, &number);
    page_init(&page, &fields, 1);
    assert_int_equal(fields_end(&fields), code);
    if (part != NULL && strstr(fields.detail, part) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", fields.detail, part);
    json_decref(object);
}

/* What every request may have is allowed, and lines of one item are summed. */
static void test_a_good_request_is_read(void **state)
{
    json_t *object = parse("{\"op\": \"buy\", \"request_id\": \"r\", \"secret\": \"s\","
                           " \"key\": \"k\", \"lines\": [{\"id\": 9, \"quantity\": 1},"
                           " {\"id\": 2, \"quantity\": 3}, {\"id\": 9, \"quantity\": 2}],"
                           " \"cursor\": \"12\"}");
    struct basket basket;
    struct fields fields;
    struct page page;
    struct text key;
    int64_t number = 33;
    (void)state;

    fields_init(&fields, object);
    assert_true(fields_key(&fields, "key", &key));
    assert_string_equal(key.data, "k");
    render_read_basket(&fields, &basket);
    assert_false(fields_integer_optional(&fields, "number", 1, 100, &number));
    assert_int_equal(number, 33);
    page_init(&page, &fields, 1);
    assert_int_equal(page.after, 12);
    assert_int_equal(fields_end(&fields), OK);
    assert_int_equal(basket.count, 2);
    assert_int_equal(basket.lines[1].quantity, 3);
    json_decref(object);
}

/* Each wrong member is an error that names it. */
static void test_a_wrong_member_is_named(void **state)
{
    (void)state;
    expect_fields("{\"lines\": [{\"id\": 1, \"quantity\": 1}]}", ERR_KEY_MISSING, "key");
    expect_fields("{\"key\": \"a b\"}", ERR_INVALID, "key");
    expect_fields("{\"key\": \"\"}", ERR_INVALID, "key");
    expect_fields("{\"key\": 5}", ERR_INVALID, "key");
    expect_fields("{\"key\": \"k\"}", ERR_INVALID, "lines");
    expect_fields("{\"key\": \"k\", \"lines\": []}", ERR_INVALID, "lines");
    expect_fields("{\"key\": \"k\", \"lines\": {}}", ERR_INVALID, "lines");
    expect_fields("{\"key\": \"k\", \"lines\": [7]}", ERR_INVALID, "lines[0]");
    expect_fields("{\"key\": \"k\", \"lines\": [{\"id\": 1}]}", ERR_INVALID, "lines[0].quantity");
    expect_fields("{\"key\": \"k\", \"lines\": [{\"id\": 1, \"quantity\": 1},"
                  " {\"id\": 0, \"quantity\": 1}]}",
                  ERR_INVALID, "lines[1].id");
    expect_fields("{\"key\": \"k\", \"lines\": [{\"id\": 1, \"quantity\": 1}], \"surprise\": 1}",
                  ERR_INVALID, "surprise");
    expect_fields("{\"key\": \"k\", \"lines\": [{\"id\": 1, \"quantity\": 1, \"price\": 1}]}",
                  ERR_INVALID, "price");
    expect_fields("{\"key\": \"k\", \"lines\": [{\"id\": 1, \"quantity\": 1}], \"number\": 101}",
                  ERR_INVALID, "number");
    expect_fields("{\"key\": \"k\", \"lines\": [{\"id\": 1, \"quantity\": 1}], \"cursor\": \"x\"}",
                  ERR_INVALID, "cursor");
    expect_fields("{\"key\": \"k\", \"lines\": [{\"id\": 1, \"quantity\": 1}],"
                  " \"cursor\": \"9999999999999999999\"}",
                  ERR_INVALID, "cursor");
}

/* Quantities are whole numbers from 1 to a million, also summed up for one item. */
static void test_a_wrong_quantity_is_refused(void **state)
{
    static const char *const wrong[] = {"0",     "-1",           "1.5",  "1.0",  "1000001",
                                        "\"1\"", "100000000000", "null", "true", "[]"};
    char text[128];
    (void)state;

    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        snprintf(text, sizeof text, "{\"key\": \"k\", \"lines\": [{\"id\": 1, \"quantity\": %s}]}",
                 wrong[i]);
        expect_fields(text, ERR_INVALID, "lines[0].quantity");
    }
    expect_fields("{\"key\": \"k\", \"lines\": [{\"id\": 1, \"quantity\": 1000000},"
                  " {\"id\": 1, \"quantity\": 1}]}",
                  ERR_INVALID, "sum");
}

#define LINE(id, quantity)                                                                         \
    "{\"id\": " id ", \"title\": \"T\", \"quantity\": " quantity ", \"price_cents\": 100,"         \
    " \"stock_left\": 0, \"version\": 1}"

static int read_grant(const char *text, int64_t *total_cents)
{
    json_t *object = parse(text);
    struct grant grant;
    int code = render_read_grant(object, &grant);

    *total_cents = grant.total_cents;
    grant_close(&grant);
    json_decref(object);
    return code;
}

/* A grant is believed when it is whole, in bounds and adds up. */
static void test_a_grant_must_make_sense(void **state)
{
    int64_t total;
    (void)state;

    assert_int_equal(read_grant("{\"currency\": \"USD\", \"lines\": [" LINE("1", "2") "]}", &total),
                     OK);
    assert_int_equal(total, 200);
    /* The return of a sale may lift a stock above what can be put there. */
    assert_int_equal(read_grant("{\"currency\": \"USD\", \"lines\": [{\"id\": 1, \"title\": \"T\","
                                " \"quantity\": 2, \"price_cents\": 100, \"stock_left\":"
                                " 1000999999, \"version\": 1}]}",
                                &total),
                     OK);
    assert_int_equal(
        read_grant("{\"currency\": \"USD\", \"total_cents\": 201, \"lines\": [" LINE("1", "2") "]}",
                   &total),
        ERR_INVALID);
    assert_int_equal(read_grant("{\"lines\": [" LINE("1", "2") "]}", &total), ERR_INVALID);
    assert_int_equal(read_grant("{\"currency\": \"USD\", \"lines\": []}", &total), ERR_INVALID);
    assert_int_equal(read_grant("{\"currency\": \"USD\", \"lines\": [" LINE("1", "0") "]}", &total),
                     ERR_INVALID);
    assert_int_equal(
        read_grant("{\"currency\": \"USD\", \"lines\": [" LINE("2", "1") ", " LINE("1", "1") "]}",
                   &total),
        ERR_INVALID);
    assert_int_equal(read_grant("{\"currency\": \"USD\", \"lines\": [{\"id\": 1}]}", &total),
                     ERR_INVALID);
}

/* ---- The scan's answer ------------------------------------------------------------ */

/* An order of two copies of item 1 under the key "done", in tables in memory. */
static struct orders *orders_with_one(void)
{
    struct orders *orders = NULL;
    struct basket basket = {1, {{1, 2}}};
    struct bytes_writer content = {0};
    uint64_t number;
    char *error = NULL;

    assert_int_equal(orders_open(":memory:", NULL, NULL, &orders, &error), OK);
    basket_write(&basket, &content);
    orders_begin(orders);
    orders_add(orders, "done", 5, &basket, content.data, content.size, "g", 1, 1, &number);
    orders_commit(orders);
    bytes_writer_close(&content);
    return orders;
}

/* Each grant is told with what the tables know of its key; a row that makes no sense is left out,
 * and the others are read. */
static void test_a_scan_is_compared_with_the_tables(void **state)
{
    struct orders *orders = orders_with_one();
    json_t *body = parse(
        "{\"grants\": ["
        "{\"key\": \"lost\", \"stamp\": 77, \"currency\": \"USD\", \"lines\": [" LINE(
            "1",
            "2") "]},"
                 "{\"key\": \"done\", \"stamp\": 5, \"currency\": \"USD\", \"lines\": [" LINE(
                     "1",
                     "2") "]},"
                          "{\"key\": \"bad key\", \"stamp\": 5, \"currency\": \"USD\", \"lines\": "
                          "[" LINE("1", "2") "]},"
                                             "{\"key\": \"done\", \"stamp\": 5, \"currency\": "
                                             "\"USD\", \"lines\": [" LINE(
                                                 "1",
                                                 "3") "]}], \"releases\": [], \"log_time\": 9}");
    struct scan *scan = NULL;
    const struct saga_scan *found;
    (void)state;

    assert_int_equal(scan_read(orders, body, NULL, &scan), OK);
    found = scan_found(scan);
    assert_int_equal(found->grant_count, 3);
    assert_string_equal(found->grants[0].key, "lost");
    assert_int_equal(found->grants[0].stamp, 77);
    assert_int_equal(found->grants[0].order, SAGA_UNORDERED);
    assert_int_equal(found->grants[1].order, SAGA_ORDERED);
    assert_int_equal(found->grants[2].order, SAGA_ORDERED_OTHERWISE);
    scan_destroy(&scan);
    json_decref(body);
    orders_close(&orders);
}

/* Only the releases of cancelled orders may be closed. */
static void test_a_release_is_closable_when_its_order_is_cancelled(void **state)
{
    struct orders *orders = orders_with_one();
    json_t *body = parse("{\"grants\": [], \"releases\": [\"done\", \"none\", 7]}");
    struct scan *scan = NULL;
    (void)state;

    for (int step = 0; step < 3; step++) {
        assert_int_equal(scan_read(orders, body, NULL, &scan), OK);
        assert_int_equal(scan_found(scan)->closable_count, step == 2);
        scan_destroy(&scan);
        orders_begin(orders);
        if (step == 0)
            orders_cancel(orders, 1, "cancel", 6);
        else
            orders_conclude(orders, 1, 2);
        orders_commit(orders);
    }
    json_decref(body);
    orders_close(&orders);
}

/* An answer without the two lists is no answer. */
static void test_a_scan_without_lists_is_refused(void **state)
{
    struct orders *orders = orders_with_one();
    json_t *body = parse("{\"grants\": []}");
    struct scan *scan = NULL;
    (void)state;

    assert_int_equal(scan_read(orders, body, NULL, &scan), ERR_INVALID);
    assert_null(scan);
    json_decref(body);
    orders_close(&orders);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_good_request_is_read),
        cmocka_unit_test(test_a_wrong_member_is_named),
        cmocka_unit_test(test_a_wrong_quantity_is_refused),
        cmocka_unit_test(test_a_grant_must_make_sense),
        cmocka_unit_test(test_a_scan_is_compared_with_the_tables),
        cmocka_unit_test(test_a_release_is_closable_when_its_order_is_cancelled),
        cmocka_unit_test(test_a_scan_without_lists_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
