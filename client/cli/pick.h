/* Which item a load generator asks for next: evenly, or by Zipf's law.
 *
 * Pure: the numbers follow from the seed alone.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_CLI_PICK_H
#define PYGMY_CLI_PICK_H

#include <stddef.h>
#include <stdint.h>

struct pick;

/* A choice among @count things, 1 or more. @exponent 0: all alike; else the thing at rank r (from
 * 1) comes in proportion to 1 / r^exponent. */
struct pick *pick_new(size_t count, double exponent, uint64_t seed);
/* Accepts NULL. */
void pick_destroy(struct pick **self_p);

/* The next one, 0 to count - 1: the one at 0 is the most frequent. */
size_t pick_next(struct pick *self);

/* A number from 0 to less than 1. */
double pick_real(struct pick *self);

#endif
