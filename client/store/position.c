/* See position.h.
 *
 * Whether something is missing is told by three fields: `known`, which is POSITION_NOW until the
 * first answer; `checked`, that some replica has been asked since the beginning (or since the
 * meeting with this cluster) and had no more; and `seen`, the highest index that was heard live.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "client/store/position.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "broker/bus/alloc.h"
#include "broker/bus/limits.h"

#define CLUSTER_BYTES_MAX 64

/* A live message, or an answer. */
struct update {
    const char *cluster;
    int64_t from;
    int64_t index;
    bool more;
    const json_t *changes;
};

/* A live message above a gap. */
struct kept {
    json_t *message;
    size_t size;
    int64_t from;
    int64_t index;
};

struct position_replica {
    int64_t free_ms; /* it is passed over until then */
    bool lacks_all;  /* when asked last it was behind us, or did not answer */
};

struct position {
    char *group;
    const struct position_owner *owner;
    void *arg;
    char *begun_in; /* what the uuid of the cluster to be met first begins with */
    char cluster[CLUSTER_BYTES_MAX + 1]; /* "": none was met yet */
    int64_t known;
    int64_t seen;
    bool begun;
    bool checked;
    struct kept kept[CHANGES_KEPT_MAX]; /* by `from`, rising */
    size_t kept_count;
    size_t kept_bytes;

    bool asking;
    struct position_ask asked; /* while asking, and before */
    size_t next;               /* the replica to be asked next */
    int64_t furthest;          /* highest index of those that are behind */
    size_t replica_count;
    struct position_replica *replicas;

    int64_t heard_ms; /* when the last live message came */
    bool silent;      /* and that this is long ago was told */
};

/* ---- Reading ------------------------------------------------------------------------ */

static int64_t update_integer(const json_t *object, const char *name)
{
    const json_t *value = json_object_get(object, name);
    return json_is_integer(value) ? json_integer_value(value) : -1;
}

/* Whether all are objects with a version, and the versions don't fall. */
static bool update_rows_are_sound(const json_t *changes)
{
    int64_t last = 0;
    size_t i;
    json_t *change;
    json_array_foreach(changes, i, change)
    {
        const int64_t version = update_integer(change, "version");
        if (version < last || version == 0)
            return false;
        last = version;
    }
    return json_is_array(changes);
}

/* Read what is common to live messages and answers. Returns whether it is sound. */
static bool update_read(struct update *self, const char *group, const json_t *from)
{
    const char *named = json_string_value(json_object_get(from, "group"));
    self->cluster = json_string_value(json_object_get(from, "cluster"));
    self->from = update_integer(from, "from");
    self->index = update_integer(from, "index");
    self->more = json_is_true(json_object_get(from, "more"));
    self->changes = json_object_get(from, "changes");
    return named != NULL && strcmp(named, group) == 0 && self->cluster != NULL &&
           self->cluster[0] != '\0' && strlen(self->cluster) <= CLUSTER_BYTES_MAX &&
           self->index >= 0 && update_rows_are_sound(self->changes);
}

/* ---- Delivering --------------------------------------------------------------------- */

static void position_begin(struct position *self)
{
    if (!self->begun)
        self->owner->report(self->arg, POSITION_BEGUN, self->known);
    self->begun = true;
}

/* Where to resume once the row at @i was delivered: at its entry when that was the entry's last
 * row, else before it. */
static int64_t update_resume(const struct update *self, size_t i)
{
    const int64_t version = update_integer(json_array_get(self->changes, i), "version");
    const json_t *next = json_array_get(self->changes, i + 1);
    if (next == NULL)
        return self->index;
    return update_integer(next, "version") == version ? version - 1 : version;
}

/* Deliver what is new in @update, which begins at or below `known`, and move there. A row whose
 * version is above what is covered changed once more, and comes again with that. */
static void position_apply(struct position *self, const struct update *update)
{
    size_t i;
    json_t *change;
    assert(update->from <= self->known && self->known < update->index);
    position_begin(self);
    json_array_foreach(update->changes, i, change)
    {
        const int64_t version = update_integer(change, "version");
        if (version > self->known && version <= update->index)
            self->owner->deliver(self->arg, change, update_resume(update, i));
    }
    self->known = update->index;
}

/* ---- What is kept ------------------------------------------------------------------- */

static void position_drop_first(struct position *self)
{
    self->kept_bytes -= self->kept[0].size;
    json_decref(self->kept[0].message);
    self->kept_count--;
    memmove(&self->kept[0], &self->kept[1], self->kept_count * sizeof self->kept[0]);
}

static void position_drop_kept(struct position *self)
{
    while (self->kept_count > 0)
        position_drop_first(self);
}

/* Keep a message until what is before it is known. Once is enough, and what finds no room is asked
 * for later. */
static void position_keep(struct position *self, const struct update *update, json_t *message,
                          size_t size)
{
    size_t place = self->kept_count;
    while (place > 0 && self->kept[place - 1].from > update->from)
        place--;
    for (size_t i = place; i > 0 && self->kept[i - 1].from == update->from; i--)
        if (self->kept[i - 1].index >= update->index)
            return;
    if (self->kept_count == CHANGES_KEPT_MAX || self->kept_bytes + size > CHANGES_KEPT_BYTES_MAX)
        return;
    memmove(&self->kept[place + 1], &self->kept[place],
            (self->kept_count - place) * sizeof self->kept[0]);
    self->kept[place] = (struct kept){json_incref(message), size, update->from, update->index};
    self->kept_count++;
    self->kept_bytes += size;
}

/* Go on with what was kept, as far as it is without a gap. */
static void position_use_kept(struct position *self)
{
    struct update update;
    while (self->kept_count > 0 && self->kept[0].from <= self->known) {
        const bool sound = update_read(&update, self->group, self->kept[0].message);
        assert(sound);
        (void)sound;
        if (update.index > self->known)
            position_apply(self, &update);
        position_drop_first(self);
    }
}

/* ---- Messages ----------------------------------------------------------------------- */

/* This is the cluster that speaks. If it is another than before, its log is another one, too: go on
 * with all that it has. Returns whether it is. */
static bool position_meet(struct position *self, const char *cluster)
{
    const bool first = self->cluster[0] == '\0';
    if (strcmp(self->cluster, cluster) == 0)
        return false;
    memcpy(self->cluster, cluster, strlen(cluster) + 1);
    if (first && strncmp(cluster, self->begun_in, strlen(self->begun_in)) == 0)
        return false;
    position_drop_kept(self);
    self->known = self->known == POSITION_NOW ? POSITION_NOW : 0;
    self->seen = 0;
    self->furthest = 0;
    self->checked = false;
    for (size_t i = 0; i < self->replica_count; i++)
        self->replicas[i] = (struct position_replica){0};
    self->owner->report(self->arg, POSITION_RESET, 0);
    return true;
}

static void position_hear(struct position *self, int64_t now_ms)
{
    if (self->silent)
        self->owner->report(self->arg, POSITION_HEARD, now_ms - self->heard_ms);
    self->silent = false;
    self->heard_ms = now_ms;
}

bool position_live(struct position *self, json_t *message, size_t size, int64_t now_ms)
{
    struct update update;
    if (!update_read(&update, self->group, message) || update.from < 0 ||
        update.from > update.index)
        return false;
    (void)position_meet(self, update.cluster);
    position_hear(self, now_ms);
    if (update.index > self->seen)
        self->seen = update.index;
    if (update.index <= self->known || update.from == update.index)
        return true;
    if (self->known == POSITION_NOW || update.from > self->known) {
        position_keep(self, &update, message, size);
    } else {
        position_apply(self, &update);
        position_use_kept(self);
    }
    return true;
}

/* ---- Asking ------------------------------------------------------------------------- */

static void position_pass_over(struct position *self, int64_t until_ms)
{
    struct position_replica *replica = &self->replicas[self->asked.replica];
    replica->free_ms = until_ms;
    replica->lacks_all = true;
}

/* It has less than we were told to go on from. When nobody is known to have more, there is nothing
 * to be had yet: what comes live will tell when there is. */
static void position_is_behind(struct position *self, int64_t index, int64_t now_ms)
{
    position_pass_over(self, now_ms + CHANGES_BEHIND_MS);
    if (index > self->furthest)
        self->furthest = index;
    for (size_t i = 0; i < self->replica_count; i++)
        if (!self->replicas[i].lacks_all)
            return;
    if (!self->checked && self->seen <= self->known) {
        self->checked = true;
        self->owner->report(self->arg, POSITION_AHEAD, self->furthest);
    }
}

static void position_take(struct position *self, const struct update *update, int64_t now_ms)
{
    const bool moved = update->from <= self->known && self->known < update->index;
    if (moved)
        position_apply(self, update);
    position_begin(self);
    for (size_t i = 0; i < self->replica_count; i++)
        self->replicas[i].lacks_all = false;
    if (!update->more && update->from <= self->known)
        self->checked = true;
    if (moved && update->more)
        self->next = self->asked.replica;
    position_use_kept(self);
    if (!moved && (update->more || self->seen > self->known))
        position_pass_over(self, now_ms + CHANGES_BEHIND_MS);
}

void position_answer(struct position *self, const json_t *answer, int64_t now_ms)
{
    struct update update;
    assert(self->asking);
    self->asking = false;
    if (answer == NULL || !update_read(&update, self->group, answer)) {
        position_pass_over(self, now_ms + CHANGES_LOST_MS);
        return;
    }
    if (position_meet(self, update.cluster))
        return; /* the question was about another log */
    if (self->known == POSITION_NOW) {
        self->known = update.index;
        self->checked = true;
        position_begin(self);
        position_use_kept(self);
    } else if (update.index < self->asked.since) {
        position_is_behind(self, update.index, now_ms);
    } else {
        position_take(self, &update, now_ms);
    }
}

static bool position_lacks_something(const struct position *self)
{
    return self->known == POSITION_NOW || !self->checked || self->seen > self->known;
}

bool position_ask(struct position *self, int64_t now_ms, struct position_ask *ask)
{
    if (self->asking || !position_lacks_something(self))
        return false;
    for (size_t i = 0; i < self->replica_count; i++) {
        const size_t replica = (self->next + i) % self->replica_count;
        if (self->replicas[replica].free_ms > now_ms)
            continue;
        self->asking = true;
        self->asked = (struct position_ask){replica, self->known};
        self->next = (replica + 1) % self->replica_count;
        *ask = self->asked;
        return true;
    }
    return false;
}

/* ---- Time --------------------------------------------------------------------------- */

void position_tick(struct position *self, int64_t now_ms)
{
    if (self->silent || now_ms - self->heard_ms < CHANGES_SILENCE_MS)
        return;
    self->silent = true;
    self->owner->report(self->arg, POSITION_SILENT, now_ms - self->heard_ms);
}

int64_t position_wake_ms(const struct position *self)
{
    int64_t wake_ms = self->silent ? INT64_MAX : self->heard_ms + CHANGES_SILENCE_MS;
    if (self->asking || !position_lacks_something(self))
        return wake_ms;
    for (size_t i = 0; i < self->replica_count; i++)
        if (self->replicas[i].free_ms < wake_ms)
            wake_ms = self->replicas[i].free_ms;
    return wake_ms;
}

/* ---- The public face ---------------------------------------------------------------- */

int64_t position_known(const struct position *self)
{
    return self->known;
}

const char *position_cluster(const struct position *self)
{
    return self->cluster;
}

struct position *position_new(const char *group, const char *cluster, int64_t since,
                              size_t replica_count, int64_t now_ms,
                              const struct position_owner *owner, void *arg)
{
    assert(replica_count > 0 && since >= POSITION_NOW);
    struct position *self = alloc_zero(sizeof *self);
    self->group = alloc_copy(group, strlen(group));
    self->begun_in = alloc_copy(cluster, strlen(cluster));
    self->owner = owner;
    self->arg = arg;
    self->known = since;
    self->replica_count = replica_count;
    self->replicas = alloc_zero(replica_count * sizeof *self->replicas);
    self->heard_ms = now_ms;
    return self;
}

void position_destroy(struct position **self_p)
{
    struct position *self = *self_p;
    if (self == NULL)
        return;
    position_drop_kept(self);
    free(self->replicas);
    free(self->begun_in);
    free(self->group);
    free(self);
    *self_p = NULL;
}
