/* See log_store.h.
 *
 * Tables (format 1):
 *
 *   meta        name, value: format, cluster, group, replica; written once
 *   hard_state  one row: term, vote, checksum (log_entry.h)
 *   entries     log_index, term, kind, log_time_ms, wall_ms, command, checksum (log_entry.h)
 *
 * Another format is refused before anything else is read. The states of a store: open, in a
 * transaction (begin .. commit), failed (any write that did not succeed; only close is left).
 *
 * What survives: an entry of a transaction whose COMMIT returned is on the disk, for SQLite synced
 * the write-ahead log before it returned, and nothing we open the log with turns that off. What
 * was written by a process that died before its sync may show up as well at the next opening;
 * since that begins with a transaction of its own (a new term), whose sync is of the same file,
 * everything that was read is durable before anything is done with it.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "services/replica/log_store.h"

#include <assert.h>
#include <czmq.h>
#include <errno.h>
#include <inttypes.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

#include "broker/bus/alloc.h"
#include "broker/bus/err.h"
#include "broker/bus/limits.h"
#include "services/replica/side_mark.h"

#define LOG_FORMAT         "1"
#define LOG_TEXT_BYTES_MAX 512  /* of an error message that is kept */
#define LOG_BUSY_MS        5000 /* patience with an operator's sqlite3 shell */

enum log_statement {
    LOG_BEGIN,
    LOG_COMMIT,
    LOG_VOTE,
    LOG_CUT,
    LOG_INSERT,
    LOG_SELECT,
    LOG_TERM_OF,
    LOG_STATEMENTS,
};

static const char *const log_statement_texts[LOG_STATEMENTS] = {
    [LOG_BEGIN] = "BEGIN IMMEDIATE",
    [LOG_COMMIT] = "COMMIT",
    [LOG_VOTE] = "UPDATE hard_state SET term = ?1, vote = ?2, checksum = ?3 WHERE id = 1",
    [LOG_CUT] = "DELETE FROM entries WHERE log_index >= ?1",
    [LOG_INSERT] = "INSERT INTO entries VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    [LOG_SELECT] = "SELECT * FROM entries WHERE log_index BETWEEN ?1 AND ?2 ORDER BY log_index",
    [LOG_TERM_OF] = "SELECT term, log_time_ms FROM entries WHERE log_index = ?1",
};

static const char log_schema[] =
    "CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;"
    "CREATE TABLE hard_state (id INTEGER PRIMARY KEY CHECK (id = 1), term INTEGER NOT NULL,"
    " vote INTEGER NOT NULL, checksum INTEGER NOT NULL) STRICT;"
    "CREATE TABLE entries (log_index INTEGER PRIMARY KEY, term INTEGER NOT NULL,"
    " kind INTEGER NOT NULL, log_time_ms INTEGER NOT NULL, wall_ms INTEGER NOT NULL,"
    " command BLOB NOT NULL, checksum INTEGER NOT NULL) STRICT;";

/* fullfsync only matters where a plain fsync does not reach the platter. */
static const char log_pragmas[] =
    "PRAGMA page_size = 4096; PRAGMA synchronous = FULL; PRAGMA fullfsync = ON;"
    "PRAGMA checkpoint_fullfsync = ON; PRAGMA cell_size_check = ON;";

struct log_store {
    sqlite3 *db;
    sqlite3_stmt *statements[LOG_STATEMENTS];
    struct side_mark *mark;
    struct log_state durable; /* as of the last commit */
    struct log_state state;   /* with the transaction under way */
    bool writing;             /* between begin and commit */
    bool cut;                 /* the transaction took entries off the end */
    bool failed;              /* a write failed: closed is all it can be */
    replica_index kept_index; /* when cut: the last of the durable entries that stay */
    int wal_pages;            /* in the write-ahead log after the last commit */
    char error[LOG_TEXT_BYTES_MAX];
};

/* Keep why a call fails, and return @code. */
__attribute__((format(printf, 3, 4))) static int log_store_fail(struct log_store *self, int code,
                                                                const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(self->error, sizeof self->error, format, arguments);
    va_end(arguments);
    return code;
}

/* The same for a write of SQLite's, after which the store can't be gone on with. */
static int log_store_fail_write(struct log_store *self, const char *what)
{
    self->failed = true;
    return log_store_fail(self, ERR_STORAGE, "%s: %s", what, sqlite3_errmsg(self->db));
}

/* And for a read of SQLite's: ERR_CORRUPT for what it finds wrong with the file itself, also when
 * the tables are not those that our statements speak of, else ERR_STORAGE. */
static int log_store_fail_read(struct log_store *self, int code)
{
    const char *why = self->db != NULL ? sqlite3_errmsg(self->db) : sqlite3_errstr(code);

    switch (code & 0xff) {
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
    case SQLITE_FORMAT:
    case SQLITE_MISMATCH:
    case SQLITE_ERROR:
        return log_store_fail(self, ERR_CORRUPT, "the log's file is damaged: %s", why);
    default: return log_store_fail(self, ERR_STORAGE, "the log can't be read: %s", why);
    }
}

/* Run a statement that returns no row, its parameters bound. Returns SQLite's code. */
static int log_store_run(struct log_store *self, enum log_statement statement)
{
    sqlite3_stmt *prepared = self->statements[statement];

    int code = sqlite3_step(prepared);
    sqlite3_reset(prepared);
    return code == SQLITE_DONE ? SQLITE_OK : code;
}

static void log_store_bind(struct log_store *self, enum log_statement statement, int place,
                           uint64_t value)
{
    assert(value <= INT64_MAX);
    int code = sqlite3_bind_int64(self->statements[statement], place, (sqlite3_int64)value);
    assert(code == SQLITE_OK);
    (void)code;
}

/* ---- Writing ------------------------------------------------------------------------------- */

int log_store_begin(struct log_store *self)
{
    assert(!self->writing);
    assert(!self->failed);
    if (log_store_run(self, LOG_BEGIN) != SQLITE_OK)
        return log_store_fail_write(self, "the log can't be written");
    self->writing = true;
    return 0;
}

int log_store_vote(struct log_store *self, replica_term term, uint64_t vote)
{
    assert(self->writing);
    assert(term >= self->state.term);
    assert(term > self->state.term || self->state.vote == 0 || self->state.vote == vote);

    log_store_bind(self, LOG_VOTE, 1, term);
    log_store_bind(self, LOG_VOTE, 2, vote);
    log_store_bind(self, LOG_VOTE, 3, log_vote_checksum(term, vote));
    if (log_store_run(self, LOG_VOTE) != SQLITE_OK)
        return log_store_fail_write(self, "term and vote can't be written");
    self->state.term = term;
    self->state.vote = vote;
    return 0;
}

/* Read what the entry at @index says of itself into @state as its last one. */
static int log_store_load_last(struct log_store *self, replica_index index, struct log_state *state)
{
    sqlite3_stmt *prepared = self->statements[LOG_TERM_OF];
    int result = 0;

    state->last_index = index;
    state->last_term = 0;
    state->last_log_time_ms = 0;
    if (index == 0) {
        state->first_index = 0;
        return 0;
    }
    log_store_bind(self, LOG_TERM_OF, 1, index);
    int code = sqlite3_step(prepared);
    if (code == SQLITE_ROW) {
        state->last_term = (replica_term)sqlite3_column_int64(prepared, 0);
        state->last_log_time_ms = sqlite3_column_int64(prepared, 1);
    } else {
        result = code == SQLITE_DONE ? ERR_NOT_FOUND : log_store_fail_read(self, code);
    }
    sqlite3_reset(prepared);
    return result;
}

/* Take off all entries from @index on. */
static int log_store_cut(struct log_store *self, replica_index index)
{
    log_store_bind(self, LOG_CUT, 1, index);
    if (log_store_run(self, LOG_CUT) != SQLITE_OK)
        return log_store_fail_write(self, "entries can't be cut off");
    if (!self->cut || index - 1 < self->kept_index)
        self->kept_index = index - 1;
    self->cut = true;
    int result = log_store_load_last(self, index - 1, &self->state);
    if (result != 0)
        self->failed = true;
    return result == 0 ? 0 : ERR_STORAGE;
}

static int log_store_insert(struct log_store *self, const struct log_entry *entry)
{
    assert(log_entry_misplaced(&self->state, entry) == NULL);
    assert(entry->size <= ENTRY_BYTES_MAX);
    assert(entry->log_time_ms >= 0);

    log_store_bind(self, LOG_INSERT, 1, entry->index);
    log_store_bind(self, LOG_INSERT, 2, entry->term);
    log_store_bind(self, LOG_INSERT, 3, (uint64_t)entry->kind);
    log_store_bind(self, LOG_INSERT, 4, (uint64_t)entry->log_time_ms);
    sqlite3_bind_int64(self->statements[LOG_INSERT], 5, entry->wall_ms);
    /* SQLite takes a NULL pointer for the value NULL, not for an empty blob. */
    sqlite3_bind_blob(self->statements[LOG_INSERT], 6, entry->size > 0 ? entry->data : (void *)"",
                      (int)entry->size, SQLITE_STATIC);
    log_store_bind(self, LOG_INSERT, 7, log_entry_checksum(entry));
    int code = log_store_run(self, LOG_INSERT);
    sqlite3_bind_null(self->statements[LOG_INSERT], 6); /* the bytes were borrowed */
    if (code != SQLITE_OK)
        return log_store_fail_write(self, "an entry can't be written");
    log_state_add(&self->state, entry);
    return 0;
}

int log_store_append(struct log_store *self, const struct log_entry *entries, size_t count)
{
    assert(self->writing);
    assert(count > 0);
    assert(entries[0].index >= 1);
    assert(entries[0].index <= self->state.last_index + 1);

    if (entries[0].index <= self->state.last_index) {
        int result = log_store_cut(self, entries[0].index);
        if (result != 0)
            return result;
    }
    for (size_t i = 0; i < count; i++) {
        int result = log_store_insert(self, &entries[i]);
        if (result != 0)
            return result;
    }
    return 0;
}

static struct side_mark_state log_store_mark_of(const struct log_state *state)
{
    return (struct side_mark_state){
        .last_index = state->last_index,
        .last_term = state->last_term,
        .term = state->term,
        .vote = state->vote,
    };
}

/* Before durable entries disappear, the mark must no longer speak of them (side_mark.h, M2). */
static int log_store_lower_mark(struct log_store *self)
{
    struct log_state lowered = self->durable;
    struct side_mark_state mark;

    if (!self->cut || self->kept_index >= self->durable.last_index)
        return 0;
    /* What stays is below the cut, so the transaction's own view of it is the durable one. */
    int result = log_store_load_last(self, self->kept_index, &lowered);
    if (result != 0)
        return result;
    mark = log_store_mark_of(&lowered);
    if (side_mark_write_synced(self->mark, &mark) != 0)
        return log_store_fail(self, ERR_STORAGE, "the side mark can't be written: %s",
                              strerror(errno));
    return 0;
}

int log_store_commit(struct log_store *self)
{
    struct side_mark_state mark = log_store_mark_of(&self->state);

    assert(self->writing);
    assert(!self->failed);
    if (log_store_lower_mark(self) != 0) {
        self->failed = true;
        return ERR_STORAGE;
    }
    if (log_store_run(self, LOG_COMMIT) != SQLITE_OK)
        return log_store_fail_write(self, "the log can't be synced");
    self->writing = false;
    self->cut = false;
    self->durable = self->state;
    if (side_mark_write(self->mark, &mark) != 0) {
        self->failed = true;
        return log_store_fail(self, ERR_STORAGE, "the side mark can't be written: %s",
                              strerror(errno));
    }
    return 0;
}

int log_store_tidy(struct log_store *self)
{
    assert(!self->writing);
    assert(!self->failed);
    if (self->wal_pages < LOG_WAL_PAGES_MAX)
        return 0;
    /* Not SQLite's own automatic one: that keeps a failed sync to itself. Passive: whoever reads
     * the log does not wait, and what he holds up is moved the next time. */
    int code = sqlite3_wal_checkpoint_v2(self->db, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
    if (code != SQLITE_OK && code != SQLITE_BUSY)
        return log_store_fail_write(self, "the log's pages can't be moved");
    self->wal_pages = 0;
    return 0;
}

/* ---- Reading ------------------------------------------------------------------------------- */

struct log_state log_store_state(const struct log_store *self)
{
    return self->durable;
}

const char *log_store_error(const struct log_store *self)
{
    return self->error;
}

/* Read the row that the statement stands on. Its data lives until the next step. */
static int log_store_row(struct log_store *self, sqlite3_stmt *row, struct log_entry *entry)
{
    entry->index = (replica_index)sqlite3_column_int64(row, 0);
    entry->term = (replica_term)sqlite3_column_int64(row, 1);
    entry->kind = (enum log_entry_kind)sqlite3_column_int(row, 2);
    entry->log_time_ms = sqlite3_column_int64(row, 3);
    entry->wall_ms = sqlite3_column_int64(row, 4);
    entry->data = sqlite3_column_blob(row, 5);
    entry->size = (size_t)sqlite3_column_bytes(row, 5);
    if (sqlite3_column_int64(row, 6) == (sqlite3_int64)log_entry_checksum(entry))
        return 0;
    return log_store_fail(self, ERR_CORRUPT, "entry %" PRIu64 " is damaged: its checksum is wrong",
                          entry->index);
}

int log_store_read(struct log_store *self, replica_index from, replica_index to, log_entry_fn *each,
                   void *arg)
{
    sqlite3_stmt *prepared = self->statements[LOG_SELECT];
    struct log_entry entry;
    int result = 0;
    int code;

    log_store_bind(self, LOG_SELECT, 1, from);
    log_store_bind(self, LOG_SELECT, 2, to);
    while ((code = sqlite3_step(prepared)) == SQLITE_ROW && result == 0) {
        result = log_store_row(self, prepared, &entry);
        if (result == 0)
            result = each(arg, &entry);
    }
    if (result == 0 && code != SQLITE_DONE)
        result = log_store_fail_read(self, code);
    sqlite3_reset(prepared);
    return result;
}

int log_store_term_of(struct log_store *self, replica_index index, replica_term *term)
{
    struct log_state found = {0};

    int result = index == 0 ? ERR_NOT_FOUND : log_store_load_last(self, index, &found);
    if (result == 0)
        *term = found.last_term;
    return result;
}

/* ---- Opening ------------------------------------------------------------------------------- */

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

/* Make the tables of a new log, in one transaction: they are there as a whole or not at all. */
static int log_store_create(struct log_store *self, const struct directory_identity *identity)
{
    char *text = sqlite3_mprintf("BEGIN IMMEDIATE; %s"
                                 "INSERT INTO meta VALUES ('format', '" LOG_FORMAT "'),"
                                 " ('cluster', %Q), ('group', %Q), ('replica', '%llu');"
                                 "INSERT INTO hard_state VALUES (1, 0, 0, %u); COMMIT;",
                                 log_schema, identity->uuid, identity->group,
                                 (unsigned long long)identity->replica_id,
                                 (unsigned)log_vote_checksum(0, 0));

    int code = sqlite3_exec(self->db, text, NULL, NULL, NULL);
    sqlite3_free(text);
    return code == SQLITE_OK ? 0 : log_store_fail_write(self, "the log can't be made");
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

static int log_store_check_entry(void *arg, const struct log_entry *entry)
{
    struct log_store *self = arg;
    const char *wrong = log_entry_misplaced(&self->state, entry);

    if (wrong != NULL)
        return log_store_fail(self, ERR_CORRUPT, "entry %" PRIu64 " is damaged: %s", entry->index,
                              wrong);
    if (entry->kind != LOG_ENTRY_COMMAND && entry->kind != LOG_ENTRY_BARRIER)
        return log_store_fail(self, ERR_VERSION,
                              "entry %" PRIu64 " was written by a newer version of this program",
                              entry->index);
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
    return result == 0 ? log_store_read(self, 1, INT64_MAX, log_store_check_entry, self) : result;
}

/* Where nothing is checked, the ends of the log are enough. */
static int log_store_load_ends(struct log_store *self)
{
    int code;
    char *last = log_store_text(self, "SELECT ifnull(max(log_index), 0) FROM entries", &code);

    if (last == NULL)
        return log_store_fail_read(self, code);
    replica_index last_index = strtoull(last, NULL, 10);
    free(last);
    self->state.first_index = 1;
    return log_store_load_last(self, last_index, &self->state);
}

/* Compare the log with its mark (side_mark.h, M2). */
static int log_store_check_mark(struct log_store *self)
{
    const struct side_mark_state *mark = side_mark_read(self->mark);
    replica_term term = 0;

    if (mark->last_index > 0) {
        int result = log_store_term_of(self, mark->last_index, &term);
        if (result != 0 && result != ERR_NOT_FOUND)
            return result;
    }
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

/* Make the mark of a new log. */
static int log_store_create_mark(struct log_store *self, const struct log_store_options *options,
                                 char **error)
{
    /* The mark is durable before there is a log, and nothing of ours removes it. */
    if (access(options->path, F_OK) == 0)
        return log_store_fail(self, ERR_CORRUPT, "the log's mark is missing: %s",
                              options->mark_path);
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
        result = log_store_create_mark(self, options, &error);
    free(error);
    return result;
}

static int log_store_open_tables(struct log_store *self, const struct log_store_options *options)
{
    const struct side_mark_state *mark = side_mark_read(self->mark);
    bool empty = false;

    int result = log_store_is_empty(self, &empty);
    if (result == 0 && empty && mark->term > 0)
        result = log_store_fail(self, ERR_CORRUPT, "the log is gone, its mark is still there");
    else if (result == 0 && empty)
        result = log_store_create(self, &options->identity);
    if (result == 0)
        result = log_store_compare_identity(self, &options->identity);
    if (result == 0)
        result = log_store_prepare(self);
    if (result == 0)
        result = log_store_load_vote(self);
    if (result == 0)
        result = options->check ? log_store_check(self) : log_store_load_ends(self);
    return result == 0 ? log_store_check_mark(self) : result;
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
