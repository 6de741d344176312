/* See verify.h. What a row needs for the comparison, and nobody is shown, is its member "known": an
 * object with the digest at each index.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "client/cli/verify.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "broker/bus/bytes.h"

#define INDEX_BYTES 24

const char *verify_verdict_name(enum verify_verdict verdict)
{
    static const char *const names[] = {"equal", "differs", "unknown"};
    return names[verdict];
}

/* ---- Rows -------------------------------------------------------------------- */

static const char *verify_text(const json_t *row, const char *name)
{
    const char *text = json_string_value(json_object_get(row, name));
    return text != NULL ? text : "";
}

static void verify_know(json_t *known, const json_t *index, const json_t *digest)
{
    char name[INDEX_BYTES];
    if (!json_is_integer(index) || !json_is_string(digest))
        return;
    (void)snprintf(name, sizeof name, "%" JSON_INTEGER_FORMAT, json_integer_value(index));
    json_object_set(known, name, (json_t *)(uintptr_t)digest);
}

static json_t *verify_known(const json_t *answer)
{
    json_t *known = json_object(), *mark;
    size_t i;
    json_array_foreach(json_object_get(answer, "marks"), i, mark)
    {
        verify_know(known, json_array_get(mark, 0), json_array_get(mark, 1));
    }
    verify_know(known, json_object_get(answer, "applied_index"), json_object_get(answer, "digest"));
    return known;
}

static int64_t verify_sum(const json_t *audit, const char *name)
{
    return json_integer_value(json_object_get(audit, name));
}

/* Whether it adds up; null where nothing was counted. */
static json_t *verify_conserved(const json_t *audit)
{
    if (!json_is_integer(json_object_get(audit, "violations")))
        return json_null();
    return json_boolean(verify_sum(audit, "violations") == 0 && verify_sum(audit, "initial") +
                                                                        verify_sum(audit, "moved") -
                                                                        verify_sum(audit, "sold") ==
                                                                    verify_sum(audit, "stock"));
}

json_t *verify_row(const char *name, const char *kind, const json_t *digest, const json_t *audit)
{
    json_t *row = json_pack("{s:s, s:s, s:n, s:n, s:n, s:s, s:n, s:n, s:o, s:o}", "name", name,
                            "kind", kind, "applied_index", "compared_index", "digest", "state",
                            "unknown", "items", "violations", "conserved", verify_conserved(audit),
                            "known", verify_known(digest));
    if (json_is_integer(json_object_get(digest, "applied_index")))
        json_object_set(row, "applied_index", json_object_get(digest, "applied_index"));
    if (json_is_integer(json_object_get(audit, "violations"))) {
        json_object_set(row, "items", json_object_get(audit, "items"));
        json_object_set(row, "violations", json_object_get(audit, "violations"));
    }
    return row;
}

/* ---- Comparing ---------------------------------------------------------------- */

static bool verify_is_of(const json_t *row, const char *kind)
{
    return strcmp(verify_text(row, "kind"), kind) == 0;
}

static bool verify_answered(const json_t *row)
{
    return json_object_size(json_object_get(row, "known")) > 0;
}

/* Whether all of @kind that answered know a digest at @index. */
static bool verify_is_common(const json_t *rows, const char *kind, const char *index)
{
    size_t i;
    json_t *row;
    json_array_foreach(rows, i, row)
    {
        if (verify_is_of(row, kind) && verify_answered(row) &&
            json_object_get(json_object_get(row, "known"), index) == NULL)
            return false;
    }
    return true;
}

/* The highest common index as text, empty when there is none. */
static void verify_common(json_t *rows, const char *kind, char index[INDEX_BYTES])
{
    size_t i;
    json_t *row, *digest;
    const char *name;
    index[0] = '\0';
    json_array_foreach(rows, i, row)
    {
        if (!verify_is_of(row, kind))
            continue;
        json_object_foreach(json_object_get(row, "known"), name, digest)
        {
            if ((index[0] == '\0' || strtoll(name, NULL, 10) > strtoll(index, NULL, 10)) &&
                verify_is_common(rows, kind, name))
                (void)snprintf(index, INDEX_BYTES, "%s", name);
        }
    }
}

/* How many of @kind answered, and how many there are. */
static size_t verify_answers(const json_t *rows, const char *kind, size_t *all)
{
    size_t i, answers = 0;
    json_t *row;
    *all = 0;
    json_array_foreach(rows, i, row)
    {
        if (!verify_is_of(row, kind))
            continue;
        ++*all;
        answers += verify_answered(row);
    }
    return answers;
}

/* How many of @kind have that digest at the index. */
static size_t verify_count(const json_t *rows, const char *kind, const char *index,
                           const char *digest)
{
    size_t i, same = 0;
    json_t *row;
    json_array_foreach(rows, i, row)
    {
        if (verify_is_of(row, kind))
            same += strcmp(verify_text(json_object_get(row, "known"), index), digest) == 0;
    }
    return same;
}

static void verify_compare_row(const json_t *rows, json_t *row, const char *index)
{
    const char *kind = verify_text(row, "kind");
    const char *digest = verify_text(json_object_get(row, "known"), index);
    size_t all;
    size_t answers = verify_answers(rows, kind, &all);
    if (!verify_answered(row) || index[0] == '\0' || (answers == 1 && all > 1))
        return;
    size_t same = verify_count(rows, kind, index, digest);
    bool good = same == answers || 2 * same > all;
    json_object_set_new(row, "compared_index", json_integer(strtoll(index, NULL, 10)));
    json_object_set_new(row, "digest", json_string(digest));
    json_object_set_new(row, "state", json_string(good ? "equal" : "differs"));
}

void verify_compare(json_t *rows)
{
    size_t i;
    json_t *row;
    json_array_foreach(rows, i, row)
    {
        char index[INDEX_BYTES];
        verify_common(rows, verify_text(row, "kind"), index);
        verify_compare_row(rows, row, index);
    }
    json_array_foreach(rows, i, row)
    {
        (void)json_object_del(row, "known");
    }
}

/* ---- Verdicts ------------------------------------------------------------------ */

static enum verify_verdict verify_verdict_of_row(const json_t *row)
{
    const json_t *conserved = json_object_get(row, "conserved");
    if (strcmp(verify_text(row, "state"), "differs") == 0 || json_is_false(conserved))
        return VERIFY_DIFFERS;
    if (strcmp(verify_text(row, "state"), "equal") != 0 ||
        (verify_is_of(row, "catalog") && !json_is_true(conserved)))
        return VERIFY_UNKNOWN;
    return VERIFY_EQUAL;
}

enum verify_verdict verify_verdict_of(const json_t *rows)
{
    enum verify_verdict verdict = json_array_size(rows) > 0 ? VERIFY_EQUAL : VERIFY_UNKNOWN;
    size_t i;
    json_t *row;
    json_array_foreach(rows, i, row)
    {
        enum verify_verdict one = verify_verdict_of_row(row);
        if (one == VERIFY_DIFFERS)
            return VERIFY_DIFFERS;
        if (one == VERIFY_UNKNOWN)
            verdict = VERIFY_UNKNOWN;
    }
    return verdict;
}

static const char *verify_reason(const json_t *row)
{
    if (strcmp(verify_text(row, "state"), "differs") == 0)
        return "holds something else than the others";
    if (json_is_false(json_object_get(row, "conserved")))
        return "breaks the law of conservation";
    if (json_is_null(json_object_get(row, "applied_index")))
        return "does not answer";
    if (json_is_null(json_object_get(row, "compared_index")))
        return "has no digest at an index of the others";
    return "was not audited";
}

static void verify_put(struct bytes_writer *text, const char *part)
{
    bytes_put_raw(text, part, strlen(part));
}

char *verify_sentence(const json_t *rows)
{
    enum verify_verdict verdict = verify_verdict_of(rows);
    struct bytes_writer text = {0};
    const char *between = ": ";
    size_t i;
    json_t *row;
    verify_put(&text, verify_verdict_name(verdict));
    if (verdict == VERIFY_EQUAL)
        verify_put(&text, ": all replicas hold the same, and the stock of every item adds up");
    json_array_foreach(rows, i, row)
    {
        if (verify_verdict_of_row(row) == VERIFY_EQUAL)
            continue;
        verify_put(&text, between);
        verify_put(&text, verify_text(row, "name"));
        verify_put(&text, " ");
        verify_put(&text, verify_reason(row));
        between = ", ";
    }
    bytes_put_u8(&text, '\0');
    return (char *)text.data;
}
