/* See groups.h: what both groups have in common.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/groups.h"

#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "services/replica/directory.h"
#include "services/replica/membership.h"
#include "tests/lib/files.h"

#define GROUP_POLL_MS 1

struct group_wait {
    bool done;
    int code;
    void *result;
};

/* Run the loop until the only member leads. */
static int group_leads(zloop_t *loop, int timer, void *arg)
{
    const struct one_group *self = arg;

    (void)loop;
    (void)timer;
    return replica_is_leader(self->replica) ? -1 : 0;
}

int group_open(struct one_group *self, const char *name, const char *directory, struct log *log,
               const struct replica_machine *machine, char **error)
{
    char *node = zsys_sprintf("%s-1", name);
    struct replica_options options = {
        .name = node,
        .group = name,
        .directory = directory,
        .uuid = GROUPS_UUID,
        .id = 1,
        .log = log,
        .free_bytes_min = 1,
        .snapshot_entries = GROUPS_SNAPSHOT_ENTRIES,
    };

    struct membership alone = {.count = 1,
                               .members = {{.id = 1, .role = MEMBER_VOTER, .address = "one"}}};

    int result = replica_found(&options, &alone, error);
    if (result == 0)
        result = replica_open(self->loop, &options, machine, &self->replica, error);
    if (result == 0) {
        int timer = zloop_timer(self->loop, GROUP_POLL_MS, 0, group_leads, self);
        zloop_start(self->loop);
        zloop_timer_end(self->loop, timer);
    }
    free(node);
    return result;
}

static void group_on_done(void *arg, int code, void *result, replica_index index)
{
    struct group_wait *wait = arg;

    (void)index;
    wait->done = true;
    wait->code = code;
    wait->result = result;
}

static int group_look(zloop_t *loop, int timer, void *arg)
{
    const struct group_wait *wait = arg;

    (void)loop;
    (void)timer;
    return wait->done ? -1 : 0;
}

int group_submit(struct one_group *self, const void *command, size_t size, void **result)
{
    struct group_wait wait = {0};

    int code = replica_submit(self->replica, command, size, group_on_done, &wait);
    if (code != 0)
        return code;
    replica_flush(self->replica);
    int timer = zloop_timer(self->loop, GROUP_POLL_MS, 0, group_look, &wait);
    zloop_start(self->loop);
    zloop_timer_end(self->loop, timer);
    *result = wait.result;
    return wait.code;
}

/* ---- Digest -------------------------------------------------------------------------------- */

static void groups_fail(sqlite3 *db, const char *sql)
{
    fprintf(stderr, "tests/lib/groups: %s: %s\n", sql, sqlite3_errmsg(db));
    abort();
}

static void groups_sum_rows(sqlite3 *db, const char *sql, uint32_t *sum)
{
    sqlite3_stmt *row = NULL;
    int code;

    if (sqlite3_prepare_v2(db, sql, -1, &row, NULL) != SQLITE_OK)
        groups_fail(db, sql);
    while ((code = sqlite3_step(row)) == SQLITE_ROW)
        for (int i = 0; i < sqlite3_column_count(row); i++) {
            const void *value = sqlite3_column_blob(row, i);
            int size = sqlite3_column_bytes(row, i);
            *sum = (uint32_t)crc32(*sum, (const Bytef *)&size, sizeof size);
            if (size > 0)
                *sum = (uint32_t)crc32(*sum, value, (uInt)size);
        }
    if (code != SQLITE_DONE)
        groups_fail(db, sql);
    sqlite3_finalize(row);
}

/* The statements that read each table, as one column of rows. How the words of the full-text index
 * lie in its own tables depends on when transactions ended: they are read through a table of its
 * words. */
static const char groups_tables[] =
    "SELECT 'SELECT * FROM ' || name FROM sqlite_schema WHERE type = 'table'"
    " AND name NOT LIKE 'item_search%' AND name NOT LIKE 'sqlite_%' ORDER BY name";

uint32_t groups_digest(const char *directory)
{
    char *path = files_path(directory, DIRECTORY_STATE);
    sqlite3 *db = NULL;
    sqlite3_stmt *row = NULL;
    uint32_t sum = 0;

    if (sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, NULL) != SQLITE_OK ||
        sqlite3_prepare_v2(db, groups_tables, -1, &row, NULL) != SQLITE_OK)
        groups_fail(db, path);
    while (sqlite3_step(row) == SQLITE_ROW)
        groups_sum_rows(db, (const char *)sqlite3_column_text(row, 0), &sum);
    sqlite3_finalize(row);
    if (sqlite3_exec(db,
                     "CREATE VIRTUAL TABLE temp.word USING fts5vocab(main, item_search, instance)",
                     NULL, NULL, NULL) != SQLITE_OK)
        groups_fail(db, path);
    if (sqlite3_table_column_metadata(db, "main", "item_search", NULL, NULL, NULL, NULL, NULL,
                                      NULL) == SQLITE_OK)
        groups_sum_rows(db, "SELECT * FROM temp.word ORDER BY term, doc, col, offset", &sum);
    sqlite3_close(db);
    free(path);
    return sum;
}
