/* The log store: what was committed is there again, and what is not whole is refused.
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
#include <czmq.h>
#include <sqlite3.h>

#include "broker/bus/err.h"
#include "broker/bus/limits.h"
#include "services/replica/log_store.h"
#include "services/replica/side_mark.h"
#include "tests/lib/fault_vfs.h"
#include "tests/lib/files.h"

#define VFS           "fault-log"
#define COMMAND_BYTES 128

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

static int open_at(struct fixture *self, const char *directory, const char *uuid, const char *group,
                   uint64_t id)
{
    char *path = files_path(directory, "log.db");
    char *mark = files_path(directory, "log.mark");
    struct log_store_options options = {
        .path = path,
        .mark_path = mark,
        .vfs = VFS,
        .identity = {.uuid = uuid, .group = group, .replica_id = id},
        .check = true,
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
    return open_at(self, self->directory, "c1", "catalog", 1);
}

/* The command of an entry follows from index and term, so that whoever reads it can check it. */
static void command_of(replica_index index, replica_term term, char *text, size_t size)
{
    int length = snprintf(text, size, "command %d of term %d ", (int)index, (int)term);
    memset(text + length, 'x', (size_t)(index % 40));
    text[(size_t)length + index % 40] = '\0';
}

static int append(struct fixture *self, replica_index from, replica_index to, replica_term term)
{
    struct log_entry *entries = calloc(to - from + 1, sizeof *entries);
    char(*commands)[COMMAND_BYTES] = calloc(to - from + 1, sizeof *commands);
    size_t count = 0;

    for (replica_index index = from; index <= to; index++, count++) {
        command_of(index, term, commands[count], sizeof commands[count]);
        entries[count] = (struct log_entry){
            .index = index,
            .term = term,
            .kind = LOG_ENTRY_COMMAND,
            .log_time_ms = (int64_t)index * 10,
            .wall_ms = 1700000000000 + (int64_t)index,
            .data = (const uint8_t *)commands[count],
            .size = strlen(commands[count]),
        };
    }
    int result = log_store_append(self->store, entries, count);
    free(entries);
    free(commands);
    return result;
}

/* One transaction: term and vote for 1 if the term is new, then the entries. */
static int commit(struct fixture *self, replica_index from, replica_index to, replica_term term)
{
    int result = log_store_begin(self->store);
    if (result == 0 && term > log_store_state(self->store).term)
        result = log_store_vote(self->store, term, 1);
    if (result == 0 && from <= to)
        result = append(self, from, to, term);
    return result == 0 ? log_store_commit(self->store) : result;
}

static void make_log(struct fixture *self, replica_index last)
{
    assert_int_equal(reopen(self), 0);
    for (replica_index index = 1; index <= last; index++)
        assert_int_equal(commit(self, index, index, 1 + index / 10), 0);
}

static int check_one(void *arg, const struct log_entry *entry)
{
    replica_index *next = arg;
    char text[COMMAND_BYTES];

    command_of(entry->index, entry->term, text, sizeof text);
    assert_int_equal(entry->index, *next);
    assert_int_equal(entry->size, strlen(text));
    assert_memory_equal(entry->data, text, entry->size);
    assert_int_equal(entry->log_time_ms, (int64_t)entry->index * 10);
    (*next)++;
    return 0;
}

/* The log holds whole entries from 1 to @last. */
static void assert_holds(struct fixture *self, replica_index last)
{
    replica_index next = 1;

    assert_int_equal(log_store_state(self->store).last_index, last);
    assert_int_equal(log_store_read(self->store, 1, INT64_MAX, check_one, &next), 0);
    assert_int_equal(next, last + 1);
}

/* Change the closed log behind its back. */
static void tamper(struct fixture *self, const char *sql)
{
    char *path = files_path(self->directory, "log.db");
    sqlite3 *db;

    log_store_close(&self->store);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
    free(path);
}

static void set_mark(struct fixture *self, struct side_mark_state state)
{
    char *path = files_path(self->directory, "log.mark");
    struct side_mark *mark;

    log_store_close(&self->store);
    assert_int_equal(side_mark_open(path, &mark, &self->error), 0);
    assert_int_equal(side_mark_write(mark, &state), 0);
    side_mark_close(&mark);
    free(path);
}

static void assert_refused(struct fixture *self, int code, const char *words)
{
    assert_int_equal(reopen(self), code);
    assert_null(self->store);
    if (strstr(self->error, words) == NULL)
        fail_msg("\"%s\" lacks \"%s\"", self->error, words);
}

/* ---- Writing and reading ------------------------------------------------------------------- */

/* A new log is empty, in no term, and so it is when it is opened again. */
static void test_a_new_log_is_empty(void **state)
{
    struct fixture *self = *state;

    for (int i = 0; i < 2; i++) {
        assert_int_equal(reopen(self), 0);
        struct log_state log = log_store_state(self->store);
        assert_int_equal(log.term, 0);
        assert_int_equal(log.vote, 0);
        assert_int_equal(log.first_index, 0);
        assert_int_equal(log.last_index, 0);
    }
}

/* What was committed is there after the next opening: entries, term, vote and times. */
static void test_committed_entries_are_there_again(void **state)
{
    struct fixture *self = *state;

    make_log(self, 25);
    assert_int_equal(reopen(self), 0);
    assert_holds(self, 25);
    struct log_state log = log_store_state(self->store);
    assert_int_equal(log.term, 3);
    assert_int_equal(log.vote, 1);
    assert_int_equal(log.first_index, 1);
    assert_int_equal(log.last_term, 3);
    assert_int_equal(log.last_log_time_ms, 250);
}

/* A transaction that was not committed leaves nothing, neither entries nor a vote. */
static void test_an_open_transaction_leaves_nothing(void **state)
{
    struct fixture *self = *state;

    make_log(self, 5);
    assert_int_equal(log_store_begin(self->store), 0);
    assert_int_equal(log_store_vote(self->store, 9, 1), 0);
    assert_int_equal(append(self, 6, 8, 9), 0);
    assert_int_equal(log_store_state(self->store).last_index, 5);
    assert_int_equal(reopen(self), 0);
    assert_holds(self, 5);
    assert_int_equal(log_store_state(self->store).term, 1);
}

/* Empty commands and the largest ones come back as they were. */
static void test_sizes_of_commands(void **state)
{
    struct fixture *self = *state;
    uint8_t *large = calloc(1, ENTRY_BYTES_MAX);
    struct log_entry entries[] = {
        {.index = 1, .term = 1, .kind = LOG_ENTRY_BARRIER},
        {.index = 2, .term = 1, .kind = LOG_ENTRY_COMMAND, .data = large, .size = ENTRY_BYTES_MAX},
    };

    assert_int_equal(reopen(self), 0);
    assert_int_equal(log_store_begin(self->store), 0);
    assert_int_equal(log_store_vote(self->store, 1, 1), 0);
    assert_int_equal(log_store_append(self->store, entries, 2), 0);
    assert_int_equal(log_store_commit(self->store), 0);
    assert_int_equal(reopen(self), 0);
    assert_int_equal(log_store_state(self->store).last_index, 2);
    free(large);
}

static int stop_at_three(void *arg, const struct log_entry *entry)
{
    int *calls = arg;
    (*calls)++;
    return entry->index == 3 ? ERR_BUSY : 0;
}

/* A range is read as asked, and a reader may stop it with a code of his own. */
static void test_a_range_is_read_in_order(void **state)
{
    struct fixture *self = *state;
    replica_index next = 4;
    int calls = 0;

    make_log(self, 12);
    assert_int_equal(log_store_read(self->store, 4, 9, check_one, &next), 0);
    assert_int_equal(next, 10);
    assert_int_equal(log_store_read(self->store, 1, 12, stop_at_three, &calls), ERR_BUSY);
    assert_int_equal(calls, 3);
    assert_int_equal(log_store_read(self->store, 13, 20, stop_at_three, &calls), 0);
    assert_int_equal(calls, 3);
}

/* The term of any entry can be asked for; there is none outside the log. */
static void test_the_term_of_an_entry(void **state)
{
    struct fixture *self = *state;
    replica_term term = 0;

    make_log(self, 25);
    assert_int_equal(log_store_term_of(self->store, 9, &term), 0);
    assert_int_equal(term, 1);
    assert_int_equal(log_store_term_of(self->store, 10, &term), 0);
    assert_int_equal(term, 2);
    assert_int_equal(log_store_term_of(self->store, 0, &term), ERR_NOT_FOUND);
    assert_int_equal(log_store_term_of(self->store, 26, &term), ERR_NOT_FOUND);
}

/* Entries put before the end take the place of all from there on, and the log stays good. */
static void test_an_append_replaces_the_tail(void **state)
{
    struct fixture *self = *state;

    make_log(self, 9);
    assert_int_equal(commit(self, 4, 6, 5), 0);
    assert_holds(self, 6);
    assert_int_equal(log_store_state(self->store).last_term, 5);
    assert_int_equal(reopen(self), 0);
    assert_holds(self, 6);
    assert_int_equal(commit(self, 1, 1, 6), 0);
    assert_int_equal(reopen(self), 0);
    assert_holds(self, 1);
}

/* The mark is lowered before entries are cut off, not after: a cut that fails has lowered it, and
 * has changed nothing else. */
static void test_the_mark_is_lowered_before_a_cut(void **state)
{
    struct fixture *self = *state;
    char *path = files_path(self->directory, "log.mark");
    struct side_mark *mark = NULL;

    make_log(self, 9);
    fault_vfs_fail(self->vfs, 1, true);
    assert_int_equal(commit(self, 3, 3, 2), ERR_STORAGE);
    fault_vfs_fail(self->vfs, 0, false);
    assert_int_equal(side_mark_open(path, &mark, &self->error), 0);
    assert_int_equal(side_mark_read(mark)->last_index, 2);
    assert_int_equal(side_mark_read(mark)->last_term, 1);
    side_mark_close(&mark);
    assert_int_equal(reopen(self), 0);
    assert_holds(self, 9);
    free(path);
}

/* Any number of entries in one transaction cost one sync. */
static void test_a_transaction_is_one_sync(void **state)
{
    struct fixture *self = *state;

    make_log(self, 1); /* the first write makes the write-ahead log, which is synced as well */
    int64_t before = fault_vfs_syncs(self->vfs);
    assert_int_equal(commit(self, 2, 1001, 1), 0);
    assert_int_equal(fault_vfs_syncs(self->vfs) - before, 1);
    assert_int_equal(commit(self, 1002, 1002, 1), 0);
    assert_int_equal(fault_vfs_syncs(self->vfs) - before, 2);
}

/* The write-ahead log stays within its bound when it is tidied, however long it goes on. */
static void test_the_write_ahead_log_is_bounded(void **state)
{
    struct fixture *self = *state;
    char *wal = files_path(self->directory, "log.db-wal");
    replica_index index = 1;

    assert_int_equal(reopen(self), 0);
    for (int round = 0; round < 400; round++, index += 256) {
        assert_int_equal(commit(self, index, index + 255, 1), 0);
        assert_int_equal(log_store_tidy(self->store), 0);
    }
    assert_true(files_size(wal) < (LOG_WAL_PAGES_MAX + 100) * 4200);
    assert_int_equal(reopen(self), 0);
    assert_holds(self, index - 1);
    free(wal);
}

/* ---- What is refused ----------------------------------------------------------------------- */

/* Data of another cluster, group or replica is refused, and the right owner still gets it. */
static void test_another_ones_log_is_refused(void **state)
{
    struct fixture *self = *state;

    make_log(self, 3);
    assert_int_equal(open_at(self, self->directory, "c2", "catalog", 1), ERR_MISMATCH);
    assert_int_equal(open_at(self, self->directory, "c1", "order", 1), ERR_MISMATCH);
    assert_int_equal(open_at(self, self->directory, "c1", "catalog", 2), ERR_MISMATCH);
    assert_int_equal(reopen(self), 0);
    assert_holds(self, 3);
}

/* A format that is not known, or not any more, is refused before anything else is read. */
static void test_an_unknown_format_is_refused(void **state)
{
    struct fixture *self = *state;

    make_log(self, 3);
    tamper(self, "UPDATE meta SET value = '1' WHERE name = 'format'");
    assert_refused(self, ERR_VERSION, "format is 1, not 2");
    tamper(self, "UPDATE meta SET value = '3' WHERE name = 'format'; DROP TABLE entries");
    assert_refused(self, ERR_VERSION, "format");
}

/* Each rule of the log is checked, and the message names the entry and what to do. */
static void test_a_damaged_entry_is_named(void **state)
{
    const char *const damages[] = {
        "UPDATE entries SET command = X'00' WHERE log_index = 7",
        "UPDATE entries SET term = term + 1 WHERE log_index = 7",
        "UPDATE entries SET kind = 2 WHERE log_index = 7",
        "UPDATE entries SET log_time_ms = 71 WHERE log_index = 7",
        "UPDATE entries SET wall_ms = 0 WHERE log_index = 7",
        "UPDATE entries SET checksum = 0 WHERE log_index = 7",
        "DELETE FROM entries WHERE log_index = 6",
        "DELETE FROM entries WHERE log_index <= 6",
    };
    struct fixture *self = *state;

    make_log(self, 12);
    char *copy = files_path(self->directory, "copy");
    char *path = files_path(self->directory, "log.db");
    log_store_close(&self->store);
    files_copy(path, copy);
    for (size_t i = 0; i < sizeof damages / sizeof damages[0]; i++) {
        tamper(self, damages[i]);
        assert_refused(self, ERR_CORRUPT, "entry 7 is damaged");
        assert_non_null(strstr(self->error, "re-seeded"));
        files_copy(copy, path);
    }
    assert_int_equal(reopen(self), 0);
    free(copy);
    free(path);
}

/* Entries whose checksums are right are still refused when they can't follow one another. */
static void test_terms_and_times_may_not_fall(void **state)
{
    struct fixture *self = *state;
    struct log_entry entry = {.index = 4, .term = 1, .kind = LOG_ENTRY_BARRIER, .log_time_ms = 29};
    char sql[256];

    make_log(self, 3);
    snprintf(sql, sizeof sql, "INSERT INTO entries VALUES (4, 1, 2, 29, 0, X'', %u)",
             log_entry_checksum(&entry));
    tamper(self, sql);
    assert_refused(self, ERR_CORRUPT, "log time");

    entry.log_time_ms = 30;
    entry.term = 2;
    snprintf(sql, sizeof sql, "REPLACE INTO entries VALUES (4, 2, 2, 30, 0, X'', %u)",
             log_entry_checksum(&entry));
    tamper(self, sql);
    assert_refused(self, ERR_CORRUPT, "above the current one");
}

/* A kind of entry that is not known stops before it is applied. */
static void test_an_unknown_kind_is_refused(void **state)
{
    struct fixture *self = *state;
    struct log_entry entry = {
        .index = 4, .term = 1, .kind = (enum log_entry_kind)9, .log_time_ms = 40};
    char sql[256];

    make_log(self, 3);
    snprintf(sql, sizeof sql, "INSERT INTO entries VALUES (4, 1, 9, 40, 0, X'', %u)",
             log_entry_checksum(&entry));
    tamper(self, sql);
    assert_refused(self, ERR_VERSION, "newer version");
}

/* A vote that was changed on the disk is not believed. */
static void test_a_damaged_vote_is_refused(void **state)
{
    struct fixture *self = *state;

    make_log(self, 3);
    tamper(self, "UPDATE hard_state SET vote = 2");
    assert_refused(self, ERR_CORRUPT, "term and vote");
    tamper(self, "DELETE FROM hard_state");
    assert_refused(self, ERR_CORRUPT, "term and vote");
}

/* A log that lost its end passes each check of its own: the mark tells. */
static void test_a_log_behind_its_mark_is_refused(void **state)
{
    struct fixture *self = *state;

    make_log(self, 12);
    tamper(self, "DELETE FROM entries WHERE log_index > 11");
    assert_refused(self, ERR_CORRUPT, "behind its mark");
}

/* So it is with a mark that knows of a higher term, another vote, or another last entry. */
static void test_term_and_vote_of_the_mark_count(void **state)
{
    struct fixture *self = *state;
    struct side_mark_state good = {.last_index = 12, .last_term = 2, .term = 2, .vote = 1};
    struct side_mark_state bad;

    make_log(self, 12);
    set_mark(self, good);
    assert_int_equal(reopen(self), 0);
    bad = good;
    bad.last_index = 13;
    set_mark(self, bad);
    assert_refused(self, ERR_CORRUPT, "ends before");
    bad = good;
    bad.last_term = 1;
    set_mark(self, bad);
    assert_refused(self, ERR_CORRUPT, "another term");
    bad = good;
    bad.term = 3;
    set_mark(self, bad);
    assert_refused(self, ERR_CORRUPT, "term is lower");
    bad = good;
    bad.vote = 2;
    set_mark(self, bad);
    assert_refused(self, ERR_CORRUPT, "vote");
    /* An older mark, as a power failure leaves it, is no reason to refuse. */
    set_mark(self, (struct side_mark_state){.last_index = 5, .last_term = 1, .term = 1});
    assert_int_equal(reopen(self), 0);
}

/* Either of log and mark alone is half of what there was. */
static void test_a_log_or_mark_that_vanished_is_refused(void **state)
{
    struct fixture *self = *state;
    char *log = files_path(self->directory, "log.db");
    char *mark = files_path(self->directory, "log.mark");

    make_log(self, 3);
    log_store_close(&self->store);
    files_remove(log);
    assert_refused(self, ERR_CORRUPT, "log is gone");
    files_remove(log);
    files_remove(mark);
    make_log(self, 3);
    log_store_close(&self->store);
    files_remove(mark);
    assert_refused(self, ERR_CORRUPT, "mark is missing");
    free(log);
    free(mark);
}

/* Copy the files of a running log, as they are when its process is killed. */
static char *take_crash_image(struct fixture *self, const char *name)
{
    char *image = files_path(self->directory, name);
    files_copy_directory(self->directory, image);
    char *shm = files_path(image, "log.db-shm");
    if (files_exist(shm))
        files_remove(shm);
    free(shm);
    return image;
}

/* Flip one bit at many places of one file: the log is refused, or it is whole. */
static void flip_and_open(struct fixture *self, const char *name, size_t step)
{
    char *image = take_crash_image(self, "image");
    char *work = files_path(self->directory, "work");
    char *file = files_path(work, name);
    char *original = files_path(image, name);
    size_t size = files_size(original);
    size_t refused = 0;

    log_store_close(&self->store);
    for (size_t offset = 0; offset < size; offset += step) {
        files_copy_directory(image, work);
        files_flip(file, offset, (unsigned char)(1 << (offset % 8)));
        int result = open_at(self, work, "c1", "catalog", 1);
        if (result == 0)
            assert_holds(self, 40);
        else
            refused++;
    }
    assert_true(refused > 0);
    log_store_close(&self->store);
    free(image);
    free(work);
    free(file);
    free(original);
}

/* SQLite drops what follows a flipped bit of its write-ahead log without a word. We don't. */
static void test_no_flipped_bit_of_the_write_ahead_log_loses_entries(void **state)
{
    struct fixture *self = *state;

    make_log(self, 40);
    flip_and_open(self, "log.db-wal", 397);
}

/* The same for the database itself, into which the pages were moved. */
static void test_no_flipped_bit_of_the_database_loses_entries(void **state)
{
    struct fixture *self = *state;

    make_log(self, 40);
    assert_int_equal(reopen(self), 0);
    flip_and_open(self, "log.db", 41);
}

/* A write-ahead log cut off anywhere is refused: it was synced to its end. */
static void test_a_truncated_write_ahead_log_is_refused(void **state)
{
    struct fixture *self = *state;

    make_log(self, 40);
    char *image = take_crash_image(self, "image");
    char *work = files_path(self->directory, "work");
    char *wal = files_path(work, "log.db-wal");
    char *original = files_path(image, "log.db-wal");
    size_t size = files_size(original);

    for (size_t cut = 1; cut < size; cut += 1999) {
        files_copy_directory(image, work);
        files_truncate(wal, size - cut);
        assert_int_equal(open_at(self, work, "c1", "catalog", 1), ERR_CORRUPT);
    }
    free(image);
    free(work);
    free(wal);
    free(original);
}

/* ---- Failing disks ------------------------------------------------------------------------- */

/* Fail each write and sync in turn, once and for good: a commit that said so is there afterwards,
 * and one that failed is there as a whole or not at all. */
static void test_every_failing_write_is_told(void **state)
{
    struct fixture *self = *state;

    for (int for_good = 0; for_good < 2; for_good++) {
        bool untouched = false;
        for (int64_t nth = 1; !untouched; nth++) {
            replica_index last = 0;
            files_remove_directory(&self->directory);
            self->directory = files_new_directory();
            make_log(self, 3);
            fault_vfs_fail(self->vfs, nth, for_good);
            int result = 0;
            for (last = 3; result == 0 && last < 9; last += 3)
                result = commit(self, last + 1, last + 3, 1);
            untouched = result == 0;
            fault_vfs_fail(self->vfs, 0, false);
            if (!untouched)
                assert_int_equal(result, ERR_STORAGE);
            char *image = take_crash_image(self, "image");
            log_store_close(&self->store);
            assert_int_equal(open_at(self, image, "c1", "catalog", 1), 0);
            replica_index found = log_store_state(self->store).last_index;
            assert_true(found == last || (!untouched && found == last - 3));
            assert_holds(self, found);
            log_store_close(&self->store);
            free(image);
            assert_true(nth < 200);
        }
    }
}

/* Lose everything that was not synced, after each commit: every committed entry is there. The mark,
 * which is never synced, may be any that was ever written. */
static void test_a_power_failure_loses_no_commit(void **state)
{
    struct fixture *self = *state;
    char *work = files_path(self->directory, "work");
    const char *const names[] = {"log.db", "log.db-wal"};

    fault_vfs_destroy(&self->vfs);
    self->vfs = fault_vfs_new(VFS, true);
    assert_int_equal(reopen(self), 0);
    struct log_store *running = self->store;
    for (replica_index index = 1; index <= 30; index++) {
        self->store = running;
        /* Every seventh commit takes the tail away. */
        replica_index from = index > 7 && index % 7 == 0 ? index - 2 : index;
        assert_int_equal(commit(self, from, index, 1 + index / 7), 0);
        char *image = take_crash_image(self, "image");
        for (replica_index mark = 0; mark < 2; mark++) {
            files_copy_directory(image, work);
            for (size_t i = 0; i < 2; i++) {
                char *synced = zsys_sprintf("%s/%s.synced", image, names[i]);
                char *target = files_path(work, names[i]);
                if (files_exist(synced))
                    files_copy(synced, target);
                else if (files_exist(target))
                    files_remove(target);
                free(synced);
                free(target);
            }
            if (mark == 1) { /* only the older slot reached the disk */
                char *path = files_path(work, "log.mark");
                files_flip(path, (index % 2) * 4096 + 50, 1);
                free(path);
            }
            self->store = NULL;
            assert_int_equal(open_at(self, work, "c1", "catalog", 1), 0);
            assert_holds(self, index);
            log_store_close(&self->store);
        }
        free(image);
    }
    self->store = running;
    free(work);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_new_log_is_empty),
        TEST(test_committed_entries_are_there_again),
        TEST(test_an_open_transaction_leaves_nothing),
        TEST(test_sizes_of_commands),
        TEST(test_a_range_is_read_in_order),
        TEST(test_the_term_of_an_entry),
        TEST(test_an_append_replaces_the_tail),
        TEST(test_the_mark_is_lowered_before_a_cut),
        TEST(test_a_transaction_is_one_sync),
        TEST(test_the_write_ahead_log_is_bounded),
        TEST(test_another_ones_log_is_refused),
        TEST(test_an_unknown_format_is_refused),
        TEST(test_a_damaged_entry_is_named),
        TEST(test_terms_and_times_may_not_fall),
        TEST(test_an_unknown_kind_is_refused),
        TEST(test_a_damaged_vote_is_refused),
        TEST(test_a_log_behind_its_mark_is_refused),
        TEST(test_term_and_vote_of_the_mark_count),
        TEST(test_a_log_or_mark_that_vanished_is_refused),
        TEST(test_no_flipped_bit_of_the_write_ahead_log_loses_entries),
        TEST(test_no_flipped_bit_of_the_database_loses_entries),
        TEST(test_a_truncated_write_ahead_log_is_refused),
        TEST(test_every_failing_write_is_told),
        TEST(test_a_power_failure_loses_no_commit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
