/* Replicas that take snapshots: the log gets shorter, a start gets quicker, and who was away for too
 * long comes back all the same. In one process and one loop, over real sockets and disks.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE /* gettid() */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <czmq.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "broker/bus/clock.h"
#include "broker/bus/err.h"
#include "services/replica/log_store.h"
#include "services/replica/replica.h"
#include "tests/lib/files.h"
#include "tests/lib/toy_machine.h"

#define MEMBERS     3
#define ENTRIES     50   /* after so many a snapshot is taken */
#define ELECTION    1500 /* a turn of the loop is that of all three, and nobody is to lose the lead */
#define DEADLINE_MS 60000
#define UUID        "0123456789abcdef0123456789abcdef"

struct seat {
    struct seats *group;
    uint64_t id;
    char name[16];
    char *directory;
    char *link;
    char *channel;
    char *way; /* where others come to the channel: itself, or what is put before it */
    struct metrics *metrics;     /* of this life */
    struct toy_machine *machine; /* NULL: down */
    struct replica *replica;
};

struct seats {
    char *directory;
    zloop_t *loop;
    size_t members;
    struct seat seats[MEMBERS + 1]; /* by id; 0 is not used */
    int submitted;                  /* numbers, from 1 */
    size_t oks;
    uint64_t entries; /* after so many the next to start take a snapshot */
};

/* ---- Helpers ------------------------------------------------------------------------------- */

static void seat_init(struct seat *self, struct seats *group, uint64_t id)
{
    self->group = group;
    self->id = id;
    snprintf(self->name, sizeof self->name, "toy-%" PRIu64, id);
    self->directory = files_path(group->directory, self->name);
    self->link = zsys_sprintf("ipc://%s/link-%" PRIu64, group->directory, id);
    self->channel = zsys_sprintf("ipc://%s/snapshots-%" PRIu64, group->directory, id);
    self->way = zsys_sprintf("%s", self->channel);
}

static void seat_address(const struct seat *self, char *address, size_t size)
{
    snprintf(address, size, "%s %s %s", self->name, self->link, self->way);
}

static void seat_close(struct seat *self)
{
    replica_close(&self->replica);
    toy_machine_destroy(&self->machine);
    metrics_destroy(&self->metrics);
}

static struct replica_options seat_options(const struct seat *self)
{
    return (struct replica_options){
        .name = self->name,
        .group = "toy",
        .directory = self->directory,
        .uuid = UUID,
        .id = self->id,
        .election_ms = ELECTION,
        .heartbeat_ms = ELECTION / 10,
        .metrics = self->metrics,
        .free_bytes_min = 1,
        .snapshot_entries = self->group->entries,
    };
}

static int seat_open(struct seat *self)
{
    char address[MEMBER_ADDRESS_BYTES_MAX + 1];
    char *error = NULL;

    self->metrics = metrics_new();
    struct replica_options options = seat_options(self);
    seat_address(self, address, sizeof address);
    if (self->group->members > 1) {
        options.address = address;
        options.peer = self->link;
        options.snapshots = self->channel;
    }
    self->machine = toy_machine_new();
    struct replica_machine machine = toy_machine_interface(self->machine);
    int result = replica_open(self->group->loop, &options, &machine, &self->replica, &error);
    if (result != 0) {
        print_message("# %s\n", error);
        seat_close(self);
    }
    free(error);
    return result;
}

static void found(struct seats *self, size_t members)
{
    struct membership membership = {.count = members};
    char *error = NULL;

    self->members = members;
    for (size_t i = 1; i <= members; i++) {
        struct member *member = &membership.members[i - 1];
        *member = (struct member){.id = i, .role = MEMBER_VOTER};
        seat_address(&self->seats[i], member->address, sizeof member->address);
    }
    for (size_t i = 1; i <= members; i++) {
        struct replica_options options = seat_options(&self->seats[i]);
        assert_int_equal(replica_found(&options, &membership, &error), 0);
    }
}

static int setup(void **state)
{
    struct seats *self = calloc(1, sizeof *self);

    zsys_handler_set(NULL);
    self->directory = files_new_directory();
    self->loop = zloop_new();
    self->entries = ENTRIES;
    for (size_t i = 1; i <= MEMBERS; i++)
        seat_init(&self->seats[i], self, i);
    *state = self;
    return 0;
}

static int teardown(void **state)
{
    struct seats *self = *state;

    for (size_t i = 1; i <= MEMBERS; i++) {
        seat_close(&self->seats[i]);
        free(self->seats[i].directory);
        free(self->seats[i].link);
        free(self->seats[i].channel);
        free(self->seats[i].way);
    }
    zloop_destroy(&self->loop);
    files_remove_directory(&self->directory);
    free(self);
    return 0;
}

struct wait {
    struct seats *group;
    bool (*met)(struct seats *group);
    int64_t deadline_ms;
    bool done;
};

static int wait_look(zloop_t *loop, int timer, void *arg)
{
    struct wait *self = arg;

    (void)loop;
    (void)timer;
    self->done = self->met(self->group);
    return self->done || clock_ms() > self->deadline_ms ? -1 : 0;
}

static void run_until(struct seats *self, bool (*met)(struct seats *))
{
    struct wait wait = {.group = self, .met = met, .deadline_ms = clock_ms() + DEADLINE_MS};
    int timer = zloop_timer(self->loop, 1, 0, wait_look, &wait);

    zloop_start(self->loop);
    zloop_timer_end(self->loop, timer);
    assert_true(wait.done);
}

static struct seat *leader_of(struct seats *self)
{
    for (size_t i = 1; i <= MEMBERS; i++)
        if (self->seats[i].replica != NULL && replica_is_leader(self->seats[i].replica))
            return &self->seats[i];
    return NULL;
}

static struct seat *follower_of(struct seats *self)
{
    const struct seat *leader = leader_of(self);

    for (size_t i = 1; i <= MEMBERS; i++)
        if (self->seats[i].replica != NULL && &self->seats[i] != leader)
            return &self->seats[i];
    return NULL;
}

static bool somebody_leads(struct seats *self)
{
    return leader_of(self) != NULL;
}

static bool all_is_acknowledged(struct seats *self)
{
    return self->oks == (size_t)self->submitted;
}

/* All that are up have all commands in their tables. */
static bool all_have_all(struct seats *self)
{
    for (size_t i = 1; i <= MEMBERS; i++)
        if (self->seats[i].replica != NULL &&
            toy_machine_count(self->seats[i].machine) < (size_t)self->submitted)
            return false;
    return true;
}

static void start(struct seats *self)
{
    for (size_t i = 1; i <= self->members; i++)
        assert_int_equal(seat_open(&self->seats[i]), 0);
    run_until(self, somebody_leads);
}

static void on_done(void *arg, int code, void *result, replica_index index)
{
    struct seats *self = arg;

    (void)index;
    self->oks += code == OK;
    free(result);
}

/* The leader gets so many more commands, a few at a time, and all are acknowledged. */
static void submit(struct seats *self, int count)
{
    char text[16];

    for (int i = 1; i <= count; i++) {
        struct seat *leader = leader_of(self);
        snprintf(text, sizeof text, "n%d", ++self->submitted);
        assert_int_equal(replica_submit(leader->replica, text, strlen(text), on_done, self), 0);
        if (i % 10 == 0 || i == count) {
            replica_flush(leader->replica);
            run_until(self, all_is_acknowledged);
        }
    }
}

static size_t snapshots_of(const struct seat *self, const char *kind)
{
    char labels[64];

    snprintf(labels, sizeof labels, "kind=\"%s\",result=\"ok\"", kind);
    return (size_t)metric_value(
        metrics_counter(self->metrics, "pygmy_snapshots_total", labels, ""));
}

/* Each command is there once, in order. */
static void assert_whole(struct seats *self, const struct seat *seat)
{
    char text[16];

    assert_int_equal(toy_machine_count(seat->machine), self->submitted);
    assert_int_equal(toy_machine_count_of_falling_times(seat->machine), 0);
    for (int number = 1; number <= self->submitted; number += 7) {
        snprintf(text, sizeof text, "n%d", number);
        assert_int_equal(toy_machine_count_of(seat->machine, text), 1);
    }
}

/* What the log of a replica that is down has come to. */
static struct log_state log_of(const struct seat *self)
{
    char *path = files_path(self->directory, "log.db");
    char *mark = files_path(self->directory, "log.mark");
    struct log_store_options options = {
        .path = path, .mark_path = mark, .identity = {UUID, "toy", self->id}, .check = true};
    struct log_store *store = NULL;
    char *error = NULL;

    if (log_store_open(&options, &store, &error) != 0)
        fail_msg("%s", error);
    struct log_state state = log_store_state(store);
    log_store_close(&store);
    free(path);
    free(mark);
    return state;
}

static size_t files_of(const struct seat *self, const char *prefix)
{
    zdir_t *listing = zdir_new(self->directory, "-");
    zfile_t **files = zdir_flatten(listing);
    size_t count = 0;

    for (size_t i = 0; files[i] != NULL; i++)
        count += strncmp(zfile_filename(files[i], self->directory), prefix, strlen(prefix)) == 0;
    zdir_flatten_free(&files);
    zdir_destroy(&listing);
    return count;
}

/* ---- Alone --------------------------------------------------------------------------------- */

static bool three_were_taken(struct seats *self)
{
    return snapshots_of(&self->seats[1], "take") >= 3;
}

/* A replica takes snapshots as its log grows, and keeps one, with a part of the log. Its next start
 * begins from that, and comes to the same. */
static void test_the_log_is_cut_behind_snapshots(void **state)
{
    struct seats *self = *state;
    struct seat *alone = &self->seats[1];

    found(self, 1);
    start(self);
    while (!three_were_taken(self))
        submit(self, ENTRIES);
    replica_index last = replica_last_index(alone->replica);
    seat_close(alone);
    struct log_state log = log_of(alone);
    assert_int_equal(log.last_index, last);
    assert_true(log.snapshot_index >= 3 * ENTRIES);
    assert_in_range(log.first_index, 2, log.snapshot_index + 1);
    assert_in_range(files_of(alone, "snapshot-"), 1, 2);

    assert_int_equal(seat_open(alone), 0);
    assert_true(toy_machine_count(alone->machine) >=
                3 * ENTRIES - 3); /* before anything is applied */
    run_until(self, somebody_leads);
    run_until(self, all_have_all);
    assert_whole(self, alone);
    assert_true(toy_machine_applies(alone->machine) <= (size_t)(last - log.snapshot_index));
    submit(self, 3);
    assert_whole(self, alone);
}

/* Without its snapshot, or with a damaged one, a replica does not start. */
static void test_a_log_without_its_snapshot_is_refused(void **state)
{
    struct seats *self = *state;
    struct seat *alone = &self->seats[1];

    found(self, 1);
    start(self);
    while (!three_were_taken(self))
        submit(self, ENTRIES);
    seat_close(alone);
    assert_int_equal(seat_open(alone), 0);
    seat_close(alone);
    zdir_t *listing = zdir_new(alone->directory, "-");
    zfile_t **files = zdir_flatten(listing);
    for (size_t i = 0; files[i] != NULL; i++)
        if (strstr(zfile_filename(files[i], NULL), "snapshot-") != NULL)
            files_flip(zfile_filename(files[i], NULL), 5000, 1);
    zdir_flatten_free(&files);
    zdir_destroy(&listing);
    assert_int_equal(seat_open(alone), ERR_CORRUPT);
}

/* ---- Together ------------------------------------------------------------------------------ */

/* Whoever leads has cut its log above what the one that is down has. */
static bool others_are_far(struct seats *self)
{
    const struct seat *leader = leader_of(self);

    return leader != NULL && snapshots_of(leader, "take") >= 3;
}

static void go_far(struct seats *self)
{
    while (!others_are_far(self))
        submit(self, ENTRIES);
}

/* A follower that was away while the log was cut comes back by a snapshot and the log that follows
 * it; all that goes on meanwhile reaches it; and it is a follower like any other afterwards. */
static void test_who_was_away_comes_back_by_a_snapshot(void **state)
{
    struct seats *self = *state;

    found(self, MEMBERS);
    start(self);
    submit(self, 10);
    run_until(self, all_have_all);
    struct seat *away = follower_of(self);
    seat_close(away);
    go_far(self);
    assert_int_equal(seat_open(away), 0);
    submit(self, 30);
    run_until(self, all_have_all);
    assert_whole(self, away);
    assert_true(snapshots_of(away, "fetch") >= 1);
    assert_true(snapshots_of(away, "restore") >= 1);
    assert_true(toy_machine_applies(away->machine) < (size_t)self->submitted);
    seat_close(away);
    struct log_state log = log_of(away);
    assert_true(log.snapshot_index > ENTRIES);
    assert_int_not_equal(log.first_index, 1);

    /* It starts from what was installed, and may lead. */
    assert_int_equal(seat_open(away), 0);
    submit(self, 10);
    run_until(self, all_have_all);
    assert_whole(self, away);
    for (size_t i = 1; i <= MEMBERS; i++)
        if (&self->seats[i] != away)
            assert_whole(self, &self->seats[i]);
}

/* The rows of what is installed are counted before it takes the tables' place, in a thread of its own: the
 * loop reads none of them, however many there are. */
static void test_the_loop_counts_no_rows_of_what_is_installed(void **state)
{
    struct seats *self = *state;

    found(self, MEMBERS);
    start(self);
    struct seat *away = follower_of(self);
    seat_close(away);
    go_far(self);
    assert_int_equal(seat_open(away), 0);
    assert_int_equal(toy_machine_counted_by(away->machine), 0);
    submit(self, 10);
    run_until(self, all_have_all);
    assert_true(snapshots_of(away, "restore") >= 1);
    assert_int_not_equal(toy_machine_counted_by(away->machine), 0);
    assert_int_not_equal(toy_machine_counted_by(away->machine), gettid());
}

/* A read that waits for an index: of an entry that comes with the snapshot, or after it. */
struct waiting_read {
    struct seat *seat;
    replica_index index;
    bool answered;
};

static void on_index(void *arg, int code)
{
    struct waiting_read *self = arg;

    assert_int_equal(code, OK);
    assert_false(self->answered);
    assert_true(replica_applied_index(self->seat->replica) >= self->index);
    assert_true(toy_machine_count(self->seat->machine) > 0); /* there are tables */
    self->answered = true;
}

/* Who waits for an index while a snapshot takes the place of the tables is answered out of those that
 * come, and none too early. */
static void test_a_read_at_an_index_waits_for_the_snapshot(void **state)
{
    struct seats *self = *state;

    found(self, MEMBERS);
    start(self);
    submit(self, 10);
    run_until(self, all_have_all);
    struct seat *away = follower_of(self);
    seat_close(away);
    submit(self, 10);
    struct waiting_read within = {away, replica_last_index(leader_of(self)->replica), false};
    go_far(self);
    struct waiting_read behind = {away, replica_last_index(leader_of(self)->replica), false};
    assert_int_equal(seat_open(away), 0);
    const int64_t deadline_ms = clock_ms() + DEADLINE_MS;
    assert_int_equal(replica_read_at(away->replica, behind.index, deadline_ms, on_index, &behind),
                     0);
    assert_int_equal(replica_read_at(away->replica, within.index, deadline_ms, on_index, &within),
                     0);
    submit(self, 10);
    run_until(self, all_have_all);
    assert_true(snapshots_of(away, "restore") >= 1);
    assert_true(within.answered && behind.answered);
}

/* One that was away for a moment gets what it lacks from the log. */
static void test_who_was_away_for_a_moment_needs_no_snapshot(void **state)
{
    struct seats *self = *state;

    found(self, MEMBERS);
    start(self);
    go_far(self);
    run_until(self, all_have_all);
    struct seat *away = follower_of(self);
    seat_close(away);
    submit(self, ENTRIES / 4);
    assert_int_equal(seat_open(away), 0);
    run_until(self, all_have_all);
    assert_whole(self, away);
    assert_int_equal(snapshots_of(away, "fetch"), 0);
}

/* The one who came back by a snapshot leads when the others go on without the old leader. */
static void test_who_came_back_may_lead(void **state)
{
    struct seats *self = *state;

    found(self, MEMBERS);
    start(self);
    struct seat *away = follower_of(self);
    seat_close(away);
    go_far(self);
    struct seat *old = leader_of(self);
    struct seat *other = follower_of(self);
    seat_close(other); /* who was away is one of the majority now */
    assert_int_equal(seat_open(away), 0);
    submit(self, 20);
    run_until(self, all_have_all);
    seat_close(old);
    assert_int_equal(seat_open(other), 0);
    run_until(self, somebody_leads);
    submit(self, 20);
    run_until(self, all_have_all);
    assert_whole(self, away);
    assert_whole(self, other);
}

/* Closed at any moment of its way back, a replica comes back all the same. */
static void test_a_way_back_in_many_pieces(void **state)
{
    struct seats *self = *state;

    found(self, MEMBERS);
    start(self);
    submit(self, 5);
    struct seat *away = follower_of(self);
    seat_close(away);
    go_far(self);
    for (int turns = 1; turns < 400; turns += 17) {
        assert_int_equal(seat_open(away), 0);
        for (int i = 0; i < turns; i++) {
            int timer = zloop_timer(self->loop, 1, 1, wait_look,
                                    &(struct wait){.group = self, .met = somebody_leads});
            zloop_start(self->loop);
            zloop_timer_end(self->loop, timer);
        }
        seat_close(away);
        (void)log_of(away);
        if (turns % 3 == 0)
            submit(self, ENTRIES / 2);
    }
    assert_int_equal(seat_open(away), 0);
    run_until(self, all_have_all);
    assert_whole(self, away);
}

/* ---- A narrow way --------------------------------------------------------------------------- */

#define NARROW_PIECE_MS 200
#define NARROW_COMMANDS 8 /* that come meanwhile */
#define LARGE_COMMANDS  30
#define LARGE_BYTES     (48 * 1024)

/* Before the channel of a replica: it lets a piece pass now and then. */
struct narrow {
    struct seats *group;
    zsock_t *front;
    zsock_t *back;
    zframe_t *route; /* of who asked last */
};

static int narrow_ask(zloop_t *loop, zsock_t *socket, void *arg)
{
    struct narrow *self = arg;

    (void)loop;
    zframe_destroy(&self->route);
    self->route = zframe_recv(socket);
    zframe_t *request = zframe_recv(socket);
    zframe_send(&request, self->back, 0);
    return 0;
}

/* A piece passes, and the leader gets some more commands. */
static int narrow_pass(zloop_t *loop, int timer, void *arg)
{
    struct narrow *self = arg;
    struct seat *leader = leader_of(self->group);
    char text[16];

    (void)loop;
    (void)timer;
    if ((zsock_events(self->back) & ZMQ_POLLIN) == 0)
        return 0;
    zframe_t *piece = zframe_recv(self->back);
    zframe_send(&self->route, self->front, ZFRAME_MORE | ZFRAME_REUSE);
    zframe_send(&piece, self->front, 0);
    for (int i = 0; i < NARROW_COMMANDS && leader != NULL; i++) {
        snprintf(text, sizeof text, "n%d", ++self->group->submitted);
        assert_int_equal(replica_submit(leader->replica, text, strlen(text), on_done, self->group),
                         0);
    }
    if (leader != NULL)
        replica_flush(leader->replica);
    return 0;
}

static void narrow_open(struct narrow *self, struct seats *group, struct seat *seat)
{
    *self = (struct narrow){.group = group};
    free(seat->way);
    seat->way = zsys_sprintf("ipc://%s/narrow-%" PRIu64, group->directory, seat->id);
    self->front = zsock_new_router(seat->way);
    self->back = zsock_new_dealer(seat->channel);
    assert_non_null(self->front);
    assert_non_null(self->back);
    zloop_reader(group->loop, self->front, narrow_ask, self);
}

static void narrow_close(struct narrow *self)
{
    zloop_reader_end(self->group->loop, self->front);
    zframe_destroy(&self->route);
    zsock_destroy(&self->front);
    zsock_destroy(&self->back);
}

static void submit_large(struct seats *self)
{
    char *text = calloc(1, LARGE_BYTES);

    memset(text, 'x', LARGE_BYTES);
    for (int i = 0; i < LARGE_COMMANDS; i++) {
        struct seat *leader = leader_of(self);
        self->submitted++;
        assert_int_equal(replica_submit(leader->replica, text, LARGE_BYTES, on_done, self), 0);
        replica_flush(leader->replica);
        run_until(self, all_is_acknowledged);
    }
    free(text);
}

static bool somebody_came_back(struct seats *self)
{
    for (size_t i = 1; i <= MEMBERS; i++)
        if (self->seats[i].replica != NULL && snapshots_of(&self->seats[i], "restore") > 0)
            return true;
    return false;
}

/* It may take longer to fetch a snapshot than the leader takes to come by the next: who is at it gets
 * to its end, and catches up from there. */
static void test_a_way_back_that_is_narrow(void **state)
{
    struct seats *self = *state;
    struct narrow narrows[MEMBERS + 1];
    int timers[MEMBERS + 1];

    for (size_t i = 1; i <= MEMBERS; i++)
        narrow_open(&narrows[i], self, &self->seats[i]);
    found(self, MEMBERS);
    start(self);
    struct seat *away = follower_of(self);
    seat_close(away);
    submit_large(self);
    go_far(self);
    assert_int_equal(seat_open(away), 0);
    for (size_t i = 1; i <= MEMBERS; i++)
        timers[i] = zloop_timer(self->loop, NARROW_PIECE_MS, 0, narrow_pass, &narrows[i]);
    run_until(self, somebody_came_back);
    run_until(self, all_have_all);
    assert_int_equal(toy_machine_count(away->machine), self->submitted);
    for (size_t i = 1; i <= MEMBERS; i++) {
        zloop_timer_end(self->loop, timers[i]);
        narrow_close(&narrows[i]);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_the_log_is_cut_behind_snapshots),
        TEST(test_a_log_without_its_snapshot_is_refused),
        TEST(test_who_was_away_comes_back_by_a_snapshot),
        TEST(test_the_loop_counts_no_rows_of_what_is_installed),
        TEST(test_a_read_at_an_index_waits_for_the_snapshot),
        TEST(test_who_was_away_for_a_moment_needs_no_snapshot),
        TEST(test_who_came_back_may_lead),
        TEST(test_a_way_back_in_many_pieces),
        TEST(test_a_way_back_that_is_narrow),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
