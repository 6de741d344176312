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
#define DIGEST_FORMAT 1

/* A table that counts. */
struct digest_table {
    char *name;
    uint64_t seed; /* hash of its name: what the hash of each of its rows begins with */
    int column_count;
    sqlite3_stmt *rows; /* all of them */
};

struct digest {
    sqlite3 *database; /* not owned */
    struct digest_table *tables;
    size_t table_count;
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

typedef int digest_value_fn(sqlite3 *database, int column, sqlite3_value **value);

/* The hash of the row before the change, or after it. */
static uint64_t digest_row(struct digest *self, const struct digest_table *table,
                           digest_value_fn *value_of)
{
    uint64_t hash = table->seed;

    for (int column = 0; column < table->column_count; column++) {
        sqlite3_value *value = NULL;
        if (value_of(self->database, column, &value) != SQLITE_OK) {
            self->unsound = true;
            return 0;
        }
        hash = hash_value(hash, value);
    }
    return hash_end(hash);
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
    if (operation != SQLITE_INSERT)
        self->value -= digest_row(self, table, sqlite3_preupdate_old);
    if (operation != SQLITE_DELETE)
        self->value += digest_row(self, table, sqlite3_preupdate_new);
}

/* ---- Counting ------------------------------------------------------------- */

static bool digest_count_table(const struct digest_table *table, uint64_t *value)
{
    int code;

    while ((code = sqlite3_step(table->rows)) == SQLITE_ROW) {
        uint64_t hash = table->seed;
        for (int column = 0; column < table->column_count; column++)
            hash = hash_value(hash, sqlite3_column_value(table->rows, column));
        *value += hash_end(hash);
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
    if (code == SQLITE_OK)
        table->column_count = sqlite3_column_count(table->rows);
    return code == SQLITE_OK;
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
    for (size_t i = 0; i < self->table_count; i++) {
        sqlite3_finalize(self->tables[i].rows);
        free(self->tables[i].name);
    }
    free(self->tables);
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
