/* Every change of an item's stock. The law of conservation is kept here, and asserted after each:
 *
 *   initial + moved - sold = stock >= 0
 *
 * A change is a sale, a sale taken back, or a movement: a row with a reason that stays for audit.
 * An item has at most one movement in an entry. Sums stay far below 2^63: a change is at most
 * STOCK_MAX, and there are not 9 billion entries.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_CATALOG_STOCK_H
#define PYGMY_CATALOG_STOCK_H

#include <stdint.h>

#include "services/catalog/command.h"
#include "services/catalog/item.h"
#include "services/catalog/outcome.h"
#include "services/catalog/state.h"

/* Each stores the item's numbers and makes this entry its version. The caller has seen that no
 * less than 0 is left (asserted). */
void stock_move(struct state *state, struct item *item, int64_t change, struct text reason);
void stock_sell(struct state *state, struct item *item, int64_t quantity);
/* Take a sale back. It is never refused, though stock may get above STOCK_MAX by it. What comes
 * back to an item that was removed leaves with it: that is a movement too. */
void stock_return(struct state *state, struct item *item, int64_t quantity);

/* Apply COMMAND_STOCK. */
struct outcome *stock_apply(struct state *state, const struct command *command);

#endif
