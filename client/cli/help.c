/* Help and completion.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "client/cli/help.h"

#include <stdio.h>
#include <string.h>

#define OPTION_COLUMNS 26

static void help_options(FILE *file, const struct args_option *option)
{
    for (; option != NULL && option->name != NULL; option++) {
        char left[64];
        snprintf(left, sizeof left, "--%s%s%s", option->name, option->value != NULL ? " " : "",
                 option->value != NULL ? option->value : "");
        fprintf(file, "  %-*s %s\n", OPTION_COLUMNS, left, option->help);
    }
}

static void help_verb(FILE *file, const struct verb *verb)
{
    fprintf(file, "pygmy %s: %s.\n\nExamples:\n%s", verb->name, verb->summary, verb->examples);
    fprintf(file, "\nUsage: pygmy %s%s%s [OPTION]...\n", verb->name,
            *verb->operands != '\0' ? " " : "", verb->operands);
    if (verb->notes != NULL)
        fprintf(file, "\n%s", verb->notes);
    if (verb->options != NULL) {
        fputs("\nOptions:\n", file);
        help_options(file, verb->options);
    }
    fputs("\nOptions of every verb:\n", file);
    help_options(file, args_common);
}

static void help_program(FILE *file, const struct verb *const *verbs)
{
    fputs("pygmy: a store that does not oversell, from the command line.\n"
          "\n"
          "Examples:\n"
          "  pygmy search --topic classics\n"
          "  pygmy lookup 20001\n"
          "  pygmy buy 20001 --quantity 2\n"
          "  pygmy status\n"
          "\n"
          "Usage: pygmy VERB [ARGUMENT]... [OPTION]...\n"
          "\n"
          "Verbs (pygmy help VERB says more):\n",
          file);
    for (; *verbs != NULL; verbs++)
        fprintf(file, "  %-12s %s\n", (*verbs)->name, (*verbs)->summary);
    fputs("\nOptions of every verb, before or after it:\n", file);
    help_options(file, args_common);
    fputs("\nExit status: 0 done, 1 refused by the store, 2 wrong usage or an unusable file,\n"
          "3 no answer or an unknown outcome, 4 not permitted, 130 interrupted.\n",
          file);
}

void help_print(FILE *file, const struct verb *const *verbs, const struct verb *verb)
{
    if (verb != NULL)
        help_verb(file, verb);
    else
        help_program(file, verbs);
}

/* ---- Completion ---------------------------------------------------------------- */

static void completion_names(FILE *file, const struct args_option *option)
{
    for (; option != NULL && option->name != NULL; option++)
        fprintf(file, " --%s", option->name);
}

/* A shell function with the words that may stand at the cursor, for bash; zsh runs it as well. */
static void completion_bash(FILE *file, const struct verb *const *verbs)
{
    fputs("_pygmy() {\n"
          "    local word verb= words i\n"
          "    word=${COMP_WORDS[COMP_CWORD]}\n"
          "    case ${COMP_WORDS[COMP_CWORD-1]} in --config) compopt -o default; return ;; esac\n"
          "    for ((i = 1; i < COMP_CWORD; i++)); do\n"
          "        case ${COMP_WORDS[i]} in -*) ;; *) verb=${COMP_WORDS[i]}; break ;; esac\n"
          "    done\n"
          "    case $verb in\n"
          "    '') words='",
          file);
    for (size_t i = 0; verbs[i] != NULL; i++)
        fprintf(file, "%s ", verbs[i]->name);
    fputs("' ;;\n", file);
    for (size_t i = 0; verbs[i] != NULL; i++) {
        fprintf(file, "    %s) words='", verbs[i]->name);
        completion_names(file, verbs[i]->options);
        fputs("' ;;\n", file);
    }
    fputs("    esac\n    words=\"$words", file);
    completion_names(file, args_common);
    fputs("\"\n"
          "    COMPREPLY=($(compgen -W \"$words\" -- \"$word\"))\n"
          "    case $verb in import|dump) [[ $word = -* ]] || compopt -o default ;; esac\n"
          "}\n"
          "complete -F _pygmy pygmy\n",
          file);
}

/* Help lines hold apostrophes, which end fish's quotes unless they are escaped. */
static void completion_quote(FILE *file, const char *text)
{
    fputc('\'', file);
    for (; *text != '\0'; text++) {
        if (*text == '\'' || *text == '\\')
            fputc('\\', file);
        fputc(*text, file);
    }
    fputc('\'', file);
}

static void completion_fish_option(FILE *file, const struct verb *verb,
                                   const struct args_option *option)
{
    fputs("complete -c pygmy", file);
    if (verb != NULL)
        fprintf(file, " -n '__fish_seen_subcommand_from %s'", verb->name);
    fprintf(file, " -l %s%s -d ", option->name, option->value != NULL ? " -r" : "");
    completion_quote(file, option->help);
    fputc('\n', file);
}

static void completion_fish(FILE *file, const struct verb *const *verbs)
{
    for (size_t i = 0; verbs[i] != NULL; i++) {
        fprintf(file, "complete -c pygmy -n __fish_use_subcommand -f -a %s -d ", verbs[i]->name);
        completion_quote(file, verbs[i]->summary);
        fputc('\n', file);
        const struct args_option *option = verbs[i]->options;
        for (; option != NULL && option->name != NULL; option++)
            completion_fish_option(file, verbs[i], option);
    }
    for (const struct args_option *option = args_common; option->name != NULL; option++)
        completion_fish_option(file, NULL, option);
}

bool help_print_completion(FILE *file, const struct verb *const *verbs, const char *shell)
{
    if (strcmp(shell, "fish") == 0) {
        completion_fish(file, verbs);
    } else if (strcmp(shell, "bash") == 0) {
        completion_bash(file, verbs);
    } else if (strcmp(shell, "zsh") == 0) {
        fputs("autoload -U +X bashcompinit && bashcompinit\n", file);
        completion_bash(file, verbs);
    } else {
        return false;
    }
    return true;
}
