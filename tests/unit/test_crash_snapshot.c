/* A disk that fails at any call, and a death at any moment, while a replica takes a snapshot and cuts
 * its log, and while it fetches one of another and lets it take the place of log and tables.
 *
 * A *round* is one fault: a life that meets it; then the disk as a power failure would have left it, in
 * each of several ways; then a life that goes on from what the first one left. What was acknowledged
 * is there, once; a log, its snapshot and what follows it fit together; or, where the disk has lost
 * what it said was safe, it is refused. The N of the fault goes up until a life is not struck any more.
 *
 * PYGMY_CRASH=full makes every round (make crash); else one N in STRIDE is played.
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
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>
#include <czmq.h>
#include <inttypes.h>
#include <sqlite3.h>

#include "broker/bus/clock.h"
#include "broker/bus/err.h"
#include "services/replica/fatal.h"
#include "services/replica/log_store.h"
#include "services/replica/replica.h"
#include "services/replica/snapshot_file.h"
#include "tests/lib/fault_calls.h"
#include "tests/lib/fault_disk.h"
#include "tests/lib/fault_vfs.h"
#include "tests/lib/files.h"
#include "tests/lib/life.h"
#include "tests/lib/toy_machine.h"

#define UUID        "0123456789abcdef0123456789abcdef"
#define MEMBERS     3
#define VICTIM      3  /* the member of the three whose disk fails */
#define ENTRIES     10 /* between two snapshots */
#define COMMANDS    25 /* of a life */
#define STRIDE      7
#define ROUND_MAX   2000
#define DEADLINE_MS 20000
#define SAID_MAX    512

/* How a life ended, beside the statuses of the programs: what had to hold did not. */
#define STATUS_REFUSED 1
#define STATUS_WRONG   77

/* What a life was told, and what it tells. */
struct told {
    int acked;     /* the commands up to this number are acknowledged */
    size_t moment; /* of the disk when the last of these was */
    char said[SAID_MAX];
};

struct fixture {
    char *directory; /* of all the below */
    char *root;      /* the disk's */
    char *base;      /* what the rounds begin with */
    char *image;     /* after a power failure */
    char *others;    /* of the members whose disks are good */
    char *said;      /* a life's standard error */
    struct fault_disk *disk;
    size_t members;    /* of the group: 1 or MEMBERS */
    const char *place; /* where the next life has its data */
    struct told *told; /* of the life under way */
    struct told known; /* by lives before it */
    size_t rounds;
    size_t lives;
};

/* ---- A life -------------------------------------------------------------------------------- */

struct seat {
    struct metrics *metrics;
    struct toy_machine *machine;
    struct replica *replica;
};

struct store {
    struct fixture *test;
    zloop_t *loop;
    struct seat seats[MEMBERS + 1]; /* by id */
    size_t victim;                  /* the one whose disk it is */
    int submitted;                  /* numbers, from 1 */
    int acked;
    bool (*met)(struct store *self);
    int64_t deadline_ms;
};

static int wrong(struct fixture *self, const char *what)
{
    snprintf(self->told->said, SAID_MAX, "%s", what);
    return STATUS_WRONG;
}

/* Where a member has its data. The one whose disk fails is alone, or the VICTIM of three. */
static char *seat_directory(const struct fixture *test, size_t id)
{
    char name[32];

    if (test->members == 1 || id == VICTIM)
        return files_path(test->place, "data");
    snprintf(name, sizeof name, "member-%zu", id);
    return files_path(test->others, name);
}

static void seat_address(const struct fixture *test, size_t id, char *link, char *snapshots,
                         char *address, size_t size)
{
    snprintf(link, size, "ipc://%s/link-%zu", test->others, id);
    snprintf(snapshots, size, "ipc://%s/snapshots-%zu", test->others, id);
    snprintf(address, size, "toy-%zu %.200s %.200s", id, link, snapshots);
}

static struct membership founders(const struct fixture *test)
{
    struct membership membership = {.count = test->members};
    char link[MEMBER_ADDRESS_BYTES_MAX];
    char snapshots[MEMBER_ADDRESS_BYTES_MAX];

    for (size_t i = 0; i < test->members; i++) {
        membership.members[i].id = i + 1;
        membership.members[i].role = MEMBER_VOTER;
        seat_address(test, i + 1, link, snapshots, membership.members[i].address, sizeof link);
    }
    return membership;
}

static int seat_open(struct store *self, size_t id)
{
    struct fixture *test = self->test;
    struct seat *seat = &self->seats[id];
    struct membership membership = founders(test);
    char link[MEMBER_ADDRESS_BYTES_MAX];
    char snapshots[MEMBER_ADDRESS_BYTES_MAX];
    char address[MEMBER_ADDRESS_BYTES_MAX];
    char *directory = seat_directory(test, id);
    char *error = NULL;

    seat_address(test, id, link, snapshots, address, sizeof link);
    seat->metrics = metrics_new();
    struct replica_options options = {
        .name = "toy",
        .group = "toy",
        .directory = directory,
        .uuid = UUID,
        .id = id,
        .peer = test->members > 1 ? link : NULL,
        .snapshots = test->members > 1 ? snapshots : NULL,
        .address = address,
        .log = log_new("test", "toy", LOG_LEVEL_WARN),
        .metrics = seat->metrics,
        .free_bytes_min = 1,
        .snapshot_entries = ENTRIES,
    };
    seat->machine = toy_machine_new();
    struct replica_machine machine = toy_machine_interface(seat->machine);
    int result = replica_found(&options, &membership, &error);
    if (result == 0)
        result = replica_open(self->loop, &options, &machine, &seat->replica, &error);
    if (result != 0)
        snprintf(test->told->said, SAID_MAX, "%s", error);
    free(directory);
    return result == 0 ? 0 : STATUS_REFUSED;
}

static int store_look(zloop_t *loop, int timer, void *arg)
{
    struct store *self = arg;

    (void)loop;
    (void)timer;
    return self->met(self) || clock_ms() > self->deadline_ms ? -1 : 0;
}

static int run_until(struct store *self, bool (*met)(struct store *), const char *what)
{
    self->met = met;
    self->deadline_ms = clock_ms() + DEADLINE_MS;
    int timer = zloop_timer(self->loop, 1, 0, store_look, self);
    zloop_start(self->loop);
    zloop_timer_end(self->loop, timer);
    return met(self) ? 0 : wrong(self->test, what);
}

static struct seat *store_leader(struct store *self)
{
    for (size_t id = 1; id <= MEMBERS; id++)
        if (self->seats[id].replica != NULL && replica_is_leader(self->seats[id].replica))
            return &self->seats[id];
    return NULL;
}

static bool somebody_leads(struct store *self)
{
    return store_leader(self) != NULL;
}

static bool all_is_acked(struct store *self)
{
    return self->acked == self->submitted;
}

static bool victim_has_all(struct store *self)
{
    const struct seat *leader = store_leader(self);

    return leader != NULL && replica_applied_index(self->seats[self->victim].replica) ==
                                 replica_commit_index(leader->replica);
}

/* Of the victim: how often it took one, fetched one, or failed to. */
static size_t snapshots_of(const struct store *self, const char *kind, const char *result)
{
    char labels[64];

    snprintf(labels, sizeof labels, "kind=\"%s\",result=\"%s\"", kind, result);
    return (size_t)metric_value(
        metrics_counter(self->seats[self->victim].metrics, "pygmy_snapshots_total", labels, ""));
}

static bool a_snapshot_was_tried(struct store *self)
{
    return snapshots_of(self, "take", "ok") + snapshots_of(self, "take", "failed") > 0;
}

static void on_done(void *arg, int code, void *result, replica_index index)
{
    struct store *self = arg;

    (void)index;
    free(result);
    if (code != OK)
        return;
    self->acked++;
    self->test->told->acked = self->acked;
    self->test->told->moment = fault_disk_moment(self->test->disk);
}

/* Go on with the numbers where the tables end; each is acknowledged before the next few are. */
static int store_submit(struct store *self, int count)
{
    struct seat *leader = store_leader(self);
    char text[16];

    self->submitted = self->acked = (int)toy_machine_count(leader->machine);
    for (int i = 1; i <= count; i++) {
        snprintf(text, sizeof text, "n%d", ++self->submitted);
        if (replica_submit(leader->replica, text, strlen(text), on_done, self) != 0)
            return wrong(self->test, "a command was refused");
        if (i % 5 != 0 && i != count)
            continue;
        replica_flush(leader->replica);
        int status = run_until(self, all_is_acked, "a command was not acknowledged");
        if (status != 0)
            return status;
    }
    return 0;
}

/* Each number is there, once, up to the last: all that was acknowledged among them. */
static int store_check(struct store *self)
{
    struct toy_machine *machine = self->seats[self->victim].machine;
    int count = (int)toy_machine_count(machine);
    char text[16];

    if (count < self->test->known.acked || count < self->acked)
        return wrong(self->test, "a command that was acknowledged is not there");
    for (int number = 1; number <= count; number++) {
        snprintf(text, sizeof text, "n%d", number);
        if (toy_machine_count_of(machine, text) != 1)
            return wrong(self->test, "a command is missing, or there twice");
    }
    return 0;
}

static int store_run(struct store *self)
{
    int status = 0;

    for (size_t id = 1; id <= self->test->members && status == 0; id++)
        status = seat_open(self, id);
    if (status == 0)
        status = run_until(self, somebody_leads, "nobody leads");
    if (status == 0)
        status = run_until(self, victim_has_all, "it does not come to have what there is");
    if (status == 0)
        status = store_check(self);
    if (status == 0)
        status = store_submit(self, self->test->members == 1 ? COMMANDS : 3);
    if (status == 0)
        status = run_until(self, victim_has_all, "it does not come to have what is new");
    if (status == 0 && self->test->members == 1)
        status = run_until(self, a_snapshot_was_tried, "no snapshot is taken");
    return status == 0 ? store_check(self) : status;
}

static int life(void *arg)
{
    struct fixture *test = arg;
    struct store store = {.test = test, .victim = test->members == 1 ? 1 : VICTIM};

    zsys_handler_set(NULL);
    fault_disk_mount(test->disk);
    fault_vfs_set_default(fault_vfs_new("fault-disk", false));
    store.loop = zloop_new();
    int status = store_run(&store);
    for (size_t id = 1; id <= MEMBERS && status == 0; id++)
        replica_close(&store.seats[id].replica);
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

/* ---- After a power failure ----------------------------------------------------------------- */

/* Numbers as they stand in tables and log, one after the other. */
struct numbers {
    int last;
    bool gap;
};

static void numbers_add(struct numbers *self, const void *text, size_t size)
{
    char wanted[16];
    int length = snprintf(wanted, sizeof wanted, "n%d", self->last + 1);

    self->gap |= size != (size_t)length || memcmp(text, wanted, size) != 0;
    self->last++;
}

static int numbers_add_entry(void *arg, const struct log_entry *entry)
{
    if (entry->kind == LOG_ENTRY_COMMAND)
        numbers_add(arg, entry->data, entry->size);
    return 0;
}

static bool numbers_add_tables(struct numbers *self, const char *path)
{
    sqlite3 *db = NULL;
    sqlite3_stmt *rows = NULL;
    bool good = sqlite3_open(path, &db) == SQLITE_OK &&
                sqlite3_prepare_v2(db, "SELECT command FROM commands ORDER BY log_index", -1, &rows,
                                   NULL) == SQLITE_OK;

    while (good && sqlite3_step(rows) == SQLITE_ROW)
        numbers_add(self, sqlite3_column_text(rows, 0), (size_t)sqlite3_column_bytes(rows, 0));
    sqlite3_finalize(rows);
    sqlite3_close(db);
    return good;
}

/* The snapshot's tables, then the entries after it. Returns what is wrong, or NULL. */
static const char *check_pair(struct fixture *self, const char *directory, struct log_store *log)
{
    const struct snapshot_mark *mark = log_store_snapshot(log);
    struct numbers numbers = {0};
    char *restored = files_path(directory, SNAPSHOT_RESTORED);
    const char *bad = NULL;
    char *error = NULL;

    if (mark != NULL && snapshot_file_restore(directory, mark, &error) != 0)
        bad = "the snapshot that the log begins behind is not there, or damaged";
    else if (mark != NULL && !numbers_add_tables(&numbers, restored))
        bad = "the snapshot is no store";
    else if (log_store_read(log, mark != NULL ? mark->index + 1 : 1, INT64_MAX, numbers_add_entry,
                            &numbers) != 0)
        bad = "the log can't be read";
    else if (numbers.gap)
        bad = "snapshot and log don't follow one another";
    else if (self->members == 1 && numbers.last < self->known.acked)
        bad = "a command that was acknowledged is lost";
    free(error);
    free(restored);
    return bad;
}

/* Look at what the disk would hold. Returns what is wrong, or NULL. */
static const char *check_power_failure(struct fixture *self, size_t moment, enum fault_loss loss)
{
    fault_disk_image(self->disk, moment, loss, self->rounds, self->image);
    char *directory = files_path(self->image, "data");
    char *path = files_path(directory, "log.db");
    char *mark = files_path(directory, "log.mark");
    struct log_store_options options = {
        .path = path,
        .mark_path = mark,
        .identity = {UUID, "toy", self->members == 1 ? 1 : VICTIM},
        .check = true,
        .origin = LOG_STORE_EXISTING,
    };
    struct log_store *log = NULL;
    char *error = NULL;
    const char *bad = NULL;

    if (log_store_open(&options, &log, &error) == 0)
        bad = check_pair(self, directory, log);
    else
        bad = "the log does not open";
    log_store_close(&log);
    free(error);
    free(mark);
    free(path);
    free(directory);
    return bad;
}

/* ---- A round ------------------------------------------------------------------------------- */

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

static const char *go_on(struct fixture *self)
{
    if (live(self, self->root) == 0)
        return NULL;
    return *self->told->said != '\0' ? self->told->said : "it did not come to its end";
}

static void remove_all(const char *path)
{
    char *old = strdup(path);

    if (files_exist(path))
        files_remove_directory(&old);
    free(old);
}

/* One fault. Returns what is wrong, or NULL; whether it struck in *struck. */
static const char *play(struct fixture *self, const struct fault_plan *plan, bool *struck)
{
    self->rounds++;
    self->known = (struct told){0};
    remove_all(self->root);
    files_copy_tree(self->base, self->root);
    fault_disk_reset(self->disk, self->root, self->base);
    fault_disk_plan(self->disk, plan);
    int status = live(self, self->root);
    *struck = fault_disk_strikes(self->disk) > 0;
    const char *bad = ended_badly(self, plan, status);
    self->known = *self->told;
    fault_disk_plan(self->disk, &(struct fault_plan){.kind = FAULT_NONE});

    size_t end = fault_disk_moment(self->disk);
    if (bad == NULL && self->known.moment > 0)
        bad = check_power_failure(self, self->known.moment, FAULT_LOSE_ALL);
    for (enum fault_loss loss = 0; bad == NULL && loss < FAULT_LOSSES; loss++)
        bad = check_power_failure(self, end, loss);
    return bad == NULL ? go_on(self) : bad;
}

/* ---- The tests ----------------------------------------------------------------------------- */

static int setup(void **state)
{
    struct fixture *self = calloc(1, sizeof *self);

    fault_calls_link();
    self->directory = files_new_directory();
    self->root = files_path(self->directory, "root");
    self->base = files_path(self->directory, "base");
    self->image = files_path(self->directory, "image");
    self->others = files_path(self->directory, "others");
    self->said = files_path(self->directory, "said");
    assert_int_equal(mkdir(self->base, 0700), 0);
    assert_int_equal(mkdir(self->others, 0700), 0);
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
    free(self->others);
    free(self->said);
    files_remove_directory(&self->directory);
    free(self);
    return 0;
}

/* The base: a replica in use, that has taken a snapshot before. */
static void make_base_alone(struct fixture *self)
{
    self->members = 1;
    fault_disk_reset(self->disk, self->base, NULL);
    int status = live(self, self->base);
    if (status != 0)
        fail_msg("status %d: %s", status, self->told->said);
}

/* A life of the two members whose disks are good: they go far ahead of the third. */
static int life_of_others(void *arg)
{
    struct fixture *test = arg;
    struct store store = {.test = test, .victim = 1};

    zsys_handler_set(NULL);
    fault_disk_mount(test->disk);
    store.loop = zloop_new();
    int status = seat_open(&store, 1);
    if (status == 0)
        status = seat_open(&store, 2);
    if (status == 0)
        status = run_until(&store, somebody_leads, "nobody leads");
    while (status == 0 && snapshots_of(&store, "take", "ok") < 2)
        status = store_submit(&store, COMMANDS);
    for (size_t id = 1; id <= 2 && status == 0; id++)
        replica_close(&store.seats[id].replica);
    return status;
}

/* The base: one of three that has a few commands, and is far behind the others. */
static void make_base_behind(struct fixture *self)
{
    self->members = MEMBERS;
    fault_disk_reset(self->disk, self->base, NULL);
    int status = live(self, self->base);
    if (status == 0)
        status = life_run(life_of_others, self, self->said);
    if (status != 0)
        fail_msg("status %d: %s", status, self->told->said);
}

static bool full(void)
{
    const char *how = getenv("PYGMY_CRASH");

    return how != NULL && strcmp(how, "full") == 0;
}

/* Fail each N-th call, until a life goes through untouched. */
static void check_every_nth(struct fixture *self, const char *what, struct fault_plan plan,
                            int64_t stride)
{
    size_t before = self->lives;
    bool struck = true;

    for (plan.nth = 1; struck; plan.nth += full() ? 1 : stride) {
        const char *bad = play(self, &plan, &struck);
        if (bad != NULL) {
            char *said = files_read(self->said);
            fail_msg("%s, N = %lld%s: %s (%s)", what, (long long)plan.nth,
                     plan.for_good ? " and all after it" : "", bad, said);
        }
        assert_true(plan.nth < ROUND_MAX);
    }
    print_message("# %-28s %-8s: untouched at N = %4lld, %4zu lives\n", what,
                  plan.for_good ? "for good" : "once", (long long)plan.nth, self->lives - before);
}

static const struct {
    const char *what;
    enum fault_kind kind;
    bool always; /* also where not every round is made */
} kinds[] = {
    {"a write fails", FAULT_WRITE, true},
    {"a write fails half-way", FAULT_WRITE_PART, false},
    {"a truncation fails", FAULT_TRUNCATE, false},
    {"a sync fails", FAULT_SYNC, true},
    {"a sync of names fails", FAULT_SYNC_NAMES, false},
    {"an open fails", FAULT_OPEN, false},
    {"names fail", FAULT_ENTRY, true},
};

/* Each call that has to do with the snapshot's own files. */
static void check_snapshot_files(struct fixture *self, bool for_good)
{
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        struct fault_plan plan = {.kind = kinds[i].kind,
                                  .for_good = for_good,
                                  .only = kinds[i].kind == FAULT_SYNC_NAMES ? NULL : "snapshot"};
        if (kinds[i].always || for_good || full())
            check_every_nth(self, kinds[i].what, plan, STRIDE);
    }
}

/* A snapshot that can't be made costs nothing but itself. */
static void test_failing_snapshots_that_are_taken(void **state)
{
    make_base_alone(*state);
    check_snapshot_files(*state, true);
    if (full())
        check_snapshot_files(*state, false);
}

/* A death between any two calls, while snapshots are taken and the log is cut. */
static void test_kills_while_taking(void **state)
{
    make_base_alone(*state);
    check_every_nth(*state, "killed", (struct fault_plan){.kind = FAULT_KILL, .except = "state.db"},
                    5 * STRIDE);
    check_every_nth(*state, "killed at a snapshot",
                    (struct fault_plan){.kind = FAULT_KILL, .only = "snapshot"}, STRIDE);
}

/* The log's own calls, while it is cut. */
static void test_failing_cuts(void **state)
{
    make_base_alone(*state);
    check_every_nth(*state, "a write of the log fails",
                    (struct fault_plan){.kind = FAULT_WRITE, .only = "log."}, 5 * STRIDE);
    check_every_nth(*state, "a sync of the log fails",
                    (struct fault_plan){.kind = FAULT_SYNC, .only = "log."}, 2 * STRIDE);
}

/* A snapshot that can't be fetched or installed: it comes another time, or the process ends. */
static void test_failing_installations(void **state)
{
    make_base_behind(*state);
    check_snapshot_files(*state, false);
}

/* A death between any two calls, on the way back by a snapshot. */
static void test_kills_while_installing(void **state)
{
    make_base_behind(*state);
    check_every_nth(*state, "killed", (struct fault_plan){.kind = FAULT_KILL, .except = "state.db"},
                    2 * STRIDE);
}

/* Without the sync of its bytes, or of its name, a snapshot counts and is not there: noticed. */
static void test_every_sync_is_needed(void **state)
{
    struct fixture *self = *state;
    const char *const files[] = {SNAPSHOT_TAKING, NULL};

    make_base_alone(self);
    for (size_t i = 0; i < 2; i++) {
        struct fault_plan plan = {.kind = FAULT_SYNC_SKIPPED,
                                  .for_good = true,
                                  .only = files[i] != NULL ? files[i] : "",
                                  .except = files[i] != NULL ? NULL : "."};
        bool struck = true;
        plan.nth = 1;
        const char *bad = play(self, &plan, &struck);
        assert_true(struck);
        if (bad == NULL)
            fail_msg("no sync of %s: nobody notices", files[i] != NULL ? files[i] : "names");
        print_message("# no sync of %s: %s\n", files[i] != NULL ? files[i] : "names", bad);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        TEST(test_failing_snapshots_that_are_taken),
        TEST(test_kills_while_taking),
        TEST(test_failing_cuts),
        TEST(test_failing_installations),
        TEST(test_kills_while_installing),
        TEST(test_every_sync_is_needed),
    };
    if (argc > 1)
        cmocka_set_test_filter(argv[1]);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
