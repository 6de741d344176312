/* The indexes and terms of the log, see consensus_internal.h.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "services/replica/consensus_internal.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "broker/bus/alloc.h"

void consensus_terms_init(struct consensus_terms *self, replica_index first,
                          replica_index snapshot_index, replica_term snapshot_term)
{
    assert(first >= 1 && first <= snapshot_index + 1);
    *self = (struct consensus_terms){.first = first,
                                     .last = first - 1,
                                     .snapshot_index = snapshot_index,
                                     .snapshot_term = snapshot_term};
}

void consensus_terms_close(struct consensus_terms *self)
{
    free(self->runs);
    *self = (struct consensus_terms){0};
}

void consensus_terms_append(struct consensus_terms *self, replica_term term)
{
    const struct consensus_run *last = self->runs + self->run_count;

    self->last++;
    if (self->run_count > 0) {
        assert(term >= last[-1].term);
        if (term == last[-1].term)
            return;
    }
    if (self->run_count == self->run_capacity) {
        self->run_capacity = self->run_capacity == 0 ? 16 : 2 * self->run_capacity;
        self->runs = alloc_resize(self->runs, self->run_capacity * sizeof *self->runs);
    }
    self->runs[self->run_count++] = (struct consensus_run){.first = self->last, .term = term};
}

void consensus_terms_cut(struct consensus_terms *self, replica_index index)
{
    assert(index >= self->first && index <= self->last);
    while (self->run_count > 0 && self->runs[self->run_count - 1].first >= index)
        self->run_count--;
    self->last = index - 1;
}

/* Take off the entries up to @index. */
static void terms_drop(struct consensus_terms *self, replica_index index)
{
    size_t gone = 0;

    while (gone + 1 < self->run_count && self->runs[gone + 1].first <= index + 1)
        gone++;
    if (index == self->last)
        gone = self->run_count;
    self->run_count -= gone;
    memmove(self->runs, self->runs + gone, self->run_count * sizeof *self->runs);
    self->first = index + 1;
    if (self->run_count > 0 && self->runs[0].first < self->first)
        self->runs[0].first = self->first;
}

void consensus_terms_snapshot(struct consensus_terms *self, replica_index index, unsigned trailing)
{
    const replica_term term = consensus_terms_of(self, index);

    assert(index > self->snapshot_index && index <= self->last && term != 0);
    if (index > trailing && index - trailing >= self->first)
        terms_drop(self, index - trailing);
    self->snapshot_index = index;
    self->snapshot_term = term;
}

void consensus_terms_restore(struct consensus_terms *self, replica_index index, replica_term term)
{
    self->first = index + 1;
    self->last = index;
    self->snapshot_index = index;
    self->snapshot_term = term;
    self->run_count = 0;
}

/* The run in which the entry at @index stands, or NULL. */
static const struct consensus_run *terms_run(const struct consensus_terms *self,
                                             replica_index index)
{
    size_t place = self->run_count;

    if (index < self->first || index > self->last)
        return NULL;
    /* From the end: it is the end that is asked for. */
    while (self->runs[place - 1].first > index)
        place--;
    return &self->runs[place - 1];
}

replica_term consensus_terms_of(const struct consensus_terms *self, replica_index index)
{
    const struct consensus_run *run = terms_run(self, index);

    if (run != NULL)
        return run->term;
    return index != 0 && index == self->snapshot_index ? self->snapshot_term : 0;
}

replica_index consensus_terms_first_of(const struct consensus_terms *self, replica_index index)
{
    const struct consensus_run *run = terms_run(self, index);

    return run != NULL ? run->first : 0;
}
