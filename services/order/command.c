/* See command.h.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "services/order/command.h"

#include <stdlib.h>
#include <string.h>

#include "broker/bus/err.h"
#include "broker/bus/key.h"
#include "broker/bus/limits.h"

#define COMMAND_VERSION 1

/* An ORDER of the most and longest lines: with its key it must fit a log entry. */
#define GRANT_BYTES_MAX   (64 + ORDER_LINES_MAX * (5 * 8 + 4 + TITLE_BYTES_MAX))
#define CONTENT_BYTES_MAX (2 + ORDER_LINES_MAX * 16)
_Static_assert(GRANT_BYTES_MAX + CONTENT_BYTES_MAX + KEY_BYTES_MAX + 64 <= ENTRY_BYTES_MAX,
               "an order fits an entry");

static void order_command_write_head(struct bytes_writer *writer, enum order_command_kind kind)
{
    bytes_put_u8(writer, COMMAND_VERSION);
    bytes_put_u8(writer, (uint8_t)kind);
}

void order_command_write_order(struct bytes_writer *writer, const char *key, int64_t stamp,
                               const void *content, size_t content_size, const void *grant,
                               size_t grant_size)
{
    order_command_write_head(writer, COMMAND_ORDER);
    bytes_put_string(writer, key);
    bytes_put_i64(writer, stamp);
    bytes_put_blob(writer, content, content_size);
    bytes_put_blob(writer, grant, grant_size);
}

void order_command_write_cancelling(struct bytes_writer *writer, uint64_t number, const char *key,
                                    int64_t stamp)
{
    order_command_write_head(writer, COMMAND_CANCELLING);
    bytes_put_u64(writer, number);
    bytes_put_string(writer, key);
    bytes_put_i64(writer, stamp);
}

void order_command_write_cancelled(struct bytes_writer *writer, uint64_t number)
{
    order_command_write_head(writer, COMMAND_CANCELLED);
    bytes_put_u64(writer, number);
}

static void order_command_read_key(struct order_command *self, struct bytes_reader *reader)
{
    self->key = bytes_get_string(reader, KEY_BYTES_MAX);
    if (self->key == NULL || !key_valid(self->key, strlen(self->key)))
        bytes_reader_fail(reader);
}

static void order_command_read_stamp(struct order_command *self, struct bytes_reader *reader)
{
    self->stamp = bytes_get_i64(reader);
    if (self->stamp < 0)
        bytes_reader_fail(reader);
}

static void order_command_read_number(struct order_command *self, struct bytes_reader *reader)
{
    self->number = bytes_get_u64(reader);
    if (self->number < 1 || self->number > INT64_MAX)
        bytes_reader_fail(reader);
}

static void order_command_read_content(struct order_command *self, struct bytes_reader *reader)
{
    struct bytes_reader content;

    self->content = bytes_get_blob(reader, CONTENT_BYTES_MAX, &self->content_size);
    bytes_reader_init(&content, self->content, self->content_size);
    basket_read(&self->basket, &content);
    if (!bytes_reader_done(&content))
        bytes_reader_fail(reader);
}

/* A grant must be good, and of the lines that were asked for. */
static void order_command_read_grant(struct order_command *self, struct bytes_reader *reader)
{
    struct bytes_reader bytes;
    struct basket basket;
    struct grant grant;

    self->grant = bytes_get_blob(reader, GRANT_BYTES_MAX, &self->grant_size);
    bytes_reader_init(&bytes, self->grant, self->grant_size);
    grant_read(&grant, &bytes);
    grant_basket(&grant, &basket);
    if (!bytes_reader_done(&bytes) || basket.count != self->basket.count ||
        memcmp(basket.lines, self->basket.lines, basket.count * sizeof basket.lines[0]) != 0)
        bytes_reader_fail(reader);
    grant_close(&grant);
}

int order_command_read(struct order_command *self, const void *data, size_t size)
{
    struct bytes_reader reader;
    uint8_t version;

    *self = (struct order_command){0};
    bytes_reader_init(&reader, data, size);
    version = bytes_get_u8(&reader);
    self->kind = (enum order_command_kind)bytes_get_u8(&reader);
    if (reader.failed)
        return ERR_CORRUPT;
    if (version != COMMAND_VERSION || self->kind < COMMAND_ORDER || self->kind > COMMAND_CANCELLED)
        return ERR_VERSION;
    if (self->kind != COMMAND_ORDER)
        order_command_read_number(self, &reader);
    if (self->kind != COMMAND_CANCELLED) {
        order_command_read_key(self, &reader);
        order_command_read_stamp(self, &reader);
    }
    if (self->kind == COMMAND_ORDER) {
        order_command_read_content(self, &reader);
        order_command_read_grant(self, &reader);
    }
    return bytes_reader_done(&reader) ? OK : ERR_CORRUPT;
}

void order_command_close(struct order_command *self)
{
    free(self->key);
    self->key = NULL;
}
