/* The text of a configuration: whatever it is, it is read or refused with a line within it, and our
 * reading and zconfig's agree (zconfig is never the one to complain). What is a whole configuration
 * is printed as one that says the same.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "broker/bus/config.h"
#include "broker/bus/config_text.h"
#include "broker/bus/err.h"

enum { PATH_BYTES = 300 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool check_text(const uint8_t *data, size_t size)
{
    struct config_text text;
    size_t line = 0;
    char *why = NULL;
    const bool good = config_text_read(&text, (const char *)data, size, &line, &why) == 0;

    if (!good) {
        assert(line >= 1 && line <= size + 1);
        assert(strcmp(why, "the file could not be understood") != 0);
        free(why);
    }
    config_text_close(&text);
    return good;
}

/* Write it to a file, and load that. */
static int load(const uint8_t *data, size_t size, struct config **config)
{
    const char *folder = getenv("TMPDIR");
    char path[PATH_BYTES];
    char *error = NULL;

    snprintf(path, sizeof path, "%s/pygmy-fuzz-config-XXXXXX", folder != NULL ? folder : "/tmp");
    const int file = mkstemp(path);
    assert(file >= 0);
    const ssize_t written = write(file, data, size);
    assert(written == (ssize_t)size);
    close(file);
    int code = config_load(path, NULL, 0, config, &error);
    assert((code == OK) == (error == NULL));
    free(error);
    unlink(path);
    return code;
}

static void check_printed(const struct config *config)
{
    struct bytes_writer text = {0};
    struct config *again = NULL;

    config_print(config, &text);
    int code = load(text.data, text.size, &again);
    assert(code == OK);
    assert(strcmp(again->uuid, config->uuid) == 0 && again->node_count == config->node_count);
    for (size_t i = 0; i < config->node_count; i++)
        assert(again->nodes[i].kind == config->nodes[i].kind &&
               strcmp(again->nodes[i].name, config->nodes[i].name) == 0);
    config_destroy(&again);
    bytes_writer_close(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct config *config = NULL;

    if (!check_text(data, size) || load(data, size, &config) != OK)
        return 0;
    check_printed(config);
    config_destroy(&config);
    return 0;
}
