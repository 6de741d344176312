/* See upkeep.h.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "services/catalog/upkeep.h"

#include <stdlib.h>

#include "broker/bus/alloc.h"
#include "broker/bus/err.h"
#include "broker/bus/limits.h"
#include "services/catalog/command.h"
#include "services/catalog/outcome.h"
#include "services/catalog/restock.h"

struct upkeep {
    zloop_t *loop;
    struct replica *replica;
    struct machine *machine;
    struct log *log;
    int timer;
    bool under_way; /* a command was submitted and not yet called back */
};

bool upkeep_command(struct state *state, int64_t now_ms, struct bytes_writer *bytes)
{
    int64_t ids[RESTOCK_COUNT_MAX];
    struct command command = {.op = COMMAND_RESTOCK, .ids = ids};

    command.count = restock_find_due(state, now_ms, ids);
    if (command.count == 0)
        command.op = COMMAND_TICK;
    if (command.op == COMMAND_TICK && now_ms - state_now_ms(state) < LOG_TIME_IDLE_MS)
        return false;
    command_encode(&command, bytes);
    return true;
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

void upkeep_look(struct upkeep *self)
{
    struct bytes_writer bytes = {0};

    if (self->under_way || !replica_is_leader(self->replica))
        return;
    if (upkeep_command(machine_state(self->machine), replica_log_time_ms(self->replica), &bytes)) {
        self->under_way =
            replica_submit(self->replica, bytes.data, bytes.size, upkeep_done, self) == OK;
        replica_flush(self->replica);
    }
    bytes_writer_close(&bytes);
}

static int upkeep_on_timer(zloop_t *loop, int timer, void *arg)
{
    (void)loop;
    (void)timer;
    upkeep_look(arg);
    return 0;
}

struct upkeep *upkeep_new(zloop_t *loop, struct replica *replica, struct machine *machine,
                          struct log *log)
{
    struct upkeep *self = alloc_zero(sizeof *self);
    self->loop = loop;
    self->replica = replica;
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
