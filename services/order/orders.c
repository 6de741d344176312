/* See orders.h.
 *
 * The counters (applied index, last number, active orders) are kept in memory
 * and written once for each transaction.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "services/order/orders.h"

#include <assert.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "broker/bus/alloc.h"
#include "broker/bus/err.h"
#include "services/replica/digest.h"
#include "services/replica/fatal.h"
#include "services/replica/state_file.h"

/* Of the schema below, and of what its rows mean. */
#define SCHEMA_VERSION 2

static const char settings[] = "PRAGMA journal_mode = WAL;"
                               "PRAGMA synchronous = OFF;"
                               "PRAGMA temp_store = MEMORY;";

static const char schema[] =
    "CREATE TABLE counters ("
    "  id INTEGER PRIMARY KEY CHECK (id = 1),"
    "  applied INTEGER NOT NULL, last_number INTEGER NOT NULL, active INTEGER NOT NULL);"
    "INSERT INTO counters VALUES (1, 0, 0, 0);"
    "CREATE TABLE orders ("
    "  number INTEGER PRIMARY KEY, state INTEGER NOT NULL, key TEXT NOT NULL UNIQUE,"
    "  stamp INTEGER NOT NULL, content BLOB NOT NULL, granted BLOB NOT NULL,"
    "  created_ms INTEGER NOT NULL, cancel_key TEXT UNIQUE, cancel_stamp INTEGER NOT NULL,"
    "  cancelled_ms INTEGER NOT NULL, version INTEGER NOT NULL);"
    "CREATE INDEX changed ON orders (version);"
    "CREATE INDEX cancelling ON orders (number) WHERE state = 1;"
    "CREATE TABLE sold (id INTEGER PRIMARY KEY, quantity INTEGER NOT NULL);";

enum statement {
    BEGIN,
    COMMIT,
    COUNTERS,
    COUNT,
    INSERT,
    CANCEL,
    CONCLUDE,
    SELL,
    BY_NUMBER,
    BY_KEY,
    BY_CANCEL_KEY,
    PAGE,
    CANCELLING,
    CHANGES,
    SOLD,
    STATEMENTS
};

#define COLUMNS                                                                                    \
    "number, state, key, stamp, content, granted, created_ms, cancel_key, cancel_stamp, "          \
    "cancelled_ms, version"

static const char *const statement_sql[STATEMENTS] = {
    [BEGIN] = "BEGIN",
    [COMMIT] = "COMMIT",
    [COUNTERS] = "SELECT applied, last_number, active FROM counters",
    [COUNT] = "UPDATE counters SET applied = ?, last_number = ?, active = ?",
    [INSERT] = "INSERT INTO orders (" COLUMNS ") VALUES (?, 0, ?, ?, ?, ?, ?, NULL, 0, 0, ?)",
    [CANCEL] = "UPDATE orders SET state = 1, cancel_key = ?2, cancel_stamp = ?3, version = ?4"
               " WHERE number = ?1",
    [CONCLUDE] = "UPDATE orders SET state = 2, cancelled_ms = ?2, version = ?3 WHERE number = ?1",
    [SELL] = "INSERT INTO sold VALUES (?1, ?2)"
             " ON CONFLICT (id) DO UPDATE SET quantity = quantity + excluded.quantity",
    [BY_NUMBER] = "SELECT " COLUMNS " FROM orders WHERE number = ?",
    [BY_KEY] = "SELECT " COLUMNS " FROM orders WHERE key = ?",
    [BY_CANCEL_KEY] = "SELECT number FROM orders WHERE cancel_key = ?",
    [PAGE] = "SELECT " COLUMNS " FROM orders WHERE number < ? ORDER BY number DESC",
    [CANCELLING] = "SELECT " COLUMNS " FROM orders WHERE state = 1 ORDER BY number",
    [CHANGES] = "SELECT " COLUMNS " FROM orders INDEXED BY changed WHERE version > ?"
                " ORDER BY version, number",
    [SOLD] = "SELECT id, quantity FROM sold WHERE id > ? AND quantity <> 0 ORDER BY id",
};

struct orders {
    sqlite3 *db;
    struct log *log;
    sqlite3_stmt *statements[STATEMENTS];
    struct digest *digest;
    uint64_t applied;     /* log index of the last entry that was entered */
    uint64_t last_number; /* O1 */
    uint64_t active;      /* orders in state active */
};

const char *order_state_name(enum order_state state)
{
    static const char *const names[] = {"active", "cancelling", "cancelled"};

    return names[state];
}

void order_close(struct order *self)
{
    free(self->key);
    free(self->content);
    free(self->grant);
    free(self->cancel_key);
    *self = (struct order){0};
}

/* ---- Statements ---------------------------------------------------------- */

static _Noreturn void orders_fail(struct orders *self)
{
    log_write(self->log, LOG_LEVEL_ERROR, "the order tables failed",
              LOG_TEXT("error", sqlite3_errmsg(self->db)));
    _exit(FATAL_EXIT_STATUS);
}

static void orders_expect(struct orders *self, bool good)
{
    if (!good)
        orders_fail(self);
}

static void orders_bind_number(struct orders *self, enum statement which, int at, int64_t value)
{
    orders_expect(self, sqlite3_bind_int64(self->statements[which], at, value) == SQLITE_OK);
}

/* Texts and blobs are the caller's until the statement has run. */
static void orders_bind_text(struct orders *self, enum statement which, int at, const char *value)
{
    orders_expect(self, sqlite3_bind_text(self->statements[which], at, value, -1, SQLITE_STATIC) ==
                            SQLITE_OK);
}

static void orders_bind_blob(struct orders *self, enum statement which, int at, const void *value,
                             size_t size)
{
    orders_expect(self, sqlite3_bind_blob64(self->statements[which], at, value, size,
                                            SQLITE_STATIC) == SQLITE_OK);
}

/* Step to the next row: false when there is none. */
static bool orders_row(struct orders *self, enum statement which)
{
    int rc = digest_step(self->digest, self->statements[which]);

    orders_expect(self, rc == SQLITE_ROW || rc == SQLITE_DONE);
    return rc == SQLITE_ROW;
}

static void orders_reset(struct orders *self, enum statement which)
{
    sqlite3_reset(self->statements[which]);
    sqlite3_clear_bindings(self->statements[which]);
}

static void orders_run(struct orders *self, enum statement which)
{
    bool row = orders_row(self, which);

    assert(!row);
    orders_reset(self, which);
}

/* ---- Life ---------------------------------------------------------------- */

static int orders_connect(struct orders *self, const char *path, char **error)
{
    if (sqlite3_open_v2(path, &self->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, NULL) !=
            SQLITE_OK ||
        sqlite3_exec(self->db, settings, NULL, NULL, NULL) != SQLITE_OK)
        return state_file_failed(self->db, path, error);
    return state_file_prepare(self->db, path, schema, SCHEMA_VERSION, error);
}

static int orders_prepare(struct orders *self, const char *path, char **error)
{
    for (int i = 0; i < STATEMENTS; i++)
        if (digest_prepare(self->digest, statement_sql[i], &self->statements[i]) != SQLITE_OK)
            return state_file_failed(self->db, path, error);
    return OK;
}

/* The counters are left out of the digest: they are written at the end of a batch, and mixed in as they
 * are at each entry. */
static const char *const orders_left_out[] = {"counters"};

int orders_count(const char *path, uint64_t *rows, char **error)
{
    return digest_count_file(path, orders_left_out, 1, rows, error);
}

static int orders_open_digest(struct orders *self, const char *path, const uint64_t *rows,
                              char **error)
{
    self->digest = digest_open(self->db, orders_left_out, 1, rows);
    return self->digest != NULL ? OK : state_file_failed(self->db, path, error);
}

/* What is kept in memory. */
static void orders_load(struct orders *self)
{
    bool row = orders_row(self, COUNTERS);

    orders_expect(self, row);
    self->applied = (uint64_t)sqlite3_column_int64(self->statements[COUNTERS], 0);
    self->last_number = (uint64_t)sqlite3_column_int64(self->statements[COUNTERS], 1);
    self->active = (uint64_t)sqlite3_column_int64(self->statements[COUNTERS], 2);
    orders_reset(self, COUNTERS);
}

int orders_open(const char *path, struct log *log, const uint64_t *rows, struct orders **self_p,
                char **error)
{
    struct orders *self = alloc_zero(sizeof *self);
    int code;

    self->log = log;
    code = orders_connect(self, path, error);
    if (code == OK)
        code = orders_open_digest(self, path, rows, error);
    if (code == OK)
        code = orders_prepare(self, path, error);
    if (code != OK) {
        orders_close(&self);
        return code;
    }
    orders_load(self);
    *self_p = self;
    return OK;
}

void orders_close(struct orders **self_p)
{
    struct orders *self = *self_p;
    int code;

    *self_p = NULL;
    if (self == NULL)
        return;
    for (int i = 0; i < STATEMENTS; i++)
        sqlite3_finalize(self->statements[i]);
    digest_close(&self->digest);
    code = sqlite3_close(self->db);
    assert(code == SQLITE_OK); /* else it would live on, beside the file that comes next */
    free(self);
}

/* ---- Applying ------------------------------------------------------------ */

void orders_begin(struct orders *self)
{
    orders_run(self, BEGIN);
}

void orders_commit(struct orders *self)
{
    orders_expect(self, digest_sound(self->digest));
    orders_bind_number(self, COUNT, 1, (int64_t)self->applied);
    orders_bind_number(self, COUNT, 2, (int64_t)self->last_number);
    orders_bind_number(self, COUNT, 3, (int64_t)self->active);
    orders_run(self, COUNT);
    orders_run(self, COMMIT);
}

void orders_enter(struct orders *self, uint64_t index)
{
    assert(index > self->applied);
    self->applied = index;
}

uint64_t orders_digest(const struct orders *self)
{
    uint64_t rows = digest_value(self->digest);

    return digest_with(digest_with(digest_with(rows, self->applied), self->last_number),
                       self->active);
}

uint32_t orders_digest_format(const struct orders *self)
{
    return digest_format(self->digest);
}

uint64_t orders_applied(const struct orders *self)
{
    return self->applied;
}

uint64_t orders_last_number(const struct orders *self)
{
    return self->last_number;
}

uint64_t orders_active(const struct orders *self)
{
    return self->active;
}

/* An order begins (@sign 1) or ceases (-1) to be active. */
static void orders_hold(struct orders *self, const struct basket *basket, int sign)
{
    for (size_t i = 0; i < basket->count; i++) {
        orders_bind_number(self, SELL, 1, basket->lines[i].id);
        orders_bind_number(self, SELL, 2, sign * basket->lines[i].quantity);
        orders_run(self, SELL);
    }
    self->active += (uint64_t)sign;
}

static void orders_insert(struct orders *self, const char *key, int64_t stamp, const void *content,
                          size_t content_size, const void *grant, size_t grant_size,
                          int64_t wall_ms)
{
    orders_bind_number(self, INSERT, 1, (int64_t)self->last_number);
    orders_bind_text(self, INSERT, 2, key);
    orders_bind_number(self, INSERT, 3, stamp);
    orders_bind_blob(self, INSERT, 4, content, content_size);
    orders_bind_blob(self, INSERT, 5, grant, grant_size);
    orders_bind_number(self, INSERT, 6, wall_ms);
    orders_bind_number(self, INSERT, 7, (int64_t)self->applied);
    orders_run(self, INSERT);
}

enum orders_outcome orders_add(struct orders *self, const char *key, int64_t stamp,
                               const struct basket *basket, const void *content,
                               size_t content_size, const void *grant, size_t grant_size,
                               int64_t wall_ms, uint64_t *number)
{
    struct order known;

    if (orders_by_key(self, key, &known)) { /* O2 */
        bool same =
            known.content_size == content_size && memcmp(known.content, content, content_size) == 0;

        *number = known.number;
        order_close(&known);
        return same ? ORDERS_KNOWN : ORDERS_REFUSED;
    }
    *number = ++self->last_number; /* O1 */
    orders_insert(self, key, stamp, content, content_size, grant, grant_size, wall_ms);
    orders_hold(self, basket, 1);
    return ORDERS_MADE;
}

static void orders_set_cancel(struct orders *self, uint64_t number, const char *key, int64_t stamp)
{
    orders_bind_number(self, CANCEL, 1, (int64_t)number);
    orders_bind_text(self, CANCEL, 2, key);
    orders_bind_number(self, CANCEL, 3, stamp);
    orders_bind_number(self, CANCEL, 4, (int64_t)self->applied);
    orders_run(self, CANCEL);
}

/* Whether the key of a cancel belongs to something else: a buy, or another order's cancel. */
static bool orders_cancel_key_used(struct orders *self, uint64_t number, const char *key)
{
    uint64_t cancels = orders_by_cancel_key(self, key);
    struct order order;

    if (cancels != 0)
        return cancels != number;
    if (!orders_by_key(self, key, &order))
        return false;
    order_close(&order);
    return true;
}

static void orders_begin_cancel(struct orders *self, const struct order *order, const char *key,
                                int64_t stamp)
{
    struct bytes_reader reader;
    struct basket basket;

    bytes_reader_init(&reader, order->content, order->content_size);
    basket_read(&basket, &reader);
    assert(bytes_reader_done(&reader)); /* it was checked before it was applied */
    orders_set_cancel(self, order->number, key, stamp);
    orders_hold(self, &basket, -1);
}

enum orders_outcome orders_cancel(struct orders *self, uint64_t number, const char *key,
                                  int64_t stamp)
{
    enum orders_outcome outcome = ORDERS_REFUSED;
    struct order order;

    if (orders_cancel_key_used(self, number, key) || !orders_by_number(self, number, &order))
        return ORDERS_REFUSED;
    if (order.state == ORDER_ACTIVE) {
        orders_begin_cancel(self, &order, key, stamp);
        outcome = ORDERS_MADE;
    } else if (order.cancel_key != NULL && strcmp(order.cancel_key, key) == 0) {
        if (order.state == ORDER_CANCELLING && stamp > order.cancel_stamp)
            orders_set_cancel(self, number, key, stamp);
        outcome = ORDERS_KNOWN;
    }
    order_close(&order);
    return outcome;
}

enum orders_outcome orders_conclude(struct orders *self, uint64_t number, int64_t wall_ms)
{
    struct order order;
    enum order_state state;

    if (!orders_by_number(self, number, &order))
        return ORDERS_REFUSED;
    state = order.state;
    order_close(&order);
    if (state != ORDER_CANCELLING)
        return state == ORDER_CANCELLED ? ORDERS_KNOWN : ORDERS_REFUSED;
    orders_bind_number(self, CONCLUDE, 1, (int64_t)number);
    orders_bind_number(self, CONCLUDE, 2, wall_ms);
    orders_bind_number(self, CONCLUDE, 3, (int64_t)self->applied);
    orders_run(self, CONCLUDE);
    return ORDERS_MADE;
}

/* ---- Reading ------------------------------------------------------------- */

static char *column_text(sqlite3_stmt *row, int column)
{
    const char *text = (const char *)sqlite3_column_text(row, column);

    return text != NULL ? alloc_copy(text, strlen(text)) : NULL;
}

static uint8_t *column_blob(sqlite3_stmt *row, int column, size_t *size)
{
    const void *data = sqlite3_column_blob(row, column);

    *size = (size_t)sqlite3_column_bytes(row, column);
    return (uint8_t *)alloc_copy(data != NULL ? data : "", *size);
}

static void order_read(struct order *self, sqlite3_stmt *row)
{
    *self = (struct order){
        .number = (uint64_t)sqlite3_column_int64(row, 0),
        .state = (enum order_state)sqlite3_column_int(row, 1),
        .key = column_text(row, 2),
        .stamp = sqlite3_column_int64(row, 3),
        .created_ms = sqlite3_column_int64(row, 6),
        .cancel_key = column_text(row, 7),
        .cancel_stamp = sqlite3_column_int64(row, 8),
        .cancelled_ms = sqlite3_column_int64(row, 9),
        .version = (uint64_t)sqlite3_column_int64(row, 10),
    };
    self->content = column_blob(row, 4, &self->content_size);
    self->grant = column_blob(row, 5, &self->grant_size);
}

static bool orders_one(struct orders *self, enum statement which, struct order *order)
{
    bool found = orders_row(self, which);

    if (found)
        order_read(order, self->statements[which]);
    orders_reset(self, which);
    return found;
}

bool orders_by_number(struct orders *self, uint64_t number, struct order *order)
{
    if (number > INT64_MAX)
        return false;
    orders_bind_number(self, BY_NUMBER, 1, (int64_t)number);
    return orders_one(self, BY_NUMBER, order);
}

bool orders_by_key(struct orders *self, const char *key, struct order *order)
{
    orders_bind_text(self, BY_KEY, 1, key);
    return orders_one(self, BY_KEY, order);
}

uint64_t orders_by_cancel_key(struct orders *self, const char *key)
{
    uint64_t number = 0;

    orders_bind_text(self, BY_CANCEL_KEY, 1, key);
    if (orders_row(self, BY_CANCEL_KEY))
        number = (uint64_t)sqlite3_column_int64(self->statements[BY_CANCEL_KEY], 0);
    orders_reset(self, BY_CANCEL_KEY);
    return number;
}

static void orders_visit(struct orders *self, enum statement which, orders_visit_fn *visit,
                         void *arg)
{
    bool more = true;

    while (more && orders_row(self, which)) {
        struct order order;

        order_read(&order, self->statements[which]);
        more = visit(arg, &order);
        order_close(&order);
    }
    orders_reset(self, which);
}

void orders_page(struct orders *self, uint64_t before, orders_visit_fn *visit, void *arg)
{
    int64_t bound = before == 0 || before > INT64_MAX ? INT64_MAX : (int64_t)before;

    orders_bind_number(self, PAGE, 1, bound);
    orders_visit(self, PAGE, visit, arg);
}

void orders_cancelling(struct orders *self, orders_visit_fn *visit, void *arg)
{
    orders_visit(self, CANCELLING, visit, arg);
}

void orders_changes(struct orders *self, uint64_t since, orders_visit_fn *visit, void *arg)
{
    orders_bind_number(self, CHANGES, 1, since > INT64_MAX ? INT64_MAX : (int64_t)since);
    orders_visit(self, CHANGES, visit, arg);
}

void orders_sold(struct orders *self, int64_t after, orders_sold_fn *visit, void *arg)
{
    bool more = true;

    orders_bind_number(self, SOLD, 1, after);
    while (more && orders_row(self, SOLD))
        more = visit(arg, sqlite3_column_int64(self->statements[SOLD], 0),
                     sqlite3_column_int64(self->statements[SOLD], 1));
    orders_reset(self, SOLD);
}
