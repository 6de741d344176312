/* See text.h.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "services/replica/text.h"

#include <assert.h>
#include <stdint.h>
#include <string.h>

struct text text_of(const char *string)
{
    return (struct text){string, strlen(string)};
}

bool text_equal(struct text one, struct text other)
{
    return one.size == other.size && (one.size == 0 || memcmp(one.data, other.data, one.size) == 0);
}

/* The code point at the beginning of @size bytes and its length in bytes; 0 when they don't begin
 * with one in its shortest form (RFC 3629). */
static size_t text_code_point(const uint8_t *data, size_t size, uint32_t *code)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t length = data[0] < 0x80             ? 1
                    : (data[0] & 0xe0) == 0xc0 ? 2
                    : (data[0] & 0xf0) == 0xe0 ? 3
                    : (data[0] & 0xf8) == 0xf0 ? 4
                                               : 0;
    if (length == 0 || length > size)
        return 0;
    *code = length == 1 ? data[0] : data[0] & (0x7fU >> length);
    for (size_t i = 1; i < length; i++) {
        if ((data[i] & 0xc0) != 0x80)
            return 0;
        *code = *code << 6 | (data[i] & 0x3fU);
    }
    bool surrogate = *code >= 0xd800 && *code <= 0xdfff;
    return *code < least[length] || *code > 0x10ffff || surrogate ? 0 : length;
}

bool text_plain(struct text self)
{
    const uint8_t *data = (const uint8_t *)self.data;
    size_t length;
    uint32_t code = 0;

    for (size_t i = 0; i < self.size; i += length) {
        length = text_code_point(data + i, self.size - i, &code);
        if (length == 0 || code < 0x20 || (code >= 0x7f && code <= 0x9f))
            return false;
    }
    return true;
}

struct text text_cut(struct text self, size_t size)
{
    if (self.size <= size)
        return self;
    while (size > 0 && ((uint8_t)self.data[size] & 0xc0) == 0x80)
        size--;
    return (struct text){self.data, size};
}

void text_copy(struct text self, char *buffer, size_t capacity)
{
    assert(self.size < capacity);
    if (self.size > 0)
        memcpy(buffer, self.data, self.size);
    buffer[self.size] = '\0';
}
