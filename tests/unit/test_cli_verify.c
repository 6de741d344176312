/* What `pygmy verify` concludes from what replicas say.
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

#include "client/cli/verify.h"

static json_t *digest(int64_t applied, const char *now, int64_t mark, const char *at_mark)
{
    return json_pack("{s:I, s:s, s:[[I, s]]}", "applied_index", (json_int_t)applied, "digest", now,
                     "marks", (json_int_t)mark, at_mark);
}

static json_t *audit(int64_t stock, int64_t violations)
{
    return json_pack("{s:i, s:i, s:i, s:i, s:I, s:I}", "items", 3, "initial", 10, "moved", 5,
                     "sold", 4, "stock", (json_int_t)stock, "violations", (json_int_t)violations);
}

/* Add a row; both answers are taken over, and may be NULL. */
static void add(json_t *rows, const char *kind, json_t *one, json_t *other)
{
    char name[32];
    snprintf(name, sizeof name, "%s-%zu", kind, json_array_size(rows) + 1);
    json_array_append_new(rows, verify_row(name, kind, one, other));
    json_decref(one);
    json_decref(other);
}

static void expect_row(const json_t *rows, size_t i, const char *state, int64_t index)
{
    const json_t *row = json_array_get(rows, i);
    assert_string_equal(json_string_value(json_object_get(row, "state")), state);
    assert_int_equal(json_integer_value(json_object_get(row, "compared_index")), index);
    assert_null(json_object_get(row, "known"));
}

static void expect_sentence(json_t *rows, enum verify_verdict verdict, const char *sentence)
{
    assert_int_equal(verify_verdict_of(rows), verdict);
    char *text = verify_sentence(rows);
    assert_string_equal(text, sentence);
    free(text);
    json_decref(rows);
}

/* At rest all are at the same index: that is what is compared. */
static void test_replicas_at_rest_are_compared_as_they_are(void **state)
{
    json_t *rows = json_array();
    (void)state;
    add(rows, "catalog", digest(1500, "aa", 1024, "bb"), audit(11, 0));
    add(rows, "catalog", digest(1500, "aa", 1024, "bb"), audit(11, 0));
    add(rows, "order", digest(7, "cc", 0, "00"), NULL);
    verify_compare(rows);
    expect_row(rows, 0, "equal", 1500);
    expect_row(rows, 2, "equal", 7);
    expect_sentence(rows, VERIFY_EQUAL,
                    "equal: all replicas hold the same, and the stock of every item adds up");
}

/* Under load they are at different indexes: the highest mark that all have is compared. */
static void test_replicas_under_load_are_compared_at_a_mark(void **state)
{
    json_t *rows = json_array();
    (void)state;
    add(rows, "order", digest(1500, "aa", 1024, "bb"), NULL);
    add(rows, "order", digest(1501, "cc", 1024, "bb"), NULL);
    add(rows, "order", digest(1024, "bb", 512, "dd"), NULL);
    verify_compare(rows);
    for (size_t i = 0; i < 3; i++)
        expect_row(rows, i, "equal", 1024);
    json_decref(rows);
}

/* One that disagrees with a majority is named; it alone differs. */
static void test_the_one_that_differs_is_named(void **state)
{
    json_t *rows = json_array();
    (void)state;
    add(rows, "order", digest(9, "aa", 0, "00"), NULL);
    add(rows, "order", digest(9, "ab", 0, "00"), NULL);
    add(rows, "order", digest(9, "aa", 0, "00"), NULL);
    verify_compare(rows);
    expect_row(rows, 0, "equal", 9);
    expect_row(rows, 1, "differs", 9);
    expect_sentence(rows, VERIFY_DIFFERS, "differs: order-2 holds something else than the others");
}

/* Without a majority nobody can say who is right: with two of three, one of them or both. */
static void test_without_a_majority_all_differ(void **state)
{
    json_t *rows = json_array();
    (void)state;
    add(rows, "order", digest(9, "aa", 0, "00"), NULL);
    add(rows, "order", digest(9, "ab", 0, "00"), NULL);
    add(rows, "order", NULL, NULL);
    verify_compare(rows);
    expect_row(rows, 0, "differs", 9);
    expect_row(rows, 1, "differs", 9);
    expect_row(rows, 2, "unknown", 0);
    assert_int_equal(verify_verdict_of(rows), VERIFY_DIFFERS);
    json_decref(rows);
}

/* What can't be compared is not called equal: one that does not answer, one that is alone in answering,
 * one without a common index, one that was not audited, no replica at all. */
static void test_what_cannot_be_compared_is_unknown(void **state)
{
    json_t *rows = json_array();
    (void)state;
    assert_int_equal(verify_verdict_of(rows), VERIFY_UNKNOWN);
    add(rows, "order", digest(9, "aa", 0, "00"), NULL);
    add(rows, "order", NULL, NULL);
    add(rows, "catalog", digest(8, "aa", 1, "01"), audit(11, 0));
    add(rows, "catalog", digest(9, "aa", 2, "01"), audit(11, 0));
    verify_compare(rows);
    expect_row(rows, 0, "unknown", 0);
    expect_sentence(rows, VERIFY_UNKNOWN,
                    "unknown: order-1 has no digest at an index of the others, order-2 does not "
                    "answer, catalog-3 has no digest at an index of the others, catalog-4 has no "
                    "digest at an index of the others");
    rows = json_array();
    add(rows, "catalog", digest(9, "aa", 2, "01"), NULL);
    verify_compare(rows);
    expect_sentence(rows, VERIFY_UNKNOWN, "unknown: catalog-1 was not audited");
}

/* An item that breaks the law, or sums that do, are found although all replicas are equal. */
static void test_what_does_not_add_up_differs(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        json_t *rows = json_array();
        add(rows, "catalog", digest(9, "aa", 2, "01"), i == 0 ? audit(11, 1) : audit(12, 0));
        verify_compare(rows);
        expect_sentence(rows, VERIFY_DIFFERS, "differs: catalog-1 breaks the law of conservation");
    }
}

/* Answers that make no sense are none. */
static void test_answers_that_make_no_sense_are_none(void **state)
{
    json_t *rows = json_array();
    (void)state;
    add(rows, "order",
        json_pack("{s:s, s:i, s:[i, [], [s, s]]}", "applied_index", "x", "digest", 5, "marks", 1,
                  "y", "z"),
        json_pack("[i]", 1));
    add(rows, "order", json_integer(3), NULL);
    verify_compare(rows);
    expect_row(rows, 0, "unknown", 0);
    assert_int_equal(verify_verdict_of(rows), VERIFY_UNKNOWN);
    json_decref(rows);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_replicas_at_rest_are_compared_as_they_are),
        cmocka_unit_test(test_replicas_under_load_are_compared_at_a_mark),
        cmocka_unit_test(test_the_one_that_differs_is_named),
        cmocka_unit_test(test_without_a_majority_all_differ),
        cmocka_unit_test(test_what_cannot_be_compared_is_unknown),
        cmocka_unit_test(test_what_does_not_add_up_differs),
        cmocka_unit_test(test_answers_that_make_no_sense_are_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
