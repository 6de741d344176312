/* A page of an answer's list: it ends at its limit, or before it gets too large for a body.
 *
 * A cursor is the place of the last row (an id, a number, a log index) in decimal digits; to whoever
 * gets it it means nothing. The next page begins after that place, so rows that come and go in
 * between double and hide no others.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_REPLICA_PAGE_H
#define PYGMY_REPLICA_PAGE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "services/replica/fields.h"

struct page {
    int64_t limit;
    int64_t after; /* place of the last row of the page before; 0: from the beginning */
    json_t *rows;  /* whoever answers takes them over */
    size_t bytes;  /* of the rows so far, about */
    int64_t last;  /* place of the last row on it */
    bool more;     /* there was a row that is not on it */
};

/* Begin a page of at most @limit rows after the "cursor" of the request. */
void page_init(struct page *self, struct fields *fields, int64_t limit);
/* The same with the request's "limit". */
void page_init_asked(struct page *self, struct fields *fields);
/* Whether a row of about @bytes may be added; if not, the page is full. At least one may. */
bool page_has_room(struct page *self, size_t bytes);
/* Add @row, taken over, for which there is room. */
void page_add(struct page *self, int64_t place, json_t *row, size_t bytes);
/* The cursor of the next page, null when this one is the last. */
json_t *page_next(const struct page *self);

#endif
