/* The digest of a database: what is kept up is what counting gives, whatever was done.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "broker/bus/err.h"
#include "services/replica/digest.h"

static const char schema[] =
    "CREATE TABLE mark (id INTEGER PRIMARY KEY, applied INTEGER);"
    "INSERT INTO mark VALUES (1, 0);"
    "CREATE TABLE plain (id INTEGER PRIMARY KEY, name TEXT, data BLOB, price REAL, extra);"
    "CREATE UNIQUE INDEX plain_name ON plain (name);"
    "CREATE TABLE hidden (key TEXT NOT NULL UNIQUE, value INTEGER);"
    "CREATE TABLE keyed (one INTEGER, two TEXT, value TEXT, PRIMARY KEY (two, one)) WITHOUT ROWID;"
    "CREATE VIRTUAL TABLE words USING fts5 (name, content = 'plain', content_rowid = 'id');";

static const char *const left_out[] = {"mark"};

struct fixture {
    sqlite3 *database;
    struct digest *digest;
    uint64_t random;
};

static uint64_t draw(struct fixture *self, uint64_t below)
{
    self->random = self->random * UINT64_C(6364136223846793005) + 1442695040888963407u;
    return (self->random >> 33) % below;
}

static void run(struct fixture *self, const char *text)
{
    if (sqlite3_exec(self->database, text, NULL, NULL, NULL) != SQLITE_OK)
        fail_msg("%s: %s", text, sqlite3_errmsg(self->database));
}

static struct fixture *fixture_new(uint64_t seed)
{
    struct fixture *self = calloc(1, sizeof *self);
    self->random = seed;
    assert_int_equal(sqlite3_open(":memory:", &self->database), SQLITE_OK);
    run(self, schema);
    self->digest = digest_open(self->database, left_out, 1, NULL);
    assert_non_null(self->digest);
    return self;
}

static void fixture_destroy(struct fixture *self)
{
    digest_close(&self->digest);
    assert_int_equal(sqlite3_close(self->database), SQLITE_OK);
    free(self);
}

static int set_up(void **state)
{
    *state = fixture_new(1);
    return 0;
}

static int tear_down(void **state)
{
    fixture_destroy(*state);
    return 0;
}

/* What is kept up must be what counting gives; returns it. */
static uint64_t checked(struct fixture *self)
{
    uint64_t counted = 0;
    assert_true(digest_sound(self->digest));
    assert_true(digest_count(self->digest, &counted));
    assert_true(digest_value(self->digest) == counted);
    return counted;
}

/* A value of any type, as SQL. */
static char *draw_value(struct fixture *self)
{
    switch (draw(self, 7)) {
    case 0: return sqlite3_mprintf("NULL");
    case 1: return sqlite3_mprintf("%lld", (long long)draw(self, 5) - 2);
    case 2: return sqlite3_mprintf("%lld", (long long)(draw(self, 1u << 30) << 33));
    case 3: return sqlite3_mprintf("%lld.0", (long long)draw(self, 9) - 4);
    case 4: return sqlite3_mprintf("%lld.25", (long long)draw(self, 9));
    case 5: return sqlite3_mprintf("zeroblob(%lld)", (long long)draw(self, 20));
    default: return sqlite3_mprintf("'%.*c'", (int)draw(self, 40), 'a' + (int)draw(self, 4));
    }
}

/* One statement of many kinds; some hit no row, or many. */
static char *draw_statement(struct fixture *self)
{
    char *v = draw_value(self), *w = draw_value(self);
    int a = (int)draw(self, 12), b = (int)draw(self, 12);
    char *text = NULL;

    switch (draw(self, 12)) {
    case 0:
        text = sqlite3_mprintf("INSERT OR IGNORE INTO plain VALUES (%d, 'n%d', %s, %d, %s)", a, b,
                               v, b, w);
        break;
    case 1: /* which may replace two rows */
        text = sqlite3_mprintf("INSERT OR REPLACE INTO plain VALUES (%d, 'n%d', %s, %s, 0)", a, b,
                               v, w);
        break;
    case 2:
        text = sqlite3_mprintf("INSERT INTO plain (name, extra) VALUES ('n%d', %s)"
                               " ON CONFLICT (name) DO UPDATE SET extra = %s",
                               b, v, w);
        break;
    case 3: text = sqlite3_mprintf("UPDATE plain SET price = %d, data = %s", a, v); break;
    case 4: text = sqlite3_mprintf("UPDATE OR IGNORE plain SET id = %d WHERE id = %d", a, b); break;
    case 5: text = sqlite3_mprintf("DELETE FROM plain WHERE id > %d", a); break;
    case 6:
        text = sqlite3_mprintf("INSERT OR REPLACE INTO keyed VALUES (%d, 'k%d', %s)", a, b % 3, v);
        break;
    case 7:
        text = sqlite3_mprintf(
            "UPDATE OR REPLACE keyed SET one = one + 1, value = %s WHERE one < %d", v, a);
        break;
    case 8: text = sqlite3_mprintf("DELETE FROM keyed WHERE one = %d", a); break;
    case 9: text = sqlite3_mprintf("INSERT OR REPLACE INTO hidden VALUES ('h%d', %d)", a, b); break;
    case 10:
        text = sqlite3_mprintf("UPDATE hidden SET value = value + 1 WHERE value < %d", b);
        break;
    default:
        text =
            sqlite3_mprintf("DELETE FROM %s", (const char *[]){"plain", "keyed", "hidden"}[a % 3]);
    }
    sqlite3_free(v);
    sqlite3_free(w);
    return text;
}

/* Property: after any statements, in transactions or not, some undone, the sum is the counted one. */
static void test_what_is_kept_up_is_what_counting_gives(void **state)
{
    uint64_t changes = 0;
    (void)state;
    for (uint64_t seed = 1; seed <= 40; seed++) {
        struct fixture *self = fixture_new(seed);
        uint64_t before = 0;
        for (int i = 0; i < 150; i++) {
            char *text = draw_statement(self);
            bool undo = draw(self, 5) == 0;
            uint64_t value = digest_value(self->digest);
            run(self, "SAVEPOINT here");
            run(self, text);
            if (undo) {
                run(self, "ROLLBACK TO here");
                digest_return(self->digest, value);
            }
            run(self, "RELEASE here");
            sqlite3_free(text);
            uint64_t now = checked(self);
            changes += now != before;
            before = now;
        }
        fixture_destroy(self);
    }
    assert_true(changes > 2000);
}

/* Property: the same for statements whose columns are known beforehand, each run any number of times with
 * others in between: of every kind of update, also of a key, of an upsert, of several columns, one of
 * which hits the row's conflict with another. */
static void test_what_statements_set_is_all_that_changes(void **state)
{
    static const char *const texts[] = {
        "UPDATE plain SET price = ?2 WHERE id = ?1",
        "UPDATE plain SET extra = ?2, name = 'n' || ?2 WHERE id < ?1 AND name <> 'n' || ?2",
        "UPDATE OR REPLACE plain SET name = 'n' || ?2 WHERE id = ?1",
        "UPDATE OR REPLACE plain SET id = ?2 WHERE id = ?1",
        "UPDATE OR REPLACE plain SET rowid = ?2, extra = 7 WHERE id = ?1",
        ("INSERT INTO plain (id, name, extra) VALUES (?1, 'n' || ?1, ?2)"
         " ON CONFLICT (id) DO UPDATE SET extra = ?2, data = x'00'"),
        "INSERT OR REPLACE INTO plain VALUES (?1, 'n' || ?2, NULL, ?2, ?1)",
        "DELETE FROM plain WHERE id = ?1 AND ?2 = 0",
        "UPDATE keyed SET value = ?2 WHERE one = ?1",
        "UPDATE OR REPLACE keyed SET one = ?2 WHERE one = ?1",
        "INSERT OR IGNORE INTO keyed VALUES (?1, 'k' || (?2 % 3), ?2)",
        "INSERT INTO hidden VALUES ('h' || ?1, ?2) ON CONFLICT DO UPDATE SET value = value + 1",
        "UPDATE hidden SET value = ?2 WHERE key = 'h' || ?1",
        "SELECT * FROM plain WHERE id = ?1 OR id = ?2",
    };
    enum { COUNT = sizeof texts / sizeof texts[0] };
    sqlite3_stmt *statements[COUNT];
    struct fixture *self = *state;
    uint64_t changes = 0, before = 0;
    for (size_t i = 0; i < COUNT; i++)
        assert_int_equal(digest_prepare(self->digest, texts[i], &statements[i]), SQLITE_OK);
    for (int i = 0; i < 6000; i++) {
        sqlite3_stmt *statement = statements[draw(self, COUNT)];
        for (int parameter = 1; parameter <= 2; parameter++)
            sqlite3_bind_int64(statement, parameter, (sqlite3_int64)draw(self, 12));
        while (digest_step(self->digest, statement) == SQLITE_ROW)
            continue;
        if (sqlite3_reset(statement) != SQLITE_OK) /* at a constraint: what it did is undone */
            digest_return(self->digest, before);
        uint64_t now = checked(self);
        changes += now != before;
        before = now;
    }
    for (size_t i = 0; i < COUNT; i++)
        sqlite3_finalize(statements[i]);
    assert_true(changes > 2000);
}

/* Two databases with the same rows have the same digest, however they came by them; the row that says
 * how far the entries are applied is left out, and so are the segments of full-text search. */
static void test_the_way_there_does_not_count(void **state)
{
    struct fixture *one = *state, *other = fixture_new(2);
    run(one, "INSERT INTO plain VALUES (1, 'a', NULL, 1.5, 2), (2, 'b', x'00', 3, 'x');"
             "INSERT INTO words (rowid, name) VALUES (1, 'a'), (2, 'b');"
             "INSERT INTO hidden VALUES ('k', 1), ('l', 2);"
             "INSERT INTO keyed VALUES (1, 'x', 'y')");
    run(other, "INSERT INTO hidden VALUES ('other', 7); DELETE FROM hidden;"
               "INSERT INTO keyed VALUES (1, 'x', 'z'); UPDATE keyed SET value = 'y';"
               "INSERT INTO hidden VALUES ('l', 2); INSERT INTO hidden VALUES ('k', 1);"
               "INSERT INTO plain VALUES (2, 'b', x'00', 3.0, 'x');"
               "INSERT INTO plain VALUES (1, 'q', NULL, 1.5, 2);"
               "UPDATE plain SET name = 'a' WHERE id = 1; UPDATE mark SET applied = 9;"
               "INSERT INTO words (rowid, name) VALUES (2, 'b');"
               "INSERT INTO words (rowid, name) VALUES (1, 'a')");
    assert_true(checked(one) == checked(other));
    fixture_destroy(other);
}

/* A digest that is opened on rows that are there is the one that was kept up. */
static void test_opened_again_it_is_the_same(void **state)
{
    struct fixture *self = *state;
    run(self,
        "INSERT INTO plain VALUES (1, 'a', NULL, 1.5, 2); INSERT INTO hidden VALUES ('k', 1)");
    uint64_t before = checked(self);
    digest_close(&self->digest);
    self->digest = digest_open(self->database, left_out, 1, NULL);
    assert_true(before == digest_value(self->digest));
    assert_true(before != 0);
}

/* Told the sum, it reads no row: what it is told it takes, and goes on from there. */
static void test_what_was_counted_is_not_counted_again(void **state)
{
    struct fixture *self = *state;
    const uint64_t told = 77;
    run(self, "INSERT INTO hidden VALUES ('k', 1)");
    uint64_t one = checked(self);
    digest_close(&self->digest);
    self->digest = digest_open(self->database, left_out, 1, &told);
    assert_true(digest_value(self->digest) == told);
    run(self, "DELETE FROM hidden");
    assert_true(digest_value(self->digest) == told - one);
}

/* A file that nobody has open is counted as it would be when it is opened; one that is none is not. */
static void test_a_file_is_counted(void **state)
{
    struct fixture *self = *state;
    char path[] = "/tmp/test-digest-XXXXXX", *error = NULL;
    uint64_t counted = 0;
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    run(self,
        "INSERT INTO plain VALUES (1, 'a', NULL, 1.5, 2); INSERT INTO keyed VALUES (1, 2, 3)");
    char *copy = sqlite3_mprintf("PRAGMA journal_mode = WAL; VACUUM INTO %Q", path);
    run(self, copy);
    assert_int_equal(digest_count_file(path, left_out, 1, &counted, &error), OK);
    assert_true(counted == digest_value(self->digest));
    assert_int_equal(pwrite(fd, "damaged", 7, 0), 7);
    assert_int_equal(digest_count_file(path, left_out, 1, &counted, &error), ERR_CORRUPT);
    assert_non_null(strstr(error, path));
    free(error);
    assert_int_equal(digest_count_file("/nonexistent/file", left_out, 1, &counted, &error),
                     ERR_STORAGE);
    free(error);
    sqlite3_free(copy);
    close(fd);
    unlink(path);
}

/* Each of these makes a difference: a value, its type, its column, its table, one row more of the
 * same, a bit. */
static void test_small_differences_count(void **state)
{
    static const char *const rows[] = {
        "INSERT INTO plain VALUES (1, NULL, NULL, NULL, NULL)",
        "INSERT INTO plain VALUES (2, NULL, NULL, NULL, NULL)",
        "INSERT INTO plain VALUES (1, 'a', NULL, NULL, NULL)",
        "INSERT INTO plain VALUES (1, NULL, 'a', NULL, NULL)",
        "INSERT INTO plain VALUES (1, NULL, x'61', NULL, NULL)",
        "INSERT INTO plain VALUES (1, NULL, x'6100', NULL, NULL)",
        "INSERT INTO plain VALUES (1, NULL, x'', NULL, NULL)",
        "INSERT INTO plain VALUES (1, NULL, '', NULL, NULL)",
        "INSERT INTO plain VALUES (1, NULL, 0, NULL, NULL)",
        "INSERT INTO plain VALUES (1, NULL, '0', NULL, NULL)",
        "INSERT INTO plain VALUES (1, '', '', NULL, NULL)",
        "INSERT INTO plain VALUES (1, 'aaaaaaaab', '', NULL, NULL)",
        "INSERT INTO plain VALUES (1, 'aaaaaaaa', 'b', NULL, NULL)",
        "INSERT INTO plain VALUES (1, 'aaaaaaaac', '', NULL, NULL)",
        "INSERT INTO plain VALUES (1, 'aaaaaaabb', '', NULL, NULL)",
        "INSERT INTO hidden VALUES ('a', 1)",
        "INSERT INTO keyed VALUES (1, 'a', NULL)",
        "INSERT INTO keyed VALUES (1, 'a', NULL), (2, 'a', NULL)",
        "INSERT INTO keyed VALUES (1, 'a', NULL), (3, 'a', NULL)",
        "INSERT INTO keyed VALUES (1, 'b', NULL), (2, 'a', NULL)",
    };
    uint64_t seen[sizeof rows / sizeof rows[0]];
    struct fixture *self = *state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        run(self, rows[i]);
        seen[i] = checked(self);
        for (size_t j = 0; j < i; j++)
            assert_true(seen[i] != seen[j]);
        run(self, "DELETE FROM plain; DELETE FROM hidden; DELETE FROM keyed");
        assert_true(checked(self) == 0);
    }
}

/* Tables that can't be read have no digest. */
static void test_what_cant_be_read_has_no_digest(void **state)
{
    sqlite3 *database = NULL;
    (void)state;
    assert_int_equal(sqlite3_open("/nonexistent/database", &database), SQLITE_CANTOPEN);
    assert_null(digest_open(database, NULL, 0, NULL));
    assert_int_equal(sqlite3_close(database), SQLITE_OK);
}

/* A number beside the rows counts as well. */
static void test_numbers_beside_the_rows_count(void **state)
{
    (void)state;
    assert_true(digest_with(5, 1) != digest_with(5, 2));
    assert_true(digest_with(5, 1) != digest_with(6, 1));
    assert_true(digest_with(digest_with(0, 1), 2) != digest_with(digest_with(0, 2), 1));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_kept_up_is_what_counting_gives),
        TEST(test_what_statements_set_is_all_that_changes),
        TEST(test_the_way_there_does_not_count),
        TEST(test_opened_again_it_is_the_same),
        TEST(test_what_was_counted_is_not_counted_again),
        TEST(test_a_file_is_counted),
        TEST(test_small_differences_count),
        cmocka_unit_test(test_what_cant_be_read_has_no_digest),
        cmocka_unit_test(test_numbers_beside_the_rows_count),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
