/* Texts and their folds.
 *
 * SPDX-License-Identifier: Apache-2.0 */
/* link: catalog */
#include "tests/unit/catalog_driver.h"

#include "services/catalog/fold.h"
#include "services/replica/text.h"

/* Valid UTF-8 without control characters is plain, and nothing else. */
static void test_text_is_plain_utf8_without_control_characters(void **state)
{
    const struct text good[] = {TEXT(""),
                                TEXT("abc"),
                                TEXT("\xc3\xa9"),
                                TEXT("\xe2\x82\xac"),
                                TEXT("\xf0\x9f\x98\x80"),
                                TEXT("\xf4\x8f\xbf\xbf"),
                                TEXT("\xc2\xa0")};
    const struct text bad[] = {TEXT("a\nb"),
                               TEXT("\x00"),
                               TEXT("\x1f"),
                               TEXT("\x7f"),
                               TEXT("\xc2\x80"),
                               TEXT("\xc2\x9f"),
                               TEXT("\x80"),
                               TEXT("\xc3"),
                               TEXT("\xc3("),
                               TEXT("\xc0\xaf"),
                               TEXT("\xe0\x80\xaf"),
                               TEXT("\xed\xa0\x80"),
                               TEXT("\xf4\x90\x80\x80"),
                               TEXT("\xff"),
                               TEXT("\xf0\x80\x80\x80"),
                               TEXT("\xe2\x82"),
                               TEXT("\xf8\x88\x80\x80\x80")};
    (void)state;

    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        assert_true(text_plain(good[i]));
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(text_plain(bad[i]));
}

/* A cut never leaves half a character. */
static void test_a_cut_falls_between_characters(void **state)
{
    (void)state;
    assert_int_equal(text_cut(TEXT("a\xc3\xa9z"), 4).size, 4);
    assert_int_equal(text_cut(TEXT("a\xc3\xa9z"), 3).size, 3);
    assert_int_equal(text_cut(TEXT("a\xc3\xa9z"), 2).size, 1);
    assert_int_equal(text_cut(TEXT("\xf0\x9f\x98\x80"), 3).size, 0);
}

static void expect_fold(struct fold *fold, const char *text, const char *folded)
{
    char copy[128];
    text_copy(fold_text(fold, text_of(text)), copy, sizeof copy);
    assert_string_equal(copy, folded);
}

/* Case is ignored in every script that has it; accents, blanks and punctuation are not. */
static void test_a_fold_ignores_case_in_every_script_and_nothing_else(void **state)
{
    sqlite3 *database = NULL;
    (void)state;

    assert_int_equal(sqlite3_open(":memory:", &database), SQLITE_OK);
    struct fold *fold = fold_new(database);
    assert_non_null(fold);
    expect_fold(fold, "", "");
    expect_fold(fold, "  The  Hobbit (#1): A-B!  ", "  the  hobbit (#1): a-b!  ");
    expect_fold(fold, "GERMINAL D'\xc3\x89MILE ZOLA", "germinal d'\xc3\xa9mile zola");
    expect_fold(fold, "\xce\xa3\xce\x8a\xce\xa3", "\xcf\x83\xce\xaf\xcf\x83");
    expect_fold(fold, "\xd0\x95\xd0\xb2\xd0\x93\xd0\x95\xd0\x9d\xd0\xb8\xd0\x99",
                "\xd0\xb5\xd0\xb2\xd0\xb3\xd0\xb5\xd0\xbd\xd0\xb8\xd0\xb9");
    expect_fold(fold, "E\xcc\x81T\xc3\x89", "e\xcc\x81t\xc3\xa9");
    expect_fold(fold, "\xe6\x97\xa5\xe6\x9c\xac \xf0\x9f\x98\x80 \xc3\x9f",
                "\xe6\x97\xa5\xe6\x9c\xac \xf0\x9f\x98\x80 \xc3\x9f");
    /* Characters that SQLite's table does not know are taken over (U+0378, U+E0100). */
    expect_fold(fold,
                "A\xcd\xb8"
                "B",
                "a\xcd\xb8"
                "b");
    expect_fold(fold,
                "A\xf3\xa0\x84\x80"
                "B",
                "a\xf3\xa0\x84\x80"
                "b");
    fold_destroy(&fold);
    assert_null(fold);
    fold_destroy(&fold);
    assert_int_equal(sqlite3_close(database), SQLITE_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text_is_plain_utf8_without_control_characters),
        cmocka_unit_test(test_a_cut_falls_between_characters),
        cmocka_unit_test(test_a_fold_ignores_case_in_every_script_and_nothing_else),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
