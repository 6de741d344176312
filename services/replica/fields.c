/* See fields.h.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "services/replica/fields.h"

#include <assert.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "broker/bus/err.h"
#include "broker/bus/key.h"
#include "broker/bus/limits.h"

/* A name that we did not choose is shown up to here. */
#define FIELDS_NAME_BYTES 64

static void fields_know(struct fields *self, const char *name)
{
    assert(self->name_count < FIELDS_MAX);
    self->names[self->name_count++] = name;
}

void fields_init(struct fields *self, json_t *request)
{
    *self = (struct fields){.object = request};
    fields_know(self, "op");
    fields_know(self, "request_id");
    fields_know(self, "secret");
    if (!json_is_object(request))
        fields_fail(self, "", "the request must be an object");
}

static void fields_init_part(struct fields *self, json_t *json)
{
    self->object = json;
    if (!json_is_object(json))
        fields_fail(self, "", "must be an object");
}

void fields_init_member(struct fields *self, json_t *json, const char *name)
{
    *self = (struct fields){0};
    (void)snprintf(self->path, sizeof self->path, "%s", name);
    fields_init_part(self, json);
}

void fields_init_element(struct fields *self, json_t *json, const char *name, size_t index)
{
    *self = (struct fields){0};
    (void)snprintf(self->path, sizeof self->path, "%s[%zu]", name, index);
    fields_init_part(self, json);
}

/* Keep the first failure: "lines[1].quantity must be ...". */
void fields_fail(struct fields *self, const char *name, const char *format, ...)
{
    if (self->code != OK)
        return;
    const char *dot = self->path[0] != '\0' && name[0] != '\0' ? "." : "";
    const char *blank = self->path[0] != '\0' || name[0] != '\0' ? " " : "";
    int size =
        snprintf(self->detail, sizeof self->detail, "%s%s%s%s", self->path, dot, name, blank);
    assert(size >= 0 && (size_t)size < sizeof self->detail);

    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(self->detail + size, sizeof self->detail - (size_t)size, format, arguments);
    va_end(arguments);
    self->code = ERR_INVALID;
}

void fields_fail_as(struct fields *self, const struct fields *part)
{
    if (self->code != OK || part->code == OK)
        return;
    self->code = part->code;
    memcpy(self->detail, part->detail, sizeof self->detail);
}

json_t *fields_any(struct fields *self, const char *name)
{
    fields_know(self, name);
    return self->code == OK ? json_object_get(self->object, name) : NULL;
}

bool fields_integer_optional(struct fields *self, const char *name, int64_t min, int64_t max,
                             int64_t *value)
{
    json_t *json = fields_any(self, name);
    if (json == NULL)
        return false;
    if (!json_is_integer(json) || json_integer_value(json) < min ||
        json_integer_value(json) > max) {
        fields_fail(self, name, "must be an integer from %" PRId64 " to %" PRId64, min, max);
        return false;
    }
    *value = json_integer_value(json);
    return true;
}

bool fields_integer(struct fields *self, const char *name, int64_t min, int64_t max, int64_t *value)
{
    bool given = fields_integer_optional(self, name, min, max, value);
    if (!given)
        fields_fail(self, name, "is missing");
    return given;
}

bool fields_text_optional(struct fields *self, const char *name, size_t min, size_t max,
                          struct text *text)
{
    json_t *json = fields_any(self, name);
    if (json == NULL)
        return false;
    struct text found = {json_string_value(json), json_string_length(json)};
    if (!json_is_string(json) || found.size < min || found.size > max) {
        fields_fail(self, name, "must be a string of %zu to %zu bytes", min, max);
        return false;
    }
    if (!text_plain(found)) {
        fields_fail(self, name, "must not have control characters");
        return false;
    }
    *text = found;
    return true;
}

bool fields_text(struct fields *self, const char *name, size_t min, size_t max, struct text *text)
{
    bool given = fields_text_optional(self, name, min, max, text);
    if (!given)
        fields_fail(self, name, "is missing");
    return given;
}

bool fields_key_optional(struct fields *self, const char *name, struct text *key)
{
    json_t *json = fields_any(self, name);
    if (json == NULL)
        return false;
    if (!json_is_string(json) || !key_valid(json_string_value(json), json_string_length(json))) {
        fields_fail(self, name, "must be a string of 1 to %d visible ASCII characters",
                    KEY_BYTES_MAX);
        return false;
    }
    *key = (struct text){json_string_value(json), json_string_length(json)};
    return true;
}

bool fields_key(struct fields *self, const char *name, struct text *key)
{
    bool given = fields_key_optional(self, name, key);
    if (!given && self->code == OK) {
        fields_fail(self, name, "is missing");
        self->code = ERR_KEY_MISSING;
    }
    return given;
}

json_t *fields_array(struct fields *self, const char *name, size_t min, size_t max)
{
    json_t *json = fields_any(self, name);
    if (json == NULL)
        fields_fail(self, name, "is missing");
    else if (!json_is_array(json) || json_array_size(json) < min || json_array_size(json) > max)
        fields_fail(self, name, "must be an array of %zu to %zu elements", min, max);
    return self->code == OK ? json : NULL;
}

static bool fields_knows(const struct fields *self, const char *name)
{
    for (size_t i = 0; i < self->name_count; i++)
        if (strcmp(self->names[i], name) == 0)
            return true;
    return false;
}

int fields_end(struct fields *self)
{
    const char *name;
    json_t *value;

    if (self->code != OK)
        return self->code;
    json_object_foreach(self->object, name, value)
    {
        if (fields_knows(self, name))
            continue;
        struct text shown = text_cut(text_of(name), FIELDS_NAME_BYTES);
        char copy[FIELDS_NAME_BYTES + 1];
        text_copy(shown, copy, sizeof copy);
        fields_fail(self, copy, "is not a member that is known here");
        break;
    }
    return self->code;
}
