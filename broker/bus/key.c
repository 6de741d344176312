/* See key.h.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/bus/key.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "broker/bus/limits.h"

bool key_valid(const char *key, size_t size)
{
    if (size < 1 || size > KEY_BYTES_MAX)
        return false;
    for (size_t i = 0; i < size; i++)
        if (key[i] < 0x21 || key[i] > 0x7e)
            return false;
    return true;
}

void key_make(char *text)
{
    static const char digits[] = "0123456789abcdef";
    uint8_t random[(KEY_TEXT_BYTES - 1) / 2];
    ssize_t got;

    /* Up to 256 bytes come whole (getrandom(2)); only the wait for the first entropy after boot can
     * be interrupted. */
    do
        got = getrandom(random, sizeof random, 0);
    while (got < 0 && errno == EINTR);
    if (got != (ssize_t)sizeof random) {
        fputs("no random numbers\n", stderr);
        abort();
    }
    for (size_t i = 0; i < sizeof random; i++) {
        text[2 * i] = digits[random[i] >> 4];
        text[2 * i + 1] = digits[random[i] & 15];
    }
    text[KEY_TEXT_BYTES - 1] = '\0';
}

bool key_secret_equal(const char *one, const char *other)
{
    size_t one_len = strlen(one);
    size_t other_len = strlen(other);
    unsigned difference = one_len != other_len;

    /* All of @other is looked at, whatever was found before. */
    for (size_t i = 0; i < other_len && one_len > 0; i++)
        difference |= (unsigned char)(one[i % one_len] ^ other[i]);
    return difference == 0;
}
