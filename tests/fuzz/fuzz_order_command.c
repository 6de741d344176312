/* The commands of the order log from any bytes: refused, or within all bounds.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#include "broker/bus/err.h"
#include "services/order/command.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct order_command command;
    int code = order_command_read(&command, data, size);

    assert(code == OK || code == ERR_VERSION || code == ERR_CORRUPT);
    if (code == OK && command.kind == COMMAND_ORDER)
        assert(command.basket.count >= 1 && command.basket.count <= ORDER_LINES_MAX);
    if (code == OK && command.kind != COMMAND_ORDER)
        assert(command.number >= 1);
    order_command_close(&command);
    return 0;
}
