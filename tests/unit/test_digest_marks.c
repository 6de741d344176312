/* Marks of the digest: the last ones, in order, whatever order they come in.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "services/replica/digest_marks.h"

static void add(struct digest_marks *self, replica_index number)
{
    digest_marks_add(self, number * DIGEST_EVERY, number * number);
}

static void assert_marks(const struct digest_marks *self, replica_index first, size_t count)
{
    assert_int_equal(self->count, count);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(self->marks[i].index, (first + i) * DIGEST_EVERY);
        assert_true(self->marks[i].digest == (first + i) * (first + i));
    }
}

/* One index in so many has a mark, and none before the first entry. */
static void test_marks_are_at_multiples(void **state)
{
    (void)state;
    assert_false(digest_marks_at(0));
    assert_false(digest_marks_at(DIGEST_EVERY - 1));
    assert_true(digest_marks_at(DIGEST_EVERY));
    assert_false(digest_marks_at(DIGEST_EVERY + 1));
    assert_true(digest_marks_at(7 * DIGEST_EVERY));
}

/* They stand in the order of their indexes, however they come, and each once: as it was at first. */
static void test_order_and_doubles_make_no_difference(void **state)
{
    static const replica_index numbers[] = {3, 1, 5, 5, 2, 1, 4};
    struct digest_marks self = {0};
    (void)state;
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        add(&self, numbers[i]);
    digest_marks_add(&self, 2 * DIGEST_EVERY, 77);
    assert_marks(&self, 1, 5);
}

/* The last so many marks are known; what is below them is not taken any more. */
static void test_marks_are_bounded(void **state)
{
    struct digest_marks self = {0};
    (void)state;
    for (replica_index i = 2; i <= DIGEST_MARKS_MAX + 3; i++)
        if (i != 10)
            add(&self, i);
    assert_int_equal(self.count, DIGEST_MARKS_MAX);
    add(&self, 10);
    assert_marks(&self, 4, DIGEST_MARKS_MAX);
    add(&self, 1);
    assert_marks(&self, 4, DIGEST_MARKS_MAX);
}

/* A mark is found by its index, the newest one by nothing. */
static void test_marks_are_found(void **state)
{
    struct digest_marks self = {0};
    (void)state;
    assert_null(digest_marks_newest(&self));
    assert_null(digest_marks_find(&self, DIGEST_EVERY));
    add(&self, 4);
    add(&self, 2);
    assert_null(digest_marks_find(&self, 3 * DIGEST_EVERY));
    assert_true(digest_marks_find(&self, 2 * DIGEST_EVERY)->digest == 4);
    assert_int_equal(digest_marks_newest(&self)->index, 4 * DIGEST_EVERY);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_marks_are_at_multiples),
        cmocka_unit_test(test_order_and_doubles_make_no_difference),
        cmocka_unit_test(test_marks_are_bounded),
        cmocka_unit_test(test_marks_are_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
