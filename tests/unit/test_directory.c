/* The data directory: made, locked, identified; the machine's store removed at each start.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "broker/bus/err.h"
#include "broker/bus/limits.h"
#include "services/replica/directory.h"
#include "tests/lib/files.h"

struct fixture {
    char *parent;
    char *path; /* of the directory, not there yet */
    struct directory *directory;
    char *error;
};

static int setup(void **state)
{
    struct fixture *self = calloc(1, sizeof *self);
    self->parent = files_new_directory();
    self->path = files_path(self->parent, "data");
    *state = self;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *self = *state;
    directory_close(&self->directory);
    free(self->error);
    free(self->path);
    files_remove_directory(&self->parent);
    free(self);
    return 0;
}

static int open_as(struct fixture *self, const char *uuid, const char *group, uint64_t id,
                   struct directory **directory)
{
    struct directory_identity identity = {.uuid = uuid, .group = group, .replica_id = id};
    free(self->error);
    self->error = NULL;
    return directory_open(self->path, &identity, 1, directory, &self->error);
}

static int reopen(struct fixture *self)
{
    directory_close(&self->directory);
    return open_as(self, "c1", "catalog", 1, &self->directory);
}

static char *inside(struct fixture *self, const char *name)
{
    return files_path(self->path, name);
}

static bool has(struct fixture *self, const char *name)
{
    char *path = inside(self, name);
    bool there = files_exist(path);
    free(path);
    return there;
}

static void put(struct fixture *self, const char *name, const char *text)
{
    char *path = inside(self, name);
    files_write(path, text);
    free(path);
}

/* An absent directory is made, and is nobody else's to read. */
static void test_it_is_made_for_its_owner_alone(void **state)
{
    struct fixture *self = *state;
    struct stat status;

    assert_int_equal(reopen(self), 0);
    assert_int_equal(stat(self->path, &status), 0);
    assert_int_equal(status.st_mode & 07777, 0700);
}

/* What can't be a directory is told by name. */
static void test_a_path_that_is_no_directory_is_refused(void **state)
{
    struct fixture *self = *state;

    files_write(self->path, "a file");
    assert_int_equal(reopen(self), ERR_STORAGE);
    assert_non_null(strstr(self->error, self->path));
    files_remove(self->path);
    free(self->path);
    self->path = files_path(self->parent, "absent/data");
    assert_int_equal(reopen(self), ERR_STORAGE);
}

/* It is one process' at a time; the message names the holder. The lock ends with its holder. */
static void test_it_is_locked(void **state)
{
    struct fixture *self = *state;
    struct directory *second = NULL;
    char pid[32];

    assert_int_equal(reopen(self), 0);
    assert_int_equal(open_as(self, "c1", "catalog", 1, &second), ERR_LOCKED);
    assert_null(second);
    snprintf(pid, sizeof pid, "pid %ld", (long)getpid());
    assert_non_null(strstr(self->error, pid));
    directory_close(&self->directory);
    assert_int_equal(open_as(self, "c1", "catalog", 1, &self->directory), 0);
}

/* It belongs to one replica of one group of one cluster. */
static void test_another_ones_directory_is_refused(void **state)
{
    struct fixture *self = *state;
    struct directory *other = NULL;

    assert_int_equal(reopen(self), 0);
    directory_close(&self->directory);
    assert_int_equal(open_as(self, "c2", "catalog", 1, &other), ERR_MISMATCH);
    assert_int_equal(open_as(self, "c1", "order", 1, &other), ERR_MISMATCH);
    assert_int_equal(open_as(self, "c1", "catalog", 2, &other), ERR_MISMATCH);
    assert_int_equal(open_as(self, "c1", "catalog", 11, &other), ERR_MISMATCH);
    assert_int_equal(reopen(self), 0);
}

/* A log without an identity is not adopted. */
static void test_a_log_without_identity_is_refused(void **state)
{
    struct fixture *self = *state;

    assert_int_equal(reopen(self), 0);
    put(self, "log.db", "");
    char *identity = inside(self, "identity");
    files_remove(identity);
    free(identity);
    assert_int_equal(reopen(self), ERR_CORRUPT);
    assert_non_null(strstr(self->error, "re-seeded"));
}

/* Nothing of the machine's store outlives the process that made it; the log does. */
static void test_state_is_removed(void **state)
{
    static const char *const names[] = {"state.db", "state.db-wal", "state.db-shm",
                                        "state.db-journal"};
    struct fixture *self = *state;

    assert_int_equal(reopen(self), 0);
    put(self, "log.db", "x");
    for (size_t i = 0; i < 4; i++)
        put(self, names[i], "x");
    for (int twice = 0; twice < 2; twice++)
        assert_int_equal(directory_remove_state(self->directory, &self->error), 0);
    for (size_t i = 0; i < 4; i++)
        assert_false(has(self, names[i]));
    assert_true(has(self, "log.db"));
}

/* What can't be removed is told by name: the machine must not begin with it. */
static void test_state_that_stays_is_told(void **state)
{
    struct fixture *self = *state;
    char *path = inside(self, "state.db");

    assert_int_equal(reopen(self), 0);
    assert_int_equal(mkdir(path, 0700), 0);
    assert_int_equal(directory_remove_state(self->directory, &self->error), ERR_STORAGE);
    assert_non_null(strstr(self->error, path));
    free(path);
}

/* Space is low when less is free than was asked for. */
static void test_too_little_free_space_is_told(void **state)
{
    struct fixture *self = *state;
    struct directory_identity identity = {.uuid = "c1", .group = "catalog", .replica_id = 1};

    assert_int_equal(reopen(self), 0);
    assert_false(directory_space_low(self->directory, 0));
    directory_close(&self->directory);
    assert_int_equal(
        directory_open(self->path, &identity, INT64_MAX, &self->directory, &self->error), 0);
    assert_true(directory_space_low(self->directory, 0));
    assert_true(directory_space_low(self->directory, DISK_CHECK_MS));
}

/* What is synced is the directory that a path stands in, whether slashes follow its last name or not.
 * (That name is absent here, so that nothing else could be synced in its place.) */
static void test_the_parent_of_a_path_is_synced(void **state)
{
    static const char *const tails[] = {"data", "data/", "data///"};
    struct fixture *self = *state;

    for (size_t i = 0; i < sizeof tails / sizeof tails[0]; i++) {
        char *path = files_path(self->parent, tails[i]);
        assert_int_equal(directory_sync_parent(path, &self->error), 0);
        free(path);
    }
    assert_int_equal(directory_sync_parent("absent/data//", &self->error), ERR_STORAGE);
    assert_non_null(strstr(self->error, "directory absent can't"));
    assert_int_equal(directory_sync_parent("data/", &self->error), 0);
    assert_int_equal(directory_sync_parent("/data/", &self->error), 0);
    assert_int_equal(directory_sync_parent("//", &self->error), 0);
}

/* It can be asked whether a replica's log is there before anything is made. */
static void test_whether_there_is_a_log(void **state)
{
    struct fixture *self = *state;

    assert_false(directory_holds_log(self->path));
    assert_int_equal(reopen(self), 0);
    assert_string_equal(directory_path(self->directory), self->path);
    assert_false(directory_holds_log(self->path));
    put(self, "log.db", "");
    assert_true(directory_holds_log(self->path));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_it_is_made_for_its_owner_alone),
        TEST(test_a_path_that_is_no_directory_is_refused),
        TEST(test_it_is_locked),
        TEST(test_another_ones_directory_is_refused),
        TEST(test_a_log_without_identity_is_refused),
        TEST(test_state_is_removed),
        TEST(test_state_that_stays_is_told),
        TEST(test_too_little_free_space_is_told),
        TEST(test_the_parent_of_a_path_is_synced),
        TEST(test_whether_there_is_a_log),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
