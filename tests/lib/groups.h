/* The two groups of a store, each a real replica with its real machine over a real log, in one
 * process and without the bus: whoever calls these functions is the saga.
 *
 * Each write waits until it is durable and applied. Codes are those of broker/bus/err.h.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_TESTS_GROUPS_H
#define PYGMY_TESTS_GROUPS_H

#include <czmq.h>
#include <jansson.h>
#include <stdint.h>

#include "broker/bus/log.h"
#include "services/replica/replica.h"

#define GROUPS_UUID "0123456789abcdef0123456789abcdef"
/* Between two snapshots: more than a whole buy and its cancel leave in a log. */
#define GROUPS_SNAPSHOT_ENTRIES 60

/* ---- The catalog ---- */

struct catalog_group;

/* Returns 0, or what replica_open() returns, with *error the caller's to free(). */
int catalog_group_open(zloop_t *loop, const char *directory, struct log *log,
                       struct catalog_group **self_p, char **error);
/* Accepts NULL. */
void catalog_group_close(struct catalog_group **self_p);

/* A write from its JSON text, in which quotes may be single ones. *body (NULL: nobody asks) is the
 * answer, the caller's. */
int catalog_group_write(struct catalog_group *self, json_t **body, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* What is left of an item; -1 when it is not there. */
int64_t catalog_group_stock(struct catalog_group *self, int64_t id);
/* Items for which initial + moved - sold = stock does not hold. */
int64_t catalog_group_violations(struct catalog_group *self);
/* Grants not settled. */
int64_t catalog_group_unsettled(struct catalog_group *self);
replica_index catalog_group_last_index(const struct catalog_group *self);

/* ---- The orders ---- */

struct order_group;

int order_group_open(zloop_t *loop, const char *directory, struct log *log,
                     struct order_group **self_p, char **error);
/* Accepts NULL. */
void order_group_close(struct order_group **self_p);

/* The number of the order of that key; 0: there is none. */
uint64_t order_group_find(struct order_group *self, const char *key);
/* ORDER of a grant, as the catalog answered a reserve. */
int order_group_order(struct order_group *self, const char *key, const json_t *grant,
                      uint64_t *number);
int order_group_cancelling(struct order_group *self, uint64_t number, const char *key);
int order_group_cancelled(struct order_group *self, uint64_t number);
/* What active orders hold of an item. */
int64_t order_group_sold(struct order_group *self, int64_t id);
uint64_t order_group_active(const struct order_group *self);
replica_index order_group_last_index(const struct order_group *self);

/* ---- Of both ---- */

/* A checksum over all rows that the machine of the replica in that directory holds. */
uint32_t groups_digest(const char *directory);

/* A replica and the loop that it runs in. */
struct one_group {
    zloop_t *loop;
    struct replica *replica;
};

int group_open(struct one_group *self, const char *name, const char *directory, struct log *log,
               const struct replica_machine *machine, char **error);
/* Submit, and run the loop until the callback. Returns its code; *result is then the caller's. */
int group_submit(struct one_group *self, const void *command, size_t size, void **result);

#endif
