/* Who belongs to the group: see replica_internal.h.
 *
 * A change waits for the turn like a command, since whoever asks may do so from within a callback;
 * then it is an entry under way, and called back like one.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "broker/bus/alloc.h"
#include "broker/bus/clock.h"
#include "broker/bus/err.h"
#include "services/replica/replica_internal.h"

/* ---- Connections --------------------------------------------------------------------------- */

/* Add those of @others whom @self has not, as far as there is room. */
static void membership_join(struct membership *self, const struct membership *others)
{
    for (size_t i = 0; i < others->count && self->count < MEMBERS_MAX; i++)
        if (membership_find(self, others->members[i].id) == NULL)
            self->members[self->count++] = others->members[i];
}

/* A voter's log knows all voters, or its own vote would not have been agreed on (consensus_members.c),
 * and so whoever may lead. The log of another one may be an old story: it would cut this replica off
 * from the leader that is telling it. */
void replica_connect(struct replica *self)
{
    if (!self->members_changed || self->link == NULL)
        return;
    self->members_changed = false;
    struct membership membership = *consensus_membership(self->consensus);
    const struct member *own = membership_find(&membership, self->id);
    if (own == NULL || own->role != MEMBER_VOTER)
        membership_join(&membership, &self->contacts);
    if (peer_link_update(self->link, &membership) != 0)
        log_write(self->log, LOG_LEVEL_ERROR, "a member has no endpoint that could be connected to",
                  LOG_UINT("term", consensus_term(self->consensus)));
}

/* ---- Changes ------------------------------------------------------------------------------- */

static int replica_wait_to_change(struct replica *self, const struct replica_change *change)
{
    assert(change->done != NULL);
    if (!self->leader || self->closing)
        return ERR_NOT_LEADER;
    if (self->change.kind != REPLICA_CHANGE_NONE)
        return ERR_BUSY;
    self->change = *change;
    self->pending_count++;
    alarm_set(self->more, 0);
    return 0;
}

int replica_add(struct replica *self, uint64_t id, const char *address, replica_done_fn *done,
                void *arg)
{
    struct replica_change change = {.kind = REPLICA_ADD, .id = id, .done = done, .arg = arg};

    change.address = alloc_copy(address, strlen(address));
    int result = replica_wait_to_change(self, &change);
    if (result != 0)
        free(change.address);
    return result;
}

int replica_promote(struct replica *self, uint64_t id, replica_done_fn *done, void *arg)
{
    struct replica_change change = {.kind = REPLICA_PROMOTE, .id = id, .done = done, .arg = arg};

    return replica_wait_to_change(self, &change);
}

int replica_remove(struct replica *self, uint64_t id, replica_done_fn *done, void *arg)
{
    struct replica_change change = {.kind = REPLICA_REMOVE, .id = id, .done = done, .arg = arg};

    return replica_wait_to_change(self, &change);
}

/* Take the change that waits. */
static struct replica_change replica_take_change(struct replica *self)
{
    struct replica_change change = self->change;

    self->change = (struct replica_change){0};
    self->pending_count--;
    return change;
}

static int replica_make_change(struct replica *self, const struct replica_change *change,
                               replica_index *index)
{
    int64_t now_ms = clock_ms();

    if (!self->leader)
        return ERR_NOT_LEADER;
    switch (change->kind) {
    case REPLICA_ADD:
        return consensus_add(self->consensus, change->id, change->address, index, now_ms);
    case REPLICA_PROMOTE: return consensus_promote(self->consensus, change->id, index, now_ms);
    case REPLICA_REMOVE: return consensus_remove(self->consensus, change->id, index, now_ms);
    case REPLICA_CHANGE_NONE: break;
    }
    assert(false && "there is no change");
    return ERR_INVALID;
}

void replica_change_members(struct replica *self)
{
    replica_index index = 0;

    if (self->change.kind == REPLICA_CHANGE_NONE)
        return;
    struct replica_change change = replica_take_change(self);
    int result = replica_make_change(self, &change, &index);
    replica_settle(self); /* also of one that was refused: a learner may begin to catch up */
    free(change.address);
    if (result == 0)
        replica_await_change(self, index, change.done, change.arg);
    else
        change.done(change.arg, result, NULL, 0);
}

void replica_drop_change(struct replica *self)
{
    if (self->change.kind == REPLICA_CHANGE_NONE)
        return;
    struct replica_change change = replica_take_change(self);
    free(change.address);
    change.done(change.arg, ERR_NOT_LEADER, NULL, 0);
}
