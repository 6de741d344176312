/* See shared_entry.h.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "services/replica/shared_entry.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "broker/bus/alloc.h"

struct shared_entry *shared_entry_new(const struct log_entry *entry)
{
    /* Not zeroed first: an entry may be large, and all of it is written here. */
    struct shared_entry *self = alloc_resize(NULL, sizeof *self + entry->size);
    self->entry = *entry;
    self->entry.data = self->data;
    self->holders = 1;
    if (entry->size > 0)
        memcpy(self->data, entry->data, entry->size);
    return self;
}

struct shared_entry *shared_entry_hold(struct shared_entry *self)
{
    assert(self->holders > 0);
    self->holders++;
    return self;
}

void shared_entry_release(struct shared_entry **self_p)
{
    struct shared_entry *self = *self_p;
    *self_p = NULL;
    if (self == NULL)
        return;
    assert(self->holders > 0);
    if (--self->holders == 0)
        free(self);
}
