/* The commands of the catalog's log, and their bytes.
 *
 * A command is all that an apply sees: what the leader had to look up, choose or complete
 * (defaults, sums of lines) is in it. The bytes are canonical: what means the same is encoded the
 * same, so that two requests are compared by their content's bytes.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_CATALOG_COMMAND_H
#define PYGMY_CATALOG_COMMAND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "broker/bus/bytes.h"
#include "services/replica/text.h"

enum command_op {
    COMMAND_ITEM_ADD = 1,
    COMMAND_ITEM_EDIT = 2,
    COMMAND_ITEM_REMOVE = 3,
    COMMAND_STOCK = 4,
    COMMAND_IMPORT = 5,
    COMMAND_RESERVE = 6,
    COMMAND_UNDO = 7,
    COMMAND_SETTLE = 8,
    COMMAND_CLOSE = 9,
    COMMAND_RESTOCK = 10,       /* of the leader: let these items' rules act */
    COMMAND_TICK = 11,          /* of the leader: nothing but its log time */
    COMMAND_SESSION_OPEN = 12,  /* of a leased cache */
    COMMAND_SESSION_CLOSE = 13, /* of the leader: it was silent for long */
    COMMAND_OPS                 /* above the last */
};

/* Which fields of an item a command names. */
enum command_field {
    COMMAND_TITLE = 1 << 0,
    COMMAND_AUTHORS = 1 << 1,
    COMMAND_TOPIC = 1 << 2,
    COMMAND_YEAR = 1 << 3,
    COMMAND_ISBN = 1 << 4,
    COMMAND_PRICE = 1 << 5,
    COMMAND_CURRENCY = 1 << 6,
    COMMAND_STOCK_LEVEL = 1 << 7,
    COMMAND_RULE = 1 << 8,
    COMMAND_FIELDS_ALL = (1 << 9) - 1,
    /* what item_add always names */
    COMMAND_FIELDS_ADD = COMMAND_FIELDS_ALL & ~COMMAND_RULE,
};

/* An automatic rule: at or below the threshold, add the amount, once in a period at most. */
struct command_rule {
    bool active; /* false: none, and the rest is 0 */
    int64_t threshold;
    int64_t amount;
    int64_t period_ms;
};

struct command_item {
    int64_t id;
    unsigned fields; /* set of enum command_field; what is not in it is zero below */
    struct text title;
    struct text authors;
    struct text topic;
    bool year_known; /* false: null */
    int64_t year;
    struct text isbn;
    int64_t price_cents;
    struct text currency;
    int64_t stock;
    struct command_rule rule;
};

struct command_line {
    int64_t id;
    int64_t quantity;
};

struct command {
    enum command_op op;
    int64_t stamp;   /* 0 where there is no key */
    struct text key; /* empty: settle, close, restock, tick, session_open, session_close */
    /* Within the encoded bytes, set by command_decode(): what makes two commands the same. */
    const uint8_t *content;
    size_t content_size;

    struct command_item item;    /* item_add, item_edit; of item_remove and stock its id alone */
    int64_t version;             /* item_edit, item_remove: the one to change; 0: any */
    int64_t change;              /* stock */
    struct text reason;          /* stock */
    uint64_t session;            /* session_close */
    int64_t default_price_cents; /* import; -1: none */
    int64_t default_stock;       /* import */

    size_t count;               /* of whichever of these the op has */
    struct command_item *rows;  /* import; owned */
    struct command_line *lines; /* reserve, undo: ids rise; owned */
    struct text *keys;          /* settle, close; owned (what they point to is not) */
    int64_t *ids;               /* restock: they rise; owned */
};

/* Free what it owns; it is zero afterwards. */
void command_close(struct command *self);

/* Sum the lines of one item and sort by id. Returns the id whose sum is above QUANTITY_MAX, and
 * then the command is good for nothing, else 0. */
int64_t command_sum_lines(struct command *self);

/* The index of a row of an import whose id an earlier row has as well; the number of rows when
 * there is none. */
size_t command_doubled_row(const struct command *self);

/* Append the command's bytes. */
void command_encode(const struct command *self, struct bytes_writer *bytes);

/* Read a command. Texts point into @data. Nothing is trusted: whatever is returned with 0 is a
 * command that the leader could have made.
 *
 * Returns 0, ERR_VERSION (another format: it must not be applied, nor skipped) or ERR_CORRUPT;
 * @self needs no command_close() then. */
int command_decode(struct command *self, const uint8_t *data, size_t size);

#endif
