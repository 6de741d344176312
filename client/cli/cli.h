/* What every verb of `pygmy` works with: options, the store, output, and exit statuses.
 *
 * Results go to standard output, talk to standard error. --json prints the
 * answers of the store as docs/protocol.md has them.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_CLI_CLI_H
#define PYGMY_CLI_CLI_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "client/cli/args.h"
#include "client/cli/table.h"
#include "client/store/loop_end.h"
#include "client/store/pygmy.h"

enum cli_exit {
    EXIT_DONE = 0,
    EXIT_REFUSED = 1,       /* the store has said no */
    EXIT_USAGE = 2,         /* a wrong argument, or a file that can't be used */
    EXIT_UNANSWERED = 3,    /* no answer, or an unknown outcome */
    EXIT_FORBIDDEN = 4,     /* the secret is missing, or the bus refuses us */
    EXIT_INTERRUPTED = 130, /* SIGINT or SIGTERM */
};

/* Money as text: "USD 1234.56". */
#define CLI_MONEY_BYTES 64

struct cli {
    struct args args;
    bool json;
    bool plain;
    bool quiet;
    bool color;      /* on standard output */
    bool out_is_tty; /* standard output */
    bool err_is_tty; /* standard error */
    int64_t timeout_ms;
    size_t cache_entries; /* of the store when it is opened; 0: no cache */
    size_t cache_bytes;
    bool unknown;              /* the last call that failed may have taken effect */
    struct pygmy *store;       /* NULL until cli_open() */
    zloop_t *loop;             /* of cli_open_loop(), else NULL */
    struct loop_end *loop_end; /* ends it */
};

/* The whole of main(). Returns the exit status. */
int cli_main(int argc, char **argv);

/* ---- Arguments ------------------------------------------------------------ */

/* The operand at @index, from 0; NULL when there are not so many. */
const char *cli_operand(const struct cli *self, size_t index);
/* An option's value, NULL when it was not given. */
const char *cli_option(const struct cli *self, const char *name);
/* Whether a flag was given. */
bool cli_flag(const struct cli *self, const char *name);

/* Read a number, @what naming it for an error ("--limit", "ID"). Returns 0, or EXIT_USAGE after
 * having said what is wrong. */
int cli_number(const struct cli *self, const char *what, const char *text, int64_t min, int64_t max,
               int64_t *value);
/* As cli_number() for an option; @value is untouched when it was not given. */
int cli_option_number(const struct cli *self, const char *name, int64_t min, int64_t max,
                      int64_t *value);

/* The key of --key, checked, or NULL. Returns 0 or EXIT_USAGE. */
int cli_key(const struct cli *self, const char **key);

/* The time of --timeout, for a verb that has another one of its own when it was not given. */
int64_t cli_timeout_ms(const struct cli *self, int64_t otherwise_ms);

/* Say what is wrong with the command line. Returns EXIT_USAGE. */
__attribute__((format(printf, 2, 3))) int cli_usage(const struct cli *self, const char *format,
                                                    ...);

/* ---- The store -------------------------------------------------------------- */

/* Open the store with a loop of its own, for verbs that wait. Returns 0 or an exit status. */
int cli_open(struct cli *self);
/* Open it on @self->loop, for verbs that run the loop themselves. */
int cli_open_loop(struct cli *self);

/* Wait for a call. Returns 0 when it succeeded; else an exit status, having told why, and @reply is
 * closed. */
int cli_wait(struct cli *self, struct pygmy_reply *reply);

/* Run the loop until loop_end_now(). Returns 0 or EXIT_INTERRUPTED. */
int cli_run(struct cli *self);

/* Tell what the store has refused. Returns the exit status of its code. */
int cli_refused(const struct cli *self, const struct pygmy_reply *reply);
int cli_exit_of(int code);

/* After a write that was not answered (EXIT_UNANSWERED, EXIT_INTERRUPTED): tell whether it may have
 * been done, and the key that makes its repetition safe. Other statuses say nothing. Returns
 * @status. */
int cli_tell_key(const struct cli *self, int status, const char *key);

/* ---- Output ------------------------------------------------------------------ */

/* A line on standard error: always, and unless --quiet. */
__attribute__((format(printf, 2, 3))) void cli_error(const struct cli *self, const char *format,
                                                     ...);
__attribute__((format(printf, 2, 3))) void cli_notice(const struct cli *self, const char *format,
                                                      ...);

/* One object on one line. */
void cli_print_json(const struct cli *self, const json_t *value);
/* As --plain asks for, or for people. */
void cli_print_table(const struct cli *self, const struct table *table);
/* A line "name  value" of a page for people; @value is cleaned. */
void cli_print_field(const struct cli *self, const char *name, const char *value);

/* Write @cents as text. Returns @text. */
char *cli_money(const char *currency, int64_t cents, char *text);

/* A member of an object: "" or 0 when it is missing or of another type. */
const char *cli_text(const json_t *object, const char *name);
int64_t cli_integer(const json_t *object, const char *name);

#endif
