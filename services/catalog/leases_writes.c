/* Writes on their way through the lease table: see leases.h and leases_internal.h.
 *
 *   ordered   waits for the one before it that changes topics      leases_queue
 *   in table  its keys are told, or it waits until all let go      write_enter
 *   submitted to the replica, in the turn that allowed it          leases_propose
 *   ended     applied, refused, or unknown: told to whoever waits  write_end
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "broker/bus/alloc.h"
#include "broker/bus/clock.h"
#include "broker/bus/err.h"
#include "broker/bus/limits.h"
#include "services/catalog/leases_internal.h"
#include "services/catalog/touched.h"

static struct leases_write *write_new(struct leases *leases, const struct bytes_writer *bytes,
                                      bool ordered)
{
    struct leases_write *self = alloc_zero(sizeof *self + bytes->size);

    self->leases = leases;
    self->ordered = ordered;
    self->came_us = clock_us();
    self->size = bytes->size;
    memcpy(self->data, bytes->data, bytes->size);
    return self;
}

/* ---- Its end ------------------------------------------------------------------------------- */

/* Tell whoever waits. Who has not left leases_submit() yet is told there. */
static void write_tell(struct leases_write *self, int code, void *result, replica_index index)
{
    struct leases *leases = self->leases;
    replica_done_fn *done = self->done;
    void *arg = self->arg;
    const bool entering = self == leases->entering;

    free(self);
    if (entering) {
        assert(code != OK);
        leases->entering = NULL;
        leases->entering_code = code;
    } else {
        done(arg, code, result, index);
    }
}

/* Of one that was begun with. */
static void write_end(struct leases_write *self, int code, void *result, replica_index index)
{
    if (self->ordered)
        self->leases->ordered_count--;
    write_tell(self, code, result, index);
}

/* What became of it in the log. H3: of what is unknown the table is told nothing. */
static void write_done(void *arg, int code, void *result, replica_index index)
{
    struct leases_write *self = arg;
    struct leases *leases = self->leases;

    if (self->ticket != 0 && (code == OK || code == ERR_NOT_LEADER))
        lease_table_written(leases->table, self->ticket, index, clock_ms());
    write_end(self, code, result, index);
    leases_act(leases);
}

/* ---- Its way ------------------------------------------------------------------------------- */

static void write_submit(struct leases_write *self)
{
    struct leases *leases = self->leases;
    const int code = replica_submit(leases->replica, self->data, self->size, write_done, self);

    if (code == OK)
        return;
    if (self->ticket != 0)
        lease_table_written(leases->table, self->ticket, 0, clock_ms());
    write_end(self, code, NULL, 0);
}

static struct leases_write *leases_take_write(struct leases *self, uint64_t ticket)
{
    struct leases_write *write = zhashx_lookup(self->writes, &ticket);

    if (write != NULL)
        zhashx_delete(self->writes, &ticket);
    return write;
}

/* H1: at once. */
void leases_propose(struct leases *self, uint64_t ticket)
{
    struct leases_write *write = leases_take_write(self, ticket);

    assert(write != NULL && self->term != 0);
    metric_observe(self->series.wait_seconds, (double)(clock_us() - write->came_us) / 1e6);
    write_submit(write);
}

bool leases_refuse_write(struct leases *self, uint64_t ticket, int code)
{
    struct leases_write *write = leases_take_write(self, ticket);

    if (write != NULL)
        write_end(write, code, NULL, 0);
    return write != NULL;
}

/* Into the table, with its keys. What follows from it is taken by leases_act(). */
static void write_enter(struct leases_write *self, const struct lease_keys *keys)
{
    struct leases *leases = self->leases;
    int rc;

    self->ticket = ++leases->last_ticket;
    rc = zhashx_insert(leases->writes, &self->ticket, self);
    assert(rc == 0);
    lease_table_write(leases->table, self->ticket, keys, self->deadline_ms, clock_ms());
}

/* ---- One after the other -------------------------------------------------------------------- */

/* H2. While nobody needs to be told of keys, none are computed. */
static bool leases_may_begin(const struct leases *self)
{
    return self->ordered_count == 0 || leases_are_idle(self);
}

static void write_begin(struct leases_write *self, const struct command *command)
{
    struct leases *leases = self->leases;
    struct lease_keys keys;

    leases->ordered_count++;
    if (leases_are_idle(leases)) {
        write_submit(self);
        return;
    }
    touched_keys(machine_state(leases->machine), command, &keys);
    write_enter(self, &keys);
    touched_close(&keys);
}

static void write_begin_later(struct leases_write *self)
{
    struct command command;
    const int code = command_decode(&command, self->data, self->size);

    assert(code == OK); /* it was encoded here */
    write_begin(self, &command);
    command_close(&command);
}

bool leases_begin_ordered(struct leases *self)
{
    if (zlistx_size(self->ordered) == 0 || !leases_may_begin(self))
        return false;
    write_begin_later(zlistx_detach(self->ordered, NULL));
    return true;
}

static void leases_expire_some(struct leases *self, int64_t now_ms)
{
    struct leases_write *write;

    self->ordered_ms = INT64_MAX;
    for (write = zlistx_first(self->ordered); write != NULL; write = zlistx_next(self->ordered)) {
        if (write->deadline_ms <= now_ms) {
            zlistx_detach_cur(self->ordered);
            write_tell(write, ERR_UNAVAILABLE, NULL, 0);
        } else if (write->deadline_ms < self->ordered_ms) {
            self->ordered_ms = write->deadline_ms;
        }
    }
}

void leases_expire_ordered(struct leases *self, int64_t now_ms)
{
    if (now_ms >= self->ordered_ms)
        leases_expire_some(self, now_ms);
    leases_due(self, self->ordered_ms);
}

void leases_drop_ordered(struct leases *self, int code)
{
    while (zlistx_size(self->ordered) > 0)
        write_tell(zlistx_detach(self->ordered, NULL), code, NULL, 0);
    self->ordered_ms = INT64_MAX;
}

static int leases_queue(struct leases *self, struct leases_write *write)
{
    if (self->term == 0 || zlistx_size(self->ordered) >= LEASE_ORDERED_MAX) {
        free(write);
        return self->term == 0 ? ERR_NOT_LEADER : ERR_BUSY;
    }
    zlistx_add_end(self->ordered, write);
    if (write->deadline_ms < self->ordered_ms)
        self->ordered_ms = write->deadline_ms;
    leases_due(self, self->ordered_ms);
    return OK;
}

/* ---- Submission ---------------------------------------------------------------------------- */

/* Begin with a write, take what follows from it, and learn whether it was taken on. @keys: NULL for
 * an ordered one, which finds its own. */
static int leases_enter(struct leases *self, struct leases_write *write,
                        const struct command *command, const struct lease_keys *keys)
{
    assert(self->entering == NULL);
    self->entering = write;
    self->entering_code = OK;
    if (keys == NULL)
        write_begin(write, command);
    else
        write_enter(write, keys);
    leases_act(self);
    self->entering = NULL;
    return self->entering_code;
}

static int leases_submit_ordered(struct leases *self, struct leases_write *write,
                                 const struct command *command)
{
    if (zlistx_size(self->ordered) > 0 || !leases_may_begin(self))
        return leases_queue(self, write);
    return leases_enter(self, write, command, NULL);
}

/* What changes nothing that is cached, such as settling, has no keys. */
static int leases_submit_keyed(struct leases *self, struct leases_write *write,
                               const struct command *command)
{
    struct lease_keys keys;
    int code;

    touched_keys(machine_state(self->machine), command, &keys);
    if (keys.count > 0 || keys.all) {
        code = leases_enter(self, write, command, &keys);
    } else {
        code = replica_submit(self->replica, write->data, write->size, write->done, write->arg);
        free(write);
    }
    touched_close(&keys);
    return code;
}

int leases_submit(struct leases *self, const struct command *command,
                  const struct bytes_writer *bytes, int64_t deadline_ms, replica_done_fn *done,
                  void *arg)
{
    const bool ordered = touched_needs_order(command);

    if (!ordered && leases_are_idle(self))
        return replica_submit(self->replica, bytes->data, bytes->size, done, arg);
    struct leases_write *write = write_new(self, bytes, ordered);
    write->deadline_ms = deadline_ms;
    write->done = done;
    write->arg = arg;
    return ordered ? leases_submit_ordered(self, write, command)
                   : leases_submit_keyed(self, write, command);
}
