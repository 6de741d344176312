/* The catalog's tables and every statement on them: one SQLite connection whose statements are
 * prepared once and kept.
 *
 * The file is disposable (services/replica/replica.h): it is made from the log at each start, so it
 * is never synced. What SQLite then still fails at (a full or broken disk) leaves half an apply
 * behind, and so ends the process at once with status 5.
 *
 * Tables
 *   meta      one row: index and log time of the last entry applied
 *   item      every item that ever was; present = 0 after its removal (stock is 0 then)
 *   topic     topics of the items present, as they are spelt, with their number of items
 *   movement  each change of stock that is neither a sale nor its undoing
 *   record    each key that is remembered, with its content and its answer (records.h)
 *   session   the leased caches that are known (sessions.h)
 *   item_search   full-text index over title, authors and topic of the items present
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_CATALOG_SQL_H
#define PYGMY_CATALOG_SQL_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>

#include "broker/bus/log.h"
#include "services/replica/text.h"

#define SQL_ITEM_COLUMNS                                                                           \
    "id, present, price_cents, stock, initial, moved, sold, version, currency, title, authors, "   \
    "topic, year, isbn, threshold, amount, period_ms, due_ms"

/* X(name, text) */
#define SQL_TABLE(X)                                                                               \
    X(SQL_BEGIN, "BEGIN IMMEDIATE")                                                                \
    X(SQL_BEGIN_READ, "BEGIN")                                                                     \
    X(SQL_COMMIT, "COMMIT")                                                                        \
    X(SQL_SAVE, "SAVEPOINT import")                                                                \
    X(SQL_SAVE_KEEP, "RELEASE import")                                                             \
    X(SQL_SAVE_DROP, "ROLLBACK TO import")                                                         \
    X(SQL_META_GET, "SELECT applied, log_time_ms FROM meta")                                       \
    X(SQL_META_PUT, "UPDATE meta SET applied = ?1, log_time_ms = ?2")                              \
                                                                                                   \
    X(SQL_ITEM_GET, "SELECT " SQL_ITEM_COLUMNS " FROM item WHERE id = ?1")                         \
    X(SQL_ITEM_BY_TITLE, "SELECT id FROM item WHERE title_folded = ?1 AND present = 1"             \
                         " ORDER BY id LIMIT 1")                                                   \
    X(SQL_ITEM_PAGE, "SELECT " SQL_ITEM_COLUMNS " FROM item INDEXED BY item_present"               \
                     " WHERE present = 1 AND id > ?1 ORDER BY id")                                 \
    X(SQL_ITEM_BY_TOPIC, "SELECT " SQL_ITEM_COLUMNS " FROM item INDEXED BY item_topic"             \
                         " WHERE present = 1 AND topic_folded = ?2 AND id > ?1 ORDER BY id")       \
    X(SQL_TOPIC_IDS, "SELECT id FROM item INDEXED BY item_topic"                                   \
                     " WHERE present = 1 AND topic_folded = ?1 ORDER BY id")                       \
    X(SQL_ITEM_COUNT, "SELECT count(*) FROM item INDEXED BY item_present WHERE present = 1")       \
    X(SQL_ITEM_PUT,                                                                                \
      "INSERT INTO item (" SQL_ITEM_COLUMNS ", title_folded, topic_folded) VALUES"                 \
      " (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19,"    \
      " ?20) ON CONFLICT (id) DO UPDATE SET present = ?2, price_cents = ?3, stock = ?4,"           \
      " initial = ?5, moved = ?6, sold = ?7, version = ?8, currency = ?9, title = ?10,"            \
      " authors = ?11, topic = ?12, year = ?13, isbn = ?14, threshold = ?15, amount = ?16,"        \
      " period_ms = ?17, due_ms = ?18, title_folded = ?19, topic_folded = ?20")                    \
    X(SQL_STOCK_PUT, "UPDATE item SET stock = ?2, moved = ?3, sold = ?4, version = ?5"             \
                     " WHERE id = ?1")                                                             \
    X(SQL_DUE_PUT, "UPDATE item SET due_ms = ?2 WHERE id = ?1")                                    \
    X(SQL_DUE_PAGE, "SELECT id FROM (SELECT id FROM item INDEXED BY item_due"                      \
                    " WHERE threshold IS NOT NULL AND stock <= threshold AND due_ms <= ?1"         \
                    " ORDER BY due_ms, id LIMIT ?2) ORDER BY id")                                  \
    X(SQL_ITEM_CHANGES, "SELECT " SQL_ITEM_COLUMNS " FROM item INDEXED BY item_version"            \
                        " WHERE version > ?1 ORDER BY version, id")                                \
    X(SQL_AUDIT_PAGE, "SELECT id, present, initial, moved, sold, stock FROM item WHERE id > ?1"    \
                      " ORDER BY id LIMIT ?2")                                                     \
                                                                                                   \
    X(SQL_SEARCH_ADD, "INSERT INTO item_search (rowid, title, authors, topic)"                     \
                      " VALUES (?1, ?2, ?3, ?4)")                                                  \
    X(SQL_SEARCH_REMOVE, "INSERT INTO item_search (item_search, rowid, title, authors, topic)"     \
                         " VALUES ('delete', ?1, ?2, ?3, ?4)")                                     \
    X(SQL_SEARCH_PAGE,                                                                             \
      "SELECT " SQL_ITEM_COLUMNS " FROM (SELECT rowid AS found FROM item_search"                   \
      " WHERE item_search MATCH ?2 AND rowid > ?1 ORDER BY rowid) CROSS JOIN item"                 \
      " ON item.id = found WHERE ?3 IS NULL OR topic_folded = ?3 ORDER BY found")                  \
                                                                                                   \
    X(SQL_TOPIC_GET, "SELECT items FROM topic WHERE name = ?1")                                    \
    X(SQL_TOPIC_ADD, "INSERT INTO topic (name, folded, items) VALUES (?1, ?2, 1)"                  \
                     " ON CONFLICT (name) DO UPDATE SET items = items + 1")                        \
    X(SQL_TOPIC_LESS, "UPDATE topic SET items = items - 1 WHERE name = ?1")                        \
    X(SQL_TOPIC_DROP, "DELETE FROM topic WHERE name = ?1 AND items = 0")                           \
    X(SQL_TOPIC_COUNT, "SELECT count(*) FROM topic")                                               \
    X(SQL_TOPIC_LIST, "SELECT min(name), sum(items) FROM topic GROUP BY folded ORDER BY folded")   \
                                                                                                   \
    X(SQL_MOVEMENT_ADD, "INSERT INTO movement (item, log_index, change, reason, wall_ms)"          \
                        " VALUES (?1, ?2, ?3, ?4, ?5)")                                            \
    X(SQL_MOVEMENT_PAGE, "SELECT log_index, change, reason, wall_ms FROM movement"                 \
                         " WHERE item = ?1 AND log_index > ?2 ORDER BY log_index")                 \
                                                                                                   \
    X(SQL_RECORD_GET, "SELECT state, code, content, answer FROM record WHERE key = ?1")            \
    X(SQL_RECORD_ADD, "INSERT INTO record (key, state, stamp, touched_ms, open_ms, code, content," \
                      " answer) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)")                          \
    X(SQL_RECORD_TOUCH, "UPDATE record SET touched_ms = ?2 WHERE key = ?1")                        \
    X(SQL_RECORD_TURN, "UPDATE record SET state = ?2, touched_ms = ?3, open_ms = ?4"               \
                       " WHERE key = ?1")                                                          \
    X(SQL_RECORD_OPEN, "SELECT key, stamp, answer FROM record WHERE state = ?1 AND open_ms <= ?2"  \
                       " ORDER BY open_ms, rowid LIMIT ?3")                                        \
    X(SQL_RECORD_OLD, "SELECT rowid, touched_ms FROM record WHERE open_ms IS NULL"                 \
                      " ORDER BY touched_ms, rowid LIMIT ?1")                                      \
    X(SQL_RECORD_FORGET, "DELETE FROM record WHERE rowid = ?1")                                    \
    X(SQL_RECORD_COUNT, "SELECT count(*) FROM record")                                             \
    X(SQL_RECORD_OPEN_COUNT, "SELECT count(*) FROM record WHERE state = ?1 AND"                    \
                             " open_ms IS NOT NULL")                                               \
                                                                                                   \
    X(SQL_SESSION_ADD, "INSERT INTO session (id) VALUES (?1)")                                     \
    X(SQL_SESSION_GET, "SELECT id FROM session WHERE id = ?1")                                     \
    X(SQL_SESSION_REMOVE, "DELETE FROM session WHERE id = ?1")                                     \
    X(SQL_SESSION_LIST, "SELECT id FROM session ORDER BY id")                                      \
    X(SQL_SESSION_COUNT, "SELECT count(*) FROM session")

enum sql_name {
#define X(name, text) name,
    SQL_TABLE(X)
#undef X
        SQL_NAMES
};

struct digest;
struct sql;

/* Open the file at @path, with empty tables if it is absent. @log gets the last words on a failure,
 * or is NULL.
 *
 * Returns 0, or ERR_STORAGE, ERR_CORRUPT, ERR_VERSION with a sentence in @error that is the caller's. */
int sql_open(const char *path, struct log *log, struct sql **self_p, char **error);
/* A second connection to the same file, which can only read; the same codes. */
int sql_open_reader(const char *path, struct log *log, struct sql **self_p, char **error);
/* Accepts NULL. */
void sql_close(struct sql **self_p);

/* End the process: what is half applied must never be seen. @statement: what could not be done. */
_Noreturn void sql_die(struct sql *self, const char *statement);

sqlite3 *sql_database(struct sql *self);
/* Prepare and run the statements by the digest of what they change, from here on. */
void sql_set_digest(struct sql *self, struct digest *digest);

/* The statement, reset and with nothing bound: bind, then sql_row() until it is false, or
 * sql_run(). It is the caller's until the statement of the same name is asked for again. */
sqlite3_stmt *sql_get(struct sql *self, enum sql_name name);
/* True when there is a row. At the end the statement is reset. */
bool sql_row(struct sql *self, sqlite3_stmt *statement);
/* Run a statement that returns no rows. */
void sql_run(struct sql *self, sqlite3_stmt *statement);
/* The only number of the only row of a statement without parameters, or with them bound. */
int64_t sql_number(struct sql *self, sqlite3_stmt *statement);
/* End a statement before its last row. */
void sql_reset(sqlite3_stmt *statement);

/* Bind parameter @place, from 1. The text must live until the statement is reset. */
void sql_bind_text(sqlite3_stmt *statement, int place, struct text text);
void sql_bind_blob(sqlite3_stmt *statement, int place, const void *data, size_t size);
/* Column @place, from 0; valid until the next row. */
struct text sql_text(sqlite3_stmt *statement, int place);

#endif
