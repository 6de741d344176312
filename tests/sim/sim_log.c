/* See sim_log.h.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/sim_log.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "broker/bus/alloc.h"

void sim_log_init(struct sim_log *self, replica_index first)
{
    memset(self, 0, sizeof *self);
    self->first = first;
}

static void cut_end(struct sim_log *self, size_t count)
{
    while (self->count > count)
        shared_entry_release(&self->entries[--self->count]);
}

void sim_log_close(struct sim_log *self)
{
    cut_end(self, 0);
    free(self->entries);
    sim_log_init(self, 1);
}

static void append(struct sim_log *self, struct shared_entry *entry)
{
    if (self->count == self->capacity) {
        self->capacity = self->capacity == 0 ? 64 : 2 * self->capacity;
        self->entries = alloc_resize(self->entries, self->capacity * sizeof *self->entries);
    }
    self->entries[self->count++] = shared_entry_hold(entry);
}

void sim_log_copy(struct sim_log *self, const struct sim_log *from)
{
    sim_log_reset(self, from->first);
    for (size_t i = 0; i < from->count; i++)
        append(self, from->entries[i]);
}

replica_index sim_log_last(const struct sim_log *self)
{
    return self->first + self->count - 1;
}

struct shared_entry *sim_log_entry(const struct sim_log *self, replica_index index)
{
    if (index < self->first || index > sim_log_last(self))
        return NULL;
    return self->entries[index - self->first];
}

void sim_log_write(struct sim_log *self, struct shared_entry *const *entries, size_t count)
{
    replica_index index = entries[0]->entry.index;

    assert(index >= self->first);
    assert(index <= sim_log_last(self) + 1);
    cut_end(self, index - self->first);
    for (size_t i = 0; i < count; i++) {
        assert(entries[i]->entry.index == index + i);
        append(self, entries[i]);
    }
}

void sim_log_cut(struct sim_log *self, replica_index first)
{
    size_t cut;

    if (first <= self->first)
        return;
    cut = first - self->first;
    assert(cut <= self->count);
    for (size_t i = 0; i < cut; i++)
        shared_entry_release(&self->entries[i]);
    self->count -= cut;
    memmove(self->entries, self->entries + cut, self->count * sizeof *self->entries);
    self->first = first;
}

void sim_log_reset(struct sim_log *self, replica_index first)
{
    cut_end(self, 0);
    self->first = first;
}
