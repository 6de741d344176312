/* A service by name: its workers and the requests that wait for them, and the table of all.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_BROKER_SERVICE_H
#define PYGMY_BROKER_SERVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "broker/bus/frame.h"
#include "broker/bus/limits.h"
#include "broker/list.h"
#include "broker/queue.h"
#include "broker/ranking.h"

/* What a metric's label says of a service: never what a peer sent. X(name, label) */
#define SERVICE_CLASSES(X)                                                                         \
    X(SERVICE_CATALOG, "catalog")                                                                  \
    X(SERVICE_CATALOG_LEADER, "catalog.leader")                                                    \
    X(SERVICE_CATALOG_LEASES, "catalog.leases")                                                    \
    X(SERVICE_ORDER, "order")                                                                      \
    X(SERVICE_ORDER_LEADER, "order.leader")                                                        \
    X(SERVICE_NODE, "node")                                                                        \
    X(SERVICE_MMI, "mmi")                                                                          \
    X(SERVICE_OTHER, "other")

enum service_class {
#define X(name, label) name,
    SERVICE_CLASSES(X)
#undef X
        SERVICE_CLASS_COUNT
};

struct service {
    char name[SERVICE_NAME_BYTES_MAX + 1];
    struct frame name_frame; /* shared into each message that needs it */
    enum service_class class;
    bool replay_off;     /* the operator's: no request is given to a second worker */
    struct list workers; /* struct peer.service_link */
    size_t worker_count;
    bool had_worker;        /* ever */
    int64_t worker_left_ms; /* when the last one left; 0 while there are any */
    struct ranking ready;
    struct queue queue;
    size_t in_hand_count;       /* requests with workers */
    struct list_link idle_link; /* linked: had workers, now none, nothing waiting or in hand */
};

/* A name of a service: 1 to SERVICE_NAME_BYTES_MAX printable ASCII characters. */
bool service_name_valid(const char *name, size_t size);
enum service_class service_classify(const char *name);
const char *service_class_label(enum service_class class);

struct service_table;

/* @replay_off: names whose services get .replay_off, @replay_off_count of them; copied. */
struct service_table *service_table_new(size_t count_max, const char *const *replay_off,
                                        size_t replay_off_count);
/* Their workers and requests are gone before. Accepts NULL. */
void service_table_destroy(struct service_table **self_p);
size_t service_table_count(const struct service_table *self);

/* The service of that name (valid), or NULL. */
struct service *service_find(const struct service_table *self, const char *name, size_t size);
/* The same, made when there is none; at the bound the one that has been idle longest gives way,
 * unless it had a worker within SERVICE_GRACE_MS of @now_ms. NULL when none may. What it is made
 * for comes next, or service_settle(). */
struct service *service_obtain(struct service_table *self, const char *name, size_t size,
                               int64_t now_ms);
/* Note that it became idle, or did not. To be called after each change of workers and requests. A
 * service that is idle and never had a worker is no more than a name that somebody made up: it is
 * freed. */
void service_settle(struct service_table *self, struct service *service);
/* Whether it has a worker, or had one within SERVICE_GRACE_MS. */
bool service_promising(const struct service *self, int64_t now_ms);
/* Forget those that are idle and no longer promising. */
void service_table_tick(struct service_table *self, int64_t now_ms);
/* One after the other, in no order; NULL at the end. No service may come or go in between. */
struct service *service_first(struct service_table *self);
struct service *service_next(struct service_table *self);

#endif
