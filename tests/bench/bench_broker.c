/* What passes through the broker, beside what passes through a bare zmq_proxy and through nothing.
 *
 *   bench_broker [--json] [ROUNDS]
 *
 * One client, one worker that echoes, 64-byte bodies, loopback TCP, each in a process of its own, and
 * the broker or proxy in another. In each round all rows have their turn, so that what disturbs the
 * machine disturbs them alike; a ratio is taken within a round. Shown are medians of the rounds and
 * in brackets the smallest and the largest. docs/performance.md tells how to read them.
 *
 * Exit status: 0; 1 a goal was missed, or nothing could be measured; 2 usage.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>
#include <zmq.h>

#include "tests/bench/peers.h"
#include "tests/bench/tools.h"

/* link: bus */

#define RUN_US   400000
#define PRIORITY (-10)
#define ROWS_MAX 40

enum between { BETWEEN_NOTHING, BETWEEN_PROXY, BETWEEN_BROKER };

enum window { WINDOW_1 = 1, WINDOW_64 = 2, WINDOW_1024 = 4, WINDOW_ALL = 7 };

/* A way from the client to the worker and back, and the windows it is measured with. */
struct way {
    const char *name;
    enum between between;
    enum speech client;
    enum speech worker;
    uint32_t credit;
    unsigned windows;
    const char *service; /* each has a worker of its own */
};

static const struct way ways[] = {
    {"no broker", BETWEEN_NOTHING, SPEECH_BARE, SPEECH_BARE, 0, WINDOW_ALL, NULL},
    {"zmq_proxy", BETWEEN_PROXY, SPEECH_BARE, SPEECH_BARE, 0, WINDOW_ALL, NULL},
    {"0.2", BETWEEN_BROKER, SPEECH_PLAIN, SPEECH_PLAIN, 1, WINDOW_ALL, "a"},
    {"0.2 client, our worker", BETWEEN_BROKER, SPEECH_PLAIN, SPEECH_SINGLE, 64, WINDOW_ALL, "b"},
    {"extension", BETWEEN_BROKER, SPEECH_SINGLE, SPEECH_SINGLE, 1, WINDOW_ALL, "c"},
    {"extension", BETWEEN_BROKER, SPEECH_SINGLE, SPEECH_SINGLE, 4, WINDOW_64 | WINDOW_1024, "d"},
    {"extension", BETWEEN_BROKER, SPEECH_SINGLE, SPEECH_SINGLE, 16, WINDOW_64 | WINDOW_1024, "e"},
    {"extension", BETWEEN_BROKER, SPEECH_SINGLE, SPEECH_SINGLE, 64, WINDOW_ALL, "f"},
    {"coalesced", BETWEEN_BROKER, SPEECH_BATCH, SPEECH_BATCH, 64, WINDOW_64 | WINDOW_1024, "g"},
    {"coalesced", BETWEEN_BROKER, SPEECH_BATCH, SPEECH_BATCH, 1024, WINDOW_1024, "h"},
};
#define WAYS (sizeof ways / sizeof *ways)

struct row {
    const struct way *way;
    size_t window;
    double rates[ROUNDS_MAX];   /* requests a second */
    double p50s_us[ROUNDS_MAX]; /* of each round */
    double p99s_us[ROUNDS_MAX];
    double per_cpus[ROUNDS_MAX]; /* requests for each second of processor time between the ends */
};

/* ---- Rows and their figures ------------------------------------------- */

struct bench {
    size_t rounds;
    size_t row_count;
    struct row rows[ROWS_MAX];
    pid_t between[BETWEEN_BROKER + 1]; /* the process; 0: none */
    char endpoints[BETWEEN_BROKER + 1][ENDPOINT_BYTES];
    char proxy_back[ENDPOINT_BYTES];
    pid_t workers[WAYS];
    struct times times;
};

static void bench_add_rows(struct bench *self, unsigned window, size_t size)
{
    for (size_t i = 0; i < WAYS; i++) {
        if ((ways[i].windows & window) == 0)
            continue;
        assert(self->row_count < ROWS_MAX);
        self->rows[self->row_count++] = (struct row){.way = &ways[i], .window = size};
    }
}

static const struct row *bench_row(const struct bench *self, const char *name, uint32_t credit,
                                   size_t window)
{
    for (size_t i = 0; i < self->row_count; i++) {
        const struct row *row = &self->rows[i];
        if (strcmp(row->way->name, name) == 0 && row->way->credit == credit &&
            row->window == window)
            return row;
    }
    abort();
}

/* How often as fast one row is as another. */
static struct spread bench_ratio(const struct bench *self, const struct row *one,
                                 const struct row *other)
{
    return spread_of_ratios(one->rates, other->rates, self->rounds);
}

/* ---- Processes -------------------------------------------------------- */

static _Noreturn void proxy_run(const char *front_endpoint, const char *back_endpoint)
{
    void *context = zmq_ctx_new();
    void *front = bench_socket(context, ZMQ_ROUTER, front_endpoint, true);
    void *back = bench_socket(context, ZMQ_DEALER, back_endpoint, true);
    zmq_proxy(front, back, NULL);
    _exit(1);
}

static _Noreturn void broker_run(const char *endpoint)
{
    char path[4096];
    const char *build = getenv("PYGMY_BUILD"), *suffix = getenv("PYGMY_SUFFIX");
    snprintf(path, sizeof path, "%s/pygmy-broker%s", build != NULL ? build : "build",
             suffix != NULL ? suffix : "");
    execl(path, path, "--bind", endpoint, "--log-level", "warn", (char *)NULL);
    perror(path);
    _exit(1);
}

static void bench_start_between(struct bench *self)
{
    if ((self->between[BETWEEN_PROXY] = child_new()) == 0)
        proxy_run(self->endpoints[BETWEEN_PROXY], self->proxy_back);
    if ((self->between[BETWEEN_BROKER] = child_new()) == 0)
        broker_run(self->endpoints[BETWEEN_BROKER]);
}

static pid_t bench_start_worker(const struct bench *self, const struct way *way)
{
    const struct worker_options options = {
        .endpoint =
            way->between == BETWEEN_PROXY ? self->proxy_back : self->endpoints[way->between],
        .service = way->service,
        .speech = way->worker,
        .credit = way->credit,
        .bind = way->between == BETWEEN_NOTHING,
    };
    const pid_t pid = child_new();
    if (pid == 0)
        worker_run(&options);
    return pid;
}

static void bench_stop(struct bench *self)
{
    child_end(self->between[BETWEEN_PROXY]);
    child_end(self->between[BETWEEN_BROKER]);
    for (size_t i = 0; i < WAYS; i++)
        child_end(self->workers[i]);
}

/* ---- Measuring -------------------------------------------------------- */

/* The processor time of a process between two marks. */
struct stopwatch {
    pid_t pid; /* 0: none */
    double begin_s, passed_s;
};

static void stopwatch_mark(void *arg)
{
    struct stopwatch *self = arg;
    struct timespec now = {0};
    clockid_t clock;
    if (self->pid == 0 || clock_getcpuclockid(self->pid, &clock) != 0 ||
        clock_gettime(clock, &now) != 0)
        return;
    const double now_s = (double)now.tv_sec + (double)now.tv_nsec / 1e9;
    self->passed_s = now_s - self->begin_s;
    self->begin_s = now_s;
}

static void bench_measure(struct bench *self, void *context, struct row *row, size_t round)
{
    const struct way *way = row->way;
    struct stopwatch watch = {.pid = self->between[way->between]};
    const struct client_options options = {
        .context = context,
        .endpoint = self->endpoints[way->between],
        .service = way->service,
        .speech = way->client,
        .window = row->window,
        .run_us = RUN_US,
        .mark = stopwatch_mark,
        .arg = &watch,
    };
    row->rates[round] = client_run(&options, &self->times);
    row->p50s_us[round] = times_percentile(&self->times, 0.5);
    row->p99s_us[round] = times_percentile(&self->times, 0.99);
    row->per_cpus[round] = watch.pid != 0 ? (double)self->times.count / watch.passed_s : 0;
}

/* ---- Showing ---------------------------------------------------------- */

/* The ratios that matter. One that is a must and below its least fails the run. */
struct goal {
    const char *text;
    const char *name;
    const char *beside_name;
    size_t window;
    double least;
    uint32_t credit;
    uint32_t beside_credit;
    bool must;
};

static const struct goal goals[] = {
    {"extension, credit 64 to credit 1", "extension", "extension", 64, 10, 64, 1, true},
    {"extension, credit 64 to zmq_proxy", "extension", "zmq_proxy", 64, 0.5, 64, 0, true},
    {"the same, as designed", "extension", "zmq_proxy", 64, 0.75, 64, 0, false},
    {"0.2 client, our worker to zmq_proxy", "0.2 client, our worker", "zmq_proxy", 1024, 0.35, 64,
     0, false},
    {"coalesced, credit 1024 to zmq_proxy", "coalesced", "zmq_proxy", 1024, 0.75, 1024, 0, false},
};
#define GOALS (sizeof goals / sizeof *goals)

static struct spread goal_ratio(const struct bench *bench, const struct goal *goal)
{
    return bench_ratio(bench, bench_row(bench, goal->name, goal->credit, goal->window),
                       bench_row(bench, goal->beside_name, goal->beside_credit, goal->window));
}

static bool bench_reached(const struct bench *self)
{
    for (size_t i = 0; i < GOALS; i++)
        if (goals[i].must && goal_ratio(self, &goals[i]).median < goals[i].least)
            return false;
    return true;
}

static void bench_show_row(const struct bench *self, const struct row *row)
{
    const struct spread rate = spread_of(row->rates, self->rounds);
    const struct spread ratio =
        bench_ratio(self, row, bench_row(self, "zmq_proxy", 0, row->window));
    char credit[16] = "";
    if (row->way->credit > 0)
        snprintf(credit, sizeof credit, "%u", row->way->credit);
    printf("%-23s %6s %9zu %10.0f %9.2f [%.2f %.2f] %8.0f %8.0f %10.0f\n", row->way->name, credit,
           row->window, rate.median, ratio.median, ratio.least, ratio.most,
           spread_of(row->p50s_us, self->rounds).median,
           spread_of(row->p99s_us, self->rounds).median,
           spread_of(row->per_cpus, self->rounds).median);
}

static void bench_show(const struct bench *self)
{
    printf("%-23s %6s %9s %10s %21s %8s %8s %10s\n", "", "credit", "in flight", "requests/s",
           "of zmq_proxy", "p50 us", "p99 us", "per CPU s");
    for (size_t i = 0; i < self->row_count; i++) {
        if (i > 0 && self->rows[i].window != self->rows[i - 1].window)
            printf("\n");
        bench_show_row(self, &self->rows[i]);
    }
    printf("\n");
    for (size_t i = 0; i < GOALS; i++) {
        const struct spread ratio = goal_ratio(self, &goals[i]);
        printf("%-36s %4zu in flight: %6.2f [%.2f %.2f], %s %.2f: %s\n", goals[i].text,
               goals[i].window, ratio.median, ratio.least, ratio.most,
               goals[i].must ? "at least" : "aim", goals[i].least,
               ratio.median >= goals[i].least ? "yes" : "NO");
    }
}

static json_t *row_json(const struct bench *bench, const struct row *row)
{
    const size_t rounds = bench->rounds;
    return json_pack(
        "{s:s, s:i, s:i, s:o, s:o, s:o, s:o, s:o}", "name", row->way->name, "credit",
        (int)row->way->credit, "in_flight", (int)row->window, "requests_per_second",
        spread_json(spread_of(row->rates, rounds)), "of_proxy",
        spread_json(bench_ratio(bench, row, bench_row(bench, "zmq_proxy", 0, row->window))),
        "p50_us", spread_json(spread_of(row->p50s_us, rounds)), "p99_us",
        spread_json(spread_of(row->p99s_us, rounds)), "requests_per_cpu_second",
        spread_json(spread_of(row->per_cpus, rounds)));
}

static void bench_show_json(const struct bench *self)
{
    json_t *rows = json_array(), *reached = json_array();
    for (size_t i = 0; i < self->row_count; i++)
        json_array_append_new(rows, row_json(self, &self->rows[i]));
    for (size_t i = 0; i < GOALS; i++)
        json_array_append_new(reached, json_pack("{s:s, s:i, s:o, s:f, s:b}", "goal", goals[i].text,
                                                 "in_flight", (int)goals[i].window, "ratio",
                                                 spread_json(goal_ratio(self, &goals[i])), "least",
                                                 goals[i].least, "must", goals[i].must));
    json_t *all =
        json_pack("{s:i, s:o, s:o}", "rounds", (int)self->rounds, "rows", rows, "goals", reached);
    json_dumpf(all, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(6));
    printf("\n");
    json_decref(all);
}

/* ---- All together ----------------------------------------------------- */

static void bench_run(struct bench *self)
{
    /* No context is open when children are forked: its threads would not come along. */
    void *context = zmq_ctx_new();
    endpoint_choose(context, self->endpoints[BETWEEN_NOTHING]);
    endpoint_choose(context, self->endpoints[BETWEEN_PROXY]);
    endpoint_choose(context, self->endpoints[BETWEEN_BROKER]);
    endpoint_choose(context, self->proxy_back);
    zmq_ctx_term(context);

    bench_start_between(self);
    for (size_t i = 0; i < WAYS; i++)
        self->workers[i] = bench_start_worker(self, &ways[i]);
    context = zmq_ctx_new();
    for (size_t i = 0; i < WAYS; i++)
        if (ways[i].between == BETWEEN_BROKER)
            client_wait_served(context, self->endpoints[BETWEEN_BROKER], ways[i].service);
    for (size_t round = 0; round < self->rounds; round++)
        for (size_t i = 0; i < self->row_count; i++)
            bench_measure(self, context, &self->rows[i], round);
    zmq_ctx_term(context);
    bench_stop(self);
}

int main(int argc, char **argv)
{
    bool json;
    size_t rounds;
    if (!bench_options("bench_broker", argc, argv, &json, &rounds))
        return 2;

    /* If it is permitted, what else the machine does is left out of the figures. */
    (void)setpriority(PRIO_PROCESS, 0, PRIORITY);
    struct bench *bench = calloc(1, sizeof *bench);
    assert(bench != NULL);
    bench->rounds = rounds;
    bench_add_rows(bench, WINDOW_1, 1);
    bench_add_rows(bench, WINDOW_64, 64);
    bench_add_rows(bench, WINDOW_1024, 1024);
    bench_run(bench);
    if (json)
        bench_show_json(bench);
    else
        bench_show(bench);
    const bool reached = bench_reached(bench);
    free(bench);
    return reached ? 0 : 1;
}
