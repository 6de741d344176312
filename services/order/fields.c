/* See fields.h.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "services/order/fields.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "broker/bus/err.h"
#include "broker/bus/key.h"

void order_fields_fail(struct order_fields *self, int code, const char *format, ...)
{
    va_list arguments;

    if (self->code != OK)
        return;
    self->code = code;
    va_start(arguments, format);
    vsnprintf(self->detail, sizeof self->detail, format, arguments);
    va_end(arguments);
}

static bool name_among(const char *name, const char *const *names)
{
    for (; *names != NULL; names++)
        if (strcmp(name, *names) == 0)
            return true;
    return false;
}

static void order_fields_only(struct order_fields *self, json_t *object, const char *const *names,
                              const char *const *more)
{
    const char *name;
    json_t *value;

    json_object_foreach(object, name,
                        value) if (!name_among(name, names) && !name_among(name, more))
        order_fields_fail(self, ERR_INVALID, "unknown member \"%.100s\"", name);
}

void order_fields_init(struct order_fields *self, json_t *object, const char *const *names)
{
    static const char *const always[] = {"op", "request_id", "secret", NULL};

    *self = (struct order_fields){.object = object};
    order_fields_only(self, object, names, always);
}

/* Check an integer that is there. */
static int64_t order_fields_check_integer(struct order_fields *self, const char *name,
                                          const json_t *value, int64_t least, int64_t most)
{
    int64_t number = json_is_integer(value) ? json_integer_value(value) : 0;

    if (!json_is_integer(value) || number < least || number > most) {
        order_fields_fail(self, ERR_INVALID, "%s must be an integer from %" PRId64 " to %" PRId64,
                          name, least, most);
        return 0;
    }
    return number;
}

int64_t order_fields_integer(struct order_fields *self, const char *name, int64_t least,
                             int64_t most)
{
    return order_fields_check_integer(self, name, json_object_get(self->object, name), least, most);
}

int64_t order_fields_integer_or(struct order_fields *self, const char *name, int64_t least,
                                int64_t most, int64_t fallback)
{
    if (json_object_get(self->object, name) == NULL)
        return fallback;
    return order_fields_integer(self, name, least, most);
}

const char *order_fields_key_or_null(struct order_fields *self, const char *name)
{
    json_t *value = json_object_get(self->object, name);

    if (value == NULL)
        return NULL;
    if (!json_is_string(value) || !key_valid(json_string_value(value), json_string_length(value))) {
        order_fields_fail(self, ERR_INVALID, "%s must be 1 to %d visible ASCII characters", name,
                          KEY_BYTES_MAX);
        return NULL;
    }
    return json_string_value(value);
}

const char *order_fields_key(struct order_fields *self, const char *name)
{
    const char *key = order_fields_key_or_null(self, name);

    if (key == NULL)
        order_fields_fail(self, ERR_KEY_MISSING, "%s is missing", name);
    return key;
}

int64_t order_fields_cursor(struct order_fields *self, const char *name)
{
    json_t *value = json_object_get(self->object, name);
    const char *text = json_string_value(value);
    int64_t number = 0;
    size_t digits;

    if (value == NULL)
        return 0;
    digits = text != NULL ? strspn(text, "0123456789") : 0;
    if (digits < 1 || digits > 18 || digits != json_string_length(value)) {
        order_fields_fail(self, ERR_INVALID, "%s must be the \"next\" of an earlier page", name);
        return 0;
    }
    for (size_t i = 0; i < digits; i++)
        number = 10 * number + (text[i] - '0');
    return number;
}

static void order_fields_line(struct order_fields *self, const char *name, size_t index,
                              json_t *line, struct basket *basket)
{
    static const char *const names[] = {"id", "quantity", NULL};
    char place[64];

    if (!json_is_object(line)) {
        order_fields_fail(self, ERR_INVALID, "%s[%zu] must be an object", name, index);
        return;
    }
    order_fields_only(self, line, names, names);
    snprintf(place, sizeof place, "%.32s[%zu].id", name, index);
    basket->lines[index].id =
        order_fields_check_integer(self, place, json_object_get(line, "id"), 1, ITEM_ID_MAX);
    snprintf(place, sizeof place, "%.32s[%zu].quantity", name, index);
    basket->lines[index].quantity =
        order_fields_check_integer(self, place, json_object_get(line, "quantity"), 1, QUANTITY_MAX);
}

void order_fields_basket(struct order_fields *self, const char *name, struct basket *basket)
{
    json_t *lines = json_object_get(self->object, name);
    size_t count = json_array_size(lines);

    basket->count = 0;
    if (!json_is_array(lines) || count < 1 || count > ORDER_LINES_MAX) {
        order_fields_fail(self, ERR_INVALID, "%s must be an array of 1 to %d lines", name,
                          ORDER_LINES_MAX);
        return;
    }
    for (size_t i = 0; i < count; i++)
        order_fields_line(self, name, i, json_array_get(lines, i), basket);
    basket->count = count;
    if (self->code == OK && basket_normalise(basket) != OK)
        order_fields_fail(self, ERR_INVALID,
                          "the quantities of one item in %s must sum up to %d at most", name,
                          QUANTITY_MAX);
}
