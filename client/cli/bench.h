/* A load on the store, measured: closed loop or open.
 *
 * Closed: so many requests are under way at any time, each answer starts the
 * next, and latency counts from the sending. Open: requests are due at a fixed
 * rate, and latency counts from when each was due, so that the ones that had to
 * wait behind a slow answer are measured with their wait.
 *
 * With a cache, what is in this process' memory is read there, without a call.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_CLI_BENCH_H
#define PYGMY_CLI_BENCH_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "client/cli/cli.h"
#include "client/cli/histogram.h"

enum bench_operation { BENCH_LOOKUP, BENCH_BUY, BENCH_OPERATIONS };

struct bench_plan {
    const char *name;    /* "lookup", "buy", "mix" */
    double write_share;  /* of buys, 0 to 1 */
    int64_t in_flight;   /* closed loop: requests under way */
    double rate;         /* open loop: requests a second; 0: closed */
    int64_t duration_ms; /* after the warm-up; 0: until @count */
    int64_t warm_up_ms;  /* not measured */
    int64_t count;       /* requests to measure; 0: until the duration has passed */
    const int64_t *ids;  /* of the items; NULL: first_id and on */
    int64_t first_id;
    size_t item_count;
    double zipf; /* exponent of the choice among them; 0: evenly */
    uint64_t seed;
    bool cached; /* the store was opened with a cache */
    bool progress;
};

struct bench_result {
    double seconds;                             /* measured */
    double cpu_seconds;                         /* of this process meanwhile, all its threads */
    uint64_t done[BENCH_OPERATIONS];            /* answered: sold, found */
    struct histogram latency[BENCH_OPERATIONS]; /* of what the store answered, refusals too */
    json_t *refused;                            /* by type: the store's own refusals */
    json_t *errors;                             /* by type: no answer, unknown outcome */
    uint64_t error_count;
    uint64_t from_memory; /* lookups that a cache answered */
};

/* Run a plan on cli->loop and cli->store, which is closed in the end. Returns 0 or an exit status;
 * @result is to be closed in any case. */
int bench_run(struct cli *cli, const struct bench_plan *plan, struct bench_result *result);
void bench_result_close(struct bench_result *self);

#endif
