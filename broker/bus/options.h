/* The command line of a daemon: one table of long options for all of them.
 *
 * Every program knows --config, --name, --set, --log-level, --check-config,
 * --print-config, --help and --version; it may add rows of its own. The help
 * is made from the same table.
 *
 *   struct options *options;
 *   int status = options_parse(&program, argc, argv, &options);
 *   if (status == OPTIONS_GO_ON)
 *       status = options_load(options, &config, &node);
 *   if (status == OPTIONS_GO_ON)
 *       status = options_read_secret(options, config->secret, &secret);
 *   if (status != OPTIONS_GO_ON)
 *       return status;   // after destroying what there is
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_BUS_OPTIONS_H
#define PYGMY_BUS_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>

#include "broker/bus/config.h"
#include "broker/bus/log.h"

#define OPTIONS_GO_ON (-1) /* no exit status: the program shall run */
#define OPTIONS_USAGE 2    /* exit status of a wrong flag or configuration */

struct option_row {
    const char *name;     /* without "--" */
    const char *argument; /* its name in the help ("FILE"); NULL: a flag without argument */
    const char *help;     /* one line */
};

struct options_program {
    const char *name;    /* "pygmy-broker" */
    const char *summary; /* what it is: one sentence */
    const char *status;  /* a further exit status, for the help; NULL: none */
    enum node_kind kind;
    const struct option_row *rows; /* its own options, or NULL */
    size_t row_count;
};

struct options;

/* Read the command line; --help and --version are answered on standard output, an error is told on
 * standard error. @program is kept. Returns OPTIONS_GO_ON, or the exit status to end with: 0, or
 * OPTIONS_USAGE. @self_p is set in any case. */
int options_parse(const struct options_program *program, int argc, char **argv,
                  struct options **self_p);
void options_destroy(struct options **self_p);

/* How often an option was given. */
size_t options_count(const struct options *self, const char *name);
/* The argument of its occurrence at @index, from 0; the last one at OPTIONS_LAST. NULL: not given
 * so often. */
#define OPTIONS_LAST ((size_t)-1)
const char *options_value(const struct options *self, const char *name, size_t index);

/* Load the configuration that the options name, and find this process in it: the node of --name,
 * or the only one of the program's kind. --check-config and --print-config are answered on standard
 * output, an error is told on standard error.
 *
 * @config  the caller's to destroy; NULL unless OPTIONS_GO_ON is returned
 * @node    within @config
 *
 * Returns as options_parse. */
int options_load(const struct options *self, struct config **config,
                 const struct config_node **node);

/* Read the secret in the file at @path, which the configuration names (config_read_secret), or none
 * if that is NULL. An error is told on standard error: a file that is not as it must be is a wrong
 * configuration, which trying again does not mend.
 *
 * @secret  the caller's to free(); NULL where there is none
 *
 * Returns as options_parse. */
int options_read_secret(const struct options *self, const char *path, char **secret);

#endif
