/* See command.h.
 *
 * A command's bytes (integers big-endian, two's complement; a string or blob is a u32 length and
 * its bytes):
 *
 *   u8    version of this format, 1. A reader that does not know it must not go on: neither apply
 *         the entry nor skip it
 *   i64   stamp, 0 to 2^53 - 1; 0 where there is no key
 *   blob  key; empty for settle, close, restock, tick, session_open and session_close
 *   u8    op (enum command_op)      <- the content begins here and goes to the end
 *         the op's fields:
 *
 *   item_add, item_edit   u64 version (0: any; item_add: 0), item
 *   item_remove           u64 version (0: any), i64 id
 *   stock                 i64 id, i64 change, string reason
 *   import                i64 default price (-1: none), i64 default stock, u16 rows, item each; ids differ
 *   reserve, undo         u16 lines, for each i64 id, i64 quantity; ids rise
 *   settle, close         u16 keys, blob each
 *   restock               u16 ids, i64 each; they rise
 *   tick, session_open    nothing
 *   session_close         i64 session, from 1
 *
 *   item: i64 id, u16 fields, then those named in it, in this order: string title, authors, topic;
 *         u8 1 and i64 year, or u8 0 alone (no year); string isbn; i64 price; string currency;
 *         i64 stock; u8 1 and i64 threshold, amount, period, or u8 0 alone (no rule)
 *
 * Nothing may be left over.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "services/catalog/command.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "broker/bus/alloc.h"
#include "broker/bus/err.h"
#include "broker/bus/key.h"
#include "broker/bus/limits.h"

#define COMMAND_VERSION 1

void command_close(struct command *self)
{
    free(self->rows);
    free(self->lines);
    free(self->keys);
    free(self->ids);
    *self = (struct command){0};
}

static int command_line_compare(const void *one, const void *other)
{
    int64_t a = ((const struct command_line *)one)->id;
    int64_t b = ((const struct command_line *)other)->id;
    return (a > b) - (a < b);
}

int64_t command_sum_lines(struct command *self)
{
    size_t count = 0;
    struct command_line *lines = self->lines;

    qsort(lines, self->count, sizeof lines[0], command_line_compare);
    for (size_t i = 0; i < self->count; i++) {
        if (count > 0 && lines[count - 1].id == lines[i].id)
            lines[count - 1].quantity += lines[i].quantity;
        else
            lines[count++] = lines[i];
        if (lines[count - 1].quantity > QUANTITY_MAX)
            return lines[count - 1].id;
    }
    self->count = count;
    return 0;
}

struct command_place {
    int64_t id;
    size_t row;
};

static int command_place_compare(const void *one, const void *other)
{
    const struct command_place *a = one, *b = other;
    if (a->id != b->id)
        return a->id > b->id ? 1 : -1;
    return (a->row > b->row) - (a->row < b->row);
}

size_t command_doubled_row(const struct command *self)
{
    size_t doubled = self->count;
    struct command_place *places = alloc_zero(self->count * sizeof places[0]);
    for (size_t i = 0; i < self->count; i++)
        places[i] = (struct command_place){self->rows[i].id, i};
    qsort(places, self->count, sizeof places[0], command_place_compare);
    for (size_t i = 1; i < self->count; i++)
        if (places[i].id == places[i - 1].id && places[i].row < doubled)
            doubled = places[i].row;
    free(places);
    return doubled;
}

/* ---- Writing ------------------------------------------------------------ */

static void put_text(struct bytes_writer *bytes, struct text text)
{
    bytes_put_blob(bytes, text.data, text.size);
}

static void put_optional(struct bytes_writer *bytes, bool given, const int64_t *numbers,
                         size_t count)
{
    bytes_put_u8(bytes, given);
    for (size_t i = 0; given && i < count; i++)
        bytes_put_i64(bytes, numbers[i]);
}

static void put_item(struct bytes_writer *bytes, const struct command_item *item)
{
    const int64_t rule[] = {item->rule.threshold, item->rule.amount, item->rule.period_ms};

    bytes_put_i64(bytes, item->id);
    bytes_put_u16(bytes, (uint16_t)item->fields);
    if (item->fields & COMMAND_TITLE)
        put_text(bytes, item->title);
    if (item->fields & COMMAND_AUTHORS)
        put_text(bytes, item->authors);
    if (item->fields & COMMAND_TOPIC)
        put_text(bytes, item->topic);
    if (item->fields & COMMAND_YEAR)
        put_optional(bytes, item->year_known, &item->year, 1);
    if (item->fields & COMMAND_ISBN)
        put_text(bytes, item->isbn);
    if (item->fields & COMMAND_PRICE)
        bytes_put_i64(bytes, item->price_cents);
    if (item->fields & COMMAND_CURRENCY)
        put_text(bytes, item->currency);
    if (item->fields & COMMAND_STOCK_LEVEL)
        bytes_put_i64(bytes, item->stock);
    if (item->fields & COMMAND_RULE)
        put_optional(bytes, item->rule.active, rule, 3);
}

static void put_items(struct bytes_writer *bytes, const struct command *self)
{
    bytes_put_i64(bytes, self->default_price_cents);
    bytes_put_i64(bytes, self->default_stock);
    bytes_put_u16(bytes, (uint16_t)self->count);
    for (size_t i = 0; i < self->count; i++)
        put_item(bytes, &self->rows[i]);
}

static void put_lines(struct bytes_writer *bytes, const struct command *self)
{
    bytes_put_u16(bytes, (uint16_t)self->count);
    for (size_t i = 0; i < self->count; i++) {
        bytes_put_i64(bytes, self->lines[i].id);
        bytes_put_i64(bytes, self->lines[i].quantity);
    }
}

static void put_keys(struct bytes_writer *bytes, const struct command *self)
{
    bytes_put_u16(bytes, (uint16_t)self->count);
    for (size_t i = 0; i < self->count; i++)
        put_text(bytes, self->keys[i]);
}

static void put_ids(struct bytes_writer *bytes, const struct command *self)
{
    bytes_put_u16(bytes, (uint16_t)self->count);
    for (size_t i = 0; i < self->count; i++)
        bytes_put_i64(bytes, self->ids[i]);
}

static void put_content(struct bytes_writer *bytes, const struct command *self)
{
    switch (self->op) {
    case COMMAND_ITEM_ADD:
    case COMMAND_ITEM_EDIT:
        bytes_put_i64(bytes, self->version);
        put_item(bytes, &self->item);
        break;
    case COMMAND_ITEM_REMOVE:
        bytes_put_i64(bytes, self->version);
        bytes_put_i64(bytes, self->item.id);
        break;
    case COMMAND_STOCK:
        bytes_put_i64(bytes, self->item.id);
        bytes_put_i64(bytes, self->change);
        put_text(bytes, self->reason);
        break;
    case COMMAND_IMPORT: put_items(bytes, self); break;
    case COMMAND_RESERVE:
    case COMMAND_UNDO: put_lines(bytes, self); break;
    case COMMAND_SETTLE:
    case COMMAND_CLOSE: put_keys(bytes, self); break;
    case COMMAND_RESTOCK: put_ids(bytes, self); break;
    case COMMAND_SESSION_CLOSE: bytes_put_i64(bytes, (int64_t)self->session); break;
    case COMMAND_SESSION_OPEN:
    case COMMAND_TICK: break;
    case COMMAND_OPS: assert(false);
    }
}

void command_encode(const struct command *self, struct bytes_writer *bytes)
{
    bytes_put_u8(bytes, COMMAND_VERSION);
    bytes_put_i64(bytes, self->stamp);
    put_text(bytes, self->key);
    bytes_put_u8(bytes, (uint8_t)self->op);
    put_content(bytes, self);
}

/* ---- Reading ------------------------------------------------------------ */

static int64_t get_number(struct bytes_reader *bytes, int64_t min, int64_t max)
{
    int64_t number = bytes_get_i64(bytes);
    if (number >= min && number <= max)
        return number;
    bytes_reader_fail(bytes);
    return 0;
}

static bool get_flag(struct bytes_reader *bytes)
{
    uint8_t flag = bytes_get_u8(bytes);
    if (flag > 1)
        bytes_reader_fail(bytes);
    return flag == 1;
}

static struct text get_text(struct bytes_reader *bytes, size_t size_min, size_t size_max)
{
    struct text text = {0};
    text.data = (const char *)bytes_get_blob(bytes, size_max, &text.size);
    if (text.data == NULL || text.size < size_min || !text_plain(text))
        bytes_reader_fail(bytes);
    return text.data != NULL ? text : (struct text){0};
}

static struct text get_key(struct bytes_reader *bytes)
{
    struct text key = get_text(bytes, 1, KEY_BYTES_MAX);
    if (!bytes->failed && !key_valid(key.data, key.size))
        bytes_reader_fail(bytes);
    return key;
}

static struct text get_currency(struct bytes_reader *bytes)
{
    struct text currency = get_text(bytes, 3, 3);
    for (size_t i = 0; !bytes->failed && i < currency.size; i++)
        if (currency.data[i] < 'A' || currency.data[i] > 'Z')
            bytes_reader_fail(bytes);
    return currency;
}

static struct command_rule get_rule(struct bytes_reader *bytes)
{
    struct command_rule rule = {.active = get_flag(bytes)};
    if (rule.active) {
        rule.threshold = get_number(bytes, 0, STOCK_MAX - QUANTITY_MAX);
        rule.amount = get_number(bytes, 1, QUANTITY_MAX);
        rule.period_ms = get_number(bytes, 0, RESTOCK_PERIOD_MS_MAX);
    }
    return rule;
}

/* @fields_any: of these, any; @fields_must: of these, all. */
static void get_item(struct bytes_reader *bytes, struct command_item *item, unsigned fields_any,
                     unsigned fields_must)
{
    *item = (struct command_item){0};
    item->id = get_number(bytes, 1, ITEM_ID_MAX);
    item->fields = bytes_get_u16(bytes);
    if ((item->fields & ~fields_any) != 0 || (item->fields & fields_must) != fields_must)
        bytes_reader_fail(bytes);
    if (item->fields & COMMAND_TITLE)
        item->title = get_text(bytes, 1, TITLE_BYTES_MAX);
    if (item->fields & COMMAND_AUTHORS)
        item->authors = get_text(bytes, 0, AUTHORS_BYTES_MAX);
    if (item->fields & COMMAND_TOPIC)
        item->topic = get_text(bytes, 0, TOPIC_BYTES_MAX);
    if (item->fields & COMMAND_YEAR && (item->year_known = get_flag(bytes)))
        item->year = get_number(bytes, -YEAR_MAX, YEAR_MAX);
    if (item->fields & COMMAND_ISBN)
        item->isbn = get_text(bytes, 0, ISBN_BYTES_MAX);
    if (item->fields & COMMAND_PRICE)
        item->price_cents = get_number(bytes, 0, PRICE_CENTS_MAX);
    if (item->fields & COMMAND_CURRENCY)
        item->currency = get_currency(bytes);
    if (item->fields & COMMAND_STOCK_LEVEL)
        item->stock = get_number(bytes, 0, STOCK_MAX);
    if (item->fields & COMMAND_RULE)
        item->rule = get_rule(bytes);
}

/* The number of things to come, and zeroed memory for them; each takes @size_min bytes at least, so
 * that a short command can't make us reserve much. NULL when there are none or too many. */
static void *get_count(struct bytes_reader *bytes, size_t max, size_t size_min, size_t size,
                       size_t *count)
{
    size_t number = bytes_get_u16(bytes);
    if (number < 1 || number > max || number * size_min > bytes->size)
        bytes_reader_fail(bytes);
    if (bytes->failed)
        return NULL;
    *count = number;
    return alloc_zero(number * size);
}

static void get_rows(struct bytes_reader *bytes, struct command *self)
{
    self->default_price_cents = get_number(bytes, -1, PRICE_CENTS_MAX);
    self->default_stock = get_number(bytes, 0, STOCK_MAX);
    self->rows = get_count(bytes, IMPORT_ROWS_MAX, 10, sizeof self->rows[0], &self->count);
    for (size_t i = 0; i < self->count; i++)
        get_item(bytes, &self->rows[i], COMMAND_FIELDS_ADD, COMMAND_TITLE);
    if (!bytes->failed && command_doubled_row(self) < self->count)
        bytes_reader_fail(bytes);
}

static void get_lines(struct bytes_reader *bytes, struct command *self)
{
    int64_t last = 0;
    self->lines = get_count(bytes, ORDER_LINES_MAX, 16, sizeof self->lines[0], &self->count);
    for (size_t i = 0; i < self->count; i++) {
        self->lines[i].id = get_number(bytes, last + 1, ITEM_ID_MAX);
        self->lines[i].quantity = get_number(bytes, 1, QUANTITY_MAX);
        last = self->lines[i].id;
    }
}

static void get_keys(struct bytes_reader *bytes, struct command *self)
{
    self->keys = get_count(bytes, KEYS_MAX, 5, sizeof self->keys[0], &self->count);
    for (size_t i = 0; i < self->count; i++)
        self->keys[i] = get_key(bytes);
}

static void get_ids(struct bytes_reader *bytes, struct command *self)
{
    self->ids = get_count(bytes, RESTOCK_COUNT_MAX, 8, sizeof self->ids[0], &self->count);
    for (size_t i = 0; i < self->count; i++)
        self->ids[i] = get_number(bytes, i > 0 ? self->ids[i - 1] + 1 : 1, ITEM_ID_MAX);
}

static void get_content(struct bytes_reader *bytes, struct command *self)
{
    switch (self->op) {
    case COMMAND_ITEM_ADD:
        self->version = get_number(bytes, 0, 0);
        get_item(bytes, &self->item, COMMAND_FIELDS_ADD, COMMAND_FIELDS_ADD);
        break;
    case COMMAND_ITEM_EDIT:
        self->version = get_number(bytes, 0, INT64_MAX);
        get_item(bytes, &self->item, COMMAND_FIELDS_ALL & ~(COMMAND_CURRENCY | COMMAND_STOCK_LEVEL),
                 0);
        if (self->item.fields == 0)
            bytes_reader_fail(bytes);
        break;
    case COMMAND_ITEM_REMOVE:
        self->version = get_number(bytes, 0, INT64_MAX);
        self->item.id = get_number(bytes, 1, ITEM_ID_MAX);
        break;
    case COMMAND_STOCK:
        self->item.id = get_number(bytes, 1, ITEM_ID_MAX);
        self->change = get_number(bytes, -QUANTITY_MAX, QUANTITY_MAX);
        if (self->change == 0)
            bytes_reader_fail(bytes);
        self->reason = get_text(bytes, 0, REASON_BYTES_MAX);
        break;
    case COMMAND_IMPORT: get_rows(bytes, self); break;
    case COMMAND_RESERVE:
    case COMMAND_UNDO: get_lines(bytes, self); break;
    case COMMAND_SETTLE:
    case COMMAND_CLOSE: get_keys(bytes, self); break;
    case COMMAND_RESTOCK: get_ids(bytes, self); break;
    case COMMAND_SESSION_CLOSE: self->session = (uint64_t)get_number(bytes, 1, INT64_MAX); break;
    case COMMAND_SESSION_OPEN:
    case COMMAND_TICK: break;
    case COMMAND_OPS: bytes_reader_fail(bytes);
    }
}

/* Only what a client asked for has a key. */
static bool command_is_keyed(enum command_op op)
{
    return op <= COMMAND_UNDO;
}

/* The head up to the op. */
static void get_head(struct bytes_reader *bytes, struct command *self)
{
    self->stamp = get_number(bytes, 0, STAMP_MS_MAX);
    self->key = get_text(bytes, 0, KEY_BYTES_MAX);
    self->content = bytes->data;
    self->content_size = bytes->size;
    self->op = (enum command_op)bytes_get_u8(bytes);
    if (self->op < COMMAND_ITEM_ADD || self->op >= COMMAND_OPS)
        bytes_reader_fail(bytes);
    if (bytes->failed)
        return;
    bool valid = key_valid(self->key.data, self->key.size);
    bool empty = self->key.size == 0 && self->stamp == 0;
    if (command_is_keyed(self->op) ? !valid : !empty)
        bytes_reader_fail(bytes);
}

int command_decode(struct command *self, const uint8_t *data, size_t size)
{
    struct bytes_reader bytes;
    struct command command = {0};

    bytes_reader_init(&bytes, data, size);
    if (bytes_get_u8(&bytes) != COMMAND_VERSION)
        return size > 0 ? ERR_VERSION : ERR_CORRUPT;
    get_head(&bytes, &command);
    if (!bytes.failed)
        get_content(&bytes, &command);
    if (!bytes_reader_done(&bytes)) {
        command_close(&command);
        return ERR_CORRUPT;
    }
    *self = command;
    return OK;
}
