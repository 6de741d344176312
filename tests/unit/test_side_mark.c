/* The side mark: what is written is read, and no damage to one mark hides the other.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>
#include <cmocka.h>

#include "broker/bus/err.h"
#include "services/replica/side_mark.h"
#include "tests/lib/files.h"

#define SLOT_BYTES   4096
#define RECORD_BYTES 56

struct fixture {
    char *directory;
    char *path;
    struct side_mark *mark;
};

static int setup(void **state)
{
    struct fixture *self = calloc(1, sizeof *self);
    self->directory = files_new_directory();
    self->path = files_path(self->directory, "log.mark");
    *state = self;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *self = *state;
    side_mark_close(&self->mark);
    free(self->path);
    files_remove_directory(&self->directory);
    free(self);
    return 0;
}

static void create(struct fixture *self)
{
    char *error = NULL;
    assert_int_equal(side_mark_create(self->path, &error), 0);
}

/* Open, free the message, return the code. */
static int reopen(struct fixture *self)
{
    char *error = NULL;
    side_mark_close(&self->mark);
    int result = side_mark_open(self->path, &self->mark, &error);
    assert_true((result == 0) == (error == NULL));
    free(error);
    return result;
}

static struct side_mark_state state_of(uint64_t number)
{
    return (struct side_mark_state){
        .last_index = number, .last_term = 2, .term = 3, .vote = number % 5};
}

static void write_marks(struct fixture *self, uint64_t from, uint64_t to)
{
    for (uint64_t number = from; number <= to; number++) {
        struct side_mark_state state = state_of(number);
        assert_int_equal(side_mark_write(self->mark, &state), 0);
    }
}

static void assert_reads(struct fixture *self, uint64_t number)
{
    struct side_mark_state wanted = state_of(number);
    assert_memory_equal(side_mark_read(self->mark), &wanted, sizeof wanted);
}

/* A mark that is not there is told apart from one that is damaged. */
static void test_an_absent_mark_is_not_found(void **state)
{
    assert_int_equal(reopen(*state), ERR_NOT_FOUND);
}

/* A new mark speaks of an empty log in no term, so that any log passes it. */
static void test_a_new_mark_is_all_zeros(void **state)
{
    struct side_mark_state zeros = {0};
    struct fixture *self = *state;

    create(self);
    assert_int_equal(reopen(self), 0);
    assert_memory_equal(side_mark_read(self->mark), &zeros, sizeof zeros);
}

/* Creation that was cut off by a crash leaves another file, which does not stand in the way. */
static void test_a_half_made_mark_does_not_matter(void **state)
{
    struct fixture *self = *state;
    char *leftover = files_path(self->directory, "log.mark.new");

    files_write(leftover, "half");
    assert_int_equal(reopen(self), ERR_NOT_FOUND);
    create(self);
    assert_int_equal(reopen(self), 0);
    free(leftover);
}

/* The last of any number of marks is the one that is read, in either slot. */
static void test_the_newest_mark_is_read_again(void **state)
{
    struct fixture *self = *state;

    create(self);
    assert_int_equal(reopen(self), 0);
    for (uint64_t number = 1; number <= 9; number++) {
        write_marks(self, number, number);
        assert_reads(self, number);
        assert_int_equal(reopen(self), 0);
        assert_reads(self, number);
    }
}

/* A torn write of the newest mark leaves the one before it, wherever it was torn. */
static void test_a_torn_mark_falls_back_to_the_one_before(void **state)
{
    struct fixture *self = *state;

    create(self);
    assert_int_equal(reopen(self), 0);
    write_marks(self, 1, 8); /* sequence 9: slot 1 is the newest */
    for (size_t offset = 0; offset < RECORD_BYTES; offset++) {
        files_flip(self->path, SLOT_BYTES + offset, 0x10);
        assert_int_equal(reopen(self), 0);
        assert_reads(self, 7);
        files_flip(self->path, SLOT_BYTES + offset, 0x10);
    }
    assert_int_equal(reopen(self), 0);
    assert_reads(self, 8);
}

/* Two damaged marks are more than a torn write explains. */
static void test_two_damaged_marks_are_refused(void **state)
{
    struct fixture *self = *state;

    create(self);
    assert_int_equal(reopen(self), 0);
    write_marks(self, 1, 4);
    files_flip(self->path, 30, 1);
    files_flip(self->path, SLOT_BYTES + 30, 1);
    assert_int_equal(reopen(self), ERR_CORRUPT);

    files_truncate(self->path, 0);
    assert_int_equal(reopen(self), ERR_CORRUPT);
}

/* A valid mark of a format that is not known is not taken for damage, nor is the other slot used. */
static void test_an_unknown_version_is_refused(void **state)
{
    struct fixture *self = *state;
    unsigned char record[RECORD_BYTES];

    create(self);
    FILE *file = fopen(self->path, "r+b");
    assert_int_equal(fread(record, 1, sizeof record, file), sizeof record);
    record[11] = 2;
    unsigned long sum = crc32(0, record, RECORD_BYTES - 4);
    for (int i = 0; i < 4; i++)
        record[RECORD_BYTES - 4 + i] = (unsigned char)(sum >> (24 - 8 * i));
    rewind(file);
    assert_int_equal(fwrite(record, 1, sizeof record, file), sizeof record);
    fclose(file);
    assert_int_equal(reopen(self), ERR_VERSION);
}

/* After the mark was lowered, neither slot speaks of what is to be cut off: not even when the newer
 * one is torn. */
static void test_lowering_lowers_both_slots(void **state)
{
    struct fixture *self = *state;
    struct side_mark_state low = state_of(3);

    create(self);
    assert_int_equal(reopen(self), 0);
    write_marks(self, 1, 9);
    assert_int_equal(side_mark_write_synced(self->mark, &low), 0);
    for (size_t slot = 0; slot < 2; slot++) {
        files_flip(self->path, slot * SLOT_BYTES + 40, 1);
        assert_int_equal(reopen(self), 0);
        assert_reads(self, 3);
        files_flip(self->path, slot * SLOT_BYTES + 40, 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_an_absent_mark_is_not_found, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_new_mark_is_all_zeros, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_half_made_mark_does_not_matter, setup, teardown),
        cmocka_unit_test_setup_teardown(test_the_newest_mark_is_read_again, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_torn_mark_falls_back_to_the_one_before, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_two_damaged_marks_are_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_an_unknown_version_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_lowering_lowers_both_slots, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
