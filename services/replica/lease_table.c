/* See lease_table.h. Here: leadership, time and the queue of actions. lease_internal.h says where
 * the rest is.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "services/replica/lease_table.h"

#include <assert.h>

#include "broker/bus/alloc.h"
#include "broker/bus/err.h"
#include "broker/bus/number_table.h"
#include "services/replica/lease_internal.h"

/* ---- Actions ------------------------------------------------------------------------------- */

struct lease_action *table_act(struct lease_table *self, enum lease_action_type type)
{
    struct lease_action *action = alloc_zero(sizeof *action);

    action->type = type;
    action->term = self->term;
    zlistx_add_end(self->actions, action);
    return action;
}

void table_refuse(struct lease_table *self, uint64_t ticket, int code)
{
    struct lease_action *action = table_act(self, LEASE_REFUSE);

    action->ticket = ticket;
    action->code = code;
}

struct lease_action *table_publish(struct lease_table *self, enum lease_action_type type,
                                   int64_t now_ms)
{
    struct lease_action *action = table_act(self, type);

    assert(self->leading);
    action->seq = ++self->last_seq; /* T1 */
    self->beat_ms = now_ms + LEASE_BEAT_MS;
    table_due(self, self->beat_ms);
    return action;
}

struct lease_action *lease_table_next(struct lease_table *self)
{
    if (zlistx_size(self->actions) == 0)
        return NULL;
    return zlistx_detach(self->actions, NULL);
}

void lease_action_destroy(struct lease_action **self_p)
{
    struct lease_action *self = *self_p;

    *self_p = NULL;
    if (self == NULL)
        return;
    for (size_t i = 0; i < self->keys.count; i++)
        free(self->keys.keys[i]);
    free(self->keys.keys);
    free(self);
}

static void action_free(void **item)
{
    lease_action_destroy((struct lease_action **)item);
}

/* What was to be proposed, and was not taken yet, must not be in a later term: T2 holds now
 * only. */
static void actions_retire(struct lease_table *self)
{
    struct lease_action *action;

    for (action = zlistx_first(self->actions); action != NULL;
         action = zlistx_next(self->actions)) {
        if (action->type == LEASE_PROPOSE) {
            action->type = LEASE_REFUSE;
            action->code = ERR_NOT_LEADER;
        }
        if (action->type == LEASE_CLOSE || action->type == LEASE_ROUND)
            zlistx_delete(self->actions, zlistx_cursor(self->actions));
    }
}

/* ---- The table ----------------------------------------------------------------------------- */

struct lease_table *lease_table_new(void)
{
    struct lease_table *self = alloc_zero(sizeof *self);

    self->actions = zlistx_new();
    zlistx_set_destructor(self->actions, action_free);
    self->keys = zhashx_new();
    zhashx_set_key_duplicator(self->keys, NULL);
    zhashx_set_key_destructor(self->keys, NULL);
    zhashx_set_destructor(self->keys, key_free);
    self->waiting = zlistx_new();
    zlistx_set_destructor(self->waiting, write_free);
    self->flying = number_table_new();
    zhashx_set_destructor(self->flying, write_free);
    self->by_id = number_table_new();
    self->due_ms = INT64_MAX;
    self->expire_ms = INT64_MAX;
    return self;
}

void lease_table_destroy(struct lease_table **self_p)
{
    struct lease_table *self = *self_p;

    *self_p = NULL;
    if (self == NULL)
        return;
    if (self->leading)
        lease_table_retire(self);
    zlistx_destroy(&self->actions);
    zhashx_destroy(&self->keys);
    zlistx_destroy(&self->waiting);
    zhashx_destroy(&self->flying);
    zhashx_destroy(&self->by_id);
    free(self->sessions);
    free(self);
}

/* ---- Leadership ---------------------------------------------------------------------------- */

void lease_table_lead(struct lease_table *self, replica_term term, const uint64_t *sessions,
                      size_t count, int64_t since_ms, int64_t now_ms)
{
    assert(!self->leading && term > self->term && since_ms <= now_ms);
    assert(self->commit_index >
           0); /* the barrier's: a SYNCED without it would be a stale read (B5) */
    self->leading = true;
    self->term = term;
    self->since_ms = since_ms;
    self->last_seq = 0;
    self->beat_ms = now_ms;
    self->due_ms = INT64_MAX;
    self->confirmed = false; /* T5: rounds of this term alone */
    self->asked = false;
    for (size_t i = 0; i < count; i++)
        session_add(self, sessions[i], SESSION_UNFLUSHED, now_ms);
    lease_table_turn(self, now_ms); /* the first BEAT, by which caches learn of the term */
}

void lease_table_retire(struct lease_table *self)
{
    if (!self->leading)
        return;
    actions_retire(self);
    writes_retire(self);
    keys_clear(self);
    sessions_retire(self);
    self->leading = false;
}

void lease_table_commit(struct lease_table *self, replica_index commit_index)
{
    if (commit_index > self->commit_index)
        self->commit_index = commit_index;
}

/* ---- Time ---------------------------------------------------------------------------------- */

void table_due(struct lease_table *self, int64_t at_ms)
{
    if (at_ms < self->due_ms)
        self->due_ms = at_ms;
}

void table_settle(struct lease_table *self, int64_t now_ms)
{
    writes_expire(self, now_ms);
    if (self->approving_count > 0 && keys_approve(self, sessions_leave_out(self, now_ms), now_ms))
        writes_propose(self, now_ms);
}

/* Of the last number given out, while nothing new is told (B7). */
static void table_beat(struct lease_table *self, int64_t now_ms)
{
    if (self->session_count == 0)
        return;
    if (now_ms >= self->beat_ms) {
        table_act(self, LEASE_BEAT)->seq = self->last_seq;
        self->beat_ms = now_ms + LEASE_BEAT_MS;
    }
    table_due(self, self->beat_ms);
}

void lease_table_turn(struct lease_table *self, int64_t now_ms)
{
    if (!self->leading)
        return;
    self->due_ms = INT64_MAX;
    sessions_turn(self, now_ms);
    table_settle(self, now_ms);
    keys_repeat(self, now_ms);
    keys_release(self, now_ms);
    table_beat(self, now_ms);
}

int64_t lease_table_deadline_ms(const struct lease_table *self)
{
    return self->leading ? self->due_ms : INT64_MAX;
}

/* ---- Sight --------------------------------------------------------------------------------- */

void lease_table_count(const struct lease_table *self, struct lease_counts *counts)
{
    const size_t keys = zhashx_size(self->keys) + (self->all.state != KEY_QUIET);

    *counts = (struct lease_counts){
        .sessions = self->session_count,
        .lapsed = self->session_count - self->holder_count,
        .approving = self->approving_count,
        .pending = keys - self->approving_count,
        .waiting = zlistx_size(self->waiting),
        .approvals = self->approvals,
        .spared = self->spared,
        .lapses = self->lapses,
        .longest_ms = self->longest_ms,
    };
    for (size_t i = 0; i < self->session_count; i++)
        counts->synced += self->sessions[i]->state == SESSION_SYNCED;
}

size_t lease_table_sessions(const struct lease_table *self)
{
    return self->session_count;
}
