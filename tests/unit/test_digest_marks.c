/* Marks of the digest: at the same indexes with the same values, however the entries came.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "broker/bus/err.h"
#include "services/replica/digest_marks.h"

/* A machine whose digest is the sum of the squares of the indexes that were applied. */
struct squares {
    uint64_t sum;
    replica_index applied;
};

static int squares_open(void *self, const char *path, char **error)
{
    (void)self;
    (void)path;
    (void)error;
    return OK;
}

static void squares_nothing(void *self)
{
    (void)self;
}

static uint64_t squares_digest(void *self)
{
    return ((struct squares *)self)->sum;
}

static replica_index squares_applied(void *self)
{
    return ((struct squares *)self)->applied;
}

static void *squares_apply(void *arg, const struct replica_entry *entry)
{
    struct squares *self = arg;
    self->sum += entry->index * entry->index;
    self->applied = entry->index;
    return NULL;
}

struct fixture {
    struct squares squares;
    struct digest_marks marks;
    struct replica_machine machine;
};

static void start(struct fixture *self)
{
    self->machine = (struct replica_machine){.self = &self->squares,
                                             .open = squares_open,
                                             .close = squares_nothing,
                                             .digest = squares_digest,
                                             .applied = squares_applied,
                                             .apply = squares_apply};
    digest_marks_init(&self->marks, &self->machine);
    assert_int_equal(self->machine.open(self->machine.self, "", NULL), OK);
}

/* Every entry from @from to @to is a command, but for multiples of @gap. */
static void apply(struct fixture *self, replica_index from, replica_index to, replica_index gap)
{
    for (replica_index i = from; i <= to; i++)
        if (i % gap != 0)
            (void)self->machine.apply(self->machine.self, &(struct replica_entry){.index = i});
}

static uint64_t sum_to(replica_index last, replica_index gap)
{
    uint64_t sum = 0;
    for (replica_index i = 1; i <= last; i++)
        sum += i % gap != 0 ? i * i : 0;
    return sum;
}

/* A mark is the digest after the entry of its index, be that a command or another kind of entry. */
static void test_a_mark_is_the_digest_at_its_index(void **state)
{
    static const replica_index gaps[] = {DIGEST_EVERY, 7, 1u << 30};
    (void)state;
    for (size_t g = 0; g < sizeof gaps / sizeof gaps[0]; g++) {
        struct fixture self = {0};
        start(&self);
        apply(&self, 1, 5 * DIGEST_EVERY, gaps[g]);
        digest_marks_reach(&self.marks, 5 * DIGEST_EVERY);
        digest_marks_reach(&self.marks, 5 * DIGEST_EVERY);
        assert_int_equal(self.marks.count, 5);
        for (size_t i = 0; i < 5; i++) {
            assert_int_equal(self.marks.marks[i].index, (i + 1) * DIGEST_EVERY);
            assert_true(self.marks.marks[i].digest == sum_to((i + 1) * DIGEST_EVERY, gaps[g]));
        }
    }
}

/* The last so many marks are known. */
static void test_marks_are_bounded(void **state)
{
    struct fixture self = {0};
    (void)state;
    start(&self);
    apply(&self, 1, (DIGEST_MARKS_MAX + 3) * DIGEST_EVERY, 1u << 30);
    assert_int_equal(self.marks.count, DIGEST_MARKS_MAX);
    assert_int_equal(self.marks.marks[0].index, 4 * DIGEST_EVERY);
    assert_int_equal(self.marks.marks[DIGEST_MARKS_MAX - 1].index,
                     (DIGEST_MARKS_MAX + 3) * DIGEST_EVERY);
}

/* Who begins with a snapshot knows the marks above it, with the same values; also when entries that
 * are no commands stand between the tables' last command and a mark. */
static void test_marks_begin_above_a_snapshot(void **state)
{
    struct fixture self = {.squares = {sum_to(DIGEST_EVERY + 5, 1u << 30), DIGEST_EVERY + 5}};
    (void)state;
    start(&self);
    digest_marks_reach(&self.marks, 2 * DIGEST_EVERY - 1);
    assert_int_equal(self.marks.count, 0);
    apply(&self, 2 * DIGEST_EVERY + 3, 3 * DIGEST_EVERY, 1u << 30);
    assert_int_equal(self.marks.count, 2);
    assert_int_equal(self.marks.marks[0].index, 2 * DIGEST_EVERY);
    assert_true(self.marks.marks[0].digest == sum_to(DIGEST_EVERY + 5, 1u << 30));
    assert_int_equal(self.marks.marks[1].index, 3 * DIGEST_EVERY);
}

/* A snapshot that is installed at run time leaves out marks, and none is doubled. */
static void test_a_snapshot_at_run_time_leaves_out_marks(void **state)
{
    struct fixture self = {0};
    (void)state;
    start(&self);
    apply(&self, 1, DIGEST_EVERY, 1u << 30);
    self.machine.close(self.machine.self);
    self.squares = (struct squares){7, 3 * DIGEST_EVERY};
    assert_int_equal(self.machine.open(self.machine.self, "", NULL), OK);
    apply(&self, 3 * DIGEST_EVERY + 1, 4 * DIGEST_EVERY, 1u << 30);
    assert_int_equal(self.marks.count, 3);
    assert_int_equal(self.marks.marks[0].index, DIGEST_EVERY);
    assert_int_equal(self.marks.marks[1].index, 3 * DIGEST_EVERY);
    assert_true(self.marks.marks[1].digest == 7);
    assert_int_equal(self.marks.marks[2].index, 4 * DIGEST_EVERY);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_mark_is_the_digest_at_its_index),
        cmocka_unit_test(test_marks_are_bounded),
        cmocka_unit_test(test_marks_begin_above_a_snapshot),
        cmocka_unit_test(test_a_snapshot_at_run_time_leaves_out_marks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
