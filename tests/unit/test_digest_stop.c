/* A replica whose tables went wrong, in its group: three processes, over real sockets and disks. It is
 * found at the next mark and ends with status 5, a leader after it has handed over; the others go on.
 *
 * The test's process tells each of the three what to do over a socket, and is told what happens there.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <czmq.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "broker/bus/clock.h"
#include "broker/bus/err.h"
#include "broker/bus/metrics.h"
#include "services/replica/fatal.h"
#include "services/replica/membership.h"
#include "services/replica/replica.h"
#include "tests/lib/files.h"

#define SEATS            3
#define DEADLINE_MS      60000
#define ELECTION_MS_LONG 1500 /* handed over, the lead is taken in a small part of it */
#define WINDOW           64
#define LOOK_MS          5
#define UUID             "0123456789abcdef0123456789abcdef"

enum news_kind {
    NEWS_LEADS,     /* .number: the term */
    NEWS_LOST,      /* .number: what a read was answered in that moment */
    NEWS_AGREED,    /* .number: the index */
    NEWS_CONFLICTS, /* .number: how often another member was seen to differ */
    NEWS_SPLITS,    /* .number: how often nobody had a majority */
    NEWS_KINDS,
};

/* What is told of a replica. */
struct news {
    enum news_kind kind;
    int64_t at_ms;
    uint64_t number;
};

struct seat {
    uint64_t id;
    char name[16];
    char *directory;
    char *log;
    char *link;
    char *address;
    pid_t pid; /* 0: down */
    int socket;
    struct news last[NEWS_KINDS]; /* of this process; .at_ms is 0 before there was one */
};

struct trio {
    char *directory;
    struct seat seats[SEATS];
};

/* ---- A replica's process ------------------------------------------------------------------- */

/* A machine whose digest is made of the indexes that were applied, and of its damage. */
struct life {
    const struct seat *seat;
    struct replica *replica;
    struct metrics *metrics;
    replica_index applied;
    uint64_t sum;
    bool leads;
    size_t in_flight;
    double seen[NEWS_KINDS];
};

static int life_open(void *arg, const char *path, char **error)
{
    (void)arg;
    (void)path;
    (void)error;
    return 0;
}

static uint64_t life_digest(void *arg)
{
    return ((struct life *)arg)->sum;
}

static replica_index life_applied(void *arg)
{
    return ((struct life *)arg)->applied;
}

static void life_nothing(void *arg)
{
    (void)arg;
}

static void *life_apply(void *arg, const struct replica_entry *entry)
{
    struct life *self = arg;
    self->applied = entry->index;
    self->sum = self->sum * 31 + entry->index;
    return NULL;
}

static void life_release(void *arg, void *result)
{
    (void)arg;
    (void)result;
}

static void life_lead(void *arg, bool leader, replica_term term)
{
    (void)term;
    ((struct life *)arg)->leads = leader;
}

static void life_tell(const struct life *self, enum news_kind kind, uint64_t number)
{
    struct news news = {.kind = kind, .at_ms = clock_ms(), .number = number};
    if (send(self->seat->socket, &news, sizeof news, MSG_NOSIGNAL) != (ssize_t)sizeof news)
        _exit(0); /* who wanted to know is gone */
}

static void life_on_read(void *arg, int code)
{
    (void)arg;
    (void)code;
}

static void life_on_lead(void *arg, bool leader, replica_term term)
{
    struct life *self = arg;
    if (leader)
        life_tell(self, NEWS_LEADS, term);
    else
        life_tell(self, NEWS_LOST,
                  (uint64_t)replica_read(self->replica, clock_ms() + 10, life_on_read, self));
}

static void life_on_done(void *arg, int code, void *result, replica_index index)
{
    struct life *self = arg;
    (void)code;
    (void)result;
    (void)index;
    self->in_flight--;
}

/* A leader always has something to do. */
static void life_submit(struct life *self)
{
    while (self->leads && self->in_flight < WINDOW &&
           replica_submit(self->replica, "x", 1, life_on_done, self) == 0)
        self->in_flight++;
    replica_flush(self->replica);
}

static void life_tell_metric(struct life *self, enum news_kind kind, const struct metric *metric)
{
    double value = metric_value(metric);
    if (value == self->seen[kind])
        return;
    self->seen[kind] = value;
    life_tell(self, kind, (uint64_t)value);
}

static int life_look(zloop_t *loop, int timer, void *arg)
{
    struct life *self = arg;
    const char *conflicts = "pygmy_replica_digest_conflicts_total";
    (void)loop;
    (void)timer;
    life_tell_metric(self, NEWS_AGREED,
                     metrics_gauge(self->metrics, "pygmy_replica_digest_agreed_index", NULL, ""));
    life_tell_metric(self, NEWS_CONFLICTS,
                     metrics_counter(self->metrics, conflicts, "kind=\"member\"", ""));
    life_tell_metric(self, NEWS_SPLITS,
                     metrics_counter(self->metrics, conflicts, "kind=\"no-majority\"", ""));
    life_submit(self);
    return 0;
}

/* A byte damages the tables; the end of them is the end. */
static int life_on_order(zloop_t *loop, zmq_pollitem_t *item, void *arg)
{
    struct life *self = arg;
    char order;
    (void)loop;
    if (read(item->fd, &order, 1) != 1)
        return -1;
    self->sum++;
    return 0;
}

static struct replica_options seat_options(const struct seat *self)
{
    return (struct replica_options){
        .name = self->name,
        .group = "toy",
        .directory = self->directory,
        .uuid = UUID,
        .id = self->id,
        .peer = self->link,
        .address = self->address,
        .election_ms = ELECTION_MS_LONG,
        .heartbeat_ms = ELECTION_MS_LONG / 20,
        .free_bytes_min = 1,
    };
}

static void life_run(struct life *self, zloop_t *loop)
{
    zmq_pollitem_t orders = {.fd = self->seat->socket, .events = ZMQ_POLLIN};
    zloop_poller(loop, &orders, life_on_order, self);
    zloop_timer(loop, LOOK_MS, 0, life_look, self);
    zloop_start(loop);
    replica_close(&self->replica);
}

static _Noreturn void seat_live(const struct seat *seat)
{
    struct life self = {.seat = seat, .metrics = metrics_new()};
    struct replica_machine machine = {
        .self = &self,
        .open = life_open,
        .digest = life_digest,
        .applied = life_applied,
        .begin = life_nothing,
        .commit = life_nothing,
        .apply = life_apply,
        .release = life_release,
        .lead = life_lead,
    };
    struct replica_options options = seat_options(seat);
    char *error = NULL;
    int log = open(seat->log, O_WRONLY | O_CREAT | O_APPEND, 0600);

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    dup2(log, STDERR_FILENO);
    zsys_handler_set(NULL);
    zloop_t *loop = zloop_new();
    options.log = log_new("toy", seat->name, LOG_LEVEL_INFO);
    options.metrics = self.metrics;
    options.on_lead = life_on_lead;
    options.arg = &self;
    if (replica_open(loop, &options, &machine, &self.replica, &error) != 0) {
        fprintf(stderr, "%s\n", error);
        _exit(1);
    }
    life_run(&self, loop);
    _exit(0);
}

/* ---- The group ----------------------------------------------------------------------------- */

static void seat_start(struct trio *group, struct seat *self)
{
    int sockets[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, sockets), 0);
    fflush(NULL);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        for (size_t i = 0; i < SEATS; i++)
            if (group->seats[i].pid != 0)
                close(group->seats[i].socket);
        close(sockets[0]);
        self->socket = sockets[1];
        seat_live(self);
    }
    close(sockets[1]);
    memset(self->last, 0, sizeof self->last);
    self->socket = sockets[0];
    self->pid = pid;
}

/* Read what there is to be told. */
static void seat_read(struct seat *self)
{
    struct news news;

    while (recv(self->socket, &news, sizeof news, MSG_DONTWAIT) == (ssize_t)sizeof news)
        self->last[news.kind] = news;
}

/* Its exit status; -1: it lives. */
static int seat_status(struct seat *self)
{
    int status;

    if (waitpid(self->pid, &status, WNOHANG) != self->pid)
        return -1;
    seat_read(self);
    close(self->socket);
    self->pid = 0;
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void seat_stop(struct seat *self)
{
    int status = 0;

    if (self->pid == 0)
        return;
    close(self->socket);
    waitpid(self->pid, &status, 0);
    self->pid = 0;
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

/* Look what there is to be told, for a moment at most. Fails when @deadline_ms has passed. */
static void trio_look(struct trio *self, int64_t deadline_ms)
{
    struct pollfd items[SEATS];
    nfds_t count = 0;

    for (size_t i = 0; i < SEATS; i++)
        if (self->seats[i].pid != 0)
            items[count++] = (struct pollfd){.fd = self->seats[i].socket, .events = POLLIN};
    poll(items, count, LOOK_MS);
    for (size_t i = 0; i < SEATS; i++)
        if (self->seats[i].pid != 0)
            seat_read(&self->seats[i]);
    if (clock_ms() > deadline_ms)
        fail_msg("not within %d ms", DEADLINE_MS);
}

/* Wait until something of @seat is told with a number above @number. */
static void wait_for(struct trio *self, const struct seat *seat, int kind, uint64_t number)
{
    int64_t deadline_ms = clock_ms() + DEADLINE_MS;

    while (seat->last[kind].at_ms == 0 || seat->last[kind].number <= number)
        trio_look(self, deadline_ms);
}

/* Wait until one leads in a term above @term; who. */
static struct seat *wait_for_leader(struct trio *self, uint64_t term)
{
    int64_t deadline_ms = clock_ms() + DEADLINE_MS;

    for (;;) {
        for (size_t i = 0; i < SEATS; i++)
            if (self->seats[i].pid != 0 && self->seats[i].last[NEWS_LEADS].number > term)
                return &self->seats[i];
        trio_look(self, deadline_ms);
    }
}

/* Wait until the process has ended of itself; its exit status. */
static int wait_for_end(struct trio *self, struct seat *seat)
{
    int64_t deadline_ms = clock_ms() + DEADLINE_MS;
    int status;

    while ((status = seat_status(seat)) < 0)
        trio_look(self, deadline_ms);
    return status;
}

static void damage(const struct seat *seat)
{
    assert_int_equal(write(seat->socket, "d", 1), 1);
}

static void assert_logged(const struct seat *seat, const char *text)
{
    char *log = files_read(seat->log);

    if (strstr(log, text) == NULL)
        fail_msg("%s does not say \"%s\":\n%s", seat->name, text, log);
    free(log);
}

static struct seat *other_than(struct trio *self, const struct seat *one, const struct seat *two)
{
    for (size_t i = 0; i < SEATS; i++)
        if (&self->seats[i] != one && &self->seats[i] != two)
            return &self->seats[i];
    return NULL;
}

static void seat_init(struct seat *self, const struct trio *group, uint64_t id)
{
    char log[24];

    self->id = id;
    snprintf(self->name, sizeof self->name, "toy-%" PRIu64, id);
    snprintf(log, sizeof log, "%s.log", self->name);
    self->directory = files_path(group->directory, self->name);
    self->log = files_path(group->directory, log);
    self->link = zsys_sprintf("ipc://%s/link-%" PRIu64, group->directory, id);
    self->address = zsys_sprintf("%s %s ipc://none-%" PRIu64, self->name, self->link, id);
}

static int setup(void **state)
{
    struct trio *self = calloc(1, sizeof *self);
    struct membership membership = {.count = SEATS};
    char *error = NULL;

    zsys_handler_set(NULL);
    self->directory = files_new_directory();
    for (size_t i = 0; i < SEATS; i++) {
        struct member *member = &membership.members[i];
        seat_init(&self->seats[i], self, i + 1);
        *member = (struct member){.id = i + 1, .role = MEMBER_VOTER};
        snprintf(member->address, sizeof member->address, "%s", self->seats[i].address);
    }
    for (size_t i = 0; i < SEATS; i++) {
        struct replica_options options = seat_options(&self->seats[i]);
        assert_int_equal(replica_found(&options, &membership, &error), 0);
    }
    *state = self;
    return 0;
}

static int teardown(void **state)
{
    struct trio *self = *state;

    for (size_t i = 0; i < SEATS; i++) {
        struct seat *seat = &self->seats[i];
        seat_stop(seat);
        free(seat->directory);
        free(seat->log);
        free(seat->link);
        free(seat->address);
    }
    files_remove_directory(&self->directory);
    free(self);
    return 0;
}

static void start_all(struct trio *self)
{
    for (size_t i = 0; i < SEATS; i++)
        seat_start(self, &self->seats[i]);
}

/* ---- Tests --------------------------------------------------------------------------------- */

/* As long as nobody differs everybody finds that at one mark after the other. */
static void test_equal_replicas_agree(void **state)
{
    struct trio *self = *state;

    start_all(self);
    for (size_t i = 0; i < SEATS; i++)
        wait_for(self, &self->seats[i], NEWS_AGREED, 3 * DIGEST_EVERY - 1);
    for (size_t i = 0; i < SEATS; i++) {
        assert_int_equal(self->seats[i].last[NEWS_CONFLICTS].number, 0);
        assert_int_equal(self->seats[i].last[NEWS_SPLITS].number, 0);
    }
}

/* A follower whose tables went wrong ends, and says what mends it; the others see it and go on. Started
 * again, it has made its tables anew, and is one of them. */
static void test_a_follower_that_differs_stops(void **state)
{
    struct trio *self = *state;

    start_all(self);
    struct seat *leader = wait_for_leader(self, 0);
    struct seat *follower = other_than(self, leader, NULL);
    wait_for(self, follower, NEWS_AGREED, 0);
    damage(follower);
    assert_int_equal(wait_for_end(self, follower), FATAL_EXIT_STATUS);
    assert_logged(follower, "the tables here are not those of the majority");
    assert_logged(follower, follower->id == 1   ? "scripts/cluster reseed toy-1"
                            : follower->id == 2 ? "scripts/cluster reseed toy-2"
                                                : "scripts/cluster reseed toy-3");
    wait_for(self, leader, NEWS_CONFLICTS, 0);
    assert_logged(leader, "a member's tables are not those of the majority");
    uint64_t agreed = leader->last[NEWS_AGREED].number;
    wait_for(self, leader, NEWS_AGREED, agreed);

    seat_start(self, follower);
    wait_for(self, follower, NEWS_AGREED, agreed);
}

/* A leader whose tables went wrong has another one lead before it ends: nobody waits for an election. From
 * the moment that it knows it serves no read, and leads no more. */
static void test_a_leader_that_differs_hands_over_and_stops(void **state)
{
    struct trio *self = *state;

    start_all(self);
    struct seat *old = wait_for_leader(self, 0);
    uint64_t term = old->last[NEWS_LEADS].number;
    wait_for(self, old, NEWS_AGREED, 0);
    damage(old);
    assert_int_equal(wait_for_end(self, old), FATAL_EXIT_STATUS);
    assert_true(old->last[NEWS_LOST].at_ms > 0);
    assert_int_equal((int64_t)old->last[NEWS_LOST].number, ERR_UNAVAILABLE);
    struct seat *next = wait_for_leader(self, term);
    assert_ptr_not_equal(next, old);
    assert_true(next->last[NEWS_LEADS].at_ms - old->last[NEWS_LOST].at_ms < ELECTION_MS_LONG);
    wait_for(self, next, NEWS_AGREED, old->last[NEWS_AGREED].number);
}

/* Of two that differ nobody knows who is right: both say so, and go on. The third settles it. */
static void test_without_a_majority_nobody_stops(void **state)
{
    struct trio *self = *state;

    seat_start(self, &self->seats[0]);
    seat_start(self, &self->seats[1]);
    struct seat *leader = wait_for_leader(self, 0);
    struct seat *other = other_than(self, leader, &self->seats[2]);
    wait_for(self, other, NEWS_AGREED, 0);
    damage(other);
    wait_for(self, leader, NEWS_SPLITS, 0);
    wait_for(self, other, NEWS_SPLITS, 0);
    assert_logged(leader, "no majority of the members has the same");
    assert_int_equal(seat_status(leader), -1);
    assert_int_equal(seat_status(other), -1);

    seat_start(self, &self->seats[2]);
    assert_int_equal(wait_for_end(self, other), FATAL_EXIT_STATUS);
    wait_for(self, leader, NEWS_AGREED, leader->last[NEWS_AGREED].number);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_equal_replicas_agree),
        TEST(test_a_follower_that_differs_stops),
        TEST(test_a_leader_that_differs_hands_over_and_stops),
        TEST(test_without_a_majority_nobody_stops),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
