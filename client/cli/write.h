/* Verbs that change one thing: key, call, answer.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_CLI_WRITE_H
#define PYGMY_CLI_WRITE_H

#include "client/cli/cli.h"

/* The option of such a verb. */
#define WRITE_OPTION_KEY                                                                           \
    {                                                                                              \
        "key", "KEY", "the idempotency key; one is made otherwise"                                 \
    }

/* A write to be made. */
struct write {
    struct cli *cli;
    /* Start the call with @key. */
    void (*ask)(const struct write *self, const char *key, pygmy_done_fn *done, void *arg);
    /* Show the answer to people and with --plain; NULL: nothing to show. */
    void (*show)(const struct write *self, const json_t *body);
    int64_t id;         /* for ask() and show(): of what is changed */
    int64_t change;     /* for ask() */
    const char *reason; /* for ask() */
    json_t *fields;     /* for ask(), which takes it over */
};

/* Open the store, make the write, show its answer. Returns an exit status, having told what was
 * refused, and the key if the outcome is unknown. */
int write_run(const struct write *self);

#endif
