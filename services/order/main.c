/* pygmy-order: a replica of the order service.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "services/order/operations.h"

int main(int argc, char **argv)
{
    return node_main(&order_service, argc, argv);
}
