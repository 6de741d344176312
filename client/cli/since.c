/* See since.h.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "client/cli/since.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "client/cli/number.h"
#include "client/store/pygmy.h"

#define PLACE_BYTES 64

/* Read "1234" or "1234@0123abcd". Returns whether it is one. */
static bool since_read_place(const char *text, size_t len, struct since_group *group)
{
    char place[PLACE_BYTES];
    if (len >= sizeof place)
        return false;
    memcpy(place, text, len);
    place[len] = '\0';
    char *cluster = strchr(place, '@');
    if (cluster != NULL) {
        *cluster++ = '\0';
        const size_t digits = strspn(cluster, "0123456789abcdef");
        if (digits < SINCE_CLUSTER_DIGITS || digits > SINCE_CLUSTER_DIGITS_MAX ||
            cluster[digits] != '\0')
            return false;
        memcpy(group->cluster, cluster, digits + 1);
    }
    return number_read(place, 0, INT64_MAX - 1, &group->index);
}

/* Read "catalog=1234", which is @len bytes long. */
static bool since_read_part(const char *part, size_t len, struct since_group *groups,
                            size_t group_count, char why[SINCE_WHY_BYTES])
{
    const size_t word_len = strcspn(part, "=,");
    for (size_t i = 0; i < group_count; i++) {
        struct since_group *group = &groups[i];
        if (word_len >= len || strlen(group->word) != word_len ||
            memcmp(group->word, part, word_len) != 0)
            continue;
        if (group->index == PYGMY_NOW &&
            since_read_place(part + word_len + 1, len - word_len - 1, group))
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
        if (since_read_place(text, strlen(text), &groups[0]))
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
        used += (size_t)snprintf(text + used, SINCE_TEXT_BYTES - used, "%s%s%s%" PRId64 "%s%.*s",
                                 used > 0 ? "," : "", words ? group->word : "", words ? "=" : "",
                                 group->index, group->cluster[0] != '\0' ? "@" : "",
                                 SINCE_CLUSTER_DIGITS, group->cluster);
    }
    return text;
}
