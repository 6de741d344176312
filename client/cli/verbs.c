/* The table of verbs.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "client/cli/verbs.h"

#include <stddef.h>

const struct verb *const verbs[] = {
    &verb_lookup, &verb_search,     &verb_buy,     &verb_order,   &verb_orders,
    &verb_cancel, &verb_restock,    &verb_items,   &verb_import,  &verb_dump,
    &verb_watch,  &verb_status,     &verb_verify,  &verb_cluster, &verb_ping,
    &verb_bench,  &verb_completion, &verb_version, &verb_help,    NULL,
};
