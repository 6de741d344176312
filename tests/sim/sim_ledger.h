/* The judge of a store: keeps what its customers were told, and holds the store to it.
 *
 *   L1  each item: initial + moved - sold = stock, never below zero, on every replica, at any time
 *   L2  one order for each key that was acknowledged, with the content that was acknowledged, on every
 *       replica
 *   L3  numbers are unique and without a gap
 *   L4  nobody who was told "denied" has got an order
 *   L5  a cancel that was acknowledged has cancelled its order, and nothing else has
 *   L6  a version of an item has one stock; no read shows a version older than what was shown or
 *       acknowledged before it began; an acknowledged order is found from then on
 *   L7  in the end all grants are settled, all releases closed, no order is cancelling; what is sold is
 *       what active orders hold, what was moved is what was acknowledged as moved
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_SIM_LEDGER_H
#define PYGMY_SIM_LEDGER_H

#include <jansson.h>

#include "services/order/sale.h"
#include "tests/sim/sim.h"

#define LEDGER_ITEMS   4 /* ids from 1 */
#define LEDGER_INITIAL 60
#define LEDGER_PRICE   1999

struct ledger_buy {
    struct basket basket;
    int64_t stamp;
    int64_t cancel_stamp;
    uint64_t number; /* acknowledged; 0: not */
    bool denied;
    bool cancel_asked;
    bool cancelled;   /* acknowledged */
    bool under_way;   /* its customer waits for an answer, of the buy or the cancel */
    unsigned resends; /* so often it was sent again */
};

struct sim_ledger;

/* @sim  whose world it is */
struct sim_ledger *sim_ledger_new(struct sim *sim);
void sim_ledger_destroy(struct sim_ledger **self_p);

/* A new buy; its number is its key, too (ledger_key). */
size_t sim_ledger_add(struct sim_ledger *self, const struct basket *basket, int64_t stamp);
size_t sim_ledger_count(const struct sim_ledger *self);
/* Until the next sim_ledger_add(). */
struct ledger_buy *sim_ledger_buy(struct sim_ledger *self, size_t index);
void ledger_key(size_t index, bool cancel, char key[24]);

/* What customers are told. @order, @item: as the answer has them. */
void sim_ledger_bought(struct sim_ledger *self, size_t index, const json_t *order);
void sim_ledger_denied(struct sim_ledger *self, size_t index);
void sim_ledger_cancelled(struct sim_ledger *self, size_t index, const json_t *order);
void sim_ledger_moved(struct sim_ledger *self, int64_t id, int64_t change, const json_t *item);

/* A read of an item that begins now has to show at least that version. */
int64_t sim_ledger_floor(const struct sim_ledger *self, int64_t id);
void sim_ledger_read(struct sim_ledger *self, int64_t id, int64_t floor, const json_t *item);
/* @order NULL: it was not found, though it had been acknowledged when the read began. */
void sim_ledger_found(struct sim_ledger *self, size_t index, const json_t *order);

/* Look at the items of a catalog's replica (L1). */
void sim_ledger_audit(struct sim_ledger *self, const struct sim_node *node);
/* Whether a replica has nothing open any more (L7). */
bool sim_ledger_catalog_quiet(const struct sim_node *node);
bool sim_ledger_order_quiet(const struct sim_node *node);
/* All that must hold at the end, of each replica. The orders first. */
void sim_ledger_check_orders(struct sim_ledger *self, const struct sim_node *node);
void sim_ledger_check_catalog(struct sim_ledger *self, const struct sim_node *node);

#endif
