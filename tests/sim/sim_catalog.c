/* See sim_catalog.h.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/sim_catalog.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/bus/alloc.h"
#include "services/catalog/command.h"
#include "services/catalog/machine.h"
#include "tests/sim/sim_clients.h"
#include "tests/sim/sim_tables.h"

struct catalog {
    struct sim_tables *tables;
    struct machine *machine;
    struct replica_machine calls;
};

static void *catalog_open(const struct sim_image *image, const char *name)
{
    struct catalog *self = alloc_zero(sizeof *self);
    char *error = NULL;
    int code;

    self->tables = sim_tables_new(name, image);
    self->machine = machine_new(NULL, NULL);
    machine_interface(self->machine, &self->calls);
    code = self->calls.open(self->machine, sim_tables_path(self->tables), &error);
    if (code != 0)
        fprintf(stderr, "%s\n", error);
    assert(code == 0);
    return self;
}

static void catalog_close(void *machine)
{
    struct catalog *self = machine;

    machine_destroy(&self->machine);
    sim_tables_destroy(&self->tables);
    free(self);
}

static struct sim_image *catalog_save(void *machine)
{
    struct catalog *self = machine;

    return sim_tables_save(self->tables);
}

static struct sim_image *catalog_blank(void)
{
    void *machine = catalog_open(NULL, "/catalog-blank");
    struct sim_image *image = catalog_save(machine);

    catalog_close(machine);
    return image;
}

static void catalog_begin(void *machine)
{
    struct catalog *self = machine;

    self->calls.begin(self->machine);
}

static void catalog_commit(void *machine)
{
    struct catalog *self = machine;

    self->calls.commit(self->machine);
}

static void *catalog_apply(void *machine, const struct log_entry *entry, uint32_t checksum)
{
    struct catalog *self = machine;
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
    return self->calls.apply(self->machine, &command);
}

static void catalog_release(void *machine, void *result)
{
    struct catalog *self = machine;

    if (result != NULL)
        self->calls.release(self->machine, result);
}

static uint64_t catalog_digest(const void *machine)
{
    const struct catalog *self = machine;

    return self->calls.digest(self->machine);
}

/* ---- Commands of its own clients ---------------------------------------------------------------- */

/* Every so many commands one adds the item, if it is not there yet; the others change its stock. */
#define ADDS_OF_COMMANDS 8

static struct text words_of(const char *words)
{
    return (struct text){words, strlen(words)};
}

static void command_add(struct command *command)
{
    struct command_item *item = &command->item;

    command->op = COMMAND_ITEM_ADD;
    item->fields = COMMAND_FIELDS_ADD;
    item->title = words_of("A Book of Two Replicas");
    item->authors = words_of("N. One");
    item->topic = words_of("Logs");
    item->year_known = true;
    item->year = 1999;
    item->isbn = words_of("");
    item->price_cents = 1999;
    item->currency = words_of("EUR");
    item->stock = 10;
}

static size_t catalog_command(uint8_t *data, size_t size, uint64_t number, unsigned place)
{
    struct bytes_writer bytes = {0};
    struct command command = {.op = COMMAND_STOCK, .item = {.id = place + 1}};
    char key[32];

    snprintf(key, sizeof key, "c%" PRIu64, number);
    command.key = words_of(key);
    if (number % ADDS_OF_COMMANDS == 1)
        command_add(&command);
    command.change = number % 3 == 0 ? 5 : -2;
    command.reason = words_of("counted");
    command_encode(&command, &bytes);
    assert(bytes.size <= SIM_COMMAND_BYTES_ROOM);
    memcpy(data, bytes.data, bytes.size);
    size = bytes.size;
    bytes_writer_close(&bytes);
    return size;
}

static uint64_t catalog_number(const struct log_entry *entry)
{
    struct command command;
    uint64_t number = 0;

    if (entry->kind != LOG_ENTRY_COMMAND || command_decode(&command, entry->data, entry->size) != 0)
        return 0;
    if (command.key.size > 1 && command.key.data[0] == 'c')
        for (size_t i = 1; i < command.key.size; i++)
            number = number * 10 + (uint64_t)(command.key.data[i] - '0');
    command_close(&command);
    return number;
}

const struct sim_machine_kind sim_catalog = {
    .name = "catalog",
    .blank = catalog_blank,
    .open = catalog_open,
    .close = catalog_close,
    .save = catalog_save,
    .begin = catalog_begin,
    .commit = catalog_commit,
    .apply = catalog_apply,
    .release = catalog_release,
    .digest = catalog_digest,
    .command = catalog_command,
    .number = catalog_number,
};
