/* See digest.h.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SQLITE_ENABLE_PREUPDATE_HOOK
#define SQLITE_ENABLE_PREUPDATE_HOOK /* sqlite3.h declares it only then */
#endif
#include "services/replica/digest.h"

#include <assert.h>
#include <endian.h>
#include <stdlib.h>
#include <string.h>

#include "broker/bus/alloc.h"
#include "services/replica/state_file.h"

/* Odd, with bits all over. */
#define DIGEST_FACTOR UINT64_C(0x9e3779b97f4a7c15)
/* Of the way in which a sum is made: another one whenever what is below changes any sum. */
#define DIGEST_FORMAT 2

/* Tells the columns of a row apart. */
#define DIGEST_COLUMN UINT64_C(0xa0761d6478bd642f)
/* Columns are bits of a number. */
#define DIGEST_COLUMNS_MAX 64

/* A table that counts. */
struct digest_table {
    char *name;
    uint64_t seed;     /* hash of its name: what the hash of each of its rows begins with */
    uint64_t identity; /* columns of its primary key; all, where it has none */
    int column_count;
    sqlite3_stmt *rows; /* all of them */
};

/* What a statement may set, as bits; in no table: it updates nothing, or too much to be told. */
struct digest_sets {
    const struct digest_table *table;
    uint64_t columns;
};

struct digest_statement {
    sqlite3_stmt *statement; /* not owned */
    struct digest_sets sets;
};

struct digest {
    sqlite3 *database; /* not owned */
    struct digest_table *tables;
    size_t table_count;
    struct digest_statement *statements; /* updates that were prepared here */
    size_t statement_count;
    struct digest_sets preparing; /* what the statement that is being prepared sets */
    bool too_much;                /* that is not all */
    struct digest_sets running;   /* what the one that runs sets */
    uint32_t format;
    uint64_t value;
    bool unsound;
};

/* ---- Hashes -------------------------------------------------------------- */

/* For one @word any two values of @hash give two; so a difference once made is never lost again but
 * by chance, 1 in 2^64. */
static uint64_t hash_word(uint64_t hash, uint64_t word)
{
    hash = (hash ^ word) * DIGEST_FACTOR;
    return hash ^ hash >> 32;
}

static uint64_t hash_bytes(uint64_t hash, const void *data, size_t size)
{
    const uint8_t *bytes = data;
    uint64_t word;

    hash = hash_word(hash, size);
    for (; size >= sizeof word; bytes += sizeof word, size -= sizeof word) {
        memcpy(&word, bytes, sizeof word);
        hash = hash_word(hash, le64toh(word));
    }
    word = 0;
    for (size_t i = 0; i < size; i++)
        word |= (uint64_t)bytes[i] << 8 * i;
    return size > 0 ? hash_word(hash, word) : hash;
}

/* The types of SQLite are told apart by something far from any small number. */
static uint64_t hash_type(uint64_t hash, int type)
{
    return hash + (uint64_t)type * UINT64_C(0xd1342543de82ef95);
}

/* A whole number in a column for reals is stored, and at times shown, as an integer. */
static uint64_t hash_real(uint64_t hash, double real)
{
    uint64_t bits;

    if (real >= -9e15 && real <= 9e15 && real == (double)(int64_t)real)
        return hash_word(hash_type(hash, SQLITE_INTEGER), (uint64_t)(int64_t)real);
    memcpy(&bits, &real, sizeof bits);
    return hash_word(hash_type(hash, SQLITE_FLOAT), bits);
}

static uint64_t hash_value(uint64_t hash, sqlite3_value *value)
{
    int type = sqlite3_value_type(value);

    switch (type) {
    case SQLITE_NULL: return hash_word(hash_type(hash, type), 0);
    case SQLITE_INTEGER:
        return hash_word(hash_type(hash, type), (uint64_t)sqlite3_value_int64(value));
    case SQLITE_FLOAT: return hash_real(hash, sqlite3_value_double(value));
    default: break;
    }
    /* Also of a text: its bytes without a NUL, for which the old row would be copied. */
    const void *data = sqlite3_value_blob(value);
    return hash_bytes(hash_type(hash, type), data, (size_t)sqlite3_value_bytes(value));
}

/* A row's hash from what its values came to. Sums of hashes take a stir that sends each bit
 * everywhere. */
static uint64_t hash_end(uint64_t hash)
{
    hash = hash_word(hash, DIGEST_FACTOR);
    return hash_word(hash, DIGEST_FACTOR);
}

uint64_t digest_with(uint64_t digest, uint64_t number)
{
    return hash_end(hash_word(digest, number));
}

/* ---- Changes -------------------------------------------------------------- */

static const struct digest_table *digest_table(const struct digest *self, const char *name)
{
    for (size_t i = 0; i < self->table_count; i++)
        if (strcmp(self->tables[i].name, name) == 0)
            return &self->tables[i];
    return NULL;
}

static uint64_t digest_all(const struct digest_table *table)
{
    return UINT64_MAX >> (DIGEST_COLUMNS_MAX - table->column_count);
}

/* Where values come from: the row before a change, the one after it, or one that is read. */
typedef sqlite3_value *digest_value_fn(void *from, int column);

static sqlite3_value *value_before(void *database, int column)
{
    sqlite3_value *value = NULL;
    return sqlite3_preupdate_old(database, column, &value) == SQLITE_OK ? value : NULL;
}

static sqlite3_value *value_after(void *database, int column)
{
    sqlite3_value *value = NULL;
    return sqlite3_preupdate_new(database, column, &value) == SQLITE_OK ? value : NULL;
}

static sqlite3_value *value_read(void *statement, int column)
{
    return sqlite3_column_value(statement, column);
}

struct digest_row {
    const struct digest_table *table;
    digest_value_fn *value_of;
    void *from;
    uint64_t identity; /* hash of its key */
    bool unsound;      /* a value can't be read */
};

static uint64_t digest_row_hash(struct digest_row *self, uint64_t hash, int column)
{
    sqlite3_value *value = self->value_of(self->from, column);

    if (value != NULL)
        return hash_value(hash, value);
    self->unsound = true;
    return hash;
}

/* Find the row's identity. */
static void digest_row_begin(struct digest_row *self)
{
    self->identity = self->table->seed;
    for (int column = 0; column < self->table->column_count; column++)
        if ((self->table->identity >> column & 1) != 0)
            self->identity = digest_row_hash(self, self->identity, column);
}

/* What those of @columns that are not part of its identity add to the sum. */
static uint64_t digest_row_values(struct digest_row *self, uint64_t columns)
{
    uint64_t sum = 0;

    columns &= ~self->table->identity;
    for (int column = 0; column < self->table->column_count; column++)
        if ((columns >> column & 1) != 0)
            sum += hash_end(digest_row_hash(
                self, self->identity + (uint64_t)(column + 1) * DIGEST_COLUMN, column));
    return sum;
}

/* What the whole row adds to the sum. */
static uint64_t digest_row_sum(struct digest_row *self)
{
    digest_row_begin(self);
    return hash_end(self->identity) + digest_row_values(self, digest_all(self->table));
}

/* A change of a few columns that leaves the row's identity as it is. */
static uint64_t digest_row_step(struct digest_row *before, struct digest_row *after,
                                uint64_t columns)
{
    digest_row_begin(before);
    after->identity = before->identity;
    uint64_t sum = digest_row_values(after, columns);
    return sum - digest_row_values(before, columns);
}

static uint64_t digest_change(struct digest_row *before, struct digest_row *after, int operation,
                              uint64_t columns)
{
    if (operation == SQLITE_INSERT)
        return digest_row_sum(after);
    if (operation == SQLITE_DELETE)
        return 0 - digest_row_sum(before);
    if ((columns & before->table->identity) == 0)
        return digest_row_step(before, after, columns);
    uint64_t sum = digest_row_sum(after);
    return sum - digest_row_sum(before);
}

static void digest_on_change(void *arg, sqlite3 *database, int operation, const char *schema,
                             const char *name, sqlite3_int64 old_rowid, sqlite3_int64 new_rowid)
{
    struct digest *self = arg;
    const struct digest_table *table = digest_table(self, name);
    (void)old_rowid;
    (void)new_rowid;

    if (table == NULL || strcmp(schema, "main") != 0)
        return;
    assert(sqlite3_preupdate_count(database) == table->column_count);
    struct digest_row before = {.table = table, .value_of = value_before, .from = database};
    struct digest_row after = {.table = table, .value_of = value_after, .from = database};
    bool told = self->running.table == table;
    self->value +=
        digest_change(&before, &after, operation, told ? self->running.columns : digest_all(table));
    self->unsound = self->unsound || before.unsound || after.unsound;
}

/* ---- Statements ------------------------------------------------------------ */

/* The number of a column by its name; -1: a rowid, or there is none. */
static int digest_column(const struct digest_table *table, const char *name)
{
    for (int column = 0; column < table->column_count; column++)
        if (sqlite3_stricmp(sqlite3_column_name(table->rows, column), name) == 0)
            return column;
    return -1;
}

/* SQLite asks for each column that a statement sets, when it prepares it. */
static int digest_on_prepare(void *arg, int action, const char *name, const char *column_name,
                             const char *schema, const char *trigger)
{
    struct digest *self = arg;
    const struct digest_table *table;

    if (action != SQLITE_UPDATE || schema == NULL || strcmp(schema, "main") != 0 ||
        (table = digest_table(self, name)) == NULL)
        return SQLITE_OK;
    int column = digest_column(table, column_name);
    if (column < 0 || trigger != NULL ||
        (self->preparing.table != NULL && self->preparing.table != table))
        self->too_much = true;
    else
        self->preparing.columns |= UINT64_C(1) << column;
    self->preparing.table = table;
    return SQLITE_OK;
}

int digest_prepare(struct digest *self, const char *text, sqlite3_stmt **statement)
{
    self->preparing = (struct digest_sets){0};
    self->too_much = false;
    int code =
        sqlite3_prepare_v3(self->database, text, -1, SQLITE_PREPARE_PERSISTENT, statement, NULL);
    if (code != SQLITE_OK || self->preparing.table == NULL || self->too_much)
        return code;
    self->statements =
        alloc_resize(self->statements, (self->statement_count + 1) * sizeof self->statements[0]);
    self->statements[self->statement_count++] =
        (struct digest_statement){*statement, self->preparing};
    return code;
}

int digest_step(struct digest *self, sqlite3_stmt *statement)
{
    for (size_t i = 0; i < self->statement_count; i++)
        if (self->statements[i].statement == statement)
            self->running = self->statements[i].sets;
    int code = sqlite3_step(statement);
    self->running = (struct digest_sets){0};
    return code;
}

/* ---- Counting ------------------------------------------------------------- */

static bool digest_count_table(const struct digest_table *table, uint64_t *value)
{
    int code;

    while ((code = sqlite3_step(table->rows)) == SQLITE_ROW) {
        struct digest_row row = {.table = table, .value_of = value_read, .from = table->rows};
        *value += digest_row_sum(&row);
    }
    return sqlite3_reset(table->rows) == SQLITE_OK && code == SQLITE_DONE;
}

bool digest_count(const struct digest *self, uint64_t *value)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < self->table_count; i++)
        if (!digest_count_table(&self->tables[i], &sum))
            return false;
    *value = sum;
    return true;
}

/* ---- Life ----------------------------------------------------------------- */

/* Which columns are the primary key; with none, all. */
static bool digest_find_identity(struct digest *self, struct digest_table *table)
{
    sqlite3_stmt *key = NULL;
    bool good = sqlite3_prepare_v2(self->database,
                                   "SELECT cid FROM pragma_table_info(?1, 'main') WHERE pk > 0", -1,
                                   &key, NULL) == SQLITE_OK &&
                sqlite3_bind_text(key, 1, table->name, -1, SQLITE_STATIC) == SQLITE_OK;

    while (good && sqlite3_step(key) == SQLITE_ROW)
        table->identity |= UINT64_C(1) << sqlite3_column_int(key, 0);
    if (table->identity == 0)
        table->identity = digest_all(table);
    return sqlite3_finalize(key) == SQLITE_OK && good;
}

static bool digest_add_table(struct digest *self, const char *name)
{
    struct digest_table *table;
    char *query = sqlite3_mprintf("SELECT * FROM main.\"%w\" NOT INDEXED", name);

    self->tables = alloc_resize(self->tables, (self->table_count + 1) * sizeof self->tables[0]);
    table = &self->tables[self->table_count++];
    *table = (struct digest_table){
        .name = alloc_copy(name, strlen(name)),
        .seed = hash_bytes(0, name, strlen(name)),
    };
    int code = sqlite3_prepare_v3(self->database, query, -1, SQLITE_PREPARE_PERSISTENT,
                                  &table->rows, NULL);
    sqlite3_free(query);
    if (code != SQLITE_OK)
        return false;
    table->column_count = sqlite3_column_count(table->rows);
    assert(table->column_count <= DIGEST_COLUMNS_MAX);
    return digest_find_identity(self, table);
}

static bool digest_is_left_out(const char *name, const char *const *left_out, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(left_out[i], name) == 0)
            return true;
    return false;
}

/* Tables of our own: neither virtual ones, nor their shadows, nor those of SQLite. */
static bool digest_find_tables(struct digest *self, const char *const *left_out, size_t count)
{
    static const char query[] = "SELECT name FROM pragma_table_list WHERE schema = 'main'"
                                " AND type = 'table' AND substr(name, 1, 7) <> 'sqlite_'";
    sqlite3_stmt *names = NULL;
    bool good = sqlite3_prepare_v2(self->database, query, -1, &names, NULL) == SQLITE_OK;

    while (good && sqlite3_step(names) == SQLITE_ROW) {
        const char *name = (const char *)sqlite3_column_text(names, 0);
        if (!digest_is_left_out(name, left_out, count))
            good = digest_add_table(self, name);
    }
    return sqlite3_finalize(names) == SQLITE_OK && good;
}

static bool digest_find_format(struct digest *self)
{
    sqlite3_stmt *version = NULL;
    bool row = sqlite3_prepare_v2(self->database, "PRAGMA main.user_version", -1, &version, NULL) ==
                   SQLITE_OK &&
               sqlite3_step(version) == SQLITE_ROW;

    if (row)
        self->format = (uint32_t)DIGEST_FORMAT << 16 | (uint16_t)sqlite3_column_int(version, 0);
    return sqlite3_finalize(version) == SQLITE_OK && row;
}

/* Without the hook, and without a sum. */
static struct digest *digest_new(sqlite3 *database, const char *const *left_out, size_t count)
{
    struct digest *self = alloc_zero(sizeof *self);

    self->database = database;
    if (!digest_find_format(self) || !digest_find_tables(self, left_out, count))
        digest_close(&self);
    return self;
}

struct digest *digest_open(sqlite3 *database, const char *const *left_out, size_t count,
                           const uint64_t *counted)
{
    struct digest *self = digest_new(database, left_out, count);

    if (self == NULL)
        return NULL;
    if (counted != NULL) {
        self->value = *counted;
    } else if (!digest_count(self, &self->value)) {
        digest_close(&self);
        return NULL;
    }
    (void)sqlite3_preupdate_hook(database, digest_on_change, self);
    (void)sqlite3_set_authorizer(database, digest_on_prepare, self);
    return self;
}

int digest_count_file(const char *path, const char *const *left_out, size_t count, uint64_t *value,
                      char **error)
{
    struct digest *digest = NULL;
    sqlite3 *database = NULL;
    int result = 0;

    if (sqlite3_open_v2(path, &database, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL) ==
        SQLITE_OK)
        digest = digest_new(database, left_out, count);
    if (digest == NULL || !digest_count(digest, value))
        result = state_file_failed(database, path, error);
    digest_close(&digest);
    sqlite3_close(database);
    return result;
}

void digest_close(struct digest **self_p)
{
    struct digest *self = *self_p;

    if (self == NULL)
        return;
    (void)sqlite3_preupdate_hook(self->database, NULL, NULL);
    (void)sqlite3_set_authorizer(self->database, NULL, NULL);
    for (size_t i = 0; i < self->table_count; i++) {
        sqlite3_finalize(self->tables[i].rows);
        free(self->tables[i].name);
    }
    free(self->tables);
    free(self->statements);
    free(self);
    *self_p = NULL;
}

uint32_t digest_format(const struct digest *self)
{
    return self->format;
}

uint64_t digest_value(const struct digest *self)
{
    return self->value;
}

void digest_return(struct digest *self, uint64_t value)
{
    self->value = value;
}

bool digest_sound(const struct digest *self)
{
    return !self->unsound;
}
