/* A load on the store, measured.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "client/cli/bench.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "broker/bus/alarm.h"
#include "broker/bus/alloc.h"
#include "broker/bus/clock.h"
#include "broker/bus/err.h"
#include "broker/bus/limits.h"
#include "client/cli/pacer.h"
#include "client/cli/pick.h"
#include "client/cli/progress.h"

#define US_PER_MS     1000
#define US_PER_SECOND 1000000.0
#define PROGRESS_MS   200
/* Requests begun in one turn of the loop where memory may answer them at once: some 100 us. */
#define BURST_MAX 256

struct bench {
    struct cli *cli;
    const struct bench_plan *plan;
    struct bench_result *result;
    struct pick *pick;
    struct pacer *pacer; /* open loop */
    struct progress progress;
    int64_t begin_us;   /* of the measurement: the end of the warm-up */
    int64_t end_us;     /* no request begins after it; INT64_MAX when a count ends it */
    int64_t last_us;    /* when the last measured answer came */
    double cpu_s;       /* of this process, when the first measured request began */
    uint64_t due;       /* open loop: requests that became due */
    uint64_t started;   /* requests sent */
    uint64_t measured;  /* of those begun in the measurement */
    struct shot *shots; /* one for each request that may be under way */
    struct shot *idle;  /* those that are not, a list */
    size_t in_flight;
    size_t in_flight_max;
    bool over;           /* nothing more is started */
    struct alarm *burst; /* with a cache: goes on in the loop's next turn */
};

/* A request under way. */
struct shot {
    struct bench *bench;
    enum bench_operation operation;
    int64_t begin_us; /* sent, or due */
    bool measured;
    struct shot *next; /* in the list of idle ones */
};

/* Processor time of this process so far. */
static double bench_cpu_s(void)
{
    struct timespec used;
    int rc = clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
    assert(rc == 0);
    (void)rc;
    return (double)used.tv_sec + (double)used.tv_nsec / 1e9;
}

/* ---- The end of a request ------------------------------------------------------------ */

static void bench_count_type(json_t *counts, int code)
{
    const char *type = pygmy_code_type(code);
    json_int_t before = json_integer_value(json_object_get(counts, type));
    json_object_set_new(counts, type, json_integer(before + 1));
}

static void bench_measure(struct bench *self, const struct shot *shot, int code, bool cached)
{
    struct bench_result *result = self->result;
    int64_t now_us = clock_us();
    bool answered = cli_exit_of(code) == EXIT_DONE || cli_exit_of(code) == EXIT_REFUSED;
    self->last_us = now_us;
    result->from_memory += cached;
    if (code == OK)
        result->done[shot->operation]++;
    else
        bench_count_type(answered ? result->refused : result->errors, code);
    if (answered)
        histogram_add(&result->latency[shot->operation], now_us - shot->begin_us);
    else
        result->error_count++;
}

static void bench_fill(struct bench *self);

static void bench_end_shot(struct shot *shot, int code, bool cached)
{
    struct bench *self = shot->bench;
    self->in_flight--;
    if (shot->measured)
        bench_measure(self, shot, code, cached);
    shot->next = self->idle;
    self->idle = shot;
}

static void bench_done(void *arg, const struct pygmy_reply *reply)
{
    struct shot *shot = arg;
    struct bench *self = shot->bench;
    bench_end_shot(shot, reply->code, reply->cached);
    bench_fill(self);
}

/* ---- Starting requests ---------------------------------------------------------------- */

static int64_t bench_pick_id(struct bench *self)
{
    size_t place = pick_next(self->pick);
    return self->plan->ids != NULL ? self->plan->ids[place] : self->plan->first_id + (int64_t)place;
}

static void bench_lookup(struct bench *self, struct shot *shot, int64_t id)
{
    struct pygmy_cached item;
    if (self->plan->cached && pygmy_cached_item(self->cli->store, id, &item))
        bench_end_shot(shot, item.present ? OK : ERR_NOT_FOUND, true);
    else
        pygmy_lookup(self->cli->store, id, bench_done, shot);
}

static void bench_shoot(struct bench *self, int64_t begin_us)
{
    struct shot *shot = self->idle;
    assert(shot != NULL);
    self->idle = shot->next;
    bool buy = pick_real(self->pick) < self->plan->write_share;
    *shot = (struct shot){.bench = self,
                          .operation = buy ? BENCH_BUY : BENCH_LOOKUP,
                          .begin_us = begin_us,
                          .measured = begin_us >= self->begin_us};
    self->started++;
    self->in_flight++;
    if (shot->measured && self->measured++ == 0)
        self->cpu_s = bench_cpu_s();
    int64_t id = bench_pick_id(self);
    if (buy)
        pygmy_buy(self->cli->store, &(struct pygmy_line){id, 1}, 1, NULL, bench_done, shot);
    else
        bench_lookup(self, shot, id);
}

/* The next request, if there is one to be sent now. Sets @over when there is none any more. */
static bool bench_next(struct bench *self, int64_t *begin_us)
{
    const struct bench_plan *plan = self->plan;
    bool open = plan->rate > 0;
    *begin_us = open ? pacer_due_us(self->pacer, self->started) : clock_us();
    if (*begin_us >= self->end_us || (plan->count > 0 && self->measured >= (uint64_t)plan->count))
        self->over = true;
    return !self->over && self->in_flight < self->in_flight_max &&
           (!open || self->started < self->due);
}

/* Start what is to be started; end the loop after the last answer. Memory answers at once, so that
 * it would never end: the loop has to turn, or the lease is not renewed. */
static void bench_fill(struct bench *self)
{
    int64_t begin_us;
    for (int i = 0; !self->over && bench_next(self, &begin_us); i++) {
        if (self->burst != NULL && i == BURST_MAX) {
            alarm_set(self->burst, 0);
            return;
        }
        bench_shoot(self, begin_us);
    }
    if (self->over && self->in_flight == 0)
        loop_end_now(self->cli->loop_end);
}

static void bench_go_on(void *arg)
{
    bench_fill(arg);
}

static void bench_beat(void *arg, uint64_t count)
{
    struct bench *self = arg;
    self->due += count;
    bench_fill(self);
}

/* ---- The whole --------------------------------------------------------------------------- */

static int bench_show_progress(zloop_t *loop, int timer_id, void *arg)
{
    struct bench *self = arg;
    char note[64];
    (void)loop;
    (void)timer_id;
    int64_t done =
        self->plan->count > 0 ? (int64_t)self->measured : (clock_us() - self->begin_us) / US_PER_MS;
    snprintf(note, sizeof note, "%llu requests", (unsigned long long)self->started);
    progress_set(&self->progress, done > 0 ? done : 0, note);
    return 0;
}

static void bench_make_shots(struct bench *self)
{
    self->in_flight_max = self->plan->rate > 0 ? CALLS_MAX : (size_t)self->plan->in_flight;
    self->shots = alloc_zero(self->in_flight_max * sizeof *self->shots);
    for (size_t i = 0; i < self->in_flight_max; i++) {
        self->shots[i].next = self->idle;
        self->idle = &self->shots[i];
    }
}

static void bench_begin(struct bench *self)
{
    const struct bench_plan *plan = self->plan;
    bench_make_shots(self);
    self->pick = pick_new(plan->item_count, plan->zipf, plan->seed);
    self->progress = (struct progress){.shown = plan->progress,
                                       .label = plan->name,
                                       .total = plan->count > 0 ? plan->count : plan->duration_ms};
    if (plan->cached)
        self->burst = alarm_new(self->cli->loop, bench_go_on, self);
    self->begin_us = clock_us() + plan->warm_up_ms * US_PER_MS;
    self->end_us = plan->count > 0 ? INT64_MAX : self->begin_us + plan->duration_ms * US_PER_MS;
    self->last_us = self->begin_us;
    if (plan->progress)
        zloop_timer(self->cli->loop, PROGRESS_MS, 0, bench_show_progress, self);
    if (plan->rate > 0)
        self->pacer = pacer_new(self->cli->loop, plan->rate, bench_beat, self);
    else
        bench_fill(self);
}

int bench_run(struct cli *cli, const struct bench_plan *plan, struct bench_result *result)
{
    struct bench self = {.cli = cli, .plan = plan, .result = result};
    assert(plan->item_count > 0 && (plan->count > 0) != (plan->duration_ms > 0));
    *result = (struct bench_result){.refused = json_object(), .errors = json_object()};
    bench_begin(&self);
    int status = cli_run(cli);
    progress_end(&self.progress);
    result->seconds = (double)(self.last_us - self.begin_us) / US_PER_SECOND;
    result->cpu_seconds = self.measured > 0 ? bench_cpu_s() - self.cpu_s : 0;
    pacer_destroy(&self.pacer);
    alarm_destroy(&self.burst);
    pick_destroy(&self.pick);
    /* After an interrupt calls are under way that point here; without the store none can end. */
    pygmy_close(&cli->store);
    free(self.shots);
    return status;
}

void bench_result_close(struct bench_result *self)
{
    json_decref(self->refused);
    json_decref(self->errors);
    self->refused = NULL;
    self->errors = NULL;
}
