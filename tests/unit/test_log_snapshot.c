/* The log store's beginnings and its snapshots: a log that is founded or joins, that drops what a
 * snapshot holds, and that a snapshot replaces. test_log_store.c has the rest.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <sqlite3.h>

#include "broker/bus/err.h"
#include "services/replica/log_store.h"
#include "services/replica/side_mark.h"
#include "tests/lib/fault_vfs.h"
#include "tests/lib/files.h"

#define VFS       "fault-log"
#define STEPS_MAX 200 /* calls of one script that may fail */

struct fixture {
    char *directory;
    struct fault_vfs *vfs;
    struct log_store *store;
    char *error; /* of the last open */
};

static int setup(void **state)
{
    struct fixture *self = calloc(1, sizeof *self);
    self->directory = files_new_directory();
    self->vfs = fault_vfs_new(VFS, false);
    *state = self;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *self = *state;
    log_store_close(&self->store);
    fault_vfs_destroy(&self->vfs);
    free(self->error);
    files_remove_directory(&self->directory);
    free(self);
    return 0;
}

/* ---- Helpers ------------------------------------------------------------------------------- */

static const struct membership three = {
    .count = 3,
    .members = {{.id = 1, .role = MEMBER_VOTER, .address = "catalog-1 tcp://h:1 tcp://h:2"},
                {.id = 2, .role = MEMBER_VOTER, .address = "catalog-2 tcp://h:3 tcp://h:4"},
                {.id = 3, .role = MEMBER_VOTER, .address = "catalog-3 tcp://h:5 tcp://h:6"}},
};

static int open_at(struct fixture *self, const char *directory, enum log_store_origin origin,
                   bool check)
{
    char *path = files_path(directory, "log.db");
    char *mark = files_path(directory, "log.mark");
    struct log_store_options options = {
        .path = path,
        .mark_path = mark,
        .vfs = VFS,
        .identity = {.uuid = "c1", .group = "catalog", .replica_id = 1},
        .check = check,
        .origin = origin,
        .founders = &three,
    };

    log_store_close(&self->store);
    free(self->error);
    self->error = NULL;
    int result = log_store_open(&options, &self->store, &self->error);
    free(path);
    free(mark);
    return result;
}

static int reopen(struct fixture *self)
{
    return open_at(self, self->directory, LOG_STORE_EXISTING, true);
}

static void found(struct fixture *self)
{
    assert_int_equal(open_at(self, self->directory, LOG_STORE_FOUND, true), 0);
}

static struct log_state state_of(struct fixture *self)
{
    return log_store_state(self->store);
}

/* Each entry's command is its index and term as text; its time ten for each index. */
static struct log_entry entry_of(replica_index index, replica_term term, char *text, size_t size)
{
    int length = snprintf(text, size, "%d of %d", (int)index, (int)term);
    return (struct log_entry){
        .index = index,
        .term = term,
        .kind = LOG_ENTRY_COMMAND,
        .log_time_ms = (int64_t)index * 10,
        .data = (const uint8_t *)text,
        .size = (size_t)length,
    };
}

static struct snapshot_mark mark_of(replica_index index, replica_term term)
{
    return (struct snapshot_mark){
        .index = index,
        .term = term,
        .log_time_ms = (int64_t)index * 10,
        .membership = three,
        .membership_index = 1,
        .bytes = index * 1000,
        .checksum = (uint32_t)index,
    };
}

/* What a transaction does, and what the log is to be after it. */
enum step_kind { APPEND, TAKE, INSTALL };

struct step {
    enum step_kind kind;
    replica_index index; /* first of the entries, or the snapshot's */
    replica_index other; /* last of the entries, or the first to be kept */
    replica_term term;
};

static int run_step(struct fixture *self, const struct step *step)
{
    struct snapshot_mark mark = mark_of(step->index, step->term);
    char text[64];

    int result = log_store_begin(self->store);
    if (result == 0 && step->term > state_of(self).term)
        result = log_store_vote(self->store, step->term, 1);
    if (result == 0 && step->kind == TAKE)
        result = log_store_put_snapshot(self->store, &mark, step->other);
    if (result == 0 && step->kind == INSTALL)
        result = log_store_install(self->store, &mark);
    for (replica_index index = step->index;
         result == 0 && step->kind == APPEND && index <= step->other; index++) {
        struct log_entry entry = entry_of(index, step->term, text, sizeof text);
        result = log_store_append(self->store, &entry, 1);
    }
    return result == 0 ? log_store_commit(self->store) : result;
}

static void append(struct fixture *self, replica_index from, replica_index to, replica_term term)
{
    assert_int_equal(run_step(self, &(struct step){APPEND, from, to, term}), 0);
}

static void take(struct fixture *self, replica_index index, replica_term term,
                 replica_index keep_from)
{
    assert_int_equal(run_step(self, &(struct step){TAKE, index, keep_from, term}), 0);
}

static void install(struct fixture *self, replica_index index, replica_term term)
{
    assert_int_equal(run_step(self, &(struct step){INSTALL, index, 0, term}), 0);
}

struct seen {
    replica_index next;
    size_t count;
};

static int check_one(void *arg, const struct log_entry *entry)
{
    struct seen *seen = arg;
    char text[64];

    if (seen->count == 0)
        seen->next = entry->index;
    assert_int_equal(entry->index, seen->next);
    if (entry->kind == LOG_ENTRY_COMMAND) {
        struct log_entry wanted = entry_of(entry->index, entry->term, text, sizeof text);
        assert_int_equal(entry->size, wanted.size);
        assert_memory_equal(entry->data, text, wanted.size);
    }
    seen->next++;
    seen->count++;
    return 0;
}

/* The log holds the snapshot of @snapshot (0: none), and entries @first to @last (0: none). */
static void assert_log(struct fixture *self, replica_index snapshot, replica_index first,
                       replica_index last)
{
    const struct snapshot_mark *mark = log_store_snapshot(self->store);
    struct log_state log = state_of(self);
    struct seen seen = {0};

    assert_int_equal(log.snapshot_index, snapshot);
    assert_int_equal(mark != NULL ? mark->index : 0, snapshot);
    assert_int_equal(log.first_index, first);
    assert_int_equal(log.last_index, last > 0 ? last : snapshot);
    assert_int_equal(log_store_read(self->store, 1, INT64_MAX, check_one, &seen), 0);
    assert_int_equal(seen.count, first > 0 ? last - first + 1 : 0);
    if (seen.count > 0)
        assert_int_equal(seen.next, last + 1);
}

static void assert_log_again(struct fixture *self, replica_index snapshot, replica_index first,
                             replica_index last)
{
    assert_log(self, snapshot, first, last);
    assert_int_equal(reopen(self), 0);
    assert_log(self, snapshot, first, last);
    assert_int_equal(open_at(self, self->directory, LOG_STORE_EXISTING, false), 0);
    assert_log(self, snapshot, first, last);
}

static void tamper(struct fixture *self, const char *sql)
{
    char *path = files_path(self->directory, "log.db");
    sqlite3 *db;

    log_store_close(&self->store);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK)
        fail_msg("%s: %s", sql, sqlite3_errmsg(db));
    sqlite3_close(db);
    free(path);
}

static void assert_refused(struct fixture *self, const char *words)
{
    assert_int_equal(reopen(self), ERR_CORRUPT);
    if (strstr(self->error, words) == NULL)
        fail_msg("\"%s\" lacks \"%s\"", self->error, words);
    assert_non_null(strstr(self->error, "re-seeded"));
}

/* ---- Beginnings ---------------------------------------------------------------------------- */

/* What is left of an entry after the call that showed it: its data is not. */
struct beginning {
    enum log_entry_kind kind;
    replica_term term;
    uint32_t sum;
};

static int take_membership(void *arg, const struct log_entry *entry)
{
    struct beginning *beginning = arg;
    struct membership membership;
    struct bytes_reader reader;

    bytes_reader_init(&reader, entry->data, entry->size);
    membership_decode(&membership, &reader);
    assert_true(bytes_reader_done(&reader));
    assert_int_equal(membership.count, 3);
    assert_string_equal(membership.members[2].address, three.members[2].address);
    *beginning = (struct beginning){
        .kind = entry->kind, .term = entry->term, .sum = log_entry_checksum(entry)};
    return 0;
}

/* A founder's log is in term 1, with nobody voted for, and holds the membership as its only entry:
 * the same at each founder. Founding it again changes nothing. */
static void test_a_founded_log_begins_with_its_members(void **state)
{
    struct fixture *self = *state;
    char *other = files_new_directory();
    struct beginning ours = {0};
    struct beginning theirs = {0};

    found(self);
    assert_log_again(self, 0, 1, 1);
    assert_int_equal(state_of(self).term, 1);
    assert_int_equal(state_of(self).vote, 0);
    assert_int_equal(log_store_read(self->store, 1, 1, take_membership, &ours), 0);
    assert_int_equal(ours.kind, LOG_ENTRY_MEMBERSHIP);
    assert_int_equal(ours.term, 1);

    append(self, 2, 5, 2);
    found(self);
    assert_log_again(self, 0, 1, 5);
    assert_int_equal(open_at(self, other, LOG_STORE_FOUND, true), 0);
    assert_int_equal(log_store_read(self->store, 1, 1, take_membership, &theirs), 0);
    assert_int_equal(theirs.sum, ours.sum);
    log_store_close(&self->store);
    files_remove_directory(&other);
}

/* Who joins has a log without term and entries. It is one all the same: to found it is to find it. */
static void test_a_joining_log_is_empty(void **state)
{
    struct fixture *self = *state;

    assert_int_equal(open_at(self, self->directory, LOG_STORE_MAKE, true), 0);
    assert_log_again(self, 0, 0, 0);
    found(self);
    assert_log_again(self, 0, 0, 0);
    assert_int_equal(state_of(self).term, 0);
    append(self, 1, 4, 3);
    assert_log_again(self, 0, 1, 4);
}

/* Where a log has to be there and is not, none is made. */
static void test_a_log_that_should_be_there_is_not_made(void **state)
{
    struct fixture *self = *state;
    char *mark = files_path(self->directory, "log.mark");

    assert_int_equal(reopen(self), ERR_NOT_FOUND);
    assert_non_null(strstr(self->error, "founded"));
    assert_false(files_exist(mark));
    assert_int_equal(reopen(self), ERR_NOT_FOUND);
    free(mark);
}

/* Fail each write of the making: it leaves no log, or a whole one, and the next try finds or makes
 * that. */
static void test_a_log_is_made_as_a_whole(void **state)
{
    struct fixture *self = *state;
    bool untouched = false;

    for (int64_t nth = 1; !untouched; nth++) {
        files_remove_directory(&self->directory);
        self->directory = files_new_directory();
        fault_vfs_fail(self->vfs, nth, true);
        untouched = open_at(self, self->directory, LOG_STORE_FOUND, true) == 0;
        log_store_close(&self->store);
        fault_vfs_fail(self->vfs, 0, false);
        int result = reopen(self);
        assert_true(result == 0 || (!untouched && result == ERR_NOT_FOUND));
        found(self);
        assert_log_again(self, 0, 1, 1);
        assert_true(nth < STEPS_MAX);
    }
}

/* ---- Taking -------------------------------------------------------------------------------- */

/* What a snapshot holds goes from the front, but for what is to be kept, and the log goes on. */
static void test_a_snapshot_cuts_the_front(void **state)
{
    struct fixture *self = *state;
    replica_term term = 0;

    found(self);
    append(self, 2, 20, 2);
    take(self, 12, 2, 8);
    assert_log_again(self, 12, 8, 20);
    assert_int_equal(log_store_snapshot(self->store)->bytes, 12000);
    assert_int_equal(log_store_snapshot(self->store)->membership.count, 3);
    append(self, 21, 25, 3);
    assert_int_equal(log_store_term_of(self->store, 7, &term), ERR_NOT_FOUND);
    assert_int_equal(log_store_term_of(self->store, 8, &term), 0);
    take(self, 15, 2, 3); /* nothing more goes */
    assert_log_again(self, 15, 8, 25);
}

/* A snapshot of all there is may leave no entry; its own index and term stand for the last one. */
static void test_a_log_may_be_a_snapshot_alone(void **state)
{
    struct fixture *self = *state;
    replica_term term = 0;

    found(self);
    append(self, 2, 20, 2);
    take(self, 20, 2, 21);
    assert_log_again(self, 20, 0, 0);
    assert_int_equal(state_of(self).last_term, 2);
    assert_int_equal(state_of(self).last_log_time_ms, 200);
    assert_int_equal(log_store_term_of(self->store, 20, &term), 0);
    assert_int_equal(term, 2);
    append(self, 21, 22, 4);
    assert_log_again(self, 20, 21, 22);
}

/* The end may be cut down to the snapshot, and written anew. */
static void test_the_end_may_be_cut_down_to_the_snapshot(void **state)
{
    struct fixture *self = *state;

    found(self);
    append(self, 2, 20, 2);
    take(self, 12, 2, 13);
    append(self, 13, 13, 5);
    assert_log_again(self, 12, 13, 13);
    take(self, 13, 5, 10);
    append(self, 14, 16, 5);
    append(self, 14, 14, 6);
    assert_log_again(self, 13, 13, 14);
}

/* ---- Installing ---------------------------------------------------------------------------- */

/* A snapshot above all there is takes its place. */
static void test_a_snapshot_above_the_end_replaces_the_log(void **state)
{
    struct fixture *self = *state;

    found(self);
    append(self, 2, 20, 2);
    install(self, 100, 5);
    assert_log_again(self, 100, 0, 0);
    assert_int_equal(state_of(self).term, 5);
    append(self, 101, 103, 5);
    assert_log_again(self, 100, 101, 103);
    install(self, 200, 7);
    assert_log_again(self, 200, 0, 0);
}

/* A joiner's log begins with one. */
static void test_a_joiner_begins_with_a_snapshot(void **state)
{
    struct fixture *self = *state;

    assert_int_equal(open_at(self, self->directory, LOG_STORE_MAKE, true), 0);
    install(self, 100, 5);
    append(self, 101, 103, 5);
    assert_log_again(self, 100, 101, 103);
}

/* Where the log has the snapshot's last entry, all that it has is right, and stays. */
static void test_entries_that_agree_stay(void **state)
{
    struct fixture *self = *state;

    found(self);
    append(self, 2, 20, 2);
    install(self, 12, 2);
    assert_log_again(self, 12, 1, 20);
}

/* Where it has another one, nothing of it can be trusted, and all goes; the mark is lowered first. */
static void test_entries_that_disagree_go(void **state)
{
    struct fixture *self = *state;

    found(self);
    append(self, 2, 20, 2);
    install(self, 12, 3);
    assert_log_again(self, 12, 0, 0);
    append(self, 13, 15, 3);
    assert_log_again(self, 12, 13, 15);
}

/* Several of these in one transaction are one change, and the mark is lowered to what is left of
 * what was durable before it. */
static void test_a_transaction_may_cut_and_install(void **state)
{
    struct fixture *self = *state;
    struct snapshot_mark twelve = mark_of(12, 4);
    char text[64];

    found(self);
    append(self, 2, 20, 2);
    for (int durable = 0; durable < 2; durable++) {
        assert_int_equal(log_store_begin(self->store), 0);
        assert_int_equal(log_store_vote(self->store, 4, 1), 0);
        for (replica_index index = 9; index <= 14; index++) {
            struct log_entry entry = entry_of(index, 3, text, sizeof text);
            assert_int_equal(log_store_append(self->store, &entry, 1), 0);
        }
        assert_int_equal(log_store_install(self->store, &twelve), 0);
        struct log_entry entry = entry_of(13, 4, text, sizeof text);
        assert_int_equal(log_store_append(self->store, &entry, 1), 0);
        if (!durable) {
            /* The sync fails after the mark is lowered: all is as before. */
            fault_vfs_fail(self->vfs, 1, true);
            assert_int_equal(log_store_commit(self->store), ERR_STORAGE);
            fault_vfs_fail(self->vfs, 0, false);
            assert_int_equal(reopen(self), 0);
            assert_log(self, 0, 1, 20);
        }
    }
    assert_int_equal(log_store_commit(self->store), 0);
    assert_log_again(self, 12, 13, 13);
}

/* ---- What is refused ----------------------------------------------------------------------- */

/* Each rule between snapshot and entries is checked, and so is the snapshot's row. */
static void test_a_damaged_log_behind_a_snapshot_is_refused(void **state)
{
    static const struct {
        const char *sql;
        const char *words;
    } damages[] = {
        {"UPDATE snapshot SET checksum = checksum + 1", "snapshot is damaged"},
        {"UPDATE snapshot SET mark = X'00'", "snapshot is damaged"},
        {"UPDATE snapshot SET mark = zeroblob(length(mark))", "snapshot is damaged"},
        {"DELETE FROM snapshot", "entry 8 is damaged: entries before it are missing"},
        {"DELETE FROM entries WHERE log_index < 14", "entry 14 is damaged"},
        {"DELETE FROM entries WHERE log_index = 10", "entry 11 is damaged"},
        {"DELETE FROM entries WHERE log_index > 11", "entry 11 is damaged"},
        {"DELETE FROM entries", "behind its mark"},
        {"DELETE FROM entries WHERE log_index > 12", "behind its mark"},
    };
    struct fixture *self = *state;
    char *copy = files_path(self->directory, "copy");
    char *path = files_path(self->directory, "log.db");

    found(self);
    append(self, 2, 20, 2);
    take(self, 12, 2, 8);
    log_store_close(&self->store);
    files_copy(path, copy);
    for (size_t i = 0; i < sizeof damages / sizeof damages[0]; i++) {
        tamper(self, damages[i].sql);
        assert_refused(self, damages[i].words);
        files_copy(copy, path);
    }
    assert_int_equal(reopen(self), 0);
    free(copy);
    free(path);
}

/* Put an entry there behind the log's back, whose checksum is right. */
static void put_entry(struct fixture *self, const struct log_entry *entry)
{
    char *data = sqlite3_mprintf("%.*s", (int)entry->size, entry->data);
    char *sql = sqlite3_mprintf("REPLACE INTO entries VALUES (%lld, %lld, %d, %lld, 0,"
                                " CAST(%Q AS BLOB), %u)",
                                (long long)entry->index, (long long)entry->term, entry->kind,
                                (long long)entry->log_time_ms, data, log_entry_checksum(entry));
    tamper(self, sql);
    sqlite3_free(sql);
    sqlite3_free(data);
}

/* An entry that the snapshot contradicts is refused, though its checksum is right. */
static void test_the_snapshots_own_entry_is_compared(void **state)
{
    struct fixture *self = *state;
    char text[64];
    struct log_entry entry = entry_of(12, 3, text, sizeof text);

    found(self);
    append(self, 2, 20, 3);
    take(self, 12, 3, 8);
    entry.term = 2;
    put_entry(self, &entry);
    assert_refused(self, "the snapshot ends with");
    entry.term = 3;
    entry.log_time_ms++;
    put_entry(self, &entry);
    assert_refused(self, "the snapshot ends with");
    entry.log_time_ms--;
    put_entry(self, &entry);
    assert_int_equal(reopen(self), 0);
}

/* A membership that can't be read, or stands where the snapshot says there is none, is refused. */
static void test_memberships_are_checked(void **state)
{
    struct fixture *self = *state;
    struct bytes_writer data = {0};
    char text[64];

    found(self);
    append(self, 2, 20, 2);
    struct log_entry entry = entry_of(5, 2, text, sizeof text);
    entry.kind = LOG_ENTRY_MEMBERSHIP;
    put_entry(self, &entry);
    assert_refused(self, "entry 5 is damaged: it does not hold the membership");
    entry.kind = LOG_ENTRY_COMMAND;
    put_entry(self, &entry);

    /* One between that of the snapshot and its index. */
    membership_encode(&three, &data);
    assert_int_equal(reopen(self), 0);
    assert_int_equal(log_store_begin(self->store), 0);
    entry = entry_of(21, 2, text, sizeof text);
    entry.kind = LOG_ENTRY_MEMBERSHIP;
    entry.data = data.data;
    entry.size = data.size;
    assert_int_equal(log_store_append(self->store, &entry, 1), 0);
    assert_int_equal(log_store_commit(self->store), 0);
    append(self, 22, 25, 2);
    assert_int_equal(reopen(self), 0);
    take(self, 24, 2, 10); /* whose mark says 1 */
    assert_refused(self, "entry 21 is damaged: it does not hold the membership");
    bytes_writer_close(&data);
}

/* ---- Failing disks ------------------------------------------------------------------------- */

/* All ways in which a log meets a snapshot, one after the other; and what it is after each. */
static const struct step script[] = {
    {APPEND, 2, 20, 2},  {TAKE, 8, 5, 2},     {APPEND, 21, 30, 3}, {APPEND, 25, 26, 4},
    {TAKE, 24, 25, 3},   {INSTALL, 26, 0, 4}, {APPEND, 27, 40, 4}, {INSTALL, 33, 0, 5},
    {APPEND, 34, 50, 5}, {INSTALL, 60, 0, 6}, {APPEND, 61, 70, 6}, {APPEND, 63, 64, 7},
    {TAKE, 63, 64, 7},   {TAKE, 64, 65, 7},   {INSTALL, 65, 0, 8}, {APPEND, 66, 67, 8},
};
static const struct {
    replica_index snapshot, first, last;
} after[] = {
    {0, 1, 20},   {8, 5, 20}, {8, 5, 30},   {8, 5, 26},   {24, 25, 26}, {26, 25, 26},
    {26, 25, 40}, {33, 0, 0}, {33, 34, 50}, {60, 0, 0},   {60, 61, 70}, {60, 61, 64},
    {63, 64, 64}, {64, 0, 0}, {65, 0, 0},   {65, 66, 67},
};
#define SCRIPT_STEPS (sizeof script / sizeof script[0])

/* The script does what it is to do. */
static void test_a_log_through_all_its_snapshots(void **state)
{
    struct fixture *self = *state;

    found(self);
    for (size_t i = 0; i < SCRIPT_STEPS; i++) {
        assert_int_equal(run_step(self, &script[i]), 0);
        assert_log(self, after[i].snapshot, after[i].first, after[i].last);
        if (i % 2 == 0)
            assert_int_equal(reopen(self), 0);
    }
}

static bool log_is(struct fixture *self, size_t step)
{
    struct log_state log = state_of(self);
    replica_index last = after[step].last > 0 ? after[step].last : after[step].snapshot;

    return log.snapshot_index == after[step].snapshot && log.first_index == after[step].first &&
           log.last_index == last && log.term >= script[step].term;
}

/* Copy the files of a running log, as they are when its process is killed. */
static char *take_crash_image(struct fixture *self)
{
    char *image = files_path(self->directory, "image");
    char *shm = files_path(image, "log.db-shm");

    files_copy_directory(self->directory, image);
    if (files_exist(shm))
        files_remove(shm);
    free(shm);
    return image;
}

/* Fail each write and sync of it in turn, once and for good: the log is as it was before the step
 * that failed or as after it, whole, and goes on from there to the end. */
static void test_every_failing_write_is_told(void **state)
{
    struct fixture *self = *state;

    for (int for_good = 0; for_good < 2; for_good++) {
        bool untouched = false;
        for (int64_t nth = 1; !untouched; nth++) {
            files_remove_directory(&self->directory);
            self->directory = files_new_directory();
            found(self);
            fault_vfs_fail(self->vfs, nth, for_good);
            size_t step = 0;
            while (step < SCRIPT_STEPS && run_step(self, &script[step]) == 0 &&
                   log_store_tidy(self->store) == 0)
                step++;
            untouched = step == SCRIPT_STEPS;
            fault_vfs_fail(self->vfs, 0, false);
            char *image = take_crash_image(self);
            assert_int_equal(open_at(self, image, LOG_STORE_EXISTING, true), 0);
            size_t at = untouched || log_is(self, step) ? step + 1 : step;
            if (!untouched && at > 0 && !log_is(self, at - 1))
                fail_msg("the %d. write fails: neither as before step %zu nor as after it",
                         (int)nth, step);
            for (; at < SCRIPT_STEPS; at++)
                assert_int_equal(run_step(self, &script[at]), 0);
            assert_true(log_is(self, SCRIPT_STEPS - 1));
            log_store_close(&self->store);
            free(image);
            assert_true(nth < STEPS_MAX);
        }
    }
}

/* Lose all that was not synced after each step; the mark may be any of the last two. */
static void test_a_power_failure_loses_no_step(void **state)
{
    static const char *const names[] = {"log.db", "log.db-wal"};
    struct fixture *self = *state;

    fault_vfs_destroy(&self->vfs);
    self->vfs = fault_vfs_new(VFS, true);
    found(self);
    struct log_store *running = self->store;
    for (size_t step = 0; step < SCRIPT_STEPS; step++) {
        self->store = running;
        assert_int_equal(run_step(self, &script[step]), 0);
        for (size_t spoilt = 0; spoilt < 3; spoilt++) {
            char *image = take_crash_image(self);
            char *mark = files_path(image, "log.mark");
            for (size_t i = 0; i < 2; i++) {
                char *target = files_path(image, names[i]);
                char *synced = sqlite3_mprintf("%s.synced", target);
                if (files_exist(synced))
                    files_copy(synced, target);
                else if (files_exist(target))
                    files_remove(target);
                sqlite3_free(synced);
                free(target);
            }
            if (spoilt < 2)
                files_flip(mark, spoilt * 4096 + 50, 1);
            self->store = NULL;
            if (open_at(self, image, LOG_STORE_EXISTING, true) != 0)
                fail_msg("step %zu: %s", step, self->error);
            assert_true(log_is(self, step));
            log_store_close(&self->store);
            free(mark);
            free(image);
        }
    }
    self->store = running;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_founded_log_begins_with_its_members),
        TEST(test_a_joining_log_is_empty),
        TEST(test_a_log_that_should_be_there_is_not_made),
        TEST(test_a_log_is_made_as_a_whole),
        TEST(test_a_snapshot_cuts_the_front),
        TEST(test_a_log_may_be_a_snapshot_alone),
        TEST(test_the_end_may_be_cut_down_to_the_snapshot),
        TEST(test_a_snapshot_above_the_end_replaces_the_log),
        TEST(test_a_joiner_begins_with_a_snapshot),
        TEST(test_entries_that_agree_stay),
        TEST(test_entries_that_disagree_go),
        TEST(test_a_transaction_may_cut_and_install),
        TEST(test_a_damaged_log_behind_a_snapshot_is_refused),
        TEST(test_the_snapshots_own_entry_is_compared),
        TEST(test_memberships_are_checked),
        TEST(test_a_log_through_all_its_snapshots),
        TEST(test_every_failing_write_is_told),
        TEST(test_a_power_failure_loses_no_step),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
