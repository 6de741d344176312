/* See log_store.h.
 *
 * Tables (format 2):
 *
 *   meta        name, value: format, cluster, group, replica; written once
 *   hard_state  one row: term, vote, checksum (log_entry.h)
 *   snapshot    none or one row: mark (snapshot_mark.h), checksum (log_entry.h)
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
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "broker/bus/err.h"
#include "broker/bus/limits.h"
#include "services/replica/log_store_internal.h"

int log_store_fail(struct log_store *self, int code, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(self->error, sizeof self->error, format, arguments);
    va_end(arguments);
    return code;
}

int log_store_fail_write(struct log_store *self, const char *what)
{
    self->failed = true;
    return log_store_fail(self, ERR_STORAGE, "%s: %s", what, sqlite3_errmsg(self->db));
}

int log_store_fail_read(struct log_store *self, int code)
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
    self->kept_index = self->durable.last_index;
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

/* Make the entry at @index the last one of the state. */
static int log_store_load_last(struct log_store *self, replica_index index)
{
    struct log_state *state = &self->state;

    if (index < state->first_index || state->first_index == 0) {
        assert(index == state->snapshot_index);
        log_state_clear(state);
        return 0;
    }
    state->last_index = index;
    return log_store_entry_head(self, index, &state->last_term, &state->last_log_time_ms);
}

/* Of the durable entries, the transaction leaves none above @index. Called before these go, so that
 * what is read here is durable: nothing up to the kept index has been touched. */
static int log_store_keep(struct log_store *self, replica_index index)
{
    replica_term term = 0;

    if (index >= self->kept_index)
        return 0;
    int result = log_store_term_of(self, index, &term);
    if (result != 0 && index > 0) {
        self->failed = true;
        return ERR_STORAGE;
    }
    self->kept_index = index;
    self->kept_term = index > 0 ? term : 0;
    return 0;
}

/* Take off all entries from @index on. */
static int log_store_cut(struct log_store *self, replica_index index)
{
    assert(index > self->state.snapshot_index);
    if (log_store_keep(self, index - 1) != 0)
        return ERR_STORAGE;
    log_store_bind(self, LOG_CUT, 1, index);
    if (log_store_run(self, LOG_CUT) != SQLITE_OK)
        return log_store_fail_write(self, "entries can't be cut off");
    int result = log_store_load_last(self, index - 1);
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

/* Note the snapshot in the transaction. */
static int log_store_write_snapshot(struct log_store *self, const struct snapshot_mark *mark)
{
    struct bytes_writer text = {0};

    snapshot_mark_encode(mark, &text);
    sqlite3_bind_blob(self->statements[LOG_SNAPSHOT], 1, text.data, (int)text.size, SQLITE_STATIC);
    log_store_bind(self, LOG_SNAPSHOT, 2, log_snapshot_checksum(text.data, text.size));
    int code = log_store_run(self, LOG_SNAPSHOT);
    sqlite3_bind_null(self->statements[LOG_SNAPSHOT], 1);
    bytes_writer_close(&text);
    if (code != SQLITE_OK)
        return log_store_fail_write(self, "a snapshot can't be noted");
    self->snapshot = *mark;
    self->state.snapshot_index = mark->index;
    self->state.snapshot_term = mark->term;
    self->state.snapshot_log_time_ms = mark->log_time_ms;
    return 0;
}

/* Drop the entries below @index from the front. */
static int log_store_drop(struct log_store *self, replica_index index)
{
    struct log_state *state = &self->state;

    if (state->first_index == 0 || index <= state->first_index)
        return 0;
    log_store_bind(self, LOG_DROP, 1, index);
    if (log_store_run(self, LOG_DROP) != SQLITE_OK)
        return log_store_fail_write(self, "entries can't be dropped");
    if (index <= state->last_index)
        state->first_index = index;
    else
        log_state_clear(state);
    return 0;
}

/* Whether the log's own entry at the mark's index is the one that the mark speaks of. */
static bool log_store_agrees(struct log_store *self, const struct snapshot_mark *mark)
{
    replica_term term = 0;
    int64_t log_time_ms = 0;

    return log_store_entry_head(self, mark->index, &term, &log_time_ms) == 0 &&
           term == mark->term && log_time_ms == mark->log_time_ms;
}

int log_store_put_snapshot(struct log_store *self, const struct snapshot_mark *mark,
                           replica_index keep_from)
{
    assert(self->writing);
    assert(mark->index > self->state.snapshot_index);
    assert(keep_from <= mark->index + 1);
    assert(log_store_agrees(self, mark));

    int result = log_store_write_snapshot(self, mark);
    return result == 0 ? log_store_drop(self, keep_from) : result;
}

int log_store_install(struct log_store *self, const struct snapshot_mark *mark)
{
    assert(self->writing);
    assert(mark->index > self->state.snapshot_index);
    assert(mark->term <= self->state.term);

    if (log_store_agrees(self, mark))
        return log_store_write_snapshot(self, mark);
    if (log_store_keep(self, mark->index) != 0)
        return ERR_STORAGE;
    if (log_store_run(self, LOG_CLEAR) != SQLITE_OK)
        return log_store_fail_write(self, "the log can't be replaced");
    int result = log_store_write_snapshot(self, mark);
    log_state_clear(&self->state);
    return result;
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

/* Before the log ends lower than it did, the mark must no longer speak of what goes (side_mark.h,
 * M2). What is kept is there now, and is there, or behind the snapshot, afterwards. */
static int log_store_lower_mark(struct log_store *self)
{
    struct side_mark_state mark = log_store_mark_of(&self->durable);

    if (self->kept_index >= self->durable.last_index)
        return 0;
    mark.last_index = self->kept_index;
    mark.last_term = self->kept_term;
    if (side_mark_write_synced(self->mark, &mark) != 0)
        return log_store_fail(self, ERR_STORAGE, "the side mark can't be written: %s",
                              strerror(errno));
    return 0;
}

int log_store_commit_rows(struct log_store *self)
{
    assert(self->writing);
    assert(!self->failed);
    if (log_store_lower_mark(self) != 0) {
        self->failed = true;
        return ERR_STORAGE;
    }
    if (log_store_run(self, LOG_COMMIT) != SQLITE_OK)
        return log_store_fail_write(self, "the log can't be synced");
    self->writing = false;
    self->durable = self->state;
    if (self->snapshot.index > self->durable_snapshot.index)
        self->durable_snapshot = self->snapshot;
    return 0;
}

int log_store_raise_mark(struct log_store *self)
{
    struct side_mark_state mark = log_store_mark_of(&self->durable);

    if (side_mark_write(self->mark, &mark) == 0)
        return 0;
    self->failed = true;
    return log_store_fail(self, ERR_STORAGE, "the side mark can't be written: %s", strerror(errno));
}

int log_store_commit(struct log_store *self)
{
    int result = log_store_commit_rows(self);
    return result == 0 ? log_store_raise_mark(self) : result;
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

const struct snapshot_mark *log_store_snapshot(const struct log_store *self)
{
    return self->durable_snapshot.index > 0 ? &self->durable_snapshot : NULL;
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

int log_store_entry_head(struct log_store *self, replica_index index, replica_term *term,
                         int64_t *log_time_ms)
{
    sqlite3_stmt *prepared = self->statements[LOG_TERM_OF];
    int result = 0;

    log_store_bind(self, LOG_TERM_OF, 1, index);
    int code = sqlite3_step(prepared);
    if (code == SQLITE_ROW) {
        *term = (replica_term)sqlite3_column_int64(prepared, 0);
        *log_time_ms = sqlite3_column_int64(prepared, 1);
    } else {
        result = code == SQLITE_DONE ? ERR_NOT_FOUND : log_store_fail_read(self, code);
    }
    sqlite3_reset(prepared);
    return result;
}

int log_store_term_of(struct log_store *self, replica_index index, replica_term *term)
{
    int64_t log_time_ms;

    if (index > 0 && index == self->state.snapshot_index) {
        *term = self->state.snapshot_term;
        return 0;
    }
    return log_store_entry_head(self, index, term, &log_time_ms);
}
