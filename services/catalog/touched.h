/* What a command may change, as the keys of leased caches (services/replica/lease_table.h):
 *
 *   item:ID      the item of that id, or that there is none: all that lookup says of it
 *   topic:FOLD   which ids a topic has, FOLD being the fold (fold.h) of its spelling
 *
 * Whatever a command changes of an item or a topic stands among its keys; more may stand there, and
 * costs an approval. Which topic an item leaves stands in the tables, and not in the command: so
 * commands that change topics are looked at one after the other, each when the ones before it are
 * applied (touched_needs_order). What comes between them changes no topic.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_CATALOG_TOUCHED_H
#define PYGMY_CATALOG_TOUCHED_H

#include <stdbool.h>

#include "services/catalog/command.h"
#include "services/catalog/state.h"
#include "services/replica/lease_table.h"

/* Whether the keys depend on the tables: they are then to be found when no other such command of
 * this replica's term is between here and its apply. */
bool touched_needs_order(const struct command *command);

/* The keys of @command, to be given to touched_close(): each once, at most LEASE_KEYS_MAX, above it
 * "all"; none for what changes neither items nor topics. */
void touched_keys(struct state *state, const struct command *command, struct lease_keys *keys);
/* Free what touched_keys() found; it is zero afterwards. */
void touched_close(struct lease_keys *keys);

/* The key of a topic by that spelling; the caller's to free(). */
char *touched_topic_key(struct state *state, struct text topic);

#endif
