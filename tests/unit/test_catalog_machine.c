/* The machine as the replica drives it: same entries, same tables; stopped anywhere, it goes on.
 *
 * SPDX-License-Identifier: Apache-2.0 */
/* link: catalog */
#include "tests/unit/catalog_driver.h"

#include <sys/wait.h>

#include "services/catalog/audit.h"
#include "tests/unit/database_copy.h"

static void write_session(struct driver *driver, enum command_op op, uint64_t session)
{
    const struct command command = {.op = op, .session = session};
    expect(driver_apply(driver, &command), OK);
}

/* A little of everything; the log of it is the driver's. */
static void write_history(struct driver *driver)
{
    for (int i = 1; i <= 20; i++)
        add_item(driver, i, i);
    expect(driver_write(driver,
                        "{'op':'import','key':'i','stamp':0,'rows':[{'id':3,'title':'\xc3\x89',"
                        "'topic':'t','stock':50},{'id':90,'title':'N','topic':'T'}],"
                        "'default_price_cents':7,'default_stock':1}"),
           OK);
    expect(driver_write(driver, "{'op':'import','key':'j','stamp':0,'rows':[{'id':3,'title':'Z',"
                                "'topic':'u'},{'id':91,'title':'N'}]}"),
           ERR_INVALID);
    for (int i = 1; i <= 30; i++) {
        char key[32], lines[96];
        driver->now_ms += i == 15 ? 3 * DAY_MS : HOUR_MS; /* then the first half is forgotten */
        (void)snprintf(key, sizeof key, "buy-%d", i);
        (void)snprintf(lines, sizeof lines, "[{'id':%d,'quantity':%d},{'id':%d,'quantity':1}]",
                       1 + i % 20, 1 + i % 7, 1 + i * 3 % 20);
        struct outcome *outcome = reserve(driver, key, driver->now_ms, lines);
        bool granted = outcome->code == OK;
        outcome_destroy(&outcome);
        if (granted && i % 3 == 0)
            expect(undo(driver, key, driver->now_ms, lines), OK);
        if (i % 2 == 0)
            expect(driver_write(driver, "{'op':'settle','keys':['%s','buy-%d']}", key, i / 2), OK);
        if (i % 6 == 0)
            expect(driver_write(driver, "{'op':'close','keys':['%s']}", key), OK);
        if (i % 10 == 0)
            expect(driver_write(driver, "{'op':'item_remove','key':'rm-%d','stamp':%lld,'id':%d}",
                                i, (long long)driver->now_ms, i / 2),
                   OK);
        if (i % 4 == 0)
            write_session(driver, COMMAND_SESSION_OPEN, 0);
        if (i % 8 == 0)
            write_session(driver, COMMAND_SESSION_CLOSE, driver->index);
    }
}

/* Apply entries of @log with an index above @after and up to @last, @batch to a transaction. */
static void replay(struct driver *driver, const struct bytes_writer *log, uint64_t after,
                   uint64_t last, uint64_t batch)
{
    struct bytes_reader reader;
    uint64_t count = 0;
    bytes_reader_init(&reader, log->data, log->size);
    while (reader.size > 0) {
        size_t size;
        uint64_t index = bytes_get_u64(&reader);
        int64_t log_time_ms = bytes_get_i64(&reader);
        const uint8_t *data = bytes_get_blob(&reader, ENTRY_BYTES_MAX, &size);
        if (index <= after || index > last)
            continue;
        if (count++ % batch == 0)
            driver->interface.begin(driver->interface.self);
        void *result = driver_apply_bytes(driver, index, log_time_ms, data, size);
        driver->interface.release(driver->interface.self, result);
        if (count % batch == 0)
            driver->interface.commit(driver->interface.self);
    }
    if (count % batch != 0)
        driver->interface.commit(driver->interface.self);
}

static uint64_t digest_of(struct driver *driver)
{
    return driver->interface.digest(driver->interface.self);
}

/* Two machines that applied the same entries hold the same rows, however the entries were
 * batched. */
static void test_the_same_entries_make_the_same_tables(void **state)
{
    struct driver *one = driver_new(), *other = driver_new();
    (void)state;
    write_history(one);
    replay(other, &one->log, 0, one->index, 7);
    char *a = driver_dump(one), *b = driver_dump(other);
    assert_true(strlen(a) > 3000);
    assert_null(strstr(a, "|buy-2|"));
    assert_non_null(strstr(a, "|buy-29|"));
    assert_int_equal(state_totals(driver_state(one))->sessions, 4);
    assert_non_null(strstr(a, "session|"));
    assert_string_equal(a, b);
    assert_true(digest_of(one) == digest_of(other));
    free(a);
    free(b);
    driver_destroy(one);
    driver_destroy(other);
}

/* Stopped after any entry and opened again, the machine says which was its last, and ends up with
 * the same rows. */
static void test_a_machine_goes_on_from_any_index(void **state)
{
    struct driver *one = driver_new();
    (void)state;
    write_history(one);
    char *expected = driver_dump(one);
    for (uint64_t stop = 1; stop < one->index; stop += 3) {
        struct driver *other = driver_new();
        replay(other, &one->log, 0, stop, 100);
        driver_restart(other);
        assert_int_equal(other->interface.applied(other->interface.self), stop);
        replay(other, &one->log, stop, one->index, 5);
        char *found = driver_dump(other);
        assert_string_equal(found, expected);
        assert_true(digest_of(other) == digest_of(one));
        free(found);
        driver_destroy(other);
    }
    free(expected);
    driver_destroy(one);
}

/* Let a copy of @from's file, as it is now, take the place of @driver's, as a snapshot does at run
 * time. */
static void install(struct driver *driver, const struct driver *from)
{
    char *error = NULL;
    driver->interface.close(driver->interface.self);
    assert_null(machine_state(driver->machine));
    database_remove(driver->path);
    database_copy(from->path, driver->path);
    assert_int_equal(driver->interface.open(driver->interface.self, driver->path, &error), OK);
    driver->index = from->index;
    driver->now_ms = from->now_ms;
}

static void expect_same_totals(struct driver *one, struct driver *other)
{
    const struct state_totals *a = state_totals(driver_state(one));
    const struct state_totals *b = state_totals(driver_state(other));
    assert_int_equal(a->items, b->items);
    assert_int_equal(a->topics, b->topics);
    assert_int_equal(a->records, b->records);
    assert_int_equal(a->unsettled, b->unsettled);
    assert_int_equal(a->unclosed, b->unclosed);
    assert_int_equal(a->sessions, b->sessions);
}

/* The same write to both: the same answer. */
static void expect_same_answer(struct driver *one, struct driver *other, const char *write)
{
    char *a = take_text(driver_write(one, "%s", write));
    char *b = take_text(driver_write(other, "%s", write));
    assert_string_equal(a, b);
    free(a);
    free(b);
}

/* A machine that had another past goes on from another one's file just as that one does: it keeps
 * nothing of its own, neither rows nor sums, and answers the same. */
static void test_a_machine_goes_on_from_another_ones_file(void **state)
{
    static const char *const writes[] = {
        "{'op':'reserve','key':'buy-29','stamp':0,'lines':[{'id':10,'quantity':2}]}",
        "{'op':'reserve','key':'x','stamp':400000000,'lines':[{'id':11,'quantity':2}]}",
        ("{'op':'item_add','key':'y','stamp':400000000,'id':77,'title':'New','topic':'t',"
         "'price_cents':1,'stock':3}"),
        "{'op':'settle','keys':['x','buy-1']}",
        "{'op':'stock','key':'z','stamp':400000000,'id':12,'change':-1,'reason':'r'}",
    };
    struct driver *one = driver_new(), *other = driver_new();
    (void)state;
    write_history(one);
    for (int i = 1; i <= 3; i++)
        add_item(other, 1000 + i, 5);
    expect(reserve(other, "own", 1, "[{'id':1001,'quantity':1}]"), OK);
    install(other, one);
    assert_int_equal(other->interface.applied(other->interface.self), one->index);
    assert_true(digest_of(one) == digest_of(other));
    expect_same_totals(one, other);
    assert_int_equal(stock_of(other, 1001), -1);
    for (size_t i = 0; i < sizeof writes / sizeof writes[0]; i++)
        expect_same_answer(one, other, writes[i]);
    tick(one, one->now_ms + 3 * DAY_MS); /* whereupon all of what may be forgotten is */
    tick(other, other->now_ms + 3 * DAY_MS);
    expect_same_totals(one, other);
    assert_true(digest_of(one) == digest_of(other));
    char *a = driver_dump(one), *b = driver_dump(other);
    assert_string_equal(a, b);
    free(a);
    free(b);
    driver_destroy(one);
    driver_destroy(other);
}

/* A single stock that differs makes another digest: at once when the file is opened, and still after
 * entries that leave the item alone. */
static void test_a_stock_that_differs_shows_in_the_digest(void **state)
{
    struct driver *one = driver_new(), *other = driver_new();
    sqlite3 *database = NULL;
    (void)state;
    add_item(one, 1, 5);
    add_item(one, 2, 5);
    install(other, one);
    assert_true(digest_of(one) == digest_of(other));
    machine_destroy(&other->machine);
    assert_int_equal(sqlite3_open(other->path, &database), SQLITE_OK);
    assert_int_equal(
        sqlite3_exec(database, "UPDATE item SET stock = 4 WHERE id = 2", NULL, NULL, NULL),
        SQLITE_OK);
    assert_int_equal(sqlite3_close(database), SQLITE_OK);
    driver_start(other);
    assert_true(digest_of(one) != digest_of(other));
    expect_same_answer(one, other,
                       "{'op':'stock','key':'s','stamp':0,'id':1,'change':1,"
                       "'reason':'r'}");
    assert_true(digest_of(one) != digest_of(other));
    driver_destroy(one);
    driver_destroy(other);
}

/* Opened with what was counted beforehand, it counts nothing: what is wrong there stays wrong. The next
 * time it counts again. */
static void test_what_was_counted_beforehand_is_taken(void **state)
{
    struct driver *one = driver_new();
    struct replica_machine *machine = &one->interface;
    uint64_t rows = 0;
    char *error = NULL;
    (void)state;
    add_item(one, 1, 5);
    uint64_t digest = digest_of(one);
    for (uint64_t wrong = 0; wrong <= 1; wrong++) {
        machine->close(machine->self);
        assert_int_equal(machine->count(one->path, &rows, &error), OK);
        machine->counted(machine->self, rows + wrong);
        assert_int_equal(machine->open(machine->self, one->path, &error), OK);
        assert_int_equal(digest_of(one) == digest, wrong == 0);
    }
    machine->close(machine->self);
    assert_int_equal(machine->open(machine->self, one->path, &error), OK);
    assert_true(digest_of(one) == digest);
    driver_destroy(one);
}

/* An entry that changes nothing but the log's time shows, too; so does one more entry. */
static void test_each_entry_makes_another_digest(void **state)
{
    struct driver *driver = driver_new();
    uint64_t empty = digest_of(driver);
    (void)state;
    tick(driver, driver->now_ms);
    uint64_t first = digest_of(driver);
    tick(driver, driver->now_ms);
    assert_true(empty != first && first != digest_of(driver));
    driver_destroy(driver);
}

struct reader {
    struct driver *driver;
    struct audit *audit;
    int told;
};

static void on_closing(void *arg)
{
    struct reader *reader = arg;
    assert_non_null(driver_state(reader->driver));
    audit_reset(reader->audit);
    reader->told++;
}

/* Who reads the file through a connection of his own is told before it goes, so that he never reads
 * one file while the machine writes another; an audit that was under way is begun anew. */
static void test_readers_let_go_of_a_file_before_it_is_replaced(void **state)
{
    struct driver *one = driver_new(), *other = driver_new();
    struct reader reader = {.driver = other, .audit = audit_new(other->path, NULL)};
    struct audit_result result;
    (void)state;
    machine_on_closing(other->machine, on_closing, &reader);
    add_item(other, 1, 1);
    for (int i = 1; i <= 5; i++)
        add_item(one, i, 10);
    assert_int_equal(audit_begin(reader.audit), OK);
    install(other, one);
    assert_int_equal(reader.told, 1);
    assert_false(audit_is_under_way(reader.audit));
    add_item(other, 6, 10); /* in the write-ahead log of the new file */
    assert_int_equal(audit_begin(reader.audit), OK);
    assert_true(audit_step(reader.audit, &result));
    assert_int_equal(result.log_index, 6);
    assert_int_equal(result.stock, 60);
    audit_destroy(&reader.audit);
    driver_destroy(one);
    driver_destroy(other);
}

/* Tables of another version are not read: they may mean something else. */
static void test_tables_of_another_version_are_refused(void **state)
{
    struct driver *driver = driver_new();
    struct machine *machine = machine_new(NULL, NULL);
    struct replica_machine interface;
    sqlite3 *database = NULL;
    char *error = NULL;
    (void)state;
    machine_destroy(&driver->machine);
    assert_int_equal(sqlite3_open(driver->path, &database), SQLITE_OK);
    assert_int_equal(sqlite3_exec(database, "PRAGMA user_version = 99", NULL, NULL, NULL),
                     SQLITE_OK);
    assert_int_equal(sqlite3_close(database), SQLITE_OK);
    machine_interface(machine, &interface);
    assert_int_equal(interface.open(machine, driver->path, &error), ERR_VERSION);
    assert_non_null(strstr(error, "version 99"));
    assert_non_null(strstr(error, driver->path));
    free(error);
    machine_destroy(&machine);
    driver_destroy(driver);
}

/* A machine that dies within a batch has nothing of it, and no more index than rows. */
static void test_a_batch_is_whole_or_absent(void **state)
{
    struct driver *driver = driver_new();
    (void)state;
    add_item(driver, 1, 5);
    char *before = driver_dump(driver);
    pid_t child = fork();
    if (child == 0) {
        /* The connection may not be used across a fork: the child opens its own. */
        struct driver *copy = alloc_zero(sizeof *copy);
        memcpy(copy->path, driver->path, sizeof copy->path);
        driver_start(copy);
        copy->interface.begin(copy->interface.self);
        struct bytes_writer bytes = {0};
        const struct command add = {
            .op = COMMAND_STOCK, .key = TEXT("k"), .item = {.id = 1}, .change = 5};
        command_encode(&add, &bytes);
        (void)driver_apply_bytes(copy, 2, 5, bytes.data, bytes.size);
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    driver_restart(driver);
    char *after = driver_dump(driver);
    assert_string_equal(before, after);
    free(before);
    free(after);
    driver_destroy(driver);
}

/* How a child ends that applies these bytes. */
static int status_of_applying(struct driver *driver, const void *data, size_t size)
{
    int status;
    pid_t child = fork();
    if (child == 0) {
        struct driver *copy = alloc_zero(sizeof *copy);
        memcpy(copy->path, driver->path, sizeof copy->path);
        driver_start(copy);
        copy->interface.begin(copy->interface.self);
        (void)driver_apply_bytes(copy, 100, 100, data, size);
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

/* An entry of an unknown format, or a damaged one, is neither applied nor skipped: the process
 * ends with status 5. */
static void test_an_unknown_entry_ends_the_process(void **state)
{
    static const uint8_t tick_bytes[] = {1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, COMMAND_TICK};
    uint8_t newer[sizeof tick_bytes];
    struct driver *driver = driver_new();
    (void)state;
    memcpy(newer, tick_bytes, sizeof newer);
    newer[0] = 2;
    char *before = driver_dump(driver);
    assert_int_equal(status_of_applying(driver, tick_bytes, sizeof tick_bytes), 0);
    assert_int_equal(status_of_applying(driver, newer, sizeof newer), 5);
    assert_int_equal(status_of_applying(driver, tick_bytes, sizeof tick_bytes - 1), 5);
    char *after = driver_dump(driver);
    assert_string_equal(before, after);
    free(before);
    free(after);
    driver_destroy(driver);
}

/* A file that is no database, or can't be made, is an error in words. */
static void test_a_file_that_cant_be_opened_is_an_error(void **state)
{
    struct driver *driver = driver_new();
    struct machine *machine = machine_new(NULL, NULL);
    struct replica_machine interface;
    char path[320];
    char *error = NULL;
    (void)state;

    machine_interface(machine, &interface);
    (void)snprintf(path, sizeof path, "%s/absent/state", driver->directory);
    assert_int_equal(interface.open(machine, path, &error), ERR_STORAGE);
    assert_non_null(strstr(error, path));
    free(error);

    (void)snprintf(path, sizeof path, "%s/noise", driver->directory);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    for (int i = 0; i < 4096; i++)
        assert_int_equal(fputs("noise ", file) >= 0, 1);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(interface.open(machine, path, &error), ERR_CORRUPT);
    assert_non_null(strstr(error, path));
    free(error);
    assert_int_equal(unlink(path), 0);
    machine_destroy(&machine);
    driver_destroy(driver);
}

static struct audit_result audit_of(struct audit *audit)
{
    struct audit_result result = {0};
    assert_int_equal(audit_begin(audit), OK);
    while (!audit_step(audit, &result))
        assert_true(audit_is_under_way(audit));
    assert_false(audit_is_under_way(audit));
    return result;
}

/* An audit sums what there is, what was removed included, at one index. */
static void test_an_audit_sums_over_all_items(void **state)
{
    struct driver *driver = driver_new();
    struct audit *audit = audit_new(driver->path, NULL);
    (void)state;
    add_item(driver, 1, 5);
    add_item(driver, 2, 7);
    expect(reserve(driver, "k", 0, "[{'id':1,'quantity':2}]"), OK);
    expect(driver_write(driver, "{'op':'item_remove','key':'r','stamp':0,'id':2}"), OK);
    struct audit_result result = audit_of(audit);
    assert_int_equal(result.items, 2);
    assert_int_equal(result.initial, 12);
    assert_int_equal(result.moved, -7);
    assert_int_equal(result.sold, 2);
    assert_int_equal(result.stock, 3);
    assert_int_equal(result.violations, 0);
    assert_int_equal(result.log_index, 4);
    audit_destroy(&audit);
    driver_destroy(driver);
}

/* It looks at the moment it began: what is sold between its slices does not show in it. */
static void test_an_audit_looks_at_one_moment(void **state)
{
    struct driver *driver = driver_new();
    struct audit *audit = audit_new(driver->path, NULL);
    struct audit_result result = {0};
    (void)state;
    for (int i = 0; i < 9; i++) {
        json_t *rows = json_array();
        char key[16];
        for (int j = 1; j <= IMPORT_ROWS_MAX; j++)
            json_array_append_new(rows,
                                  json_pack("{s:i,s:s,s:i,s:i}", "id", i * IMPORT_ROWS_MAX + j,
                                            "title", "T", "price_cents", 1, "stock", 2));
        (void)snprintf(key, sizeof key, "i%d", i);
        expect(driver_submit(driver, json_pack("{s:s,s:s,s:i,s:o}", "op", "import", "key", key,
                                               "stamp", 0, "rows", rows)),
               OK);
    }
    assert_int_equal(audit_begin(audit), OK);
    assert_false(audit_step(audit, &result));
    expect(reserve(driver, "k", 0, "[{'id':1,'quantity':1},{'id':4500,'quantity':2}]"), OK);
    assert_false(audit_step(audit, &result));
    assert_true(audit_step(audit, &result));
    assert_int_equal(result.items, 4500);
    assert_int_equal(result.stock, 9000);
    assert_int_equal(result.sold, 0);
    assert_int_equal(result.log_index, 9);
    result = audit_of(audit);
    assert_int_equal(result.stock, 8997);
    assert_int_equal(result.sold, 3);
    audit_destroy(&audit);
    driver_destroy(driver);
}

/* An item that breaks the law is counted. (Somebody changed the file behind our back.) */
static void test_an_audit_counts_violations(void **state)
{
    struct driver *driver = driver_new();
    struct audit *audit = audit_new(driver->path, NULL);
    sqlite3 *database = NULL;
    (void)state;
    add_item(driver, 1, 5);
    add_item(driver, 2, 5);
    assert_int_equal(sqlite3_open(driver->path, &database), SQLITE_OK);
    assert_int_equal(
        sqlite3_exec(database, "UPDATE item SET stock = 6 WHERE id = 2", NULL, NULL, NULL),
        SQLITE_OK);
    assert_int_equal(sqlite3_close(database), SQLITE_OK);
    assert_int_equal(audit_of(audit).violations, 1);
    audit_destroy(&audit);
    driver_destroy(driver);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_same_entries_make_the_same_tables),
        cmocka_unit_test(test_a_machine_goes_on_from_any_index),
        cmocka_unit_test(test_a_machine_goes_on_from_another_ones_file),
        cmocka_unit_test(test_a_stock_that_differs_shows_in_the_digest),
        cmocka_unit_test(test_what_was_counted_beforehand_is_taken),
        cmocka_unit_test(test_each_entry_makes_another_digest),
        cmocka_unit_test(test_readers_let_go_of_a_file_before_it_is_replaced),
        cmocka_unit_test(test_tables_of_another_version_are_refused),
        cmocka_unit_test(test_a_batch_is_whole_or_absent),
        cmocka_unit_test(test_an_unknown_entry_ends_the_process),
        cmocka_unit_test(test_a_file_that_cant_be_opened_is_an_error),
        cmocka_unit_test(test_an_audit_sums_over_all_items),
        cmocka_unit_test(test_an_audit_looks_at_one_moment),
        cmocka_unit_test(test_an_audit_counts_violations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
