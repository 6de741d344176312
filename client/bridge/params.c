/* See params.h.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "client/bridge/params.h"

#include <czmq.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "broker/bus/alloc.h"
#include "broker/bus/err.h"

static int params_digit(char digit)
{
    if (digit >= '0' && digit <= '9')
        return digit - '0';
    if (digit >= 'a' && digit <= 'f')
        return digit - 'a' + 10;
    if (digit >= 'A' && digit <= 'F')
        return digit - 'A' + 10;
    return -1;
}

/* What is wrong with decoded text, or NULL. */
static const char *params_check_text(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f)
            return "there is a control character in it";
    json_t *string = json_stringn(text, len); /* NULL unless it is UTF-8 */
    bool utf8 = string != NULL;
    json_decref(string);
    return utf8 ? NULL : "it is not UTF-8";
}

int params_decode(const char *text, size_t len, bool plus, char **decoded, const char **why)
{
    char *out = alloc_zero(len + 1);
    size_t size = 0;
    const char *wrong = NULL;

    for (size_t i = 0; i < len && wrong == NULL; i++) {
        if (text[i] == '+' && plus) {
            out[size++] = ' ';
        } else if (text[i] != '%') {
            out[size++] = text[i];
        } else if (len - i < 3 || params_digit(text[i + 1]) < 0 || params_digit(text[i + 2]) < 0) {
            wrong = "a '%' must be followed by two hexadecimal digits";
        } else {
            out[size++] = (char)(params_digit(text[i + 1]) * 16 + params_digit(text[i + 2]));
            i += 2;
        }
    }
    if (wrong == NULL)
        wrong = params_check_text(out, size);
    if (wrong == NULL) {
        *decoded = out;
        return 0;
    }
    free(out);
    *why = wrong;
    return ERR_INVALID;
}

void params_encode(struct bytes_writer *out, const char *text)
{
    static const char digits[] = "0123456789ABCDEF";
    static const char plain[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~";

    for (; *text != '\0'; text++) {
        if (strchr(plain, *text) != NULL) {
            bytes_put_u8(out, (uint8_t)*text);
            continue;
        }
        bytes_put_u8(out, '%');
        bytes_put_u8(out, (uint8_t)digits[(unsigned char)*text >> 4]);
        bytes_put_u8(out, (uint8_t)digits[(unsigned char)*text & 15]);
    }
}

bool params_number(const char *text, int64_t min, int64_t max, int64_t *number)
{
    size_t len = strlen(text);
    int64_t value = 0;

    /* 18 digits fit an int64_t. */
    if (len < 1 || len > 18 || strspn(text, "0123456789") != len || (len > 1 && text[0] == '0'))
        return false;
    for (size_t i = 0; i < len; i++)
        value = value * 10 + (text[i] - '0');
    if (value < min || value > max)
        return false;
    *number = value;
    return true;
}

static bool params_is_known(const char *name, const char *const *known)
{
    for (; known != NULL && *known != NULL; known++)
        if (strcmp(*known, name) == 0)
            return true;
    return false;
}

/* Read one "name=value" of @len bytes. */
static int params_query_add(struct params_query *self, const char *text, size_t len,
                            const char *const *known, char **error)
{
    const char *equals = memchr(text, '=', len);
    size_t name_len = equals != NULL ? (size_t)(equals - text) : len;
    char *name = NULL;
    char *value = NULL;
    const char *why = NULL;

    if (params_decode(text, name_len, true, &name, &why) != 0)
        *error = zsys_sprintf("a query parameter's name: %s", why);
    else if (!params_is_known(name, known))
        *error = zsys_sprintf("there is no query parameter \"%s\" here", name);
    else if (params_query_get(self, name) != NULL)
        *error = zsys_sprintf("the query parameter \"%s\" is there twice", name);
    else if (params_decode(equals != NULL ? equals + 1 : "",
                           equals != NULL ? len - name_len - 1 : 0, true, &value, &why) != 0)
        *error = zsys_sprintf("query parameter \"%s\": %s", name, why);
    if (value == NULL) {
        free(name);
        return ERR_INVALID;
    }
    /* As each name is known and stands there once, there are no more than known ones. */
    assert(self->count < HTTP_PARAMETERS_MAX);
    self->items[self->count].name = name;
    self->items[self->count++].value = value;
    return 0;
}

int params_query_read(struct params_query *self, const char *text, const char *const *known,
                      char **error)
{
    int rc = 0;
    *self = (struct params_query){0};
    while (*text != '\0' && rc == 0) {
        size_t len = strcspn(text, "&");
        if (len > 0)
            rc = params_query_add(self, text, len, known, error);
        text += len + (text[len] == '&');
    }
    return rc;
}

void params_query_close(struct params_query *self)
{
    for (size_t i = 0; i < self->count; i++) {
        free(self->items[i].name);
        free(self->items[i].value);
    }
    *self = (struct params_query){0};
}

const char *params_query_get(const struct params_query *self, const char *name)
{
    for (size_t i = 0; i < self->count; i++)
        if (strcmp(self->items[i].name, name) == 0)
            return self->items[i].value;
    return NULL;
}
