/* A key of the leased cache with its hash, and tables by such keys.
 *
 * Anybody who may ask for an item chooses keys, so the hash begins with a secret.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_STORE_LEASED_KEY_H
#define PYGMY_STORE_LEASED_KEY_H

#include <czmq.h>

struct leased_key {
    size_t hash;
    size_t size;      /* of the text, without its NUL */
    const char *text; /* borrowed */
};

struct leased_key leased_key_of(uint64_t seed, const char *text);

/* A table whose keys are struct leased_key *, borrowed, and stand within the values as a rule. Its
 * user sets a destructor if it is to own the values. */
zhashx_t *leased_key_table_new(void);

#endif
