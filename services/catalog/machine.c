/* See machine.h.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "services/catalog/machine.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "broker/bus/alloc.h"
#include "broker/bus/err.h"
#include "broker/bus/limits.h"
#include "services/catalog/command.h"
#include "services/catalog/imports.h"
#include "services/catalog/items.h"
#include "services/catalog/outcome.h"
#include "services/catalog/records.h"
#include "services/catalog/reservations.h"
#include "services/catalog/restock.h"
#include "services/catalog/sessions.h"
#include "services/catalog/stock.h"
#include "services/replica/fatal.h"

struct machine {
    struct log *log; /* not owned */
    char *path;      /* of the state's file */
    struct state *state;
    uint64_t rows;               /* what those of the file that is opened next come to */
    bool counted;                /* that is known */
    machine_closing_fn *closing; /* NULL: nobody has connections */
    void *closing_arg;
    struct metric *items;
    struct metric *keys;
    struct metric *unsettled;
    struct metric *unclosed;
    struct metric *granted;
    struct metric *denied;
    struct metric *replayed;
    struct metric *restocked;
};

struct machine *machine_new(struct log *log, struct metrics *metrics)
{
    struct machine *self = alloc_zero(sizeof *self);
    self->log = log;
    if (metrics == NULL)
        return self;
    self->items = metrics_gauge(metrics, "pygmy_items", NULL, "Items on sale.");
    self->keys = metrics_gauge(metrics, "pygmy_keys", NULL, "Idempotency keys remembered.");
    self->unsettled =
        metrics_gauge(metrics, "pygmy_reservations", "state=\"granted\"",
                      "Reservations that wait for their order to be made or cancelled.");
    self->unclosed =
        metrics_gauge(metrics, "pygmy_reservations", "state=\"released\"",
                      "Reservations that wait for their order to be made or cancelled.");
    self->granted = metrics_counter(metrics, "pygmy_reservations_total", "result=\"granted\"",
                                    "Reservations asked for, by what came of them.");
    self->denied = metrics_counter(metrics, "pygmy_reservations_total", "result=\"denied\"",
                                   "Reservations asked for, by what came of them.");
    self->replayed = metrics_counter(metrics, "pygmy_replays_total", NULL,
                                     "Writes answered from the record of their key.");
    self->restocked = metrics_counter(metrics, "pygmy_restocks_total", NULL,
                                      "Times that an automatic rule acted on an item.");
    return self;
}

void machine_destroy(struct machine **self_p)
{
    struct machine *self = *self_p;
    if (self == NULL)
        return;
    state_close(&self->state);
    free(self->path);
    free(self);
    *self_p = NULL;
}

void machine_on_closing(struct machine *self, machine_closing_fn *closing, void *arg)
{
    self->closing = closing;
    self->closing_arg = arg;
}

struct state *machine_state(struct machine *self)
{
    return self->state;
}

const char *machine_path(const struct machine *self)
{
    return self->path;
}

int64_t machine_log_time_ms(const struct machine *self, int64_t replica_ms)
{
    int64_t most_ms = state_now_ms(self->state) + LOG_TIME_AHEAD_MS;
    return replica_ms < most_ms ? replica_ms : most_ms;
}

/* ---- Apply -------------------------------------------------------------- */

static struct outcome *machine_tick(struct state *state, const struct command *command)
{
    (void)state;
    (void)command;
    return outcome_answer(json_object());
}

static const struct machine_row {
    bool keyed; /* its key and its outcome are recorded around it; the others see to it */
    struct outcome *(*apply)(struct state *state, const struct command *command);
} machine_rows[COMMAND_OPS] = {
    [COMMAND_ITEM_ADD] = {true, items_add},
    [COMMAND_ITEM_EDIT] = {true, items_edit},
    [COMMAND_ITEM_REMOVE] = {true, items_remove},
    [COMMAND_STOCK] = {true, stock_apply},
    [COMMAND_IMPORT] = {true, imports_apply},
    [COMMAND_RESERVE] = {true, reservations_reserve},
    [COMMAND_UNDO] = {false, reservations_undo},
    [COMMAND_SETTLE] = {false, reservations_settle},
    [COMMAND_CLOSE] = {false, reservations_close},
    [COMMAND_RESTOCK] = {false, restock_apply},
    [COMMAND_TICK] = {false, machine_tick},
    [COMMAND_SESSION_OPEN] = {false, sessions_open},
    [COMMAND_SESSION_CLOSE] = {false, sessions_close},
};

static enum record_state machine_record_state(const struct command *command,
                                              const struct outcome *outcome)
{
    if (command->op != COMMAND_RESERVE)
        return RECORD_WRITTEN;
    return outcome->code == OK ? RECORD_GRANTED : RECORD_DENIED;
}

static struct outcome *machine_apply_keyed(struct state *state, const struct machine_row *row,
                                           const struct command *command)
{
    struct outcome *outcome = record_admit(state, command);
    if (outcome != NULL)
        return outcome;
    outcome = row->apply(state, command);
    record_add(state, command, machine_record_state(command, outcome), outcome);
    return outcome;
}

static void machine_count(struct machine *self, enum command_op op, const struct outcome *outcome)
{
    if (outcome->replayed)
        metric_add(self->replayed, 1);
    else if (op == COMMAND_RESERVE)
        metric_add(outcome->code == OK ? self->granted : self->denied, 1);
    else if (op == COMMAND_RESTOCK)
        metric_add(self->restocked,
                   (double)json_integer_value(json_object_get(outcome->body, "restocked")));
}

static void machine_decode(struct machine *self, const struct replica_entry *entry,
                           struct command *command)
{
    int code = command_decode(command, entry->data, entry->size);
    if (code == OK)
        return;
    log_write(self->log, LOG_LEVEL_ERROR,
              code == ERR_VERSION ? "an entry has a format that this version does not know; ending"
                                  : "an entry is damaged; ending",
              LOG_UINT("index", entry->index), LOG_UINT("term", entry->term),
              LOG_UINT("bytes", entry->size));
    _exit(FATAL_EXIT_STATUS);
}

static void *machine_apply(void *arg, const struct replica_entry *entry)
{
    struct machine *self = arg;
    struct command command;

    machine_decode(self, entry, &command);
    state_enter(self->state, entry->index, entry->log_time_ms, entry->wall_ms);
    const struct machine_row *row = &machine_rows[command.op];
    struct outcome *outcome = row->keyed ? machine_apply_keyed(self->state, row, &command)
                                         : row->apply(self->state, &command);
    record_forget(self->state);
    machine_count(self, command.op, outcome);
    command_close(&command);
    return outcome;
}

/* ---- The rest of the interface ------------------------------------------ */

static void machine_show(struct machine *self)
{
    const struct state_totals *totals = state_totals(self->state);
    metric_set(self->items, (double)totals->items);
    metric_set(self->keys, (double)totals->records);
    metric_set(self->unsettled, (double)totals->unsettled);
    metric_set(self->unclosed, (double)totals->unclosed);
}

static void machine_counted(void *arg, uint64_t rows)
{
    struct machine *self = arg;
    self->rows = rows;
    self->counted = true;
}

static int machine_open(void *arg, const char *path, char **error)
{
    struct machine *self = arg;
    assert(self->state == NULL);
    int code = state_open(path, self->log, self->counted ? &self->rows : NULL, &self->state, error);
    self->counted = false;
    if (code != OK)
        return code;
    self->path = alloc_copy(path, strlen(path));
    machine_show(self);
    return OK;
}

static void machine_close(void *arg)
{
    struct machine *self = arg;
    assert(self->state != NULL);
    if (self->closing != NULL)
        self->closing(self->closing_arg);
    state_close(&self->state);
    free(self->path);
    self->path = NULL;
}

static uint64_t machine_digest(void *arg)
{
    return state_digest(((struct machine *)arg)->state);
}

static uint32_t machine_digest_format(void *arg)
{
    return state_digest_format(((struct machine *)arg)->state);
}

static replica_index machine_applied(void *arg)
{
    return state_index(((struct machine *)arg)->state);
}

static void machine_begin(void *arg)
{
    state_begin(((struct machine *)arg)->state);
}

static void machine_commit(void *arg)
{
    struct machine *self = arg;
    state_commit(self->state);
    machine_show(self);
}

static void machine_release(void *arg, void *result)
{
    struct outcome *outcome = result;
    (void)arg;
    outcome_destroy(&outcome);
}

/* Nothing here depends on who leads: the leader's timers ask the replica. */
static void machine_lead(void *arg, bool leader, replica_term term)
{
    struct machine *self = arg;
    log_write(self->log, LOG_LEVEL_DEBUG, leader ? "leads" : "leads no more",
              LOG_UINT("term", term));
}

void machine_interface(struct machine *self, struct replica_machine *interface)
{
    *interface = (struct replica_machine){
        .self = self,
        .open = machine_open,
        .close = machine_close,
        .digest = machine_digest,
        .digest_format = machine_digest_format,
        .count = state_count,
        .counted = machine_counted,
        .applied = machine_applied,
        .begin = machine_begin,
        .commit = machine_commit,
        .apply = machine_apply,
        .release = machine_release,
        .lead = machine_lead,
    };
}
