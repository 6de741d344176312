/* Reads that name the index which has to be applied, at a replica that is alone in its group: when
 * they are called back, and that each is, once.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <czmq.h>

#include "broker/bus/clock.h"
#include "broker/bus/err.h"
#include "broker/bus/limits.h"
#include "services/replica/membership.h"
#include "services/replica/replica.h"
#include "tests/lib/fault_vfs.h"
#include "tests/lib/files.h"
#include "tests/lib/toy_machine.h"

#define VFS         "fault-reads"
#define DEADLINE_MS 20000
#define FIRST       3 /* index of the first command, after a membership and a barrier */

struct fixture {
    char *directory;
    zloop_t *loop;
    struct fault_vfs *vfs;
    struct toy_machine *machine;
    struct replica *replica;
    size_t reads;  /* called back with OK */
    size_t late;   /* with ERR_UNAVAILABLE */
    size_t writes; /* called back */
    size_t behind; /* reads that were called back before their index was applied */
    bool chain;    /* ask for another one from within */
};

/* A read, with what it waits for. */
struct read {
    struct fixture *fixture;
    replica_index index;
};

static int open_replica(struct fixture *self)
{
    const struct membership alone = {
        .count = 1, .members = {{.id = 1, .role = MEMBER_VOTER, .address = "catalog-1"}}};
    const struct replica_options options = {
        .name = "catalog-1",
        .group = "catalog",
        .directory = self->directory,
        .uuid = "c1",
        .id = 1,
        .vfs = VFS,
        .free_bytes_min = 1,
        /* No beat of its own for longer than any test takes: what is called back is called back by
         * what the test does. */
        .election_ms = 10 * DEADLINE_MS,
        .heartbeat_ms = 2 * DEADLINE_MS,
    };
    char *error = NULL;
    self->machine = toy_machine_new();
    const struct replica_machine machine = toy_machine_interface(self->machine);
    const int result = replica_found(&options, &alone, &error);
    assert_int_equal(result, 0);
    return replica_open(self->loop, &options, &machine, &self->replica, &error);
}

struct wait {
    struct fixture *fixture;
    bool (*met)(struct fixture *fixture);
    int64_t deadline_ms;
    bool done;
};

static int wait_check(zloop_t *loop, int timer, void *arg)
{
    struct wait *self = arg;
    (void)loop;
    (void)timer;
    self->done = self->met(self->fixture);
    return self->done || clock_ms() > self->deadline_ms ? -1 : 0;
}

static void run_until(struct fixture *self, bool (*met)(struct fixture *))
{
    struct wait wait = {.fixture = self, .met = met, .deadline_ms = clock_ms() + DEADLINE_MS};
    const int timer = zloop_timer(self->loop, 1, 0, wait_check, &wait);
    zloop_start(self->loop);
    zloop_timer_end(self->loop, timer);
    assert_true(wait.done);
}

static bool leads(struct fixture *self)
{
    return replica_is_leader(self->replica);
}

static int setup(void **state)
{
    struct fixture *self = calloc(1, sizeof *self);
    zsys_handler_set(NULL);
    self->directory = files_new_directory();
    self->loop = zloop_new();
    self->vfs = fault_vfs_new(VFS, false);
    assert_int_equal(open_replica(self), 0);
    run_until(self, leads);
    assert_int_equal(replica_applied_index(self->replica), FIRST - 1);
    *state = self;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *self = *state;
    replica_close(&self->replica);
    toy_machine_destroy(&self->machine);
    fault_vfs_destroy(&self->vfs);
    zloop_destroy(&self->loop);
    files_remove_directory(&self->directory);
    free(self);
    return 0;
}

/* ---- What the tests do ----------------------------------------------------------------------- */

static void ask(struct fixture *self, replica_index index, int64_t wait_ms);

static void on_read(void *arg, int code)
{
    struct read *read = arg;
    struct fixture *self = read->fixture;
    assert_true(code == OK || code == ERR_UNAVAILABLE);
    self->reads += code == OK;
    self->late += code != OK;
    self->behind += code == OK && replica_applied_index(self->replica) < read->index;
    free(read);
    if (self->chain) {
        self->chain = false;
        ask(self, FIRST - 1, DEADLINE_MS);
    }
}

static int try_to_ask(struct fixture *self, replica_index index, int64_t wait_ms)
{
    struct read *read = calloc(1, sizeof *read);
    *read = (struct read){self, index};
    const int code = replica_read_at(self->replica, index, clock_ms() + wait_ms, on_read, read);
    if (code != 0)
        free(read);
    return code;
}

static void ask(struct fixture *self, replica_index index, int64_t wait_ms)
{
    const size_t calls = self->reads + self->late;
    assert_int_equal(try_to_ask(self, index, wait_ms), 0);
    assert_int_equal(self->reads + self->late, calls); /* never from within */
}

static void on_written(void *arg, int code, void *result, replica_index index)
{
    struct fixture *self = arg;
    assert_int_equal(code, OK);
    assert_true(index >= FIRST);
    free(result);
    self->writes++;
}

static void write_one(struct fixture *self)
{
    assert_int_equal(replica_submit(self->replica, "x", 1, on_written, self), 0);
    replica_flush(self->replica);
}

static bool one_is_written(struct fixture *self)
{
    return self->writes == 1;
}

static bool one_is_read(struct fixture *self)
{
    return self->reads == 1;
}

static bool two_are_read(struct fixture *self)
{
    return self->reads == 2;
}

static bool one_is_late(struct fixture *self)
{
    return self->late == 1;
}

/* ---- Tests ----------------------------------------------------------------------------------- */

/* What is applied already is called back at the end of the batch; index 0 always is. */
static void test_what_is_applied_is_read_with_its_batch(void **state)
{
    struct fixture *self = *state;
    ask(self, FIRST - 1, DEADLINE_MS);
    ask(self, 0, DEADLINE_MS);
    assert_int_equal(replica_pending(self->replica), 2);
    replica_flush(self->replica);
    assert_int_equal(self->reads, 2);
    assert_int_equal(replica_pending(self->replica), 0);
}

/* What isn't is called back when it is, and not before; others do not wait for it. */
static void test_what_is_not_applied_is_waited_for(void **state)
{
    struct fixture *self = *state;
    ask(self, FIRST + 1, DEADLINE_MS);
    ask(self, FIRST, DEADLINE_MS);
    ask(self, FIRST - 1, DEADLINE_MS);
    replica_flush(self->replica);
    assert_int_equal(self->reads, 1);
    fault_vfs_hold(self->vfs, true);
    write_one(self);
    replica_flush(self->replica);
    assert_int_equal(self->reads, 1); /* the disk has it not yet */
    fault_vfs_hold(self->vfs, false);
    run_until(self, two_are_read);
    assert_int_equal(self->writes, 1);
    assert_int_equal(replica_pending(self->replica), 1);
    write_one(self);
    self->reads = 0;
    run_until(self, one_is_read);
    assert_int_equal(self->behind, 0);
    assert_int_equal(self->late, 0);
}

/* At its deadline it is called back without; it doesn't come a second time when the index is. */
static void test_nobody_waits_beyond_the_deadline(void **state)
{
    struct fixture *self = *state;
    ask(self, FIRST, 30);
    ask(self, FIRST, DEADLINE_MS);
    replica_flush(self->replica);
    run_until(self, one_is_late);
    assert_int_equal(self->reads, 0);
    assert_int_equal(replica_pending(self->replica), 1);
    write_one(self);
    run_until(self, one_is_read);
    assert_int_equal(self->late, 1);
    assert_int_equal(replica_pending(self->replica), 0);
}

/* A callback may ask again; that one comes without anything else happening. */
static void test_a_callback_may_ask_again(void **state)
{
    struct fixture *self = *state;
    self->chain = true;
    ask(self, FIRST - 1, DEADLINE_MS);
    replica_flush(self->replica);
    run_until(self, two_are_read);
}

static void on_other_read(void *arg, int code)
{
    struct fixture *self = arg;
    assert_int_equal(code, OK);
    self->writes++;
}

/* They count among all reads, up to the bound. */
static void test_they_are_bounded_with_other_reads(void **state)
{
    struct fixture *self = *state;
    const int64_t deadline_ms = clock_ms() + DEADLINE_MS;
    assert_int_equal(replica_read(self->replica, deadline_ms, on_other_read, self), 0);
    for (int i = 1; i < READS_MAX; i++)
        ask(self, FIRST, DEADLINE_MS);
    assert_int_equal(try_to_ask(self, 0, DEADLINE_MS), ERR_BUSY);
    assert_int_equal(replica_read(self->replica, deadline_ms, on_other_read, self), ERR_BUSY);
    replica_flush(self->replica);
    run_until(self, one_is_written); /* the other read, of a counter that both share */
    ask(self, 0, DEADLINE_MS);
    replica_flush(self->replica);
    assert_int_equal(self->reads, 1);
}

/* At the end each is called back, once: also one whose index is none that there will ever be. */
static void test_closing_calls_back_who_waits(void **state)
{
    struct fixture *self = *state;
    ask(self, FIRST, DEADLINE_MS);
    ask(self, INT64_MAX, DEADLINE_MS);
    ask(self, UINT64_MAX, DEADLINE_MS);
    replica_flush(self->replica);
    assert_int_equal(self->reads, 0);
    replica_close(&self->replica);
    assert_int_equal(self->late, 3);
    assert_int_equal(self->reads, 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_what_is_applied_is_read_with_its_batch),
        TEST(test_what_is_not_applied_is_waited_for),
        TEST(test_nobody_waits_beyond_the_deadline),
        TEST(test_a_callback_may_ask_again),
        TEST(test_they_are_bounded_with_other_reads),
        TEST(test_closing_calls_back_who_waits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
