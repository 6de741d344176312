/* What "case ignored" means: two texts are equal when their folds are.
 *
 * The fold replaces each character by its simple (one to one) Unicode case folding: E and e, É and
 * é, Σ and σ, Ж and ж are the same; É and E, ß and ss, and a letter written in one code point or
 * with a combining accent are not. It does not depend on the locale. SQLite has the table in its
 * full-text tokenizer, and nowhere else in reach; so the tokenizer is told that every character
 * belongs to a word and that accents stay, and hands the whole text back as one folded word.
 *
 * A fold is an index over a text, made anew by each replica; replicas of different versions of
 * SQLite may differ in it, and nothing that the log decides depends on it.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_CATALOG_FOLD_H
#define PYGMY_CATALOG_FOLD_H

#include <sqlite3.h>

#include "broker/bus/bytes.h"
#include "services/replica/text.h"

struct fold;

/* Take the tokenizer of @database, which must outlive this; NULL when it was built without FTS5. */
struct fold *fold_new(sqlite3 *database);
/* Accepts NULL. */
void fold_destroy(struct fold **self_p);

/* The fold of @text, valid until the next call. */
struct text fold_text(struct fold *self, struct text text);

#endif
