/* pygmy dump: the catalog as a CSV file that import reads back.
 *
 * A file is written beside its place and renamed into it: what is there in the
 * end is all of it, or what was there before.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <czmq.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "broker/bus/alloc.h"
#include "broker/bus/limits.h"
#include "client/cli/catalog_file.h"
#include "client/cli/cli.h"
#include "client/cli/text.h"
#include "client/cli/verbs.h"

static void dump_ask(struct cli *cli, const char *cursor, struct pygmy_reply *reply)
{
    pygmy_start(cli->store, &(struct pygmy_call){
                                .service = "catalog",
                                .request = json_pack("{ss si ss*}", "op", "items", "limit",
                                                     PAGE_MAX, "cursor", cursor),
                                .done = pygmy_keep,
                                .arg = reply,
                            });
}

/* An item as a line of text, the caller's to free(). */
static char *dump_line(const struct cli *cli, const json_t *item)
{
    struct bytes_writer line = {0};
    if (cli->json)
        return json_dumps(item, JSON_COMPACT);
    catalog_file_write_item(&line, item);
    /* fputs() of the caller ends the line. */
    line.data[line.size - 1] = '\0';
    return (char *)line.data;
}

/* Write the items of a page. Returns whether the stream took them. */
static bool dump_write(const struct cli *cli, FILE *stream, const json_t *items)
{
    size_t i;
    json_t *item;
    json_array_foreach(items, i, item)
    {
        char *line = dump_line(cli, item);
        char *clean = cli->out_is_tty && stream == stdout ? text_clean(line) : NULL;
        fputs(clean != NULL ? clean : line, stream);
        fputc('\n', stream);
        free(clean);
        free(line);
    }
    return !ferror(stream);
}

static int dump_fail(const struct cli *cli, const char *path)
{
    cli_error(cli, "%s can't be written: %s", path != NULL ? path : "standard output",
              strerror(errno));
    return EXIT_USAGE;
}

static int dump_pages(struct cli *cli, FILE *stream, const char *path)
{
    char *cursor = NULL;
    int status;
    do {
        struct pygmy_reply reply = {0};
        dump_ask(cli, cursor, &reply);
        free(cursor);
        cursor = NULL;
        status = cli_wait(cli, &reply);
        if (status != EXIT_DONE)
            break;
        const char *next = json_string_value(json_object_get(reply.body, "next"));
        if (!dump_write(cli, stream, json_object_get(reply.body, "items")))
            status = dump_fail(cli, path);
        else if (next != NULL)
            cursor = alloc_copy(next, strlen(next));
        pygmy_reply_close(&reply);
    } while (cursor != NULL);
    return status;
}

static int dump_to(struct cli *cli, FILE *stream, const char *path)
{
    struct bytes_writer header = {0};
    if (!cli->json) {
        catalog_file_write_header(&header);
        fwrite(header.data, 1, header.size, stream);
        bytes_writer_close(&header);
    }
    return dump_pages(cli, stream, path);
}

static int dump_to_file(struct cli *cli, const char *path)
{
    char *beside = zsys_sprintf("%s.%ld.tmp", path, (long)getpid());
    FILE *stream = fopen(beside, "wb");
    int status = stream == NULL ? dump_fail(cli, path) : dump_to(cli, stream, path);
    bool written = stream != NULL && fflush(stream) == 0 && fsync(fileno(stream)) == 0;
    if (stream != NULL && fclose(stream) != 0)
        written = false;
    if (status == EXIT_DONE && (!written || rename(beside, path) != 0))
        status = dump_fail(cli, path);
    if (status != EXIT_DONE && stream != NULL)
        unlink(beside);
    free(beside);
    return status;
}

static int dump_run(struct cli *cli)
{
    const char *path = cli_operand(cli, 0);
    int status = cli_open(cli);
    if (status != EXIT_DONE)
        return status;
    if (path == NULL || strcmp(path, "-") == 0)
        return dump_to(cli, stdout, NULL);
    return dump_to_file(cli, path);
}

const struct verb verb_dump = {
    .name = "dump",
    .operands = "[FILE]",
    .summary = "write all items as CSV",
    .examples = "  pygmy dump books.csv\n"
                "  pygmy dump | head\n"
                "  pygmy dump --json >items.jsonl\n",
    .notes = "`pygmy import` reads it back: into an empty catalog it makes the same items, into\n"
             "the same catalog it changes nothing. With --json, an item on each line.\n",
    .operand_max = 1,
    .run = dump_run,
};
