/* See sim_order.h.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/sim_order.h"

#include <stdlib.h>

#include "broker/bus/alloc.h"
#include "services/order/machine.h"
#include "tests/sim/sim_hosted.h"

struct order_host {
    struct sim_hosted hosted;
    struct machine machine;
};

/* The simulated node tells of leadership itself. */
static void lead(void *arg, bool leader)
{
    (void)arg;
    (void)leader;
}

static void *order_open(const struct sim_image *image, const char *name)
{
    struct order_host *self = alloc_zero(sizeof *self);

    machine_init(&self->machine, NULL, lead, NULL, &self->hosted.calls);
    sim_hosted_open(&self->hosted, image, name);
    return self;
}

static void order_host_close(void *machine)
{
    struct order_host *self = machine;

    machine_close(&self->machine);
    sim_hosted_close(&self->hosted);
    free(self);
}

static struct sim_image *order_blank(void)
{
    void *machine = order_open(NULL, "/order-blank");
    struct sim_image *image = sim_hosted_save(machine);

    order_host_close(machine);
    return image;
}

struct orders *sim_order_tables(void *machine)
{
    struct order_host *self = machine;

    return self->machine.orders;
}

const struct sim_machine_kind sim_order = {
    .name = "order",
    .blank = order_blank,
    .open = order_open,
    .close = order_host_close,
    .save = sim_hosted_save,
    .begin = sim_hosted_begin,
    .commit = sim_hosted_commit,
    .apply = sim_hosted_apply,
    .release = sim_hosted_release,
    .digest = sim_hosted_digest,
};
