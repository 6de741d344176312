/* Which key a spelling of a topic has: the leader's word, in one term. Another leader may fold case
 * otherwise, so all are forgotten with the term. Pure, bounded; at the bound it begins anew.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_STORE_CACHED_SPELLINGS_H
#define PYGMY_STORE_CACHED_SPELLINGS_H

#include <stdint.h>

struct cached_spellings;

/* The key of a topic whose list is too long to be told. */
#define CACHED_NO_KEY ""

/* @hash_seed  a secret: whoever asks chooses spellings */
struct cached_spellings *cached_spellings_new(uint64_t hash_seed);
/* Accepts NULL. */
void cached_spellings_destroy(struct cached_spellings **self_p);

/* The key of @topic in @term, valid until the next call; NULL: not known. */
const char *cached_spellings_find(const struct cached_spellings *self, uint64_t term,
                                  const char *topic);
/* The leader has told it in that term. */
void cached_spellings_learn(struct cached_spellings *self, uint64_t term, const char *topic,
                            const char *key);

#endif
