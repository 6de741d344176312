/* See search.h.
 *
 * The index is an FTS5 table with external content: it holds the words and where they stand, and
 * the texts are in item alone. Removing words takes the very texts that were indexed.
 *
 * In an FTS5 expression, what stands side by side must all occur; a string in double quotes (with
 * quotes inside it doubled) is a phrase in which nothing is an operator; a phrase without any word,
 * is left out of such a row of phrases, and matches nothing if it is alone.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "services/catalog/search.h"

#include <ctype.h>
#include <stdbool.h>
#include <string.h>

static void search_write(struct state *state, enum sql_name name, const struct item *item)
{
    sqlite3_stmt *statement = sql_get(state_sql(state), name);
    sqlite3_bind_int64(statement, 1, item->id);
    sql_bind_text(statement, 2, text_of(item->title));
    sql_bind_text(statement, 3, text_of(item->authors));
    sql_bind_text(statement, 4, text_of(item->topic));
    sql_run(state_sql(state), statement);
}

static bool search_same(const struct item *before, const struct item *after)
{
    return strcmp(before->title, after->title) == 0 &&
           strcmp(before->authors, after->authors) == 0 && strcmp(before->topic, after->topic) == 0;
}

void search_replace(struct state *state, const struct item *before, const struct item *after)
{
    if (before != NULL && after != NULL && search_same(before, after))
        return;
    if (before != NULL)
        search_write(state, SQL_SEARCH_REMOVE, before);
    if (after != NULL)
        search_write(state, SQL_SEARCH_ADD, after);
}

static void search_put_phrase(struct bytes_writer *match, const char *column, struct text words)
{
    if (match->size > 0)
        bytes_put_u8(match, ' ');
    bytes_put_raw(match, column, strlen(column));
    bytes_put_u8(match, '"');
    for (size_t i = 0; i < words.size; i++) {
        if (words.data[i] == '"')
            bytes_put_u8(match, '"');
        bytes_put_u8(match, (uint8_t)words.data[i]);
    }
    bytes_put_u8(match, '"');
}

/* Whether there is a letter or a digit in it; all of non-ASCII is taken for letters. */
static bool search_has_word(struct text text)
{
    for (size_t i = 0; i < text.size; i++)
        if ((text.data[i] & 0x80) != 0 || isalnum((unsigned char)text.data[i]))
            return true;
    return false;
}

/* A phrase for each stretch between blanks that has a word in it, the last one with a star if it
 * touches the end and @open is set. Something that has no word at all matches nothing. */
static void search_put_words(struct bytes_writer *match, const char *column, struct text words,
                             bool open)
{
    size_t begin = 0;
    for (size_t end = 0; words.size > 0 && end <= words.size; end++) {
        if (end < words.size && words.data[end] != ' ')
            continue;
        struct text word = {words.data + begin, end - begin};
        begin = end + 1;
        if (!search_has_word(word))
            continue;
        search_put_phrase(match, column, word);
        if (open && end == words.size)
            bytes_put_u8(match, '*');
    }
}

static bool search_is_blank(struct text text)
{
    for (size_t i = 0; i < text.size; i++)
        if (text.data[i] != ' ')
            return false;
    return true;
}

void search_match(struct bytes_writer *match, struct text query, struct text author,
                  struct text topic)
{
    search_put_words(match, "", query, true);
    search_put_words(match, "authors:", author, false);
    if (match->size > 0 && topic.size > 0)
        search_put_phrase(match, "topic:", topic);
    if (match->size == 0 && (!search_is_blank(query) || !search_is_blank(author)))
        search_put_phrase(match, "", (struct text){0});
}
