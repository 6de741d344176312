/* The commands of the order log, and their bytes.
 *
 *   offset  bytes
 *   0       1      version of the format, 1
 *   1       1      kind: 1 ORDER, 2 CANCELLING, 3 CANCELLED
 *   ORDER
 *   2       blob   key
 *           i64    stamp
 *           blob   content: a basket (sale.h)
 *           blob   grant (sale.h)
 *   CANCELLING
 *   2       u64    number of the order
 *           blob   key of the cancel
 *           i64    stamp
 *   CANCELLED
 *   2       u64    number of the order
 *
 * Integers big-endian; a blob is a u32 length and the bytes. There is no checksum here: the log
 * keeps one of each entry. The number and the times of an order are not in its command: the number
 * is given when it is applied, and the times are the entry's.
 *
 * A reader refuses another version or kind (ERR_VERSION) and anything cut off, left over or out of
 * bounds (ERR_CORRUPT).
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_ORDER_COMMAND_H
#define PYGMY_ORDER_COMMAND_H

#include <stddef.h>
#include <stdint.h>

#include "broker/bus/bytes.h"
#include "services/order/sale.h"

enum order_command_kind { COMMAND_ORDER = 1, COMMAND_CANCELLING = 2, COMMAND_CANCELLED = 3 };

/* A command that was read. It points into the bytes it was read from, but for what it owns. */
struct order_command {
    enum order_command_kind kind;
    char *key;              /* owned; NULL for CANCELLED */
    int64_t stamp;          /* of the catalog's log time; 0 for CANCELLED */
    uint64_t number;        /* 0 for ORDER */
    const uint8_t *content; /* ORDER: the basket's bytes, canonical */
    size_t content_size;
    const uint8_t *grant; /* ORDER: the grant's bytes, which have been checked */
    size_t grant_size;
    struct basket basket; /* ORDER: the content, read */
};

/* Write a command. Keys and numbers are valid, content and grant were made by basket_write() and
 * grant_write(), of the same lines. */
void order_command_write_order(struct bytes_writer *writer, const char *key, int64_t stamp,
                               const void *content, size_t content_size, const void *grant,
                               size_t grant_size);
void order_command_write_cancelling(struct bytes_writer *writer, uint64_t number, const char *key,
                                    int64_t stamp);
void order_command_write_cancelled(struct bytes_writer *writer, uint64_t number);

/* Read a command; close it in any case. Returns 0, ERR_VERSION or ERR_CORRUPT. */
int order_command_read(struct order_command *self, const void *data, size_t size);
void order_command_close(struct order_command *self);

#endif
