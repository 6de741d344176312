/* Automatic rules: at or below a threshold, an amount is added, once in a period at most.
 *
 * The leader's timer looks for what is due and submits the ids; the apply looks again, because the
 * log may have changed it meanwhile, and because another leader may have asked as well.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_CATALOG_RESTOCK_H
#define PYGMY_CATALOG_RESTOCK_H

#include <stddef.h>
#include <stdint.h>

#include "services/catalog/command.h"
#include "services/catalog/outcome.h"
#include "services/catalog/state.h"

/* Find up to RESTOCK_COUNT_MAX items whose rule should act at @now_ms of log time, those that have
 * waited longest first. Returns how many @ids were filled in. */
size_t restock_find_due(struct state *state, int64_t now_ms, int64_t *ids);

/* Apply COMMAND_RESTOCK. Answers {"restocked"}: on how many items a rule acted. */
struct outcome *restock_apply(struct state *state, const struct command *command);

#endif
