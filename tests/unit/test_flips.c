/* One flipped bit anywhere in a data directory: the replica refuses to start and says why, or it
 * starts with everything that was acknowledged.
 *
 * PYGMY_FLIPS is how many bits are flipped, each in a copy of its own, PYGMY_SEED which ones.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
#include <czmq.h>

#include "broker/bus/err.h"
#include "tests/lib/fault_calls.h"
#include "tests/lib/fault_disk.h"
#include "tests/lib/fault_vfs.h"
#include "tests/lib/files.h"
#include "tests/lib/groups.h"
#include "tests/lib/life.h"

#define FLIPS_DEFAULT 200
#define ITEMS         30
#define BUYS          40 /* in each of the lives that make the directories */
#define SAID_MAX      512

enum { CATALOG, ORDER, GROUPS };
static const char *const group_names[GROUPS] = {"catalog", "order"};

/* All that a directory may hold; of the snapshots, whose names tell where they stand, the first that
 * is found. */
#define SNAPSHOT "snapshot-"
static const char *const file_names[] = {
    "log.db", "log.db-wal", "log.db-shm",   "log.mark",     "identity",
    "lock",   "state.db",   "state.db-wal", "state.db-shm", SNAPSHOT,
};
#define FILES (sizeof file_names / sizeof file_names[0])

/* How a life ended, beyond the statuses of the programs: what was there is not. */
#define STATUS_REFUSED 1
#define STATUS_LOST    77

/* What a life tells. */
struct told {
    int code; /* of the opening */
    char said[SAID_MAX];
    replica_index last_index[GROUPS];
    uint32_t digest[GROUPS];
};

struct fixture {
    char *directory;      /* of all the below */
    char *said;           /* a life's standard error */
    char *base[GROUPS];   /* as a killed process left it */
    char *closed[GROUPS]; /* the same, opened again and closed: all of the log in log.db */
    char *work;
    struct fault_disk *disk; /* for its want of syncs alone */
    struct told *base_told;
    struct told *told;
    bool fresh; /* the next life is the first of the directories */
    int group;  /* the one to be opened */
    uint64_t random;
};

/* ---- Real use ------------------------------------------------------------------------------ */

static void must(bool good, const char *what)
{
    if (good)
        return;
    fprintf(stderr, "test_flips: %s\n", what);
    abort();
}

static void make_items(struct catalog_group *catalog)
{
    for (int id = 1; id <= ITEMS; id++)
        must(catalog_group_write(
                 catalog, NULL,
                 "{'op':'item_add','key':'add-%d','stamp':0,'id':%d,'title':'The %d. item',"
                 "'authors':'A. Writer','topic':'topic %d','price_cents':%d,'stock':1000}",
                 id, id, id, id % 7, 100 * id) == OK,
             "an item can't be added");
}

static void buy(struct catalog_group *catalog, struct order_group *order, const char *key, int id,
                uint64_t *number)
{
    json_t *grant = NULL;

    must(catalog_group_write(catalog, &grant,
                             "{'op':'reserve','key':'%s','stamp':0,'lines':[{'id':%d,'quantity':1},"
                             "{'id':%d,'quantity':2}]}",
                             key, id, id + 1) == OK,
         "a buy is not granted");
    must(order_group_order(order, key, grant, number) == OK, "a buy is not ordered");
    must(catalog_group_write(catalog, NULL, "{'op':'settle','keys':['%s']}", key) == OK,
         "a buy is not settled");
    json_decref(grant);
}

static void cancel(struct catalog_group *catalog, struct order_group *order, const char *key,
                   int id, uint64_t number)
{
    char *cancel_key = zsys_sprintf("cancel-%s", key);

    must(order_group_cancelling(order, number, cancel_key) == OK, "no cancel");
    must(catalog_group_write(catalog, NULL,
                             "{'op':'undo','key':'%s','stamp':0,'lines':[{'id':%d,'quantity':1},"
                             "{'id':%d,'quantity':2}]}",
                             key, id, id + 1) == OK,
         "no undo");
    must(order_group_cancelled(order, number) == OK, "not cancelled");
    must(catalog_group_write(catalog, NULL, "{'op':'close','keys':['%s']}", key) == OK,
         "not closed");
    free(cancel_key);
}

static void use(struct catalog_group *catalog, struct order_group *order, int life)
{
    char key[32];
    uint64_t number = 0;

    for (int i = 0; i < BUYS; i++) {
        int id = 1 + i % (ITEMS - 1);
        snprintf(key, sizeof key, "buy-%d-%d", life, i);
        buy(catalog, order, key, id, &number);
        if (i % 5 == 0)
            cancel(catalog, order, key, id, number);
    }
}

/* Begin a life, which syncs nothing: nobody pulls the plug here. */
static zloop_t *begin(struct fixture *self)
{
    zsys_handler_set(NULL);
    fault_disk_mount(self->disk);
    fault_vfs_set_default(fault_vfs_new("fault-flips", false));
    return zloop_new();
}

/* The first life closes its stores, so that pages move from the write-ahead log to the database;
 * the second one is killed, so that its own stay there. */
static int life_of_use(void *arg)
{
    struct fixture *self = arg;
    struct catalog_group *catalog = NULL;
    struct order_group *order = NULL;
    char *error = NULL;
    zloop_t *loop = begin(self);

    must(catalog_group_open(loop, self->base[CATALOG], NULL, &catalog, &error) == 0, "open");
    must(order_group_open(loop, self->base[ORDER], NULL, &order, &error) == 0, "open");
    if (self->fresh)
        make_items(catalog);
    use(catalog, order, self->fresh);
    if (!self->fresh) {
        for (int group = 0; group < GROUPS; group++)
            self->base_told->digest[group] = groups_digest(self->base[group]);
        self->base_told->last_index[CATALOG] = catalog_group_last_index(catalog);
        self->base_told->last_index[ORDER] = order_group_last_index(order);
        raise(SIGKILL);
    }
    order_group_close(&order);
    catalog_group_close(&catalog);
    return 0;
}

/* Open and close a group, with nothing done in between. */
static int life_of_closing(void *arg)
{
    struct fixture *self = arg;
    struct catalog_group *catalog = NULL;
    struct order_group *order = NULL;
    char *error = NULL;
    zloop_t *loop = begin(self);

    must(catalog_group_open(loop, self->closed[CATALOG], NULL, &catalog, &error) == 0, "open");
    must(order_group_open(loop, self->closed[ORDER], NULL, &order, &error) == 0, "open");
    order_group_close(&order);
    catalog_group_close(&catalog);
    return 0;
}

static int setup(void **state)
{
    struct fixture *self = calloc(1, sizeof *self);

    self->directory = files_new_directory();
    self->said = files_path(self->directory, "said");
    self->work = files_path(self->directory, "work");
    for (int group = 0; group < GROUPS; group++)
        self->base[group] = files_path(self->directory, group_names[group]);
    for (int group = 0; group < GROUPS; group++)
        self->closed[group] = zsys_sprintf("%s-closed", self->base[group]);
    fault_calls_link();
    self->disk = fault_disk_new();
    char *nothing = files_path(self->directory, "nothing");
    fault_disk_reset(self->disk, nothing, NULL);
    free(nothing);
    self->base_told = life_share(sizeof *self->base_told);
    self->told = life_share(sizeof *self->told);
    self->fresh = true;
    assert_int_equal(life_run(life_of_use, self, self->said), 0);
    self->fresh = false;
    assert_int_equal(life_run(life_of_use, self, self->said), -SIGKILL);
    for (int group = 0; group < GROUPS; group++)
        files_copy_tree(self->base[group], self->closed[group]);
    assert_int_equal(life_run(life_of_closing, self, self->said), 0);
    *state = self;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *self = *state;

    for (int group = 0; group < GROUPS; group++) {
        free(self->base[group]);
        free(self->closed[group]);
    }
    fault_disk_destroy(&self->disk);
    free(self->work);
    free(self->said);
    files_remove_directory(&self->directory);
    free(self);
    return 0;
}

/* ---- A start ------------------------------------------------------------------------------- */

/* Whether it holds what the base holds, and still takes writes. */
static int check_catalog(struct fixture *self, zloop_t *loop)
{
    struct catalog_group *catalog = NULL;
    char *error = NULL;

    self->told->code = catalog_group_open(loop, self->work, NULL, &catalog, &error);
    if (self->told->code != 0) {
        snprintf(self->told->said, SAID_MAX, "%s", error);
        return STATUS_REFUSED;
    }
    self->told->digest[CATALOG] = groups_digest(self->work);
    self->told->last_index[CATALOG] = catalog_group_last_index(catalog);
    if (catalog_group_violations(catalog) != 0)
        return STATUS_LOST;
    int code = catalog_group_write(
        catalog, NULL, "{'op':'stock','key':'more','stamp':0,'id':1,'change':1,'reason':'more'}");
    catalog_group_close(&catalog);
    return code == OK ? 0 : STATUS_LOST;
}

static int check_order(struct fixture *self, zloop_t *loop)
{
    struct order_group *order = NULL;
    char *error = NULL;

    self->told->code = order_group_open(loop, self->work, NULL, &order, &error);
    if (self->told->code != 0) {
        snprintf(self->told->said, SAID_MAX, "%s", error);
        return STATUS_REFUSED;
    }
    self->told->digest[ORDER] = groups_digest(self->work);
    self->told->last_index[ORDER] = order_group_last_index(order);
    int code = order_group_cancelling(order, order_group_find(order, "buy-0-1"), "late");
    order_group_close(&order);
    return code == OK ? 0 : STATUS_LOST;
}

static int life_of_check(void *arg)
{
    struct fixture *self = arg;

    zloop_t *loop = begin(self);
    return self->group == CATALOG ? check_catalog(self, loop) : check_order(self, loop);
}

/* Start the group on the work directory. Returns whether it started; it must have said why not, or
 * be whole. @what is for the message. */
static bool start(struct fixture *self, const char *what)
{
    memset(self->told, 0, sizeof *self->told);
    int status = life_run(life_of_check, self, self->said);
    if (status == STATUS_REFUSED) {
        int code = self->told->code;
        if (code != ERR_CORRUPT && code != ERR_MISMATCH && code != ERR_VERSION &&
            code != ERR_STORAGE)
            fail_msg("%s: refused with code %s", what, err_type(code));
        if (strstr(self->told->said, self->work) == NULL)
            fail_msg("%s: \"%s\" does not name a file", what, self->told->said);
        return false;
    }
    if (status != 0) {
        char *said = files_read(self->said);
        fail_msg("%s: status %d, code %d: %s", what, status, self->told->code, said);
    }
    if (self->told->digest[self->group] != self->base_told->digest[self->group])
        fail_msg("%s: started with another content", what);
    if (self->told->last_index[self->group] <= self->base_told->last_index[self->group])
        fail_msg("%s: started with a shorter log", what);
    return true;
}

/* ---- Tests --------------------------------------------------------------------------------- */

/* Path of a file in a directory, the caller's to free(). */
static char *path_of(const char *directory, const char *name)
{
    DIR *listing = opendir(directory);
    const struct dirent *entry;
    char *path = NULL;

    while (listing != NULL && strcmp(name, SNAPSHOT) == 0 && path == NULL &&
           (entry = readdir(listing)) != NULL)
        if (strncmp(entry->d_name, SNAPSHOT, strlen(SNAPSHOT)) == 0)
            path = files_path(directory, entry->d_name);
    if (listing != NULL)
        closedir(listing);
    return path != NULL ? path : files_path(directory, name);
}

static bool has(const char *directory, const char *name)
{
    char *path = path_of(directory, name);
    bool there = files_exist(path) && files_size(path) > 0;

    free(path);
    return there;
}

/* Untouched copies start, with all there is, a snapshot among it: else the rest would prove nothing. */
static void test_an_untouched_copy_starts(void **state)
{
    struct fixture *self = *state;

    for (self->group = 0; self->group < GROUPS; self->group++) {
        files_copy_directory(self->base[self->group], self->work);
        assert_true(start(self, "untouched"));
        files_copy_directory(self->closed[self->group], self->work);
        assert_true(start(self, "closed"));
        assert_true(has(self->closed[self->group], SNAPSHOT));
    }
}

/* What was acknowledged and is not there is noticed: else, again. */
static void test_a_missing_order_is_noticed(void **state)
{
    struct fixture *self = *state;
    const uint32_t digest = self->base_told->digest[ORDER];

    self->group = ORDER;
    files_copy_directory(self->base[ORDER], self->work);
    memset(self->told, 0, sizeof *self->told);
    assert_int_equal(life_run(life_of_check, self, self->said), 0);
    assert_int_equal(self->told->digest[ORDER], digest);
    /* That life has changed an order: its own successor differs from the base. */
    assert_int_equal(life_run(life_of_check, self, self->said), 0);
    assert_int_not_equal(self->told->digest[ORDER], digest);
}

static uint64_t random_below(struct fixture *self, uint64_t bound)
{
    /* xorshift64* */
    self->random ^= self->random >> 12;
    self->random ^= self->random << 25;
    self->random ^= self->random >> 27;
    return (self->random * UINT64_C(0x2545F4914F6CDD1D) >> 11) % bound;
}

static size_t number_of(const char *variable, size_t otherwise)
{
    const char *text = getenv(variable);

    return text != NULL ? (size_t)strtoul(text, NULL, 10) : otherwise;
}

/* Flip one bit of the file and start. */
static bool flip_and_start(struct fixture *self, const char *from, const char *name)
{
    char what[160];

    files_copy_directory(from, self->work);
    char *path = path_of(self->work, name);
    size_t size = files_size(path);
    size_t offset = (size_t)random_below(self, size);
    unsigned bit = (unsigned)random_below(self, 8);
    snprintf(what, sizeof what, "%s/%s, byte %zu of %zu, bit %u", strrchr(from, '/') + 1, name,
             offset, size, bit);
    files_flip(path, offset, (unsigned char)(1U << bit));
    free(path);
    return start(self, what);
}

/* Any one bit, in any file: refused with a reason, or whole. */
static void test_no_flipped_bit_goes_unnoticed(void **state)
{
    struct fixture *self = *state;
    size_t flips = number_of("PYGMY_FLIPS", FLIPS_DEFAULT);
    size_t started[FILES] = {0};
    size_t refused[FILES] = {0};

    self->random = number_of("PYGMY_SEED", 1);
    for (size_t i = 0; i < flips; i++) {
        size_t file;
        self->group = (int)(i % GROUPS);
        const char *from =
            (i / GROUPS) % 3 == 0 ? self->closed[self->group] : self->base[self->group];
        do
            file = (size_t)random_below(self, FILES);
        while (!has(from, file_names[file]));
        if (flip_and_start(self, from, file_names[file]))
            started[file]++;
        else
            refused[file]++;
    }
    for (size_t file = 0; file < FILES; file++)
        print_message("# %-12s %4zu flips: %4zu refused, %4zu started whole\n", file_names[file],
                      started[file] + refused[file], refused[file], started[file]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_untouched_copy_starts),
        cmocka_unit_test(test_a_missing_order_is_noticed),
        cmocka_unit_test(test_no_flipped_bit_goes_unnoticed),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
