/* See fold.h.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "services/catalog/fold.h"

#include <assert.h>
#include <stdlib.h>

#include "broker/bus/alloc.h"

struct fold {
    fts5_tokenizer methods;
    Fts5Tokenizer *tokenizer;
    struct bytes_writer folded; /* what the last call returned */
    struct text source;         /* what is being folded */
    size_t done;                /* bytes of it that are in the fold */
};

/* How an application gets at FTS5's interface (section 7 of its manual). */
static fts5_api *fold_api(sqlite3 *database)
{
    fts5_api *api = NULL;
    sqlite3_stmt *statement = NULL;

    if (sqlite3_prepare_v2(database, "SELECT fts5(?1)", -1, &statement, NULL) == SQLITE_OK) {
        sqlite3_bind_pointer(statement, 1, &api, "fts5_api_ptr", NULL);
        (void)sqlite3_step(statement);
    }
    sqlite3_finalize(statement);
    return api;
}

struct fold *fold_new(sqlite3 *database)
{
    const char *arguments[] = {"remove_diacritics", "0", "categories", "L* M* N* P* S* Z* C*"};
    fts5_api *api = fold_api(database);
    void *context = NULL;
    if (api == NULL)
        return NULL;

    struct fold *self = alloc_zero(sizeof *self);
    if (api->xFindTokenizer(api, "unicode61", &context, &self->methods) != SQLITE_OK ||
        self->methods.xCreate(context, arguments, 4, &self->tokenizer) != SQLITE_OK)
        fold_destroy(&self);
    return self;
}

void fold_destroy(struct fold **self_p)
{
    struct fold *self = *self_p;
    if (self == NULL)
        return;
    if (self->tokenizer != NULL)
        self->methods.xDelete(self->tokenizer);
    bytes_writer_close(&self->folded);
    free(self);
    *self_p = NULL;
}

/* A folded word of the source's bytes @start to @end. Characters that SQLite's table does not know
 * separate words; they are taken over as they are. */
static int fold_word(void *context, int flags, const char *word, int size, int start, int end)
{
    struct fold *self = context;
    (void)flags;

    assert((size_t)start >= self->done && (size_t)end <= self->source.size);
    bytes_put_raw(&self->folded, self->source.data + self->done, (size_t)start - self->done);
    bytes_put_raw(&self->folded, word, (size_t)size);
    self->done = (size_t)end;
    return SQLITE_OK;
}

struct text fold_text(struct fold *self, struct text text)
{
    self->folded.size = 0;
    self->source = text;
    self->done = 0;
    if (text.size > 0) {
        /* It can fail by our callback or for want of memory alone. */
        int code = self->methods.xTokenize(self->tokenizer, self, FTS5_TOKENIZE_DOCUMENT, text.data,
                                           (int)text.size, fold_word);
        if (code != SQLITE_OK)
            abort();
        bytes_put_raw(&self->folded, text.data + self->done, text.size - self->done);
    }
    return (struct text){(const char *)self->folded.data, self->folded.size};
}
