/* See digest_marks.h.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "services/replica/digest_marks.h"

#include <assert.h>
#include <string.h>

bool digest_marks_at(replica_index index)
{
    return index > 0 && index % DIGEST_EVERY == 0;
}

void digest_marks_add(struct digest_marks *self, replica_index index, uint64_t digest)
{
    size_t place = self->count;

    assert(digest_marks_at(index));
    while (place > 0 && self->marks[place - 1].index >= index)
        place--;
    if (place < self->count && self->marks[place].index == index)
        return;
    if (self->count == DIGEST_MARKS_MAX) {
        if (place == 0)
            return; /* below all that are kept */
        place--;
        self->count--;
        memmove(self->marks, self->marks + 1, self->count * sizeof self->marks[0]);
    }
    memmove(self->marks + place + 1, self->marks + place,
            (self->count - place) * sizeof self->marks[0]);
    self->marks[place] = (struct digest_mark){.index = index, .digest = digest};
    self->count++;
}

struct digest_mark *digest_marks_find(struct digest_marks *self, replica_index index)
{
    for (size_t i = self->count; i > 0; i--)
        if (self->marks[i - 1].index == index)
            return &self->marks[i - 1];
    return NULL;
}

const struct digest_mark *digest_marks_newest(const struct digest_marks *self)
{
    return self->count > 0 ? &self->marks[self->count - 1] : NULL;
}
