/* The cluster's configuration: one ZPL file, the same for every process.
 *
 *   cluster
 *       uuid = 6f1c...              # 32 hexadecimal digits
 *       secret = cluster.secret     # files are relative to this file's folder
 *       admin_token = admin.token
 *       election_ms = 150           # of the replicas' consensus; optional
 *       heartbeat_ms = 15
 *       snapshot_entries = 20000    # of a replica's log, between two snapshots; optional
 *   brokers
 *       broker-1
 *           bus = tcp://127.0.0.1:8090
 *           subscribe = tcp://127.0.0.1:8100
 *           publish = tcp://127.0.0.1:8110
 *   catalogs
 *       catalog-1
 *           id = 1
 *           data = catalog-1
 *           peer = tcp://127.0.0.1:8120
 *           snapshots = tcp://127.0.0.1:8130
 *   orders                          # as catalogs
 *   bridges
 *       bridge-1
 *           http = 127.0.0.1:8080
 *           hosts = store.example   # further names accepted in Host, blank-separated; optional
 *           cache_entries = 10000   # items and topics kept in memory; 0: none; optional
 *           cache_bytes = 16000000
 *
 * All keys, with their defaults, are in the tables of config.c; docs/operations.md shows them with
 * their ranges. Unknown keys, wrong values and doubled names are errors that name the line.
 *
 * Precedence: a flag (--set cluster/log_level=debug, --set bridges/bridge-1/http=127.0.0.1:80) over
 * the environment (PYGMY_CLUSTER_LOG_LEVEL, PYGMY_BRIDGES_BRIDGE_1_HTTP; an empty one counts as not
 * set) over the file over the default. Flags and environment change nodes of the file, and add
 * none.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_BUS_CONFIG_H
#define PYGMY_BUS_CONFIG_H

#include <stddef.h>
#include <stdint.h>

#include "broker/bus/bytes.h"

enum node_kind { NODE_BROKER, NODE_CATALOG, NODE_ORDER, NODE_BRIDGE };

struct config_node {
    enum node_kind kind;
    char *name;      /* "catalog-1" */
    uint64_t id;     /* replicas: unique in the group, from 1; else 0 */
    char *bus;       /* brokers: where workers and clients connect */
    char *subscribe; /* brokers: feed out (XPUB); NULL: none */
    char *publish;   /* brokers: feed in (XSUB); NULL: none */
    char *data;      /* replicas: absolute path of the data directory */
    char *peer;      /* replicas: own PUB socket */
    char *snapshots; /* replicas: own ROUTER of the snapshot channel */
    /* Where the node listens for those who connect to the above: the same, unless it was set. */
    char *bus_bind;
    char *peer_bind;
    char *snapshots_bind;
    char *http;             /* bridges: ADDRESS:PORT */
    char *hosts;            /* bridges: further accepted names, or NULL */
    unsigned cache_entries; /* bridges: what is kept in memory under a lease; 0: nothing */
    unsigned cache_bytes;   /* bridges: its keys and values */
};

struct config {
    char *path;                /* of the file, absolute */
    char *uuid;                /* of the cluster */
    char *secret;              /* the secret's file, absolute path, or NULL */
    char *admin_token;         /* the token's file, absolute path, or NULL */
    char *log_level;           /* "info" unless set */
    unsigned election_ms;      /* of the replicas' consensus: ELECTION_MS unless set */
    unsigned heartbeat_ms;     /* ELECTION_BEAT_MS unless set; at most a third of the above */
    unsigned snapshot_entries; /* SNAPSHOT_ENTRIES unless set */
    size_t node_count;
    struct config_node *nodes; /* in the order of the file */
    size_t setting_count;
    struct config_setting *settings; /* every value with its origin, for config_print() */
};

/* Find and read the configuration.
 *
 * @path   of the file; NULL: PYGMY_CONFIG, else the default place
 *         ($XDG_STATE_HOME or $HOME/.local/state, then pygmy/cluster.conf)
 * @sets   flags "section/key=value", @set_count of them
 * @error  on failure a sentence with file and line, the caller's to free()
 *
 * Returns 0, ERR_STORAGE (no such file, unreadable) or ERR_INVALID. */
int config_load(const char *path, const char *const *sets, size_t set_count, struct config **self_p,
                char **error);
void config_destroy(struct config **self_p);

/* The node of that name, or NULL. */
const struct config_node *config_node(const struct config *self, const char *name);
/* "broker", "catalog", "order", "bridge". */
const char *config_kind_name(enum node_kind kind);
/* How many nodes of a kind there are. */
size_t config_count(const struct config *self, enum node_kind kind);
/* The bus endpoints of all brokers, @count of them: an array that is the caller's to free(), its
 * strings the config's. */
const char **config_bus_endpoints(const struct config *self, size_t *count);
/* The same of where they give out their feeds, those that do. */
const char **config_feeds(const struct config *self, size_t *count);
/* All settings with where each came from (default, file:LINE, environment, flag), as a text that is
 * itself a configuration. */
void config_print(const struct config *self, struct bytes_writer *text);

/* Read a secret's file: one line of 1 to 255 visible characters. A file that others than its owner
 * may read is refused (ERR_FORBIDDEN). Returns 0, ERR_STORAGE, ERR_FORBIDDEN or ERR_INVALID;
 * @secret is the caller's to free(), @error as in config_load. */
int config_read_secret(const char *path, char **secret, char **error);

#endif
