/* Numbers as people and files write them, read strictly: the whole text is the number, or it is
 * none.
 *
 * Pure.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_CLI_NUMBER_H
#define PYGMY_CLI_NUMBER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Room for what number_why() writes. */
#define NUMBER_WHY_BYTES 96

/* Read a whole number in decimal: an optional '-', then digits and nothing else (no blank, no '+',
 * no fraction, no exponent), from @min to @max. Returns whether it is one; @value is untouched
 * otherwise. */
bool number_read(const char *text, int64_t min, int64_t max, int64_t *value);

/* Write why number_read() refused @text into @why: "is not a whole number", "must be 1 to 100".
 * Returns @why. */
char *number_why(const char *text, int64_t min, int64_t max, char *why);

/* Read a number that may have a fraction ("0.99"), from @min to @max; no exponent. */
bool number_read_real(const char *text, double min, double max, double *value);

/* Read a duration: digits with an optional fraction and one of ms, s, m; without, seconds. From
 * @min_ms to @max_ms. */
bool number_read_duration(const char *text, int64_t min_ms, int64_t max_ms, int64_t *value_ms);

#endif
