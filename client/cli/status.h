/* The state of a cluster as one word and one sentence, from what its processes say.
 *
 * Pure.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_CLI_STATUS_H
#define PYGMY_CLI_STATUS_H

#include <jansson.h>

enum status_verdict {
    STATUS_HEALTHY,     /* all processes are there and well */
    STATUS_DEGRADED,    /* the store works, but something is missing or lags */
    STATUS_NO_MAJORITY, /* a group of replicas has no leader, or no majority that answers */
};

/* "healthy", "degraded", "no majority". */
const char *status_verdict_name(enum status_verdict verdict);

/* A process's row: what it says of itself, or, when @answer is NULL, that nothing is known of it:
 * state "unknown", the rest null. A replica's has also "members", who belongs to its group: a
 * majority is one of those that have a vote, and not of the configuration's nodes. */
json_t *status_row(const char *name, const char *kind, const json_t *answer);

/* Say of each replica how far it lags behind the leader of its group: the entries that this one has
 * committed and that one has not applied, where a leader answers. What a replica says itself may be
 * less: it doesn't know what it hasn't heard. */
void status_compare(json_t *rows);

/* The verdict on an array of such rows. */
enum status_verdict status_verdict_of(const json_t *rows);

/* The verdict with its reasons, one sentence for people, the caller's to free(). */
char *status_sentence(const json_t *rows);

#endif
