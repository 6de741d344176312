/* Text of others, made fit for a terminal.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#define _XOPEN_SOURCE 700 /* wcwidth(3) */
#include "client/cli/text.h"

#include <string.h>
#include <wchar.h>

#include "broker/bus/alloc.h"

size_t text_utf8_next(const uint8_t *data, size_t size, uint32_t *point)
{
    /* The least code point that takes so many bytes: anything lower is overlong. */
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    if (size == 0)
        return 0;
    uint8_t head = data[0];
    if (head < 0x80) {
        *point = head;
        return 1;
    }
    size_t len = head >= 0xf0 && head < 0xf8   ? 4
                 : head >= 0xe0 && head < 0xf0 ? 3
                 : head >= 0xc0 && head < 0xe0 ? 2
                                               : 0;
    if (len == 0 || len > size)
        return 0;
    uint32_t value = head & (0x7fu >> len);
    for (size_t i = 1; i < len; i++) {
        if ((data[i] & 0xc0) != 0x80)
            return 0;
        value = value << 6 | (data[i] & 0x3f);
    }
    if (value < least[len] || value > 0x10ffff || (value >= 0xd800 && value <= 0xdfff))
        return 0;
    *point = value;
    return len;
}

static bool text_is_control(uint32_t point)
{
    return point < 0x20 || (point >= 0x7f && point < 0xa0);
}

bool text_has_controls(const char *text)
{
    size_t size = strlen(text);
    for (size_t i = 0, len; i < size; i += len) {
        uint32_t point = 0;
        len = text_utf8_next((const uint8_t *)text + i, size - i, &point);
        if (len == 0 || text_is_control(point))
            return true;
    }
    return false;
}

static bool text_is_reordering(uint32_t point)
{
    return point == 0x61c || point == 0x200e || point == 0x200f ||
           (point >= 0x202a && point <= 0x202e) || (point >= 0x2066 && point <= 0x2069);
}

char *text_clean(const char *text)
{
    size_t size = strlen(text);
    char *clean = alloc_zero(size + 1);
    size_t used = 0;
    bool in_controls = false;
    for (size_t i = 0, len; i < size; i += len) {
        uint32_t point = '?';
        len = text_utf8_next((const uint8_t *)text + i, size - i, &point);
        bool broken = len == 0;
        bool separator = point == 0x2028 || point == 0x2029;
        bool control = !broken && (text_is_control(point) || separator);
        if (broken)
            len = 1;
        if (broken || (control && !in_controls)) {
            clean[used++] = broken ? '?' : ' ';
        } else if (!control && !text_is_reordering(point)) {
            memcpy(clean + used, text + i, len);
            used += len;
        }
        in_controls = control;
    }
    return clean;
}

size_t text_width(const char *text)
{
    size_t size = strlen(text);
    size_t width = 0;
    for (size_t i = 0; i < size;) {
        uint32_t point = '?';
        size_t len = text_utf8_next((const uint8_t *)text + i, size - i, &point);
        /* Needs a UTF-8 locale (cli_main sets one); what it can't tell counts as one. */
        int columns = wcwidth((wchar_t)point);
        width += columns >= 0 ? (size_t)columns : 1;
        i += len > 0 ? len : 1;
    }
    return width;
}
