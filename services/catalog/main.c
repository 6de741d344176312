/* pygmy-catalog: one replica of the catalog.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "services/catalog/operations.h"

int main(int argc, char **argv)
{
    return node_main(&operations_service, argc, argv);
}
