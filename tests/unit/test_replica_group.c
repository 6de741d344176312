/* Replicas as a group, in one process and one loop, over real sockets and disks: what one of them
 * acknowledges all of them come to have, whoever goes, and nobody who waits is forgotten.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <czmq.h>
#include <inttypes.h>
#include <string.h>

#include "broker/bus/clock.h"
#include "broker/bus/err.h"
#include "broker/bus/limits.h"
#include "services/replica/membership.h"
#include "services/replica/replica.h"
#include "tests/lib/files.h"
#include "tests/lib/toy_machine.h"

#define MEMBERS     3
#define DEADLINE_MS 20000
/* Of the one that is to lead first of all. All that happens here happens in one loop, and a machine
 * that is busy lets it wait for longer than this. */
#define ELECTION_FIRST 150
/* Where leadership is lost and won. */
#define ELECTION 2000
/* Where it is not: nobody stands for election before a test has given up. */
#define ELECTION_NEVER (2 * DEADLINE_MS)
#define UUID           "0123456789abcdef0123456789abcdef"

struct seat {
    struct seats *group;
    uint64_t id;
    unsigned election_ms;
    char name[16];
    char *directory;
    char *link;
    char *snapshots;
    char *address;
    struct toy_machine *machine; /* NULL: down */
    struct replica *replica;
    size_t leads; /* on_lead(true) */
    size_t losses;
    bool leading; /* as told last */
};

struct seats {
    char *directory;
    zloop_t *loop;
    struct seat seats[MEMBERS + 1]; /* by id; 0 is not used */
    struct seat joiner;
    struct membership founders;
    size_t changes;                 /* of the group, that were called back */
    int change;                     /* the code of the last one */
    size_t oks, unknowns, refusals; /* of commands */
    replica_index last_index;       /* of the last OK */
    size_t reads, late_reads;
    int64_t count_at_read; /* commands in the tables that the last read saw */
    size_t ticks;          /* of the loop, while it waited */
};

/* ---- Helpers ------------------------------------------------------------------------------- */

static void seat_init(struct seat *self, struct seats *group, uint64_t id)
{
    self->group = group;
    self->id = id;
    self->election_ms = ELECTION_NEVER;
    snprintf(self->name, sizeof self->name, "toy-%" PRIu64, id);
    self->directory = files_path(group->directory, self->name);
    self->link = zsys_sprintf("ipc://%s/link-%" PRIu64, group->directory, id);
    self->snapshots = zsys_sprintf("ipc://%s/snapshots-%" PRIu64, group->directory, id);
    self->address = zsys_sprintf("%s %s %s", self->name, self->link, self->snapshots);
}

static void seat_close(struct seat *self)
{
    replica_close(&self->replica);
    toy_machine_destroy(&self->machine);
    self->leading = false;
}

static void seat_destroy(struct seat *self)
{
    seat_close(self);
    free(self->directory);
    free(self->link);
    free(self->snapshots);
    free(self->address);
}

static void seat_on_lead(void *arg, bool leader, replica_term term)
{
    struct seat *self = arg;

    (void)term;
    assert_true(self->leading != leader);
    self->leading = leader;
    self->leads += leader;
    self->losses += !leader;
}

static struct replica_options seat_options(struct seat *self)
{
    return (struct replica_options){
        .name = self->name,
        .group = "toy",
        .directory = self->directory,
        .uuid = UUID,
        .id = self->id,
        .peer = self->link,
        .snapshots = self->snapshots,
        .address = self->address,
        .election_ms = self->election_ms,
        .on_lead = seat_on_lead,
        .arg = self,
        .free_bytes_min = 1,
    };
}

static int seat_open(struct seat *self, bool join)
{
    struct replica_options options = seat_options(self);
    char *error = NULL;

    options.join = join;
    options.contacts = &self->group->founders;
    self->machine = toy_machine_new();
    struct replica_machine machine = toy_machine_interface(self->machine);
    int result = replica_open(self->group->loop, &options, &machine, &self->replica, &error);
    if (result != 0)
        print_message("%s\n", error);
    free(error);
    return result;
}

static void found_all(struct seats *self)
{
    struct membership *membership = &self->founders;
    char *error = NULL;

    membership->count = MEMBERS;
    for (size_t i = 1; i <= MEMBERS; i++) {
        struct member *member = &membership->members[i - 1];
        *member = (struct member){.id = i, .role = MEMBER_VOTER};
        snprintf(member->address, sizeof member->address, "%s", self->seats[i].address);
    }
    for (size_t i = 1; i <= MEMBERS; i++) {
        struct replica_options options = seat_options(&self->seats[i]);
        assert_int_equal(replica_found(&options, membership, &error), 0);
    }
}

static int setup(void **state)
{
    struct seats *self = calloc(1, sizeof *self);

    zsys_handler_set(NULL);
    self->directory = files_new_directory();
    self->loop = zloop_new();
    for (size_t i = 1; i <= MEMBERS; i++)
        seat_init(&self->seats[i], self, i);
    seat_init(&self->joiner, self, MEMBERS + 1);
    found_all(self);
    *state = self;
    return 0;
}

static int teardown(void **state)
{
    struct seats *self = *state;

    for (size_t i = 1; i <= MEMBERS; i++)
        seat_destroy(&self->seats[i]);
    seat_destroy(&self->joiner);
    zloop_destroy(&self->loop);
    files_remove_directory(&self->directory);
    free(self);
    return 0;
}

struct wait {
    struct seats *group;
    bool (*met)(struct seats *group, size_t number);
    size_t number;
    int64_t deadline_ms;
    bool done;
};

static int wait_look(zloop_t *loop, int timer, void *arg)
{
    struct wait *self = arg;

    (void)loop;
    (void)timer;
    self->group->ticks++;
    self->done = self->met(self->group, self->number);
    return self->done || clock_ms() > self->deadline_ms ? -1 : 0;
}

static void run_until(struct seats *self, bool (*met)(struct seats *, size_t), size_t number)
{
    struct wait wait = {
        .group = self, .met = met, .number = number, .deadline_ms = clock_ms() + DEADLINE_MS};
    int timer = zloop_timer(self->loop, 1, 0, wait_look, &wait);

    zloop_start(self->loop);
    zloop_timer_end(self->loop, timer);
    assert_true(wait.done);
}

/* The seat of who leads, in the highest term; NULL: nobody does. */
static struct seat *leader_of(struct seats *self)
{
    struct seat *leader = NULL;

    for (size_t i = 1; i <= MEMBERS; i++) {
        struct seat *seat = &self->seats[i];
        if (seat->replica != NULL && replica_is_leader(seat->replica) &&
            (leader == NULL ||
             replica_current_term(seat->replica) > replica_current_term(leader->replica)))
            leader = seat;
    }
    return leader;
}

static struct seat *follower_of(struct seats *self)
{
    const struct seat *leader = leader_of(self);

    for (size_t i = 1; i <= MEMBERS; i++)
        if (self->seats[i].replica != NULL && &self->seats[i] != leader)
            return &self->seats[i];
    return NULL;
}

static bool somebody_leads(struct seats *self, size_t number)
{
    (void)number;
    return leader_of(self) != NULL;
}

/* All that are up have so many commands in their tables. */
static bool all_have(struct seats *self, size_t number)
{
    for (size_t i = 1; i <= MEMBERS; i++)
        if (self->seats[i].replica != NULL && toy_machine_count(self->seats[i].machine) < number)
            return false;
    return true;
}

static bool oks_are(struct seats *self, size_t number)
{
    return self->oks >= number;
}

static bool reads_are(struct seats *self, size_t number)
{
    return self->reads + self->late_reads >= number;
}

/* Whether the member leads; until it does the first one is told to hand over to it. */
static bool takes_over(struct seats *self, size_t id)
{
    replica_transfer(self->seats[1].replica, id);
    return leader_of(self) == &self->seats[id];
}

static bool leads(struct seats *self, size_t id)
{
    const struct seat *leader = leader_of(self);

    return leader != NULL && leader->id == id;
}

/* Who leads has heard from every voter that is up how much of the log it has: all of it. */
static bool all_are_even(struct seats *self, size_t number)
{
    const struct seat *leader = leader_of(self);

    (void)number;
    for (size_t i = 1; i <= MEMBERS && leader != NULL; i++) {
        const struct seat *seat = &self->seats[i];
        replica_index match;
        int64_t contact_ms;
        if (seat->replica != NULL && seat != leader &&
            (!replica_progress(leader->replica, seat->id, &match, &contact_ms) ||
             match != replica_last_index(leader->replica) ||
             replica_commit_index(seat->replica) != match))
            return false;
    }
    return leader != NULL;
}

/* Begin, with a leader that goes on for as long as no majority has been silent for @election_ms. To
 * have one soon, the first does not wait for so long at first. */
static struct seat *start_with(struct seats *self, unsigned election_ms)
{
    struct seat *first = &self->seats[1];
    struct seat *leader = &self->seats[2];

    for (size_t i = 1; i <= MEMBERS; i++) {
        self->seats[i].election_ms = i == first->id ? ELECTION_FIRST : election_ms;
        assert_int_equal(seat_open(&self->seats[i], false), 0);
    }
    run_until(self, takes_over, leader->id);
    seat_close(first);
    first->election_ms = election_ms;
    assert_int_equal(seat_open(first, false), 0);
    run_until(self, all_are_even, 0);
    return leader;
}

static struct seat *start(struct seats *self)
{
    return start_with(self, ELECTION_NEVER);
}

static void on_done(void *arg, int code, void *result, replica_index index)
{
    struct seats *self = arg;

    assert_true((code == OK) == (result != NULL));
    assert_true((code == OK) == (index > 0));
    if (code == OK) {
        assert_true(index > self->last_index);
        self->last_index = index;
    }
    self->oks += code == OK;
    self->unknowns += code == ERR_UNKNOWN;
    self->refusals += code == ERR_NOT_LEADER;
    free(result);
}

static int submit(struct seat *seat, const char *command)
{
    return replica_submit(seat->replica, command, strlen(command), on_done, seat->group);
}

static void submit_numbers(struct seat *seat, int from, int to)
{
    char text[16];

    for (int number = from; number <= to; number++) {
        snprintf(text, sizeof text, "n%d", number);
        assert_int_equal(submit(seat, text), 0);
    }
    replica_flush(seat->replica);
}

static void on_read(void *arg, int code)
{
    struct seat *seat = arg;

    if (code == OK)
        seat->group->count_at_read = (int64_t)toy_machine_count(seat->machine);
    seat->group->reads += code == OK;
    seat->group->late_reads += code == ERR_UNAVAILABLE;
}

static void read_at(struct seat *seat, int64_t wait_ms)
{
    assert_int_equal(replica_read(seat->replica, clock_ms() + wait_ms, on_read, seat), 0);
    replica_flush(seat->replica);
}

/* ---- Together ------------------------------------------------------------------------------ */

/* Founded together, three elect one leader, and its commands are applied by all of them. */
static void test_a_command_is_applied_by_all(void **state)
{
    struct seats *self = *state;
    struct seat *leader = start(self);

    submit_numbers(leader, 1, 100);
    run_until(self, oks_are, 100);
    run_until(self, all_have, 100);
    for (size_t i = 1; i <= MEMBERS; i++)
        for (int number = 1; number <= 100; number++) {
            char text[16];
            snprintf(text, sizeof text, "n%d", number);
            assert_int_equal(toy_machine_count_of(self->seats[i].machine, text), 1);
        }
    assert_int_equal(leader->leads, 1);
    assert_int_equal(toy_machine_leads(leader->machine), 1);
}

/* A read at any replica, begun after a write was acknowledged, sees it. */
static void test_reads_at_followers_see_what_was_acknowledged(void **state)
{
    struct seats *self = *state;
    struct seat *leader = start(self);
    size_t reads = 0;

    for (int number = 1; number <= 30; number++) {
        submit_numbers(leader, number, number);
        run_until(self, oks_are, (size_t)number);
        for (size_t i = 1; i <= MEMBERS; i++) {
            self->count_at_read = -1;
            read_at(&self->seats[i], DEADLINE_MS);
            run_until(self, reads_are, ++reads);
            assert_true(self->count_at_read >= number);
        }
    }
    assert_int_equal(self->late_reads, 0);
}

/* Each says what it is, who leads, and how far it has got; the leader knows about the others. */
static void test_status_and_progress(void **state)
{
    struct seats *self = *state;
    struct seat *leader = start(self);

    submit_numbers(leader, 1, 10);
    run_until(self, all_have, 10);
    run_until(self, all_are_even, 0);
    for (size_t i = 1; i <= MEMBERS; i++) {
        struct replica_status status;
        replica_index match;
        int64_t contact_ms;
        const struct seat *seat = &self->seats[i];
        replica_status(seat->replica, &status);
        assert_string_equal(status.role, seat == leader ? "leader" : "follower");
        assert_int_equal(status.leader, leader->id);
        assert_int_equal(status.term, replica_current_term(leader->replica));
        assert_int_equal(status.last_index, replica_last_index(leader->replica));
        assert_in_range(status.last_contact_ms, 0, DEADLINE_MS);
        assert_int_equal(replica_membership(seat->replica)->count, MEMBERS);
        if (seat != leader) {
            assert_true(replica_progress(leader->replica, seat->id, &match, &contact_ms));
            assert_int_equal(match, status.last_index);
            assert_false(replica_progress(seat->replica, leader->id, &match, &contact_ms));
            assert_int_equal(submit(&self->seats[i], "no"), ERR_NOT_LEADER);
        }
    }
}

/* ---- Leadership ---------------------------------------------------------------------------- */

/* When the leader goes another one takes the lead, in a later term, with all that was acknowledged,
 * and goes on; the one that was away comes to have it all. */
static void test_another_leads_and_goes_on(void **state)
{
    struct seats *self = *state;
    struct seat *first = start_with(self, ELECTION);
    replica_term term = replica_current_term(first->replica);

    submit_numbers(first, 1, 50);
    run_until(self, oks_are, 50);
    seat_close(first);
    run_until(self, somebody_leads, 0);
    struct seat *second = leader_of(self);
    assert_true(replica_current_term(second->replica) > term);
    assert_int_equal(toy_machine_count(second->machine), 50);
    submit_numbers(second, 51, 100);
    run_until(self, oks_are, 100);
    assert_int_equal(seat_open(first, false), 0);
    run_until(self, all_have, 100);
    assert_int_equal(toy_machine_count_of_falling_times(first->machine), 0);
}

/* Requests of which there is another one whenever the loop comes round. */
struct stream {
    struct seats *group;
    zsock_t *to;
    zsock_t *from;
};

/* A read at each replica, at the beginning of a millisecond: before what is due in it. */
static int stream_read(zloop_t *loop, zsock_t *socket, void *arg)
{
    struct stream *self = arg;
    int64_t begin_ms = clock_ms();

    (void)loop;
    zsock_recv(socket, "z");
    zsock_send(self->to, "z");
    while (clock_ms() == begin_ms)
        ;
    for (size_t i = 1; i <= MEMBERS; i++)
        if (self->group->seats[i].replica != NULL)
            read_at(&self->group->seats[i], DEADLINE_MS);
    return 0;
}

/* A loop that is never idle, where each turn brings something to do before it comes to its timers,
 * comes to these all the same: who waits for a leader stands for election. */
static void test_what_is_due_is_not_put_off_for_ever(void **state)
{
    struct seats *self = *state;
    struct stream stream = {.group = self};
    struct seat *leader = start_with(self, ELECTION);

    stream.to = zsock_new_pair("@inproc://stream");
    stream.from = zsock_new_pair(">inproc://stream");
    seat_close(leader);
    zsock_send(stream.to, "z");
    zloop_reader(self->loop, stream.from, stream_read, &stream);
    run_until(self, somebody_leads, 0);
    zloop_reader_end(self->loop, stream.from);
    zsock_destroy(&stream.from);
    zsock_destroy(&stream.to);
}

static bool nobody_leads(struct seats *self, size_t number)
{
    (void)number;
    return leader_of(self) == NULL;
}

/* A leader that loses its majority steps down: what was appended is unknown, what waited or comes
 * then is refused for certain. Back together, nobody's outcome is told twice. */
static void test_what_is_pending_when_leadership_is_lost(void **state)
{
    struct seats *self = *state;
    struct seat *leader = start_with(self, ELECTION);

    submit_numbers(leader, 1, 5);
    run_until(self, oks_are, 5);
    for (size_t i = 1; i <= MEMBERS; i++)
        if (&self->seats[i] != leader)
            seat_close(&self->seats[i]);
    submit_numbers(leader, 6, 15);
    run_until(self, nobody_leads, 0);
    assert_int_equal(self->oks, 5);
    assert_int_equal(self->unknowns, 10);
    assert_int_equal(replica_pending(leader->replica), 0);
    assert_int_equal(submit(leader, "more"), ERR_NOT_LEADER);
    assert_int_equal(leader->losses, 1);
    for (size_t i = 1; i <= MEMBERS; i++)
        if (&self->seats[i] != leader)
            assert_int_equal(seat_open(&self->seats[i], false), 0);
    run_until(self, somebody_leads, 0);
    submit_numbers(leader_of(self), 16, 16);
    run_until(self, oks_are, 6);
    assert_int_equal(self->unknowns, 10);
}

/* Without a majority a read is told so when its time is up, and not before; one that names its
 * index needs none. */
static void test_a_read_without_a_majority_is_told_so(void **state)
{
    struct seats *self = *state;
    start(self);
    struct seat *follower = follower_of(self);

    for (size_t i = 1; i <= MEMBERS; i++)
        if (&self->seats[i] != follower)
            seat_close(&self->seats[i]);
    int64_t begin_ms = clock_ms();
    assert_int_equal(replica_read_at(follower->replica, 1, INT64_MAX, on_read, follower), 0);
    read_at(follower, 200);
    run_until(self, reads_are, 2);
    assert_int_equal(self->late_reads, 1);
    assert_true(clock_ms() - begin_ms >= 200);
}

/* Handed over, leadership goes to the one that was named; commands that wait are refused, those
 * appended before have their outcome. */
static void test_leadership_is_handed_over(void **state)
{
    struct seats *self = *state;
    struct seat *leader = start(self);
    struct seat *other = follower_of(self);

    submit_numbers(leader, 1, 20);
    run_until(self, all_have, 20);
    assert_int_equal(replica_transfer(other->replica, leader->id), ERR_NOT_LEADER);
    assert_int_equal(replica_transfer(leader->replica, 77), ERR_INVALID);
    assert_int_equal(replica_transfer(leader->replica, other->id), 0);
    assert_int_equal(submit(leader, "late"), ERR_NOT_LEADER);
    run_until(self, leads, other->id);
    submit_numbers(other, 21, 30);
    run_until(self, all_have, 30);
    run_until(self, oks_are, 30);
}

/* ---- Behind -------------------------------------------------------------------------------- */

/* What a member has missed is no longer in its leader's memory: it comes from the log. */
static void test_a_follower_catches_up_from_the_log(void **state)
{
    struct seats *self = *state;
    struct seat *leader = start(self);
    struct seat *follower = follower_of(self);
    const size_t size = 100 * 1024;
    const size_t count = 2 * LOG_TAIL_BYTES_MAX / size;
    char *large = malloc(size);

    seat_close(follower);
    memset(large, 'x', size);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(replica_submit(leader->replica, large, size, on_done, self), 0);
        replica_flush(leader->replica);
    }
    run_until(self, oks_are, count);
    assert_int_equal(seat_open(follower, false), 0);
    run_until(self, all_have, count);
    free(large);
}

static bool is_replayed(struct seats *self, size_t number)
{
    return toy_machine_count(follower_of(self)->machine) >= number;
}

/* A replay takes as long as it takes; the loop turns meanwhile, and the group goes on. */
static void test_a_replay_leaves_room_for_the_loop(void **state)
{
    struct seats *self = *state;
    struct seat *leader = start(self);
    struct seat *follower = follower_of(self);
    const size_t count = 200;

    submit_numbers(leader, 1, (int)count);
    run_until(self, all_have, count);
    for (size_t i = 1; i <= MEMBERS; i++)
        if (&self->seats[i] != leader)
            seat_close(&self->seats[i]);
    assert_int_equal(seat_open(follower, false), 0);
    toy_machine_set_slow(follower->machine, 2);
    self->ticks = 0;
    run_until(self, is_replayed, count);
    assert_true(self->ticks >= count / APPLY_TURN_MS);
    assert_int_equal(toy_machine_largest_transaction(follower->machine) > APPLY_TURN_MS, 0);
}

/* Whether the replica @id keeps a snapshot. */
static bool has_snapshot(struct seats *self, size_t id)
{
    zdir_t *directory = zdir_new(self->seats[id].directory, "-");
    zlist_t *files = zdir_list(directory);
    bool found = false;

    for (zfile_t *file = zlist_first(files); file != NULL; file = zlist_next(files)) {
        const char *name = strrchr(zfile_filename(file, NULL), '/');
        found = found || (name != NULL && strncmp(name, "/snapshot-", 10) == 0);
    }
    zlist_destroy(&files);
    zdir_destroy(&directory);
    return found;
}

/* A log is cut behind a snapshot; who lacks what was cut gets the snapshot, then goes on by the
 * log. */
static void test_a_follower_catches_up_by_a_snapshot(void **state)
{
    struct seats *self = *state;
    struct seat *leader = start(self);
    struct seat *follower = follower_of(self);
    const size_t count = SNAPSHOT_ENTRIES + 2 * SNAPSHOT_TRAILING;

    seat_close(follower);
    for (size_t i = 0; i < count; i += 1000) {
        submit_numbers(leader, (int)i + 1, (int)i + 1000);
        run_until(self, oks_are, i + 1000);
    }
    run_until(self, has_snapshot, leader->id);
    assert_int_equal(seat_open(follower, false), 0);
    run_until(self, all_have, count);
    assert_int_equal(toy_machine_count_of(follower->machine, "n1"), 1);
    assert_true(toy_machine_applies(follower->machine) < count);
    submit_numbers(leader, (int)count + 1, (int)count + 10);
    run_until(self, all_have, count + 10);
    seat_close(follower);
    assert_int_equal(seat_open(follower, false), 0);
    run_until(self, all_have, count + 10);
    assert_int_equal(toy_machine_count_of(follower->machine, "n1"), 1);
}

/* ---- Founding ------------------------------------------------------------------------------ */

/* Who joins has no vote and no part in the group before it is added: it only waits. */
static void test_a_joiner_waits(void **state)
{
    struct seats *self = *state;
    struct seat *leader = start(self);
    struct replica_status status;

    assert_int_equal(seat_open(&self->joiner, false), ERR_NOT_FOUND);
    toy_machine_destroy(&self->joiner.machine);
    assert_int_equal(seat_open(&self->joiner, true), 0);
    submit_numbers(leader, 1, 10);
    run_until(self, oks_are, 10);
    read_at(&self->joiner, 600);
    run_until(self, reads_are, 1);
    assert_int_equal(self->late_reads, 1);
    replica_status(self->joiner.replica, &status);
    assert_string_equal(status.role, "learner");
    assert_int_equal(status.term, 0);
    assert_int_equal(status.last_index, 0);
    assert_int_equal(status.last_contact_ms, -1);
    assert_int_equal(submit(&self->joiner, "no"), ERR_NOT_LEADER);
    seat_close(&self->joiner);
    assert_int_equal(seat_open(&self->joiner, false), 0);
    assert_ptr_equal(leader_of(self), leader);
}

/* ---- Changes of the group ------------------------------------------------------------------- */

static void on_change(void *arg, int code, void *result, replica_index index)
{
    struct seats *self = arg;

    assert_null(result);
    assert_true((code == OK) == (index > 0));
    self->changes++;
    self->change = code;
}

static bool changes_are(struct seats *self, size_t number)
{
    return self->changes >= number;
}

/* Wait for the outcome of a change that was accepted with @code. */
static int outcome_of(struct seats *self, int code)
{
    const size_t changes = self->changes;

    assert_int_equal(code, 0);
    assert_int_equal(self->changes, changes); /* never from within */
    run_until(self, changes_are, changes + 1);
    return self->change;
}

enum change { ADD, PROMOTE, REMOVE };

/* Have one made with @seat. While a voter lacks the last one, or a voter-to-be is catching up,
 * nothing is done, and it is handed in again. */
static int change(struct seats *self, struct seat *leader, enum change kind,
                  const struct seat *seat)
{
    struct replica *to = leader->replica;
    int code = ERR_UNAVAILABLE;

    while (code == ERR_UNAVAILABLE)
        code =
            outcome_of(self, kind == ADD ? replica_add(to, seat->id, seat->address, on_change, self)
                             : kind == PROMOTE ? replica_promote(to, seat->id, on_change, self)
                                               : replica_remove(to, seat->id, on_change, self));
    return code;
}

static bool joiner_has(struct seats *self, size_t number)
{
    return toy_machine_count(self->joiner.machine) >= number;
}

static const char *role_of(struct seat *seat)
{
    struct replica_status status;

    replica_status(seat->replica, &status);
    return status.role;
}

/* Who joins is added, comes to have all that there was, is given a vote, and counts: without it
 * there would be no majority left. */
static void test_a_fourth_is_added_and_counts(void **state)
{
    struct seats *self = *state;
    struct seat *leader = start(self);

    submit_numbers(leader, 1, 50);
    run_until(self, oks_are, 50);
    assert_int_equal(seat_open(&self->joiner, true), 0);
    assert_int_equal(change(self, leader, ADD, &self->joiner), OK);
    assert_int_equal(change(self, leader, ADD, &self->joiner), ERR_INVALID); /* it is there */
    run_until(self, joiner_has, 50);
    assert_string_equal(role_of(&self->joiner), "learner");
    assert_int_equal(change(self, leader, PROMOTE, &self->joiner), OK);
    assert_int_equal(replica_membership(leader->replica)->count, MEMBERS + 1);
    assert_true(replica_membership_index(leader->replica) <= replica_commit_index(leader->replica));
    seat_close(follower_of(self));
    submit_numbers(leader, 51, 60);
    run_until(self, oks_are, 60);
    run_until(self, joiner_has, 60);
    assert_string_equal(role_of(&self->joiner), "follower");
}

/* A learner that was away while others came and went finds its way back: its log names none of
 * those who lead now. */
static void test_a_learner_finds_a_leader_that_its_log_does_not_know(void **state)
{
    struct seats *self = *state;
    struct seat *leader = start(self);
    struct seat *gone = follower_of(self);

    assert_int_equal(seat_open(&self->joiner, true), 0);
    assert_int_equal(change(self, leader, ADD, &self->joiner), OK);
    submit_numbers(leader, 1, 5);
    run_until(self, joiner_has, 5);
    seat_close(&self->joiner);
    /* Another one comes back to its place under another id, and leads in the end. */
    seat_close(gone);
    assert_int_equal(change(self, leader, REMOVE, gone), OK);
    files_remove_directory(&gone->directory);
    gone->directory = files_new_directory();
    gone->id = MEMBERS + 2;
    for (size_t i = 0; i < MEMBERS; i++)
        if (strcmp(self->founders.members[i].address, gone->address) == 0)
            self->founders.members[i].id = gone->id;
    assert_int_equal(seat_open(gone, true), 0);
    assert_int_equal(change(self, leader, ADD, gone), OK);
    assert_int_equal(change(self, leader, PROMOTE, gone), OK);
    assert_int_equal(replica_transfer(leader->replica, gone->id), 0);
    run_until(self, leads, gone->id);
    assert_int_equal(seat_open(&self->joiner, false), 0);
    submit_numbers(gone, 6, 10);
    run_until(self, joiner_has, 10);
}

/* A member is removed, and the rest goes on without it; what can't be removed stays. */
static void test_a_member_is_removed(void **state)
{
    struct seats *self = *state;
    struct seat *leader = start(self);
    struct seat *one = follower_of(self);

    assert_int_equal(replica_remove(one->replica, leader->id, on_change, self), ERR_NOT_LEADER);
    assert_int_equal(change(self, leader, REMOVE, leader), ERR_INVALID);
    assert_int_equal(change(self, leader, REMOVE, one), OK);
    assert_int_equal(change(self, leader, REMOVE, one), ERR_INVALID);
    seat_close(one);
    struct seat *other = follower_of(self);
    submit_numbers(leader, 1, 10);
    run_until(self, oks_are, 10);
    /* Of two, the one that is down can go as well: nobody is asked but who stays. */
    seat_close(other);
    assert_int_equal(change(self, leader, REMOVE, other), OK);
    submit_numbers(leader, 11, 20);
    run_until(self, oks_are, 20);
    assert_int_equal(replica_membership(leader->replica)->count, 1);
}

/* One change at a time: a second one is told so. A change whose leader loses its majority has an
 * unknown outcome, one that only waited has none. */
static void test_changes_have_an_honest_outcome(void **state)
{
    struct seats *self = *state;
    struct seat *leader = start_with(self, ELECTION);

    assert_int_equal(
        replica_add(leader->replica, self->joiner.id, self->joiner.address, on_change, self), 0);
    assert_int_equal(replica_promote(leader->replica, self->joiner.id, on_change, self), ERR_BUSY);
    run_until(self, changes_are, 1);
    assert_int_equal(self->change, OK);
    run_until(self, all_are_even, 0);
    for (size_t i = 1; i <= MEMBERS; i++)
        if (&self->seats[i] != leader)
            seat_close(&self->seats[i]);
    assert_int_equal(
        outcome_of(self, replica_remove(leader->replica, self->joiner.id, on_change, self)),
        ERR_UNKNOWN);
    assert_int_equal(replica_pending(leader->replica), 0);
}

/* A change that waits when the replica is closed is refused. */
static void test_closing_refuses_a_change_that_waits(void **state)
{
    struct seats *self = *state;
    struct seat *leader = start(self);

    assert_int_equal(
        replica_add(leader->replica, self->joiner.id, self->joiner.address, on_change, self), 0);
    seat_close(leader);
    assert_int_equal(self->changes, 1);
    assert_int_equal(self->change, ERR_NOT_LEADER);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_command_is_applied_by_all),
        TEST(test_reads_at_followers_see_what_was_acknowledged),
        TEST(test_status_and_progress),
        TEST(test_another_leads_and_goes_on),
        TEST(test_what_is_due_is_not_put_off_for_ever),
        TEST(test_what_is_pending_when_leadership_is_lost),
        TEST(test_a_read_without_a_majority_is_told_so),
        TEST(test_leadership_is_handed_over),
        TEST(test_a_follower_catches_up_from_the_log),
        TEST(test_a_follower_catches_up_by_a_snapshot),
        TEST(test_a_replay_leaves_room_for_the_loop),
        TEST(test_a_joiner_waits),
        TEST(test_a_fourth_is_added_and_counts),
        TEST(test_a_learner_finds_a_leader_that_its_log_does_not_know),
        TEST(test_a_member_is_removed),
        TEST(test_changes_have_an_honest_outcome),
        TEST(test_closing_refuses_a_change_that_waits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
