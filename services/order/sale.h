/* What is bought and what was sold: the lines a client asks for, and the grant
 * that the catalog makes of them. Values without behaviour of their own, with
 * their bytes.
 *
 * A *basket* is canonical: one line for an item (the sum of those asked), by
 * rising id. Two buys are the same when their baskets' bytes are equal.
 *
 *   basket: u16 count, then for each line  i64 id, i64 quantity
 *   grant:  blob currency, u16 count, then for each line
 *           i64 id, i64 quantity, i64 price_cents, i64 stock_left, i64 version, blob title
 *           (the total is their sum, and is not written)
 *
 * All integers big-endian, lengths before contents (bytes.h).
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_ORDER_SALE_H
#define PYGMY_ORDER_SALE_H

#include <stddef.h>
#include <stdint.h>

#include "broker/bus/bytes.h"
#include "broker/bus/limits.h"

struct basket_line {
    int64_t id;       /* 1 to ITEM_ID_MAX */
    int64_t quantity; /* 1 to QUANTITY_MAX */
};

struct basket {
    size_t count; /* 1 to ORDER_LINES_MAX */
    struct basket_line lines[ORDER_LINES_MAX];
};

struct grant_line {
    int64_t id;
    int64_t quantity;
    int64_t price_cents; /* of one piece, 0 to PRICE_CENTS_MAX */
    int64_t stock_left;  /* right after this sale, not negative */
    int64_t version;     /* the item's, right after this sale */
    char *title;         /* owned, at most TITLE_BYTES_MAX */
};

struct grant {
    char currency[CURRENCY_BYTES_MAX + 1];
    int64_t total_cents; /* at most TOTAL_CENTS_MAX */
    size_t count;
    struct grant_line lines[ORDER_LINES_MAX];
};

/* Make a basket canonical: sort it, and sum up the lines of one item. Returns 0, or ERR_INVALID
 * when there is no line, or an id or quantity, also a sum, out of its range. The basket may be
 * left half done. */
int basket_normalise(struct basket *self);

void basket_write(const struct basket *self, struct bytes_writer *writer);
/* Read a basket that must be canonical. Fails the reader when it is not. */
void basket_read(struct basket *self, struct bytes_reader *reader);

/* Check the bounds of a grant, that its lines are canonical, and sum up its total. Returns 0 or
 * ERR_INVALID. */
int grant_check(struct grant *self);

void grant_write(const struct grant *self, struct bytes_writer *writer);
/* Read a grant and check it. Fails the reader when it is no good; close it in any case. */
void grant_read(struct grant *self, struct bytes_reader *reader);

/* The basket that a grant is of. */
void grant_basket(const struct grant *self, struct basket *basket);

/* Free what it owns; it is empty afterwards. */
void grant_close(struct grant *self);

#endif
