/* The sessions of leased caches that the log knows (services/replica/lease_table.h): who may hold
 * what the tables say. An entry opens one, another one closes it; whoever leads finds them here.
 *
 * A session's number is the index of the entry that opened it: given once, by the log. Opening has
 * neither key nor stamp: an entry that is there twice makes two sessions, of which the one that
 * nobody uses is closed when it has been silent for long enough.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_CATALOG_SESSIONS_H
#define PYGMY_CATALOG_SESSIONS_H

#include <stddef.h>
#include <stdint.h>

#include "services/catalog/command.h"
#include "services/catalog/outcome.h"
#include "services/catalog/state.h"

/* Apply COMMAND_SESSION_OPEN. Answers {"session"}; at LEASE_SESSIONS_MAX it is refused (limit) and
 * leaves nothing. */
struct outcome *sessions_open(struct state *state, const struct command *command);
/* Apply COMMAND_SESSION_CLOSE. Answers {"closed"}: whether it was open. */
struct outcome *sessions_close(struct state *state, const struct command *command);

/* The sessions, rising, into @ids with room for @max (LEASE_SESSIONS_MAX is enough, asserted).
 * Returns how many there are. */
size_t sessions_list(struct state *state, uint64_t *ids, size_t max);

#endif
