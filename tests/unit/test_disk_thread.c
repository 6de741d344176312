/* The disk thread: what goes to it comes back durable, in order, snapshots among the entries.
 * What happens when the disk fails is in test_replica.c and test_crash_disk.c.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <czmq.h>

#include "services/replica/disk_thread.h"
#include "tests/lib/fault_vfs.h"
#include "tests/lib/files.h"

#define VFS "fault-disk-thread"

struct fixture {
    char *directory;
    char *path;
    char *mark;
    struct fault_vfs *vfs;
    struct disk_thread *disk;
};

static const struct membership alone = {
    .count = 1,
    .members = {{.id = 1, .role = MEMBER_VOTER, .address = "catalog-1 tcp://h:1 tcp://h:2"}},
};

static struct log_store_options options_of(struct fixture *self)
{
    return (struct log_store_options){
        .path = self->path,
        .mark_path = self->mark,
        .vfs = VFS,
        .identity = {.uuid = "c1", .group = "catalog", .replica_id = 1},
        .check = true,
        .origin = LOG_STORE_FOUND,
        .founders = &alone,
    };
}

static int setup(void **state)
{
    struct fixture *self = calloc(1, sizeof *self);
    char *error = NULL;

    self->directory = files_new_directory();
    self->path = files_path(self->directory, "log.db");
    self->mark = files_path(self->directory, "log.mark");
    self->vfs = fault_vfs_new(VFS, false);
    struct log_store_options options = options_of(self);
    assert_int_equal(disk_thread_new(&options, NULL, &self->disk, &error), 0);
    *state = self;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *self = *state;

    disk_thread_destroy(&self->disk);
    fault_vfs_destroy(&self->vfs);
    free(self->path);
    free(self->mark);
    files_remove_directory(&self->directory);
    free(self);
    return 0;
}

static struct log_state reopen(struct fixture *self)
{
    struct log_store_options options = options_of(self);
    struct log_store *store = NULL;
    char *error = NULL;

    disk_thread_destroy(&self->disk);
    if (log_store_open(&options, &store, &error) != 0)
        fail_msg("%s", error);
    struct log_state state = log_store_state(store);
    log_store_close(&store);
    return state;
}

static void fill(struct log_entry *entries, replica_index from, size_t count)
{
    for (size_t i = 0; i < count; i++)
        entries[i] = (struct log_entry){
            .index = from + i, .term = 2, .kind = LOG_ENTRY_BARRIER, .log_time_ms = 5};
}

static struct snapshot_mark mark_of(replica_index index)
{
    return (struct snapshot_mark){
        .index = index,
        .term = 2,
        .log_time_ms = 5,
        .membership = alone,
        .membership_index = 1,
        .bytes = 9,
    };
}

/* Take all that is under way; they come in the order of @batches. */
static void take(struct fixture *self, struct disk_batch *batches, size_t count)
{
    size_t i = 0;

    while (disk_thread_pending(self->disk) > 0)
        for (struct disk_batch *batch = disk_thread_wait(self->disk); batch != NULL;
             batch = batch->next)
            assert_ptr_equal(batch, &batches[i++]);
    assert_int_equal(i, count);
}

/* A snapshot that is taken cuts the front, one that is installed replaces what stands before it in
 * the queue, and what stands behind it follows it, in the same transaction or another. */
static void test_snapshots_go_among_the_entries(void **state)
{
    struct fixture *self = *state;
    struct log_entry entries[20];
    struct snapshot_mark taken = mark_of(8);
    struct snapshot_mark installed = mark_of(100);
    struct disk_batch batches[] = {
        {.term = 2, .vote = 1, .entries = entries, .count = 15},
        {.snapshot_kind = DISK_SNAPSHOT_TAKEN, .snapshot = &taken, .keep_from = 5},
        {.snapshot_kind = DISK_SNAPSHOT_INSTALLED, .snapshot = &installed},
        {.entries = &entries[15], .count = 5},
    };

    fill(entries, 2, 15);
    fill(&entries[15], 101, 5);
    disk_thread_put(self->disk, &batches[0]);
    take(self, batches, 1);
    fault_vfs_hold(self->vfs, true);
    for (size_t i = 1; i < 4; i++)
        disk_thread_put(self->disk, &batches[i]);
    fault_vfs_hold(self->vfs, false);
    take(self, &batches[1], 3);
    struct log_state log = reopen(self);
    assert_int_equal(log.snapshot_index, 100);
    assert_int_equal(log.first_index, 101);
    assert_int_equal(log.last_index, 105);
    assert_int_equal(log.term, 2);
}

/* One batch may bring a term, a snapshot and what follows it. */
static void test_a_batch_may_hold_all(void **state)
{
    struct fixture *self = *state;
    struct log_entry entries[2];
    struct snapshot_mark installed = mark_of(50);
    struct disk_batch batch = {
        .term = 2,
        .snapshot_kind = DISK_SNAPSHOT_INSTALLED,
        .snapshot = &installed,
        .entries = entries,
        .count = 2,
    };

    fill(entries, 51, 2);
    disk_thread_put(self->disk, &batch);
    take(self, &batch, 1);
    struct log_state log = reopen(self);
    assert_int_equal(log.snapshot_index, 50);
    assert_int_equal(log.first_index, 51);
    assert_int_equal(log.last_index, 52);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_snapshots_go_among_the_entries),
        TEST(test_a_batch_may_hold_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
