/* The topics in use, counted.
 *
 * A topic is counted as it is spelt, so that its limit does not depend on what a fold (fold.h)
 * makes of it; for readers, spellings that differ in case alone are one topic.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_CATALOG_TOPICS_H
#define PYGMY_CATALOG_TOPICS_H

#include <jansson.h>
#include <stdbool.h>

#include "services/catalog/state.h"
#include "services/replica/text.h"

/* Whether an item may get this topic: it is in use, or fewer than TOPICS_MAX are. */
bool topic_has_room(struct state *state, struct text name);
/* An item has another topic now; an empty one is none. */
void topic_replace(struct state *state, struct text before, struct text after);
/* [{"topic", "items"}], in the order of their folds; of several spellings the first by bytes. */
json_t *topic_list(struct state *state);

#endif
