/* Count again: for every item that ever was, whether initial + moved - sold = stock, and the sums.
 *
 * An audit looks at one moment: it reads through a connection of its own, in one transaction that
 * sees the tables as they were when it began, in slices of AUDIT_ROWS_MAX items, so that entries
 * go on being applied in between and no turn of the loop is long.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_CATALOG_AUDIT_H
#define PYGMY_CATALOG_AUDIT_H

#include <stdbool.h>
#include <stdint.h>

#include "broker/bus/log.h"

struct audit;

struct audit_result {
    int64_t items; /* ids, those removed included */
    int64_t initial;
    int64_t moved;
    int64_t sold;
    int64_t stock;
    int64_t violations; /* items for which the law does not hold */
    uint64_t log_index; /* of the moment */
};

/* @path  of the state's file, open elsewhere in this process; copied. Nothing is opened yet. */
struct audit *audit_new(const char *path, struct log *log);
/* Let go of the file, and of what is under way: the next audit opens what then stands there. */
void audit_reset(struct audit *self);
/* Accepts NULL. */
void audit_destroy(struct audit **self_p);

/* Begin, at the tables as they are now; none may be under way. Not within a transaction of the
 * writer. Returns 0 or ERR_STORAGE. */
int audit_begin(struct audit *self);
bool audit_is_under_way(const struct audit *self);
/* Look at the next slice. True when that was the last: then @result is filled in. */
bool audit_step(struct audit *self, struct audit_result *result);

#endif
