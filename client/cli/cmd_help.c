/* pygmy help, version, completion: what needs no store.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "client/cli/cli.h"
#include "client/cli/help.h"
#include "client/cli/suggest.h"
#include "client/cli/verbs.h"

static int help_run(struct cli *cli)
{
    const char *name = cli_operand(cli, 0);
    const struct verb *verb = name != NULL ? args_verb(verbs, name) : NULL;
    if (name != NULL && verb == NULL) {
        struct suggest suggest = {.typed = name};
        for (size_t i = 0; verbs[i] != NULL; i++)
            suggest_offer(&suggest, verbs[i]->name);
        return suggest.best != NULL
                   ? cli_usage(cli, "there is no verb \"%s\"; did you mean \"%s\"?", name,
                               suggest.best)
                   : cli_usage(cli, "there is no verb \"%s\"", name);
    }
    help_print(stdout, verbs, verb);
    return EXIT_DONE;
}

static int version_run(struct cli *cli)
{
    if (cli->json) {
        json_t *version = json_pack("{ss}", "version", PYGMY_VERSION);
        cli_print_json(cli, version);
        json_decref(version);
    } else {
        printf("pygmy %s\n", PYGMY_VERSION);
    }
    return EXIT_DONE;
}

static int completion_run(struct cli *cli)
{
    const char *shell = cli_operand(cli, 0);
    if (!help_print_completion(stdout, verbs, shell))
        return cli_usage(cli, "\"%s\" is none of bash, zsh, fish", shell);
    return EXIT_DONE;
}

const struct verb verb_help = {
    .name = "help",
    .operands = "[VERB]",
    .summary = "show help",
    .examples = "  pygmy help\n"
                "  pygmy help buy\n",
    .operand_max = 1,
    .run = help_run,
};

const struct verb verb_version = {
    .name = "version",
    .operands = "",
    .summary = "show the version",
    .examples = "  pygmy version\n",
    .run = version_run,
};

const struct verb verb_completion = {
    .name = "completion",
    .operands = "bash|zsh|fish",
    .summary = "print a completion script for a shell",
    .examples = "  source <(pygmy completion bash)\n"
                "  pygmy completion fish >~/.config/fish/completions/pygmy.fish\n",
    .operand_min = 1,
    .operand_max = 1,
    .run = completion_run,
};
