/* A disk that fails at any call, and a death at any moment, of a whole buy: through the catalog's
 * log and the order log, in a process that has both groups (tests/lib/groups.h).
 *
 * A *round* is one fault: a life that meets it, then for each state that the disk may be in after
 * it a life that goes on from there without faults. What the first life was told is there, and the
 * same buy, asked for again with the same key, ends as one order. The N of the fault goes up until
 * a life is not struck any more.
 *
 * PYGMY_CRASH=full makes every round (make crash); else one N in STRIDE is played, and not each
 * combination.
 *
 * SPDX-License-Identifier: Apache-2.0 */
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
#include "services/replica/fatal.h"
#include "tests/lib/fault_calls.h"
#include "tests/lib/fault_disk.h"
#include "tests/lib/fault_vfs.h"
#include "tests/lib/files.h"
#include "tests/lib/groups.h"
#include "tests/lib/life.h"

#define STRIDE    23
#define ROUND_MAX 5000
#define CHANCES   32
#define STOCK     10
#define QUANTITY  2
#define SAID_MAX  512

/* How a life ended, beside the statuses of the programs: what had to hold did not. */
#define STATUS_REFUSED 1
#define STATUS_WRONG   77

/* What a life was told, and what it tells. */
struct told {
    bool item;           /* the item was acknowledged */
    uint64_t number;     /* of the order that was acknowledged; 0: none */
    size_t moment;       /* of the disk when the last of these was */
    char said[SAID_MAX]; /* why it was refused, or what was wrong */
};

struct fixture {
    char *directory; /* of all the below */
    char *root;      /* the disk's */
    char *base;      /* what the rounds begin with */
    char *image;     /* after a power failure */
    char *said;      /* a life's standard error */
    struct fault_disk *disk;
    struct told base_told;
    const char *place; /* where the next life has its data */
    const char *key;   /* of the buy */
    struct told *told; /* of the life under way */
    struct told known; /* by lives before it */
    bool used;         /* the base has an order already */
    bool stay;         /* end by a kill, not a close */
    size_t rounds;
    size_t lives;
};

/* ---- A life -------------------------------------------------------------------------------- */

struct store {
    struct fixture *test;
    struct catalog_group *catalog;
    struct order_group *order;
};

static int wrong(struct fixture *self, const char *what)
{
    snprintf(self->told->said, SAID_MAX, "%s", what);
    return STATUS_WRONG;
}

static int store_open(struct store *self)
{
    struct fixture *test = self->test;
    struct log *log = log_new("test", "test-1", LOG_LEVEL_WARN);
    char *catalog = files_path(test->place, "catalog");
    char *order = files_path(test->place, "order");
    char *error = NULL;
    zloop_t *loop = zloop_new();

    int result = catalog_group_open(loop, catalog, log, &self->catalog, &error);
    if (result == 0)
        result = order_group_open(loop, order, log, &self->order, &error);
    if (result != 0)
        snprintf(test->told->said, SAID_MAX, "%s", error);
    free(catalog);
    free(order);
    return result == 0 ? 0 : STATUS_REFUSED;
}

/* The item is there, made now or before; before, when that was acknowledged. */
static int store_make_item(struct store *self)
{
    struct fixture *test = self->test;

    if (test->known.item && catalog_group_stock(self->catalog, 1) < 0)
        return wrong(test, "the item that was acknowledged is not there");
    if (catalog_group_write(self->catalog, NULL,
                            "{'op':'item_add','key':'add','stamp':0,'id':1,'title':'One',"
                            "'price_cents':100,'stock':%d}",
                            STOCK) != OK)
        return wrong(test, "the item can't be made");
    test->told->item = true;
    test->told->moment = fault_disk_moment(test->disk);
    return 0;
}

/* The buy, as the saga goes about it: look the key up, RESERVE, ORDER, answer, SETTLE. */
static int store_buy(struct store *self)
{
    struct fixture *test = self->test;
    json_t *grant = NULL;
    uint64_t number = order_group_find(self->order, test->key);

    if (test->known.number != 0 && number != test->known.number)
        return wrong(test, "the order that was acknowledged is not there");
    if (number == 0) {
        if (catalog_group_write(self->catalog, &grant,
                                "{'op':'reserve','key':'%s','stamp':0,"
                                "'lines':[{'id':1,'quantity':%d}]}",
                                test->key, QUANTITY) != OK)
            return wrong(test, "the buy was not granted");
        if (order_group_order(self->order, test->key, grant, &number) != OK)
            return wrong(test, "the buy was not ordered");
        json_decref(grant);
    }
    test->told->number = number;
    test->told->moment = fault_disk_moment(test->disk);
    return catalog_group_write(self->catalog, NULL, "{'op':'settle','keys':['%s']}", test->key) ==
                   OK
               ? 0
               : wrong(test, "the buy was not settled");
}

/* One order for each key, and nothing sold that was not ordered. */
static int store_check(struct store *self)
{
    struct fixture *test = self->test;
    int64_t orders = test->used ? 2 : 1;

    if (order_group_active(self->order) != (uint64_t)orders)
        return wrong(test, "there are not as many orders as keys");
    if (catalog_group_stock(self->catalog, 1) != STOCK - QUANTITY * orders)
        return wrong(test, "the stock is not what was not sold");
    if (order_group_sold(self->order, 1) != QUANTITY * orders)
        return wrong(test, "the orders do not hold what was sold");
    if (catalog_group_violations(self->catalog) != 0)
        return wrong(test, "the audit finds violations");
    if (catalog_group_unsettled(self->catalog) != 0)
        return wrong(test, "a grant was left unsettled");
    return 0;
}

static int life(void *arg)
{
    struct fixture *test = arg;
    struct store store = {.test = test};

    zsys_handler_set(NULL);
    fault_disk_mount(test->disk);
    fault_vfs_set_default(fault_vfs_new("fault-disk", false));
    int status = store_open(&store);
    if (status == 0)
        status = store_make_item(&store);
    if (status == 0)
        status = store_buy(&store);
    if (status == 0)
        status = store_check(&store);
    if (test->stay)
        raise(SIGKILL);
    if (status == 0) {
        order_group_close(&store.order);
        catalog_group_close(&store.catalog);
    }
    return status;
}

/* Run a life at a place. Returns its status. */
static int live(struct fixture *self, const char *place)
{
    self->place = place;
    self->lives++;
    memset(self->told, 0, sizeof *self->told);
    return life_run(life, self, self->said);
}

/* ---- A round ------------------------------------------------------------------------------- */

/* What a life was told stays told. */
static void remember(struct fixture *self)
{
    self->known.item |= self->told->item;
    if (self->told->number != 0)
        self->known.number = self->told->number;
    self->known.moment = self->told->moment;
}

/* Whether the life that met the fault ended as it may: done, ended with status 5 and words, refused
 * with words, or killed where it was to be. */
static const char *ended_badly(struct fixture *self, const struct fault_plan *plan, int status)
{
    if (status == 0 || (status == -SIGKILL && plan->kind == FAULT_KILL))
        return NULL;
    if (status == STATUS_REFUSED)
        return *self->told->said != '\0' ? NULL : "it did not say why it did not start";
    if (status == FATAL_EXIT_STATUS) {
        char *said = files_read(self->said);
        bool clear = strstr(said, "level=error") != NULL && strstr(said, "error=") != NULL;
        free(said);
        return clear ? NULL : "it did not say why it ended";
    }
    return *self->told->said != '\0' ? self->told->said : "it ended in another way";
}

/* Go on, without faults, from where the disk may be. Returns what is wrong, or NULL. */
static const char *go_on(struct fixture *self, const char *place)
{
    int status = live(self, place);

    if (status == 0)
        return NULL;
    return *self->told->said != '\0' ? self->told->said : "it did not come to its end";
}

/* The power failed at that moment. Which of the names that were not synced are there is chance, and where
 * their sync fails that is what matters: then several chances are taken. */
static const char *check_power_failure(struct fixture *self, size_t moment, enum fault_loss loss,
                                       enum fault_kind kind)
{
    const size_t chances = loss == FAULT_LOSE_SOME && kind == FAULT_SYNC_NAMES ? CHANCES : 1;
    const char *bad = NULL;

    for (size_t i = 0; i < chances && bad == NULL; i++) {
        fault_disk_image(self->disk, moment, loss, self->rounds + i * ROUND_MAX, self->image);
        bad = go_on(self, self->image);
    }
    return bad;
}

static void set_up_root(struct fixture *self)
{
    if (files_exist(self->root)) {
        char *old = strdup(self->root);
        files_remove_directory(&old);
    }
    files_copy_tree(self->base, self->root);
    fault_disk_reset(self->disk, self->root, self->base);
}

/* One fault. Returns what is wrong, or NULL; whether it struck in *struck. */
static const char *play(struct fixture *self, const struct fault_plan *plan, bool *struck)
{
    self->rounds++;
    self->known = self->base_told;
    set_up_root(self);
    fault_disk_plan(self->disk, plan);
    int status = live(self, self->root);
    *struck = fault_disk_strikes(self->disk) > 0;
    const char *bad = ended_badly(self, plan, status);
    remember(self);
    fault_disk_plan(self->disk, &(struct fault_plan){.kind = FAULT_NONE});

    /* What was said to be done was durable when it was said, and is at the end. */
    size_t end = fault_disk_moment(self->disk);
    if (bad == NULL && self->known.moment > 0)
        bad = check_power_failure(self, self->known.moment, FAULT_LOSE_ALL, plan->kind);
    for (enum fault_loss loss = 0; bad == NULL && loss < FAULT_LOSSES; loss++)
        bad = check_power_failure(self, end, loss, plan->kind);
    if (bad != NULL)
        return bad;
    /* Nothing but the process died. What the next one finds that was never synced, it must not
     * call done before it is: unless a sync had failed, after which nobody can know (disk_thread.h
     * says what is to be done then). */
    bad = go_on(self, self->root);
    remember(self);
    if (bad == NULL && plan->kind != FAULT_SYNC)
        bad = check_power_failure(self, self->known.moment, FAULT_LOSE_ALL, plan->kind);
    return bad;
}

/* ---- The tests ----------------------------------------------------------------------------- */

/* The base of the rounds: empty, or a store in use, whose process was killed. */
static void make_base(struct fixture *self, bool used)
{
    if (files_exist(self->base)) {
        char *old = strdup(self->base);
        files_remove_directory(&old);
    }
    char *made = strdup(self->base);
    (void)mkdir(made, 0700);
    free(made);
    self->used = false;
    self->known = self->base_told = (struct told){0};
    if (used) {
        fault_disk_reset(self->disk, self->base, NULL);
        self->key = "buy-0";
        assert_int_equal(live(self, self->base), 0);
        self->stay = true;
        assert_int_equal(live(self, self->base), -SIGKILL);
        self->stay = false;
        self->base_told.item = true;
    }
    self->key = "buy-1";
    self->used = used;
}

static int setup(void **state)
{
    struct fixture *self = calloc(1, sizeof *self);

    fault_calls_link();
    self->directory = files_new_directory();
    self->root = files_path(self->directory, "root");
    self->base = files_path(self->directory, "base");
    self->image = files_path(self->directory, "image");
    self->said = files_path(self->directory, "said");
    self->disk = fault_disk_new();
    self->told = life_share(sizeof *self->told);
    *state = self;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *self = *state;

    fault_disk_destroy(&self->disk);
    free(self->root);
    free(self->base);
    free(self->image);
    free(self->said);
    files_remove_directory(&self->directory);
    free(self);
    return 0;
}

static bool full(void)
{
    const char *how = getenv("PYGMY_CRASH");

    return how != NULL && strcmp(how, "full") == 0;
}

static const char *const kind_names[FAULT_KINDS] = {
    [FAULT_WRITE] = "write fails",
    [FAULT_WRITE_PART] = "write fails half-way",
    [FAULT_TRUNCATE] = "truncate fails",
    [FAULT_SYNC] = "sync fails",
    [FAULT_SYNC_NAMES] = "sync of names fails",
    [FAULT_OPEN] = "open fails",
    [FAULT_ENTRY] = "names fail",
    [FAULT_FULL] = "disk is full",
    [FAULT_KILL] = "killed",
};

/* Fail each N-th call, until a whole buy goes through untouched. */
static void check_every_nth(struct fixture *self, struct fault_plan plan, int64_t stride)
{
    size_t before = self->lives;
    bool struck = true;

    for (plan.nth = 1; struck; plan.nth += stride) {
        const char *bad = play(self, &plan, &struck);
        if (bad != NULL) {
            char *said = files_read(self->said);
            fail_msg("%s, N = %lld%s, %s store: %s (%s)", kind_names[plan.kind],
                     (long long)plan.nth, plan.for_good ? " and all after it" : "",
                     self->used ? "used" : "new", bad, said);
        }
        assert_true(struck || plan.nth > 1);
        assert_true(plan.nth < ROUND_MAX);
    }
    print_message("# %-20s %-8s %-4s store: untouched at N = %4lld, %5zu lives\n",
                  kind_names[plan.kind], plan.for_good ? "for good" : "once",
                  self->used ? "used" : "new", (long long)(plan.nth - stride),
                  self->lives - before);
}

/* Once and for good, on a new store and on one in use; of the log's side, which is all that counts,
 * or of the machines' tables. */
static void check_kind(struct fixture *self, enum fault_kind kind, bool tables)
{
    const bool no_difference = kind == FAULT_FULL || kind == FAULT_KILL;
    int64_t stride = full() || kind == FAULT_SYNC_NAMES ? 1 : STRIDE;

    for (int used = 0; used < 2; used++) {
        make_base(self, used);
        for (int for_good = 0; for_good < 2; for_good++) {
            struct fault_plan plan = {.kind = kind,
                                      .for_good = for_good,
                                      .only = tables ? "state.db" : NULL,
                                      .except = tables ? NULL : "state.db"};
            if (full() ? !for_good || !no_difference : for_good == used)
                check_every_nth(self, plan, tables ? 5 * stride : stride);
        }
    }
}

/* A write that fails, or stops in the middle. */
static void test_failing_writes(void **state)
{
    check_kind(*state, FAULT_WRITE, false);
    check_kind(*state, FAULT_WRITE_PART, false);
}

static void test_failing_truncations(void **state)
{
    check_kind(*state, FAULT_TRUNCATE, false);
}

/* A sync of a file or a directory that fails. */
static void test_failing_syncs(void **state)
{
    check_kind(*state, FAULT_SYNC, false);
    check_kind(*state, FAULT_SYNC_NAMES, false);
}

static void test_failing_opens(void **state)
{
    check_kind(*state, FAULT_OPEN, false);
}

/* A directory that can't be changed. */
static void test_failing_names(void **state)
{
    check_kind(*state, FAULT_ENTRY, false);
}

/* No room for another page. */
static void test_a_full_disk(void **state)
{
    check_kind(*state, FAULT_FULL, false);
}

/* A death between any two calls. */
static void test_kills(void **state)
{
    check_kind(*state, FAULT_KILL, false);
}

/* The machines' tables: nothing depends on them but the life that has them. */
static void test_failing_tables(void **state)
{
    check_kind(*state, FAULT_WRITE, true);
    check_kind(*state, FAULT_OPEN, true);
    check_kind(*state, FAULT_FULL, true);
}

/* ---- Whether it would be noticed ----------------------------------------------------------- */

/* Break one promise of the disk, or of ours to it: some round has to notice. How many syncs a life
 * makes, and which of them is its last, is a matter of how its threads take turns: the N that would
 * be noticed may not be met when it is tried, so all are tried again. */
static void assert_noticed(struct fixture *self, struct fault_plan plan, const char *what)
{
    const char *bad = NULL;

    make_base(self, false);
    for (int chance = 0; bad == NULL && chance < CHANCES; chance++) {
        bool struck = true;
        for (plan.nth = 1; struck && bad == NULL; plan.nth++)
            bad = play(self, &plan, &struck);
    }
    if (bad == NULL)
        fail_msg("%s: nobody notices", what);
    print_message("# %s: noticed at N = %lld: %s\n", what, (long long)plan.nth - 1, bad);
}

/* Each sync that durability stands on: without it something acknowledged is lost, or what is left
 * can't be opened. */
static void test_every_sync_is_needed(void **state)
{
    static const struct {
        const char *what;
        const char *only;
        const char *except;
    } syncs[] = {
        {"no sync of the write-ahead log", "log.db-wal", NULL},
        {"no sync of the log's file", "log.db", "-"},
        {"no sync of a new mark", "log.mark", NULL},
        {"no sync of a new identity", "identity", NULL},
        {"no sync of the directories", "", "."},
    };

    for (size_t i = 0; i < sizeof syncs / sizeof syncs[0]; i++)
        assert_noticed(*state,
                       (struct fault_plan){.kind = FAULT_SYNC_SKIPPED,
                                           .for_good = true,
                                           .only = syncs[i].only,
                                           .except = syncs[i].except},
                       syncs[i].what);
}

/* One single sync of the log that is skipped, after which all is well again. */
static void test_one_skipped_sync_is_noticed(void **state)
{
    assert_noticed(*state, (struct fault_plan){.kind = FAULT_SYNC_SKIPPED, .only = "log.db-wal"},
                   "one sync of the write-ahead log less");
}

/* A write that is said to be done and is not. */
static void test_a_lost_write_is_noticed(void **state)
{
    assert_noticed(*state, (struct fault_plan){.kind = FAULT_WRITE_LOST, .only = "log.db-wal"},
                   "a lost write");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        TEST(test_failing_writes),
        TEST(test_failing_truncations),
        TEST(test_failing_syncs),
        TEST(test_failing_opens),
        TEST(test_failing_names),
        TEST(test_a_full_disk),
        TEST(test_kills),
        TEST(test_failing_tables),
        TEST(test_every_sync_is_needed),
        TEST(test_one_skipped_sync_is_noticed),
        TEST(test_a_lost_write_is_noticed),
    };
    if (argc > 1)
        cmocka_set_test_filter(argv[1]);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
