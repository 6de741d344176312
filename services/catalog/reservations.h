/* The catalog's part of the buy: reserve, settle, undo, close.
 *
 * The states of a reservation are those of its record (records.h). The catalog's log is the commit
 * point of a buy: granted here, it will become an order; denied here, it never will.
 *
 * Undo of a key that is not known. It is sent for an order that exists, so it was granted, and its
 * record was settled and then forgotten; the stock is given back, and the record made anew as
 * released, so that a repetition does nothing more. What such a record answers to a late copy of
 * the reserve is stamp-old: the grant was forgotten 48 h after it was last used, so every copy of
 * its request is older than 24 h, and without the record would be told the same. A late copy of the
 * undo itself, after its release was closed and forgotten in turn, is refused by its own stamp
 * (that of the cancel). An undo of what was never granted can only be a mistake of who holds the
 * cluster's secret; what no sale can account for is refused, and recorded as denied.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_CATALOG_RESERVATIONS_H
#define PYGMY_CATALOG_RESERVATIONS_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#include "services/catalog/command.h"
#include "services/catalog/outcome.h"
#include "services/catalog/state.h"

/* Apply COMMAND_RESERVE, whose key is new: all lines or none. The outcome is for the caller to
 * record: as GRANTED when it is OK, else as DENIED: not-found, out-of-stock, invalid (the lines are
 * in different currencies), limit (the total is above TOTAL_CENTS_MAX). Of several lines that can't
 * be had the one with the lowest id is named. */
struct outcome *reservations_reserve(struct state *state, const struct command *command);

/* Apply COMMAND_UNDO, records included: the answer, key-reused (other lines, or no reservation),
 * wrong-state (it was denied, or never sold), or of an unknown key stamp-old or invalid. */
struct outcome *reservations_undo(struct state *state, const struct command *command);

/* Apply COMMAND_SETTLE: of these keys, those that are granted become settled. What was released
 * meanwhile stays so. Answers how many of them are settled now. */
struct outcome *reservations_settle(struct state *state, const struct command *command);
/* Apply COMMAND_CLOSE: those that are released become closed. Answers how many are closed now. */
struct outcome *reservations_close(struct state *state, const struct command *command);

/* What waits, the oldest first: grants not settled and releases not closed, each up to @limit and
 * to PAGE_BYTES_MAX, that have been so since @before_ms of log time or longer. */
json_t *reservations_unsettled(struct state *state, int64_t before_ms, int64_t limit);

#endif
