/* Keys of the lease table: see lease_table.h and lease_internal.h.
 *
 *   quiet -> approving -> pending -> quiet
 *        \-> pending (nobody is there who could hold it, or all keys are pending)
 *
 * Keys that one write brings are told of in one message, and become pending together.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <string.h>

#include "broker/bus/alloc.h"
#include "services/replica/lease_internal.h"

void key_free(void **item)
{
    struct lease_key *self = *item;

    free(self->name);
    free(self);
    *item = NULL;
}

/* ---- Names --------------------------------------------------------------------------------- */

static void keys_append(struct lease_keys *self, const struct lease_key *key)
{
    if (key->name == NULL)
        self->all = true;
    else
        self->keys[self->count++] = alloc_copy(key->name, strlen(key->name));
}

struct lease_keys keys_copy(struct lease_key *const *keys, size_t count)
{
    struct lease_keys copy = {.keys = alloc_zero((count + 1) * sizeof *copy.keys)};

    for (size_t i = 0; i < count; i++)
        keys_append(&copy, keys[i]);
    return copy;
}

/* Those that have a name. */
static struct lease_keys keys_named(const struct lease_table *self)
{
    const size_t count = zhashx_size(self->keys);
    struct lease_keys copy = {.keys = alloc_zero((count + 1) * sizeof *copy.keys)};
    struct lease_key *key;

    for (key = zhashx_first(self->keys); key != NULL; key = zhashx_next(self->keys))
        keys_append(&copy, key);
    return copy;
}

struct lease_keys keys_not_quiet(const struct lease_table *self)
{
    if (self->all.state == KEY_QUIET)
        return keys_named(self);
    return (struct lease_keys){.all = true};
}

bool keys_pending(const struct lease_table *self, const struct lease_keys *keys)
{
    if (self->all.state != KEY_QUIET || keys->all)
        return self->all.state == KEY_PENDING;
    for (size_t i = 0; i < keys->count; i++) {
        const struct lease_key *key = zhashx_lookup(self->keys, keys->keys[i]);
        if (key == NULL || key->state != KEY_PENDING)
            return false;
    }
    return true;
}

/* ---- What a write needs -------------------------------------------------------------------- */

/* The key of that name, made if it was quiet; NULL: there is no room for it. */
static struct lease_key *keys_claim(struct lease_table *self, const char *name)
{
    struct lease_key *key = zhashx_lookup(self->keys, name);
    int rc;

    if (key != NULL || zhashx_size(self->keys) == LEASE_KEYS_MAX)
        return key;
    key = alloc_zero(sizeof *key);
    key->name = alloc_copy(name, strlen(name));
    rc = zhashx_insert(self->keys, key->name, key);
    assert(rc == 0);
    return key;
}

/* Whether they all found room. Whatever is left of a try that failed is absorbed with the
 * others. */
static bool keys_collect(struct lease_table *self, struct lease_write *write,
                         const struct lease_keys *keys)
{
    const uint64_t mark = ++self->last_mark;

    for (size_t i = 0; i < keys->count; i++) {
        struct lease_key *key = keys_claim(self, keys->keys[i]);
        if (key == NULL)
            return false;
        if (key->mark != mark)
            write->keys[write->key_count++] = key;
        key->mark = mark;
    }
    return true;
}

/* "All keys" takes the place of those that are not quiet. Whoever waits for one of them waits
 * for it from now on; and it is not released before the writes of all of them are applied (B6). */
static void keys_absorb(struct lease_table *self)
{
    assert(self->all.state != KEY_APPROVING);
    self->all.waiting = 0;
    self->all.flying = 0;
    writes_absorb(self);
    if (self->all.state == KEY_QUIET)
        self->approving_count = 0;
    assert(self->approving_count == 0);
    zhashx_purge(self->keys);
}

void keys_take(struct lease_table *self, struct lease_write *write, const struct lease_keys *keys)
{
    const bool named = !keys->all && self->all.state != KEY_APPROVING;
    const size_t room = keys->count < LEASE_KEYS_MAX ? keys->count : LEASE_KEYS_MAX;

    write->keys = alloc_zero((room + 1) * sizeof(struct lease_key *));
    if (keys->count == 0 && !keys->all)
        return;
    if (!named || !keys_collect(self, write, keys)) {
        if (self->all.state == KEY_QUIET || named)
            keys_absorb(self);
        write->keys[0] = &self->all;
        write->key_count = 1;
    }
    for (size_t i = 0; i < write->key_count; i++) {
        write->keys[i]->waiting++;
        self->spared += write->keys[i]->state == KEY_PENDING;
    }
}

/* ---- Approval ------------------------------------------------------------------------------ */

/* Its quiet time begins, if no write waits for it or is in flight (B6). */
void key_idle(struct lease_table *self, struct lease_key *key, int64_t now_ms)
{
    if (key->state != KEY_PENDING || key->waiting + key->flying > 0)
        return;
    key->idle_ms = now_ms;
    table_due(self, now_ms + LEASE_QUIET_MS);
}

static void key_pend(struct lease_table *self, struct lease_key *key, int64_t now_ms)
{
    /* What is in flight of "all keys" was of keys that it has absorbed. */
    assert(key->state != KEY_PENDING && (key->name == NULL || key->flying == 0));
    key->state = KEY_PENDING;
    key_idle(self, key, now_ms);
}

/* B2. Nobody needs to be told who holds nothing: a session that syncs later is told of it then. Nor
 * while all keys are pending: the name is told before these are released. */
void keys_tell(struct lease_table *self, const struct lease_write *write, int64_t now_ms)
{
    struct lease_key *told[LEASE_KEYS_MAX];
    size_t count = 0;

    for (size_t i = 0; i < write->key_count; i++) {
        if (write->keys[i]->state != KEY_QUIET)
            continue;
        if (self->holder_count == 0 || self->all.state == KEY_PENDING)
            key_pend(self, write->keys[i], now_ms);
        else
            told[count++] = write->keys[i];
    }
    if (count == 0)
        return;
    struct lease_action *action = table_publish(self, LEASE_INVALIDATE, now_ms);
    action->keys = keys_copy(told, count);
    for (size_t i = 0; i < count; i++) {
        told[i]->state = KEY_APPROVING;
        told[i]->seq = action->seq;
        told[i]->told_ms = now_ms;
        told[i]->sent_ms = now_ms;
        assert(self->approving_count < LEASE_KEYS_MAX);
        self->approving[self->approving_count++] = told[i];
    }
    self->approvals += count;
    table_due(self, now_ms + LEASE_REPEAT_MS);
}

bool keys_approve(struct lease_table *self, uint64_t acked, int64_t now_ms)
{
    size_t count = 0;

    while (count < self->approving_count && self->approving[count]->seq <= acked)
        key_pend(self, self->approving[count++], now_ms); /* T3 */
    self->approving_count -= count;
    memmove(self->approving, self->approving + count,
            self->approving_count * sizeof(struct lease_key *));
    return count > 0;
}

int64_t keys_unacked_since(const struct lease_table *self, uint64_t acked)
{
    for (size_t i = 0; i < self->approving_count; i++)
        if (self->approving[i]->seq > acked)
            return self->approving[i]->told_ms;
    return INT64_MAX;
}

/* ---- Time ---------------------------------------------------------------------------------- */

/* B7: when a message is due again: LEASE_REPEAT_MS after it was told first, and then whenever its
 * age has doubled. All caches hear each repetition, and those acknowledge it again that did so
 * before: if it is told faster than they can, nobody is ever done. */
static int64_t key_again_ms(const struct lease_key *key)
{
    const int64_t age_ms = key->sent_ms - key->told_ms;

    return key->sent_ms + (age_ms > LEASE_REPEAT_MS ? age_ms : LEASE_REPEAT_MS);
}

/* The same message again, for those who have not acknowledged it. */
void keys_repeat(struct lease_table *self, int64_t now_ms)
{
    size_t count = 0;

    for (size_t first = 0; first < self->approving_count; first += count) {
        struct lease_key *const *keys = self->approving + first;
        for (count = 1; first + count < self->approving_count; count++)
            if (keys[count]->seq != keys[0]->seq)
                break;
        if (now_ms >= key_again_ms(keys[0])) {
            struct lease_action *action = table_act(self, LEASE_INVALIDATE);
            action->seq = keys[0]->seq;
            action->keys = keys_copy(keys, count);
            keys[0]->sent_ms = now_ms;
        }
        table_due(self, key_again_ms(keys[0]));
    }
}

/* Whether the key may be released (B6); else, when it may be. */
static bool key_releasable(struct lease_table *self, const struct lease_key *key, int64_t now_ms)
{
    if (key->state != KEY_PENDING || key->waiting + key->flying > 0)
        return false;
    if (now_ms >= key->idle_ms + LEASE_QUIET_MS)
        return true;
    table_due(self, key->idle_ms + LEASE_QUIET_MS);
    return false;
}

static void key_quiet(struct lease_table *self, struct lease_key *key)
{
    assert(key->state == KEY_PENDING && key->waiting == 0 && key->flying == 0); /* T2 */
    if (key->name == NULL)
        key->state = KEY_QUIET;
    else
        zhashx_delete(self->keys, key->name);
}

static void keys_tell_release(struct lease_table *self, const struct lease_keys *keys,
                              int64_t now_ms)
{
    struct lease_action *action = table_publish(self, LEASE_RELEASE, now_ms);
    action->keys = *keys;
    action->index = self->commit_index;
}

/* Nobody has heard of those that became pending while all keys were; and what of them is quiet
 * again needs no word (B11). The others are told before "all keys" is released: the feed has no gap,
 * so whoever hears of that knows them, and need not acknowledge. */
static void all_release(struct lease_table *self, int64_t now_ms)
{
    if (self->holder_count > 0) {
        if (zhashx_size(self->keys) > 0)
            table_publish(self, LEASE_INVALIDATE, now_ms)->keys = keys_named(self);
        keys_tell_release(self, &(struct lease_keys){.all = true}, now_ms);
    }
    key_quiet(self, &self->all);
}

void keys_release(struct lease_table *self, int64_t now_ms)
{
    struct lease_key *released[LEASE_KEYS_MAX];
    struct lease_key *key;
    size_t count = 0;

    for (key = zhashx_first(self->keys); key != NULL; key = zhashx_next(self->keys))
        if (key_releasable(self, key, now_ms))
            released[count++] = key;
    if (count > 0 && self->all.state == KEY_QUIET && self->holder_count > 0) {
        const struct lease_keys keys = keys_copy(released, count);
        keys_tell_release(self, &keys, now_ms);
    }
    for (size_t i = 0; i < count; i++)
        key_quiet(self, released[i]);
    if (key_releasable(self, &self->all, now_ms))
        all_release(self, now_ms);
}

void keys_clear(struct lease_table *self)
{
    self->approving_count = 0;
    zhashx_purge(self->keys);
    self->all = (struct lease_key){.state = KEY_QUIET};
}
