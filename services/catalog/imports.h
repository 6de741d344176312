/* Apply COMMAND_IMPORT: up to IMPORT_ROWS_MAX items, all or nothing.
 *
 * A new id (or one that was removed) gets the row's fields, with the defaults for what it does not
 * name; of an id that is present, only what the row names is changed, and a row that changes
 * nothing counts as unchanged and leaves the version. A stock that is named is set by a movement.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_CATALOG_IMPORTS_H
#define PYGMY_CATALOG_IMPORTS_H

#include "services/catalog/command.h"
#include "services/catalog/outcome.h"
#include "services/catalog/state.h"

/* Returns {"added", "changed", "unchanged"}, or a refusal with the member `row`. */
struct outcome *imports_apply(struct state *state, const struct command *command);

#endif
