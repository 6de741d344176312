/* See log_tail.h.
 *
 * The entries stand in a ring of pointers whose size is a power of two, each at its index modulo
 * that size, so that neither end needs a place of its own to be remembered.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "services/replica/log_tail.h"

#include <assert.h>
#include <stdlib.h>

#include "broker/bus/alloc.h"

#define LOG_TAIL_SLOTS_MIN 64

struct log_tail {
    struct shared_entry **slots; /* each held; of those outside of first..last, no word is true */
    size_t slot_count;           /* a power of two */
    size_t count;                /* of the entries */
    replica_index last;
    size_t bytes; /* that they take */
};

struct log_tail *log_tail_new(replica_index last_index)
{
    struct log_tail *self = alloc_zero(sizeof *self);
    self->slot_count = LOG_TAIL_SLOTS_MIN;
    self->slots = alloc_zero(self->slot_count * sizeof *self->slots);
    self->last = last_index;
    return self;
}

void log_tail_destroy(struct log_tail **self_p)
{
    struct log_tail *self = *self_p;
    if (self == NULL)
        return;
    log_tail_reset(self, 0);
    free(self->slots);
    free(self);
    *self_p = NULL;
}

static struct shared_entry **tail_slot(const struct log_tail *self, replica_index index)
{
    return &self->slots[index & (self->slot_count - 1)];
}

/* What an entry takes: those without a command are bounded as well. */
static size_t tail_entry_bytes(const struct shared_entry *entry)
{
    return sizeof *entry + entry->entry.size;
}

static void tail_drop(struct log_tail *self, replica_index index)
{
    struct shared_entry **slot = tail_slot(self, index);
    assert(self->count > 0 && (*slot)->entry.index == index);
    self->bytes -= tail_entry_bytes(*slot);
    self->count--;
    shared_entry_release(slot);
}

void log_tail_reset(struct log_tail *self, replica_index last_index)
{
    log_tail_cut(self, log_tail_first(self));
    assert(self->count == 0 && self->bytes == 0);
    self->last = last_index;
}

static void tail_grow(struct log_tail *self)
{
    struct log_tail grown = *self;
    grown.slot_count = 2 * self->slot_count;
    grown.slots = alloc_zero(grown.slot_count * sizeof *grown.slots);
    for (replica_index index = log_tail_first(self); index <= self->last; index++)
        *tail_slot(&grown, index) = *tail_slot(self, index);
    free(self->slots);
    *self = grown;
}

void log_tail_append(struct log_tail *self, struct shared_entry *entry)
{
    assert(entry->entry.index == self->last + 1);
    if (self->count == self->slot_count)
        tail_grow(self);
    self->last++;
    self->count++;
    self->bytes += tail_entry_bytes(entry);
    *tail_slot(self, self->last) = shared_entry_hold(entry);
}

void log_tail_cut(struct log_tail *self, replica_index index)
{
    assert(index >= 1 && index <= self->last + 1);
    while (self->count > 0 && self->last >= index) {
        tail_drop(self, self->last);
        self->last--;
    }
    /* The tail may begin behind the cut; the log then ends before it. */
    self->last = index - 1;
}

void log_tail_trim(struct log_tail *self, replica_index floor, size_t bytes_max)
{
    while (self->count > 0 && self->bytes > bytes_max && log_tail_first(self) <= floor)
        tail_drop(self, log_tail_first(self));
}

struct shared_entry *log_tail_entry(const struct log_tail *self, replica_index index)
{
    if (index < log_tail_first(self) || index > self->last)
        return NULL;
    struct shared_entry *entry = *tail_slot(self, index);
    assert(entry->entry.index == index);
    return entry;
}

replica_index log_tail_first(const struct log_tail *self)
{
    return self->last - self->count + 1;
}

replica_index log_tail_last(const struct log_tail *self)
{
    return self->last;
}
