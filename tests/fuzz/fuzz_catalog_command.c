/* The reader of the catalog's commands: no input breaks it, and what it accepts is written back as
 * the same bytes.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "services/catalog/command.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes_writer again = {0};
    struct command command;

    if (command_decode(&command, data, size) != 0)
        return 0;
    command_encode(&command, &again);
    if (again.size != size || memcmp(again.data, data, size) != 0)
        abort();
    command_close(&command);
    bytes_writer_close(&again);
    return 0;
}
