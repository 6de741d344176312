/* See leased_key.h.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "client/store/leased_key.h"

/* FNV-1a from a secret start, mixed at the end. */
struct leased_key leased_key_of(uint64_t seed, const char *text)
{
    uint64_t hash = seed ^ 0xcbf29ce484222325u;
    const char *at = text;
    for (; *at != '\0'; at++)
        hash = (hash ^ (uint8_t)*at) * 0x100000001b3u;
    hash ^= hash >> 32;
    hash *= seed | 1;
    return (struct leased_key){(size_t)(hash >> 32), (size_t)(at - text), text};
}

static size_t leased_key_hash(const void *key)
{
    return ((const struct leased_key *)key)->hash;
}

static int leased_key_compare(const void *one_key, const void *other_key)
{
    const struct leased_key *one = one_key, *other = other_key;
    if (one->hash != other->hash || one->size != other->size)
        return 1;
    return memcmp(one->text, other->text, one->size);
}

zhashx_t *leased_key_table_new(void)
{
    zhashx_t *self = zhashx_new();
    zhashx_set_key_duplicator(self, NULL);
    zhashx_set_key_destructor(self, NULL);
    zhashx_set_key_hasher(self, leased_key_hash);
    zhashx_set_key_comparator(self, leased_key_compare);
    return self;
}
