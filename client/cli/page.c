/* Lists that come in pages.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "client/cli/page.h"

#include <string.h>

#include "broker/bus/alloc.h"
#include "broker/bus/limits.h"

static void page_print_rows(const struct page *self, const json_t *rows)
{
    size_t i;
    json_t *row;
    json_array_foreach(rows, i, row)
    {
        cli_print_json(self->cli, row);
    }
}

static void page_take(struct page *self, const json_t *body, bool all)
{
    const json_t *rows = json_object_get(body, self->list);
    if (self->cli->json && all)
        page_print_rows(self, rows);
    else if (self->cli->json)
        cli_print_json(self->cli, body);
    else
        self->add(self->arg, rows);
}

/* The pages from @cursor (taken over) on. */
static int page_loop(struct page *self, char *cursor, int limit, bool all)
{
    int status;
    do {
        struct pygmy_reply reply = {0};
        self->ask(self->cli, cursor, limit, pygmy_keep, &reply);
        free(cursor);
        cursor = NULL;
        status = cli_wait(self->cli, &reply);
        if (status != EXIT_DONE)
            return status;
        page_take(self, reply.body, all);
        const char *next = json_string_value(json_object_get(reply.body, "next"));
        self->more = next != NULL;
        if (next != NULL && all)
            cursor = alloc_copy(next, strlen(next));
        pygmy_reply_close(&reply);
    } while (cursor != NULL);
    return EXIT_DONE;
}

int page_run(struct page *self)
{
    struct cli *cli = self->cli;
    bool all = cli_flag(cli, "all");
    const char *cursor = cli_option(cli, "cursor");
    int64_t limit = all ? PAGE_MAX : PAGE_DEFAULT;
    int status = cli_option_number(cli, "limit", 1, PAGE_MAX, &limit);
    if (status == EXIT_DONE)
        status = cli_open(cli);
    if (status != EXIT_DONE)
        return status;
    return page_loop(self, cursor != NULL ? alloc_copy(cursor, strlen(cursor)) : NULL, (int)limit,
                     all);
}
