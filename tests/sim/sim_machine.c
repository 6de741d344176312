/* See sim_machine.h.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/sim_machine.h"

#include <assert.h>
#include <stdlib.h>

#include "broker/bus/alloc.h"

struct sim_image *sim_image_new(size_t size)
{
    struct sim_image *self = alloc_zero(sizeof *self + size);

    self->holders = 1;
    self->size = size;
    return self;
}

struct sim_image *sim_image_hold(struct sim_image *self)
{
    self->holders++;
    return self;
}

void sim_image_release(struct sim_image **self_p)
{
    struct sim_image *self = *self_p;

    *self_p = NULL;
    if (self == NULL)
        return;
    assert(self->holders > 0);
    if (--self->holders == 0)
        free(self);
}
