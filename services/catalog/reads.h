/* The reads of the catalog: from the request's JSON to the answer, over the tables as they are.
 *
 * Each is bounded: by PAGE_MAX rows and PAGE_BYTES_MAX bytes, or by TOPICS_MAX.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_CATALOG_READS_H
#define PYGMY_CATALOG_READS_H

#include <jansson.h>
#include <stdint.h>

#include "services/catalog/outcome.h"
#include "services/catalog/state.h"
#include "services/replica/changes.h"

/* Answer a read (docs/protocol.md) other than audit.
 *
 * @log_time_ms  as answers say it (machine_log_time_ms)
 *
 * Never NULL; of an unknown operation not-implemented. */
struct outcome *read_answer(struct state *state, json_t *request, int64_t log_time_ms);

/* Fill a page of the stream of changes (docs/protocol.md): items, also those that were removed, by
 * version and id. */
void read_changes(struct state *state, struct changes_page *page);

#endif
