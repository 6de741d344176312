/* What the broker says of itself: the answers of its service node.NAME.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_BROKER_STATUS_H
#define PYGMY_BROKER_STATUS_H

#include <stddef.h>
#include <stdint.h>

#include "broker/bus/bytes.h"
#include "broker/bus/metrics.h"
#include "broker/outbox.h"
#include "broker/relay.h"
#include "broker/router.h"

struct status;

struct status_options {
    const char *name;        /* of the broker; copied */
    struct metrics *metrics; /* the series are made in it; lives longer */
    struct router *router;   /* lives longer, as do the next two */
    struct outbox *outbox;
    struct relay *relay; /* or NULL */
};

struct status *status_new(const struct status_options *options);
/* Accepts NULL. */
void status_destroy(struct status **self_p);

/* Answer a request's JSON body ({"op": "status"}, "metrics" or "ping") into @answer, JSON as well.
 * Returns OK, ERR_MALFORMED, ERR_INVALID or ERR_NOT_IMPLEMENTED, which is also what the answer
 * says. */
int status_answer(struct status *self, const void *body, size_t size, int64_t now_ms,
                  struct bytes_writer *answer);

#endif
