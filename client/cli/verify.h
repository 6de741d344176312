/* Whether the replicas of each group hold the same, and whether what must add up does: from what
 * they say of themselves (docs/protocol.md, "Nodes").
 *
 * Pure.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_CLI_VERIFY_H
#define PYGMY_CLI_VERIFY_H

#include <jansson.h>

enum verify_verdict {
    VERIFY_EQUAL,   /* all replicas hold the same, and everything adds up */
    VERIFY_DIFFERS, /* a replica differs, or something does not add up on it */
    VERIFY_UNKNOWN, /* nothing of that was seen, but not everything could be compared */
};

/* "equal", "differs", "unknown". */
const char *verify_verdict_name(enum verify_verdict verdict);

/* A replica's row: {"name", "kind", "applied_index", "compared_index", "digest", "state", "items",
 * "violations", "conserved"}, the comparison not made yet. @kind: "catalog" or "order".
 *
 * @digest, @audit  answers to these operations, or NULL */
json_t *verify_row(const char *name, const char *kind, const json_t *digest, const json_t *audit);

/* Compare the replicas of each kind, at the highest index that all of those that answered know a
 * digest of: sets compared_index and digest (null: there is none), and state: "equal", "differs"
 * (from a majority of the configured replicas; all do where there is none) or "unknown", as is one
 * that is alone in answering. */
void verify_compare(json_t *rows);

/* The verdict on rows that were compared. */
enum verify_verdict verify_verdict_of(const json_t *rows);

/* The verdict with its reasons, one sentence for people, the caller's to free(). */
char *verify_sentence(const json_t *rows);

#endif
