/* See cached_values.h.
 *
 * Values stand anywhere in memory, so numbers are copied out of them.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "client/store/cached_values.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "broker/bus/alloc.h"
#include "broker/bus/err.h"
#include "broker/bus/limits.h"

/* What an item's value begins with. Its text and a NUL follow. */
struct item_head {
    int64_t version; /* ABSENT: there is no such item */
};

#define ABSENT INT64_C(-1)

static_assert(CONFIG_CACHE_BYTES_MIN >= 2 * TOPIC_IDS_MAX * sizeof(int64_t),
              "the longest list fits, and some of its items");

/* ---- Items ----------------------------------------------------------------------------------- */

/* By hand: it is made for each read. */
const char *cached_item_key(int64_t id, char *text)
{
    static const char prefix[] = "item:";
    char *at = &text[CACHED_KEY_BYTES - 1];
    assert(id >= 0);
    *at = '\0';
    do {
        *--at = (char)('0' + id % 10);
        id /= 10;
    } while (id > 0);
    at -= sizeof prefix - 1;
    return memcpy(at, prefix, sizeof prefix - 1);
}

static void *item_value_of(const json_t *json, int64_t version, size_t *size)
{
    char *text = json_dumps(json, JSON_COMPACT);
    if (text == NULL)
        return NULL;
    const struct item_head head = {version};
    const size_t length = strlen(text) + 1;
    char *value = alloc_zero(sizeof head + length);
    memcpy(value, &head, sizeof head);
    memcpy(value + sizeof head, text, length);
    free(text);
    *size = sizeof head + length;
    return value;
}

/* The store's words, less the time at which it said them. */
static void *absent_value_of(json_t *error, size_t *size)
{
    json_t *words = json_copy(error);
    json_object_del(words, "log_time");
    void *value = item_value_of(words, ABSENT, size);
    json_decref(words);
    return value;
}

void *cached_item_value(const struct pygmy_reply *reply, int64_t id, size_t *size)
{
    if (reply->code == ERR_NOT_FOUND) {
        json_t *error = json_object_get(reply->body, "error");
        return json_is_object(error) ? absent_value_of(error, size) : NULL;
    }
    const json_t *item = json_object_get(reply->body, "item");
    const json_t *version = json_object_get(item, "version");
    if (reply->code != OK || !json_is_integer(version) || json_integer_value(version) < 0 ||
        json_integer_value(json_object_get(item, "id")) != id)
        return NULL;
    return item_value_of(item, json_integer_value(version), size);
}

void cached_item_read(const struct leased_value *value, struct pygmy_cached *item)
{
    struct item_head head;
    assert(value->size > sizeof head);
    memcpy(&head, value->data, sizeof head);
    item->present = head.version != ABSENT;
    item->version = item->present ? head.version : 0;
    item->text = (const char *)value->data + sizeof head;
    item->size = value->size - sizeof head - 1;
}

json_t *cached_item_body(const struct pygmy_cached *item)
{
    json_t *json = json_loadb(item->text, item->size, 0, NULL);
    assert(json != NULL);
    return json_pack("{so}", item->present ? "item" : "error", json);
}

/* ---- Lists ----------------------------------------------------------------------------------- */

void *cached_list_value(const struct pygmy_reply *reply, const char *key, size_t *size)
{
    const char *its_key = json_string_value(json_object_get(reply->body, "key"));
    const json_t *ids = json_object_get(reply->body, "ids");
    const size_t count = json_array_size(ids);
    if (reply->code != OK || !json_is_array(ids) || its_key == NULL ||
        (key != NULL && strcmp(key, its_key) != 0))
        return NULL;
    int64_t *value = alloc_zero((count + 1) * sizeof *value);
    for (size_t i = 0; i < count; i++) {
        value[i] = json_integer_value(json_array_get(ids, i));
        if (value[i] <= (i > 0 ? value[i - 1] : 0)) {
            free(value);
            return NULL;
        }
    }
    *size = count * sizeof *value;
    return value;
}

size_t cached_list_count(const struct leased_value *value)
{
    return value->size / sizeof(int64_t);
}

int64_t cached_list_id(const struct leased_value *value, size_t place)
{
    int64_t id;
    memcpy(&id, (const char *)value->data + place * sizeof id, sizeof id);
    return id;
}
