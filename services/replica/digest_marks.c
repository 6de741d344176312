/* See digest_marks.h.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "services/replica/digest_marks.h"

#include <assert.h>
#include <string.h>

/* The tables are as they were at @index. */
static void digest_marks_add(struct digest_marks *self, replica_index index)
{
    assert(self->count == 0 || self->marks[self->count - 1].index < index);
    if (self->count == DIGEST_MARKS_MAX) {
        self->count--;
        memmove(self->marks, self->marks + 1, self->count * sizeof self->marks[0]);
    }
    self->marks[self->count++] =
        (struct digest_mark){index, self->machine.digest(self->machine.self)};
}

void digest_marks_reach(struct digest_marks *self, replica_index applied_index)
{
    replica_index newest = self->count > 0 ? self->marks[self->count - 1].index : 0;
    replica_index first = self->last > newest + 1 ? self->last : newest + 1;

    /* Nothing has changed from the last command on. */
    for (replica_index index = (first + DIGEST_EVERY - 1) / DIGEST_EVERY * DIGEST_EVERY;
         index <= applied_index; index += DIGEST_EVERY)
        digest_marks_add(self, index);
}

/* ---- The machine's functions ----------------------------------------------- */

static int marks_open(void *arg, const char *path, char **error)
{
    struct digest_marks *self = arg;
    int code = self->machine.open(self->machine.self, path, error);

    if (code == 0)
        self->last = self->machine.applied(self->machine.self);
    return code;
}

static void marks_close(void *arg)
{
    struct digest_marks *self = arg;
    self->machine.close(self->machine.self);
}

static uint64_t marks_digest(void *arg)
{
    struct digest_marks *self = arg;
    return self->machine.digest(self->machine.self);
}

static replica_index marks_applied(void *arg)
{
    struct digest_marks *self = arg;
    return self->machine.applied(self->machine.self);
}

static void marks_begin(void *arg)
{
    struct digest_marks *self = arg;
    self->machine.begin(self->machine.self);
}

static void marks_commit(void *arg)
{
    struct digest_marks *self = arg;
    self->machine.commit(self->machine.self);
}

static void *marks_apply(void *arg, const struct replica_entry *entry)
{
    struct digest_marks *self = arg;

    assert(entry->index > self->last);
    digest_marks_reach(self, entry->index - 1);
    void *result = self->machine.apply(self->machine.self, entry);
    self->last = entry->index;
    digest_marks_reach(self, entry->index);
    return result;
}

static void marks_release(void *arg, void *result)
{
    struct digest_marks *self = arg;
    self->machine.release(self->machine.self, result);
}

static void marks_lead(void *arg, bool leader, replica_term term)
{
    struct digest_marks *self = arg;
    self->machine.lead(self->machine.self, leader, term);
}

void digest_marks_init(struct digest_marks *self, struct replica_machine *machine)
{
    assert(machine->digest != NULL);
    assert(machine->close != NULL);
    *self = (struct digest_marks){.machine = *machine};
    *machine = (struct replica_machine){
        .self = self,
        .open = marks_open,
        .close = marks_close,
        .digest = marks_digest,
        .applied = marks_applied,
        .begin = marks_begin,
        .commit = marks_commit,
        .apply = marks_apply,
        .release = marks_release,
        .lead = marks_lead,
    };
}
