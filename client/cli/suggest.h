/* "Did you mean": the nearest of some words.
 *
 * Pure.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_CLI_SUGGEST_H
#define PYGMY_CLI_SUGGEST_H

#include <stddef.h>

/* Words longer than this are not compared: nobody mistypes by accident at that length, and the
 * distance fits on the stack. */
#define SUGGEST_BYTES_MAX 64

/* How many characters must be inserted, removed, changed, or swapped with their neighbour to make
 * @one of @other; SUGGEST_BYTES_MAX when either is too long. */
size_t suggest_distance(const char *one, const char *other);

struct suggest {
    const char *typed;
    const char *best; /* the nearest word so far that is near enough, or NULL */
    size_t distance;  /* of it */
};

/* Begin: {.typed = what was typed}. Then offer the words one by one; of two as near the first is
 * kept. */
void suggest_offer(struct suggest *self, const char *word);

#endif
