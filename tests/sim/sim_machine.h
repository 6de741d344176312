/* What a simulated replica needs of its state machine: the toy's (sim_toy.h), which is small enough to
 * be run through millions of entries, or those of the services (sim_catalog.h, sim_order.h) with all
 * their tables.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_SIM_MACHINE_H
#define PYGMY_SIM_MACHINE_H

#include <stddef.h>
#include <stdint.h>

#include "services/replica/log_entry.h"

/* All that a machine holds, as a file would have it. Never changed; held by who has it. */
struct sim_image {
    size_t holders;
    size_t size;
    uint8_t data[];
};

/* One of @size bytes, to be filled in; the caller's hold. */
struct sim_image *sim_image_new(size_t size);
struct sim_image *sim_image_hold(struct sim_image *self);
/* Accepts NULL. */
void sim_image_release(struct sim_image **self_p);

struct sim_machine_kind {
    const char *name;
    /* What a machine begins with, to which nothing was applied yet. */
    struct sim_image *(*blank)(void);
    /* A machine that holds what @image does. @name is of no other that is open. */
    void *(*open)(const struct sim_image *image, const char *name);
    void (*close)(void *machine);
    struct sim_image *(*save)(void *machine);
    /* The transaction around a batch. */
    void (*begin)(void *machine);
    void (*commit)(void *machine);
    /* Apply an entry, of whatever kind: what came of it, or NULL. @checksum is the entry's. */
    void *(*apply)(void *machine, const struct log_entry *entry, uint32_t checksum);
    void (*release)(void *machine, void *result);
    /* Of all that it holds; equal where the same entries were applied, also within a batch. */
    uint64_t (*digest)(const void *machine);
    /* A command of the group's own clients (sim_clients.h), which bears that number, for one of their
     * places, written to @data: of @size bytes, if that is possible. Returns how many it has. And the
     * number of one; 0: it is none. */
    size_t (*command)(uint8_t *data, size_t size, uint64_t number, unsigned place);
    uint64_t (*number)(const struct log_entry *entry);
};

#endif
