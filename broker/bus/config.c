/* See config.h.
 *
 * A setting exists for each row of the tables below: once for the cluster, and once for each node
 * of a section that has the row. It starts with the row's default and is overwritten in the order
 * of precedence; only then is it checked, so that what an error names is the value that would have
 * been used.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/bus/config.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "broker/bus/alloc.h"
#include "broker/bus/config_text.h"
#include "broker/bus/config_value.h"
#include "broker/bus/err.h"
#include "broker/bus/limits.h"

enum config_origin { CONFIG_DEFAULT, CONFIG_FILE, CONFIG_ENVIRONMENT, CONFIG_FLAG };

/* A number of limits.h as the text that a file would have for it. */
#define CONFIG_TEXT(number)    CONFIG_TEXT_OF(number)
#define CONFIG_TEXT_OF(number) #number

/* A key. @place is where the value goes: a char *, or a uint64_t for an id, or an unsigned for a
 * period or a count, in struct config for the cluster's keys and in struct config_node for the
 * others. */
struct config_row {
    const char *key;
    enum config_value_kind kind;
    enum { CONFIG_REQUIRED, CONFIG_OPTIONAL } need;
    const char *fallback; /* the default, or NULL: none */
    size_t place;
};

#define CONFIG_OF_CLUSTER(field) offsetof(struct config, field)
#define CONFIG_OF_NODE(field)    offsetof(struct config_node, field)

static const struct config_row config_cluster_rows[] = {
    {"uuid", CONFIG_VALUE_UUID, CONFIG_REQUIRED, NULL, CONFIG_OF_CLUSTER(uuid)},
    {"secret", CONFIG_VALUE_PATH, CONFIG_OPTIONAL, NULL, CONFIG_OF_CLUSTER(secret)},
    {"admin_token", CONFIG_VALUE_PATH, CONFIG_OPTIONAL, NULL, CONFIG_OF_CLUSTER(admin_token)},
    {"log_level", CONFIG_VALUE_LEVEL, CONFIG_OPTIONAL, "info", CONFIG_OF_CLUSTER(log_level)},
    {"election_ms", CONFIG_VALUE_PERIOD, CONFIG_OPTIONAL, CONFIG_TEXT(ELECTION_MS),
     CONFIG_OF_CLUSTER(election_ms)},
    {"heartbeat_ms", CONFIG_VALUE_PERIOD, CONFIG_OPTIONAL, CONFIG_TEXT(ELECTION_BEAT_MS),
     CONFIG_OF_CLUSTER(heartbeat_ms)},
    {"snapshot_entries", CONFIG_VALUE_ENTRIES, CONFIG_OPTIONAL, CONFIG_TEXT(SNAPSHOT_ENTRIES),
     CONFIG_OF_CLUSTER(snapshot_entries)},
};

static const struct config_row config_broker_rows[] = {
    {"bus", CONFIG_VALUE_ENDPOINT, CONFIG_REQUIRED, NULL, CONFIG_OF_NODE(bus)},
    {"bus_bind", CONFIG_VALUE_BIND, CONFIG_OPTIONAL, NULL, CONFIG_OF_NODE(bus_bind)},
    {"subscribe", CONFIG_VALUE_ENDPOINT, CONFIG_OPTIONAL, NULL, CONFIG_OF_NODE(subscribe)},
    {"publish", CONFIG_VALUE_ENDPOINT, CONFIG_OPTIONAL, NULL, CONFIG_OF_NODE(publish)},
};

static const struct config_row config_replica_rows[] = {
    {"id", CONFIG_VALUE_ID, CONFIG_REQUIRED, NULL, CONFIG_OF_NODE(id)},
    {"data", CONFIG_VALUE_PATH, CONFIG_REQUIRED, NULL, CONFIG_OF_NODE(data)},
    {"peer", CONFIG_VALUE_ENDPOINT, CONFIG_REQUIRED, NULL, CONFIG_OF_NODE(peer)},
    {"snapshots", CONFIG_VALUE_ENDPOINT, CONFIG_REQUIRED, NULL, CONFIG_OF_NODE(snapshots)},
    {"peer_bind", CONFIG_VALUE_BIND, CONFIG_OPTIONAL, NULL, CONFIG_OF_NODE(peer_bind)},
    {"snapshots_bind", CONFIG_VALUE_BIND, CONFIG_OPTIONAL, NULL, CONFIG_OF_NODE(snapshots_bind)},
};

static const struct config_row config_bridge_rows[] = {
    {"http", CONFIG_VALUE_ADDRESS, CONFIG_REQUIRED, NULL, CONFIG_OF_NODE(http)},
    {"hosts", CONFIG_VALUE_HOSTS, CONFIG_OPTIONAL, NULL, CONFIG_OF_NODE(hosts)},
    {"cache_entries", CONFIG_VALUE_CACHED, CONFIG_OPTIONAL, CONFIG_TEXT(CACHE_ENTRIES),
     CONFIG_OF_NODE(cache_entries)},
    {"cache_bytes", CONFIG_VALUE_BYTES, CONFIG_OPTIONAL, CONFIG_TEXT(CACHE_BYTES),
     CONFIG_OF_NODE(cache_bytes)},
};

#define CONFIG_COUNT(table)     (sizeof table / sizeof table[0])
#define CONFIG_ROWS_OF(section) section, CONFIG_COUNT(section)

/* The sections: "cluster" holds settings, the others hold nodes of a kind, which hold settings. */
static const struct config_section {
    const char *name;
    const char *kind_name; /* NULL: the cluster's own */
    enum node_kind kind;
    const struct config_row *rows;
    size_t row_count;
} config_sections[] = {
    {"cluster", NULL, NODE_BROKER, CONFIG_ROWS_OF(config_cluster_rows)},
    {"brokers", "broker", NODE_BROKER, CONFIG_ROWS_OF(config_broker_rows)},
    {"catalogs", "catalog", NODE_CATALOG, CONFIG_ROWS_OF(config_replica_rows)},
    {"orders", "order", NODE_ORDER, CONFIG_ROWS_OF(config_replica_rows)},
    {"bridges", "bridge", NODE_BRIDGE, CONFIG_ROWS_OF(config_bridge_rows)},
};

#define CONFIG_SECTIONS CONFIG_COUNT(config_sections)
#define CONFIG_CLUSTER  (&config_sections[0])
#define CONFIG_NO_NODE  SIZE_MAX

struct config_setting {
    const struct config_section *section;
    const struct config_row *row; /* of the section's */
    size_t node;                  /* index in config->nodes, or CONFIG_NO_NODE: the cluster's */
    char *value;                  /* NULL: not set */
    enum config_origin origin;
    size_t line; /* of the key in the file; of its section while it is not there; 0: neither */
};

/* ---- Settings ----------------------------------------------------------------------------- */

static const struct config_section *config_section(const char *name)
{
    for (size_t i = 0; i < CONFIG_SECTIONS; i++)
        if (strcmp(config_sections[i].name, name) == 0)
            return &config_sections[i];
    return NULL;
}

/* The path of a setting, "brokers/broker-1/bus", the caller's to free(). */
static char *config_path(const struct config *self, const struct config_setting *setting)
{
    const char *node = setting->node != CONFIG_NO_NODE ? self->nodes[setting->node].name : NULL;
    return node != NULL ? zsys_sprintf("%s/%s/%s", setting->section->name, node, setting->row->key)
                        : zsys_sprintf("%s/%s", setting->section->name, setting->row->key);
}

/* The name of the variable that sets it, "PYGMY_BROKERS_BROKER_1_BUS", the caller's to free(). */
static char *config_variable(const struct config *self, const struct config_setting *setting)
{
    char *path = config_path(self, setting);
    char *name = zsys_sprintf("PYGMY_%s", path);
    for (char *at = name; *at != '\0'; at++)
        *at = isalnum((unsigned char)*at) ? (char)toupper((unsigned char)*at) : '_';
    free(path);
    return name;
}

/* The setting of that path, or NULL. */
static struct config_setting *config_find(const struct config *self, const char *path)
{
    for (size_t i = 0; i < self->setting_count; i++) {
        char *found = config_path(self, &self->settings[i]);
        bool same = strcmp(found, path) == 0;
        free(found);
        if (same)
            return &self->settings[i];
    }
    return NULL;
}

static void config_set(struct config_setting *setting, enum config_origin origin, const char *value)
{
    free(setting->value);
    setting->value = alloc_copy(value, strlen(value));
    setting->origin = origin;
}

/* Add a setting for each row of a section, with its default. */
static void config_add_settings(struct config *self, const struct config_section *section,
                                size_t node, size_t line)
{
    for (size_t i = 0; i < section->row_count; i++) {
        const struct config_row *row = &section->rows[i];
        self->settings =
            alloc_resize(self->settings, (self->setting_count + 1) * sizeof *self->settings);
        self->settings[self->setting_count++] =
            (struct config_setting){.section = section, .row = row, .node = node, .line = line};
        if (row->fallback != NULL)
            config_set(&self->settings[self->setting_count - 1], CONFIG_DEFAULT, row->fallback);
    }
}

static size_t config_add_node(struct config *self, enum node_kind kind, const char *name)
{
    self->nodes = alloc_resize(self->nodes, (self->node_count + 1) * sizeof *self->nodes);
    self->nodes[self->node_count] =
        (struct config_node){.kind = kind, .name = alloc_copy(name, strlen(name))};
    return self->node_count++;
}

/* ---- Errors ------------------------------------------------------------------------------- */

static int config_fail_line(const struct config *self, size_t line, const char *what,
                            const char *why, char **error)
{
    *error = zsys_sprintf("%s:%zu: %s: %s", self->path, line, what, why);
    return ERR_INVALID;
}

/* The error of a setting, wherever its value came from. */
static int config_fail_setting(const struct config *self, const struct config_setting *setting,
                               const char *why, char **error)
{
    char *path = config_path(self, setting);
    char *variable = config_variable(self, setting);

    if (setting->origin == CONFIG_FLAG)
        *error = zsys_sprintf("--set %s: %s", path, why);
    else if (setting->origin == CONFIG_ENVIRONMENT)
        *error = zsys_sprintf("environment variable %s: %s", variable, why);
    else
        config_fail_line(self, setting->line > 0 ? setting->line : 1, path, why, error);
    free(path);
    free(variable);
    return ERR_INVALID;
}

/* ---- The file ----------------------------------------------------------------------------- */

/* Walks the tree in step with the lines of its nodes. */
struct config_walk {
    const struct config_text *text;
    size_t at; /* nodes seen; the line of the last is lines[at - 1] */
    char **error;
};

static size_t config_walk_next(struct config_walk *walk)
{
    assert(walk->at < walk->text->count);
    return walk->text->lines[walk->at++];
}

static int config_read_setting(struct config *self, struct config_walk *walk, zconfig_t *item,
                               const char *folder)
{
    size_t line = config_walk_next(walk);
    char *path = zsys_sprintf("%s/%s", folder, zconfig_name(item));
    struct config_setting *setting = config_find(self, path);
    const char *value = zconfig_value(item);
    const char *why = NULL;

    if (setting == NULL)
        why = "there is no such key";
    else if (setting->origin == CONFIG_FILE)
        why = "it is set twice";
    else if (zconfig_child(item) != NULL)
        why = "it is a key, and holds no others";
    else if (value == NULL || value[0] == '\0')
        why = "it has no value";
    int rc = why != NULL ? config_fail_line(self, line, path, why, walk->error) : 0;
    if (rc == 0) {
        config_set(setting, CONFIG_FILE, value);
        setting->line = line;
    }
    free(path);
    return rc;
}

static int config_read_node(struct config *self, struct config_walk *walk, zconfig_t *item,
                            const struct config_section *section)
{
    size_t line = config_walk_next(walk);
    const char *name = zconfig_name(item);
    char *folder = zsys_sprintf("%s/%s", section->name, name);
    const char *why = NULL;
    int rc = 0;

    if (!config_value_is_name(name))
        why = "a name is a lower case letter, then lower case letters, digits and '-'";
    else if (config_node(self, name) != NULL)
        why = "there are two nodes of this name";
    else if (zconfig_value(item) != NULL && zconfig_value(item)[0] != '\0')
        why = "it is a node, and has no value";
    else if (self->node_count == CONFIG_NODES_MAX)
        why = "there are too many nodes";
    if (why != NULL)
        rc = config_fail_line(self, line, folder, why, walk->error);
    else
        config_add_settings(self, section, config_add_node(self, section->kind, name), line);
    for (item = zconfig_child(item); item != NULL && rc == 0; item = zconfig_next(item))
        rc = config_read_setting(self, walk, item, folder);
    free(folder);
    return rc;
}

static int config_read_section(struct config *self, struct config_walk *walk, zconfig_t *item,
                               bool *seen)
{
    size_t line = config_walk_next(walk);
    const char *name = zconfig_name(item);
    const struct config_section *section = config_section(name);
    const char *why = NULL;
    int rc = 0;

    if (section == NULL)
        why = "there is no such section (cluster, brokers, catalogs, orders, bridges)";
    else if (seen[section - config_sections])
        why = "the section stands here twice";
    else if (zconfig_value(item) != NULL && zconfig_value(item)[0] != '\0')
        why = "it is a section, and has no value";
    if (why != NULL)
        return config_fail_line(self, line, name, why, walk->error);

    seen[section - config_sections] = true;
    for (item = zconfig_child(item); item != NULL && rc == 0; item = zconfig_next(item))
        rc = section->kind_name == NULL ? config_read_setting(self, walk, item, name)
                                        : config_read_node(self, walk, item, section);
    return rc;
}

static int config_read_text(struct config *self, const char *bytes, size_t size, char **error)
{
    struct config_text text;
    bool seen[CONFIG_SECTIONS] = {false};
    char *why;
    size_t line;
    int rc = config_text_read(&text, bytes, size, &line, &why);

    if (rc != 0) {
        *error = zsys_sprintf("%s:%zu: %s", self->path, line, why);
        free(why);
        return rc;
    }
    struct config_walk walk = {.text = &text, .error = error};
    config_add_settings(self, CONFIG_CLUSTER, CONFIG_NO_NODE, 0);
    for (zconfig_t *item = zconfig_child(text.root); item != NULL && rc == 0;
         item = zconfig_next(item))
        rc = config_read_section(self, &walk, item, seen);
    assert(rc != 0 || walk.at == text.count);
    config_text_close(&text);
    return rc;
}

/* Read up to @size_max bytes of a regular file; @text is the caller's to free(). */
static int config_read_file(const char *path, size_t size_max, char **text, size_t *size,
                            struct stat *status, char **error)
{
    char *bytes = NULL;
    const char *why = NULL;
    size_t got = 0;
    FILE *file = fopen(path, "re");

    *status = (struct stat){0};
    if (file == NULL || fstat(fileno(file), status) != 0)
        why = strerror(errno);
    else if (!S_ISREG(status->st_mode))
        why = "it is not a file";
    if (why == NULL) {
        bytes = alloc_zero(size_max + 1);
        got = fread(bytes, 1, size_max + 1, file);
        why = ferror(file) ? "it could not be read" : got > size_max ? "it is too large" : NULL;
    }
    if (file != NULL)
        fclose(file);
    if (why != NULL) {
        *error = zsys_sprintf("%s: %s", path, why);
        free(bytes);
        return ERR_STORAGE;
    }
    *text = bytes;
    *size = got;
    return 0;
}

/* ---- Environment and flags ---------------------------------------------------------------- */

static void config_read_environment(struct config *self)
{
    for (size_t i = 0; i < self->setting_count; i++) {
        char *name = config_variable(self, &self->settings[i]);
        const char *value = getenv(name);
        if (value != NULL && value[0] != '\0')
            config_set(&self->settings[i], CONFIG_ENVIRONMENT, value);
        free(name);
    }
}

static int config_read_flag(struct config *self, const char *flag, char **error)
{
    const char *equals = strchr(flag, '=');
    if (equals == NULL) {
        *error = zsys_sprintf("--set %s: SECTION/KEY=VALUE is expected", flag);
        return ERR_INVALID;
    }
    char *path = alloc_copy(flag, (size_t)(equals - flag));
    struct config_setting *setting = config_find(self, path);
    if (setting != NULL)
        config_set(setting, CONFIG_FLAG, equals + 1);
    else
        *error = zsys_sprintf("--set %s: %s has no such section, node or key", path, self->path);
    free(path);
    return setting != NULL ? 0 : ERR_INVALID;
}

/* ---- Checks ------------------------------------------------------------------------------- */

static int config_check_value(const struct config *self, const struct config_setting *setting,
                              char **error)
{
    if (setting->value == NULL)
        return setting->row->need == CONFIG_OPTIONAL
                   ? 0
                   : config_fail_setting(self, setting, "it is missing", error);
    const char *want = config_value_check(setting->row->kind, setting->value);
    if (want == NULL)
        return 0;
    char *why = zsys_sprintf("\"%s\" is not good, it must be %s", setting->value, want);
    int rc = config_fail_setting(self, setting, why, error);
    free(why);
    return rc;
}

/* What must differ between nodes: ids within a group, and all addresses at which they are reached.
 * What they listen at instead may be the same on machines of their own. */
static bool config_collides(const struct config *self, const struct config_setting *one,
                            const struct config_setting *other)
{
    if (one->value == NULL || other->value == NULL || one->node == CONFIG_NO_NODE ||
        other->node == CONFIG_NO_NODE)
        return false;
    if (one->row->kind == CONFIG_VALUE_ID || one->row->kind == CONFIG_VALUE_PATH)
        return other->row->kind == one->row->kind && strcmp(one->value, other->value) == 0 &&
               (one->row->kind == CONFIG_VALUE_PATH ||
                self->nodes[one->node].kind == self->nodes[other->node].kind);
    if ((one->row->kind != CONFIG_VALUE_ENDPOINT && one->row->kind != CONFIG_VALUE_ADDRESS) ||
        (other->row->kind != CONFIG_VALUE_ENDPOINT && other->row->kind != CONFIG_VALUE_ADDRESS))
        return false;
    const char *a = strncmp(one->value, "tcp://", 6) == 0 ? one->value + 6 : one->value;
    const char *b = strncmp(other->value, "tcp://", 6) == 0 ? other->value + 6 : other->value;
    return strcmp(a, b) == 0;
}

static int config_check_unique(const struct config *self, size_t at, char **error)
{
    const struct config_setting *setting = &self->settings[at];
    for (size_t i = 0; i < at; i++) {
        if (!config_collides(self, &self->settings[i], setting))
            continue;
        char *other = config_path(self, &self->settings[i]);
        char *why = zsys_sprintf("\"%s\" is also that of %s", setting->value, other);
        int rc = config_fail_setting(self, setting, why, error);
        free(other);
        free(why);
        return rc;
    }
    return 0;
}

/* Two heartbeats may be lost before a follower stands for election. */
static int config_check_periods(const struct config *self, char **error)
{
    struct config_setting *beat = config_find(self, "cluster/heartbeat_ms");
    const struct config_setting *election = config_find(self, "cluster/election_ms");
    if (strtoul(beat->value, NULL, 10) * 3 <= strtoul(election->value, NULL, 10))
        return 0;
    char *why = zsys_sprintf("\"%s\" is more than a third of cluster/election_ms, %s", beat->value,
                             election->value);
    int rc = config_fail_setting(self, beat, why, error);
    free(why);
    return rc;
}

static int config_check(const struct config *self, char **error)
{
    int rc = 0;
    for (size_t i = 0; i < self->setting_count && rc == 0; i++)
        rc = config_check_value(self, &self->settings[i], error);
    for (size_t i = 0; i < self->setting_count && rc == 0; i++)
        rc = config_check_unique(self, i, error);
    if (rc == 0)
        rc = config_check_periods(self, error);
    if (rc == 0 && config_count(self, NODE_BROKER) == 0) {
        *error = zsys_sprintf("%s: brokers: there must be at least one broker", self->path);
        rc = ERR_INVALID;
    }
    return rc;
}

/* ---- Load --------------------------------------------------------------------------------- */

/* A path of the configuration, relative to the file's folder. */
static char *config_absolute(const struct config *self, const char *path)
{
    if (path[0] == '/')
        return alloc_copy(path, strlen(path));
    const char *slash = strrchr(self->path, '/');
    return zsys_sprintf("%.*s/%s", (int)(slash - self->path), self->path, path);
}

static bool config_is_unsigned(enum config_value_kind kind)
{
    return kind == CONFIG_VALUE_PERIOD || kind == CONFIG_VALUE_ENTRIES ||
           kind == CONFIG_VALUE_CACHED || kind == CONFIG_VALUE_BYTES;
}

/* Put the checked values where the callers look for them. */
static void config_fill(struct config *self)
{
    for (size_t i = 0; i < self->setting_count; i++) {
        const struct config_setting *setting = &self->settings[i];
        char *base =
            setting->node != CONFIG_NO_NODE ? (char *)&self->nodes[setting->node] : (char *)self;
        void *place = base + setting->row->place;
        if (setting->value == NULL)
            continue;
        if (setting->row->kind == CONFIG_VALUE_ID)
            *(uint64_t *)place = strtoull(setting->value, NULL, 10);
        else if (config_is_unsigned(setting->row->kind))
            *(unsigned *)place = (unsigned)strtoul(setting->value, NULL, 10);
        else if (setting->row->kind == CONFIG_VALUE_PATH)
            *(char **)place = config_absolute(self, setting->value);
        else
            *(char **)place = alloc_copy(setting->value, strlen(setting->value));
    }
}

/* Who is told nothing else listens where it is reached. */
static void config_fill_bind(char **bind, const char *reached)
{
    if (*bind == NULL && reached != NULL)
        *bind = alloc_copy(reached, strlen(reached));
}

static void config_fill_binds(struct config *self)
{
    for (size_t i = 0; i < self->node_count; i++) {
        struct config_node *node = &self->nodes[i];
        config_fill_bind(&node->bus_bind, node->bus);
        config_fill_bind(&node->peer_bind, node->peer);
        config_fill_bind(&node->snapshots_bind, node->snapshots);
    }
}

static bool config_is_set(const char *value)
{
    return value != NULL && value[0] != '\0';
}

/* The path of the file as it was given, or NULL when there is not even a home. */
static char *config_locate(const char *path)
{
    if (path == NULL && config_is_set(getenv("PYGMY_CONFIG")))
        path = getenv("PYGMY_CONFIG");
    if (path != NULL)
        return alloc_copy(path, strlen(path));
    if (config_is_set(getenv("XDG_STATE_HOME")))
        return zsys_sprintf("%s/pygmy/cluster.conf", getenv("XDG_STATE_HOME"));
    if (config_is_set(getenv("HOME")))
        return zsys_sprintf("%s/.local/state/pygmy/cluster.conf", getenv("HOME"));
    return NULL;
}

static int config_open(struct config *self, const char *path, char **text, size_t *size,
                       char **error)
{
    struct stat status;
    char *given = config_locate(path);
    if (given == NULL) {
        *error = zsys_sprintf("no configuration: give --config FILE or set PYGMY_CONFIG");
        return ERR_STORAGE;
    }
    self->path = realpath(given, NULL);
    if (self->path == NULL)
        *error = zsys_sprintf("%s: %s", given, strerror(errno));
    free(given);
    return self->path != NULL
               ? config_read_file(self->path, CONFIG_BYTES_MAX, text, size, &status, error)
               : ERR_STORAGE;
}

int config_load(const char *path, const char *const *sets, size_t set_count, struct config **self_p,
                char **error)
{
    struct config *self = alloc_zero(sizeof *self);
    char *text = NULL;
    size_t size = 0;
    int rc = config_open(self, path, &text, &size, error);

    if (rc == 0)
        rc = config_read_text(self, text, size, error);
    if (rc == 0)
        config_read_environment(self);
    for (size_t i = 0; i < set_count && rc == 0; i++)
        rc = config_read_flag(self, sets[i], error);
    if (rc == 0)
        rc = config_check(self, error);
    free(text);
    if (rc != 0) {
        config_destroy(&self);
        return rc;
    }
    config_fill(self);
    config_fill_binds(self);
    *self_p = self;
    return 0;
}

static void config_node_close(struct config_node *node)
{
    free(node->name);
    free(node->bus);
    free(node->bus_bind);
    free(node->subscribe);
    free(node->publish);
    free(node->data);
    free(node->peer);
    free(node->snapshots);
    free(node->peer_bind);
    free(node->snapshots_bind);
    free(node->http);
    free(node->hosts);
}

void config_destroy(struct config **self_p)
{
    struct config *self = *self_p;
    if (self == NULL)
        return;
    for (size_t i = 0; i < self->node_count; i++)
        config_node_close(&self->nodes[i]);
    for (size_t i = 0; i < self->setting_count; i++)
        free(self->settings[i].value);
    free(self->nodes);
    free(self->settings);
    free(self->path);
    free(self->uuid);
    free(self->secret);
    free(self->admin_token);
    free(self->log_level);
    free(self);
    *self_p = NULL;
}

/* ---- Questions ---------------------------------------------------------------------------- */

const struct config_node *config_node(const struct config *self, const char *name)
{
    for (size_t i = 0; i < self->node_count; i++)
        if (strcmp(self->nodes[i].name, name) == 0)
            return &self->nodes[i];
    return NULL;
}

const char *config_kind_name(enum node_kind kind)
{
    size_t i = 0;
    while (config_sections[i].kind_name == NULL || config_sections[i].kind != kind) {
        i++;
        assert(i < CONFIG_SECTIONS);
    }
    return config_sections[i].kind_name;
}

size_t config_count(const struct config *self, enum node_kind kind)
{
    size_t count = 0;
    for (size_t i = 0; i < self->node_count; i++)
        count += self->nodes[i].kind == kind;
    return count;
}

const char **config_bus_endpoints(const struct config *self, size_t *count)
{
    const char **endpoints = alloc_zero(self->node_count * sizeof *endpoints);
    *count = 0;
    for (size_t i = 0; i < self->node_count; i++)
        if (self->nodes[i].kind == NODE_BROKER)
            endpoints[(*count)++] = self->nodes[i].bus;
    return endpoints;
}

const char **config_feeds(const struct config *self, size_t *count)
{
    const char **feeds = alloc_zero(self->node_count * sizeof *feeds);
    *count = 0;
    for (size_t i = 0; i < self->node_count; i++)
        if (self->nodes[i].subscribe != NULL)
            feeds[(*count)++] = self->nodes[i].subscribe;
    return feeds;
}

/* ---- Print -------------------------------------------------------------------------------- */

static void config_put(struct bytes_writer *text, char **line)
{
    bytes_put_raw(text, *line, strlen(*line));
    free(*line);
    *line = NULL;
}

static char *config_origin_text(const struct config *self, const struct config_setting *setting)
{
    if (setting->origin == CONFIG_ENVIRONMENT) {
        char *variable = config_variable(self, setting);
        char *text = zsys_sprintf("environment %s", variable);
        free(variable);
        return text;
    }
    if (setting->origin == CONFIG_FILE)
        return zsys_sprintf("file:%zu", setting->line);
    return zsys_sprintf(setting->origin == CONFIG_FLAG ? "flag" : "default");
}

/* "    key = value    # origin"; what is not set stands there as a comment. */
static void config_print_setting(const struct config *self, const struct config_setting *setting,
                                 struct bytes_writer *text)
{
    bool set = setting->value != NULL;
    /* A value with both kinds of quotes stood without any. */
    const char *quote = !set || strpbrk(setting->value, "#\"' ") == NULL ? ""
                        : strchr(setting->value, '"') == NULL            ? "\""
                        : strchr(setting->value, '\'') == NULL           ? "'"
                                                                         : "";
    char *origin = config_origin_text(self, setting);
    char *line = zsys_sprintf(
        "%s%s%s = %s%s%s    # %s\n", setting->node != CONFIG_NO_NODE ? "        " : "    ",
        set ? "" : "# ", setting->row->key, quote, set ? setting->value : "", quote, origin);
    config_put(text, &line);
    free(origin);
}

static void config_print_section(const struct config *self, const struct config_section *section,
                                 struct bytes_writer *text)
{
    size_t node = CONFIG_NO_NODE;
    char *line = zsys_sprintf("%s\n", section->name);

    config_put(text, &line);
    for (size_t i = 0; i < self->setting_count; i++) {
        const struct config_setting *setting = &self->settings[i];
        if (setting->section != section)
            continue;
        if (setting->node != node) {
            node = setting->node;
            line = zsys_sprintf("    %s\n", self->nodes[node].name);
            config_put(text, &line);
        }
        config_print_setting(self, setting, text);
    }
}

void config_print(const struct config *self, struct bytes_writer *text)
{
    char *line = zsys_sprintf("# %s\n", self->path);
    config_put(text, &line);
    for (size_t i = 0; i < CONFIG_SECTIONS; i++)
        config_print_section(self, &config_sections[i], text);
}

/* ---- Secrets ------------------------------------------------------------------------------ */

/* What is wrong with the line of a secret's file, or NULL; its line break is cut off. */
static const char *config_check_secret(char *text, size_t size)
{
    if (size > 0 && text[size - 1] == '\n')
        text[--size] = '\0';
    if (size < 1 || size > SECRET_BYTES_MAX)
        return "it must hold one line of 1 to 255 characters";
    for (size_t i = 0; i < size; i++)
        if (text[i] < 0x21 || text[i] > 0x7e)
            return "it must hold one line of visible ASCII characters";
    return NULL;
}

int config_read_secret(const char *path, char **secret, char **error)
{
    struct stat status;
    char *text;
    size_t size;
    int rc = config_read_file(path, CONFIG_LINE_BYTES_MAX, &text, &size, &status, error);
    const char *why = NULL;

    if (rc != 0)
        return rc;
    if ((status.st_mode & (S_IRWXG | S_IRWXO)) != 0) {
        why = "others than its owner may use it (chmod 600 it)";
        rc = ERR_FORBIDDEN;
    } else if ((why = config_check_secret(text, size)) != NULL) {
        rc = ERR_INVALID;
    }
    if (rc == 0) {
        *secret = text;
        return 0;
    }
    *error = zsys_sprintf("%s: %s", path, why);
    free(text);
    return rc;
}
