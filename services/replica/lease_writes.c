/* Writes of the lease table: see lease_table.h and lease_internal.h.
 *
 * A write waits until all of its keys are pending, is proposed, and flies until it is applied. Its
 * keys are not released before: neither those that are approved already while it waits for another,
 * nor any while it flies.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>

#include "broker/bus/alloc.h"
#include "broker/bus/err.h"
#include "services/replica/lease_internal.h"

void write_free(void **item)
{
    struct lease_write *self = *item;

    free(self->keys);
    free(self);
    *item = NULL;
}

static bool write_ready(const struct lease_write *self)
{
    for (size_t i = 0; i < self->key_count; i++)
        if (self->keys[i]->state != KEY_PENDING)
            return false;
    return true;
}

/* It waits no more: now nobody may hold any of its keys, nor come to hold it before the release. */
static void write_propose(struct lease_table *self, struct lease_write *write, int64_t now_ms)
{
    int rc;

    assert(self->leading && write_ready(write) && write->handle == NULL); /* T2 */
    for (size_t i = 0; i < write->key_count; i++) {
        write->keys[i]->waiting--;
        write->keys[i]->flying++;
    }
    if (now_ms - write->came_ms > self->longest_ms)
        self->longest_ms = now_ms - write->came_ms;
    rc = zhashx_insert(self->flying, &write->ticket, write);
    assert(rc == 0);
    table_act(self, LEASE_PROPOSE)->ticket = write->ticket;
}

static void write_wait(struct lease_table *self, struct lease_write *write)
{
    write->handle = zlistx_add_end(self->waiting, write);
    if (write->deadline_ms < self->expire_ms)
        self->expire_ms = write->deadline_ms;
    table_due(self, self->expire_ms);
}

/* Why it can't be taken on, or OK. */
static int write_admission(const struct lease_table *self, const struct lease_keys *keys,
                           int64_t deadline_ms, int64_t now_ms)
{
    if (!self->leading)
        return ERR_NOT_LEADER; /* B1 */
    if (now_ms >= deadline_ms)
        return ERR_UNAVAILABLE;
    if (zlistx_size(self->waiting) >= LEASE_WRITES_MAX && self->holder_count > 0 &&
        !keys_pending(self, keys))
        return ERR_BUSY;
    return OK;
}

void lease_table_write(struct lease_table *self, uint64_t ticket, const struct lease_keys *keys,
                       int64_t deadline_ms, int64_t now_ms)
{
    const int code = write_admission(self, keys, deadline_ms, now_ms);

    if (code != OK) {
        table_refuse(self, ticket, code);
        return;
    }
    struct lease_write *write = alloc_zero(sizeof *write);
    write->ticket = ticket;
    write->came_ms = now_ms;
    write->deadline_ms = deadline_ms;
    keys_take(self, write, keys);
    keys_tell(self, write, now_ms);
    if (write_ready(write))
        write_propose(self, write, now_ms);
    else
        write_wait(self, write);
    table_settle(self, now_ms);
}

void lease_table_written(struct lease_table *self, uint64_t ticket, replica_index index,
                         int64_t now_ms)
{
    struct lease_write *write = zhashx_lookup(self->flying, &ticket);

    lease_table_commit(self, index);
    if (write == NULL)
        return; /* of an earlier leadership */
    for (size_t i = 0; i < write->key_count; i++) {
        assert(write->keys[i]->flying > 0);
        write->keys[i]->flying--;
        key_idle(self, write->keys[i], now_ms);
    }
    zhashx_delete(self->flying, &ticket);
}

void writes_propose(struct lease_table *self, int64_t now_ms)
{
    struct lease_write *write;

    for (write = zlistx_first(self->waiting); write != NULL; write = zlistx_next(self->waiting)) {
        if (!write_ready(write))
            continue;
        zlistx_detach(self->waiting, write->handle);
        write->handle = NULL;
        write_propose(self, write, now_ms);
    }
}

/* Its keys go on to pending, and are released then. */
static void write_expire(struct lease_table *self, struct lease_write *write, int64_t now_ms)
{
    table_refuse(self, write->ticket, ERR_UNAVAILABLE);
    for (size_t i = 0; i < write->key_count; i++) {
        write->keys[i]->waiting--;
        key_idle(self, write->keys[i], now_ms);
    }
    zlistx_delete(self->waiting, write->handle);
}

void writes_expire(struct lease_table *self, int64_t now_ms)
{
    struct lease_write *write;

    if (now_ms >= self->expire_ms) {
        self->expire_ms = INT64_MAX;
        for (write = zlistx_first(self->waiting); write != NULL;
             write = zlistx_next(self->waiting)) {
            if (now_ms >= write->deadline_ms)
                write_expire(self, write, now_ms);
            else if (write->deadline_ms < self->expire_ms)
                self->expire_ms = write->deadline_ms;
        }
    }
    table_due(self, self->expire_ms);
}

/* ---- "All keys" ---------------------------------------------------------------------------- */

static void write_absorb(struct lease_write *self, struct lease_key *all, bool flies)
{
    if (self->key_count == 0)
        return;
    self->keys[0] = all;
    self->key_count = 1;
    all->flying += flies;
    all->waiting += !flies;
}

void writes_absorb(struct lease_table *self)
{
    struct lease_write *write;

    for (write = zlistx_first(self->waiting); write != NULL; write = zlistx_next(self->waiting))
        write_absorb(write, &self->all, false);
    for (write = zhashx_first(self->flying); write != NULL; write = zhashx_next(self->flying))
        write_absorb(write, &self->all, true);
}

void writes_retire(struct lease_table *self)
{
    struct lease_write *write;

    for (write = zlistx_first(self->waiting); write != NULL; write = zlistx_next(self->waiting))
        table_refuse(self, write->ticket, ERR_NOT_LEADER); /* T6 */
    zlistx_purge(self->waiting);
    zhashx_purge(self->flying);
    self->expire_ms = INT64_MAX;
}
