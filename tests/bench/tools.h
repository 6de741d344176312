/* What the benchmarks share: children, endpoints, and figures of several rounds.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_BENCH_TOOLS_H
#define PYGMY_BENCH_TOOLS_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define ROUNDS_DEFAULT 5
#define ROUNDS_MAX     99
#define ENDPOINT_BYTES 64

/* The arguments of each: [--json] [ROUNDS]. False when they are others: @program has then said how
 * it is used. */
bool bench_options(const char *program, int argc, char **argv, bool *json, size_t *rounds);

/* One value of each round. */
struct spread {
    double median, least, most;
};
struct spread spread_of(const double *values, size_t count);
/* Of the ratios within each round. */
struct spread spread_of_ratios(const double *values, const double *beside, size_t count);
json_t *spread_json(struct spread spread);

/* fork(), with a child that ends with us. No context may be open: its threads would not come along. */
pid_t child_new(void);
/* Kill it; 0 is nobody. */
void child_end(pid_t pid);

/* An endpoint that is free at the moment. */
void endpoint_choose(void *context, char endpoint[ENDPOINT_BYTES]);

#endif
