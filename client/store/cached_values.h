/* What the cache keeps, as bytes: items, or that there is none, and the lists of ids of topics; and
 * the keys of both. Pure.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_STORE_CACHED_VALUES_H
#define PYGMY_STORE_CACHED_VALUES_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "client/store/leased_cache.h"
#include "client/store/pygmy.h"

/* "item:" and an id. */
#define CACHED_KEY_BYTES 32
/* Write the key of an item into @text, and return where it begins. */
const char *cached_item_key(int64_t id, char *text);

/* The value of an answer to a lookup of @id, or to a question for the list of the topic @key: the
 * caller's to free(). NULL: it is none, for it failed, or another key goes with it. */
void *cached_item_value(const struct pygmy_reply *reply, int64_t id, size_t *size);
void *cached_list_value(const struct pygmy_reply *reply, const char *key, size_t *size);

/* What is in the value of an item, without a copy; and the body of the answer that it came from,
 * the caller's, without the log time. */
void cached_item_read(const struct leased_value *value, struct pygmy_cached *item);
json_t *cached_item_body(const struct pygmy_cached *item);

size_t cached_list_count(const struct leased_value *value);
int64_t cached_list_id(const struct leased_value *value, size_t place);

#endif
