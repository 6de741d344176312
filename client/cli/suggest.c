/* "Did you mean": the optimal string alignment distance, row by row.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "client/cli/suggest.h"

#include <string.h>

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

size_t suggest_distance(const char *one, const char *other)
{
    size_t rows[3][SUGGEST_BYTES_MAX + 1];
    size_t one_len = strlen(one);
    size_t other_len = strlen(other);
    if (one_len > SUGGEST_BYTES_MAX || other_len > SUGGEST_BYTES_MAX)
        return SUGGEST_BYTES_MAX;
    for (size_t j = 0; j <= other_len; j++)
        rows[0][j] = j;
    for (size_t i = 1; i <= one_len; i++) {
        size_t *row = rows[i % 3];
        const size_t *above = rows[(i + 2) % 3];
        const size_t *above_that = rows[(i + 1) % 3];
        row[0] = i;
        for (size_t j = 1; j <= other_len; j++) {
            row[j] =
                least(least(above[j], row[j - 1]) + 1, above[j - 1] + (one[i - 1] != other[j - 1]));
            if (i > 1 && j > 1 && one[i - 1] == other[j - 2] && one[i - 2] == other[j - 1])
                row[j] = least(row[j], above_that[j - 2] + 1);
        }
    }
    return rows[one_len % 3][other_len];
}

void suggest_offer(struct suggest *self, const char *word)
{
    size_t distance = suggest_distance(self->typed, word);
    /* A third of the word may be wrong; one letter always. What was begun counts as a slip. */
    size_t allowed = strlen(word) / 3 + 1;
    if (strlen(self->typed) >= 2 && strncmp(word, self->typed, strlen(self->typed)) == 0)
        distance = least(distance, 1);
    if (distance > allowed || distance >= strlen(word))
        return;
    if (self->best == NULL || distance < self->distance) {
        self->best = word;
        self->distance = distance;
    }
}
