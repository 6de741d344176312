/* What a leased cache holds: values by key, within a bound of entries and one of bytes. At either,
 * what was not taken or put for longest goes. It knows nothing of leases.
 *
 * Invariants
 *   E1  entries and bytes are within their bounds at any time.
 *   E2  the list, newest first, has what the table has; `bytes` is the sum over it.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_STORE_LEASED_ENTRIES_H
#define PYGMY_STORE_LEASED_ENTRIES_H

#include "client/store/leased_key.h"

struct leased_entries;

/* A place in a ring, from the newest entry to the oldest, which the owner's own closes. */
struct leased_place {
    struct leased_place *newer, *older;
};

struct leased_entry {
    struct leased_place place; /* the first, so that it leads to the entry */
    struct leased_key key;     /* its text stands in `bytes` */
    uint64_t epoch;            /* when it was put */
    const void *data;          /* in `bytes`, too */
    size_t size;
    char bytes[];
};

/* @bytes_max  keys and values */
struct leased_entries *leased_entries_new(size_t entries_max, size_t bytes_max);
/* Accepts NULL. */
void leased_entries_destroy(struct leased_entries **self_p);

/* The entry of @key, the newest from now on; NULL: there is none. Valid until something is put or
 * removed. */
const struct leased_entry *leased_entries_take(struct leased_entries *self,
                                               const struct leased_key *key);
/* Put a copy in, instead of what is there under @key. Returns how many others had to go; or, of
 * what is too large by itself and not put, SIZE_MAX. */
size_t leased_entries_put(struct leased_entries *self, const struct leased_key *key, uint64_t epoch,
                          const void *data, size_t size);
/* Returns whether it was there. */
bool leased_entries_remove(struct leased_entries *self, const struct leased_key *key);
void leased_entries_clear(struct leased_entries *self);

size_t leased_entries_count(const struct leased_entries *self);
size_t leased_entries_bytes(const struct leased_entries *self);

#endif
