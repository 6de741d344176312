/* See since.h.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "client/cli/since.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "client/cli/number.h"
#include "client/store/pygmy.h"

#define NUMBER_BYTES 32

/* Read "catalog=1234", which is @len bytes long. */
static bool since_read_part(const char *part, size_t len, struct since_group *groups,
                            size_t group_count, char why[SINCE_WHY_BYTES])
{
    char number[NUMBER_BYTES];
    const size_t word_len = strcspn(part, "=,");
    for (size_t i = 0; i < group_count; i++) {
        struct since_group *group = &groups[i];
        if (word_len >= len || strlen(group->word) != word_len ||
            memcmp(group->word, part, word_len) != 0)
            continue;
        const int digits =
            snprintf(number, sizeof number, "%.*s", (int)(len - word_len - 1), part + word_len + 1);
        if (group->index == PYGMY_NOW && digits < NUMBER_BYTES &&
            number_read(number, 0, INT64_MAX - 1, &group->index))
            return true;
        snprintf(why, SINCE_WHY_BYTES, "wants one index from 0 on for %s", group->word);
        return false;
    }
    snprintf(why, SINCE_WHY_BYTES, "names no group that is watched: %s=INDEX", groups[0].word);
    return false;
}

bool since_read(const char *text, struct since_group *groups, size_t group_count,
                char why[SINCE_WHY_BYTES])
{
    if (strchr(text, '=') == NULL && group_count > 1) {
        snprintf(why, SINCE_WHY_BYTES, "does not say of which group: catalog=INDEX,orders=INDEX");
        return false;
    }
    if (strchr(text, '=') == NULL) {
        if (number_read(text, 0, INT64_MAX - 1, &groups[0].index))
            return true;
        snprintf(why, SINCE_WHY_BYTES, "is no index, a whole number from 0 on");
        return false;
    }
    for (;;) {
        const size_t len = strcspn(text, ",");
        if (!since_read_part(text, len, groups, group_count, why))
            return false;
        if (text[len] == '\0')
            return true;
        text += len + 1;
    }
}

char *since_write(const struct since_group *groups, size_t group_count, bool words,
                  char text[SINCE_TEXT_BYTES])
{
    size_t used = 0;
    text[0] = '\0';
    for (size_t i = 0; i < group_count && used < SINCE_TEXT_BYTES; i++) {
        const struct since_group *group = &groups[i];
        if (group->index == PYGMY_NOW)
            continue;
        used += (size_t)snprintf(text + used, SINCE_TEXT_BYTES - used, "%s%s%s%" PRId64,
                                 used > 0 ? "," : "", words ? group->word : "", words ? "=" : "",
                                 group->index);
    }
    return text;
}
