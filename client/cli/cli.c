/* What every verb works with.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "client/cli/cli.h"

#include <inttypes.h>
#include <locale.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "broker/bus/err.h"
#include "broker/bus/key.h"
#include "broker/bus/limits.h"
#include "client/cli/help.h"
#include "client/cli/number.h"
#include "client/cli/text.h"
#include "client/cli/verbs.h"

/* Of what is measured; the store has only whole numbers. */
#define REAL_DIGITS 9

/* ---- Output ------------------------------------------------------------------ */

/* A line on standard error, with the verb before it and no control characters in it. */
static void cli_say(const struct cli *self, const char *format, va_list args)
{
    char *text = zsys_vprintf(format, args);
    char *clean = text_clean(text);
    if (self->args.verb != NULL)
        fprintf(stderr, "pygmy %s: %s\n", self->args.verb->name, clean);
    else
        fprintf(stderr, "pygmy: %s\n", clean);
    free(clean);
    free(text);
}

void cli_error(const struct cli *self, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    cli_say(self, format, args);
    va_end(args);
}

void cli_notice(const struct cli *self, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    if (!self->quiet)
        cli_say(self, format, args);
    va_end(args);
}

void cli_print_json(const struct cli *self, const json_t *value)
{
    char *text =
        json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY | JSON_REAL_PRECISION(REAL_DIGITS));
    if (text == NULL)
        abort();
    /* jansson escapes the old control characters and leaves the others, which a terminal obeys. */
    char *clean = self->out_is_tty ? text_clean(text) : NULL;
    puts(clean != NULL ? clean : text);
    free(clean);
    free(text);
}

void cli_print_table(const struct cli *self, const struct table *table)
{
    if (self->plain)
        table_print_plain(table, stdout);
    else
        table_print(table, stdout, self->color);
}

void cli_print_field(const struct cli *self, const char *name, const char *value)
{
    char *clean = text_clean(value);
    printf("%s%-9s%s  %s\n", self->color ? "\033[2m" : "", name, self->color ? "\033[0m" : "",
           clean);
    free(clean);
}

char *cli_money(const char *currency, int64_t cents, char *text)
{
    uint64_t size = cents < 0 ? (uint64_t)0 - (uint64_t)cents : (uint64_t)cents;
    snprintf(text, CLI_MONEY_BYTES, "%.16s %s%" PRIu64 ".%02d", currency, cents < 0 ? "-" : "",
             size / 100, (int)(size % 100));
    return text;
}

const char *cli_text(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));
    return text != NULL ? text : "";
}

int64_t cli_integer(const json_t *object, const char *name)
{
    return json_integer_value(json_object_get(object, name));
}

/* ---- Arguments ------------------------------------------------------------ */

int cli_usage(const struct cli *self, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    cli_say(self, format, args);
    va_end(args);
    fprintf(stderr, "See: pygmy help%s%s\n", self->args.verb != NULL ? " " : "",
            self->args.verb != NULL ? self->args.verb->name : "");
    return EXIT_USAGE;
}

const char *cli_operand(const struct cli *self, size_t index)
{
    return index < self->args.operand_count ? self->args.operands[index] : NULL;
}

const char *cli_option(const struct cli *self, const char *name)
{
    return args_value(&self->args, name);
}

bool cli_flag(const struct cli *self, const char *name)
{
    return args_value(&self->args, name) != NULL;
}

int cli_number(const struct cli *self, const char *what, const char *text, int64_t min, int64_t max,
               int64_t *value)
{
    char why[NUMBER_WHY_BYTES];
    if (number_read(text, min, max, value))
        return EXIT_DONE;
    return cli_usage(self, "%s \"%s\" %s", what, text, number_why(text, min, max, why));
}

int cli_option_number(const struct cli *self, const char *name, int64_t min, int64_t max,
                      int64_t *value)
{
    char what[32];
    const char *text = cli_option(self, name);
    if (text == NULL)
        return EXIT_DONE;
    snprintf(what, sizeof what, "--%s", name);
    return cli_number(self, what, text, min, max, value);
}

int cli_key(const struct cli *self, const char **key)
{
    *key = cli_option(self, "key");
    if (*key == NULL || key_valid(*key, strlen(*key)))
        return EXIT_DONE;
    return cli_usage(self, "--key must be 1 to %d visible ASCII characters", KEY_BYTES_MAX);
}

int64_t cli_timeout_ms(const struct cli *self, int64_t otherwise_ms)
{
    return cli_option(self, "timeout") != NULL ? self->timeout_ms : otherwise_ms;
}

/* ---- The store -------------------------------------------------------------- */

static int cli_open_on(struct cli *self, zloop_t *loop)
{
    char *error = NULL;
    int code = pygmy_open(&(struct pygmy_options){.loop = loop,
                                                  .config = cli_option(self, "config"),
                                                  .timeout_ms = self->timeout_ms,
                                                  .cache_entries = self->cache_entries,
                                                  .cache_bytes = self->cache_bytes},
                          &self->store, &error);
    if (code == OK)
        return EXIT_DONE;
    cli_error(self, "%s", error);
    free(error);
    return EXIT_USAGE;
}

int cli_open(struct cli *self)
{
    return cli_open_on(self, NULL);
}

int cli_open_loop(struct cli *self)
{
    self->loop = zloop_new();
    self->loop_end = loop_end_new(self->loop);
    return cli_open_on(self, self->loop);
}

int cli_run(struct cli *self)
{
    /* 0: a signal, which may be one that means nothing to us; -1: loop_end_now(). */
    while (zloop_start(self->loop) == 0)
        if (zsys_interrupted)
            return EXIT_INTERRUPTED;
    return EXIT_DONE;
}

int cli_exit_of(int code)
{
    if (code == OK)
        return EXIT_DONE;
    if (code == ERR_FORBIDDEN || code == ERR_UNAUTHORIZED || code == ERR_REFUSED)
        return EXIT_FORBIDDEN;
    if (err_is_unknown(code) || err_is_retryable(code))
        return EXIT_UNANSWERED;
    return EXIT_REFUSED;
}

int cli_refused(const struct cli *self, const struct pygmy_reply *reply)
{
    const json_t *error = json_object_get(reply->body, "error");
    const char *title = cli_text(error, "title");
    const char *detail = cli_text(error, "detail");
    if (self->json)
        cli_print_json(self, reply->body);
    cli_error(self, "%s%s%s", *title != '\0' ? title : err_title(reply->code),
              *detail != '\0' ? ": " : "", detail);
    return cli_exit_of(reply->code);
}

int cli_wait(struct cli *self, struct pygmy_reply *reply)
{
    int code = pygmy_wait(self->store, reply);
    self->unknown = err_is_unknown(code);
    if (!reply->done)
        return EXIT_INTERRUPTED;
    if (reply->code == OK)
        return EXIT_DONE;
    int status = cli_refused(self, reply);
    pygmy_reply_close(reply);
    return status;
}

int cli_tell_key(const struct cli *self, int status, const char *key)
{
    if (status == EXIT_UNANSWERED || status == EXIT_INTERRUPTED)
        cli_error(self, "%s; it takes effect at most once when it is repeated with --key %s",
                  self->unknown ? "it may have been done or not" : "nothing was done", key);
    return status;
}

/* ---- The program -------------------------------------------------------------- */

static int cli_set_up(struct cli *self)
{
    const char *terminal = getenv("TERM");
    const char *no_color = getenv("NO_COLOR");
    const char *timeout = cli_option(self, "timeout");
    self->json = cli_flag(self, "json");
    self->plain = cli_flag(self, "plain");
    self->quiet = cli_flag(self, "quiet");
    self->out_is_tty = isatty(STDOUT_FILENO) == 1;
    self->err_is_tty = isatty(STDERR_FILENO) == 1;
    self->color = self->out_is_tty && !cli_flag(self, "no-color") &&
                  (no_color == NULL || *no_color == '\0') &&
                  (terminal == NULL || strcmp(terminal, "dumb") != 0);
    self->timeout_ms = CALL_TIMEOUT_MS;
    if (self->json && self->plain)
        return cli_usage(self, "--json and --plain exclude each other");
    if (timeout != NULL &&
        !number_read_duration(timeout, 1, REQUEST_DEADLINE_MS_MAX, &self->timeout_ms))
        return cli_usage(self, "--timeout \"%s\" is no time from 1ms to %dm, such as 5, 500ms, 2m",
                         timeout, REQUEST_DEADLINE_MS_MAX / 60000);
    return EXIT_DONE;
}

static int cli_run_verb(struct cli *self)
{
    if (self->args.version) {
        printf("pygmy %s\n", PYGMY_VERSION);
        return EXIT_DONE;
    }
    if (self->args.help) {
        help_print(stdout, verbs, self->args.verb);
        return EXIT_DONE;
    }
    if (self->args.verb == NULL) {
        help_print(stderr, verbs, NULL);
        return EXIT_USAGE;
    }
    int status = cli_set_up(self);
    return status == EXIT_DONE ? self->args.verb->run(self) : status;
}

/* What could not be written was not done: a dump onto a full disk must not look like one. */
static int cli_flush(const struct cli *self, int status)
{
    if (fflush(stdout) == 0 && !ferror(stdout))
        return status;
    if (status != EXIT_DONE)
        return status;
    cli_error(self, "standard output can't be written");
    return EXIT_USAGE;
}

int cli_main(int argc, char **argv)
{
    struct cli self = {0};
    /* Only for the widths of characters: text is UTF-8 whatever the user's locale. */
    setlocale(LC_CTYPE, "C.UTF-8");
    int status = args_parse(&self.args, verbs, argc, argv)
                     ? cli_run_verb(&self)
                     : cli_usage(&self, "%s", self.args.error);
    pygmy_close(&self.store);
    loop_end_destroy(&self.loop_end);
    zloop_destroy(&self.loop);
    return cli_flush(&self, status);
}
