/* The snapshot thread and the channel that it fetches from: a snapshot is taken while the machine
 * goes on, gets from one replica's directory to another's, and becomes a store there.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <cmocka.h>
#include <czmq.h>
#include <sqlite3.h>

#include "broker/bus/clock.h"
#include "broker/bus/err.h"
#include "broker/bus/limits.h"
#include "services/replica/snapshot_channel.h"
#include "services/replica/snapshot_file.h"
#include "services/replica/snapshot_message.h"
#include "services/replica/snapshot_thread.h"
#include "tests/lib/fault_vfs.h"
#include "tests/lib/files.h"
#include "tests/lib/scripted_broker.h"

#define UUID        "00112233445566778899aabbccddeeff"
#define OTHER_UUID  "ff112233445566778899aabbccddeeff"
#define DEADLINE_MS 60000

/* What was called back. */
struct told {
    size_t calls;
    int code;
    char *error;
    struct snapshot_mark mark;
};

struct fixture {
    char *directory; /* of all the below */
    char *there;     /* the directory of who gives */
    char *here;      /* of who fetches */
    char *state;     /* the machine's store, there */
    sqlite3 *db;
    zloop_t *loop;
    struct metrics *metrics;
    struct fault_vfs *vfs;
    struct snapshot_thread *thread; /* here */
    struct snapshot_thread *giver;  /* there */
    struct snapshot_channel *channel;
    char endpoint[SCRIPTED_ADDRESS_BYTES]; /* of the channel */
    struct told taken;
    struct told fetched;
    struct told restored;
    void (*on_first_bytes)(struct fixture *self); /* once, while a fetch is under way */
};

/* ---- Set-up -------------------------------------------------------------------------------- */

static void tell(struct told *self, int code, const char *error, const struct snapshot_mark *mark)
{
    assert_true((code == 0) == (error == NULL));
    self->calls++;
    self->code = code;
    free(self->error);
    self->error = error != NULL ? strdup(error) : NULL;
    self->mark = *mark;
}

static void on_taken(void *arg, int code, const char *error, const struct snapshot_mark *mark)
{
    tell(&((struct fixture *)arg)->taken, code, error, mark);
}

static void on_fetched(void *arg, int code, const char *error, const struct snapshot_mark *mark)
{
    tell(&((struct fixture *)arg)->fetched, code, error, mark);
}

static void on_restored(void *arg, int code, const char *error, const struct snapshot_mark *mark)
{
    tell(&((struct fixture *)arg)->restored, code, error, mark);
}

static struct snapshot_thread *start(struct fixture *self, const char *directory)
{
    struct snapshot_thread_options options = {
        .directory = directory,
        .uuid = UUID,
        .free_bytes_min = 1,
        .metrics = self->metrics,
        .on_taken = on_taken,
        .on_fetched = on_fetched,
        .on_restored = on_restored,
        .arg = self,
    };

    return snapshot_thread_new(self->loop, &options);
}

static void listen_at(struct fixture *self, const char *endpoint)
{
    struct snapshot_channel_options options = {
        .endpoint = endpoint, .directory = self->there, .uuid = UUID, .metrics = self->metrics};

    int64_t deadline_ms = clock_ms() + DEADLINE_MS;
    do /* libzmq gives an address back some time after its socket was closed */
        self->channel = snapshot_channel_new(self->loop, &options);
    while (self->channel == NULL && errno == EADDRINUSE && clock_ms() < deadline_ms);
    assert_non_null(self->channel);
}

static void run_sql(sqlite3 *db, const char *sql)
{
    char *error = NULL;
    if (sqlite3_exec(db, sql, NULL, NULL, &error) != SQLITE_OK)
        fail_msg("%s: %s", sql, error);
}

/* Rows that don't compress into few pages: about 1 KiB each. */
static void add(struct fixture *self, int from, int to)
{
    char sql[256];
    snprintf(sql, sizeof sql,
             "WITH RECURSIVE n(i) AS (VALUES (%d) UNION ALL SELECT i + 1 FROM n WHERE i < %d)"
             " INSERT INTO item SELECT i, randomblob(1000) FROM n",
             from, to);
    run_sql(self->db, sql);
}

static int setup(void **state)
{
    struct fixture *self = calloc(1, sizeof *self);

    zsys_handler_set(NULL);
    self->directory = files_new_directory();
    self->there = files_path(self->directory, "there");
    self->here = files_path(self->directory, "here");
    assert_int_equal(mkdir(self->there, 0700), 0);
    assert_int_equal(mkdir(self->here, 0700), 0);
    self->state = files_path(self->there, "state.db");
    self->vfs = fault_vfs_new("fault-snapshot", false);
    fault_vfs_set_default(self->vfs);
    assert_int_equal(sqlite3_open(self->state, &self->db), SQLITE_OK);
    run_sql(self->db, "PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF;"
                      "CREATE TABLE item (id INTEGER PRIMARY KEY, data BLOB)");
    self->loop = zloop_new();
    self->metrics = metrics_new();
    self->thread = start(self, self->here);
    self->giver = start(self, self->there);
    scripted_address(self->endpoint);
    strcpy(strrchr(self->endpoint, ':'), ":7001"); /* one that it can have again */
    listen_at(self, self->endpoint);
    *state = self;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *self = *state;

    snapshot_thread_destroy(&self->thread);
    snapshot_thread_destroy(&self->giver);
    snapshot_channel_destroy(&self->channel);
    zloop_destroy(&self->loop);
    metrics_destroy(&self->metrics);
    sqlite3_close(self->db);
    fault_vfs_destroy(&self->vfs);
    free(self->taken.error);
    free(self->fetched.error);
    free(self->restored.error);
    free(self->state);
    free(self->there);
    free(self->here);
    files_remove_directory(&self->directory);
    free(self);
    return 0;
}

struct wait {
    struct fixture *fixture;
    const struct told *told;
    size_t calls;
    int64_t deadline_ms;
};

static int wait_check(zloop_t *loop, int timer, void *arg)
{
    struct wait *self = arg;
    struct fixture *test = self->fixture;

    (void)loop;
    (void)timer;
    if (test->on_first_bytes != NULL && snapshot_thread_fetched_bytes(test->thread) > 0) {
        void (*call)(struct fixture *) = test->on_first_bytes;
        test->on_first_bytes = NULL;
        call(test);
    }
    return self->told->calls >= self->calls || clock_ms() > self->deadline_ms ? -1 : 0;
}

/* Run the loop until so many calls were made. */
static void run_until(struct fixture *self, const struct told *told, size_t calls)
{
    struct wait wait = {self, told, calls, clock_ms() + DEADLINE_MS};
    int timer = zloop_timer(self->loop, 1, 0, wait_check, &wait);

    zloop_start(self->loop);
    zloop_timer_end(self->loop, timer);
    assert_int_equal(told->calls, calls);
}

static struct snapshot_mark mark_at(replica_index index)
{
    return (struct snapshot_mark){.index = index, .term = 2, .log_time_ms = 5};
}

/* Take a snapshot there. */
static struct snapshot_mark take(struct fixture *self, replica_index index)
{
    struct snapshot_mark mark = mark_at(index);
    size_t calls = self->taken.calls;

    assert_int_equal(snapshot_thread_take(self->giver, self->state, &mark), 0);
    assert_true(snapshot_thread_busy(self->giver));
    run_until(self, &self->taken, calls + 1);
    assert_int_equal(self->taken.code, 0);
    assert_false(snapshot_thread_busy(self->giver));
    return self->taken.mark;
}

static void fetch(struct fixture *self, const struct snapshot_mark *mark)
{
    size_t calls = self->fetched.calls;

    snapshot_thread_fetch(self->thread, self->endpoint, mark);
    run_until(self, &self->fetched, calls + 1);
}

static void restore(struct fixture *self, const struct snapshot_mark *mark)
{
    size_t calls = self->restored.calls;

    snapshot_thread_restore(self->thread, mark);
    run_until(self, &self->restored, calls + 1);
}

static size_t count_of(const char *directory, const char *name)
{
    char *path = files_path(directory, name);
    sqlite3_stmt *statement;
    sqlite3 *db;

    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db, "SELECT count(*) FROM item", -1, &statement, NULL),
                     SQLITE_OK);
    assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
    size_t count = (size_t)sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    sqlite3_close(db);
    free(path);
    return count;
}

static bool has(const char *directory, const char *name)
{
    char *path = files_path(directory, name);
    bool there = files_exist(path);
    free(path);
    return there;
}

static double counter(struct fixture *self, const char *name)
{
    return metric_value(metrics_counter(self->metrics, name, NULL, ""));
}

/* ---- Taking, fetching, restoring ----------------------------------------------------------- */

/* A snapshot holds what was there when it was asked for, though the machine writes on; it gets to
 * the other replica whole, and becomes a store there. */
static void test_a_snapshot_travels(void **state)
{
    struct fixture *self = *state;
    struct snapshot_mark mark = mark_at(20);

    add(self, 1, 500);
    assert_int_equal(snapshot_thread_take(self->giver, self->state, &mark), 0);
    add(self, 501, 600);
    run_until(self, &self->taken, 1);
    assert_int_equal(self->taken.code, 0);
    mark = self->taken.mark;
    assert_int_equal(mark.index, 20);
    assert_int_equal(mark.log_time_ms, 5);

    fetch(self, &mark);
    assert_int_equal(self->fetched.code, 0);
    assert_true(counter(self, "pygmy_snapshot_channel_bytes_total") >= (double)mark.bytes);
    assert_false(has(self->here, SNAPSHOT_FETCHING));
    restore(self, &mark);
    assert_int_equal(self->restored.code, 0);
    assert_int_equal(count_of(self->here, SNAPSHOT_RESTORED), 500);
}

/* A snapshot that can't be written costs nothing but itself: it is told, nothing of it stays, and
 * the next one is as good. */
static void test_a_failing_disk_costs_the_snapshot_alone(void **state)
{
    struct fixture *self = *state;
    bool untouched = false;
    size_t calls = 0;

    add(self, 1, 100);
    for (int64_t nth = 1; !untouched; nth++) {
        struct snapshot_mark mark = mark_at(20);
        fault_vfs_fail(self->vfs, nth, false);
        int result = snapshot_thread_take(self->giver, self->state, &mark);
        if (result == 0)
            run_until(self, &self->taken, ++calls);
        fault_vfs_fail(self->vfs, 0, false);
        untouched = result == 0 && self->taken.code == 0;
        if (!untouched)
            assert_int_equal(result == 0 ? self->taken.code : result, ERR_STORAGE);
        assert_false(has(self->there, SNAPSHOT_TAKING));
        assert_true(nth < 200);
    }
    self->taken.calls = 0;
    struct snapshot_mark mark = take(self, 21);
    assert_true(mark.bytes > 0);
}

/* There is no snapshot of a store that is not there. */
static void test_a_store_that_is_not_there(void **state)
{
    struct fixture *self = *state;
    struct snapshot_mark mark = mark_at(20);
    char *absent = files_path(self->there, "absent.db");

    assert_int_equal(snapshot_thread_take(self->giver, absent, &mark), ERR_STORAGE);
    assert_false(snapshot_thread_busy(self->giver));
    free(absent);
}

/* One that has gone, or never was, is refused at once; and so is the restoring of one that is not
 * there. */
static void test_what_is_not_there_is_told(void **state)
{
    struct fixture *self = *state;
    struct snapshot_mark mark = mark_at(20);

    mark.bytes = 1000;
    fetch(self, &mark);
    assert_int_equal(self->fetched.code, ERR_NOT_FOUND);
    assert_false(has(self->here, SNAPSHOT_FETCHING));
    restore(self, &mark);
    assert_int_equal(self->restored.code, ERR_CORRUPT);
    assert_non_null(strstr(self->restored.error, "re-seeded"));
}

/* A file that is damaged there, or a mark that does not fit it, is found out here. */
static void test_a_damaged_snapshot_does_not_arrive(void **state)
{
    struct fixture *self = *state;

    add(self, 1, 1000);
    struct snapshot_mark mark = take(self, 20);
    char *path = snapshot_file_path(self->there, &mark);
    files_flip(path, mark.bytes / 2, 4);
    fetch(self, &mark);
    assert_int_equal(self->fetched.code, ERR_CORRUPT);
    files_flip(path, mark.bytes / 2, 4);
    mark.bytes -= 1;
    fetch(self, &mark);
    assert_int_equal(self->fetched.code, ERR_CORRUPT);
    assert_false(has(self->here, SNAPSHOT_FETCHING));
    mark.bytes = UINT64_C(1) << 60;
    fetch(self, &mark);
    assert_int_equal(self->fetched.code, ERR_STORAGE);
    assert_non_null(strstr(self->fetched.error, "no room"));
    free(path);
}

static void restart_channel(struct fixture *self)
{
    assert_true(snapshot_thread_fetched_bytes(self->thread) < self->taken.mark.bytes);
    snapshot_channel_destroy(&self->channel);
    listen_at(self, self->endpoint);
}

/* A connection that is lost on the way, with all that was under way and with all that the other side
 * knew, costs a moment: the fetch goes on where it was. */
static void test_a_fetch_outlives_its_connection(void **state)
{
    struct fixture *self = *state;

    add(self, 1, 3000);
    struct snapshot_mark mark = take(self, 20);
    self->on_first_bytes = restart_channel;
    fetch(self, &mark);
    assert_null(self->on_first_bytes);
    assert_int_equal(self->fetched.code, 0);
    restore(self, &mark);
    assert_int_equal(count_of(self->here, SNAPSHOT_RESTORED), 3000);
}

static void remove_snapshot(struct fixture *self)
{
    struct snapshot_mark later = mark_at(30);
    char *error = NULL;

    assert_int_equal(snapshot_file_remove_older(self->there, &later, &error), 0);
}

/* A file that is removed on the way, since a later one counts, is still given out to its end. */
static void test_a_removed_file_is_given_out_to_its_end(void **state)
{
    struct fixture *self = *state;

    add(self, 1, 3000);
    struct snapshot_mark mark = take(self, 20);
    self->on_first_bytes = remove_snapshot;
    fetch(self, &mark);
    assert_null(self->on_first_bytes);
    char *path = snapshot_file_path(self->there, &mark);
    assert_false(files_exist(path));
    assert_int_equal(self->fetched.code, 0);
    free(path);
}

static void fetch_another(struct fixture *self)
{
    struct snapshot_mark mark = self->taken.mark;

    snapshot_thread_fetch(self->thread, self->endpoint, &mark); /* under way already */
    assert_true(snapshot_thread_fetched_bytes(self->thread) > 0);
    mark.index++;
    snapshot_thread_fetch(self->thread, self->endpoint, &mark);
    assert_int_equal(snapshot_thread_fetched_bytes(self->thread), 0);
}

/* The same fetch is not begun anew; another one takes its place, and only that is called back. */
static void test_a_fetch_takes_the_place_of_another(void **state)
{
    struct fixture *self = *state;

    add(self, 1, 3000);
    struct snapshot_mark mark = take(self, 20);
    self->on_first_bytes = fetch_another;
    fetch(self, &mark);
    assert_null(self->on_first_bytes);
    assert_int_equal(self->fetched.calls, 1);
    assert_int_equal(self->fetched.code, ERR_NOT_FOUND);
    assert_int_equal(self->fetched.mark.index, 21);
    assert_false(snapshot_thread_busy(self->thread));
}

/* However often another one is wanted, no more than so many jobs wait. */
static void test_jobs_are_bounded(void **state)
{
    struct fixture *self = *state;

    for (replica_index index = 1; index <= 100; index++) {
        struct snapshot_mark mark = mark_at(index);
        mark.bytes = 1000;
        snapshot_thread_fetch(self->thread, "tcp://127.0.0.1:1", &mark);
    }
    assert_true(snapshot_thread_busy(self->thread));
    assert_int_equal(self->fetched.calls, 0);
}

static void end_thread(struct fixture *self)
{
    snapshot_thread_destroy(&self->thread);
    self->fetched.calls++; /* so that nobody waits */
}

/* It ends at once in the middle of a fetch, and calls nobody back. */
static void test_it_ends_in_the_middle(void **state)
{
    struct fixture *self = *state;
    int64_t begin_ms = clock_ms();

    add(self, 1, 3000);
    struct snapshot_mark mark = take(self, 20);
    self->on_first_bytes = end_thread;
    fetch(self, &mark);
    assert_null(self->on_first_bytes);
    assert_int_equal(self->fetched.calls, 1);
    assert_true(clock_ms() - begin_ms < SNAPSHOT_STALL_MS);
    self->thread = start(self, self->here);
}

/* An endpoint that is none is told. */
static void test_an_endpoint_that_is_none(void **state)
{
    struct fixture *self = *state;
    struct snapshot_mark mark = mark_at(20);

    mark.bytes = 1000;
    snapshot_thread_fetch(self->thread, "nonsense", &mark);
    run_until(self, &self->fetched, 1);
    assert_int_equal(self->fetched.code, ERR_UNAVAILABLE);
}

/* ---- The channel, to strangers ------------------------------------------------------------- */

struct stranger {
    zsock_t *socket;
    struct told told; /* counts answers */
    struct snapshot_message answer;
    uint8_t data[SNAPSHOT_MESSAGE_BYTES_MAX];
};

static int on_answer(zloop_t *loop, zsock_t *socket, void *arg)
{
    struct stranger *self = arg;

    (void)loop;
    int size = zmq_recv(zsock_resolve(socket), self->data, sizeof self->data, 0);
    assert_int_equal(snapshot_message_decode(&self->answer, self->data, (size_t)size), 0);
    self->told.calls++;
    return 0;
}

static struct stranger *stranger_new(struct fixture *self)
{
    struct stranger *stranger = calloc(1, sizeof *stranger);

    stranger->socket = zsock_new_dealer(self->endpoint);
    assert_non_null(stranger->socket);
    zloop_reader(self->loop, stranger->socket, on_answer, stranger);
    return stranger;
}

static void stranger_destroy(struct fixture *self, struct stranger *stranger)
{
    zloop_reader_end(self->loop, stranger->socket);
    zsock_destroy(&stranger->socket);
    free(stranger);
}

static void ask(struct stranger *self, const char *uuid, const struct snapshot_mark *mark,
                uint64_t offset, uint32_t size)
{
    struct snapshot_message request = {
        .kind = SNAPSHOT_REQUEST,
        .index = mark->index,
        .term = mark->term,
        .checksum = mark->checksum,
        .offset = offset,
        .size = size,
    };
    struct bytes_writer text = {0};

    snapshot_message_set_uuid(&request, uuid);
    snapshot_message_encode(&request, &text);
    zmq_send(zsock_resolve(self->socket), text.data, text.size, 0);
    bytes_writer_close(&text);
}

/* Any piece may be asked for; the last one is as long as the file, and behind it there is none. */
static void test_any_piece_may_be_asked_for(void **state)
{
    struct fixture *self = *state;
    struct stranger *stranger = stranger_new(self);

    add(self, 1, 1000);
    struct snapshot_mark mark = take(self, 20);
    ask(stranger, UUID, &mark, 12345, 100);
    run_until(self, &stranger->told, 1);
    assert_int_equal(stranger->answer.kind, SNAPSHOT_CHUNK);
    assert_int_equal(stranger->answer.offset, 12345);
    assert_int_equal(stranger->answer.size, 100);
    ask(stranger, UUID, &mark, mark.bytes - 10, 100);
    run_until(self, &stranger->told, 2);
    assert_int_equal(stranger->answer.kind, SNAPSHOT_CHUNK);
    assert_int_equal(stranger->answer.size, 10);
    ask(stranger, UUID, &mark, mark.bytes, 100);
    run_until(self, &stranger->told, 3);
    assert_int_equal(stranger->answer.kind, SNAPSHOT_REFUSAL);
    assert_int_equal(stranger->answer.code, ERR_NOT_FOUND);
    stranger_destroy(self, stranger);
}

/* What is no request, or another cluster's, gets no answer and does no harm. */
static void test_strangers_get_no_answer(void **state)
{
    struct fixture *self = *state;
    struct stranger *stranger = stranger_new(self);
    const uint8_t chunk[] = {1, 2, 3};

    add(self, 1, 1000);
    struct snapshot_mark mark = take(self, 20);
    zstr_send(stranger->socket, "");
    zstr_send(stranger->socket, "hello");
    zstr_sendx(stranger->socket, "one", "two", "three", NULL);
    zmq_send(zsock_resolve(stranger->socket), chunk, sizeof chunk, 0);
    ask(stranger, OTHER_UUID, &mark, 0, 100);
    ask(stranger, UUID, &mark, 7, 100);
    run_until(self, &stranger->told, 1);
    assert_int_equal(stranger->answer.offset, 7);
    assert_int_equal(counter(self, "pygmy_snapshot_channel_dropped_total"), 5);
    stranger_destroy(self, stranger);
}

/* So many may fetch at a time; one more is told so, until another has not asked for a while. */
static void test_fetchers_are_bounded(void **state)
{
    struct fixture *self = *state;
    struct stranger *strangers[SNAPSHOT_FETCHERS_MAX + 1];

    add(self, 1, 1000);
    struct snapshot_mark mark = take(self, 20);
    for (size_t i = 0; i <= SNAPSHOT_FETCHERS_MAX; i++) {
        strangers[i] = stranger_new(self);
        ask(strangers[i], UUID, &mark, 0, 100);
        run_until(self, &strangers[i]->told, 1);
        assert_int_equal(strangers[i]->answer.kind,
                         i < SNAPSHOT_FETCHERS_MAX ? SNAPSHOT_CHUNK : SNAPSHOT_REFUSAL);
    }
    struct stranger *last = strangers[SNAPSHOT_FETCHERS_MAX];
    assert_int_equal(last->answer.code, ERR_BUSY);
    while (last->answer.kind == SNAPSHOT_REFUSAL) {
        ask(last, UUID, &mark, 0, 100);
        run_until(self, &last->told, last->told.calls + 1);
    }
    for (size_t i = 0; i <= SNAPSHOT_FETCHERS_MAX; i++)
        stranger_destroy(self, strangers[i]);
}

/* Ask for the beginning of a file. Returns OK when it was given, else the refusal's code. */
static int begin(struct fixture *self, struct stranger *stranger, const struct snapshot_mark *mark)
{
    ask(stranger, UUID, mark, 0, 100);
    run_until(self, &stranger->told, stranger->told.calls + 1);
    return stranger->answer.kind == SNAPSHOT_CHUNK ? OK : stranger->answer.code;
}

/* So many files are given out at a time; the one that nobody asks for has to make room soon, and
 * one that somebody does ask for stays, though it was removed. */
static void test_open_files_are_bounded(void **state)
{
    struct fixture *self = *state;
    struct stranger *stranger = stranger_new(self);
    struct snapshot_mark marks[SNAPSHOT_OPEN_FILES_MAX + 1];
    struct snapshot_mark *last = &marks[SNAPSHOT_OPEN_FILES_MAX];

    add(self, 1, 10);
    for (size_t i = 0; i <= SNAPSHOT_OPEN_FILES_MAX; i++)
        marks[i] = take(self, i + 1);
    for (struct snapshot_mark *mark = marks; mark < last; mark++)
        assert_int_equal(begin(self, stranger, mark), OK);
    const int64_t full_ms = clock_ms();
    while (begin(self, stranger, last) == ERR_BUSY)
        for (struct snapshot_mark *mark = &marks[1]; mark < last; mark++)
            assert_int_equal(begin(self, stranger, mark), OK);
    assert_int_equal(stranger->answer.kind, SNAPSHOT_CHUNK);
    assert_in_range(clock_ms() - full_ms, SNAPSHOT_ASK_AGAIN_MS / 2, SNAPSHOT_FETCHER_GONE_MS);
    remove_snapshot(self);
    for (struct snapshot_mark *mark = &marks[1]; mark <= last; mark++)
        assert_int_equal(begin(self, stranger, mark), OK);
    stranger_destroy(self, stranger);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_snapshot_travels),
        TEST(test_a_failing_disk_costs_the_snapshot_alone),
        TEST(test_a_store_that_is_not_there),
        TEST(test_what_is_not_there_is_told),
        TEST(test_a_damaged_snapshot_does_not_arrive),
        TEST(test_a_fetch_outlives_its_connection),
        TEST(test_a_removed_file_is_given_out_to_its_end),
        TEST(test_a_fetch_takes_the_place_of_another),
        TEST(test_jobs_are_bounded),
        TEST(test_it_ends_in_the_middle),
        TEST(test_an_endpoint_that_is_none),
        TEST(test_any_piece_may_be_asked_for),
        TEST(test_strangers_get_no_answer),
        TEST(test_fetchers_are_bounded),
        TEST(test_open_files_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
