/* What log_store.c (writing and reading) and log_store_open.c (making and checking) share.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_REPLICA_LOG_STORE_INTERNAL_H
#define PYGMY_REPLICA_LOG_STORE_INTERNAL_H

#include <sqlite3.h>
#include <stdbool.h>

#include "services/replica/log_store.h"
#include "services/replica/side_mark.h"

#define LOG_TEXT_BYTES_MAX 512 /* of an error message that is kept */

enum log_statement {
    LOG_BEGIN,
    LOG_COMMIT,
    LOG_VOTE,
    LOG_CUT,
    LOG_DROP,
    LOG_CLEAR,
    LOG_SNAPSHOT,
    LOG_INSERT,
    LOG_SELECT,
    LOG_TERM_OF,
    LOG_STATEMENTS,
};

struct log_store {
    sqlite3 *db;
    sqlite3_stmt *statements[LOG_STATEMENTS];
    struct side_mark *mark;
    struct log_state durable;              /* as of the last commit */
    struct log_state state;                /* with the transaction under way */
    struct snapshot_mark durable_snapshot; /* its index is 0: none */
    struct snapshot_mark snapshot;
    bool writing;             /* between begin and commit */
    bool failed;              /* a write failed: closed is all it can be */
    replica_index kept_index; /* in a transaction: the last of the durable entries that it leaves */
    replica_term kept_term;   /* of that one, when it is not the last of all */
    int wal_pages;            /* in the write-ahead log after the last commit */
    char error[LOG_TEXT_BYTES_MAX];
};

/* Keep why a call fails, and return @code. */
__attribute__((format(printf, 3, 4))) int log_store_fail(struct log_store *self, int code,
                                                         const char *format, ...);
/* The same for a write of SQLite's, after which the store can't be gone on with. */
int log_store_fail_write(struct log_store *self, const char *what);
/* And for a read of SQLite's: ERR_CORRUPT for what it finds wrong with the file itself, also when
 * the tables are not those that our statements speak of, else ERR_STORAGE. */
int log_store_fail_read(struct log_store *self, int code);

/* Read what the entry at @index says of itself. The snapshot is not asked. Returns 0, ERR_NOT_FOUND,
 * or as log_store_fail_read() does. */
int log_store_entry_head(struct log_store *self, replica_index index, replica_term *term,
                         int64_t *log_time_ms);

/* The two halves of a commit: make the transaction durable, and have the mark speak of what is. Each
 * returns 0 or ERR_STORAGE. */
int log_store_commit_rows(struct log_store *self);
int log_store_raise_mark(struct log_store *self);

#endif
