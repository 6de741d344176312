/* Evenly, or by Zipf's law: a table of cumulated weights and a binary search.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "client/cli/pick.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>

#include "broker/bus/alloc.h"

struct pick {
    size_t count;
    double *sums; /* weights of ranks up to and with this one; NULL: all alike */
    uint64_t state;
};

struct pick *pick_new(size_t count, double exponent, uint64_t seed)
{
    assert(count > 0 && exponent >= 0);
    struct pick *self = alloc_zero(sizeof *self);
    self->count = count;
    self->state = seed;
    if (exponent > 0) {
        double sum = 0;
        self->sums = alloc_zero(count * sizeof *self->sums);
        for (size_t i = 0; i < count; i++)
            self->sums[i] = sum += pow((double)(i + 1), -exponent);
    }
    return self;
}

void pick_destroy(struct pick **self_p)
{
    struct pick *self = *self_p;
    if (self == NULL)
        return;
    free(self->sums);
    free(self);
    *self_p = NULL;
}

/* SplitMix64: one addition and three mixes for 64 good bits. */
static uint64_t pick_bits(struct pick *self)
{
    uint64_t bits = self->state += 0x9e3779b97f4a7c15u;
    bits = (bits ^ bits >> 30) * 0xbf58476d1ce4e5b9u;
    bits = (bits ^ bits >> 27) * 0x94d049bb133111ebu;
    return bits ^ bits >> 31;
}

double pick_real(struct pick *self)
{
    return (double)(pick_bits(self) >> 11) * 0x1p-53;
}

size_t pick_next(struct pick *self)
{
    if (self->sums == NULL)
        return (size_t)(pick_real(self) * (double)self->count);
    double wanted = pick_real(self) * self->sums[self->count - 1];
    size_t low = 0;
    size_t high = self->count - 1;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (self->sums[middle] > wanted)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}
