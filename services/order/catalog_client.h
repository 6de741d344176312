/* The order service's calls to the catalog, over the bus.
 *
 * Each call is answered exactly once, by the one callback, with the call's own
 * number: from the loop later, or at once when it can't even be sent.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_ORDER_CATALOG_CLIENT_H
#define PYGMY_ORDER_CATALOG_CLIENT_H

#include <czmq.h>
#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#include "broker/bus/log.h"
#include "services/order/sale.h"

struct catalog_client;

enum catalog_call { CATALOG_RESERVE, CATALOG_UNDO, CATALOG_SETTLE, CATALOG_CLOSE, CATALOG_SCAN };

/* @number  as it was given to the call
 * @code    OK or an error of err.h. An answer that can't be understood is ERR_UNKNOWN
 * @body    the answer, or {"error": {...}}; NULL when there is none. Borrowed */
typedef void catalog_done_fn(void *arg, enum catalog_call call, uint64_t number, int code,
                             const json_t *body);

struct catalog_client_options {
    const char *name;             /* of this process; copied */
    const char *const *endpoints; /* of the brokers; copied */
    size_t endpoint_count;
    const char *secret; /* the cluster's, or NULL; copied */
    struct log *log;
    catalog_done_fn *done;
    void *arg;
};

struct catalog_client *catalog_client_new(zloop_t *loop,
                                          const struct catalog_client_options *options);
/* Calls under way are dropped without a callback. Accepts NULL. */
void catalog_client_destroy(struct catalog_client **self_p);

void catalog_client_reserve(struct catalog_client *self, uint64_t number, const char *key,
                            int64_t stamp, const struct basket *basket);
void catalog_client_undo(struct catalog_client *self, uint64_t number, const char *key,
                         int64_t stamp, const struct basket *basket);
void catalog_client_settle(struct catalog_client *self, uint64_t number, char *const *keys,
                           size_t count);
void catalog_client_close(struct catalog_client *self, uint64_t number, char *const *keys,
                          size_t count);
/* Grants not settled and releases not closed that are SCAN_OLDER_MS old. */
void catalog_client_scan(struct catalog_client *self, uint64_t number);

#endif
