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
#include "services/catalog/audit.h"
#include "services/catalog/command.h"
#include "services/catalog/item.h"
#include "services/catalog/machine.h"
#include "tests/sim/sim_clients.h"
#include "tests/sim/sim_hosted.h"

struct catalog {
    struct sim_hosted hosted;
    struct machine *machine;
};

static void *catalog_open(const struct sim_image *image, const char *name)
{
    struct catalog *self = alloc_zero(sizeof *self);

    self->machine = machine_new(NULL, NULL);
    machine_interface(self->machine, &self->hosted.calls);
    sim_hosted_open(&self->hosted, image, name);
    return self;
}

static void catalog_close(void *machine)
{
    struct catalog *self = machine;

    machine_destroy(&self->machine);
    sim_hosted_close(&self->hosted);
    free(self);
}

static struct sim_image *catalog_blank(void)
{
    void *machine = catalog_open(NULL, "/catalog-blank");
    struct sim_image *image = sim_hosted_save(machine);

    catalog_close(machine);
    return image;
}

struct machine *sim_catalog_machine(void *machine)
{
    struct catalog *self = machine;

    return self->machine;
}

static int64_t count_violations(struct catalog *self)
{
    struct audit *audit = audit_new(machine_path(self->machine), NULL);
    struct audit_result result = {.violations = -1};

    if (audit_begin(audit) == 0)
        while (!audit_step(audit, &result))
            ;
    audit_destroy(&audit);
    return result.violations;
}

void sim_catalog_account(void *machine, struct sim_account *account)
{
    struct catalog *self = machine;
    struct state *state = machine_state(self->machine);

    memset(account, 0, sizeof *account);
    account->unsettled = state_totals(state)->unsettled;
    account->unclosed = state_totals(state)->unclosed;
    account->violations = count_violations(self);
    for (int64_t id = 1; id <= SIM_ACCOUNT_ITEMS; id++) {
        struct item item;

        if (item_find(state, id, &item))
            account->items[id - 1] = (struct sim_account_item){item.initial, item.moved, item.sold,
                                                               item.stock, item.version};
    }
}

bool sim_catalog_quiet(void *machine)
{
    struct catalog *self = machine;
    const struct state_totals *totals = state_totals(machine_state(self->machine));

    return totals->unsettled == 0 && totals->unclosed == 0;
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
    .save = sim_hosted_save,
    .begin = sim_hosted_begin,
    .commit = sim_hosted_commit,
    .apply = sim_hosted_apply,
    .release = sim_hosted_release,
    .digest = sim_hosted_digest,
    .command = catalog_command,
    .number = catalog_number,
};
