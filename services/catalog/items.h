/* The changes of items: add, edit, remove.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_CATALOG_ITEMS_H
#define PYGMY_CATALOG_ITEMS_H

#include "services/catalog/command.h"
#include "services/catalog/item.h"
#include "services/catalog/outcome.h"
#include "services/catalog/state.h"

/* Make an item of @from, all of whose fields are given, and whose id is not present. An id that was removed goes on
 * with its history: the stock is then a movement.
 *
 * @before  what item_find() found, or NULL
 *
 * Returns NULL, or why a limit is reached; nothing was stored then. */
const char *items_create(struct state *state, const struct item *before,
                         const struct command_item *from, struct item *item);

/* Apply COMMAND_ITEM_ADD, COMMAND_ITEM_EDIT, COMMAND_ITEM_REMOVE. */
struct outcome *items_add(struct state *state, const struct command *command);
struct outcome *items_edit(struct state *state, const struct command *command);
struct outcome *items_remove(struct state *state, const struct command *command);

#endif
