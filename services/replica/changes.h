/* The stream of committed changes (docs/protocol.md): which rows stand in one message or answer, and
 * when a leader publishes the next one. Pure.
 *
 * Each row of a service's tables carries its version, the log index of its last change. So what
 * changed since an index is a question to the tables as they are: which rows have a higher version? It
 * is asked by whoever missed something, of any replica, and by the leader of itself after a batch was
 * applied. Nothing is kept for it.
 *
 * Invariants
 *   S1  a page holds all rows whose version is above `since` and not above its index, and no others,
 *       by rising version.
 *   S2  what a leader publishes is without gaps from the moment that it begins to: each message
 *       begins where the one before it ended.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_REPLICA_CHANGES_H
#define PYGMY_REPLICA_CHANGES_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ---- A page ------------------------------------------------------------------------------------- */

struct changes_page {
    uint64_t since;
    size_t limit;     /* of rows; an entry that has begun is told to its end all the same */
    json_t *rows;     /* whoever answers takes them over */
    size_t bytes;     /* of their contents, about */
    uint64_t version; /* of the last row; without one, since */
    bool more;        /* there was a row that is not on it */
};

enum changes_room {
    CHANGES_WHOLE, /* the row is to be added */
    CHANGES_NAMED, /* the same, without its content: the entry has touched too much */
    CHANGES_FULL,  /* it is for the next page, and so are all that follow */
};

void changes_page_init(struct changes_page *self, uint64_t since, size_t limit);
/* Where a row belongs; rows come by rising version. @bytes are those of its content, about, and rather
 * too many. */
enum changes_room changes_page_room(struct changes_page *self, uint64_t version, size_t bytes);
/* Add @row, taken over, for which there is room. */
void changes_page_add(struct changes_page *self, uint64_t version, json_t *row, size_t bytes);
/* The index up to which the page tells everything, of tables that hold the entries up to
 * @applied_index. */
uint64_t changes_page_index(const struct changes_page *self, uint64_t applied_index);

/* ---- Publishing --------------------------------------------------------------------------------- */

/* What a leader has published. All zero: it does not publish. */
struct changes_feed {
    bool on;
    uint64_t index; /* everything up to it was published, or was before it began */
    int64_t sent_ms;
};

/* Whether it is wanted now: the leader serves, and has subscribers. Who begins to publish begins at
 * @applied_index, and says so at once: those who subscribe ask for what was before. */
void changes_feed_want(struct changes_feed *self, bool wanted, uint64_t applied_index,
                       int64_t now_ms);
/* When the next message is due, with the tables at @applied_index; INT64_MAX: none is. */
int64_t changes_feed_due_ms(const struct changes_feed *self, uint64_t applied_index);
/* What was above self->index and up to @index was published. */
void changes_feed_sent(struct changes_feed *self, uint64_t index, int64_t now_ms);

#endif
