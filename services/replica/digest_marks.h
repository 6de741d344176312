/* Digests of a machine's tables at indexes of the log that are multiples of DIGEST_EVERY, the last
 * ones of them: what two replicas compare that are never at the same index. Pure.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_REPLICA_DIGEST_MARKS_H
#define PYGMY_REPLICA_DIGEST_MARKS_H

#include <stdbool.h>
#include <stddef.h>

#include "broker/bus/limits.h"
#include "services/replica/replica.h"

struct digest_mark {
    replica_index index;
    uint64_t digest;
    bool told; /* what it gave cause to was said */
};

struct digest_marks {
    struct digest_mark marks[DIGEST_MARKS_MAX]; /* the lowest index first */
    size_t count;
};

/* Whether such an index has a mark. */
bool digest_marks_at(replica_index index);

/* Keep what the tables were at @index, which has a mark. What is known of that index stays as it is:
 * in the life of a process there is one. Of more than DIGEST_MARKS_MAX the lowest is forgotten. */
void digest_marks_add(struct digest_marks *self, replica_index index, uint64_t digest);

/* The mark at @index, or the one at the highest index. NULL: it is not known. */
struct digest_mark *digest_marks_find(struct digest_marks *self, replica_index index);
const struct digest_mark *digest_marks_newest(const struct digest_marks *self);

#endif
