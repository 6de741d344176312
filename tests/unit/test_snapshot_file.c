/* Snapshots as files: a copy of one moment, that counts only as long as it is what its mark says.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <sqlite3.h>

#include "broker/bus/err.h"
#include "services/replica/snapshot_file.h"
#include "tests/lib/files.h"

struct fixture {
    char *directory;
    char *state; /* the machine's store */
    sqlite3 *db; /* the machine's connection to it */
    char *error;
    atomic_bool stop;
};

static void run(sqlite3 *db, const char *sql)
{
    char *error = NULL;
    if (sqlite3_exec(db, sql, NULL, NULL, &error) != SQLITE_OK)
        fail_msg("%s: %s", sql, error);
}

static sqlite3 *open_store(const char *path)
{
    sqlite3 *db;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    run(db, "PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF;"
            "CREATE TABLE IF NOT EXISTS item (id INTEGER PRIMARY KEY, title TEXT)");
    return db;
}

static void add(sqlite3 *db, int from, int to)
{
    char sql[256];
    snprintf(sql, sizeof sql,
             "WITH RECURSIVE n(i) AS (VALUES (%d) UNION ALL SELECT i + 1 FROM n WHERE i < %d)"
             " INSERT INTO item SELECT i, printf('%%.200d', i) FROM n",
             from, to);
    run(db, sql);
}

static int64_t ask(sqlite3 *db, const char *sql)
{
    sqlite3_stmt *statement;
    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &statement, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
    int64_t number = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    return number;
}

static int setup(void **state)
{
    struct fixture *self = calloc(1, sizeof *self);
    self->directory = files_new_directory();
    self->state = files_path(self->directory, "state.db");
    self->db = open_store(self->state);
    *state = self;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *self = *state;
    sqlite3_close(self->db);
    free(self->state);
    free(self->error);
    files_remove_directory(&self->directory);
    free(self);
    return 0;
}

/* ---- Helpers ------------------------------------------------------------------------------- */

static struct snapshot_mark mark_at(replica_index index)
{
    return (struct snapshot_mark){.index = index, .term = 2};
}

static bool has(struct fixture *self, const char *name)
{
    char *path = files_path(self->directory, name);
    bool there = files_exist(path);
    free(path);
    return there;
}

static void put(struct fixture *self, const char *name)
{
    char *path = files_path(self->directory, name);
    files_write(path, "x");
    free(path);
}

/* Take a snapshot of what the store holds now, and give it its name. */
static struct snapshot_mark take(struct fixture *self, replica_index index)
{
    struct snapshot_mark mark = mark_at(index);
    struct snapshot_pin *pin = NULL;
    char *path = files_path(self->directory, SNAPSHOT_TAKING);

    assert_int_equal(snapshot_pin_open(self->state, &pin, &self->error), 0);
    assert_int_equal(snapshot_file_copy(pin, path, &mark, &self->stop, &self->error), 0);
    snapshot_pin_close(&pin);
    assert_int_equal(snapshot_file_keep(self->directory, path, &mark, &self->error), 0);
    free(path);
    return mark;
}

static int restore(struct fixture *self, const struct snapshot_mark *mark)
{
    free(self->error);
    self->error = NULL;
    return snapshot_file_restore(self->directory, mark, &self->error);
}

static void remove_state(struct fixture *self)
{
    const char *const names[] = {"state.db", "state.db-wal", "state.db-shm"};
    sqlite3_close(self->db);
    self->db = NULL;
    for (size_t i = 0; i < 3; i++)
        if (has(self, names[i])) {
            char *path = files_path(self->directory, names[i]);
            files_remove(path);
            free(path);
        }
}

/* ---- Taking and restoring ------------------------------------------------------------------ */

/* A snapshot holds what the store held when it was pinned, whatever is written meanwhile, and needs
 * no other file. */
static void test_a_snapshot_is_of_one_moment(void **state)
{
    struct fixture *self = *state;
    struct snapshot_pin *pin = NULL;
    struct snapshot_mark mark = mark_at(5);
    char *path = files_path(self->directory, SNAPSHOT_TAKING);
    char *elsewhere = files_path(self->directory, "elsewhere.db");
    sqlite3 *copy;

    add(self->db, 1, 3000);
    assert_int_equal(snapshot_pin_open(self->state, &pin, &self->error), 0);
    add(self->db, 3001, 9000);
    run(self->db, "UPDATE item SET title = 'late'; PRAGMA wal_checkpoint");
    uint64_t bytes = snapshot_pin_bytes(pin);
    assert_int_equal(snapshot_file_copy(pin, path, &mark, &self->stop, &self->error), 0);
    snapshot_pin_close(&pin);
    assert_int_equal(mark.bytes, bytes);
    assert_int_equal(mark.bytes, files_size(path));

    files_copy(path, elsewhere);
    assert_int_equal(sqlite3_open(elsewhere, &copy), SQLITE_OK);
    assert_int_equal(ask(copy, "SELECT count(*) FROM item WHERE title <> 'late'"), 3000);
    assert_int_equal(ask(copy, "SELECT count(*) FROM item"), 3000);
    assert_int_equal(ask(copy, "SELECT count(*) FROM pragma_integrity_check"
                               " WHERE integrity_check <> 'ok'"),
                     0);
    sqlite3_close(copy);
    assert_int_equal(ask(self->db, "SELECT count(*) FROM item"), 9000);
    free(elsewhere);
    free(path);
}

/* It takes the place of the store, which then is what it was when the snapshot was taken. */
static void test_a_store_is_restored(void **state)
{
    struct fixture *self = *state;

    add(self->db, 1, 1000);
    struct snapshot_mark mark = take(self, 7);
    run(self->db, "DELETE FROM item");
    remove_state(self);
    assert_int_equal(restore(self, &mark), 0);
    assert_false(has(self, "state.db"));
    assert_int_equal(snapshot_file_put_in_place(self->directory, &self->error), 0);
    assert_false(has(self, SNAPSHOT_RESTORED));
    self->db = open_store(self->state);
    assert_int_equal(ask(self->db, "SELECT count(*) FROM item"), 1000);
    add(self->db, 1001, 1002);
    /* The snapshot itself is untouched, and good for another time. */
    assert_int_equal(restore(self, &mark), 0);
}

/* One that is taken on is left alone when it is stopped. */
static void test_a_copy_can_be_stopped(void **state)
{
    struct fixture *self = *state;
    struct snapshot_pin *pin = NULL;
    struct snapshot_mark mark = mark_at(5);
    char *path = files_path(self->directory, SNAPSHOT_TAKING);

    add(self->db, 1, 1000);
    atomic_store(&self->stop, true);
    assert_int_equal(snapshot_pin_open(self->state, &pin, &self->error), 0);
    assert_int_equal(snapshot_file_copy(pin, path, &mark, &self->stop, &self->error), ERR_STORAGE);
    snapshot_pin_close(&pin);
    free(path);
}

/* A pin that outlives the store that it was set on leaves the next one's files alone. */
static void test_a_pin_leaves_the_next_store_alone(void **state)
{
    struct fixture *self = *state;
    struct snapshot_pin *pin = NULL;

    add(self->db, 1, 10);
    assert_int_equal(snapshot_pin_open(self->state, &pin, &self->error), 0);
    remove_state(self);
    self->db = open_store(self->state);
    add(self->db, 1, 20);
    assert_true(has(self, "state.db-wal"));
    snapshot_pin_close(&pin);
    assert_true(has(self, "state.db-wal"));
    assert_int_equal(ask(self->db, "SELECT count(*) FROM item"), 20);
}

/* ---- What is refused ----------------------------------------------------------------------- */

/* A bit turned over anywhere, a byte less or more, or no file at all: refused, and it is said how to
 * go on. */
static void test_a_damaged_snapshot_is_refused(void **state)
{
    struct fixture *self = *state;

    add(self->db, 1, 300);
    struct snapshot_mark mark = take(self, 7);
    char *path = snapshot_file_path(self->directory, &mark);
    char *copy = files_path(self->directory, "copy");
    files_copy(path, copy);
    for (size_t offset = 0; offset < mark.bytes; offset += 997) {
        files_flip(path, offset, (unsigned char)(1 << offset % 8));
        assert_int_equal(restore(self, &mark), ERR_CORRUPT);
        assert_non_null(strstr(self->error, "is damaged"));
        assert_non_null(strstr(self->error, "re-seeded"));
        files_flip(path, offset, (unsigned char)(1 << offset % 8));
    }
    assert_int_equal(restore(self, &mark), 0);
    files_truncate(path, mark.bytes - 1);
    assert_int_equal(restore(self, &mark), ERR_CORRUPT);
    files_copy(copy, path);
    files_truncate(path, mark.bytes + 1);
    assert_int_equal(restore(self, &mark), ERR_CORRUPT);
    files_remove(path);
    assert_int_equal(restore(self, &mark), ERR_CORRUPT);
    assert_non_null(strstr(self->error, "re-seeded"));
    free(path);
    free(copy);
}

/* What is not there can't be pinned; and a snapshot that finds no room is not begun. */
static void test_what_can_not_be_begun_is_told(void **state)
{
    struct fixture *self = *state;
    struct snapshot_pin *pin = NULL;
    char *absent = files_path(self->directory, "absent.db");

    assert_int_equal(snapshot_pin_open(absent, &pin, &self->error), ERR_STORAGE);
    assert_non_null(strstr(self->error, absent));
    assert_null(pin);
    free(self->error);
    assert_int_equal(snapshot_file_fits(self->directory, 1000, 1, &self->error), 0);
    assert_int_equal(snapshot_file_fits(self->directory, UINT64_C(1) << 60, 1, &self->error),
                     ERR_STORAGE);
    assert_non_null(strstr(self->error, "no room"));
    free(self->error);
    assert_int_equal(snapshot_file_fits(self->directory, 1000, INT64_MAX, &self->error),
                     ERR_STORAGE);
    free(absent);
}

/* ---- Removing ------------------------------------------------------------------------------ */

/* At a start all goes but the log's own snapshot; and nothing that is none. */
static void test_leftovers_are_removed(void **state)
{
    struct fixture *self = *state;
    const char *const gone[] = {"snapshot-3-2-00000000.db",
                                "snapshot-9-2-00000000.db",
                                "snapshot-7-2-00000001.db",
                                "snapshot-7-2-00000000.db-wal",
                                SNAPSHOT_TAKING,
                                SNAPSHOT_FETCHING,
                                SNAPSHOT_RESTORED,
                                SNAPSHOT_RESTORED "-wal"};
    const char *const stays[] = {"log.db", "log.mark", "identity", "snapshot-7-2-00000000.db"};
    struct snapshot_mark mark = mark_at(7);

    for (size_t i = 0; i < sizeof gone / sizeof gone[0]; i++)
        put(self, gone[i]);
    for (size_t i = 0; i < sizeof stays / sizeof stays[0]; i++)
        put(self, stays[i]);
    assert_int_equal(snapshot_file_remove_others(self->directory, &mark, &self->error), 0);
    for (size_t i = 0; i < sizeof gone / sizeof gone[0]; i++)
        assert_false(has(self, gone[i]));
    for (size_t i = 0; i < sizeof stays / sizeof stays[0]; i++)
        assert_true(has(self, stays[i]));
    assert_int_equal(snapshot_file_remove_others(self->directory, NULL, &self->error), 0);
    assert_false(has(self, stays[3]));
    assert_true(has(self, "state.db"));
}

/* When a later one counts, those before it go; one that is above it, and what is being made, stay. */
static void test_older_ones_are_removed(void **state)
{
    struct fixture *self = *state;
    struct snapshot_mark mark = mark_at(70);

    put(self, "snapshot-7-2-00000000.db");
    put(self, "snapshot-69-2-00000000.db");
    put(self, "snapshot-70-2-00000000.db");
    put(self, "snapshot-100-2-00000000.db");
    put(self, SNAPSHOT_FETCHING);
    assert_int_equal(snapshot_file_remove_older(self->directory, &mark, &self->error), 0);
    assert_false(has(self, "snapshot-7-2-00000000.db"));
    assert_false(has(self, "snapshot-69-2-00000000.db"));
    assert_true(has(self, "snapshot-70-2-00000000.db"));
    assert_true(has(self, "snapshot-100-2-00000000.db"));
    assert_true(has(self, SNAPSHOT_FETCHING));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_snapshot_is_of_one_moment),   TEST(test_a_store_is_restored),
        TEST(test_a_copy_can_be_stopped),         TEST(test_a_pin_leaves_the_next_store_alone),
        TEST(test_a_damaged_snapshot_is_refused), TEST(test_what_can_not_be_begun_is_told),
        TEST(test_leftovers_are_removed),         TEST(test_older_ones_are_removed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
