/* Paths, queries and numbers of a request, decoded and checked. Pure.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_BRIDGE_PARAMS_H
#define PYGMY_BRIDGE_PARAMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "broker/bus/bytes.h"
#include "broker/bus/limits.h"

/* Decode %HH, and '+' as a blank where @plus is set (queries).
 *
 * @decoded  valid UTF-8 without control characters, the caller's to free()
 * @why      on failure a sentence
 *
 * Returns 0 or ERR_INVALID. */
int params_decode(const char *text, size_t len, bool plus, char **decoded, const char **why);

/* Append @text so that it can stand in a query: all but unreserved characters as %HH. */
void params_encode(struct bytes_writer *out, const char *text);

/* A whole decimal number from @min to @max: digits, without leading zeros; no sign, as none of ours
 * is below zero. Returns false, and leaves @number, when it is none. */
bool params_number(const char *text, int64_t min, int64_t max, int64_t *number);

struct params_query {
    size_t count;
    struct {
        char *name;
        char *value;
    } items[HTTP_PARAMETERS_MAX];
};

/* Take a query ("a=1&b=2", without '?') apart.
 *
 * @known  names that may occur, each once; NULL ends them, and NULL alone: none
 * @error  on failure a sentence that names the parameter, the caller's to free()
 *
 * Returns 0 or ERR_INVALID; params_query_close() in both cases. */
int params_query_read(struct params_query *self, const char *text, const char *const *known,
                      char **error);
void params_query_close(struct params_query *self);
/* The value, "" when it has none, NULL when it is not there. */
const char *params_query_get(const struct params_query *self, const char *name);

#endif
