/* Full-text search over title, authors and topic.
 *
 * A word is a run of letters and digits; case and accents are ignored ("emile" finds "Émile").
 * Nothing that a user types is an operator: each of their words is looked for as it stands, and one
 * with punctuation inside ("harry-potter") as the words it consists of, next to each other.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_CATALOG_SEARCH_H
#define PYGMY_CATALOG_SEARCH_H

#include "broker/bus/bytes.h"
#include "services/catalog/item.h"
#include "services/catalog/state.h"
#include "services/replica/text.h"

/* Replace the words of @before by those of @after; either may be NULL. */
void search_replace(struct state *state, const struct item *before, const struct item *after);

/* Append to @match the FTS5 expression for what is looked for. It stays empty when @query and
 * @author are blank; it matches nothing when they hold no letter or digit.
 *
 * @query   words that must all occur, anywhere; the last may be the beginning of one
 * @author  words that must all occur among the authors
 * @topic   words that must also occur in the topic, next to each other: a help to the index,
 *          because whether they are the whole topic is another question; may be empty */
void search_match(struct bytes_writer *match, struct text query, struct text author,
                  struct text topic);

#endif
