/* Idempotency keys: 1 to KEY_BYTES_MAX visible ASCII characters (0x21 to 0x7e).
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_BUS_KEY_H
#define PYGMY_BUS_KEY_H

#include <stdbool.h>
#include <stddef.h>

#define KEY_TEXT_BYTES 33 /* 32 hexadecimal digits and a NUL */

/* Whether @key is a key. */
bool key_valid(const char *key, size_t size);

/* Write a new key of 128 random bits (getrandom(2)) into @text, KEY_TEXT_BYTES long. */
void key_make(char *text);

/* Compare two secrets in a time that depends on their lengths only. */
bool key_secret_equal(const char *one, const char *other);

#endif
