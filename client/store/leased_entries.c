/* See leased_entries.h. An entry is one allocation: the table's key, the text and the value are in
 * it.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "client/store/leased_entries.h"

#include <assert.h>

#include "broker/bus/alloc.h"

struct leased_entries {
    zhashx_t *table;
    struct leased_place mark; /* newer: the oldest one; older: the newest one */
    size_t entries_max;
    size_t bytes_max;
    size_t bytes;
};

static void entry_free(void **entry_p)
{
    free(*entry_p);
    *entry_p = NULL;
}

struct leased_entries *leased_entries_new(size_t entries_max, size_t bytes_max)
{
    struct leased_entries *self = alloc_zero(sizeof *self);
    self->table = leased_key_table_new();
    zhashx_set_destructor(self->table, entry_free);
    self->mark.newer = self->mark.older = &self->mark;
    self->entries_max = entries_max;
    self->bytes_max = bytes_max;
    return self;
}

void leased_entries_destroy(struct leased_entries **self_p)
{
    struct leased_entries *self = *self_p;
    if (self == NULL)
        return;
    zhashx_destroy(&self->table);
    free(self);
    *self_p = NULL;
}

static void place_unlink(struct leased_place *self)
{
    self->newer->older = self->older;
    self->older->newer = self->newer;
}

static void place_link_newest(struct leased_place *self, struct leased_place *mark)
{
    self->newer = mark;
    self->older = mark->older;
    self->older->newer = self;
    mark->older = self;
}

static struct leased_entry *entries_oldest(const struct leased_entries *self)
{
    return (struct leased_entry *)self->mark.newer;
}

const struct leased_entry *leased_entries_take(struct leased_entries *self,
                                               const struct leased_key *key)
{
    struct leased_entry *entry = zhashx_lookup(self->table, key);
    if (entry == NULL)
        return NULL;
    place_unlink(&entry->place);
    place_link_newest(&entry->place, &self->mark);
    return entry;
}

static size_t entry_cost(const struct leased_entry *self)
{
    return self->key.size + self->size;
}

static void entries_forget(struct leased_entries *self, struct leased_entry *entry)
{
    place_unlink(&entry->place);
    assert(self->bytes >= entry_cost(entry));
    self->bytes -= entry_cost(entry);
    zhashx_delete(self->table, &entry->key);
}

static struct leased_entry *entry_new(const struct leased_key *key, uint64_t epoch,
                                      const void *data, size_t size)
{
    struct leased_entry *self = alloc_zero(sizeof *self + key->size + 1 + size);
    memcpy(self->bytes, key->text, key->size);
    if (size > 0)
        memcpy(self->bytes + key->size + 1, data, size);
    self->key = (struct leased_key){key->hash, key->size, self->bytes};
    self->epoch = epoch;
    self->data = self->bytes + key->size + 1;
    self->size = size;
    return self;
}

size_t leased_entries_put(struct leased_entries *self, const struct leased_key *key, uint64_t epoch,
                          const void *data, size_t size)
{
    size_t gone = 0;
    (void)leased_entries_remove(self, key);
    if (self->entries_max == 0 || key->size > self->bytes_max || size > self->bytes_max - key->size)
        return SIZE_MAX;
    const size_t room = self->bytes_max - key->size - size;
    while (zhashx_size(self->table) >= self->entries_max || self->bytes > room) {
        assert(self->mark.newer != &self->mark);
        entries_forget(self, entries_oldest(self));
        gone++;
    }
    struct leased_entry *entry = entry_new(key, epoch, data, size);
    (void)zhashx_insert(self->table, &entry->key, entry);
    place_link_newest(&entry->place, &self->mark);
    self->bytes += entry_cost(entry);
    assert(self->bytes <= self->bytes_max);
    return gone;
}

bool leased_entries_remove(struct leased_entries *self, const struct leased_key *key)
{
    struct leased_entry *entry = zhashx_lookup(self->table, key);
    if (entry == NULL)
        return false;
    entries_forget(self, entry);
    return true;
}

void leased_entries_clear(struct leased_entries *self)
{
    zhashx_purge(self->table);
    self->mark.newer = self->mark.older = &self->mark;
    self->bytes = 0;
}

size_t leased_entries_count(const struct leased_entries *self)
{
    return zhashx_size(self->table);
}

size_t leased_entries_bytes(const struct leased_entries *self)
{
    return self->bytes;
}
