/* Which pieces of a snapshot are asked for.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "broker/bus/limits.h"
#include "services/replica/snapshot_window.h"

#define CHUNK ((uint64_t)SNAPSHOT_CHUNK_BYTES)

/* Ask for all that may be asked for. Returns how many; the first one's place in *first. */
static size_t ask(struct snapshot_window *self, int64_t now_ms, uint64_t *first)
{
    size_t count = 0;
    uint64_t offset;
    uint32_t size;

    for (; snapshot_window_next(self, now_ms, &offset, &size); count++)
        if (count == 0)
            *first = offset;
    return count;
}

/* So many are asked for at once, and one more for each that comes. */
static void test_the_credit_is_kept(void **state)
{
    struct snapshot_window window;
    uint64_t first = 0;

    (void)state;
    snapshot_window_init(&window, 100 * CHUNK, 0);
    assert_int_equal(ask(&window, 0, &first), SNAPSHOT_CREDIT);
    assert_int_equal(first, 0);
    assert_int_equal(ask(&window, 1, &first), 0);
    assert_true(snapshot_window_take(&window, 0, SNAPSHOT_CHUNK_BYTES, 2));
    assert_true(snapshot_window_take(&window, CHUNK, SNAPSHOT_CHUNK_BYTES, 2));
    assert_int_equal(ask(&window, 2, &first), 2);
    assert_int_equal(first, SNAPSHOT_CREDIT * CHUNK);
}

/* The whole of a file comes, the last piece shorter than the others. */
static void test_a_file_comes_to_its_end(void **state)
{
    const uint64_t sizes[] = {1, CHUNK - 1, CHUNK, CHUNK + 1, 20 * CHUNK + 7};

    (void)state;
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        struct snapshot_window window;
        uint64_t offset;
        uint32_t size;
        uint64_t sum = 0;
        snapshot_window_init(&window, sizes[i], 0);
        while (snapshot_window_next(&window, 0, &offset, &size)) {
            assert_int_equal(offset, sum);
            assert_false(snapshot_window_done(&window));
            assert_true(snapshot_window_take(&window, offset, size, 0));
            sum += size;
        }
        assert_int_equal(sum, sizes[i]);
        assert_true(snapshot_window_done(&window));
        assert_false(snapshot_window_take(&window, sum, 1, 0));
    }
}

/* What does not follow, comes twice or has another length is not taken. */
static void test_other_pieces_are_dropped(void **state)
{
    struct snapshot_window window;
    uint64_t first = 0;

    (void)state;
    snapshot_window_init(&window, 10 * CHUNK + 5, 0);
    ask(&window, 0, &first);
    assert_false(snapshot_window_take(&window, CHUNK, SNAPSHOT_CHUNK_BYTES, 0));
    assert_false(snapshot_window_take(&window, 0, SNAPSHOT_CHUNK_BYTES - 1, 0));
    assert_true(snapshot_window_take(&window, 0, SNAPSHOT_CHUNK_BYTES, 0));
    assert_false(snapshot_window_take(&window, 0, SNAPSHOT_CHUNK_BYTES, 0));
    assert_false(snapshot_window_take(&window, UINT64_MAX, 5, 0));
}

/* What does not come is asked for again, from the first missing byte on. */
static void test_what_is_missing_is_asked_for_again(void **state)
{
    struct snapshot_window window;
    uint64_t first = 0;

    (void)state;
    snapshot_window_init(&window, 100 * CHUNK, 0);
    ask(&window, 0, &first);
    assert_true(snapshot_window_take(&window, 0, SNAPSHOT_CHUNK_BYTES, 100));
    assert_int_equal(ask(&window, 100, &first), 1);
    assert_int_equal(ask(&window, 99 + SNAPSHOT_ASK_AGAIN_MS, &first), 0);
    assert_int_equal(ask(&window, 100 + SNAPSHOT_ASK_AGAIN_MS, &first), SNAPSHOT_CREDIT);
    assert_int_equal(first, CHUNK);
    assert_int_equal(ask(&window, 101 + SNAPSHOT_ASK_AGAIN_MS, &first), 0);
    /* A late one is as good. */
    assert_true(
        snapshot_window_take(&window, CHUNK, SNAPSHOT_CHUNK_BYTES, 200 + SNAPSHOT_ASK_AGAIN_MS));
}

/* One that could not be sent counts as not asked for. */
static void test_what_was_not_sent_was_not_asked_for(void **state)
{
    struct snapshot_window window;
    uint64_t offset = 0;
    uint64_t first = 0;
    uint32_t size;

    (void)state;
    snapshot_window_init(&window, 100 * CHUNK, 0);
    assert_true(snapshot_window_next(&window, 0, &offset, &size));
    assert_true(snapshot_window_next(&window, 0, &offset, &size));
    snapshot_window_undo(&window, offset);
    assert_int_equal(ask(&window, 0, &first), SNAPSHOT_CREDIT - 1);
    assert_int_equal(first, CHUNK);
}

/* A fetch without progress is given up; each piece that comes begins the time anew, one that is
 * only asked for again does not. */
static void test_a_fetch_without_progress_ends(void **state)
{
    struct snapshot_window window;
    uint64_t first = 0;

    (void)state;
    snapshot_window_init(&window, 100 * CHUNK, 1000);
    ask(&window, 1000, &first);
    ask(&window, 1000 + SNAPSHOT_STALL_MS - 1, &first);
    assert_false(snapshot_window_stalled(&window, 1000 + SNAPSHOT_STALL_MS - 1));
    assert_true(snapshot_window_stalled(&window, 1000 + SNAPSHOT_STALL_MS));
    assert_true(snapshot_window_take(&window, 0, SNAPSHOT_CHUNK_BYTES, 5000));
    assert_false(snapshot_window_stalled(&window, 5000 + SNAPSHOT_STALL_MS - 1));
    assert_true(snapshot_window_stalled(&window, 5000 + SNAPSHOT_STALL_MS));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_credit_is_kept),
        cmocka_unit_test(test_a_file_comes_to_its_end),
        cmocka_unit_test(test_other_pieces_are_dropped),
        cmocka_unit_test(test_what_is_missing_is_asked_for_again),
        cmocka_unit_test(test_what_was_not_sent_was_not_asked_for),
        cmocka_unit_test(test_a_fetch_without_progress_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
