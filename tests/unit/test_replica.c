/* The replica, alone in its group: durable before applied, applied before called back; and after a
 * death, all of it again. Of three: test_replica_group.c.
 *
 * Some tests need a process of its own to be killed: this program runs itself with arguments.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <czmq.h>
#include <inttypes.h>
#include <signal.h>
#include <spawn.h>
#include <sqlite3.h>
#include <sys/wait.h>

#include "broker/bus/alarm.h"
#include "broker/bus/clock.h"
#include "broker/bus/err.h"
#include "broker/bus/limits.h"
#include "broker/bus/metrics.h"
#include "services/replica/disk_thread.h"
#include "services/replica/fatal.h"
#include "services/replica/log_store.h"
#include "services/replica/membership.h"
#include "services/replica/replica.h"
#include "tests/lib/fault_vfs.h"
#include "tests/lib/files.h"
#include "tests/lib/toy_machine.h"

#define VFS         "fault-replica"
#define DEADLINE_MS 20000

extern char **environ;

struct fixture {
    char *directory;
    zloop_t *loop;
    struct fault_vfs *vfs;
    struct metrics *metrics;
    struct toy_machine *machine;
    struct replica *replica;
    char *error;
    struct replica_options options;
    size_t calls; /* of callbacks */
    size_t oks;
    size_t unknowns;
    size_t refusals;          /* definite */
    replica_index last_index; /* of the last OK */
    size_t disorder;          /* OKs whose index was not above the one before */
    bool chain;               /* submit again from the callback, of a command or a read */
    size_t looks;             /* at a condition that is only met by time */
};

/* ---- Helpers ------------------------------------------------------------------------------- */

static struct fixture *fixture_new(const char *directory)
{
    struct fixture *self = calloc(1, sizeof *self);
    zsys_handler_set(NULL);
    self->directory = strdup(directory);
    self->loop = zloop_new();
    self->vfs = fault_vfs_new(VFS, false);
    self->metrics = metrics_new();
    self->options = (struct replica_options){
        .name = "catalog-1",
        .group = "catalog",
        .directory = self->directory,
        .uuid = "c1",
        .id = 1,
        .metrics = self->metrics,
        .vfs = VFS,
        .free_bytes_min = 1,
    };
    return self;
}

static void fixture_close(struct fixture *self)
{
    replica_close(&self->replica);
    toy_machine_destroy(&self->machine);
}

static void fixture_destroy(struct fixture *self)
{
    fixture_close(self);
    fault_vfs_destroy(&self->vfs);
    metrics_destroy(&self->metrics);
    zloop_destroy(&self->loop);
    free(self->error);
    free(self->directory);
    free(self);
}

static int setup(void **state)
{
    char *directory = files_new_directory();
    *state = fixture_new(directory);
    free(directory);
    return 0;
}

static int teardown(void **state)
{
    struct fixture *self = *state;
    char *directory = strdup(self->directory);
    fixture_destroy(self);
    files_remove_directory(&directory);
    return 0;
}

static int found(struct fixture *self)
{
    struct membership alone = {
        .count = 1, .members = {{.id = 1, .role = MEMBER_VOTER, .address = "catalog-1"}}};

    free(self->error);
    self->error = NULL;
    return replica_found(&self->options, &alone, &self->error);
}

/* Open it anew, founded or not. */
static int reopen(struct fixture *self)
{
    fixture_close(self);
    free(self->error);
    self->error = NULL;
    self->machine = toy_machine_new();
    struct replica_machine machine = toy_machine_interface(self->machine);
    return replica_open(self->loop, &self->options, &machine, &self->replica, &self->error);
}

static void on_done(void *arg, int code, void *result, replica_index index);

static void submit_again(struct fixture *self)
{
    if (!self->chain)
        return;
    self->chain = false;
    assert_int_equal(replica_submit(self->replica, "chained", 7, on_done, self), 0);
}

static void on_done(void *arg, int code, void *result, replica_index index)
{
    struct fixture *self = arg;

    self->calls++;
    assert_true((code == OK) == (result != NULL));
    assert_true((code == OK) == (index > 0));
    if (code == OK) {
        self->oks++;
        self->disorder += index <= self->last_index;
        self->last_index = index;
    }
    self->unknowns += code == ERR_UNKNOWN;
    self->refusals += code == ERR_NOT_LEADER;
    free(result);
    submit_again(self);
}

static int submit(struct fixture *self, const char *command)
{
    return replica_submit(self->replica, command, strlen(command), on_done, self);
}

static void submit_numbers(struct fixture *self, int from, int to)
{
    char text[16];
    for (int number = from; number <= to; number++) {
        snprintf(text, sizeof text, "n%d", number);
        assert_int_equal(submit(self, text), 0);
    }
}

struct wait {
    struct fixture *fixture;
    bool (*met)(struct fixture *fixture, size_t number);
    size_t number;
    int64_t deadline_ms;
    bool done;
};

static int wait_check(zloop_t *loop, int timer, void *arg)
{
    struct wait *self = arg;
    (void)loop;
    (void)timer;
    self->done = self->met(self->fixture, self->number);
    return self->done || clock_ms() > self->deadline_ms ? -1 : 0;
}

/* Run the loop until a condition is met. */
static void run_until(struct fixture *self, bool (*met)(struct fixture *, size_t), size_t number)
{
    struct wait wait = {
        .fixture = self, .met = met, .number = number, .deadline_ms = clock_ms() + DEADLINE_MS};
    int timer = zloop_timer(self->loop, 1, 0, wait_check, &wait);
    zloop_start(self->loop);
    zloop_timer_end(self->loop, timer);
    assert_true(wait.done);
}

static bool leads(struct fixture *self, size_t number)
{
    (void)number;
    return replica_is_leader(self->replica);
}

/* Open it anew, founded if need be, and have it lead its group of one. */
static void start(struct fixture *self)
{
    fixture_close(self);
    assert_int_equal(found(self), 0);
    assert_int_equal(reopen(self), 0);
    run_until(self, leads, 0);
}

static bool calls_are(struct fixture *self, size_t number)
{
    return self->calls >= number;
}

static void run_calls(struct fixture *self, size_t calls)
{
    run_until(self, calls_are, calls);
}

static bool syncs_are(struct fixture *self, size_t number)
{
    return (size_t)fault_vfs_syncs(self->vfs) >= number;
}

static double metric_of(struct fixture *self, const char *name)
{
    return metric_value(metrics_counter(self->metrics, name, NULL, ""));
}

/* How often it has carried on with what there was to carry on with. */
static double turns_of(struct fixture *self)
{
    struct bytes_writer text = {0};
    double turns = 0;

    metrics_write(self->metrics, &text);
    bytes_put_u8(&text, 0);
    const char *line =
        strstr((const char *)text.data, "\npygmy_replica_turn_duration_seconds_count ");
    assert_non_null(line);
    assert_int_equal(sscanf(line, "%*s %lf", &turns), 1);
    bytes_writer_close(&text);
    return turns;
}

static void assert_refused(struct fixture *self, int code, const char *words)
{
    assert_int_equal(reopen(self), code);
    assert_null(self->replica);
    if (strstr(self->error, words) == NULL)
        fail_msg("\"%s\" lacks \"%s\"", self->error, words);
}

/* ---- Life ---------------------------------------------------------------------------------- */

/* A founded replica leads its group of one in term 2, with two entries, the membership and its own
 * barrier, which the machine does not see. */
static void test_a_new_replica_leads(void **state)
{
    struct fixture *self = *state;
    struct replica_status status;

    start(self);
    replica_status(self->replica, &status);
    assert_string_equal(status.role, "leader");
    assert_int_equal(status.leader, 1);
    assert_int_equal(status.term, 2);
    assert_int_equal(status.last_index, 2);
    assert_int_equal(status.durable_index, 2);
    assert_int_equal(status.commit_index, 2);
    assert_int_equal(status.applied_index, 2);
    assert_int_equal(status.last_contact_ms, 0);
    assert_int_equal(toy_machine_leads(self->machine), 1);
    assert_int_equal(toy_machine_lead_term(self->machine), 2);
    assert_int_equal(toy_machine_count(self->machine), 0);
}

/* An empty directory becomes a member's by founding alone: else it is refused, with what to do. */
static void test_an_empty_directory_is_no_member(void **state)
{
    struct fixture *self = *state;

    assert_int_equal(reopen(self), ERR_NOT_FOUND);
    assert_non_null(strstr(self->error, "--found"));
    assert_non_null(strstr(self->error, "--join"));
    start(self);
}

/* What is founded already stays as it is. */
static void test_founding_again_changes_nothing(void **state)
{
    struct fixture *self = *state;

    start(self);
    submit_numbers(self, 1, 1);
    replica_flush(self->replica);
    run_calls(self, 1);
    fixture_close(self);
    assert_int_equal(found(self), 0);
    start(self);
    assert_int_equal(replica_current_term(self->replica), 3);
    assert_int_equal(toy_machine_count_of(self->machine, "n1"), 1);
}

/* A command is called back once, with its result and index, after it was flushed, and not before. */
static void test_a_command_is_applied_and_called_back(void **state)
{
    struct fixture *self = *state;

    start(self);
    assert_int_equal(submit(self, "one"), 0);
    assert_int_equal(replica_pending(self->replica), 1);
    assert_int_equal(self->calls, 0);
    assert_int_equal(replica_last_index(self->replica), 2);
    replica_flush(self->replica);
    assert_int_equal(self->calls, 0);
    run_calls(self, 1);
    assert_int_equal(self->oks, 1);
    assert_int_equal(self->last_index, 3);
    assert_int_equal(replica_pending(self->replica), 0);
    assert_int_equal(replica_applied_index(self->replica), 3);
    assert_int_equal(toy_machine_count_of(self->machine, "one"), 1);
}

/* While the disk has not finished, nothing is applied and nobody is called back. */
static void test_nothing_is_applied_before_it_is_durable(void **state)
{
    struct fixture *self = *state;

    start(self);
    size_t syncs = (size_t)fault_vfs_syncs(self->vfs);
    fault_vfs_hold(self->vfs, true);
    assert_int_equal(submit(self, "one"), 0);
    replica_flush(self->replica);
    run_until(self, syncs_are, syncs + 1); /* it is written, and its sync has begun */
    assert_int_equal(self->calls, 0);
    assert_int_equal(replica_commit_index(self->replica), 2);
    assert_int_equal(replica_applied_index(self->replica), 2);
    assert_int_equal(toy_machine_count(self->machine), 0);
    fault_vfs_hold(self->vfs, false);
    run_calls(self, 1);
    assert_int_equal(toy_machine_count(self->machine), 1);
}

/* All that comes while the disk is busy is one transaction, however many turns it came in. */
static void test_what_waits_for_the_disk_is_one_transaction(void **state)
{
    struct fixture *self = *state;

    start(self);
    size_t syncs = (size_t)fault_vfs_syncs(self->vfs);
    double transactions = metric_of(self, "pygmy_replica_transactions_total");
    fault_vfs_hold(self->vfs, true);
    submit_numbers(self, 1, 1);
    replica_flush(self->replica);
    run_until(self, syncs_are, syncs + 1);
    for (int number = 2; number <= 50; number++) {
        submit_numbers(self, number, number);
        replica_flush(self->replica);
    }
    fault_vfs_hold(self->vfs, false);
    run_calls(self, 50);
    assert_int_equal(self->oks, 50);
    assert_int_equal(fault_vfs_syncs(self->vfs) - (int64_t)syncs, 2);
    assert_true(metric_of(self, "pygmy_replica_transactions_total") - transactions == 2);
    assert_true(metric_of(self, "pygmy_replica_entries_total") == 51);
}

/* More batches than the disk thread is handed at once wait, and follow. */
static void test_batches_beyond_the_bound_wait(void **state)
{
    struct fixture *self = *state;

    start(self);
    fault_vfs_hold(self->vfs, true);
    for (int number = 1; number <= 3 * DISK_BATCH_COUNT_MAX; number++) {
        submit_numbers(self, number, number);
        replica_flush(self->replica);
    }
    assert_int_equal(replica_last_index(self->replica), 2 + DISK_BATCH_COUNT_MAX);
    fault_vfs_hold(self->vfs, false);
    run_calls(self, 3 * DISK_BATCH_COUNT_MAX);
    assert_int_equal(self->oks, 3 * DISK_BATCH_COUNT_MAX);
    assert_int_equal(self->disorder, 0);
}

/* A great many commands are applied in the order of the log, in bounded transactions. */
static void test_transactions_of_the_machine_are_bounded(void **state)
{
    struct fixture *self = *state;
    const int count = 5 * APPEND_COUNT_MAX + 7;

    start(self);
    submit_numbers(self, 1, count);
    replica_flush(self->replica);
    run_calls(self, (size_t)count);
    assert_int_equal(self->oks, count);
    assert_int_equal(self->disorder, 0);
    assert_int_equal(toy_machine_count(self->machine), count);
    assert_true(toy_machine_largest_transaction(self->machine) <= APPEND_COUNT_MAX);
    assert_int_equal(self->last_index, count + 2);
}

/* Commands that take long are applied a few at a time: heartbeats go out in between. */
static void test_slow_commands_leave_room_for_the_loop(void **state)
{
    struct fixture *self = *state;
    const int count = 40;
    const int64_t slow_ms = 4;

    start(self);
    toy_machine_set_slow(self->machine, slow_ms);
    submit_numbers(self, 1, count);
    replica_flush(self->replica);
    run_calls(self, (size_t)count);
    assert_int_equal(self->oks, count);
    assert_int_equal(self->disorder, 0);
    assert_true(toy_machine_largest_transaction(self->machine) <=
                (size_t)(APPLY_TURN_MS / slow_ms + 1));
}

/* A callback may submit; the replica flushes it by itself. */
static void test_a_callback_may_submit(void **state)
{
    struct fixture *self = *state;

    start(self);
    self->chain = true;
    assert_int_equal(submit(self, "first"), 0);
    replica_flush(self->replica);
    run_calls(self, 2);
    assert_int_equal(toy_machine_count_of(self->machine, "chained"), 1);
}

static void on_read(void *arg, int code)
{
    struct fixture *self = arg;
    assert_int_equal(code, OK);
    self->calls++;
    submit_again(self);
}

static int ask(struct fixture *self)
{
    return replica_read(self->replica, clock_ms() + DEADLINE_MS, on_read, self);
}

/* Alone in its group, a replica confirms a read at the end of the batch that it came in. */
static void test_a_read_runs_with_its_batch(void **state)
{
    struct fixture *self = *state;

    start(self);
    assert_int_equal(ask(self), 0);
    assert_int_equal(self->calls, 0);
    assert_int_equal(replica_pending(self->replica), 1);
    replica_flush(self->replica);
    assert_int_equal(self->calls, 1);
    assert_int_equal(replica_pending(self->replica), 0);
}

/* Start it with no heartbeat or other beat of its own for longer than any test takes. */
static void start_without_a_beat(struct fixture *self)
{
    self->options.election_ms = 10 * DEADLINE_MS;
    self->options.heartbeat_ms = 2 * DEADLINE_MS;
    start(self);
}

/* So may a read's, which comes when those that waited have been submitted already, and no event
 * follows that would carry the command on. */
static void test_the_callback_of_a_read_may_submit(void **state)
{
    struct fixture *self = *state;

    start_without_a_beat(self);
    self->chain = true;
    assert_int_equal(ask(self), 0);
    replica_flush(self->replica);
    run_calls(self, 2);
    assert_int_equal(toy_machine_count_of(self->machine, "chained"), 1);
}

static bool looks_are(struct fixture *self, size_t number)
{
    return ++self->looks >= number;
}

/* Where there is no room for such a command, it is not tried again and again: the disk's word is
 * waited for. */
static void test_what_has_no_room_waits_for_it(void **state)
{
    struct fixture *self = *state;

    start_without_a_beat(self);
    fault_vfs_hold(self->vfs, true);
    for (int number = 1; number <= DISK_BATCH_COUNT_MAX; number++) {
        submit_numbers(self, number, number);
        replica_flush(self->replica);
    }
    self->chain = true;
    assert_int_equal(ask(self), 0);
    replica_flush(self->replica);
    assert_int_equal(self->calls, 1);
    double turns = turns_of(self);
    run_until(self, looks_are, 20); /* one in a turn of the loop, and in a millisecond */
    assert_true(turns_of(self) <= turns + 1);
    fault_vfs_hold(self->vfs, false);
    run_calls(self, 1 + DISK_BATCH_COUNT_MAX + 1);
    assert_int_equal(toy_machine_count_of(self->machine, "chained"), 1);
}

/* Reads are bounded in number: one more is refused, and the others run. */
static void test_reads_are_bounded(void **state)
{
    struct fixture *self = *state;

    start(self);
    for (int i = 0; i < READS_MAX; i++)
        assert_int_equal(ask(self), 0);
    assert_int_equal(ask(self), ERR_BUSY);
    replica_flush(self->replica);
    assert_int_equal(self->calls, READS_MAX);
    assert_int_equal(ask(self), 0);
    replica_flush(self->replica);
    assert_int_equal(self->calls, READS_MAX + 1);
}

/* ---- Restart ------------------------------------------------------------------------------- */

/* After a restart the machine is made from the log again, in bounded transactions, and nobody is
 * called back for it; the term rises. */
static void test_a_restart_replays_the_log(void **state)
{
    struct fixture *self = *state;
    const size_t count = 2 * APPEND_COUNT_MAX + 1;

    start(self);
    submit_numbers(self, 1, (int)count);
    replica_flush(self->replica);
    run_calls(self, count);
    start(self);
    assert_int_equal(replica_current_term(self->replica), 3);
    assert_int_equal(toy_machine_applies(self->machine), count);
    assert_int_equal(toy_machine_releases(self->machine), count);
    assert_int_equal(toy_machine_count(self->machine), count);
    assert_true(toy_machine_largest_transaction(self->machine) <= APPEND_COUNT_MAX);
    assert_int_equal(toy_machine_leads(self->machine), 1);
    assert_int_equal(toy_machine_lead_term(self->machine), 3);
    assert_int_equal(self->calls, count);
    assert_int_equal(replica_applied_index(self->replica), count + 3);
}

/* What was changed in the machine's store while no process had it is not believed. */
static void test_a_changed_state_is_not_believed(void **state)
{
    struct fixture *self = *state;
    char *store = files_path(self->directory, "state.db");
    sqlite3 *db;

    start(self);
    submit_numbers(self, 1, 10);
    replica_flush(self->replica);
    run_calls(self, 10);
    fixture_close(self);
    assert_int_equal(sqlite3_open(store, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "UPDATE commands SET command = 'n99'", NULL, NULL, NULL),
                     SQLITE_OK);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
    start(self);
    assert_int_equal(toy_machine_count_of(self->machine, "n5"), 1);
    assert_int_equal(toy_machine_count_of(self->machine, "n99"), 0);
    free(store);
}

/* Log time goes on from the last entry, never falls, and does not count the time between. */
static void test_log_time_goes_on_after_a_restart(void **state)
{
    struct fixture *self = *state;
    int64_t told_ms = 0;

    int64_t begin_ms = clock_ms();
    for (int round = 1; round <= 5; round++) {
        start(self);
        submit_numbers(self, 10 * round, 10 * round + 9);
        replica_flush(self->replica);
        run_calls(self, 10 * (size_t)round);
        told_ms = replica_log_time_ms(self->replica);
        assert_true(told_ms >= toy_machine_last_log_time_ms(self->machine));
    }
    assert_true(told_ms <= clock_ms() - begin_ms);
    assert_int_equal(toy_machine_count_of_falling_times(self->machine), 0);
}

/* ---- Bounds and refusals ------------------------------------------------------------------- */

/* At each bound a command is refused, definitely, and nothing of it remains. */
static void test_bounds_are_refusals(void **state)
{
    struct fixture *self = *state;
    char *large = calloc(1, ENTRY_BYTES_MAX + 1);
    size_t accepted = 0;

    start(self);
    assert_int_equal(replica_submit(self->replica, large, ENTRY_BYTES_MAX + 1, on_done, self),
                     ERR_TOO_LARGE);
    memset(large, 'x', ENTRY_BYTES_MAX);
    while (replica_submit(self->replica, large, ENTRY_BYTES_MAX, on_done, self) == 0)
        accepted++;
    assert_int_equal(accepted, SUBMIT_BYTES_MAX / ENTRY_BYTES_MAX);
    assert_int_equal(replica_submit(self->replica, large, ENTRY_BYTES_MAX, on_done, self),
                     ERR_BUSY);
    replica_flush(self->replica);
    run_calls(self, accepted);
    assert_int_equal(self->oks, accepted);

    submit_numbers(self, 1, SUBMIT_COUNT_MAX);
    assert_int_equal(submit(self, "one more"), ERR_BUSY);
    replica_flush(self->replica);
    run_calls(self, accepted + SUBMIT_COUNT_MAX);
    assert_int_equal(submit(self, "again"), 0);
    assert_int_equal(toy_machine_count(self->machine), accepted + SUBMIT_COUNT_MAX);
    free(large);
}

/* With too little free space writes are refused and reads go on. */
static void test_a_full_disk_refuses_writes(void **state)
{
    struct fixture *self = *state;

    self->options.free_bytes_min = INT64_MAX;
    start(self);
    assert_int_equal(submit(self, "one"), ERR_DISK_LOW);
    assert_int_equal(replica_pending(self->replica), 0);
    assert_int_equal(ask(self), 0);
    replica_flush(self->replica);
    assert_int_equal(self->calls, 1);
}

/* A replica has an id. */
static void test_an_impossible_id_is_refused(void **state)
{
    struct fixture *self = *state;

    self->options.id = 0;
    assert_refused(self, ERR_INVALID, "id");
}

/* Another cluster's directory is refused; so is one that is in use. */
static void test_a_foreign_or_busy_directory_is_refused(void **state)
{
    struct fixture *self = *state;

    start(self);
    fixture_close(self);
    self->options.uuid = "c2";
    assert_refused(self, ERR_MISMATCH, "another cluster");
    self->options.uuid = "c1";
    start(self);

    struct fixture *second = fixture_new(self->directory);
    assert_refused(second, ERR_LOCKED, "in use");
    fixture_destroy(second);
}

/* A damaged log is refused with what to do about it. */
static void test_a_damaged_log_is_refused(void **state)
{
    struct fixture *self = *state;
    char *log = files_path(self->directory, "log.db");

    start(self);
    submit_numbers(self, 1, 100);
    replica_flush(self->replica);
    run_calls(self, 100);
    fixture_close(self);
    files_truncate(log, files_size(log) / 2);
    assert_refused(self, ERR_CORRUPT, "re-seeded");
    free(log);
}

/* ---- Closing ------------------------------------------------------------------------------- */

/* At the end each submission has been called back once: what was appended with its result, the rest
 * as never attempted. */
static void test_closing_calls_everything_back_once(void **state)
{
    struct fixture *self = *state;

    start(self);
    submit_numbers(self, 1, 700);
    replica_flush(self->replica);
    submit_numbers(self, 701, 710);
    fixture_close(self);
    assert_int_equal(self->calls, 710);
    assert_int_equal(self->oks, 700);
    assert_int_equal(self->refusals, 10);
    assert_int_equal(self->unknowns, 0);
    start(self);
    assert_int_equal(toy_machine_count(self->machine), 700);
}

/* ---- Death --------------------------------------------------------------------------------- */

/* Run this program as `child MODE DIRECTORY`, its standard output at *output. */
static pid_t spawn(const char *mode, const char *directory, int *output)
{
    char *arguments[] = {(char *)"test_replica", (char *)"child", (char *)mode, (char *)directory,
                         NULL};
    posix_spawn_file_actions_t actions;
    int ends[2];
    pid_t pid;

    assert_int_equal(pipe(ends), 0);
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
    posix_spawn_file_actions_addclose(&actions, ends[0]);
    assert_int_equal(posix_spawn(&pid, "/proc/self/exe", &actions, NULL, arguments, environ), 0);
    posix_spawn_file_actions_destroy(&actions);
    close(ends[1]);
    *output = ends[0];
    return pid;
}

/* Each command that was acknowledged says so to whoever reads. */
static void child_on_done(void *arg, int code, void *result, replica_index index)
{
    struct fixture *self = arg;
    char line[64];

    assert_int_equal(code, OK);
    int size = snprintf(line, sizeof line, "%s %" PRIu64 "\n", (char *)result, index);
    if (write(STDOUT_FILENO, line, (size_t)size) != size)
        _exit(1);
    free(result);
    snprintf(line, sizeof line, "p%ld-%zu", (long)getpid(), self->calls++);
    replica_submit(self->replica, line, strlen(line), child_on_done, self);
}

/* Write until killed: eight commands at a time, each followed by another one. */
static int child_run(const char *mode, const char *directory)
{
    struct fixture *self = fixture_new(directory);
    char line[64];

    if (found(self) != 0 || reopen(self) != 0)
        return 1;
    run_until(self, leads, 0);
    if (strcmp(mode, "fail") == 0)
        fault_vfs_fail(self->vfs, 500, true);
    for (int i = 0; i < 8; i++) {
        snprintf(line, sizeof line, "p%ld-%zu", (long)getpid(), self->calls++);
        replica_submit(self->replica, line, strlen(line), child_on_done, self);
    }
    replica_flush(self->replica);
    zloop_start(self->loop);
    return 1;
}

/* Read what was acknowledged until @lines were, or the end. Returns the text. */
static char *read_lines(int output, size_t lines)
{
    char *text = calloc(1, 1 << 20);
    size_t size = 0;
    size_t count = 0;
    ssize_t got;

    while (count < lines && size < (1 << 20) - 1 &&
           (got = read(output, text + size, (1 << 20) - 1 - size)) > 0) {
        for (ssize_t i = 0; i < got; i++)
            count += text[size + (size_t)i] == '\n';
        size += (size_t)got;
    }
    return text;
}

/* Every whole line's command is in the machine, once. Returns how many there were. */
static size_t assert_acknowledged(struct fixture *self, char *text)
{
    size_t count = 0;
    char *end;

    for (char *line = text; (end = strchr(line, '\n')) != NULL; line = end + 1, count++) {
        *strchr(line, ' ') = '\0';
        if (toy_machine_count_of(self->machine, line) != 1)
            fail_msg("%s was acknowledged and is not there", line);
    }
    return count;
}

/* Kill a writing process again and again, at any moment: what it acknowledged is there, once. */
static void test_a_killed_process_loses_nothing_acknowledged(void **state)
{
    struct fixture *self = *state;
    char *all = calloc(1, 1 << 22);

    for (size_t round = 1; round <= 12; round++) {
        int output;
        int status;
        pid_t pid = spawn("run", self->directory, &output);
        char *text = read_lines(output, 37 * round);
        kill(pid, SIGKILL);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFSIGNALED(status));
        char *rest = read_lines(output, SIZE_MAX);
        close(output);
        strcat(strcat(all, text), rest);
        free(text);
        free(rest);
        start(self);
        char *copy = strdup(all);
        assert_true(assert_acknowledged(self, copy) >= 37 * round);
        assert_int_equal(toy_machine_count_of_falling_times(self->machine), 0);
        free(copy);
        fixture_close(self);
    }
    free(all);
}

/* While another process has the directory, it is refused; when that one is killed, it is free. */
static void test_a_lock_ends_with_its_process(void **state)
{
    struct fixture *self = *state;
    int output;
    int status;

    pid_t pid = spawn("run", self->directory, &output);
    char *text = read_lines(output, 1);
    assert_refused(self, ERR_LOCKED, "in use");
    kill(pid, SIGKILL);
    waitpid(pid, &status, 0);
    close(output);
    start(self);
    free(text);
}

/* A disk that fails ends the process with its own status; nothing acknowledged is lost. */
static void test_a_failing_disk_ends_the_process(void **state)
{
    struct fixture *self = *state;
    int output;
    int status;

    pid_t pid = spawn("fail", self->directory, &output);
    char *text = read_lines(output, SIZE_MAX);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), FATAL_EXIT_STATUS);
    close(output);
    start(self);
    assert_true(assert_acknowledged(self, text) > 0);
    free(text);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_new_replica_leads),
        TEST(test_an_empty_directory_is_no_member),
        TEST(test_founding_again_changes_nothing),
        TEST(test_a_command_is_applied_and_called_back),
        TEST(test_nothing_is_applied_before_it_is_durable),
        TEST(test_what_waits_for_the_disk_is_one_transaction),
        TEST(test_batches_beyond_the_bound_wait),
        TEST(test_transactions_of_the_machine_are_bounded),
        TEST(test_slow_commands_leave_room_for_the_loop),
        TEST(test_a_callback_may_submit),
        TEST(test_a_read_runs_with_its_batch),
        TEST(test_the_callback_of_a_read_may_submit),
        TEST(test_what_has_no_room_waits_for_it),
        TEST(test_reads_are_bounded),
        TEST(test_a_restart_replays_the_log),
        TEST(test_a_changed_state_is_not_believed),
        TEST(test_log_time_goes_on_after_a_restart),
        TEST(test_bounds_are_refusals),
        TEST(test_a_full_disk_refuses_writes),
        TEST(test_an_impossible_id_is_refused),
        TEST(test_a_foreign_or_busy_directory_is_refused),
        TEST(test_a_damaged_log_is_refused),
        TEST(test_closing_calls_everything_back_once),
        TEST(test_a_killed_process_loses_nothing_acknowledged),
        TEST(test_a_lock_ends_with_its_process),
        TEST(test_a_failing_disk_ends_the_process),
    };
    if (argc == 4 && strcmp(argv[1], "child") == 0)
        return child_run(argv[2], argv[3]);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
