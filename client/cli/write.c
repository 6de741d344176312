/* Verbs that change one thing.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "client/cli/write.h"

int write_run(const struct write *self)
{
    struct cli *cli = self->cli;
    struct pygmy_reply reply = {0};
    char made[PYGMY_KEY_BYTES];
    const char *key;
    int status = cli_key(cli, &key);
    if (status == EXIT_DONE)
        status = cli_open(cli);
    if (status != EXIT_DONE) {
        json_decref(self->fields);
        return status;
    }
    if (key == NULL) {
        pygmy_key_make(made);
        key = made;
    }
    self->ask(self, key, pygmy_keep, &reply);
    status = cli_wait(cli, &reply);
    if (status == EXIT_DONE && cli->json)
        cli_print_json(cli, reply.body);
    else if (status == EXIT_DONE && self->show != NULL)
        self->show(self, reply.body);
    pygmy_reply_close(&reply);
    return cli_tell_key(cli, status, key);
}
