/* The rule that makes reads linearizable, see read_index.h: alone here, so that the simulator can put
 * another in its place and show that it is missed.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "services/replica/read_index.h"

bool read_rule_confirmed(size_t confirmed, size_t voters)
{
    return confirmed > voters / 2;
}
