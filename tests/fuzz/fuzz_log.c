/* A log's file whose rows say anything, and a side mark of any bytes: it opens as a log that keeps
 * every rule from entry to entry, or is refused with a code for that.
 *
 * The first byte says what the rest is: bit 0, bytes of the side mark's file, in the place of a good
 * one, else rows. Of rows: term, vote, with bit 1 a snapshot's mark, and then entries, with right
 * checksums where bit 7 of a byte of their own is set (who can write checksums is no chance, and must
 * be harmless all the same).
 * Flipped bits of the file as SQLite has it are tests/system's subject.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "broker/bus/bytes.h"
#include "broker/bus/err.h"
#include "broker/bus/limits.h"
#include "services/replica/log_store.h"

enum { ROWS_MAX = 20, PATH_BYTES = 320 };

struct place {
    char folder[256];
    char log[PATH_BYTES];
    char mark[PATH_BYTES];
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void place_make(struct place *self)
{
    const char *folder = getenv("TMPDIR");
    snprintf(self->folder, sizeof self->folder, "%s/pygmy-fuzz-log-XXXXXX",
             folder != NULL ? folder : "/tmp");
    char *made = mkdtemp(self->folder);
    assert(made != NULL);
    snprintf(self->log, sizeof self->log, "%s/log.db", self->folder);
    snprintf(self->mark, sizeof self->mark, "%s/mark", self->folder);
}

static void place_remove(struct place *self)
{
    static const char *const names[] = {"log.db", "log.db-wal", "log.db-shm", "mark"};
    char path[PATH_BYTES];
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        snprintf(path, sizeof path, "%s/%s", self->folder, names[i]);
        (void)unlink(path);
    }
    int code = rmdir(self->folder);
    assert(code == 0);
}

static int open_log(const struct place *place, struct log_store **store)
{
    char *error = NULL;
    const struct log_store_options options = {
        .path = place->log,
        .mark_path = place->mark,
        .identity = {.uuid = "0123456789abcdef0123456789abcdef", .group = "order", .replica_id = 1},
        .check = true,
    };
    int code = log_store_open(&options, store, &error);
    assert((code == OK) == (error == NULL));
    free(error);
    return code;
}

/* ---- Writing what the input says ------------------------------------------------------------- */

/* A number near those that matter, mostly. */
static uint64_t get_number(struct bytes_reader *input)
{
    const uint8_t byte = bytes_get_u8(input);
    if (byte < 250)
        return byte;
    return byte < 253 ? bytes_get_u16(input) : bytes_get_u64(input);
}

static void run(sqlite3_stmt *statement)
{
    /* A row of a doubled index is not there then. */
    (void)sqlite3_step(statement);
    sqlite3_finalize(statement);
}

static sqlite3_stmt *prepare(sqlite3 *db, const char *sql)
{
    sqlite3_stmt *statement = NULL;
    int code = sqlite3_prepare_v2(db, sql, -1, &statement, NULL);
    assert(code == SQLITE_OK);
    return statement;
}

static void write_state(sqlite3 *db, struct bytes_reader *input)
{
    const uint64_t term = get_number(input), vote = get_number(input);
    const bool good = bytes_get_u8(input) & 0x80;
    sqlite3_stmt *update = prepare(db, "UPDATE hard_state SET term = ?1, vote = ?2, checksum = ?3");
    sqlite3_bind_int64(update, 1, (sqlite3_int64)term);
    sqlite3_bind_int64(update, 2, (sqlite3_int64)vote);
    sqlite3_bind_int64(update, 3, good ? log_vote_checksum(term, vote) : 7);
    run(update);
}

static void write_snapshot(sqlite3 *db, struct bytes_reader *input)
{
    size_t size = 0;
    const bool good = bytes_get_u8(input) & 0x80;
    const uint8_t *mark = bytes_get_blob(input, SIZE_MAX, &size);
    sqlite3_stmt *insert = prepare(db, "INSERT INTO snapshot VALUES (1, ?1, ?2)");
    sqlite3_bind_blob(insert, 1, mark != NULL ? (const void *)mark : "", (int)size,
                      SQLITE_TRANSIENT);
    sqlite3_bind_int64(insert, 2, good ? log_snapshot_checksum(mark, size) : 7);
    run(insert);
}

static void write_entry(sqlite3 *db, struct bytes_reader *input)
{
    size_t size = 0;
    struct log_entry entry = {
        .index = get_number(input),
        .term = get_number(input),
        .kind = (enum log_entry_kind)(get_number(input) & INT32_MAX),
        .log_time_ms = (int64_t)get_number(input),
        .wall_ms = (int64_t)get_number(input),
    };
    const bool good = bytes_get_u8(input) & 0x80;
    entry.data = bytes_get_blob(input, SIZE_MAX, &size);
    entry.size = size;
    sqlite3_stmt *insert = prepare(db, "INSERT INTO entries VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)");
    sqlite3_bind_int64(insert, 1, (sqlite3_int64)entry.index);
    sqlite3_bind_int64(insert, 2, (sqlite3_int64)entry.term);
    sqlite3_bind_int64(insert, 3, (sqlite3_int64)entry.kind);
    sqlite3_bind_int64(insert, 4, entry.log_time_ms);
    sqlite3_bind_int64(insert, 5, entry.wall_ms);
    sqlite3_bind_blob(insert, 6, entry.data != NULL ? (const void *)entry.data : "", (int)size,
                      SQLITE_TRANSIENT);
    sqlite3_bind_int64(insert, 7, good ? log_entry_checksum(&entry) : 7);
    run(insert);
}

static void write_rows(const struct place *place, struct bytes_reader *input, bool snapshot)
{
    sqlite3 *db = NULL;
    int code = sqlite3_open(place->log, &db);
    assert(code == SQLITE_OK);
    code = sqlite3_exec(db, "PRAGMA synchronous = OFF; BEGIN", NULL, NULL, NULL);
    assert(code == SQLITE_OK);
    write_state(db, input);
    if (snapshot)
        write_snapshot(db, input);
    for (int i = 0; i < ROWS_MAX && input->size > 0 && !input->failed; i++)
        write_entry(db, input);
    code = sqlite3_exec(db, "COMMIT", NULL, NULL, NULL);
    assert(code == SQLITE_OK);
    sqlite3_close(db);
}

static void write_mark(const struct place *place, struct bytes_reader *input)
{
    FILE *file = fopen(place->mark, "wb");
    assert(file != NULL);
    const size_t written = fwrite(input->data, 1, input->size, file);
    assert(written == input->size);
    fclose(file);
}

/* ---- What must hold of what was opened ------------------------------------------------------- */

static int check_entry(void *arg, const struct log_entry *entry)
{
    struct log_state *before = arg;
    assert(log_entry_misplaced(before, entry) == NULL);
    assert(entry->term >= 1 && entry->term <= INT64_MAX && entry->log_time_ms >= 0);
    assert(entry->kind >= LOG_ENTRY_COMMAND && entry->kind <= LOG_ENTRY_MEMBERSHIP);
    log_state_add(before, entry);
    return 0;
}

/* It can be read, and a new leader can go on with it. */
static void check_log(struct log_store *store)
{
    const struct log_state state = log_store_state(store);
    struct log_state read = {.term = state.term,
                             .snapshot_index = state.snapshot_index,
                             .snapshot_term = state.snapshot_term,
                             .snapshot_log_time_ms = state.snapshot_log_time_ms};

    assert((log_store_snapshot(store) != NULL) == (state.snapshot_index > 0));
    log_state_clear(&read);
    int code = log_store_read(store, 1, INT64_MAX, check_entry, &read);
    assert(code == OK && read.last_index == state.last_index);
    assert(read.first_index == state.first_index && read.last_term == state.last_term);
    assert(read.last_index >= read.snapshot_index);
    if (state.term == INT64_MAX || state.last_index == INT64_MAX)
        return;
    code = log_store_begin(store);
    assert(code == OK);
    code = log_store_vote(store, state.term + 1, 1);
    assert(code == OK);
    const struct log_entry barrier = {
        .index = state.last_index + 1,
        .term = state.term + 1,
        .kind = LOG_ENTRY_BARRIER,
        .log_time_ms = state.last_log_time_ms,
    };
    code = log_store_append(store, &barrier, 1);
    assert(code == OK);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct place place;
    struct log_store *store = NULL;
    struct bytes_reader input;

    bytes_reader_init(&input, data, size);
    const uint8_t kinds = bytes_get_u8(&input);
    place_make(&place);
    int code = open_log(&place, &store);
    assert(code == OK);
    log_store_close(&store);
    if (kinds & 1)
        write_mark(&place, &input);
    else
        write_rows(&place, &input, kinds & 2);
    code = open_log(&place, &store);
    assert(code == OK || code == ERR_CORRUPT || code == ERR_VERSION);
    if (code == OK)
        check_log(store);
    log_store_close(&store);
    place_remove(&place);
    return 0;
}
