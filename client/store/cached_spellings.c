/* See cached_spellings.h.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "client/store/cached_spellings.h"

#include <czmq.h>

#include "broker/bus/alloc.h"
#include "broker/bus/limits.h"
#include "client/store/leased_key.h"

struct spelling {
    struct leased_key topic; /* its text stands in `text` */
    char *key;               /* there, too */
    char text[];
};

struct cached_spellings {
    zhashx_t *table; /* by topic; owns them */
    uint64_t hash_seed;
    uint64_t term;
};

static void spelling_free(void **item)
{
    free(*item);
    *item = NULL;
}

struct cached_spellings *cached_spellings_new(uint64_t hash_seed)
{
    struct cached_spellings *self = alloc_zero(sizeof *self);
    self->table = leased_key_table_new();
    zhashx_set_destructor(self->table, spelling_free);
    self->hash_seed = hash_seed;
    return self;
}

void cached_spellings_destroy(struct cached_spellings **self_p)
{
    struct cached_spellings *self = *self_p;
    if (self == NULL)
        return;
    zhashx_destroy(&self->table);
    free(self);
    *self_p = NULL;
}

const char *cached_spellings_find(const struct cached_spellings *self, uint64_t term,
                                  const char *topic)
{
    const struct leased_key key = leased_key_of(self->hash_seed, topic);
    const struct spelling *found = self->term == term ? zhashx_lookup(self->table, &key) : NULL;
    return found != NULL ? found->key : NULL;
}

static struct spelling *spelling_new(const struct leased_key *topic, const char *key)
{
    const size_t key_bytes = strlen(key) + 1;
    struct spelling *self = alloc_zero(sizeof *self + topic->size + 1 + key_bytes);
    memcpy(self->text, topic->text, topic->size);
    self->topic = (struct leased_key){topic->hash, topic->size, self->text};
    self->key = self->text + topic->size + 1;
    memcpy(self->key, key, key_bytes);
    return self;
}

void cached_spellings_learn(struct cached_spellings *self, uint64_t term, const char *topic,
                            const char *key)
{
    const struct leased_key hashed = leased_key_of(self->hash_seed, topic);
    if (self->term != term || zhashx_size(self->table) == CACHE_SPELLINGS_MAX)
        zhashx_purge(self->table);
    self->term = term;
    zhashx_delete(self->table, &hashed);
    struct spelling *spelling = spelling_new(&hashed, key);
    (void)zhashx_insert(self->table, &spelling->topic, spelling);
}
