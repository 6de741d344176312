/* What `pygmy watch` shows of a change, and how it is told where to begin.
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

#include "client/cli/change.h"
#include "client/cli/since.h"
#include "client/store/pygmy.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

/* Changes as they come, with what is shown of each. */
static const struct {
    const char *change;
    const char *sentence;
    const char *plain;
} cases[] = {
    {"{\"version\":1234,\"id\":5,\"item\":{\"id\":5,\"title\":\"A\\u001b[2J\\tTitle\","
     "\"price_cents\":1999,\"currency\":\"EUR\",\"stock\":98}}",
     "item 5 'A [2J Title' stock 98, EUR 19.99 (version 1234)",
     "g\t1234\t1300\titem\t5\t98\t1999\tEUR\tA [2J Title\n"},
    {"{\"version\":7,\"id\":5,\"removed\":true}", "item 5 removed (version 7)",
     "g\t7\t1300\tremoved\t5\t\t\t\t\n"},
    {"{\"version\":7,\"id\":5,\"item\":null}", "item 5 changed: pygmy lookup 5 (version 7)",
     "g\t7\t1300\titem\t5\t\t\t\t\n"},
    {"{\"version\":8,\"number\":17,\"order\":{\"order_number\":17,\"state\":\"active\","
     "\"lines\":[{},{}],\"total_cents\":3998,\"currency\":\"EUR\"}}",
     "order 17 active 2 lines EUR 39.98 (version 8)",
     "g\t8\t1300\torder\t17\tactive\t2\t3998\tEUR\n"},
    {"{\"version\":9,\"number\":18,\"order\":{\"order_number\":18,\"state\":\"cancelled\","
     "\"lines\":[{}],\"total_cents\":5,\"currency\":\"USD\"}}",
     "order 18 cancelled 1 line USD 0.05 (version 9)",
     "g\t9\t1300\torder\t18\tcancelled\t1\t5\tUSD\n"},
    {"{\"version\":9,\"number\":18,\"order\":null}", "order 18 changed: pygmy order 18 (version 9)",
     "g\t9\t1300\torder\t18\t\t\t\t\n"},
};

/* On one line, and nothing of a title's moves the terminal. */
static void test_a_change_is_a_sentence(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        json_t *change = json_loads(cases[i].change, 0, NULL);
        char *sentence = change_sentence(change);
        assert_string_equal(sentence, cases[i].sentence);
        free(sentence);
        json_decref(change);
    }
}

/* The same columns whatever is known. */
static void test_a_change_is_a_row(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        char *text = NULL;
        size_t size = 0;
        json_t *change = json_loads(cases[i].change, 0, NULL);
        struct table *table = change_table_new();
        FILE *file = open_memstream(&text, &size);
        change_add_row(table, "g", change, 1300);
        table_print_plain(table, file);
        fclose(file);
        assert_string_equal(text, cases[i].plain);
        free(text);
        table_destroy(&table);
        json_decref(change);
    }
}

/* The change itself, with what it belongs to and from where to go on. */
static void test_a_change_is_an_object(void **state)
{
    json_t *change = json_pack("{si si sb}", "version", 7, "id", 5, "removed", 1);
    json_t *object = change_object("catalog", change, "catalog=7");
    char *text = json_dumps(object, JSON_COMPACT);
    (void)state;
    assert_string_equal(text, "{\"group\":\"catalog\",\"version\":7,\"id\":5,\"removed\":true,"
                              "\"since\":\"catalog=7\"}");
    free(text);
    json_decref(object);
    json_decref(change);
}

static bool read_since(const char *text, size_t count, struct since_group *groups)
{
    char why[SINCE_WHY_BYTES] = "";
    const bool good = since_read(text, groups, count, why);
    assert_true(good == (why[0] == '\0'));
    return good;
}

/* One number for one group, or a word for each; what is not named is not set. */
static void test_where_to_begin(void **state)
{
    static const struct {
        const char *text;
        size_t count;
        bool good;
        int64_t catalog;
        int64_t orders;
    } texts[] = {
        {"1234", 1, true, 1234, PYGMY_NOW},
        {"0", 1, true, 0, PYGMY_NOW},
        {"catalog=12", 1, true, 12, PYGMY_NOW},
        {"catalog=12,orders=34", 2, true, 12, 34},
        {"1234@0123abcd", 1, true, 1234, PYGMY_NOW},
        {"catalog=12@0123abcd,orders=34@0123456789abcdef0123456789abcdef", 2, true, 12, 34},
        {"1234@0123abc", 1, false, 0, 0},
        {"1234@0123456789abcdef0123456789abcdef0", 1, false, 0, 0},
        {"1234@0123ABCD", 1, false, 0, 0},
        {"1234@", 1, false, 0, 0},
        {"@0123abcd", 1, false, 0, 0},
        {"12@0123abcd@0123abcd", 1, false, 0, 0},
        {"orders=34,catalog=12", 2, true, 12, 34},
        {"orders=34", 2, true, PYGMY_NOW, 34},
        {"12", 2, false, 0, 0},
        {"", 1, false, 0, 0},
        {"-1", 1, false, 0, 0},
        {"9223372036854775807", 1, false, 0, 0},
        {"orders=34", 1, false, 0, 0},
        {"catalog=", 2, false, 0, 0},
        {"catalog=x", 2, false, 0, 0},
        {"=5", 2, false, 0, 0},
        {"catalog=1,", 2, false, 0, 0},
        {"catalog=1,orders", 2, false, 0, 0},
        {"catalog,orders=1", 2, false, 0, 0},
        {"catalog=1,catalog=2", 2, false, 0, 0},
        {"catalog=1orders=2", 2, false, 0, 0},
        {"catalog=0000000000000000000000000000000000000000000000000000000000000012", 2, false, 0,
         0},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(texts); i++) {
        struct since_group groups[] = {{"catalog", PYGMY_NOW, ""}, {"orders", PYGMY_NOW, ""}};
        const bool good = read_since(texts[i].text, texts[i].count, groups);
        if (good != texts[i].good)
            fail_msg("\"%s\"", texts[i].text);
        if (good) {
            assert_int_equal(groups[0].index, texts[i].catalog);
            assert_int_equal(groups[1].index, texts[i].orders);
        }
    }
}

/* What is written can be read. */
static void test_where_to_resume(void **state)
{
    char text[SINCE_TEXT_BYTES];
    struct since_group groups[] = {{"catalog", INT64_MAX - 1, ""}, {"orders", INT64_MAX - 1, ""}};
    (void)state;
    since_write(groups, 2, true, text);
    assert_string_equal(text, "catalog=9223372036854775806,orders=9223372036854775806");
    groups[0].index = groups[1].index = PYGMY_NOW;
    assert_true(read_since(text, 2, groups));
    assert_int_equal(groups[1].index, INT64_MAX - 1);
    groups[0].index = PYGMY_NOW;
    assert_string_equal(since_write(groups, 2, true, text), "orders=9223372036854775806");
    groups[0].index = 7;
    assert_string_equal(since_write(groups, 1, false, text), "7");
    groups[0].index = PYGMY_NOW;
    assert_string_equal(since_write(groups, 1, false, text), "");

    struct since_group known[] = {{"catalog", INT64_MAX - 1, "0123456789abcdef"},
                                  {"orders", INT64_MAX - 1, "fedcba9876543210"}};
    assert_string_equal(since_write(known, 2, true, text), "catalog=9223372036854775806@01234567,"
                                                           "orders=9223372036854775806@fedcba98");
    known[0].index = known[1].index = PYGMY_NOW;
    assert_true(read_since(text, 2, known));
    assert_string_equal(known[1].cluster, "fedcba98");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_change_is_a_sentence), cmocka_unit_test(test_a_change_is_a_row),
        cmocka_unit_test(test_a_change_is_an_object),  cmocka_unit_test(test_where_to_begin),
        cmocka_unit_test(test_where_to_resume),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
