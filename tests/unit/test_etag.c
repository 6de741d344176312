/* Entity tags and the conditions on them.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "client/bridge/etag.h"

/* If-None-Match matches the tag anywhere in its list, weak or strong, and "*" matches all. */
static void test_a_tag_is_found_in_a_list(void **state)
{
    static const char *const match[] = {"\"7\"", "W/\"7\"",  "\"6\", \"7\"",  "\"6\",W/\"7\" ",
                                        "*",     ", ,\"7\"", "\"a,b\", \"7\""};
    static const char *const other[] = {"",         "\"8\"", "7",  "\"77\"", "\"7",
                                        "\"6\", 7", "W/",    "**", "\"\"",   "\"6\" x \"7\""};
    (void)state;
    for (size_t i = 0; i < sizeof match / sizeof match[0]; i++)
        assert_true(etag_matches(match[i], strlen(match[i]), "\"7\""));
    for (size_t i = 0; i < sizeof other / sizeof other[0]; i++)
        assert_false(etag_matches(other[i], strlen(other[i]), "\"7\""));
}

/* If-Match names one version, or any; all else can't be a version of ours. */
static void test_a_version_is_demanded(void **state)
{
    static const char *const none[] = {"",
                                       "7",
                                       "\"\"",
                                       "W/\"7\"",
                                       "\"7\", \"8\"",
                                       "\"0\"",
                                       "\"x\"",
                                       "\"-7\"",
                                       "\"7-20001\"",
                                       "\"7",
                                       "\"99999999999999999999999999\""};
    int64_t version = 0;
    (void)state;

    assert_int_equal(etag_demanded("\"345\"", 5, &version), ETAG_VERSION);
    assert_int_equal(version, 345);
    assert_int_equal(etag_demanded("*", 1, &version), ETAG_ANY);
    for (size_t i = 0; i < sizeof none / sizeof none[0]; i++)
        assert_int_equal(etag_demanded(none[i], strlen(none[i]), &version), ETAG_NONE);
    assert_int_equal(version, 345);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_tag_is_found_in_a_list),
        cmocka_unit_test(test_a_version_is_demanded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
