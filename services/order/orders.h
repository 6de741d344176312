/* The order tables: what the order log has made, in one SQLite file.
 *
 * The file is disposable (it is rebuilt from the log), so nothing here is
 * synced; the index of the last applied entry is written in the same
 * transaction as what it made. A failure of the file ends the process (status
 * 5): half an apply must never be seen.
 *
 * Invariants
 *   O1  numbers rise from 1 without gaps, in the order of the log.
 *   O2  one order for a key; it stays as long as the tables, and so does its key.
 *   O3  one cancel for an order, with its key, which no other order's cancel has.
 *   O4  a state only goes on: active, cancelling, cancelled.
 *
 * Keys of buys and of cancels share one namespace: whoever begins something
 * looks for its key in both. An ORDER itself is refused for no cancel's key: its
 * grant is a fact, and somebody must hold it. So in one case a key is both,
 * when a key whose buy is granted and not ordered yet is used for a cancel as
 * well; a buy with it finds its order, a cancel its cancel.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_ORDER_ORDERS_H
#define PYGMY_ORDER_ORDERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "broker/bus/log.h"
#include "services/order/sale.h"

struct orders;

enum order_state { ORDER_ACTIVE, ORDER_CANCELLING, ORDER_CANCELLED };

/* An order as the tables have it. Close it after use. */
struct order {
    uint64_t number;
    uint64_t version; /* log index of its last change */
    enum order_state state;
    char *key;        /* the buy's */
    int64_t stamp;    /* the buy's */
    uint8_t *content; /* a basket's bytes */
    size_t content_size;
    uint8_t *grant; /* a grant's bytes */
    size_t grant_size;
    int64_t created_ms; /* wall time of the entry */
    char *cancel_key;   /* NULL while it is active */
    int64_t cancel_stamp;
    int64_t cancelled_ms; /* wall time of the entry; 0: not cancelled */
};

void order_close(struct order *self);
/* "active", "cancelling", "cancelled" */
const char *order_state_name(enum order_state state);

/* Open the tables at @path, or make them, empty, where there is no file.
 *
 * @rows  what orders_count() found in the file; NULL: all rows are counted here
 *
 * Returns 0, ERR_STORAGE, ERR_CORRUPT or ERR_VERSION, with a sentence in *error, the caller's to
 * free(). */
int orders_open(const char *path, struct log *log, const uint64_t *rows, struct orders **self_p,
                char **error);
/* As replica_machine.count. */
int orders_count(const char *path, uint64_t *rows, char **error);
void orders_close(struct orders **self_p);

/* ---- Applying ----------------------------------------------------------- */

/* Begin and commit the transaction around a batch. */
void orders_begin(struct orders *self);
void orders_commit(struct orders *self);

/* The entry of that log index is applied: what changes from here on gets it as its version. Rises. */
void orders_enter(struct orders *self, uint64_t index);
/* The digest of all that the entries made (digest.h), also within a batch; equal wherever the same
 * entries were applied. */
uint64_t orders_digest(const struct orders *self);
/* What it can be compared with. */
uint32_t orders_digest_format(const struct orders *self);
/* The index of the last entry that was entered, 0 when the tables are empty. */
uint64_t orders_applied(const struct orders *self);

enum orders_outcome {
    ORDERS_MADE,    /* it changed something */
    ORDERS_KNOWN,   /* the same was done before */
    ORDERS_REFUSED, /* the key, or the state of the order, forbids it: nothing was changed */
};

/* ORDER. @number is that of the order of this key, new or known (also when refused for its other
 * content). */
enum orders_outcome orders_add(struct orders *self, const char *key, int64_t stamp,
                               const struct basket *basket, const void *content,
                               size_t content_size, const void *grant, size_t grant_size,
                               int64_t wall_ms, uint64_t *number);

/* CANCELLING. Known: cancelling under this key already, and then the stamp rises to @stamp if that
 * is newer (saga.h, S2); or cancelled under it. */
enum orders_outcome orders_cancel(struct orders *self, uint64_t number, const char *key,
                                  int64_t stamp);

/* CANCELLED. Refused unless the order is cancelling. */
enum orders_outcome orders_conclude(struct orders *self, uint64_t number, int64_t wall_ms);

/* ---- Reading ------------------------------------------------------------ */

/* The order of that number, or of that buy's key. False: there is none, and @order is untouched. */
bool orders_by_number(struct orders *self, uint64_t number, struct order *order);
bool orders_by_key(struct orders *self, const char *key, struct order *order);
/* The number of the order that is, or was, cancelled under that key; 0: none. */
uint64_t orders_by_cancel_key(struct orders *self, const char *key);

/* A visitor returns false to have no more. The order is valid during the call. */
typedef bool orders_visit_fn(void *arg, const struct order *order);
/* Orders with numbers below @before (0: all), newest first. */
void orders_page(struct orders *self, uint64_t before, orders_visit_fn *visit, void *arg);
/* Orders that are cancelling, oldest first. */
void orders_cancelling(struct orders *self, orders_visit_fn *visit, void *arg);

/* Orders with versions above @since, by version. */
void orders_changes(struct orders *self, uint64_t since, orders_visit_fn *visit, void *arg);

typedef bool orders_sold_fn(void *arg, int64_t id, int64_t quantity);
/* What active orders hold of each item, with ids above @after, by id. */
void orders_sold(struct orders *self, int64_t after, orders_sold_fn *visit, void *arg);

uint64_t orders_last_number(const struct orders *self);
/* How many orders are active. */
uint64_t orders_active(const struct orders *self);

#endif
