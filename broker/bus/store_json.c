/* See store_json.h.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/bus/store_json.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/bus/alloc.h"
#include "broker/bus/err.h"
#include "broker/bus/key.h"
#include "broker/bus/limits.h"

/* Whether objects and arrays stand in one another no deeper than JSON_DEPTH_MAX. */
static bool store_json_is_flat(const char *text, size_t size)
{
    size_t depth = 0;
    bool quoted = false;

    for (size_t i = 0; i < size; i++) {
        if (quoted && text[i] == '\\')
            i++;
        else if (text[i] == '"')
            quoted = !quoted;
        else if (!quoted && (text[i] == '{' || text[i] == '['))
            depth++;
        else if (!quoted && (text[i] == '}' || text[i] == ']') && depth > 0)
            depth--;
        if (depth > JSON_DEPTH_MAX)
            return false;
    }
    return true;
}

json_t *store_json_parse(const void *text, size_t size, char *why)
{
    json_error_t error;

    if (!store_json_is_flat(text, size)) {
        snprintf(why, STORE_JSON_WHY_BYTES, "objects and arrays stand too deep in one another");
        return NULL;
    }
    json_t *object = json_loadb(text, size, JSON_REJECT_DUPLICATES, &error);
    if (json_is_object(object))
        return object;
    if (object != NULL)
        snprintf(why, STORE_JSON_WHY_BYTES, "it must be a JSON object");
    else
        snprintf(why, STORE_JSON_WHY_BYTES, "line %d, column %d: %s", error.line, error.column,
                 error.text);
    json_decref(object);
    return NULL;
}

/* Visible ASCII as a key is, and shorter. */
static bool store_json_is_id(const json_t *id)
{
    size_t size = json_string_length(id);
    return json_is_string(id) && size <= REQUEST_ID_BYTES_MAX &&
           key_valid(json_string_value(id), size);
}

int store_json_request(const void *text, size_t size, json_t **request, char *why)
{
    json_t *object = store_json_parse(text, size, why);
    const json_t *id = json_object_get(object, "request_id");

    if (object == NULL)
        return ERR_MALFORMED;
    if (!json_is_string(json_object_get(object, "op"))) {
        snprintf(why, STORE_JSON_WHY_BYTES, "a request needs the member op, a string");
    } else if (id != NULL && !store_json_is_id(id)) {
        snprintf(why, STORE_JSON_WHY_BYTES, "request_id must be 1 to %d visible ASCII characters",
                 REQUEST_ID_BYTES_MAX);
    } else {
        *request = object;
        return OK;
    }
    json_decref(object);
    return ERR_INVALID;
}

bool store_json_is_bare(json_t *request)
{
    const char *name;
    json_t *value;

    json_object_foreach(request, name, value)
    {
        if (strcmp(name, "op") != 0 && strcmp(name, "request_id") != 0 &&
            strcmp(name, "secret") != 0)
            return false;
    }
    return true;
}

/* @text as JSON. It may quote what a peer sent, down to half a character: then without what is not
 * ASCII. */
static json_t *store_json_text(const char *text)
{
    json_t *string = json_string(text);

    if (string != NULL || text == NULL)
        return string;
    char *ascii = alloc_copy(text, strlen(text));
    for (char *at = ascii; *at != '\0'; at++)
        if ((unsigned char)*at > 0x7e)
            *at = '?';
    string = json_string(ascii);
    free(ascii);
    return string;
}

json_t *store_json_error(int code, const char *detail, json_t *extra)
{
    json_t *body = json_pack("{s:{s:s, s:s, s:o*}}", "error", "type", err_type(code), "title",
                             err_title(code), "detail", store_json_text(detail));

    assert(code != OK);
    assert(body != NULL);
    json_object_update(json_object_get(body, "error"), extra);
    json_decref(extra);
    return body;
}
