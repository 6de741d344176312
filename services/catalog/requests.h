/* From a write's JSON to its command: everything that can be said without the tables is checked
 * here, so that what is wrong never gets into the log.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_CATALOG_REQUESTS_H
#define PYGMY_CATALOG_REQUESTS_H

#include <jansson.h>

#include "services/catalog/command.h"
#include "services/catalog/outcome.h"

/* Read the request of a write (docs/protocol.md). Texts of @command point into @request.
 *
 * Returns NULL and the command (command_close() it), or the refusal: invalid, key-missing,
 * not-implemented. */
struct outcome *request_read(json_t *request, struct command *command);

#endif
