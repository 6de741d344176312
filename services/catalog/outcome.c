/* See outcome.h.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "services/catalog/outcome.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "broker/bus/alloc.h"
#include "broker/bus/err.h"

static struct outcome *outcome_new(int code, json_t *body)
{
    assert(json_is_object(body));
    struct outcome *self = alloc_zero(sizeof *self);
    self->code = code;
    self->body = body;
    return self;
}

struct outcome *outcome_answer(json_t *body)
{
    return outcome_new(OK, body);
}

struct outcome *outcome_refuse(int code, json_t *extra, const char *format, ...)
{
    char detail[512];
    va_list arguments;

    assert(code != OK);
    va_start(arguments, format);
    int size = vsnprintf(detail, sizeof detail, format, arguments);
    va_end(arguments);
    assert(size >= 0 && (size_t)size < sizeof detail);

    json_t *body = extra != NULL ? extra : json_object();
    json_object_set_new(body, "detail", json_string(detail));
    return outcome_new(code, body);
}

struct outcome *outcome_of_fields(struct fields *fields)
{
    int code = fields_end(fields);
    return code != OK ? outcome_refuse(code, NULL, "%s", fields->detail) : NULL;
}

struct outcome *outcome_replay(int code, const char *text, size_t size)
{
    struct outcome *self = outcome_new(code, json_loadb(text, size, 0, NULL));
    self->replayed = true;
    return self;
}

void outcome_destroy(struct outcome **self_p)
{
    struct outcome *self = *self_p;
    if (self == NULL)
        return;
    json_decref(self->body);
    free(self);
    *self_p = NULL;
}

char *outcome_text(const struct outcome *self)
{
    char *text = json_dumps(self->body, JSON_COMPACT);
    assert(text != NULL);
    return text;
}
