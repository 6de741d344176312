/* A log-linear histogram.
 *
 * Bucket i below HISTOGRAM_STEPS holds the value i. Above, with the value's
 * highest bit b, power = b - HISTOGRAM_STEPS_LOG2 and the STEPS_LOG2 bits below
 * the highest one are the place within the power.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "client/cli/histogram.h"

#include <assert.h>
#include <math.h>
#include <stddef.h>

static size_t histogram_bucket(int64_t us)
{
    uint64_t value = (uint64_t)us;
    if (value < HISTOGRAM_STEPS)
        return (size_t)value;
    int power = 63 - __builtin_clzll(value) - HISTOGRAM_STEPS_LOG2;
    size_t bucket =
        (size_t)(power + 1) * HISTOGRAM_STEPS + (size_t)((value >> power) - HISTOGRAM_STEPS);
    return bucket < HISTOGRAM_BUCKETS ? bucket : HISTOGRAM_BUCKETS - 1;
}

/* The greatest value of a bucket. */
static int64_t histogram_upper(size_t bucket)
{
    if (bucket < HISTOGRAM_STEPS)
        return (int64_t)bucket;
    size_t power = bucket / HISTOGRAM_STEPS - 1;
    uint64_t place = HISTOGRAM_STEPS + bucket % HISTOGRAM_STEPS;
    return (int64_t)(((place + 1) << power) - 1);
}

void histogram_add(struct histogram *self, int64_t us)
{
    if (us < 0)
        us = 0;
    self->count++;
    self->sum_us += us;
    if (us > self->max_us)
        self->max_us = us;
    self->buckets[histogram_bucket(us)]++;
}

int64_t histogram_percentile(const struct histogram *self, double percent)
{
    assert(percent >= 0 && percent <= 100);
    uint64_t wanted = (uint64_t)ceil((double)self->count * percent / 100);
    uint64_t seen = 0;
    for (size_t i = 0; i < HISTOGRAM_BUCKETS && self->count > 0; i++) {
        seen += self->buckets[i];
        if (self->buckets[i] == 0 || seen < wanted)
            continue;
        int64_t upper = histogram_upper(i);
        /* The last bucket has no upper end. */
        return upper < self->max_us && i < HISTOGRAM_BUCKETS - 1 ? upper : self->max_us;
    }
    return self->max_us;
}

double histogram_mean(const struct histogram *self)
{
    return self->count > 0 ? (double)self->sum_us / (double)self->count : 0;
}
