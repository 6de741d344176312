/* The members of a request, read strictly: a member that is missing, unknown, of
 * the wrong type or out of range is an error that names it.
 *
 * The first error sticks, and what is read after it is zero or NULL, so that an
 * operation can read all its members and ask once, at the end.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_ORDER_FIELDS_H
#define PYGMY_ORDER_FIELDS_H

#include <jansson.h>
#include <stdint.h>

#include "services/order/sale.h"

struct order_fields {
    json_t *object;   /* borrowed */
    int code;         /* OK, or the first error: ERR_INVALID or ERR_KEY_MISSING */
    char detail[192]; /* what was wrong and where; a long name is cut */
};

/* @names  the members that the operation knows, NULL-terminated; those that every request may have
 *         are known anyway. Others are an error. */
void order_fields_init(struct order_fields *self, json_t *object, const char *const *names);

/* An integer that must be there, @least to @most. */
int64_t order_fields_integer(struct order_fields *self, const char *name, int64_t least,
                             int64_t most);
/* One that may be left out, and is @fallback then. */
int64_t order_fields_integer_or(struct order_fields *self, const char *name, int64_t least,
                                int64_t most, int64_t fallback);
/* A key that must be there (ERR_KEY_MISSING), or that may be left out (NULL). */
const char *order_fields_key(struct order_fields *self, const char *name);
const char *order_fields_key_or_null(struct order_fields *self, const char *name);
/* The cursor of a page, which is a decimal number to us; 0 when it is left out. */
int64_t order_fields_cursor(struct order_fields *self, const char *name);
/* The lines of a buy, made canonical. */
void order_fields_basket(struct order_fields *self, const char *name, struct basket *basket);

/* An error that the operation itself has found. */
void order_fields_fail(struct order_fields *self, int code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
