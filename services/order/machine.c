/* See machine.h.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "services/order/machine.h"

#include <stdlib.h>
#include <unistd.h>

#include "broker/bus/alloc.h"
#include "broker/bus/err.h"
#include "services/order/command.h"
#include "services/replica/fatal.h"

static void machine_counted(void *arg, uint64_t rows)
{
    struct machine *self = arg;

    self->rows = rows;
    self->counted = true;
}

static int machine_open(void *arg, const char *path, char **error)
{
    struct machine *self = arg;

    int result =
        orders_open(path, self->log, self->counted ? &self->rows : NULL, &self->orders, error);
    self->counted = false;
    return result;
}

static void machine_end(void *arg)
{
    struct machine *self = arg;

    orders_close(&self->orders);
}

static uint64_t machine_digest(void *arg)
{
    struct machine *self = arg;

    return orders_digest(self->orders);
}

static uint32_t machine_digest_format(void *arg)
{
    struct machine *self = arg;

    return orders_digest_format(self->orders);
}

static replica_index machine_applied(void *arg)
{
    struct machine *self = arg;

    return orders_applied(self->orders);
}

static void machine_begin(void *arg)
{
    struct machine *self = arg;

    orders_begin(self->orders);
}

static void machine_commit(void *arg)
{
    struct machine *self = arg;

    orders_commit(self->orders);
}

static enum orders_outcome machine_run(struct machine *self, const struct order_command *command,
                                       const struct replica_entry *entry, uint64_t *number)
{
    *number = command->number;
    switch (command->kind) {
    case COMMAND_ORDER:
        return orders_add(self->orders, command->key, command->stamp, &command->basket,
                          command->content, command->content_size, command->grant,
                          command->grant_size, entry->wall_ms, number);
    case COMMAND_CANCELLING:
        return orders_cancel(self->orders, command->number, command->key, command->stamp);
    case COMMAND_CANCELLED: break;
    }
    return orders_conclude(self->orders, command->number, entry->wall_ms);
}

static void *machine_apply(void *arg, const struct replica_entry *entry)
{
    struct machine *self = arg;
    struct machine_result *result = alloc_zero(sizeof *result);
    enum orders_outcome outcome;
    struct order_command command;
    int code = order_command_read(&command, entry->data, entry->size);

    if (code != OK) {
        log_write(self->log, LOG_LEVEL_ERROR, "an entry of the log can't be read",
                  LOG_UINT("log_index", entry->index), LOG_TEXT("error", err_type(code)));
        _exit(FATAL_EXIT_STATUS);
    }
    orders_enter(self->orders, entry->index);
    outcome = machine_run(self, &command, entry, &result->number);
    result->made = outcome == ORDERS_MADE;
    if (command.kind == COMMAND_ORDER && outcome == ORDERS_REFUSED)
        result->code = ERR_KEY_REUSED;
    order_command_close(&command);
    return result;
}

static void machine_release(void *arg, void *result)
{
    (void)arg;
    free(result);
}

static void machine_lead(void *arg, bool leader, replica_term term)
{
    struct machine *self = arg;

    (void)term;
    self->lead(self->arg, leader);
}

void machine_init(struct machine *self, struct log *log, machine_lead_fn *lead, void *arg,
                  struct replica_machine *replica)
{
    *self = (struct machine){.log = log, .lead = lead, .arg = arg};
    *replica = (struct replica_machine){
        .self = self,
        .open = machine_open,
        .close = machine_end,
        .digest = machine_digest,
        .digest_format = machine_digest_format,
        .count = orders_count,
        .counted = machine_counted,
        .applied = machine_applied,
        .begin = machine_begin,
        .commit = machine_commit,
        .apply = machine_apply,
        .release = machine_release,
        .lead = machine_lead,
    };
}

void machine_close(struct machine *self)
{
    orders_close(&self->orders);
}

void machine_result_destroy(struct machine_result **self_p)
{
    free(*self_p);
    *self_p = NULL;
}
