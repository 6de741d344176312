/* What a group of three replicas commits, beside what its disk can sync.
 *
 *   bench_replica [--json] [ROUNDS]
 *
 * Three replicas, each a process of its own with a directory of its own on the same disk, linked over
 * loopback TCP. Commands of 128 bytes are submitted in the leader's own loop, 1, 16 or 256 of them
 * under way; the machine does nothing with them. A command counts when it is durable on a majority
 * and applied. Beside it, in the same round and on the same disk, one process writes a frame of
 * SQLite's write-ahead log (24 bytes and a page of 4,096) and calls fdatasync, over and over: at the
 * end of a file that grows, and within one of a thousand frames, as the log's own file is used again.
 * Ratios are to the faster of the two and taken within a round; shown are medians of the rounds
 * and in brackets the smallest and the largest. docs/performance.md tells how to read them.
 *
 * The files are in PYGMY_BENCH_DIR, else in /var/tmp; memory is no disk, and is refused.
 *
 * Exit status: 0; 1 nothing could be measured; 2 usage.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <czmq.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "broker/bus/clock.h"
#include "broker/bus/err.h"
#include "broker/bus/metrics.h"
#include "services/replica/membership.h"
#include "services/replica/replica.h"
#include "tests/bench/peers.h"
#include "tests/bench/tools.h"
#include "tests/lib/files.h"

#define SEATS         3
#define WINDOW_MAX    256
#define COMMAND_BYTES 128
#define FRAME_BYTES   (24 + 4096)
#define FILE_FRAMES   1000
#define RUN_US        1000000
#define MEASURE_MAX   5
#define LEADER_MS_MAX 10000
#define PRIORITY      (-10)
#define UUID          "0123456789abcdef0123456789abcdef"

/* What is asked of a replica's process, and what it answers. */
struct order {
    size_t window; /* 0: only say whether you lead */
    int64_t run_us;
};

struct figures {
    bool leads;  /* from the beginning to the end; else the rest says nothing */
    double rate; /* of what was committed, or synced, a second */
    double p50_us;
    double p99_us;
    double per_sync; /* at the leader: entries of a transaction of its log */
    double sync_us;  /* and the time of one */
    double busy;     /* share of the time that its loop was held */
};

static _Noreturn void give_up(const char *what, const char *why)
{
    fprintf(stderr, "bench_replica: %s: %s\n", what, why);
    exit(1);
}

/* ---- A machine that does nothing -------------------------------------- */

static int nothing_open(void *self, const char *path, char **error)
{
    (void)path;
    (void)error;
    *(replica_index *)self = 0;
    return 0;
}

static replica_index nothing_applied(void *self)
{
    return *(replica_index *)self;
}

static void nothing_begin(void *self)
{
    (void)self;
}

static void *nothing_apply(void *self, const struct replica_entry *entry)
{
    *(replica_index *)self = entry->index;
    return NULL;
}

static void nothing_release(void *self, void *result)
{
    (void)self;
    (void)result;
}

static void nothing_lead(void *self, bool leader, replica_term term)
{
    (void)self;
    (void)term;
    /* For profiles: who is who among the threads. */
    prctl(PR_SET_NAME, leader ? "leader" : "follower");
}

/* ---- A replica in its process ----------------------------------------- */

struct seat;

struct call {
    struct seat *seat;
    int64_t sent_us;
};

struct marks {
    int64_t at_us;
    double entries, transactions, sync_s, turn_s;
};

struct seat {
    int orders; /* of the socket to who measures */
    struct replica *replica;
    replica_index applied; /* the machine */
    struct metric *entries, *transactions, *sync_seconds, *turn_seconds;
    struct order order;
    struct figures figures;
    int64_t end_us;
    bool counting;
    struct marks begin;
    size_t in_flight;
    struct call calls[WINDOW_MAX];
    struct times times;
};

static void seat_answer(struct seat *self)
{
    if (write(self->orders, &self->figures, sizeof self->figures) != (ssize_t)sizeof self->figures)
        exit(0); /* who asked is gone */
}

static struct marks seat_marks(const struct seat *self)
{
    return (struct marks){.at_us = clock_us(),
                          .entries = metric_value(self->entries),
                          .transactions = metric_value(self->transactions),
                          .sync_s = metric_value(self->sync_seconds),
                          .turn_s = metric_value(self->turn_seconds)};
}

/* What was counted from the beginning mark to now. */
static void seat_count_up(struct seat *self)
{
    const struct marks end = seat_marks(self), begin = self->begin;
    const double seconds = (double)(end.at_us - begin.at_us) / 1e6;
    const double transactions = end.transactions - begin.transactions;

    self->counting = false;
    if (self->times.count == 0) { /* the machine stood still */
        self->figures.leads = false;
        return;
    }
    self->figures.rate = (double)self->times.count / seconds;
    self->figures.p50_us = times_percentile(&self->times, 0.5);
    self->figures.p99_us = times_percentile(&self->times, 0.99);
    self->figures.busy = (end.turn_s - begin.turn_s) / seconds;
    if (transactions == 0)
        return;
    self->figures.per_sync = (end.entries - begin.entries) / transactions;
    self->figures.sync_us = (end.sync_s - begin.sync_s) * 1e6 / transactions;
}

static void seat_on_done(void *arg, int code, void *result, replica_index index);

static void seat_submit(struct seat *self, struct call *call)
{
    static const uint8_t command[COMMAND_BYTES];

    call->sent_us = clock_us();
    if (self->figures.leads &&
        replica_submit(self->replica, command, sizeof command, seat_on_done, call) != 0)
        self->figures.leads = false;
    if (self->figures.leads)
        self->in_flight++;
}

/* The first part of a run doesn't count. */
static void seat_on_done(void *arg, int code, void *result, replica_index index)
{
    struct call *call = arg;
    struct seat *self = call->seat;
    const int64_t now_us = clock_us();

    (void)result;
    (void)index;
    self->in_flight--;
    self->figures.leads = self->figures.leads && code == OK;
    if (!self->counting && self->begin.at_us == 0 && now_us >= self->end_us - self->order.run_us) {
        self->counting = true;
        self->begin = seat_marks(self);
    } else if (self->counting) {
        times_add(&self->times, now_us - call->sent_us);
    }
    if (self->counting && now_us >= self->end_us)
        seat_count_up(self);
    if (now_us < self->end_us)
        seat_submit(self, call);
    if (self->in_flight == 0)
        seat_answer(self);
}

static void seat_run(struct seat *self)
{
    self->end_us = clock_us() + self->order.run_us + self->order.run_us / 4;
    self->counting = false;
    self->begin = (struct marks){0};
    memset(&self->times, 0, sizeof self->times);
    for (size_t i = 0; i < self->order.window; i++) {
        self->calls[i].seat = self;
        seat_submit(self, &self->calls[i]);
    }
    if (self->in_flight == 0)
        seat_answer(self);
    replica_flush(self->replica);
}

static int seat_on_order(zloop_t *loop, zmq_pollitem_t *item, void *arg)
{
    struct seat *self = arg;

    (void)loop;
    (void)item;
    assert(self->in_flight == 0);
    if (read(self->orders, &self->order, sizeof self->order) != (ssize_t)sizeof self->order)
        exit(0);
    self->figures = (struct figures){.leads = replica_is_leader(self->replica)};
    if (self->figures.leads && self->order.window > 0)
        seat_run(self);
    else
        seat_answer(self);
    return 0;
}

static void seat_open(struct seat *self, zloop_t *loop, const struct replica_options *options,
                      const struct membership *membership)
{
    const struct replica_machine machine = {.self = &self->applied,
                                            .open = nothing_open,
                                            .applied = nothing_applied,
                                            .begin = nothing_begin,
                                            .commit = nothing_begin,
                                            .apply = nothing_apply,
                                            .release = nothing_release,
                                            .lead = nothing_lead};
    char *error = NULL;

    if (replica_found(options, membership, &error) != 0 ||
        replica_open(loop, options, &machine, &self->replica, &error) != 0)
        give_up("a replica does not start", error);
    self->entries = metrics_counter(options->metrics, "pygmy_replica_entries_total", NULL, "");
    self->transactions =
        metrics_counter(options->metrics, "pygmy_replica_transactions_total", NULL, "");
    self->sync_seconds =
        metrics_histogram(options->metrics, "pygmy_fsync_duration_seconds", NULL, "");
    self->turn_seconds =
        metrics_histogram(options->metrics, "pygmy_replica_turn_duration_seconds", NULL, "");
}

/* Serve until the process is ended. */
static _Noreturn void seat_serve(int orders, uint64_t id, const char *directory,
                                 const struct membership *membership)
{
    struct seat *self = calloc(1, sizeof *self);
    char name[16], link[MEMBER_ADDRESS_BYTES_MAX + 1];
    const struct member *member = membership_find(membership, id);

    assert(self != NULL);
    snprintf(name, sizeof name, "bench-%" PRIu64, id);
    const struct replica_options options = {
        .name = name,
        .group = "bench",
        .directory = files_path(directory, name),
        .uuid = UUID,
        .id = id,
        .peer = member_word(member, MEMBER_LINK, link),
        .address = member->address,
        .metrics = metrics_new(),
        .free_bytes_min = 1,
    };
    zsys_handler_set(NULL);
    zloop_t *loop = zloop_new();
    zmq_pollitem_t item = {.fd = orders, .events = ZMQ_POLLIN};
    self->orders = orders;
    prctl(PR_SET_NAME, "disk"); /* as the disk thread is called, which it starts */
    seat_open(self, loop, &options, membership);
    prctl(PR_SET_NAME, "follower");
    zloop_poller(loop, &item, seat_on_order, self);
    zloop_start(loop);
    exit(1);
}

/* ---- The bare disk ---------------------------------------------------- */

static void sync_frame(int file, off_t place)
{
    static const uint8_t frame[FRAME_BYTES];
    if (pwrite(file, frame, sizeof frame, place) != (ssize_t)sizeof frame || fdatasync(file) != 0)
        give_up("the disk", strerror(errno));
}

/* Write frames and sync each: those of @file_frames in turn, or each behind the last (0). */
static struct figures disk_measure(const char *directory, long file_frames, struct times *times)
{
    char *path = files_path(directory, "frames");
    const int file = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    struct figures figures = {.leads = true};
    int64_t now_us;

    if (file < 0)
        give_up(path, strerror(errno));
    memset(times, 0, sizeof *times);
    for (long i = 0; i < file_frames; i++)
        if (pwrite(file, "", 1, (i + 1) * FRAME_BYTES - 1) != 1)
            give_up(path, strerror(errno));
    for (long i = 0; i < file_frames; i++)
        sync_frame(file, i * FRAME_BYTES);
    const int64_t begin_us = clock_us();
    for (long i = 0; (now_us = clock_us()) < begin_us + RUN_US; i++) {
        sync_frame(file, (file_frames > 0 ? i % file_frames : i) * FRAME_BYTES);
        times_add(times, clock_us() - now_us);
    }
    figures.rate = (double)times->count * 1e6 / (double)(now_us - begin_us);
    figures.p50_us = times_percentile(times, 0.5);
    figures.p99_us = times_percentile(times, 0.99);
    close(file);
    files_remove(path);
    free(path);
    return figures;
}

/* ---- Who measures ----------------------------------------------------- */

static const struct way {
    const char *name;
    const char *key;  /* in JSON */
    long file_frames; /* of the disk's */
    size_t window;    /* 0: the bare disk */
    double goal;      /* the least ratio to aim at; 0: none */
} ways[] = {
    {"fdatasync, file grows", "disk_grows", 0, 0, 0},
    {"fdatasync, file used again", "disk_again", FILE_FRAMES, 0, 0},
    {"committed", "committed", 0, 1, 0.13},
    {"committed", "committed", 0, 16, 0},
    {"committed", "committed", 0, 256, 0.9},
};
#define WAYS (sizeof ways / sizeof *ways)

struct bench {
    size_t rounds;
    char *directory;
    struct membership membership;
    pid_t seats[SEATS + 1];
    int orders[SEATS + 1]; /* by id, from 1 */
    size_t leader;         /* 0: not known */
    struct figures figures[WAYS][ROUNDS_MAX];
    double disk[ROUNDS_MAX]; /* the faster of the two */
    struct times times;
};

static struct figures seat_ask(const struct bench *self, size_t id, struct order order)
{
    struct figures figures;
    if (write(self->orders[id], &order, sizeof order) != (ssize_t)sizeof order ||
        read(self->orders[id], &figures, sizeof figures) != (ssize_t)sizeof figures)
        give_up("a replica", "it has ended");
    return figures;
}

static void bench_find_leader(struct bench *self)
{
    const int64_t deadline_ms = clock_ms() + LEADER_MS_MAX;
    const struct timespec pause = {.tv_nsec = 5000000};

    for (self->leader = 0; self->leader == 0; nanosleep(&pause, NULL)) {
        for (size_t id = 1; id <= SEATS; id++)
            if (seat_ask(self, id, (struct order){0}).leads)
                self->leader = id;
        if (self->leader == 0 && clock_ms() > deadline_ms)
            give_up("the replicas", "none of them leads");
    }
}

/* Again when the lead was lost meanwhile: that is another matter, and happens on a busy machine. */
static struct figures bench_measure_committed(struct bench *self, size_t window)
{
    for (int i = 0; i < MEASURE_MAX; i++) {
        const struct order order = {.window = window, .run_us = RUN_US};
        const struct figures figures = seat_ask(self, self->leader, order);
        if (figures.leads)
            return figures;
        bench_find_leader(self);
    }
    give_up("the replicas", "none of them leads for long enough");
}

static void bench_run(struct bench *self)
{
    bench_find_leader(self);
    for (size_t round = 0; round < self->rounds; round++)
        for (size_t i = 0; i < WAYS; i++) {
            struct figures *figures = &self->figures[i][round];
            *figures = ways[i].window > 0
                           ? bench_measure_committed(self, ways[i].window)
                           : disk_measure(self->directory, ways[i].file_frames, &self->times);
            if (ways[i].window == 0 && figures->rate > self->disk[round])
                self->disk[round] = figures->rate;
        }
}

static void bench_choose_members(struct bench *self)
{
    void *context = zmq_ctx_new();
    char links[SEATS][ENDPOINT_BYTES];
    for (size_t i = 0; i < SEATS; i++)
        endpoint_choose(context, links[i]);
    zmq_ctx_term(context);
    self->membership.count = SEATS;
    for (size_t i = 0; i < SEATS; i++) {
        struct member *member = &self->membership.members[i];
        *member = (struct member){.id = i + 1, .role = MEMBER_VOTER};
        /* Nothing is there where their snapshots would be: nobody will ever be behind. */
        snprintf(member->address, sizeof member->address, "bench-%zu %s ipc://%s/none-%zu", i + 1,
                 links[i], self->directory, i + 1);
    }
}

static void bench_start(struct bench *self)
{
    for (size_t id = 1; id <= SEATS; id++) {
        int pair[2];
        if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
            give_up("socketpair", strerror(errno));
        if ((self->seats[id] = child_new()) == 0)
            seat_serve(pair[1], id, self->directory, &self->membership);
        close(pair[1]);
        self->orders[id] = pair[0];
    }
}

static char *directory_make(void)
{
    const char *base = getenv("PYGMY_BENCH_DIR");
    char *path = files_path(base != NULL ? base : "/var/tmp", "pygmy-bench-XXXXXX");
    struct statfs about;

    if (mkdtemp(path) == NULL || statfs(path, &about) != 0)
        give_up(path, strerror(errno));
    if (about.f_type == TMPFS_MAGIC || about.f_type == RAMFS_MAGIC) {
        rmdir(path);
        give_up(path, "that is memory; name a directory on a disk in PYGMY_BENCH_DIR");
    }
    return path;
}

/* ---- Showing ---------------------------------------------------------- */

/* One field of the figures of all rounds. */
#define SPREAD_OF(self, way, field) spread_of_field((self), (way), offsetof(struct figures, field))

static struct spread spread_of_field(const struct bench *self, size_t way, size_t offset)
{
    double values[ROUNDS_MAX];
    for (size_t i = 0; i < self->rounds; i++)
        memcpy(&values[i], (const char *)&self->figures[way][i] + offset, sizeof values[i]);
    return spread_of(values, self->rounds);
}

static struct spread bench_ratio(const struct bench *self, size_t way)
{
    double rates[ROUNDS_MAX];
    for (size_t i = 0; i < self->rounds; i++)
        rates[i] = self->figures[way][i].rate;
    return spread_of_ratios(rates, self->disk, self->rounds);
}

static void bench_show_way(const struct bench *self, size_t way)
{
    const struct spread ratio = bench_ratio(self, way);
    char window[24] = "";
    if (ways[way].window > 0)
        snprintf(window, sizeof window, "%zu", ways[way].window);
    printf("%-27s %9s %9.0f %7.2f [%.2f %.2f] %7.0f %7.0f", ways[way].name, window,
           SPREAD_OF(self, way, rate).median, ratio.median, ratio.least, ratio.most,
           SPREAD_OF(self, way, p50_us).median, SPREAD_OF(self, way, p99_us).median);
    if (ways[way].window > 0)
        printf(" %8.1f %8.0f %5.0f %%", SPREAD_OF(self, way, per_sync).median,
               SPREAD_OF(self, way, sync_us).median, SPREAD_OF(self, way, busy).median * 100);
    printf("\n");
}

static void bench_show(const struct bench *self)
{
    printf("%-27s %9s %9s %19s %7s %7s %8s %8s %7s\n", "three replicas", "in flight", "a second",
           "of fdatasync", "p50 us", "p99 us", "per sync", "sync us", "loop");
    for (size_t i = 0; i < WAYS; i++)
        bench_show_way(self, i);
    printf("\n");
    for (size_t i = 0; i < WAYS; i++) {
        const struct spread ratio = bench_ratio(self, i);
        if (ways[i].goal > 0)
            printf("committed to fdatasync, %3zu in flight: %.2f [%.2f %.2f], aim %.2f: %s\n",
                   ways[i].window, ratio.median, ratio.least, ratio.most, ways[i].goal,
                   ratio.median >= ways[i].goal ? "yes" : "NO");
    }
    printf("\n");
}

static json_t *way_json(const struct bench *self, size_t way)
{
    json_t *all = json_pack(
        "{s:s, s:i, s:o, s:o, s:o, s:o}", "name", ways[way].key, "in_flight", (int)ways[way].window,
        "per_second", spread_json(SPREAD_OF(self, way, rate)), "of_fdatasync",
        spread_json(bench_ratio(self, way)), "p50_us", spread_json(SPREAD_OF(self, way, p50_us)),
        "p99_us", spread_json(SPREAD_OF(self, way, p99_us)));
    if (ways[way].window > 0) {
        json_object_set_new(all, "entries_per_sync", spread_json(SPREAD_OF(self, way, per_sync)));
        json_object_set_new(all, "sync_us", spread_json(SPREAD_OF(self, way, sync_us)));
        json_object_set_new(all, "loop_busy", spread_json(SPREAD_OF(self, way, busy)));
    }
    if (ways[way].goal > 0)
        json_object_set_new(all, "aim", json_real(ways[way].goal));
    return all;
}

static void bench_show_json(const struct bench *self)
{
    json_t *rows = json_array();
    for (size_t i = 0; i < WAYS; i++)
        json_array_append_new(rows, way_json(self, i));
    json_t *all = json_pack("{s:i, s:i, s:i, s:o}", "rounds", (int)self->rounds, "frame_bytes",
                            FRAME_BYTES, "command_bytes", COMMAND_BYTES, "rows", rows);
    json_dumpf(all, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(6));
    printf("\n");
    json_decref(all);
}

int main(int argc, char **argv)
{
    bool json;
    struct bench *bench = calloc(1, sizeof *bench);
    assert(bench != NULL);
    if (!bench_options("bench_replica", argc, argv, &json, &bench->rounds))
        return 2;

    /* If it is permitted, what else the machine does is left out of the figures. */
    (void)setpriority(PRIO_PROCESS, 0, PRIORITY);
    bench->directory = directory_make();
    bench_choose_members(bench);
    bench_start(bench);
    bench_run(bench);
    for (size_t id = 1; id <= SEATS; id++)
        child_end(bench->seats[id]);
    files_remove_directory(&bench->directory);
    if (json)
        bench_show_json(bench);
    else
        bench_show(bench);
    free(bench);
    return 0;
}
