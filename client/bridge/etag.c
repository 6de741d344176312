/* See etag.h.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "client/bridge/etag.h"

#include <string.h>

#include "client/bridge/params.h"

static bool etag_is_any(const char *value, size_t len)
{
    return len == 1 && value[0] == '*';
}

bool etag_matches(const char *value, size_t len, const char *etag)
{
    size_t etag_len = strlen(etag);
    size_t at = 0;

    if (etag_is_any(value, len))
        return true;
    while (at < len) {
        while (at < len && (value[at] == ' ' || value[at] == '\t' || value[at] == ','))
            at++;
        if (len - at >= 2 && value[at] == 'W' && value[at + 1] == '/')
            at += 2;
        if (at == len || value[at] != '"')
            return false;
        const char *end = memchr(value + at + 1, '"', len - at - 1);
        if (end == NULL)
            return false;
        size_t tag_len = (size_t)(end - (value + at)) + 1;
        if (tag_len == etag_len && memcmp(value + at, etag, etag_len) == 0)
            return true;
        at += tag_len;
    }
    return false;
}

enum etag_demand etag_demanded(const char *value, size_t len, int64_t *version)
{
    char digits[24];

    if (etag_is_any(value, len))
        return ETAG_ANY;
    if (len < 3 || len - 2 >= sizeof digits || value[0] != '"' || value[len - 1] != '"')
        return ETAG_NONE;
    memcpy(digits, value + 1, len - 2);
    digits[len - 2] = '\0';
    /* A NUL among the digits would end them early; it can't come this far, and would not match. */
    return params_number(digits, 1, INT64_MAX, version) ? ETAG_VERSION : ETAG_NONE;
}
