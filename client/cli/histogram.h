/* A histogram of durations that knows its percentiles, in a fixed 35 KiB.
 *
 * Log-linear: each power of two is divided into HISTOGRAM_STEPS equal buckets,
 * so what is reported is at most 1/128 above what was measured, from one
 * microsecond to hours. Pure.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_CLI_HISTOGRAM_H
#define PYGMY_CLI_HISTOGRAM_H

#include <stdint.h>

#define HISTOGRAM_STEPS_LOG2 7
#define HISTOGRAM_STEPS      (1 << HISTOGRAM_STEPS_LOG2)
/* Powers of two above the first, exact, HISTOGRAM_STEPS values: up to 2^41 us, 25 days. */
#define HISTOGRAM_POWERS  34
#define HISTOGRAM_BUCKETS (HISTOGRAM_STEPS * (HISTOGRAM_POWERS + 1))

struct histogram {
    uint64_t count;
    int64_t sum_us;
    int64_t max_us; /* exact */
    uint64_t buckets[HISTOGRAM_BUCKETS];
};

/* {0} is an empty one. Negative durations count as 0, too long ones in the last bucket. */
void histogram_add(struct histogram *self, int64_t us);

/* The least duration such that the share @percent, 0 to 100, of all is not longer: the upper end of
 * its bucket, and never above the maximum. 0 when it is empty. */
int64_t histogram_percentile(const struct histogram *self, double percent);

/* 0 when it is empty. */
double histogram_mean(const struct histogram *self);

#endif
