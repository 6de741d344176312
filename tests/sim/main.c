/* The simulator's command line; see usage below, and docs/testing.md.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "tests/sim/sim_cases.h"
#include "tests/sim/sim_catalog.h"
#include "tests/sim/sim_runner.h"

static const char usage[] =
    "usage: sim [--seed N | --seeds FROM-TO | --cases | --mutations] [OPTION...]\n"
    "\n"
    "  --seed N             one run, in this process\n"
    "  --seeds FROM-TO      all of them (1-200), and what happened in them\n"
    "  --cases              the directed cases\n"
    "  --mutations          put in each fault and say which seed or case finds it\n"
    "  --trace              every step of the one run, on stdout\n"
    "  --jobs N             processes (2)\n"
    "  --machine NAME       of a group: toy, or catalog with all its tables; store: both groups, "
    "or "
    "lease: leased caches (toy)\n"
    "what the seed decides, unless it is said:\n"
    "  --servers 3|5  --timeouts ELECTION/HEARTBEAT  --heal all|majority  --pre-vote on|off\n"
    "  --membership on|off  --mutation NAME\n";

struct command {
    enum { RUN_SEEDS, RUN_HELP, RUN_ONE, RUN_CASES, RUN_MUTATIONS } what;
    struct sim_batch batch;
    bool trace;
};

static int usage_error(const char *why)
{
    fprintf(stderr, "sim: %s\n%s", why, usage);
    return 2;
}

/* ---- What happened ------------------------------------------------------------------------------- */

static double seconds_now(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void print_counts(const struct sim_counts *c, double seconds)
{
    const struct {
        const char *name;
        uint64_t count;
    } rows[] = {
        {"seeds passed", c->runs},
        {"simulated seconds", c->simulated_ms / 1000},
        {"steps of a driver", c->steps},
        {"commands committed", c->commits},
        {"commands acknowledged", c->acknowledged},
        {"reads", c->reads},
        {"elections", c->elections},
        {"transfers", c->transfers},
        {"crashes", c->crashes},
        {"writes lost in them", c->lost_writes},
        {"writes failed", c->failed_writes},
        {"pauses", c->pauses},
        {"partitions", c->partitions},
        {"messages sent", c->sent},
        {"messages dropped", c->dropped},
        {"messages doubled", c->doubled},
        {"snapshots taken", c->snapshots_taken},
        {"snapshots installed", c->snapshots_installed},
        {"membership changes", c->changes},
        {"of them by the orders", c->order_commits},
        {"buys acknowledged", c->bought},
        {"buys denied", c->denied},
        {"cancels acknowledged", c->cancelled},
        {"stock changes", c->moved},
        {"items looked at", c->looked},
        {"orders looked up", c->found},
        {"requests repeated", c->repeated},
        {"calls on the bus", c->calls},
        {"lost there", c->calls_lost},
        {"doubled there", c->calls_doubled},
        {"reads from memory", c->hits},
        {"fills", c->fills},
        {"joined", c->joins},
        {"stored", c->stored},
        {"reads past the cache", c->passes},
        {"without an answer", c->unread},
        {"caches flushed", c->flushes},
        {"sessions opened", c->sessions},
        {"ended in order", c->leaves},
        {"keys approved", c->approvals},
        {"pending already", c->spared},
        {"sessions lapsed", c->lapses},
        {"writes refused", c->refused_writes},
        {"lost of the feed", c->feed_lost},
        {"doubled of the feed", c->feed_doubled},
        {"late of the feed", c->feed_late},
        {"long pauses of caches", c->long_pauses},
        {"long pauses of leaders", c->long_leader_pauses},
        {"long partitions", c->long_partitions},
        {"of them in two parts", c->two_sided},
        {"handed over unheard", c->hand_overs},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (rows[i].count > 0)
            printf("  %-24s %14" PRIu64 "\n", rows[i].name, rows[i].count);
    for (int i = MUTATION_NONE + 1; i < MUTATION_COUNT; i++)
        if (c->guarded[i] > 0)
            printf("  guard %-18s %14" PRIu64 "\n", sim_mutation_name((enum sim_mutation)i),
                   c->guarded[i]);
    if (c->runs > 0)
        printf("  healing: mean %.3f s, worst %.3f s (seed %" PRIu64 ")\n",
               (double)c->heal_us / (double)c->runs / 1e6, (double)c->heal_us_max / 1e6,
               c->heal_seed);
    printf("  %.1f s, %.0f steps/s\n", seconds, (double)c->steps / seconds);
}

static void print_failures(const struct sim_options *options, const struct sim_outcome *outcome)
{
    char replay[300];

    printf("%zu seeds failed\n", outcome->failures);
    for (size_t i = 0; i < outcome->failures && i < SIM_FAILURES_MAX; i++) {
        sim_replay_text(options, outcome->first[i].seed, replay, sizeof replay);
        printf("seed %" PRIu64 ": %s\n  make sim-replay SIM_FLAGS=\"%s\"\n", outcome->first[i].seed,
               outcome->first[i].violation, replay);
    }
}

/* ---- What is to be done --------------------------------------------------------------------------- */

static int run_seeds(const struct sim_batch *batch)
{
    struct sim_outcome outcome;
    double began = seconds_now();

    sim_run_batch(batch, &outcome);
    print_counts(&outcome.counts, seconds_now() - began);
    if (outcome.failures > 0)
        print_failures(&batch->options, &outcome);
    return outcome.failures == 0 ? 0 : 1;
}

static int run_one(const struct sim_batch *batch, bool trace)
{
    struct sim_options options = batch->options;
    double began = seconds_now();
    struct sim_counts counts;
    char violation[512];
    bool good;

    options.trace = trace ? stdout : NULL;
    good = sim_run_one(&options, &counts, violation);
    if (good)
        print_counts(&counts, seconds_now() - began);
    else
        printf("seed %" PRIu64 ": %s\n", options.seed, violation);
    return good ? 0 : 1;
}

static int run_cases(enum sim_mutation mutation, FILE *trace)
{
    int failed = 0;

    for (size_t i = 0; i < sim_case_count; i++) {
        char why[512] = "";
        bool good = sim_case_run(&sim_cases[i], mutation, trace, why, sizeof why);

        printf("%-6s %s%s%s\n", good ? "passed" : "FAILED", sim_cases[i].name, good ? "" : ": ",
               why);
        failed += !good;
    }
    return failed == 0 ? 0 : 1;
}

/* What the core reads there does not decide anything. */
static const char only_sanitizers[] =
    "left out: it is seen by a sanitizer in the core alone (docs/testing.md)";

static bool look_for(const struct sim_batch *batch, enum sim_mutation mutation)
{
    struct sim_finding finding;
    bool found = sim_case_find(batch, mutation, true, &finding);
    char seed[32] = "-";

    if (finding.seed != 0)
        snprintf(seed, sizeof seed, "seed %" PRIu64, finding.seed);
    printf("%-18s %-10s %-17s %s\n", sim_mutation_name(mutation), seed,
           finding.by_case != NULL ? finding.by_case : "-", found ? finding.what : "NOT FOUND");
    fflush(stdout);
    return found;
}

/* Whether a fault is of the kind of world that is asked for. */
static bool is_for(enum sim_mutation mutation, const struct sim_options *options)
{
    if (mutation >= MUTATION_LEASE_FIRST)
        return options->lease;
    if (mutation >= MUTATION_STORE_FIRST)
        return options->store;
    if (mutation == MUTATION_APPLY_TWICE && options->store)
        return true;
    if (mutation == MUTATION_READ_ROUND && options->lease)
        return true;
    return !options->store && !options->lease;
}

static int run_mutations(const struct sim_batch *batch)
{
    const enum sim_mutation only = batch->options.mutation;
    int missed = 0;

    for (int i = MUTATION_NONE + 1; i < MUTATION_COUNT; i++) {
        if (only != MUTATION_NONE ? (int)only != i : !is_for((enum sim_mutation)i, &batch->options))
            continue;
        if (i == MUTATION_VOTE_RESULT && only != MUTATION_VOTE_RESULT)
            printf("%-18s %s\n", sim_mutation_name(MUTATION_VOTE_RESULT), only_sanitizers);
        else
            missed += !look_for(batch, (enum sim_mutation)i);
    }
    if (missed > 0)
        printf("%d mutations were not found\n", missed);
    return missed == 0 ? 0 : 1;
}

/* ---- Options ------------------------------------------------------------------------------------- */

static bool parse_range(const char *text, uint64_t *from, uint64_t *to)
{
    char *end;

    *from = strtoull(text, &end, 10);
    if (*end != '-')
        return false;
    *to = strtoull(end + 1, &end, 10);
    return *end == '\0' && *from > 0 && *from <= *to;
}

static bool parse_timeouts(const char *text, struct sim_options *options)
{
    char *end;

    options->election_ms = (unsigned)strtoul(text, &end, 10);
    if (*end != '/')
        return false;
    options->heartbeat_ms = (unsigned)strtoul(end + 1, &end, 10);
    return *end == '\0' && options->heartbeat_ms > 0 &&
           options->heartbeat_ms < options->election_ms;
}

/* @yes and @no are the two words. */
static bool parse_choice(const char *text, const char *yes, const char *no, int *choice)
{
    *choice = strcmp(text, yes) == 0;
    return *choice == 1 || strcmp(text, no) == 0;
}

enum choice {
    HELP = 1,
    SEED,
    SEEDS,
    CASES,
    MUTATIONS,
    TRACE,
    JOBS,
    SERVERS,
    TIMEOUTS,
    HEAL,
    PRE_VOTE,
    MEMBERSHIP,
    MUTATION,
    MACHINE,
};

static bool take_option(struct command *command, int option, const char *value)
{
    struct sim_batch *batch = &command->batch;
    struct sim_options *options = &batch->options;

    switch (option) {
    case HELP: command->what = RUN_HELP; return true;
    case SEED:
        command->what = RUN_ONE;
        options->seed = strtoull(value, NULL, 10);
        return options->seed > 0;
    case SEEDS: return parse_range(value, &batch->from, &batch->to);
    case CASES: command->what = RUN_CASES; return true;
    case MUTATIONS: command->what = RUN_MUTATIONS; return true;
    case TRACE: command->trace = true; return true;
    case JOBS: batch->jobs = (unsigned)strtoul(value, NULL, 10); return batch->jobs > 0;
    case SERVERS:
        options->servers = (unsigned)strtoul(value, NULL, 10);
        return options->servers == 3 || options->servers == 5;
    case TIMEOUTS: return parse_timeouts(value, options);
    case HEAL: return parse_choice(value, "majority", "all", &options->heal_majority);
    case PRE_VOTE: return parse_choice(value, "on", "off", &options->pre_vote);
    case MEMBERSHIP: return parse_choice(value, "on", "off", &options->membership);
    case MUTATION:
        options->mutation = sim_mutation_find(value);
        return options->mutation != MUTATION_COUNT;
    case MACHINE:
        options->use = strcmp(value, "catalog") == 0 ? &sim_use_catalog : &sim_use_toy;
        options->store = strcmp(value, "store") == 0;
        options->lease = strcmp(value, "lease") == 0;
        return options->store || options->lease || options->use == &sim_use_catalog ||
               strcmp(value, "toy") == 0;
    default: return false;
    }
}

int main(int argc, char **argv)
{
    static const struct option names[] = {
        {"help", no_argument, NULL, HELP},
        {"seed", required_argument, NULL, SEED},
        {"seeds", required_argument, NULL, SEEDS},
        {"cases", no_argument, NULL, CASES},
        {"mutations", no_argument, NULL, MUTATIONS},
        {"trace", no_argument, NULL, TRACE},
        {"jobs", required_argument, NULL, JOBS},
        {"servers", required_argument, NULL, SERVERS},
        {"timeouts", required_argument, NULL, TIMEOUTS},
        {"heal", required_argument, NULL, HEAL},
        {"pre-vote", required_argument, NULL, PRE_VOTE},
        {"membership", required_argument, NULL, MEMBERSHIP},
        {"mutation", required_argument, NULL, MUTATION},
        {"machine", required_argument, NULL, MACHINE},
        {NULL, 0, NULL, 0},
    };
    struct command command = {
        .what = RUN_SEEDS,
        .batch = {.options =
                      {.heal_majority = -1, .pre_vote = -1, .membership = -1, .use = &sim_use_toy},
                  .from = 1,
                  .to = 200,
                  .jobs = 2},
    };
    int option;

    while ((option = getopt_long(argc, argv, "", names, NULL)) != -1)
        if (!take_option(&command, option, optarg))
            return usage_error("a wrong option, or a wrong value of one");
    if (optind != argc)
        return usage_error("too many words");
    switch (command.what) {
    case RUN_HELP: fputs(usage, stdout); return 0;
    case RUN_ONE: return run_one(&command.batch, command.trace);
    case RUN_CASES: return run_cases(command.batch.options.mutation, command.trace ? stdout : NULL);
    case RUN_MUTATIONS: return run_mutations(&command.batch);
    default: return run_seeds(&command.batch);
    }
}
