/* See toy_machine.h.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE /* gettid() */
#include "tests/lib/toy_machine.h"

#include <czmq.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "broker/bus/alloc.h"

struct toy_machine {
    sqlite3 *db;
    int64_t apply_ms; /* how long each takes */
    size_t applies;
    size_t transaction_size;
    size_t largest_transaction;
    size_t releases;
    size_t leads;
    replica_term lead_term;
    pid_t counting; /* of the file that is opened next */
    pid_t counted;
};

static void toy_check(struct toy_machine *self, int code)
{
    if (code == SQLITE_OK || code == SQLITE_DONE || code == SQLITE_ROW)
        return;
    fprintf(stderr, "toy machine: %s\n", sqlite3_errmsg(self->db));
    abort();
}

static void toy_run(struct toy_machine *self, const char *sql)
{
    toy_check(self, sqlite3_exec(self->db, sql, NULL, NULL, NULL));
}

/* The number that a query gives, with its only parameter. */
static int64_t toy_ask(struct toy_machine *self, const char *sql, const char *parameter)
{
    sqlite3_stmt *statement;
    toy_check(self, sqlite3_prepare_v2(self->db, sql, -1, &statement, NULL));
    if (parameter != NULL)
        toy_check(self, sqlite3_bind_text(statement, 1, parameter, -1, SQLITE_STATIC));
    toy_check(self, sqlite3_step(statement));
    int64_t number = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    return number;
}

/* What the rows come to: here, who has looked at them. */
static int toy_count(const char *path, uint64_t *rows, char **error)
{
    (void)path;
    (void)error;
    *rows = (uint64_t)gettid();
    return 0;
}

static void toy_counted(void *arg, uint64_t rows)
{
    ((struct toy_machine *)arg)->counting = (pid_t)rows;
}

static int toy_open(void *arg, const char *path, char **error)
{
    struct toy_machine *self = arg;
    (void)error;
    self->counted = self->counting;
    self->counting = 0;
    toy_check(self, sqlite3_open(path, &self->db));
    toy_run(self, "PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF;"
                  "CREATE TABLE IF NOT EXISTS commands (log_index INTEGER PRIMARY KEY,"
                  " term INTEGER, log_time_ms INTEGER, command TEXT)");
    return 0;
}

static void toy_close(void *arg)
{
    struct toy_machine *self = arg;
    toy_check(self, sqlite3_close(self->db));
    self->db = NULL;
}

static replica_index toy_applied(void *arg)
{
    return (replica_index)toy_ask(arg, "SELECT ifnull(max(log_index), 0) FROM commands", NULL);
}

static void toy_begin(void *arg)
{
    struct toy_machine *self = arg;
    self->transaction_size = 0;
    toy_run(self, "BEGIN");
}

static void toy_commit(void *arg)
{
    toy_run(arg, "COMMIT");
}

static void *toy_apply(void *arg, const struct replica_entry *entry)
{
    struct toy_machine *self = arg;
    sqlite3_stmt *statement;

    toy_check(self, sqlite3_prepare_v2(self->db, "INSERT INTO commands VALUES (?, ?, ?, ?)", -1,
                                       &statement, NULL));
    sqlite3_bind_int64(statement, 1, (sqlite3_int64)entry->index);
    sqlite3_bind_int64(statement, 2, (sqlite3_int64)entry->term);
    sqlite3_bind_int64(statement, 3, entry->log_time_ms);
    sqlite3_bind_text(statement, 4, (const char *)entry->data, (int)entry->size, SQLITE_STATIC);
    toy_check(self, sqlite3_step(statement));
    sqlite3_finalize(statement);
    if (self->apply_ms > 0)
        zclock_sleep((int)self->apply_ms);
    self->applies++;
    if (++self->transaction_size > self->largest_transaction)
        self->largest_transaction = self->transaction_size;
    return alloc_copy(entry->data, entry->size);
}

static void toy_release(void *arg, void *result)
{
    struct toy_machine *self = arg;
    self->releases++;
    free(result);
}

static void toy_lead(void *arg, bool leader, replica_term term)
{
    struct toy_machine *self = arg;
    if (leader) {
        self->leads++;
        self->lead_term = term;
    }
}

struct toy_machine *toy_machine_new(void)
{
    return alloc_zero(sizeof(struct toy_machine));
}

void toy_machine_destroy(struct toy_machine **self_p)
{
    if (*self_p == NULL)
        return;
    sqlite3_close((*self_p)->db);
    free(*self_p);
    *self_p = NULL;
}

struct replica_machine toy_machine_interface(struct toy_machine *self)
{
    return (struct replica_machine){
        .self = self,
        .open = toy_open,
        .close = toy_close,
        .count = toy_count,
        .counted = toy_counted,
        .applied = toy_applied,
        .begin = toy_begin,
        .commit = toy_commit,
        .apply = toy_apply,
        .release = toy_release,
        .lead = toy_lead,
    };
}

void toy_machine_set_slow(struct toy_machine *self, int64_t apply_ms)
{
    self->apply_ms = apply_ms;
}

size_t toy_machine_count(struct toy_machine *self)
{
    return (size_t)toy_ask(self, "SELECT count(*) FROM commands", NULL);
}

size_t toy_machine_count_of(struct toy_machine *self, const char *command)
{
    return (size_t)toy_ask(self, "SELECT count(*) FROM commands WHERE command = ?", command);
}

size_t toy_machine_count_of_falling_times(struct toy_machine *self)
{
    return (size_t)toy_ask(self,
                           "SELECT count(*) FROM (SELECT log_time_ms < lag(log_time_ms, 1, 0)"
                           " OVER (ORDER BY log_index) AS falls FROM commands) WHERE falls",
                           NULL);
}

int64_t toy_machine_last_log_time_ms(struct toy_machine *self)
{
    return toy_ask(self, "SELECT log_time_ms FROM commands ORDER BY log_index DESC LIMIT 1", NULL);
}

size_t toy_machine_applies(const struct toy_machine *self)
{
    return self->applies;
}

size_t toy_machine_largest_transaction(const struct toy_machine *self)
{
    return self->largest_transaction;
}

size_t toy_machine_releases(const struct toy_machine *self)
{
    return self->releases;
}

pid_t toy_machine_counted_by(const struct toy_machine *self)
{
    return self->counted;
}

size_t toy_machine_leads(const struct toy_machine *self)
{
    return self->leads;
}

replica_term toy_machine_lead_term(const struct toy_machine *self)
{
    return self->lead_term;
}
