/* Read the members of a JSON object one by one, with their bounds, and say exactly what is wrong.
 *
 * The first thing that is wrong is kept, and every later read does nothing; so a reader reads all
 * it wants and asks once, with fields_end(), which also refuses members that nobody asked for.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_REPLICA_FIELDS_H
#define PYGMY_REPLICA_FIELDS_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "services/replica/text.h"

/* Members of one object that are read; no operation has more. */
#define FIELDS_MAX 24

struct fields {
    json_t *object;                /* borrowed */
    char path[32];                 /* before a member's name in a sentence: "lines[1]." or "" */
    const char *names[FIELDS_MAX]; /* asked for so far */
    size_t name_count;
    int code;         /* OK so far, or what fields_end() will return */
    char detail[320]; /* what was wrong, and where */
};

/* Read a request, which may also have op, request_id and secret. */
void fields_init(struct fields *self, json_t *request);
/* Read a part of one: the object that is member @name, or element @index of the array @name. */
void fields_init_member(struct fields *self, json_t *json, const char *name);
void fields_init_element(struct fields *self, json_t *json, const char *name, size_t index);

/* An integer (a fraction of 0 or an exponent make it none) from @min to @max. False, and
 * @value untouched: it is wrong, or an optional one that is absent. */
bool fields_integer(struct fields *self, const char *name, int64_t min, int64_t max,
                    int64_t *value);
bool fields_integer_optional(struct fields *self, const char *name, int64_t min, int64_t max,
                             int64_t *value);
/* A string without control characters of @min to @max bytes; it is the object's, with a NUL behind
 * it. */
bool fields_text(struct fields *self, const char *name, size_t min, size_t max, struct text *text);
bool fields_text_optional(struct fields *self, const char *name, size_t min, size_t max,
                          struct text *text);
/* An idempotency key; an absent one is ERR_KEY_MISSING. */
bool fields_key(struct fields *self, const char *name, struct text *key);
bool fields_key_optional(struct fields *self, const char *name, struct text *key);
/* An array of @min to @max elements, or NULL. */
json_t *fields_array(struct fields *self, const char *name, size_t min, size_t max);
/* Whatever stands there, or NULL: the caller checks it. */
json_t *fields_any(struct fields *self, const char *name);

/* Something else is wrong with member @name ("" for the object): what is printed is the rest of a
 * sentence that begins with it. */
void fields_fail(struct fields *self, const char *name, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Take over what is wrong with a part of it. */
void fields_fail_as(struct fields *self, const struct fields *part);

/* Returns OK, ERR_INVALID or ERR_KEY_MISSING. */
int fields_end(struct fields *self);

#endif
