/* The command line: verbs, each with a table of options, from which parsing, help and completion
 * are made.
 *
 * Pure. Options that all verbs know may stand before or after the verb; a
 * verb's own stand after it. `--name=value` and `--name value` are the same;
 * `--` ends the options; an argument like -3 is a number, not an option.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_CLI_ARGS_H
#define PYGMY_CLI_ARGS_H

#include <stdbool.h>
#include <stddef.h>

/* Options of one verb; the table of each is checked against it. */
#define ARGS_OPTIONS_MAX 16
#define ARGS_ERROR_BYTES 256

struct cli;

struct args_option {
    const char *name;  /* without "--"; NULL ends a table */
    const char *value; /* what it takes ("FILE"); NULL: a flag */
    const char *help;  /* one line */
};

struct verb {
    const char *name;
    const char *operands;              /* as in a usage line: "ID[:QUANTITY]..." */
    const char *summary;               /* one line, no full stop */
    const char *examples;              /* lines, each with its end of line */
    const char *notes;                 /* further paragraphs, or NULL */
    const struct args_option *options; /* its own, or NULL */
    size_t operand_min;
    size_t operand_max;
    int (*run)(struct cli *cli); /* returns the exit status */
};

/* The options that every verb knows. */
extern const struct args_option args_common[];

struct args {
    const struct verb *verb; /* NULL: none was given */
    bool help;               /* --help or -h */
    bool version;            /* --version */
    const char
        *common[ARGS_OPTIONS_MAX];     /* by place in args_common; "" for a flag that was given */
    const char *own[ARGS_OPTIONS_MAX]; /* by place in the verb's options */
    char **operands;                   /* within argv, which is reordered */
    size_t operand_count;
    char error[ARGS_ERROR_BYTES];
};

/* Read @argv, with @verbs a table that a NULL ends. Returns whether it is well-formed: else @self
 * has an error (a sentence), and the verb when it got that far. */
bool args_parse(struct args *self, const struct verb *const *verbs, int argc, char **argv);

/* The value of an option, "" for a flag; NULL when it was not given. @name is in a table. */
const char *args_value(const struct args *self, const char *name);

/* The verb of that name, or NULL. */
const struct verb *args_verb(const struct verb *const *verbs, const char *name);

#endif
