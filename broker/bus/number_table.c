/* See number_table.h.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/bus/number_table.h"

#include <stdint.h>

/* czmq takes it modulo a prime, which is enough for numbers that are counted up. */
static size_t number_hash(const void *key)
{
    return (size_t) * (const uint64_t *)key;
}

static int number_compare(const void *one, const void *other)
{
    const uint64_t a = *(const uint64_t *)one, b = *(const uint64_t *)other;
    return (a > b) - (a < b);
}

zhashx_t *number_table_new(void)
{
    zhashx_t *self = zhashx_new();
    zhashx_set_key_duplicator(self, NULL);
    zhashx_set_key_destructor(self, NULL);
    zhashx_set_key_hasher(self, number_hash);
    zhashx_set_key_comparator(self, number_compare);
    return self;
}
