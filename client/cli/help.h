/* Help and completion, made from the tables of verbs and options.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_CLI_HELP_H
#define PYGMY_CLI_HELP_H

#include <stdio.h>

#include "client/cli/args.h"

/* The help of a verb, its examples first; of the program when @verb is NULL. */
void help_print(FILE *file, const struct verb *const *verbs, const struct verb *verb);

/* A completion script for "bash", "zsh" or "fish". Returns whether there is one. */
bool help_print_completion(FILE *file, const struct verb *const *verbs, const char *shell);

#endif
