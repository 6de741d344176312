/* See sale.h.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "services/order/sale.h"

#include <assert.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "broker/bus/err.h"

/* The sum of a grant can't overflow before it is compared with its bound. */
_Static_assert(PRICE_CENTS_MAX <= INT64_MAX / QUANTITY_MAX / ORDER_LINES_MAX, "totals fit");

/* ---- Baskets ------------------------------------------------------------- */

static bool basket_line_valid(const struct basket_line *line)
{
    return line->id >= 1 && line->id <= ITEM_ID_MAX && line->quantity >= 1 &&
           line->quantity <= QUANTITY_MAX;
}

static int basket_line_compare(const void *one, const void *other)
{
    int64_t a = ((const struct basket_line *)one)->id;
    int64_t b = ((const struct basket_line *)other)->id;

    return (a > b) - (a < b);
}

int basket_normalise(struct basket *self)
{
    size_t last = 0;

    if (self->count < 1 || self->count > ORDER_LINES_MAX)
        return ERR_INVALID;
    for (size_t i = 0; i < self->count; i++)
        if (!basket_line_valid(&self->lines[i]))
            return ERR_INVALID;
    qsort(self->lines, self->count, sizeof self->lines[0], basket_line_compare);
    for (size_t i = 1; i < self->count; i++) {
        if (self->lines[i].id == self->lines[last].id)
            self->lines[last].quantity += self->lines[i].quantity;
        else
            self->lines[++last] = self->lines[i];
    }
    self->count = last + 1;
    for (size_t i = 0; i < self->count; i++)
        if (!basket_line_valid(&self->lines[i]))
            return ERR_INVALID;
    return OK;
}

static bool basket_canonical(const struct basket *self)
{
    for (size_t i = 0; i < self->count; i++)
        if (!basket_line_valid(&self->lines[i]) ||
            (i > 0 && self->lines[i].id <= self->lines[i - 1].id))
            return false;
    return self->count >= 1;
}

void basket_write(const struct basket *self, struct bytes_writer *writer)
{
    assert(basket_canonical(self));
    bytes_put_u16(writer, (uint16_t)self->count);
    for (size_t i = 0; i < self->count; i++) {
        bytes_put_i64(writer, self->lines[i].id);
        bytes_put_i64(writer, self->lines[i].quantity);
    }
}

/* The count of lines that follow, or 0 with a failed reader. */
static size_t line_count_read(struct bytes_reader *reader)
{
    size_t count = bytes_get_u16(reader);

    if (count < 1 || count > ORDER_LINES_MAX)
        bytes_reader_fail(reader);
    return reader->failed ? 0 : count;
}

void basket_read(struct basket *self, struct bytes_reader *reader)
{
    self->count = line_count_read(reader);
    for (size_t i = 0; i < self->count; i++) {
        self->lines[i].id = bytes_get_i64(reader);
        self->lines[i].quantity = bytes_get_i64(reader);
    }
    if (!basket_canonical(self))
        bytes_reader_fail(reader);
}

/* ---- Grants -------------------------------------------------------------- */

/* A stock has no bound of its own here: the catalog takes sales back above STOCK_MAX, and a grant
 * that is not believed would never become an order. */
static bool grant_line_valid(const struct grant_line *line)
{
    return line->price_cents >= 0 && line->price_cents <= PRICE_CENTS_MAX &&
           line->stock_left >= 0 && line->version >= 1 && line->title != NULL &&
           strlen(line->title) <= TITLE_BYTES_MAX;
}

void grant_basket(const struct grant *self, struct basket *basket)
{
    basket->count = self->count;
    for (size_t i = 0; i < self->count; i++)
        basket->lines[i] =
            (struct basket_line){.id = self->lines[i].id, .quantity = self->lines[i].quantity};
}

int grant_check(struct grant *self)
{
    struct basket basket;

    if (self->count < 1 || self->count > ORDER_LINES_MAX || self->currency[0] == '\0')
        return ERR_INVALID;
    grant_basket(self, &basket);
    if (!basket_canonical(&basket))
        return ERR_INVALID;
    self->total_cents = 0;
    for (size_t i = 0; i < self->count; i++) {
        if (!grant_line_valid(&self->lines[i]))
            return ERR_INVALID;
        self->total_cents += self->lines[i].price_cents * self->lines[i].quantity;
    }
    return self->total_cents <= TOTAL_CENTS_MAX ? OK : ERR_INVALID;
}

void grant_write(const struct grant *self, struct bytes_writer *writer)
{
    assert(self->count >= 1 && self->count <= ORDER_LINES_MAX);
    bytes_put_string(writer, self->currency);
    bytes_put_u16(writer, (uint16_t)self->count);
    for (size_t i = 0; i < self->count; i++) {
        const struct grant_line *line = &self->lines[i];

        bytes_put_i64(writer, line->id);
        bytes_put_i64(writer, line->quantity);
        bytes_put_i64(writer, line->price_cents);
        bytes_put_i64(writer, line->stock_left);
        bytes_put_i64(writer, line->version);
        bytes_put_string(writer, line->title);
    }
}

static void grant_line_read(struct grant_line *line, struct bytes_reader *reader)
{
    line->id = bytes_get_i64(reader);
    line->quantity = bytes_get_i64(reader);
    line->price_cents = bytes_get_i64(reader);
    line->stock_left = bytes_get_i64(reader);
    line->version = bytes_get_i64(reader);
    line->title = bytes_get_string(reader, TITLE_BYTES_MAX);
}

void grant_read(struct grant *self, struct bytes_reader *reader)
{
    char *currency = bytes_get_string(reader, CURRENCY_BYTES_MAX);
    size_t count = line_count_read(reader);

    *self = (struct grant){0};
    if (currency != NULL)
        memcpy(self->currency, currency, strlen(currency) + 1);
    free(currency);
    for (; self->count < count && !reader->failed; self->count++)
        grant_line_read(&self->lines[self->count], reader);
    if (reader->failed || grant_check(self) != OK)
        bytes_reader_fail(reader);
}

void grant_close(struct grant *self)
{
    for (size_t i = 0; i < self->count; i++)
        free(self->lines[i].title);
    *self = (struct grant){0};
}
