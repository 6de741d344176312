/* The log store's opening: a new log is made, as a whole or not at all; an old one is compared with
 * its owner, checked from end to end, and compared with its mark.
 *
 * The tables are drawn in log_store.c.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <czmq.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "broker/bus/alloc.h"
#include "broker/bus/bytes.h"
#include "broker/bus/err.h"
#include "services/replica/log_store_internal.h"

#define LOG_FORMAT  "2"
#define LOG_BUSY_MS 5000 /* patience with an operator's sqlite3 shell */

static const char *const log_statement_texts[LOG_STATEMENTS] = {
    [LOG_BEGIN] = "BEGIN IMMEDIATE",
    [LOG_COMMIT] = "COMMIT",
    [LOG_VOTE] = "UPDATE hard_state SET term = ?1, vote = ?2, checksum = ?3 WHERE id = 1",
    [LOG_CUT] = "DELETE FROM entries WHERE log_index >= ?1",
    [LOG_DROP] = "DELETE FROM entries WHERE log_index < ?1",
    [LOG_CLEAR] = "DELETE FROM entries",
    [LOG_SNAPSHOT] = "REPLACE INTO snapshot VALUES (1, ?1, ?2)",
    [LOG_INSERT] = "INSERT INTO entries VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    [LOG_SELECT] = "SELECT * FROM entries WHERE log_index BETWEEN ?1 AND ?2 ORDER BY log_index",
    [LOG_TERM_OF] = "SELECT term, log_time_ms FROM entries WHERE log_index = ?1",
};

static const char log_schema[] =
    "CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;"
    "CREATE TABLE hard_state (id INTEGER PRIMARY KEY CHECK (id = 1), term INTEGER NOT NULL,"
    " vote INTEGER NOT NULL, checksum INTEGER NOT NULL) STRICT;"
    "CREATE TABLE snapshot (id INTEGER PRIMARY KEY CHECK (id = 1), mark BLOB NOT NULL,"
    " checksum INTEGER NOT NULL) STRICT;"
    "CREATE TABLE entries (log_index INTEGER PRIMARY KEY, term INTEGER NOT NULL,"
    " kind INTEGER NOT NULL, log_time_ms INTEGER NOT NULL, wall_ms INTEGER NOT NULL,"
    " command BLOB NOT NULL, checksum INTEGER NOT NULL) STRICT;";

/* fullfsync only matters where a plain fsync does not reach the platter. */
static const char log_pragmas[] =
    "PRAGMA page_size = 4096; PRAGMA synchronous = FULL; PRAGMA fullfsync = ON;"
    "PRAGMA checkpoint_fullfsync = ON; PRAGMA cell_size_check = ON;";

/* Keep how many pages the write-ahead log holds: log_store_tidy decides. */
static int log_store_on_commit(void *arg, sqlite3 *db, const char *schema, int pages)
{
    struct log_store *self = arg;
    (void)db;
    (void)schema;
    self->wal_pages = pages;
    return SQLITE_OK;
}

static int log_store_prepare(struct log_store *self)
{
    for (size_t i = 0; i < LOG_STATEMENTS; i++) {
        int code = sqlite3_prepare_v3(self->db, log_statement_texts[i], -1,
                                      SQLITE_PREPARE_PERSISTENT, &self->statements[i], NULL);
        if (code != SQLITE_OK)
            return log_store_fail_read(self, code);
    }
    return 0;
}

/* The first entry of a founding member: who belongs to the group. */
static int log_store_found(struct log_store *self, const struct membership *founders)
{
    struct bytes_writer data = {0};

    membership_encode(founders, &data);
    struct log_entry entry = {
        .index = 1,
        .term = 1,
        .kind = LOG_ENTRY_MEMBERSHIP,
        .data = data.data,
        .size = data.size,
    };
    int result = log_store_vote(self, 1, 0);
    if (result == 0)
        result = log_store_append(self, &entry, 1);
    bytes_writer_close(&data);
    return result;
}

/* Make the names of the files durable before anything that is written to them. SQLite syncs the
 * directory of a write-ahead log that it has made, but goes on when that fails. */
static int log_store_sync_names(struct log_store *self, const struct log_store_options *options)
{
    char *error = NULL;

    int result = directory_sync_parent(options->path, &error);
    if (result != 0)
        log_store_fail(self, result, "%s", error);
    free(error);
    return result;
}

/* Make a new log, in one transaction: it is there as a whole or not at all. The mark speaks of it only
 * when the names of its files, of which the commit makes one, are durable: else a power failure
 * could leave a mark without its log. */
static int log_store_create(struct log_store *self, const struct log_store_options *options)
{
    const struct directory_identity *identity = &options->identity;
    char *text = sqlite3_mprintf("BEGIN IMMEDIATE; %s"
                                 "INSERT INTO meta VALUES ('format', '" LOG_FORMAT "'),"
                                 " ('cluster', %Q), ('group', %Q), ('replica', '%llu');"
                                 "INSERT INTO hard_state VALUES (1, 0, 0, %u);",
                                 log_schema, identity->uuid, identity->group,
                                 (unsigned long long)identity->replica_id,
                                 (unsigned)log_vote_checksum(0, 0));

    int code = sqlite3_exec(self->db, text, NULL, NULL, NULL);
    sqlite3_free(text);
    if (code != SQLITE_OK)
        return log_store_fail_write(self, "the log can't be made");
    self->writing = true;
    int result = log_store_prepare(self);
    if (result == 0 && options->origin == LOG_STORE_FOUND)
        result = log_store_found(self, options->founders);
    if (result == 0)
        result = log_store_commit_rows(self);
    if (result == 0)
        result = log_store_sync_names(self, options);
    return result == 0 ? log_store_raise_mark(self) : result;
}

/* The first column of the first row as text, the caller's to free(); NULL when there is none or it
 * can't be read (@code says). */
static char *log_store_text(struct log_store *self, const char *sql, int *code)
{
    sqlite3_stmt *prepared = NULL;
    char *text = NULL;

    *code = sqlite3_prepare_v2(self->db, sql, -1, &prepared, NULL);
    if (*code == SQLITE_OK)
        *code = sqlite3_step(prepared);
    if (*code == SQLITE_ROW) {
        const char *found = (const char *)sqlite3_column_text(prepared, 0);
        text = alloc_copy(found != NULL ? found : "", found != NULL ? strlen(found) : 0);
    }
    sqlite3_finalize(prepared);
    return text;
}

/* Compare one row of meta. */
static int log_store_compare(struct log_store *self, const char *name, const char *wanted,
                             int otherwise)
{
    char *sql = sqlite3_mprintf("SELECT value FROM meta WHERE name = %Q", name);
    int code;
    char *found = log_store_text(self, sql, &code);
    int result = 0;

    sqlite3_free(sql);
    if (found == NULL && code != SQLITE_DONE)
        result = log_store_fail_read(self, code);
    else if (found == NULL || strcmp(found, wanted) != 0) {
        result = log_store_fail(self, otherwise, "the log's %s is %s, not %s", name,
                                found != NULL ? found : "missing", wanted);
    }
    free(found);
    return result;
}

static int log_store_compare_identity(struct log_store *self,
                                      const struct directory_identity *identity)
{
    char replica[24];

    snprintf(replica, sizeof replica, "%" PRIu64, identity->replica_id);
    int result = log_store_compare(self, "format", LOG_FORMAT, ERR_VERSION);
    if (result == 0)
        result = log_store_compare(self, "cluster", identity->uuid, ERR_MISMATCH);
    if (result == 0)
        result = log_store_compare(self, "group", identity->group, ERR_MISMATCH);
    if (result == 0)
        result = log_store_compare(self, "replica", replica, ERR_MISMATCH);
    return result;
}

static int log_store_load_vote(struct log_store *self)
{
    sqlite3_stmt *prepared = NULL;
    int result = log_store_fail(self, ERR_CORRUPT, "term and vote are damaged");
    int code = sqlite3_prepare_v2(self->db, "SELECT term, vote, checksum FROM hard_state", -1,
                                  &prepared, NULL);

    if (code == SQLITE_OK)
        code = sqlite3_step(prepared);
    if (code == SQLITE_ROW) {
        replica_term term = (replica_term)sqlite3_column_int64(prepared, 0);
        uint64_t vote = (uint64_t)sqlite3_column_int64(prepared, 1);
        if (term <= INT64_MAX && vote <= INT64_MAX &&
            sqlite3_column_int64(prepared, 2) == (sqlite3_int64)log_vote_checksum(term, vote)) {
            self->state.term = term;
            self->state.vote = vote;
            result = 0;
        }
    } else if (code != SQLITE_DONE) {
        result = log_store_fail_read(self, code);
    }
    sqlite3_finalize(prepared);
    return result;
}

/* Read a row that holds a snapshot's mark. */
static int log_store_decode_snapshot(struct log_store *self, sqlite3_stmt *row)
{
    const uint8_t *data = sqlite3_column_blob(row, 0);
    size_t size = (size_t)sqlite3_column_bytes(row, 0);
    struct bytes_reader reader;

    bytes_reader_init(&reader, data, size);
    snapshot_mark_decode(&self->snapshot, &reader);
    if (sqlite3_column_int64(row, 1) != (sqlite3_int64)log_snapshot_checksum(data, size) ||
        !bytes_reader_done(&reader) || self->snapshot.term > self->state.term)
        return log_store_fail(self, ERR_CORRUPT, "what it says of its snapshot is damaged");
    self->state.snapshot_index = self->snapshot.index;
    self->state.snapshot_term = self->snapshot.term;
    self->state.snapshot_log_time_ms = self->snapshot.log_time_ms;
    return 0;
}

static int log_store_load_snapshot(struct log_store *self)
{
    sqlite3_stmt *prepared = NULL;
    int result = 0;
    int code =
        sqlite3_prepare_v2(self->db, "SELECT mark, checksum FROM snapshot", -1, &prepared, NULL);

    if (code == SQLITE_OK)
        code = sqlite3_step(prepared);
    if (code == SQLITE_ROW)
        result = log_store_decode_snapshot(self, prepared);
    else if (code != SQLITE_DONE)
        result = log_store_fail_read(self, code);
    sqlite3_finalize(prepared);
    self->durable_snapshot = self->snapshot;
    log_state_clear(&self->state);
    return result;
}

/* Whether the entry holds a membership and is one where the snapshot says so. */
static bool log_store_membership_fits(const struct log_store *self, const struct log_entry *entry)
{
    struct membership membership;
    struct bytes_reader reader;

    if (entry->kind != LOG_ENTRY_MEMBERSHIP)
        return entry->index != self->snapshot.membership_index;
    bytes_reader_init(&reader, entry->data, entry->size);
    membership_decode(&membership, &reader);
    return bytes_reader_done(&reader) &&
           (entry->index > self->snapshot.index || entry->index <= self->snapshot.membership_index);
}

static int log_store_check_entry(void *arg, const struct log_entry *entry)
{
    struct log_store *self = arg;
    const char *wrong = log_entry_misplaced(&self->state, entry);

    if (wrong == NULL && (entry->kind < LOG_ENTRY_COMMAND || entry->kind > LOG_ENTRY_MEMBERSHIP))
        return log_store_fail(self, ERR_VERSION,
                              "entry %" PRIu64 " was written by a newer version of this program",
                              entry->index);
    if (wrong == NULL && !log_store_membership_fits(self, entry))
        wrong = "it does not hold the membership that it should";
    if (wrong != NULL)
        return log_store_fail(self, ERR_CORRUPT, "entry %" PRIu64 " is damaged: %s", entry->index,
                              wrong);
    log_state_add(&self->state, entry);
    return 0;
}

/* Read it all once. SQLite's own check comes first: it finds pages that are used twice, which our
 * reading of the rows would not. */
static int log_store_check(struct log_store *self)
{
    int code;
    char *verdict = log_store_text(self, "PRAGMA quick_check(1)", &code);
    int result = 0;

    if (verdict == NULL)
        result = log_store_fail_read(self, code);
    else if (strcmp(verdict, "ok") != 0)
        result = log_store_fail(self, ERR_CORRUPT, "the log's file is damaged: %s", verdict);
    free(verdict);
    if (result == 0)
        result = log_store_read(self, 0, INT64_MAX, log_store_check_entry, self);
    if (result == 0 && self->state.last_index < self->state.snapshot_index)
        result = log_store_fail(self, ERR_CORRUPT,
                                "entry %" PRIu64 " is damaged: the snapshot is above it, and no "
                                "entry follows",
                                self->state.last_index);
    return result;
}

/* Where nothing is checked, the ends of the log are enough. */
static int log_store_load_ends(struct log_store *self)
{
    struct log_state *state = &self->state;
    sqlite3_stmt *prepared = NULL;
    int result = 0;
    int code = sqlite3_prepare_v2(self->db,
                                  "SELECT ifnull(min(log_index), 0), ifnull(max(log_index), 0)"
                                  " FROM entries",
                                  -1, &prepared, NULL);

    if (code == SQLITE_OK)
        code = sqlite3_step(prepared);
    if (code != SQLITE_ROW) {
        result = log_store_fail_read(self, code);
    } else if (sqlite3_column_int64(prepared, 0) > 0) {
        state->first_index = (replica_index)sqlite3_column_int64(prepared, 0);
        state->last_index = (replica_index)sqlite3_column_int64(prepared, 1);
    }
    sqlite3_finalize(prepared);
    if (result != 0 || state->first_index == 0)
        return result;
    return log_store_entry_head(self, state->last_index, &state->last_term,
                                &state->last_log_time_ms);
}

/* Compare the log with its mark (side_mark.h, M2). */
static int log_store_check_mark(struct log_store *self)
{
    const struct side_mark_state *mark = side_mark_read(self->mark);
    replica_term term = 0;
    int64_t log_time_ms;

    int result = log_store_entry_head(self, mark->last_index, &term, &log_time_ms);
    if (result != 0 && result != ERR_NOT_FOUND)
        return result;
    const char *lost = log_state_lost(&self->state, mark, term);
    if (lost == NULL)
        return 0;
    return log_store_fail(self, ERR_CORRUPT,
                          "the log is behind its mark: %s (log: last entry %" PRIu64
                          ", term %" PRIu64 "; mark: last entry %" PRIu64 ", term %" PRIu64 ")",
                          lost, self->state.last_index, self->state.term, mark->last_index,
                          mark->term);
}

/* Whether the file has no tables yet. Returns 0, or why it can't be read. */
static int log_store_is_empty(struct log_store *self, bool *empty)
{
    int code;
    char *count = log_store_text(self, "SELECT count(*) FROM sqlite_schema", &code);

    if (count == NULL)
        return log_store_fail_read(self, code);
    *empty = strcmp(count, "0") == 0;
    free(count);
    return 0;
}

static int log_store_connect(struct log_store *self, const struct log_store_options *options)
{
    int code = sqlite3_open_v2(options->path, &self->db,
                               SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_EXRESCODE,
                               options->vfs);

    if (code == SQLITE_OK)
        code = sqlite3_exec(self->db, log_pragmas, NULL, NULL, NULL);
    if (code != SQLITE_OK)
        return log_store_fail_read(self, code);
    sqlite3_busy_timeout(self->db, LOG_BUSY_MS);
    sqlite3_wal_hook(self->db, log_store_on_commit, self);

    /* Without it a commit would not be durable when it returns: a rollback journal is deleted, but
     * its directory is not synced. */
    char *mode = log_store_text(self, "PRAGMA journal_mode = WAL", &code);
    int result = 0;
    if (mode == NULL)
        result = log_store_fail_read(self, code);
    else if (strcmp(mode, "wal") != 0)
        result = log_store_fail(self, ERR_STORAGE, "write-ahead logging is not possible there");
    free(mode);
    return result;
}

static int log_store_fail_missing(struct log_store *self)
{
    return log_store_fail(self, ERR_NOT_FOUND,
                          "there is no log: this replica has to be founded, or to join, first");
}

/* Make the mark of a new log. */
static int log_store_make_mark(struct log_store *self, const struct log_store_options *options,
                               char **error)
{
    /* The mark is durable before there is a log, and nothing of ours removes it. */
    if (access(options->path, F_OK) == 0)
        return log_store_fail(self, ERR_CORRUPT, "the log's mark is missing: %s",
                              options->mark_path);
    if (options->origin == LOG_STORE_EXISTING)
        return log_store_fail_missing(self);
    int result = side_mark_create(options->mark_path, error);
    if (result == 0)
        result = side_mark_open(options->mark_path, &self->mark, error);
    return result == 0 ? 0 : log_store_fail(self, result, "%s", *error);
}

static int log_store_open_mark(struct log_store *self, const struct log_store_options *options)
{
    char *error = NULL;

    int result = side_mark_open(options->mark_path, &self->mark, &error);
    if (result != 0)
        log_store_fail(self, result, "%s", error);
    free(error);
    error = NULL;
    if (result == ERR_NOT_FOUND)
        result = log_store_make_mark(self, options, &error);
    free(error);
    return result;
}

/* Make the log where there is none, as far as that is wanted. */
static int log_store_make(struct log_store *self, const struct log_store_options *options)
{
    if (side_mark_read(self->mark)->term > 0)
        return log_store_fail(self, ERR_CORRUPT, "the log is gone, its mark is still there");
    if (options->origin == LOG_STORE_EXISTING)
        return log_store_fail_missing(self);
    return log_store_create(self, options);
}

static int log_store_open_tables(struct log_store *self, const struct log_store_options *options)
{
    bool empty = false;

    int result = log_store_is_empty(self, &empty);
    if (result == 0 && empty)
        return log_store_make(self, options);
    if (result == 0)
        result = log_store_compare_identity(self, &options->identity);
    if (result == 0)
        result = log_store_prepare(self);
    if (result == 0)
        result = log_store_load_vote(self);
    if (result == 0)
        result = log_store_load_snapshot(self);
    if (result == 0)
        result = options->check ? log_store_check(self) : log_store_load_ends(self);
    return result == 0 ? log_store_check_mark(self) : result;
}

int log_store_open(const struct log_store_options *options, struct log_store **self_p, char **error)
{
    struct log_store *self = alloc_zero(sizeof *self);

    int result = log_store_open_mark(self, options);
    if (result == 0)
        result = log_store_connect(self, options);
    if (result == 0)
        result = log_store_open_tables(self, options);
    if (result == 0)
        result = log_store_sync_names(self, options);
    self->durable = self->state;
    if (result == 0) {
        *self_p = self;
        return 0;
    }
    *error = zsys_sprintf("%s: %s", options->path, self->error);
    log_store_close(&self);
    return result == ERR_CORRUPT ? directory_refuse(result, error) : result;
}

void log_store_close(struct log_store **self_p)
{
    struct log_store *self = *self_p;

    if (self == NULL)
        return;
    for (size_t i = 0; i < LOG_STATEMENTS; i++)
        sqlite3_finalize(self->statements[i]);
    sqlite3_close(self->db);
    side_mark_close(&self->mark);
    free(self);
    *self_p = NULL;
}
