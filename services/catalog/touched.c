/* See touched.h.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "services/catalog/touched.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/bus/alloc.h"
#include "broker/bus/limits.h"
#include "services/catalog/item.h"

#define ITEM_KEY  "item:"
#define TOPIC_KEY "topic:"

/* "item:", a decimal number, a NUL. */
#define ITEM_KEY_BYTES (sizeof ITEM_KEY + 20)

bool touched_needs_order(const struct command *command)
{
    switch (command->op) {
    case COMMAND_ITEM_ADD:
    case COMMAND_ITEM_REMOVE:
    case COMMAND_IMPORT: return true;
    case COMMAND_ITEM_EDIT: return (command->item.fields & COMMAND_TOPIC) != 0;
    default: return false;
    }
}

char *touched_topic_key(struct state *state, struct text topic)
{
    const size_t begin = sizeof TOPIC_KEY - 1;
    const struct text fold = state_fold(state, topic);
    char *key = alloc_zero(begin + fold.size + 1);

    memcpy(key, TOPIC_KEY, begin);
    memcpy(key + begin, fold.data, fold.size);
    return key;
}

/* ---- One by one ------------------------------------------------------------------------------ */

static void touched_item(struct lease_keys *keys, int64_t id)
{
    char *key = alloc_zero(ITEM_KEY_BYTES);

    (void)snprintf(key, ITEM_KEY_BYTES, ITEM_KEY "%" PRId64, id);
    keys->keys[keys->count++] = key;
}

/* An empty one is none. */
static void touched_topic(struct lease_keys *keys, struct state *state, struct text topic)
{
    if (topic.size > 0)
        keys->keys[keys->count++] = touched_topic_key(state, topic);
}

/* An item that is there leaves its topic for another one, or for none; one that is not there comes
 * to a topic, if it comes at all. As they are spelt: whatever a fold makes of it, the same spelling
 * is the same topic. */
static void touched_membership(struct lease_keys *keys, struct state *state,
                               const struct command_item *row)
{
    struct item item;
    const bool present = item_find_present(state, row->id, &item);
    const struct text before = present ? text_of(item.topic) : TEXT("");

    if (text_equal(before, row->topic))
        return;
    touched_topic(keys, state, before);
    touched_topic(keys, state, row->topic);
}

/* @removed: its topic is then none. */
static void touched_row(struct lease_keys *keys, struct state *state,
                        const struct command_item *row, bool removed)
{
    touched_item(keys, row->id);
    if (removed || row->fields & COMMAND_TOPIC)
        touched_membership(keys, state, row);
}

/* ---- All of a command ------------------------------------------------------------------------ */

/* Items that it names. */
static size_t touched_count(const struct command *command)
{
    switch (command->op) {
    case COMMAND_ITEM_ADD:
    case COMMAND_ITEM_EDIT:
    case COMMAND_ITEM_REMOVE:
    case COMMAND_STOCK: return 1;
    case COMMAND_IMPORT:
    case COMMAND_RESERVE:
    case COMMAND_UNDO:
    case COMMAND_RESTOCK: return command->count;
    case COMMAND_SETTLE:
    case COMMAND_CLOSE:
    case COMMAND_TICK:
    case COMMAND_SESSION_OPEN:
    case COMMAND_SESSION_CLOSE: return 0;
    case COMMAND_OPS: break;
    }
    assert(false);
    return 0;
}

/* The keys of item @i of them. */
static void touched_add(struct lease_keys *keys, struct state *state, const struct command *command,
                        size_t i)
{
    switch (command->op) {
    case COMMAND_ITEM_ADD:
    case COMMAND_ITEM_EDIT: touched_row(keys, state, &command->item, false); return;
    case COMMAND_ITEM_REMOVE: touched_row(keys, state, &command->item, true); return;
    case COMMAND_STOCK: touched_item(keys, command->item.id); return;
    case COMMAND_IMPORT: touched_row(keys, state, &command->rows[i], false); return;
    case COMMAND_RESERVE:
    case COMMAND_UNDO: touched_item(keys, command->lines[i].id); return;
    case COMMAND_RESTOCK: touched_item(keys, command->ids[i]); return;
    default: assert(false);
    }
}

static int touched_compare(const void *one, const void *other)
{
    return strcmp(*(char *const *)one, *(char *const *)other);
}

/* Each once. */
static void touched_unite(struct lease_keys *keys)
{
    size_t kept = 0;

    if (keys->count < 2)
        return;
    qsort(keys->keys, keys->count, sizeof keys->keys[0], touched_compare);
    for (size_t i = 0; i < keys->count; i++) {
        if (kept > 0 && strcmp(keys->keys[kept - 1], keys->keys[i]) == 0)
            free(keys->keys[i]);
        else
            keys->keys[kept++] = keys->keys[i];
    }
    keys->count = kept;
}

void touched_keys(struct state *state, const struct command *command, struct lease_keys *keys)
{
    const size_t items = touched_count(command);

    *keys = (struct lease_keys){0};
    if (items > LEASE_KEYS_MAX) { /* whatever else it changes */
        keys->all = true;
        return;
    }
    keys->keys = alloc_zero((3 * items + 1) * sizeof keys->keys[0]); /* with two topics each */
    for (size_t i = 0; i < items; i++)
        touched_add(keys, state, command, i);
    touched_unite(keys);
    if (keys->count > LEASE_KEYS_MAX) {
        touched_close(keys);
        keys->all = true;
    }
}

void touched_close(struct lease_keys *keys)
{
    for (size_t i = 0; i < keys->count; i++)
        free(keys->keys[i]);
    free(keys->keys);
    *keys = (struct lease_keys){0};
}
