/* pygmy import: a CSV file into the catalog.
 *
 * The file is checked as a whole before anything is sent. Its rows then go as
 * entries of at most IMPORT_ROWS_EACH rows, each all or nothing, each with a key
 * of its own: KEY:1, KEY:2, and so on. The first goes alone: what is wrong with
 * the whole file (no price for new items, no secret) is found before anything
 * is changed. A run that ends early is completed by another, because rows that
 * are in the store already change nothing.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/bus/alloc.h"
#include "broker/bus/err.h"
#include "broker/bus/limits.h"
#include "client/cli/catalog_file.h"
#include "client/cli/cli.h"
#include "client/cli/file.h"
#include "client/cli/progress.h"
#include "client/cli/verbs.h"

/* A number that no import reaches, with the colon before it. */
#define KEY_SUFFIX_BYTES 16

struct import;

struct entry {
    struct import *import;
    size_t first; /* row, from 0 */
    size_t count;
};

struct import {
    struct cli *cli;
    const char *name; /* of the file, for errors */
    struct catalog_file file;
    char key[KEY_BYTES_MAX + 1];
    int64_t default_stock; /* -1: none given */
    int64_t default_price;
    struct entry *entries;
    size_t entry_count;
    size_t started; /* entries */
    size_t in_flight;
    size_t rows_done;
    int64_t added;
    int64_t changed;
    int64_t unchanged;
    int status; /* not EXIT_DONE: an entry has failed, and no further one is started */
    struct progress progress;
};

/* ---- Entries ---------------------------------------------------------------------- */

/* How many rows from @first on fit into one entry. */
static size_t import_fit(const struct import *self, size_t first)
{
    size_t bytes = 0;
    size_t count = 0;
    while (first + count < self->file.row_count && count < IMPORT_ROWS_EACH) {
        const json_t *row = json_array_get(self->file.rows, first + count);
        bytes += json_dumpb(row, NULL, 0, JSON_COMPACT) + 1;
        if (bytes > IMPORT_BYTES_MAX && count > 0)
            break;
        count++;
    }
    return count;
}

static void import_divide(struct import *self)
{
    for (size_t first = 0; first < self->file.row_count;) {
        size_t count = import_fit(self, first);
        self->entries =
            alloc_resize(self->entries, (self->entry_count + 1) * sizeof *self->entries);
        self->entries[self->entry_count++] = (struct entry){self, first, count};
        first += count;
    }
}

static void import_done(void *arg, const struct pygmy_reply *reply);

static void import_start(struct import *self, struct entry *entry)
{
    char key[KEY_BYTES_MAX + KEY_SUFFIX_BYTES];
    json_t *rows = json_array();
    for (size_t i = 0; i < entry->count; i++)
        json_array_append(rows, json_array_get(self->file.rows, entry->first + i));
    json_t *fields = json_pack("{so}", "rows", rows);
    if (self->default_stock >= 0)
        json_object_set_new(fields, "default_stock", json_integer(self->default_stock));
    if (self->default_price >= 0)
        json_object_set_new(fields, "default_price_cents", json_integer(self->default_price));
    snprintf(key, sizeof key, "%s:%zu", self->key, (size_t)(entry - self->entries) + 1);
    self->started++;
    self->in_flight++;
    pygmy_import(self->cli->store, fields, key, import_done, entry);
}

/* Start what may be started; end the loop when nothing is left. */
static void import_go_on(struct import *self)
{
    size_t in_flight_max = self->rows_done > 0 ? IMPORT_IN_FLIGHT_MAX : 1;
    while (self->status == EXIT_DONE && self->started < self->entry_count &&
           self->in_flight < in_flight_max)
        import_start(self, &self->entries[self->started]);
    if (self->in_flight == 0)
        loop_end_now(self->cli->loop_end);
}

/* A row was refused: its line in the file, and what may help. */
static void import_tell_row(const struct import *self, size_t place, const json_t *error,
                            const struct pygmy_reply *reply)
{
    const char *detail = cli_text(error, "detail");
    const json_t *row = json_array_get(self->file.rows, place);
    if (self->cli->json)
        cli_print_json(self->cli, reply->body);
    cli_error(self->cli, "%s:%zu: %s", self->name, self->file.lines[place],
              *detail != '\0' ? detail : err_title(reply->code));
    if (reply->code == ERR_INVALID && self->default_price < 0 &&
        json_object_get(row, "price_cents") == NULL)
        cli_notice(self->cli, "--default-price CENTS gives new items a price");
}

/* An entry was refused: say so once, with the line of its row if there is one. */
static void import_fail(struct import *self, const struct entry *entry,
                        const struct pygmy_reply *reply)
{
    const json_t *error = json_object_get(reply->body, "error");
    const json_t *row = json_object_get(error, "row");
    size_t place = (size_t)json_integer_value(row);
    if (self->status != EXIT_DONE)
        return;
    progress_end(&self->progress);
    self->status = cli_exit_of(reply->code);
    if (json_is_integer(row) && place < entry->count)
        import_tell_row(self, entry->first + place, error, reply);
    else
        cli_refused(self->cli, reply);
}

static void import_done(void *arg, const struct pygmy_reply *reply)
{
    struct entry *entry = arg;
    struct import *self = entry->import;
    self->in_flight--;
    if (reply->code == OK) {
        char note[64];
        self->added += cli_integer(reply->body, "added");
        self->changed += cli_integer(reply->body, "changed");
        self->unchanged += cli_integer(reply->body, "unchanged");
        self->rows_done += entry->count;
        snprintf(note, sizeof note, "%zu rows", self->rows_done);
        progress_set(&self->progress, (int64_t)self->rows_done, note);
    } else {
        import_fail(self, entry, reply);
    }
    import_go_on(self);
}

/* ---- The whole --------------------------------------------------------------------- */

static void import_tell(struct import *self)
{
    if (self->cli->json) {
        json_t *counts = json_pack("{sI sI sI sI}", "rows", (json_int_t)self->rows_done, "added",
                                   (json_int_t)self->added, "changed", (json_int_t)self->changed,
                                   "unchanged", (json_int_t)self->unchanged);
        cli_print_json(self->cli, counts);
        json_decref(counts);
    } else if (self->cli->plain) {
        printf("%zu\t%" PRId64 "\t%" PRId64 "\t%" PRId64 "\n", self->rows_done, self->added,
               self->changed, self->unchanged);
    } else {
        printf("%zu rows: %" PRId64 " added, %" PRId64 " changed, %" PRId64 " unchanged\n",
               self->rows_done, self->added, self->changed, self->unchanged);
        if (self->added == 0 && self->changed == 0)
            puts("nothing has changed");
    }
}

static int import_send(struct import *self)
{
    int status = cli_open_loop(self->cli);
    if (status != EXIT_DONE)
        return status;
    self->progress = (struct progress){
        .shown = !self->cli->quiet && (self->cli->err_is_tty || cli_flag(self->cli, "progress")),
        .label = "import",
        .total = (int64_t)self->file.row_count};
    import_divide(self);
    import_go_on(self);
    int interrupted = cli_run(self->cli);
    progress_end(&self->progress);
    status = interrupted != EXIT_DONE ? interrupted : self->status;
    if (status == EXIT_DONE)
        import_tell(self);
    else if (self->rows_done > 0 || status == EXIT_INTERRUPTED || status == EXIT_UNANSWERED)
        cli_error(self->cli, "%zu of %zu rows are in for certain; run it again to complete it",
                  self->rows_done, self->file.row_count);
    return status;
}

static int import_load(struct import *self)
{
    char *error = NULL;
    size_t size = 0;
    bool good = false;
    char *data = file_read(cli_operand(self->cli, 0), CSV_FILE_BYTES_MAX, &size, &error);
    if (data != NULL)
        good = catalog_file_read(&self->file, self->name, data, size, &error);
    free(data);
    if (!good) {
        cli_error(self->cli, "%s", error);
        if (data != NULL)
            cli_error(self->cli, "nothing was imported");
        free(error);
        return EXIT_USAGE;
    }
    if (self->file.ignored != NULL)
        cli_notice(self->cli, "columns that mean nothing here are ignored: %s", self->file.ignored);
    return EXIT_DONE;
}

static int import_options(struct import *self)
{
    const char *key;
    struct cli *cli = self->cli;
    int status = cli_option_number(cli, "default-stock", 0, STOCK_MAX, &self->default_stock);
    if (status == EXIT_DONE)
        status = cli_option_number(cli, "default-price", 0, PRICE_CENTS_MAX, &self->default_price);
    if (status == EXIT_DONE)
        status = cli_key(cli, &key);
    if (status != EXIT_DONE)
        return status;
    if (key == NULL)
        pygmy_key_make(self->key);
    else if (strlen(key) + KEY_SUFFIX_BYTES > KEY_BYTES_MAX)
        return cli_usage(cli, "--key may have %d characters here",
                         KEY_BYTES_MAX - KEY_SUFFIX_BYTES);
    else
        snprintf(self->key, sizeof self->key, "%s", key);
    return EXIT_DONE;
}

static int import_run(struct cli *cli)
{
    struct import self = {.cli = cli, .default_stock = -1, .default_price = -1};
    self.name = strcmp(cli_operand(cli, 0), "-") == 0 ? "standard input" : cli_operand(cli, 0);
    int status = import_options(&self);
    if (status == EXIT_DONE)
        status = import_load(&self);
    if (status == EXIT_DONE && self.file.row_count > 0)
        status = import_send(&self);
    else if (status == EXIT_DONE)
        import_tell(&self);
    /* The store goes first: calls under way point to the entries. */
    pygmy_close(&cli->store);
    catalog_file_close(&self.file);
    free(self.entries);
    return status;
}

static const struct args_option import_options_table[] = {
    {"default-stock", "N", "stock of new items for which the file has none"},
    {"default-price", "CENTS", "price of new items for which the file has none"},
    {"progress", NULL, "show the progress also when standard error is no terminal"},
    {"key", "KEY", "idempotency key of the whole; a random one is made otherwise"},
    {0},
};

const struct verb verb_import = {
    .name = "import",
    .operands = "FILE",
    .summary = "add and change items from a CSV file",
    .examples = "  pygmy import books.csv\n"
                "  pygmy import books.csv --default-stock 100 --default-price 1999\n"
                "  pygmy dump | pygmy import -\n",
    .notes =
        "FILE is CSV (RFC 4180) in UTF-8; its first line names the columns: id and title, and\n"
        "any of authors, topic, year, isbn, price_cents, currency, stock. Others are ignored.\n"
        "The whole file is checked before anything is sent; an error names its line, and\n"
        "nothing is imported then.\n"
        "A new id is added; of an id that exists, what the file's columns say is changed,\n"
        "its price and stock only if the file has those. Rows that change nothing are\n"
        "counted as unchanged, so a run that was ended is completed by running it again: that\n"
        "is why each run may have a random key. With the same key and another file, the\n"
        "store refuses (key-reused).\n"
        "This takes the cluster's secret.\n",
    .options = import_options_table,
    .operand_min = 1,
    .operand_max = 1,
    .run = import_run,
};
