/* The catalog's log time as this process knows it, from which new operations get their stamps.
 *
 * Pure. What is kept is the last answer's log time and when it came. The local
 * clock decides only how long that is good enough, and is never added to it:
 * a stamp that is too old is safe (docs/protocol.md, "Keys and stamps"), one
 * that runs ahead of the catalog is not.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_STORE_STAMP_H
#define PYGMY_STORE_STAMP_H

#include <stdbool.h>
#include <stdint.h>

struct stamp {
    bool known;
    int64_t log_time_ms; /* of the last answer that carried one */
    int64_t learnt_ms;   /* clock_ms() at that answer */
};

/* Take in an answer's log time. The last word counts, also when it is less: that of a store that
 * was set up anew. Negative ones are ignored. */
void stamp_learn(struct stamp *self, int64_t log_time_ms, int64_t now_ms);

/* Whether it is good for an operation that begins at @now_ms; then @log_time_ms is set. */
bool stamp_get(const struct stamp *self, int64_t now_ms, int64_t *log_time_ms);

/* Drop it: the store has refused a stamp. */
void stamp_forget(struct stamp *self);

#endif
