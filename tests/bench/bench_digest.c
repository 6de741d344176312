/* What keeping the digest up costs an apply: the same entries applied by a machine with the digest,
 * and by one whose hook was taken away.
 *
 *   bench_digest [--json] [ROUNDS]
 *
 * In each round both have their turn, each on an empty file of its own, so that
 * what disturbs the machine disturbs both; a ratio is taken within a round. Shown are medians of the
 * rounds and in brackets the smallest and the largest. The entries: reservations of one line among 1,000
 * items, each with a record of its key, and their settling; 64 entries to a transaction.
 *
 * Exit status: 0; 1 nothing could be measured; 2 usage.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#define SQLITE_ENABLE_PREUPDATE_HOOK
#include <sqlite3.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "broker/bus/bytes.h"
#include "broker/bus/err.h"
#include "services/catalog/command.h"
#include "services/catalog/machine.h"

/* link: catalog */

#define ITEMS          1000
#define ENTRIES        4000
#define BATCH          64
#define SETTLE_KEYS    50
#define ROUNDS_DEFAULT 9
#define ROUNDS_MAX     99

struct bench {
    struct machine *machine;
    struct replica_machine interface;
    uint64_t index; /* of the last entry */
};

static void bench_apply(struct bench *self, const struct command *command)
{
    struct bytes_writer bytes = {0};
    command_encode(command, &bytes);
    self->index++;
    struct replica_entry entry = {
        .index = self->index,
        .term = 1,
        .log_time_ms = (int64_t)self->index,
        .wall_ms = 1767323045678,
        .data = bytes.data,
        .size = bytes.size,
    };
    void *result = self->interface.apply(self->interface.self, &entry);
    self->interface.release(self->interface.self, result);
    bytes_writer_close(&bytes);
}

static struct text bench_key(char *buffer, size_t size, const char *kind, int number)
{
    int length = snprintf(buffer, size, "%s-0123456789abcdef-%d", kind, number);
    return (struct text){buffer, (size_t)length};
}

static void bench_add_items(struct bench *self)
{
    char key[64], title[64];
    self->interface.begin(self->interface.self);
    for (int i = 1; i <= ITEMS; i++) {
        struct command add = {
            .op = COMMAND_ITEM_ADD,
            .key = bench_key(key, sizeof key, "add", i),
            .item = {.id = i,
                     .fields = COMMAND_FIELDS_ADD,
                     .title = bench_key(title, sizeof title, "The Title of an Item", i),
                     .authors = TEXT("Jane Austen and Others"),
                     .topic = TEXT("distributed systems"),
                     .isbn = TEXT(""),
                     .price_cents = 1999,
                     .currency = TEXT("USD"),
                     .stock = 1000000},
        };
        bench_apply(self, &add);
    }
    self->interface.commit(self->interface.self);
}

static void bench_reserve(struct bench *self, int number)
{
    char key[64];
    struct command_line line = {.id = 1 + number * 7919 % ITEMS, .quantity = 1};
    struct command reserve = {
        .op = COMMAND_RESERVE,
        .key = bench_key(key, sizeof key, "buy", number),
        .count = 1,
        .lines = &line,
    };
    bench_apply(self, &reserve);
}

static void bench_settle(struct bench *self, int from)
{
    char names[SETTLE_KEYS][64];
    struct text keys[SETTLE_KEYS];
    for (int i = 0; i < SETTLE_KEYS; i++)
        keys[i] = bench_key(names[i], sizeof names[i], "buy", from + i);
    struct command settle = {.op = COMMAND_SETTLE, .count = SETTLE_KEYS, .keys = keys};
    bench_apply(self, &settle);
}

/* Of this thread alone: what else runs on the machine takes its time from both, but not evenly. */
static int64_t processor_us(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* Microseconds of processor time that the entries take. */
static int64_t bench_run(struct bench *self)
{
    int64_t begin_us = processor_us();
    for (int i = 0; i < ENTRIES; i++) {
        if (i % BATCH == 0)
            self->interface.begin(self->interface.self);
        bench_reserve(self, i);
        if ((i + 1) % SETTLE_KEYS == 0)
            bench_settle(self, i + 1 - SETTLE_KEYS);
        if ((i + 1) % BATCH == 0 || i + 1 == ENTRIES)
            self->interface.commit(self->interface.self);
    }
    return processor_us() - begin_us;
}

static void bench_remove(const char *directory, const char *path)
{
    static const char *const suffixes[] = {"", "-wal", "-shm"};
    char name[128];
    for (size_t i = 0; i < sizeof suffixes / sizeof suffixes[0]; i++) {
        (void)snprintf(name, sizeof name, "%s%s", path, suffixes[i]);
        (void)unlink(name);
    }
    (void)rmdir(directory);
}

/* One turn; -1 when there is no place for the file. */
static int64_t turn(bool with_digest)
{
    char directory[] = "/tmp/bench-digest-XXXXXX", path[64];
    char *error = NULL;
    struct bench self = {.machine = machine_new(NULL, NULL)};
    int64_t taken_us = -1;

    machine_interface(self.machine, &self.interface);
    if (mkdtemp(directory) != NULL) {
        (void)snprintf(path, sizeof path, "%s/state", directory);
        if (self.interface.open(self.machine, path, &error) == OK) {
            if (!with_digest)
                (void)sqlite3_preupdate_hook(sql_database(state_sql(machine_state(self.machine))),
                                             NULL, NULL);
            bench_add_items(&self);
            taken_us = bench_run(&self);
        }
    }
    machine_destroy(&self.machine);
    bench_remove(directory, path);
    free(error);
    return taken_us;
}

static int by_size(const void *one, const void *other)
{
    double a = *(const double *)one, b = *(const double *)other;
    return (a > b) - (a < b);
}

/* Print median, smallest and largest. */
static void show(bool json, const char *name, double *values, int count)
{
    qsort(values, (size_t)count, sizeof values[0], by_size);
    printf(json ? "\"%s\": [%.3f, %.3f, %.3f]" : "%-34s %8.3f  [%.3f, %.3f]\n", name,
           values[count / 2], values[0], values[count - 1]);
}

static int bench(bool json, int rounds)
{
    double with_us[ROUNDS_MAX], without_us[ROUNDS_MAX], ratios[ROUNDS_MAX];
    for (int i = 0; i < rounds; i++) {
        bool first = i % 2 == 0; /* who goes first takes turns */
        int64_t one_us = turn(first), other_us = turn(!first);
        if (one_us <= 0 || other_us <= 0)
            return 1;
        with_us[i] = (double)(first ? one_us : other_us) / ENTRIES;
        without_us[i] = (double)(first ? other_us : one_us) / ENTRIES;
        ratios[i] = with_us[i] / without_us[i];
    }
    printf(json ? "{" : "A reservation and its settling, applied, with the digest kept up:\n");
    show(json, "without_us", without_us, rounds);
    printf(json ? ", " : "");
    show(json, "with_us", with_us, rounds);
    printf(json ? ", " : "");
    show(json, "ratio", ratios, rounds);
    printf(json ? "}\n" : "");
    return 0;
}

int main(int argc, char **argv)
{
    int rounds = ROUNDS_DEFAULT;
    bool json = argc > 1 && strcmp(argv[1], "--json") == 0;
    if (argc > 1 + json)
        rounds = atoi(argv[1 + json]);
    if (rounds < 1 || rounds > ROUNDS_MAX || argc > 2 + json) {
        fprintf(stderr, "usage: bench_digest [--json] [ROUNDS]\n");
        return 2;
    }
    return bench(json, rounds);
}
