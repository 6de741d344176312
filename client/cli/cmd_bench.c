/* pygmy bench: measure the store under a load.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/bus/alloc.h"
#include "broker/bus/limits.h"
#include "client/cli/bench.h"
#include "client/cli/number.h"
#include "client/cli/pacer.h"
#include "client/cli/verbs.h"

#define COUNT_MAX       INT64_C(1000000000)
#define DURATION_MS_MAX (INT64_C(24) * 3600 * 1000)
#define ZIPF_MAX        10
#define IN_FLIGHT       16
#define SECONDS_MS      10000
#define WARM_UP_MS      1000
#define WRITE_PERCENT   10
#define US_PER_MS       1000.0
/* Of the cache: all of a large catalog fits. */
#define CACHED_BYTES ((size_t)1 << 30)

static const char *const bench_operation_names[BENCH_OPERATIONS] = {"lookup", "buy"};

/* ---- Options ----------------------------------------------------------------------- */

static int bench_option_duration(const struct cli *cli, const char *name, int64_t *value_ms)
{
    const char *text = cli_option(cli, name);
    if (text == NULL || number_read_duration(text, 0, DURATION_MS_MAX, value_ms))
        return EXIT_DONE;
    return cli_usage(cli, "--%s \"%s\" is no time, such as 10, 500ms, 2m", name, text);
}

static int bench_option_real(const struct cli *cli, const char *name, double min, double max,
                             double *value)
{
    const char *text = cli_option(cli, name);
    if (text == NULL || number_read_real(text, min, max, value))
        return EXIT_DONE;
    return cli_usage(cli, "--%s \"%s\" is not a number from %g to %g", name, text, min, max);
}

/* --ids FIRST-LAST */
static int bench_option_ids(const struct cli *cli, struct bench_plan *plan)
{
    char first_text[32];
    int64_t first;
    int64_t last;
    const char *text = cli_option(cli, "ids");
    if (text == NULL)
        return EXIT_DONE;
    size_t len = strcspn(text, "-");
    snprintf(first_text, sizeof first_text, "%.*s",
             (int)(len < sizeof first_text ? len : sizeof first_text - 1), text);
    if (text[len] != '-' || !number_read(first_text, 1, ITEM_ID_MAX, &first) ||
        !number_read(text + len + 1, 1, ITEM_ID_MAX, &last) || last < first ||
        last - first >= BENCH_ITEMS_MAX)
        return cli_usage(cli, "--ids \"%s\" is no range FIRST-LAST of at most %d ids", text,
                         BENCH_ITEMS_MAX);
    plan->first_id = first;
    plan->item_count = (size_t)(last - first) + 1;
    return EXIT_DONE;
}

static int bench_option_kind(const struct cli *cli, struct bench_plan *plan)
{
    int64_t percent = WRITE_PERCENT;
    plan->name = cli_operand(cli, 0);
    if (strcmp(plan->name, "mix") != 0 && cli_flag(cli, "writes"))
        return cli_usage(cli, "--writes is for mix");
    int status = cli_option_number(cli, "writes", 0, 100, &percent);
    if (strcmp(plan->name, "lookup") == 0)
        plan->write_share = 0;
    else if (strcmp(plan->name, "buy") == 0)
        plan->write_share = 1;
    else if (strcmp(plan->name, "mix") == 0)
        plan->write_share = (double)percent / 100;
    else
        status = cli_usage(cli, "\"%s\" is none of lookup, buy, mix", plan->name);
    plan->cached = cli_flag(cli, "cached");
    if (status == EXIT_DONE && plan->cached && plan->write_share == 1)
        status = cli_usage(cli, "--cached is for lookups");
    return status;
}

static int bench_option_loop(const struct cli *cli, struct bench_plan *plan)
{
    if (cli_flag(cli, "rate") && cli_flag(cli, "in-flight"))
        return cli_usage(cli, "--rate (open loop) and --in-flight (closed) exclude each other");
    if (cli_flag(cli, "count") && cli_flag(cli, "seconds"))
        return cli_usage(cli, "--count and --seconds exclude each other");
    int status = cli_option_number(cli, "in-flight", 1, CALLS_MAX, &plan->in_flight);
    if (status == EXIT_DONE)
        status = bench_option_real(cli, "rate", 0.01, PACER_RATE_MAX, &plan->rate);
    if (status == EXIT_DONE)
        status = cli_option_number(cli, "count", 1, COUNT_MAX, &plan->count);
    if (status == EXIT_DONE && plan->count > 0)
        plan->duration_ms = 0;
    if (status == EXIT_DONE)
        status = bench_option_duration(cli, "seconds", &plan->duration_ms);
    if (status == EXIT_DONE && plan->count == 0 && plan->duration_ms == 0)
        status = cli_usage(cli, "--seconds 0 measures nothing");
    return status;
}

static int bench_options(const struct cli *cli, struct bench_plan *plan)
{
    int64_t seed = 1;
    int status = bench_option_kind(cli, plan);
    if (status == EXIT_DONE)
        status = bench_option_loop(cli, plan);
    if (status == EXIT_DONE)
        status = bench_option_duration(cli, "warm-up", &plan->warm_up_ms);
    if (status == EXIT_DONE)
        status = bench_option_real(cli, "zipf", 0, ZIPF_MAX, &plan->zipf);
    if (status == EXIT_DONE)
        status = bench_option_ids(cli, plan);
    if (status == EXIT_DONE)
        status = cli_option_number(cli, "seed", 0, INT64_MAX - 1, &seed);
    plan->seed = (uint64_t)seed;
    return status;
}

/* ---- Which items -------------------------------------------------------------------- */

struct collection {
    struct cli *cli;
    int64_t *ids;
    size_t count;
    int status;
};

static void collection_ask(struct collection *self, const char *cursor);

static void collection_take(void *arg, const struct pygmy_reply *reply)
{
    struct collection *self = arg;
    if (reply->code != 0) {
        self->status = cli_refused(self->cli, reply);
        loop_end_now(self->cli->loop_end);
        return;
    }
    const json_t *items = json_object_get(reply->body, "items");
    self->ids =
        alloc_resize(self->ids, (self->count + json_array_size(items) + 1) * sizeof *self->ids);
    size_t i;
    json_t *item;
    json_array_foreach(items, i, item)
    {
        self->ids[self->count++] = cli_integer(item, "id");
    }
    const char *next = json_string_value(json_object_get(reply->body, "next"));
    if (next != NULL && self->count < BENCH_ITEMS_MAX)
        collection_ask(self, next);
    else
        loop_end_now(self->cli->loop_end);
}

static void collection_ask(struct collection *self, const char *cursor)
{
    pygmy_search(self->cli->store, &(struct pygmy_search){.cursor = cursor, .limit = PAGE_MAX},
                 collection_take, self);
}

/* The ids of the catalog, in rising order. */
static int bench_collect(struct cli *cli, struct bench_plan *plan, int64_t **ids)
{
    struct collection collection = {.cli = cli};
    collection_ask(&collection, NULL);
    int status = cli_run(cli);
    if (status == EXIT_DONE)
        status = collection.status;
    *ids = collection.ids;
    plan->ids = collection.ids;
    plan->item_count = collection.count;
    if (status == EXIT_DONE && collection.count == 0) {
        cli_error(cli, "the catalog is empty; name ids with --ids, or import some items");
        status = EXIT_REFUSED;
    }
    return status;
}

/* ---- The result ---------------------------------------------------------------------- */

static const struct {
    const char *name;
    double percent;
} bench_percentiles[] = {{"p50", 50}, {"p90", 90}, {"p99", 99}, {"p99.9", 99.9}, {"max", 100}};
#define PERCENTILES (sizeof bench_percentiles / sizeof *bench_percentiles)

static double bench_rate(const struct bench_result *result, enum bench_operation operation)
{
    double count = (double)result->latency[operation].count;
    return result->seconds > 0 ? count / result->seconds : 0;
}

static json_t *bench_operation_json(const struct bench_result *result,
                                    enum bench_operation operation)
{
    const struct histogram *latency = &result->latency[operation];
    json_t *times = json_pack("{sf}", "mean", histogram_mean(latency) / US_PER_MS);
    for (size_t i = 0; i < PERCENTILES; i++) {
        int64_t us = histogram_percentile(latency, bench_percentiles[i].percent);
        json_object_set_new(times, bench_percentiles[i].name, json_real((double)us / US_PER_MS));
    }
    return json_pack("{sI sI sf so}", "count", (json_int_t)latency->count, "ok",
                     (json_int_t)result->done[operation], "per_second",
                     bench_rate(result, operation), "latency_ms", times);
}

static void bench_print_json(const struct cli *cli, const struct bench_plan *plan,
                             const struct bench_result *result)
{
    json_t *operations = json_object();
    for (int i = 0; i < BENCH_OPERATIONS; i++)
        if (result->latency[i].count > 0)
            json_object_set_new(operations, bench_operation_names[i],
                                bench_operation_json(result, (enum bench_operation)i));
    json_t *all = json_pack("{ss ss so so sI sf sf sf so sO sO}", "bench", plan->name, "loop",
                            plan->rate > 0 ? "open" : "closed", "rate",
                            plan->rate > 0 ? json_real(plan->rate) : json_null(), "in_flight",
                            plan->rate > 0 ? json_null() : json_integer(plan->in_flight), "items",
                            (json_int_t)plan->item_count, "zipf", plan->zipf, "seconds",
                            result->seconds, "cpu_seconds", result->cpu_seconds, "operations",
                            operations, "refused", result->refused, "errors", result->errors);
    if (plan->cached)
        json_object_set_new(all, "from_memory", json_integer((json_int_t)result->from_memory));
    cli_print_json(cli, all);
    json_decref(all);
}

static void bench_cell(struct table *table, double value, int digits)
{
    char text[64];
    snprintf(text, sizeof text, "%.*f", digits, value);
    table_text(table, text);
}

static void bench_print_table(const struct cli *cli, const struct bench_result *result)
{
    static const struct table_column columns[] = {
        {"OPERATION", false}, {"COUNT", true}, {"PER SECOND", true},
        {"MEAN MS", true},    {"P50", true},   {"P90", true},
        {"P99", true},        {"P99.9", true}, {"MAX", true}};
    struct table *table = table_new(columns, sizeof columns / sizeof *columns);
    for (int i = 0; i < BENCH_OPERATIONS; i++) {
        const struct histogram *latency = &result->latency[i];
        if (latency->count == 0)
            continue;
        table_text(table, bench_operation_names[i]);
        table_number(table, (int64_t)latency->count);
        bench_cell(table, bench_rate(result, (enum bench_operation)i), 0);
        bench_cell(table, histogram_mean(latency) / US_PER_MS, 3);
        for (size_t j = 0; j < PERCENTILES; j++)
            bench_cell(
                table,
                (double)histogram_percentile(latency, bench_percentiles[j].percent) / US_PER_MS, 3);
    }
    cli_print_table(cli, table);
    table_destroy(&table);
}

static void bench_print_types(const char *what, json_t *counts)
{
    const char *type;
    json_t *count;
    json_object_foreach(counts, type, count)
    {
        printf("%s  %s  %" JSON_INTEGER_FORMAT "\n", what, type, json_integer_value(count));
    }
}

static void bench_print(const struct cli *cli, const struct bench_plan *plan,
                        const struct bench_result *result)
{
    if (cli->json) {
        bench_print_json(cli, plan, result);
        return;
    }
    if (!cli->plain && plan->rate > 0)
        printf("%s, open loop, %g a second, %zu items, %.1f s\n\n", plan->name, plan->rate,
               plan->item_count, result->seconds);
    else if (!cli->plain)
        printf("%s, closed loop, %" PRId64 " in flight, %zu items, %.1f s\n\n", plan->name,
               plan->in_flight, plan->item_count, result->seconds);
    bench_print_table(cli, result);
    if (!cli->plain) {
        if (plan->cached)
            printf("from memory  %" PRIu64 "\n", result->from_memory);
        bench_print_types("refused", result->refused);
        bench_print_types("error", result->errors);
    }
}

/* ---- The verb ------------------------------------------------------------------------- */

static int bench_measure_and_print(struct cli *cli, const struct bench_plan *plan)
{
    struct bench_result result;
    int status = bench_run(cli, plan, &result);
    if (status == EXIT_DONE) {
        bench_print(cli, plan, &result);
        uint64_t answered = result.latency[BENCH_LOOKUP].count + result.latency[BENCH_BUY].count;
        if (answered == 0) {
            cli_error(cli, "nothing was answered");
            status = EXIT_UNANSWERED;
        }
    }
    bench_result_close(&result);
    return status;
}

static int bench_verb_run(struct cli *cli)
{
    struct bench_plan plan = {.in_flight = IN_FLIGHT,
                              .duration_ms = SECONDS_MS,
                              .warm_up_ms = WARM_UP_MS,
                              .progress = !cli->quiet && cli->err_is_tty};
    int64_t *ids = NULL;
    int status = bench_options(cli, &plan);
    if (plan.cached) {
        cli->cache_entries = BENCH_ITEMS_MAX;
        cli->cache_bytes = CACHED_BYTES;
    }
    if (status == EXIT_DONE)
        status = cli_open_loop(cli);
    if (status == EXIT_DONE && plan.item_count == 0)
        status = bench_collect(cli, &plan, &ids);
    if (status == EXIT_DONE)
        status = bench_measure_and_print(cli, &plan);
    pygmy_close(&cli->store);
    free(ids);
    return status;
}

static const struct args_option bench_options_table[] = {
    {"in-flight", "N", "closed loop: requests under way at any time (16)"},
    {"rate", "R", "open loop: requests a second, latency from when each was due"},
    {"seconds", "TIME", "how long to measure (10)"},
    {"count", "N", "how many requests to measure, instead of a time"},
    {"warm-up", "TIME", "before it, not measured (1)"},
    {"ids", "FIRST-LAST", "the items to ask for; else all of the catalog"},
    {"zipf", "S", "popularity falls with rank to the power S; 0: all alike (0)"},
    {"cached", NULL, "keep what was looked up in memory, under a lease, and read it there"},
    {"writes", "PERCENT", "mix: share of buys (10)"},
    {"seed", "N", "of the choice of items (1)"},
    {0},
};

const struct verb verb_bench = {
    .name = "bench",
    .operands = "lookup|buy|mix",
    .summary = "measure lookups and buys under load",
    .examples = "  pygmy bench lookup --in-flight 64\n"
                "  pygmy bench lookup --cached --zipf 0.99\n"
                "  pygmy bench buy --seconds 30 --json\n"
                "  pygmy bench mix --writes 5 --rate 2000 --zipf 0.99\n",
    .notes = "buy and mix make real orders of one piece each, and take them from stock.\n"
             "Latencies are of what the store answered, its refusals (such as out-of-stock)\n"
             "included; requests without an answer are counted by type. In the open loop the\n"
             "latency counts from when a request was due, so waiting behind a slow one counts.\n"
             "Popularity: the lowest id is the most popular.\n"
             "With --cached this process holds a lease, for which it needs the cluster's secret.\n",
    .options = bench_options_table,
    .operand_min = 1,
    .operand_max = 1,
    .run = bench_verb_run,
};
