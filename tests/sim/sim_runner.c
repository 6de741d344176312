/* See sim_runner.h.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/sim_runner.h"

#include <assert.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/sim/sim_catalog.h"
#include "tests/sim/sim_lease.h"
#include "tests/sim/sim_store.h"

#define JOBS_MAX 64

/* What a worker leaves where the others see it, even when it dies. */
struct page {
    uint64_t seed; /* at which it is; 0: at none */
    struct sim_counts counts;
};

struct board {                   /* in shared memory */
    atomic_uint_fast64_t next;   /* seed that nobody has taken */
    atomic_uint_fast64_t lowest; /* that has failed; UINT64_MAX: none */
    atomic_size_t failures;
    struct sim_failure failed[SIM_FAILURES_MAX];
    struct page pages[JOBS_MAX];
};

struct worker {
    pid_t pid;         /* 0: it has ended */
    FILE *stderr_file; /* where its last words are */
};

static void note(struct board *board, uint64_t seed, const char *violation)
{
    uint64_t lowest = atomic_load(&board->lowest);
    size_t place = atomic_fetch_add(&board->failures, 1);

    if (place < SIM_FAILURES_MAX) {
        board->failed[place].seed = seed;
        snprintf(board->failed[place].violation, sizeof board->failed[place].violation, "%s",
                 violation);
    }
    while (seed < lowest && !atomic_compare_exchange_weak(&board->lowest, &lowest, seed))
        ;
}

bool sim_run_one(const struct sim_options *options, struct sim_counts *counts, char violation[512])
{
    struct sim *sim;
    bool good;

    if (options->store)
        return sim_store_run(options, counts, violation);
    if (options->lease)
        return sim_lease_run(options, counts, violation);
    sim = sim_new(options);
    good = sim_run(sim);
    *counts = sim->counts;
    memcpy(violation, sim->world->violation, sizeof sim->world->violation);
    sim_destroy(&sim);
    return good;
}

static void run_one(const struct sim_batch *batch, struct board *board, struct page *page,
                    uint64_t seed)
{
    struct sim_options options = batch->options;
    struct sim_counts counts;
    char violation[512];

    options.seed = seed;
    options.trace = NULL;
    page->seed = seed;
    if (sim_run_one(&options, &counts, violation))
        sim_counts_add(&page->counts, &counts);
    else
        note(board, seed, violation);
    page->seed = 0;
}

static void work(const struct sim_batch *batch, struct board *board, struct page *page)
{
    for (;;) {
        uint64_t seed = atomic_fetch_add(&board->next, 1);

        if (seed > batch->to || (batch->stop && seed > atomic_load(&board->lowest)))
            return;
        run_one(batch, board, page, seed);
    }
}

static void start(const struct sim_batch *batch, struct board *board, struct page *page,
                  struct worker *worker)
{
    fflush(NULL);
    worker->stderr_file = tmpfile();
    assert(worker->stderr_file != NULL);
    worker->pid = fork();
    assert(worker->pid >= 0);
    if (worker->pid != 0)
        return;
    dup2(fileno(worker->stderr_file), STDERR_FILENO);
    work(batch, board, page);
    exit(0); /* by way of the leak checker, where there is one */
}

/* The first line of what it has said, which is the assertion or what a sanitizer has found. */
static void last_words(struct worker *worker, int status, char *text, size_t size)
{
    char line[300] = "";

    rewind(worker->stderr_file);
    while (fgets(line, sizeof line, worker->stderr_file) != NULL && strlen(line) < 8)
        ;
    line[strcspn(line, "\n")] = '\0';
    snprintf(text, size, "died by %s %d: %s", WIFSIGNALED(status) ? "signal" : "status",
             WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status), line);
}

static int by_seed(const void *a, const void *b)
{
    const struct sim_failure *one = a, *other = b;

    return (one->seed > other->seed) - (one->seed < other->seed);
}

static void gather(struct board *board, unsigned jobs, struct sim_outcome *outcome)
{
    for (unsigned i = 0; i < jobs; i++)
        sim_counts_add(&outcome->counts, &board->pages[i].counts);
    outcome->failures = atomic_load(&board->failures);
    memcpy(outcome->first, board->failed, sizeof outcome->first);
    qsort(outcome->first,
          outcome->failures < SIM_FAILURES_MAX ? outcome->failures : SIM_FAILURES_MAX,
          sizeof outcome->first[0], by_seed);
}

/* A worker has ended. One that died is followed by another, for the seeds that are left. */
static bool follow(const struct sim_batch *batch, struct board *board, struct page *page,
                   struct worker *worker, int status)
{
    char words[400];
    bool died = !WIFEXITED(status) || WEXITSTATUS(status) != 0;

    if (died) {
        last_words(worker, status, words, sizeof words);
        note(board, page->seed != 0 ? page->seed : batch->to, words);
        page->seed = 0;
    }
    fclose(worker->stderr_file);
    worker->pid = 0;
    if (died && atomic_load(&board->next) <= batch->to)
        start(batch, board, page, worker);
    return worker->pid != 0;
}

void sim_run_batch(const struct sim_batch *batch, struct sim_outcome *outcome)
{
    struct worker workers[JOBS_MAX];
    unsigned jobs = batch->jobs < JOBS_MAX ? batch->jobs : JOBS_MAX;
    unsigned running = jobs;
    struct board *board =
        mmap(NULL, sizeof *board, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    assert(board != MAP_FAILED);
    atomic_init(&board->next, batch->from);
    atomic_init(&board->lowest, UINT64_MAX);
    for (unsigned i = 0; i < jobs; i++)
        start(batch, board, &board->pages[i], &workers[i]);
    while (running > 0) {
        int status;
        pid_t pid = wait(&status);

        for (unsigned i = 0; i < jobs; i++)
            if (pid > 0 && workers[i].pid == pid &&
                !follow(batch, board, &board->pages[i], &workers[i], status))
                running--;
    }
    memset(outcome, 0, sizeof *outcome);
    gather(board, jobs, outcome);
    munmap(board, sizeof *board);
}

void sim_replay_text(const struct sim_options *options, uint64_t seed, char *text, size_t size)
{
    int length = snprintf(text, size, "--seed %" PRIu64, seed);

    if (options->servers != 0)
        length += snprintf(text + length, size - (size_t)length, " --servers %u", options->servers);
    if (options->election_ms != 0)
        length += snprintf(text + length, size - (size_t)length, " --timeouts %u/%u",
                           options->election_ms, options->heartbeat_ms);
    if (options->heal_majority >= 0)
        length += snprintf(text + length, size - (size_t)length, " --heal %s",
                           options->heal_majority ? "majority" : "all");
    if (options->pre_vote >= 0)
        length += snprintf(text + length, size - (size_t)length, " --pre-vote %s",
                           options->pre_vote ? "on" : "off");
    if (options->membership >= 0)
        length += snprintf(text + length, size - (size_t)length, " --membership %s",
                           options->membership ? "on" : "off");
    if (options->store)
        length += snprintf(text + length, size - (size_t)length, " --machine store");
    else if (options->lease)
        length += snprintf(text + length, size - (size_t)length, " --machine lease");
    else if (options->use == &sim_use_catalog)
        length += snprintf(text + length, size - (size_t)length, " --machine catalog");
    if (options->mutation != MUTATION_NONE)
        length += snprintf(text + length, size - (size_t)length, " --mutation %s",
                           sim_mutation_name(options->mutation));
    snprintf(text + length, size - (size_t)length, " --trace");
}
