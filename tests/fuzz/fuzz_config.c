/* Fuzzes the text of a configuration: whatever it is, it is read or refused with a line within it,
 * and our reading and zconfig's agree (zconfig is never the one to complain).
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "broker/bus/config_text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct config_text text;
    size_t line = 0;
    char *why = NULL;

    if (config_text_read(&text, (const char *)data, size, &line, &why) != 0) {
        if (line < 1 || line > size + 1 || strcmp(why, "the file could not be understood") == 0)
            abort();
        free(why);
    }
    config_text_close(&text);
    return 0;
}
