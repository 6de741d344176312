/* Keys and secrets.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "broker/bus/key.h"
#include "broker/bus/limits.h"

/* A key is 1 to 255 bytes long, and no longer. */
static void test_a_key_has_1_to_255_characters(void **state)
{
    char key[KEY_BYTES_MAX + 1];
    (void)state;

    memset(key, 'k', sizeof key);
    assert_false(key_valid(key, 0));
    assert_true(key_valid(key, 1));
    assert_true(key_valid(key, KEY_BYTES_MAX));
    assert_false(key_valid(key, KEY_BYTES_MAX + 1));
}

/* Of the 256 byte values exactly the 94 visible ASCII characters may be in a key. */
static void test_a_key_is_visible_ascii(void **state)
{
    (void)state;
    for (int byte = 0; byte < 256; byte++) {
        char key[3] = {'a', (char)byte, 'b'};
        assert_int_equal(key_valid(key, 3), byte >= 0x21 && byte <= 0x7e);
    }
}

/* A made key is a valid key of 32 digits, and two of them differ. */
static void test_a_made_key_is_valid_and_new(void **state)
{
    char one[KEY_TEXT_BYTES], other[KEY_TEXT_BYTES];
    (void)state;

    key_make(one);
    key_make(other);
    assert_int_equal(strlen(one), KEY_TEXT_BYTES - 1);
    assert_int_equal(strspn(one, "0123456789abcdef"), KEY_TEXT_BYTES - 1);
    assert_true(key_valid(one, strlen(one)));
    assert_string_not_equal(one, other);
}

/* Only the same secret is equal: not a part of it, not a repetition, not an empty one. */
static void test_a_secret_equals_only_itself(void **state)
{
    (void)state;
    assert_true(key_secret_equal("secret", "secret"));
    assert_true(key_secret_equal("", ""));
    assert_false(key_secret_equal("secret", "secreT"));
    assert_false(key_secret_equal("secret", "Secret"));
    assert_false(key_secret_equal("secret", "secretsecret"));
    assert_false(key_secret_equal("secretsecret", "secret"));
    assert_false(key_secret_equal("secret", ""));
    assert_false(key_secret_equal("", "secret"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_key_has_1_to_255_characters),
        cmocka_unit_test(test_a_key_is_visible_ascii),
        cmocka_unit_test(test_a_made_key_is_valid_and_new),
        cmocka_unit_test(test_a_secret_equals_only_itself),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
