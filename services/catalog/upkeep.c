/* See upkeep.h.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "services/catalog/upkeep.h"

#include <stdlib.h>

#include "broker/bus/alloc.h"
#include "broker/bus/clock.h"
#include "broker/bus/err.h"
#include "broker/bus/limits.h"
#include "services/catalog/outcome.h"
#include "services/catalog/restock.h"

/* How long a command may wait for caches: they let go, or their leases end, within half of it. */
#define UPKEEP_WAIT_MS (2 * LEASE_WAIT_MS)

struct upkeep {
    zloop_t *loop;
    struct replica *replica;
    struct leases *leases;
    struct machine *machine;
    struct log *log;
    int timer;
    bool under_way; /* a command was submitted and not yet called back */
};

bool upkeep_command(struct state *state, int64_t now_ms, struct command *command)
{
    *command = (struct command){.op = COMMAND_RESTOCK};
    command->ids = alloc_zero(RESTOCK_COUNT_MAX * sizeof command->ids[0]);
    command->count = restock_find_due(state, now_ms, command->ids);
    if (command->count > 0)
        return true;
    command_close(command);
    command->op = COMMAND_TICK;
    return now_ms - state_now_ms(state) >= LOG_TIME_IDLE_MS;
}

/* Whatever became of it: the next look sees what is left to do. */
static void upkeep_done(void *arg, int code, void *result, replica_index index)
{
    struct upkeep *self = arg;
    struct outcome *outcome = result;
    (void)index;
    self->under_way = false;
    if (code != OK)
        log_write(self->log, LOG_LEVEL_WARN, "a command of the leader's own failed",
                  LOG_TEXT("error", err_type(code)));
    outcome_destroy(&outcome);
}

static void upkeep_submit(struct upkeep *self, const struct command *command)
{
    struct bytes_writer bytes = {0};

    command_encode(command, &bytes);
    self->under_way = leases_submit(self->leases, command, &bytes, clock_ms() + UPKEEP_WAIT_MS,
                                    upkeep_done, self) == OK;
    replica_flush(self->replica);
    bytes_writer_close(&bytes);
}

void upkeep_look(struct upkeep *self)
{
    struct command command;

    if (self->under_way || !replica_is_leader(self->replica))
        return;
    if (upkeep_command(machine_state(self->machine), replica_log_time_ms(self->replica), &command))
        upkeep_submit(self, &command);
    command_close(&command);
}

static int upkeep_on_timer(zloop_t *loop, int timer, void *arg)
{
    (void)loop;
    (void)timer;
    upkeep_look(arg);
    return 0;
}

struct upkeep *upkeep_new(zloop_t *loop, struct replica *replica, struct leases *leases,
                          struct machine *machine, struct log *log)
{
    struct upkeep *self = alloc_zero(sizeof *self);
    self->loop = loop;
    self->replica = replica;
    self->leases = leases;
    self->machine = machine;
    self->log = log;
    self->timer = zloop_timer(loop, RESTOCK_CHECK_MS, 0, upkeep_on_timer, self);
    return self;
}

void upkeep_destroy(struct upkeep **self_p)
{
    struct upkeep *self = *self_p;
    if (self == NULL)
        return;
    (void)zloop_timer_end(self->loop, self->timer);
    free(self);
    *self_p = NULL;
}
