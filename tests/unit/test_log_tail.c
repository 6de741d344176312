/* The log's tail in memory: without gaps, and never short of what is still needed.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "broker/bus/limits.h"
#include "services/replica/log_tail.h"

static struct shared_entry *entry_of(replica_index index, replica_term term, size_t size)
{
    static const uint8_t bytes[ENTRY_BYTES_MAX];
    const struct log_entry entry = {
        .index = index, .term = term, .kind = LOG_ENTRY_COMMAND, .data = bytes, .size = size};
    return shared_entry_new(&entry);
}

static void append(struct log_tail *tail, replica_term term, size_t size)
{
    struct shared_entry *entry = entry_of(log_tail_last(tail) + 1, term, size);
    log_tail_append(tail, entry);
    assert_int_equal(entry->holders, 2);
    shared_entry_release(&entry);
}

static void append_many(struct log_tail *tail, replica_term term, size_t count)
{
    while (count-- > 0)
        append(tail, term, 10);
}

/* T1, by looking at all that it has and at what is beside it. */
static void assert_holds(const struct log_tail *tail, replica_index first, replica_index last)
{
    assert_int_equal(log_tail_first(tail), first);
    assert_int_equal(log_tail_last(tail), last);
    for (replica_index index = first; index <= last; index++) {
        const struct shared_entry *entry = log_tail_entry(tail, index);
        assert_non_null(entry);
        assert_int_equal(entry->entry.index, index);
    }
    assert_null(log_tail_entry(tail, first - 1));
    assert_null(log_tail_entry(tail, last + 1));
    assert_null(log_tail_entry(tail, 0));
    assert_null(log_tail_entry(tail, UINT64_MAX));
}

/* What its entries take. */
static size_t bytes_of(const struct log_tail *tail)
{
    size_t bytes = 0;
    for (replica_index index = log_tail_first(tail); index <= log_tail_last(tail); index++)
        bytes += sizeof(struct shared_entry) + log_tail_entry(tail, index)->entry.size;
    return bytes;
}

/* Behind a log that is on the disk there is nothing in memory, and all that comes is. */
static void test_it_begins_behind_the_log(void **state)
{
    (void)state;
    struct log_tail *tail = log_tail_new(41);
    assert_holds(tail, 42, 41);
    append(tail, 1, 0);
    append(tail, 2, 100);
    assert_holds(tail, 42, 43);
    assert_int_equal(log_tail_entry(tail, 43)->entry.term, 2);
    log_tail_destroy(&tail);
    assert_null(tail);
    log_tail_destroy(&tail);
}

/* It grows as far as it has to, from wherever its ends stand. */
static void test_it_grows(void **state)
{
    (void)state;
    struct log_tail *tail = log_tail_new(0);
    for (replica_index floor = 0; floor < 3000; floor += 7) {
        append_many(tail, 1, 20);
        log_tail_trim(tail, floor, 0);
        assert_holds(tail, floor + 1, log_tail_last(tail));
    }
    assert_int_equal(log_tail_last(tail), 20 * 429);
    log_tail_destroy(&tail);
}

/* Entries that were cut are replaced by others at the same indexes. */
static void test_a_cut_takes_off_the_end(void **state)
{
    (void)state;
    struct log_tail *tail = log_tail_new(10);
    append_many(tail, 1, 5);
    log_tail_cut(tail, 16);
    assert_holds(tail, 11, 15);
    log_tail_cut(tail, 13);
    assert_holds(tail, 11, 12);
    append(tail, 2, 3);
    assert_holds(tail, 11, 13);
    assert_int_equal(log_tail_entry(tail, 13)->entry.term, 2);
    log_tail_destroy(&tail);
}

/* A cut may reach below what is in memory: then the log ends on the disk. */
static void test_a_cut_may_begin_on_the_disk(void **state)
{
    (void)state;
    struct log_tail *tail = log_tail_new(10);
    append_many(tail, 1, 5);
    log_tail_cut(tail, 4);
    assert_holds(tail, 4, 3);
    append(tail, 2, 0);
    assert_holds(tail, 4, 4);
    log_tail_cut(tail, 1);
    assert_holds(tail, 1, 0);
    log_tail_destroy(&tail);
}

/* T2: however many bytes there are, nothing above the floor goes; and nothing goes that has room. */
static void test_trimming_stops_at_the_floor_and_at_the_bound(void **state)
{
    (void)state;
    struct log_tail *tail = log_tail_new(0);
    append_many(tail, 1, 10);
    const size_t each = bytes_of(tail) / 10;
    log_tail_trim(tail, 10, 10 * each);
    assert_holds(tail, 1, 10);
    log_tail_trim(tail, 10, 10 * each - 1);
    assert_holds(tail, 2, 10);
    log_tail_trim(tail, 5, 0);
    assert_holds(tail, 6, 10);
    log_tail_trim(tail, 3, 0);
    assert_holds(tail, 6, 10);
    log_tail_trim(tail, UINT64_MAX, 0);
    assert_holds(tail, 11, 10);
    append(tail, 1, 0);
    assert_holds(tail, 11, 11);
    log_tail_destroy(&tail);
}

/* Under a load whose entries are all applied soon, it holds LOG_TAIL_BYTES_MAX and no more, be they
 * large or empty. */
static void test_memory_is_bounded_by_trimming(void **state)
{
    static const size_t sizes[] = {0, 200, ENTRY_BYTES_MAX};

    (void)state;
    struct log_tail *tail = log_tail_new(0);
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        const size_t each = sizeof(struct shared_entry) + sizes[i];
        for (size_t bytes = 0; bytes < 3 * LOG_TAIL_BYTES_MAX; bytes += each) {
            append(tail, 1, sizes[i]);
            log_tail_trim(tail, log_tail_last(tail), LOG_TAIL_BYTES_MAX);
        }
        assert_in_range(bytes_of(tail), LOG_TAIL_BYTES_MAX - each + 1, LOG_TAIL_BYTES_MAX);
    }
    log_tail_destroy(&tail);
}

/* A snapshot takes the place of all. */
static void test_a_reset_forgets_everything(void **state)
{
    (void)state;
    struct log_tail *tail = log_tail_new(0);
    append_many(tail, 1, 100);
    log_tail_reset(tail, 5000);
    assert_holds(tail, 5001, 5000);
    append(tail, 9, 1);
    assert_holds(tail, 5001, 5001);
    log_tail_reset(tail, 2);
    assert_holds(tail, 3, 2);
    log_tail_destroy(&tail);
}

/* Who holds an entry keeps it, though the tail has let go of it. */
static void test_others_keep_what_they_hold(void **state)
{
    (void)state;
    struct log_tail *tail = log_tail_new(0);
    append(tail, 4, 10);
    struct shared_entry *entry = shared_entry_hold(log_tail_entry(tail, 1));
    log_tail_cut(tail, 1);
    assert_int_equal(entry->holders, 1);
    assert_int_equal(entry->entry.term, 4);
    shared_entry_release(&entry);
    log_tail_destroy(&tail);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_it_begins_behind_the_log),
        cmocka_unit_test(test_it_grows),
        cmocka_unit_test(test_a_cut_takes_off_the_end),
        cmocka_unit_test(test_a_cut_may_begin_on_the_disk),
        cmocka_unit_test(test_trimming_stops_at_the_floor_and_at_the_bound),
        cmocka_unit_test(test_memory_is_bounded_by_trimming),
        cmocka_unit_test(test_a_reset_forgets_everything),
        cmocka_unit_test(test_others_keep_what_they_hold),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
