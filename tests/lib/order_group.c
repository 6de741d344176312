/* See groups.h.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "broker/bus/alloc.h"
#include "broker/bus/bytes.h"
#include "broker/bus/err.h"
#include "services/order/command.h"
#include "services/order/machine.h"
#include "services/order/render.h"
#include "tests/lib/groups.h"

struct order_group {
    struct one_group group;
    struct machine machine;
};

static void order_group_on_lead(void *arg, bool leader)
{
    (void)arg;
    (void)leader;
}

int order_group_open(zloop_t *loop, const char *directory, struct log *log,
                     struct order_group **self_p, char **error)
{
    struct order_group *self = alloc_zero(sizeof *self);
    struct replica_machine machine;

    self->group.loop = loop;
    machine_init(&self->machine, log, order_group_on_lead, NULL, &machine);
    int result = group_open(&self->group, "order", directory, log, &machine, error);
    if (result == 0)
        *self_p = self;
    else
        order_group_close(&self);
    return result;
}

void order_group_close(struct order_group **self_p)
{
    if (*self_p == NULL)
        return;
    replica_close(&(*self_p)->group.replica);
    machine_close(&(*self_p)->machine);
    free(*self_p);
    *self_p = NULL;
}

uint64_t order_group_find(struct order_group *self, const char *key)
{
    struct order order = {0};
    uint64_t number = 0;

    if (orders_by_key(self->machine.orders, key, &order))
        number = order.number;
    order_close(&order);
    return number;
}

/* Submit and free the command; *number (NULL: nobody asks) is that of the result. */
static int order_group_submit(struct order_group *self, struct bytes_writer *command,
                              uint64_t *number)
{
    void *applied = NULL;

    int code = group_submit(&self->group, command->data, command->size, &applied);
    struct machine_result *result = applied;
    bytes_writer_close(command);
    if (code == OK)
        code = result->code;
    if (result != NULL && number != NULL)
        *number = result->number;
    machine_result_destroy(&result);
    return code;
}

int order_group_order(struct order_group *self, const char *key, const json_t *grant,
                      uint64_t *number)
{
    struct bytes_writer content = {0};
    struct bytes_writer granted = {0};
    struct bytes_writer command = {0};
    struct basket basket;
    struct grant read;

    int code = render_read_grant(grant, &read);
    if (code == OK) {
        grant_basket(&read, &basket);
        basket_write(&basket, &content);
        grant_write(&read, &granted);
        order_command_write_order(&command, key, 0, content.data, content.size, granted.data,
                                  granted.size);
        code = order_group_submit(self, &command, number);
    }
    bytes_writer_close(&content);
    bytes_writer_close(&granted);
    grant_close(&read);
    return code;
}

int order_group_cancelling(struct order_group *self, uint64_t number, const char *key)
{
    struct bytes_writer command = {0};

    order_command_write_cancelling(&command, number, key, 0);
    return order_group_submit(self, &command, NULL);
}

int order_group_cancelled(struct order_group *self, uint64_t number)
{
    struct bytes_writer command = {0};

    order_command_write_cancelled(&command, number);
    return order_group_submit(self, &command, NULL);
}

struct order_group_sum {
    int64_t id;
    int64_t quantity;
};

static bool order_group_add(void *arg, int64_t id, int64_t quantity)
{
    struct order_group_sum *sum = arg;

    sum->quantity += id == sum->id ? quantity : 0;
    return true;
}

int64_t order_group_sold(struct order_group *self, int64_t id)
{
    struct order_group_sum sum = {.id = id};

    orders_sold(self->machine.orders, 0, order_group_add, &sum);
    return sum.quantity;
}

uint64_t order_group_active(const struct order_group *self)
{
    return orders_active(self->machine.orders);
}

replica_index order_group_last_index(const struct order_group *self)
{
    return replica_last_index(self->group.replica);
}
