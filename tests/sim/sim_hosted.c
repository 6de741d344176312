/* See sim_hosted.h.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/sim_hosted.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

void sim_hosted_open(struct sim_hosted *self, const struct sim_image *image, const char *name)
{
    char *error = NULL;
    int code;

    self->tables = sim_tables_new(name, image);
    code = self->calls.open(self->calls.self, sim_tables_path(self->tables), &error);
    if (code != 0)
        fprintf(stderr, "%s\n", error);
    assert(code == 0);
}

void sim_hosted_close(struct sim_hosted *self)
{
    sim_tables_destroy(&self->tables);
}

struct sim_image *sim_hosted_save(void *machine)
{
    struct sim_hosted *self = machine;

    return sim_tables_save(self->tables);
}

void sim_hosted_begin(void *machine)
{
    struct sim_hosted *self = machine;

    self->calls.begin(self->calls.self);
}

void sim_hosted_commit(void *machine)
{
    struct sim_hosted *self = machine;

    self->calls.commit(self->calls.self);
}

void *sim_hosted_apply(void *machine, const struct log_entry *entry, uint32_t checksum)
{
    struct sim_hosted *self = machine;
    const struct replica_entry command = {
        .index = entry->index,
        .term = entry->term,
        .log_time_ms = entry->log_time_ms,
        .wall_ms = entry->wall_ms,
        .data = entry->data,
        .size = entry->size,
    };

    (void)checksum;
    if (entry->kind != LOG_ENTRY_COMMAND)
        return NULL;
    /* The result is the machine's own: it keeps nothing of the entry beyond the call. */
    /* cppcheck-suppress returnDanglingLifetime */
    return self->calls.apply(self->calls.self, &command);
}

void sim_hosted_release(void *machine, void *result)
{
    struct sim_hosted *self = machine;

    if (result != NULL)
        self->calls.release(self->calls.self, result);
}

uint64_t sim_hosted_digest(const void *machine)
{
    const struct sim_hosted *self = machine;

    return self->calls.digest(self->calls.self);
}
