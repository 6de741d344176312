/* Shared entries: they have their bytes with them, and live as long as somebody holds them.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "services/replica/shared_entry.h"

static struct log_entry entry_of(const void *data, size_t size)
{
    return (struct log_entry){.index = 7,
                              .term = 3,
                              .kind = LOG_ENTRY_COMMAND,
                              .log_time_ms = 11,
                              .wall_ms = -1,
                              .data = data,
                              .size = size};
}

/* What becomes of the bytes that it was made of is nothing to it. */
static void test_an_entry_has_its_own_bytes(void **state)
{
    char command[] = "a command";
    const struct log_entry entry = entry_of(command, sizeof command);

    (void)state;
    struct shared_entry *shared = shared_entry_new(&entry);
    memset(command, 'x', sizeof command);
    assert_int_equal(shared->entry.index, 7);
    assert_int_equal(shared->entry.term, 3);
    assert_int_equal(shared->entry.log_time_ms, 11);
    assert_int_equal(shared->entry.wall_ms, -1);
    assert_int_equal(shared->entry.size, sizeof command);
    assert_string_equal((const char *)shared->entry.data, "a command");
    shared_entry_release(&shared);
}

/* Only the last one frees it (a sanitizer sees both a use after that and a leak). */
static void test_the_last_holder_frees_it(void **state)
{
    const struct log_entry entry = entry_of("bytes", 5);

    (void)state;
    struct shared_entry *one = shared_entry_new(&entry);
    struct shared_entry *other = shared_entry_hold(one);
    assert_ptr_equal(one, other);
    assert_int_equal(one->holders, 2);
    shared_entry_release(&one);
    assert_null(one);
    assert_int_equal(other->holders, 1);
    assert_memory_equal(other->entry.data, "bytes", 5);
    shared_entry_release(&other);
    shared_entry_release(&other);
}

/* A barrier carries nothing. */
static void test_an_entry_may_have_no_bytes(void **state)
{
    const struct log_entry entry = entry_of(NULL, 0);

    (void)state;
    struct shared_entry *shared = shared_entry_new(&entry);
    assert_int_equal(shared->entry.size, 0);
    assert_non_null(shared->entry.data);
    shared_entry_release(&shared);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_entry_has_its_own_bytes),
        cmocka_unit_test(test_the_last_holder_frees_it),
        cmocka_unit_test(test_an_entry_may_have_no_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
