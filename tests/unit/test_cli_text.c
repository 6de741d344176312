/* Text and tables: nothing that others wrote reaches a terminal as a command.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <locale.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "client/cli/table.h"
#include "client/cli/text.h"

static void check_clean(const char *text, const char *expected)
{
    char *clean = text_clean(text);
    assert_string_equal(clean, expected);
    free(clean);
}

/* Escape sequences lose what makes them such; runs of controls are one blank. */
static void test_control_characters_are_taken_out(void **state)
{
    (void)state;
    check_clean("plain", "plain");
    check_clean("", "");
    check_clean("a\033[31mred", "a [31mred");
    check_clean("two\r\nlines\tand\atab", "two lines and tab");
    check_clean("del\x7f.", "del .");
    check_clean("c1\xc2\x9b"
                "31m",
                "c1 31m");
    check_clean("line\xe2\x80\xa8separator", "line separator");
}

/* What reorders the text around it is left out, what is not UTF-8 is shown as such. */
static void test_reordering_and_broken_text_is_made_harmless(void **state)
{
    (void)state;
    check_clean("abc\xe2\x80\xae"
                "def",
                "abcdef");
    check_clean("\xe2\x81\xa6x\xe2\x81\xa9", "x");
    check_clean("a\xff\xfe"
                "b",
                "a??b");
    check_clean("cut \xe2\x82", "cut ??");
    check_clean("d\xc3\xa9j\xc3\xa0 \xf0\x9f\x93\x9a", "d\xc3\xa9j\xc3\xa0 \xf0\x9f\x93\x9a");
}

/* The rule of the store for its texts: C0, DEL and C1 are controls. */
static void test_controls_are_found(void **state)
{
    (void)state;
    assert_false(text_has_controls("d\xc3\xa9j\xc3\xa0"));
    assert_false(text_has_controls(""));
    assert_true(text_has_controls("a\nb"));
    assert_true(text_has_controls("\x7f"));
    assert_true(text_has_controls("\xc2\x85"));
}

/* Width is in columns, not bytes: accents count once, wide characters twice, combining ones not. */
static void test_width_is_in_columns(void **state)
{
    (void)state;
    assert_int_equal(text_width(""), 0);
    assert_int_equal(text_width("abc"), 3);
    assert_int_equal(text_width("\xc3\xa9t\xc3\xa9"), 3);
    assert_int_equal(text_width("\xe6\x9c\xac"), 2);
    assert_int_equal(text_width("e\xcc\x81"), 1);
}

/* What a printing function writes, as a string that is the caller's to free(). */
static char *printed(const struct table *table, bool plain)
{
    char *text = NULL;
    size_t size = 0;
    FILE *file = open_memstream(&text, &size);
    if (plain)
        table_print_plain(table, file);
    else
        table_print(table, file, false);
    fclose(file);
    return text;
}

/* Columns are as wide as their widest cell; no line ends in blanks. */
static void test_a_table_is_aligned(void **state)
{
    static const struct table_column columns[] = {{"ID", true}, {"NAME", false}, {"X", false}};
    struct table *table = table_new(columns, 3);
    (void)state;
    table_number(table, 7);
    table_text(table, "\xc3\xa9t\xc3\xa9");
    table_text(table, "a");
    table_number(table, -12345);
    table_text(table, "longer\nname");
    table_text(table, NULL);
    assert_int_equal(table_rows(table), 2);
    char *text = printed(table, false);
    assert_string_equal(text, "    ID  NAME         X\n"
                              "     7  \xc3\xa9t\xc3\xa9          a\n"
                              "-12345  longer name  \n");
    free(text);
    text = printed(table, true);
    assert_string_equal(text, "7\t\xc3\xa9t\xc3\xa9\ta\n-12345\tlonger name\t\n");
    free(text);
    table_destroy(&table);
    table_destroy(&table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_control_characters_are_taken_out),
        cmocka_unit_test(test_reordering_and_broken_text_is_made_harmless),
        cmocka_unit_test(test_controls_are_found),
        cmocka_unit_test(test_width_is_in_columns),
        cmocka_unit_test(test_a_table_is_aligned),
    };
    setlocale(LC_CTYPE, "C.UTF-8");
    return cmocka_run_group_tests(tests, NULL, NULL);
}
