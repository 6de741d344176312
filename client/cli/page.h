/* Lists that come in pages: one page, or all of them.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_CLI_PAGE_H
#define PYGMY_CLI_PAGE_H

#include "client/cli/cli.h"

/* The options of a verb with pages. */
// clang-format off
#define PAGE_OPTION_LIMIT {"limit", "N", "rows of a page, 1 to 500 (50)"}
#define PAGE_OPTION_CURSOR {"cursor", "CURSOR", "go on from there"}
#define PAGE_OPTION_ALL {"all", NULL, "all pages; with --json one row on each line"}
// clang-format on

struct page {
    struct cli *cli;
    const char *list; /* the answer's member that is the list: "items" */
    /* Start the call of a page; @cursor NULL: the first. */
    void (*ask)(struct cli *cli, const char *cursor, int limit, pygmy_done_fn *done, void *arg);
    /* Take in the rows of a page. */
    void (*add)(void *arg, const json_t *rows);
    void *arg;
    bool more; /* set in the end: there are further pages that were not asked for */
};

/* Ask for what the options say. Answers are printed here with --json, and given to add()
 * otherwise. Opens the store. Returns an exit status, having told what was refused. */
int page_run(struct page *self);

#endif
