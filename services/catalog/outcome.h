/* What an operation came to: an answer, or an error with what was wrong.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_CATALOG_OUTCOME_H
#define PYGMY_CATALOG_OUTCOME_H

#include <jansson.h>
#include <stdbool.h>

#include "services/replica/fields.h"

struct outcome {
    int code;      /* OK, or an error of broker/bus/err.h */
    bool replayed; /* the key was known: this is what the first was answered */
    json_t *body;  /* the answer's members; of an error "detail" (a sentence) and the members that
                      belong to its kind */
};

/* An answer; @body is taken over. */
struct outcome *outcome_answer(json_t *body);
/* An error. @extra (taken over) is an object with the members of its kind, or NULL; the detail is
 * printed as by printf. */
struct outcome *outcome_refuse(int code, json_t *extra, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* What is wrong with a request that was read, or NULL: as fields_end(), to be called once all members
 * were asked for. */
struct outcome *outcome_of_fields(struct fields *fields);
/* A recorded one, from its code and the text that outcome_text() made. */
struct outcome *outcome_replay(int code, const char *text, size_t size);
/* Accepts NULL. */
void outcome_destroy(struct outcome **self_p);
/* The body as text, the caller's to free(). */
char *outcome_text(const struct outcome *self);

#endif
