/* The bridge: what its parts share. Made and ended in main.c.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_BRIDGE_BRIDGE_H
#define PYGMY_BRIDGE_BRIDGE_H

#include <czmq.h>
#include <stdbool.h>
#include <stddef.h>

#include "broker/bus/config.h"
#include "broker/bus/log.h"
#include "broker/bus/metrics.h"
#include "client/bridge/cache_stats.h"
#include "client/bridge/http_server.h"
#include "client/bridge/node_service.h"
#include "client/bridge/readiness.h"
#include "client/store/pygmy.h"

struct bridge {
    const struct config *config;
    const struct config_node *node; /* this process */
    zloop_t *loop;
    struct log *log;
    struct metrics *metrics;
    struct pygmy *store;
    struct cache_stats *cache_stats;
    struct http_server *server;
    struct node_service *service;
    struct readiness *readiness;
    struct dispatch *dispatch;
    char *secret;       /* the cluster's, or NULL */
    char *admin_token;  /* or NULL: nobody is the admin */
    const char **hosts; /* names accepted in Host */
    size_t host_count;
    char *host_names; /* what they point into */
    bool draining;    /* about to end */
    int64_t drain_ms; /* since when */
};

#endif
