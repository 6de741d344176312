/* The table of verbs: one source each, cmd_NAME.c.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_CLI_VERBS_H
#define PYGMY_CLI_VERBS_H

#include "client/cli/args.h"

extern const struct verb verb_lookup;
extern const struct verb verb_search;
extern const struct verb verb_buy;
extern const struct verb verb_order;
extern const struct verb verb_orders;
extern const struct verb verb_cancel;
extern const struct verb verb_restock;
extern const struct verb verb_items;
extern const struct verb verb_import;
extern const struct verb verb_dump;
extern const struct verb verb_watch;
extern const struct verb verb_status;
extern const struct verb verb_verify;
extern const struct verb verb_cluster;
extern const struct verb verb_ping;
extern const struct verb verb_bench;
extern const struct verb verb_completion;
extern const struct verb verb_version;
extern const struct verb verb_help;

/* All of them, in the order of the help; NULL ends it. */
extern const struct verb *const verbs[];

#endif
