/* The configuration: what is read, what overrides what, and what each error says.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "broker/bus/config.h"
#include "broker/bus/err.h"
#include "broker/bus/limits.h"

#define HEAD                                                                                       \
    "cluster\n"                                                                                    \
    "    uuid = 0123456789abcdef0123456789abcdef\n"                                                \
    "brokers\n"                                                                                    \
    "    broker-1\n"                                                                               \
    "        bus = tcp://127.0.0.1:8090\n"

static const char whole[] = "# a cluster\n"
                            "cluster\n"
                            "    uuid = 0123456789abcdef0123456789abcdef\n"
                            "    secret = cluster.secret   # relative\n"
                            "    admin_token = \"/etc/pygmy/admin token\"\n"
                            "\n"
                            "brokers\n"
                            "    broker-1\n"
                            "        bus = tcp://127.0.0.1:8090\n"
                            "        subscribe = tcp://127.0.0.1:8100\n"
                            "        publish = tcp://127.0.0.1:8110\n"
                            "    broker-2\n"
                            "        bus = ipc:///run/pygmy/bus\n"
                            "catalogs\n"
                            "    catalog-1\n"
                            "        id = 1\n"
                            "        data = catalog-1\n"
                            "        peer = tcp://[::1]:8120\n"
                            "        snapshots = ipc:///run/pygmy/snapshots\n"
                            "orders\n"
                            "    order-1\n"
                            "        id = 1\n"
                            "        data = order-1\n"
                            "        peer = tcp://127.0.0.1:8130\n"
                            "        snapshots = tcp://127.0.0.1:8140\n"
                            "bridges\n"
                            "    bridge-1\n"
                            "        http = 127.0.0.1:8080\n"
                            "        hosts = store.example other.example\n";

struct fixture {
    char folder[64];
    char path[96];
};

static int set_up(void **state)
{
    struct fixture *self = calloc(1, sizeof *self);
    assert_non_null(self);
    strcpy(self->folder, "/tmp/pygmy-config-XXXXXX");
    assert_non_null(mkdtemp(self->folder));
    snprintf(self->path, sizeof self->path, "%s/cluster.conf", self->folder);
    *state = self;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *self = *state;
    unlink(self->path);
    rmdir(self->folder);
    free(self);
    return 0;
}

static void write_bytes(const struct fixture *self, const char *bytes, size_t size)
{
    FILE *file = fopen(self->path, "we");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
}

/* Load @text, which is good. */
static struct config *load(const struct fixture *self, const char *text, const char *set)
{
    struct config *config = NULL;
    char *error = NULL;
    write_bytes(self, text, strlen(text));
    int rc = config_load(self->path, &set, set != NULL, &config, &error);
    if (rc != 0)
        print_error("%s\n", error);
    assert_int_equal(rc, 0);
    assert_null(error);
    return config;
}

/* Load @text, which is refused with "PATH:@rest". */
static void refuse(const struct fixture *self, const char *text, const char *rest)
{
    struct config *config = NULL;
    char *error = NULL;
    write_bytes(self, text, strlen(text));
    assert_int_equal(config_load(self->path, NULL, 0, &config, &error), ERR_INVALID);
    assert_null(config);
    assert_memory_equal(error, self->path, strlen(self->path));
    assert_string_equal(error + strlen(self->path), rest);
    free(error);
}

/* Every key arrives in its field, paths relative to the file's folder. */
static void test_a_whole_file_is_read(void **state)
{
    const struct fixture *self = *state;
    struct config *config = load(self, whole, NULL);
    char expected[128];

    assert_string_equal(config->path, self->path);
    assert_string_equal(config->uuid, "0123456789abcdef0123456789abcdef");
    snprintf(expected, sizeof expected, "%s/cluster.secret", self->folder);
    assert_string_equal(config->secret, expected);
    assert_string_equal(config->admin_token, "/etc/pygmy/admin token");
    assert_string_equal(config->log_level, "info");
    assert_int_equal(config->election_ms, ELECTION_MS);
    assert_int_equal(config->heartbeat_ms, ELECTION_BEAT_MS);
    assert_int_equal(config->snapshot_entries, SNAPSHOT_ENTRIES);
    assert_int_equal(config->node_count, 5);
    assert_string_equal(config->nodes[0].name, "broker-1");
    assert_string_equal(config->nodes[0].publish, "tcp://127.0.0.1:8110");
    assert_null(config->nodes[1].publish);

    const struct config_node *node = config_node(config, "catalog-1");
    assert_int_equal(node->kind, NODE_CATALOG);
    assert_int_equal(node->id, 1);
    assert_string_equal(node->peer, "tcp://[::1]:8120");
    assert_string_equal(node->snapshots, "ipc:///run/pygmy/snapshots");
    snprintf(expected, sizeof expected, "%s/catalog-1", self->folder);
    assert_string_equal(node->data, expected);
    node = config_node(config, "bridge-1");
    assert_string_equal(node->http, "127.0.0.1:8080");
    assert_string_equal(node->hosts, "store.example other.example");
    assert_null(config_node(config, "bridge-2"));
    config_destroy(&config);
    assert_null(config);
    config_destroy(&config);
}

/* The questions about a whole cluster. */
static void test_nodes_are_counted_by_kind(void **state)
{
    struct config *config = load(*state, whole, NULL);
    size_t count, feed_count;
    const char **endpoints = config_bus_endpoints(config, &count);
    const char **feeds = config_feeds(config, &feed_count);

    assert_int_equal(feed_count, 1);
    assert_string_equal(feeds[0], "tcp://127.0.0.1:8100");
    assert_int_equal(count, 2);
    assert_string_equal(endpoints[0], "tcp://127.0.0.1:8090");
    assert_string_equal(endpoints[1], "ipc:///run/pygmy/bus");
    assert_int_equal(config_count(config, NODE_BROKER), 2);
    assert_int_equal(config_count(config, NODE_BRIDGE), 1);
    assert_string_equal(config_kind_name(NODE_BROKER), "broker");
    assert_string_equal(config_kind_name(NODE_BRIDGE), "bridge");
    free(endpoints);
    free(feeds);
    config_destroy(&config);
}

/* Flag over environment over file over default, and the print-out says which. */
static void test_a_flag_beats_the_environment_beats_the_file(void **state)
{
    const struct fixture *self = *state;
    struct bytes_writer text = {0};
    struct config *config;

    setenv("PYGMY_CLUSTER_LOG_LEVEL", "warn", 1);
    setenv("PYGMY_BROKERS_BROKER_1_BUS", "tcp://127.0.0.1:1", 1);
    setenv("PYGMY_BROKERS_BROKER_2_BUS", "", 1);
    config = load(self, whole, "cluster/log_level=debug");
    assert_string_equal(config->log_level, "debug");
    assert_string_equal(config->nodes[0].bus, "tcp://127.0.0.1:1");
    assert_string_equal(config->nodes[1].bus, "ipc:///run/pygmy/bus");
    unsetenv("PYGMY_CLUSTER_LOG_LEVEL");
    unsetenv("PYGMY_BROKERS_BROKER_1_BUS");
    unsetenv("PYGMY_BROKERS_BROKER_2_BUS");

    config_print(config, &text);
    bytes_put_u8(&text, 0);
    const char *printed = (const char *)text.data;
    assert_non_null(strstr(printed, "    log_level = debug    # flag\n"));
    assert_non_null(strstr(printed, "        bus = tcp://127.0.0.1:1    "
                                    "# environment PYGMY_BROKERS_BROKER_1_BUS\n"));
    assert_non_null(strstr(printed, "        # publish =     # default\n"));
    assert_non_null(strstr(printed, "    admin_token = \"/etc/pygmy/admin token\"    # file:5\n"));
    config_destroy(&config);

    /* What is printed can be read again, and is the same configuration. */
    config = load(self, printed, NULL);
    assert_string_equal(config->log_level, "debug");
    assert_string_equal(config->admin_token, "/etc/pygmy/admin token");
    assert_int_equal(config->node_count, 5);
    config_destroy(&config);
    bytes_writer_close(&text);
}

/* A flag or variable that is wrong is named as what it is. */
static void test_a_wrong_flag_or_variable_is_named(void **state)
{
    const struct fixture *self = *state;
    struct config *config;
    char *error;
    static const char *const sets[][2] = {
        {"cluster/log_level=loud",
         "--set cluster/log_level: \"loud\" is not good, it must be debug, "
         "info, warn or error"},
        {"cluster", "--set cluster: SECTION/KEY=VALUE is expected"},
    };

    write_bytes(self, whole, strlen(whole));
    for (size_t i = 0; i < sizeof sets / sizeof sets[0]; i++) {
        assert_int_equal(config_load(self->path, &sets[i][0], 1, &config, &error), ERR_INVALID);
        assert_string_equal(error, sets[i][1]);
        free(error);
    }
    const char *unknown = "bridges/bridge-9/http=127.0.0.1:1";
    assert_int_equal(config_load(self->path, &unknown, 1, &config, &error), ERR_INVALID);
    assert_non_null(strstr(error, "--set bridges/bridge-9/http: "));
    free(error);
    setenv("PYGMY_BRIDGES_BRIDGE_1_HTTP", "8080", 1);
    assert_int_equal(config_load(self->path, NULL, 0, &config, &error), ERR_INVALID);
    assert_string_equal(error, "environment variable PYGMY_BRIDGES_BRIDGE_1_HTTP: \"8080\" is not "
                               "good, it must be IPV4:PORT or [IPV6]:PORT");
    free(error);
    unsetenv("PYGMY_BRIDGES_BRIDGE_1_HTTP");
}

/* Text that is no ZPL is refused, by line. */
static void test_malformed_text_is_an_error_by_line(void **state)
{
    const struct fixture *self = *state;

    refuse(self, "cluster\n\tuuid = 1\n", ":2: there is a tab; indent by four blanks");
    refuse(self, "cluster\n  uuid = 1\n", ":2: the indentation is not a multiple of four blanks");
    refuse(self, "cluster\n\n        uuid = 1\n", ":3: it is indented below nothing");
    refuse(self, "    uuid = 1\n", ":1: it is indented below nothing");
    refuse(self, "cluster\n    a\n        b\n            c\n", ":4: it is nested too deeply");
    refuse(self, "cluster uuid\n", ":1: a '=' was expected after the name");
    refuse(self, "# x\n= 1\n", ":2: a name (letters, digits, '-', '_', '.') was expected");
    refuse(self, "cluster\n    uuid = \"1\n", ":2: the closing quote is missing");
    refuse(self, "cluster\n    uuid = '1' 2\n", ":2: there is something after the closing quote");
    refuse(self, "cluster\n    uuid = \x01\n", ":2: there is a control character");

    char text[2048];
    memset(text, 'x', sizeof text);
    text[sizeof text - 1] = '\0';
    refuse(self, text, ":1: the line is too long");
    write_bytes(self, "cluster\n\0", 9);
    struct config *config;
    char *error;
    assert_int_equal(config_load(self->path, NULL, 0, &config, &error), ERR_INVALID);
    assert_non_null(strstr(error, ":2: there is a control character"));
    free(error);
}

/* Well-formed text with a wrong meaning is refused, by line and key. */
static void test_a_wrong_setting_is_an_error_by_line_and_key(void **state)
{
    const struct fixture *self = *state;

    refuse(self, "shelves\n",
           ":1: shelves: there is no such section (cluster, brokers, catalogs, orders, bridges)");
    refuse(self, HEAD "cluster\n", ":6: cluster: the section stands here twice");
    refuse(self, "cluster = 1\n", ":1: cluster: it is a section, and has no value");
    refuse(self, HEAD "        colour = red\n",
           ":6: brokers/broker-1/colour: there is no such key");
    refuse(self, HEAD "        bus = tcp://h:1\n", ":6: brokers/broker-1/bus: it is set twice");
    refuse(self, "cluster\n    uuid\n", ":2: cluster/uuid: it has no value");
    refuse(self, "cluster\n    uuid = 1\n        x = 1\n",
           ":2: cluster/uuid: it is a key, and holds no others");
    refuse(self, HEAD "    broker-1\n", ":6: brokers/broker-1: there are two nodes of this name");
    refuse(self, HEAD "bridges\n    broker-1\n",
           ":7: bridges/broker-1: there are two nodes of this name");
    refuse(self, HEAD "    broker-2 = x\n", ":6: brokers/broker-2: it is a node, and has no value");
    refuse(self, HEAD "    Broker_2\n",
           ":6: brokers/Broker_2: a name is a lower case letter, then "
           "lower case letters, digits and '-'");
    refuse(self, HEAD "    broker-2\n\n", ":6: brokers/broker-2/bus: it is missing");
    refuse(self, "brokers\n", ":1: cluster/uuid: it is missing");
    refuse(self, "cluster\n    uuid = 0123456789abcdef0123456789abcdef\n",
           ": brokers: there must be at least one broker");
}

/* Each bad value is refused, at its line. */
static void test_a_bad_value_is_refused(void **state)
{
    static const struct {
        const char *line, *rest;
    } bad[] = {
        {"cluster\n    uuid = 12\n",
         ":2: cluster/uuid: \"12\" is not good, it must be 32 hexadecimal digits"},
        {HEAD "orders\n    order-1\n        id = 0\n        data = d\n        peer = tcp://h:1\n",
         ":8: orders/order-1/id: \"0\" is not good, it must be a whole number from 1 to 1000000"},
        {HEAD "orders\n    order-1\n        id = 1.5\n        data = d\n        peer = tcp://h:1\n",
         ":8: orders/order-1/id: \"1.5\" is not good, it must be a whole number from 1 to "
         "1000000"},
        {HEAD "bridges\n    b\n        http = 127.0.0.1:1\n        hosts = a.example b:80\n",
         ":9: bridges/b/hosts: \"a.example b:80\" is not good, it must be host names without "
         "ports, "
         "separated by blanks"},
        {HEAD "bridges\n    b\n        http = localhost:1\n",
         ":8: bridges/b/http: \"localhost:1\" is not good, it must be IPV4:PORT or [IPV6]:PORT"},
        {HEAD "        publish = tcp://*:80\n",
         ":6: brokers/broker-1/publish: \"tcp://*:80\" is not good, it must be tcp://HOST:PORT or "
         "ipc://PATH"},
    };

    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        refuse(*state, bad[i].line, bad[i].rest);

    static const char *const endpoints[] = {
        "tcp://h", "tcp://h:0",    "tcp://h:65536", "tcp://:80",  "tcp://h:8x",   "h:80",
        "ipc://",  "tcp://::1:80", "tcp://[x]:80",  "inproc://x", "tcp://a b:80", "ipc://a b"};
    char text[512];
    for (size_t i = 0; i < sizeof endpoints / sizeof endpoints[0]; i++) {
        char rest[256];
        snprintf(text, sizeof text, HEAD "        publish = %s\n", endpoints[i]);
        snprintf(rest, sizeof rest,
                 ":6: brokers/broker-1/publish: \"%s\" is not good, it must be tcp://HOST:PORT or "
                 "ipc://PATH",
                 endpoints[i]);
        refuse(*state, text, rest);
    }
}

/* Consensus has its periods from the configuration: each in its range, and time for two heartbeats
 * to be lost. */
static void test_the_periods_of_consensus_are_bounded(void **state)
{
    const struct fixture *self = *state;
    static const struct {
        const char *election, *heartbeat;
        const char *why; /* NULL: they are good */
        unsigned line;
    } cases[] = {
        {"300", "50", NULL, 0},
        {"15", "5", NULL, 0},
        {"5000", "1666", NULL, 0},
        {"5001", "5",
         "cluster/election_ms: \"5001\" is not good, it must be a whole number of "
         "milliseconds from 5 to 5000",
         3},
        {"300", "4",
         "cluster/heartbeat_ms: \"4\" is not good, it must be a whole number of "
         "milliseconds from 5 to 5000",
         4},
        {"300", "5ms",
         "cluster/heartbeat_ms: \"5ms\" is not good, it must be a whole number of "
         "milliseconds from 5 to 5000",
         4},
        {"300", "101",
         "cluster/heartbeat_ms: \"101\" is more than a third of "
         "cluster/election_ms, 300",
         4},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[512], rest[256];
        snprintf(text, sizeof text,
                 "cluster\n    uuid = 0123456789abcdef0123456789abcdef\n    election_ms = %s\n"
                 "    heartbeat_ms = %s\nbrokers\n    b\n        bus = tcp://127.0.0.1:8090\n",
                 cases[i].election, cases[i].heartbeat);
        if (cases[i].why != NULL) {
            snprintf(rest, sizeof rest, ":%u: %s", cases[i].line, cases[i].why);
            refuse(self, text, rest);
            continue;
        }
        struct config *config = load(self, text, NULL);
        assert_int_equal(config->election_ms, strtoul(cases[i].election, NULL, 10));
        assert_int_equal(config->heartbeat_ms, strtoul(cases[i].heartbeat, NULL, 10));
        config_destroy(&config);
    }
    /* An election timeout alone may be too short for the heartbeat that nobody set. */
    refuse(self,
           "cluster\n    uuid = 0123456789abcdef0123456789abcdef\n    election_ms = 44\n"
           "brokers\n    b\n        bus = tcp://127.0.0.1:8090\n",
           ":1: cluster/heartbeat_ms: \"15\" is more than a third of cluster/election_ms, 44");
}

static void put_entries(char *text, size_t size, const char *entries)
{
    snprintf(text, size,
             "cluster\n    uuid = 0123456789abcdef0123456789abcdef\n    snapshot_entries = %s\n"
             "brokers\n    b\n        bus = tcp://127.0.0.1:8090\n",
             entries);
}

/* So are the entries between two snapshots. */
static void test_entries_between_snapshots_are_bounded(void **state)
{
    const struct fixture *self = *state;
    const char *const good[] = {"10", "1000000"};
    const char *const bad[] = {"9", "1000001", "many"};
    char text[512], rest[256];

    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        put_entries(text, sizeof text, good[i]);
        struct config *config = load(self, text, NULL);
        assert_int_equal(config->snapshot_entries, strtoul(good[i], NULL, 10));
        config_destroy(&config);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        put_entries(text, sizeof text, bad[i]);
        snprintf(rest, sizeof rest,
                 ":3: cluster/snapshot_entries: \"%s\" is not good, it must be a whole number from "
                 "10 to 1000000",
                 bad[i]);
        refuse(self, text, rest);
    }
}

static void put_cache(char *text, size_t size, const char *key, const char *value)
{
    snprintf(text, size,
             "cluster\n    uuid = 0123456789abcdef0123456789abcdef\n"
             "brokers\n    b\n        bus = tcp://127.0.0.1:8090\n"
             "bridges\n    h\n        http = 127.0.0.1:1\n        %s = %s\n",
             key, value);
}

/* So is what a bridge keeps in memory, which may be nothing. */
static void test_the_cache_of_a_bridge_is_bounded(void **state)
{
    const struct fixture *self = *state;
    static const struct {
        const char *key, *value;
        unsigned entries, bytes;
    } good[] = {
        {"cache_entries", "0", 0, CACHE_BYTES},
        {"cache_entries", "501", CONFIG_CACHE_ENTRIES_MIN, CACHE_BYTES},
        {"cache_entries", "10000000", CONFIG_CACHE_ENTRIES_MAX, CACHE_BYTES},
        {"cache_bytes", "262144", CACHE_ENTRIES, CONFIG_CACHE_BYTES_MIN},
        {"cache_bytes", "500000000", CACHE_ENTRIES, CONFIG_CACHE_BYTES_MAX},
    };
    static const struct {
        const char *key, *value, *want;
    } bad[] = {
        {"cache_entries", "1", "0 or a whole number from 501 to 10000000"},
        {"cache_entries", "500", "0 or a whole number from 501 to 10000000"},
        {"cache_entries", "10000001", "0 or a whole number from 501 to 10000000"},
        {"cache_entries", "00", "0 or a whole number from 501 to 10000000"},
        {"cache_entries", "-1", "0 or a whole number from 501 to 10000000"},
        {"cache_bytes", "262143", "a whole number of bytes from 262144 to 500000000"},
        {"cache_bytes", "500000001", "a whole number of bytes from 262144 to 500000000"},
    };
    char text[512], rest[256];

    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        put_cache(text, sizeof text, good[i].key, good[i].value);
        struct config *config = load(self, text, NULL);
        const struct config_node *node = config_node(config, "h");
        assert_int_equal(node->cache_entries, good[i].entries);
        assert_int_equal(node->cache_bytes, good[i].bytes);
        config_destroy(&config);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        put_cache(text, sizeof text, bad[i].key, bad[i].value);
        snprintf(rest, sizeof rest, ":9: bridges/h/%s: \"%s\" is not good, it must be %s",
                 bad[i].key, bad[i].value, bad[i].want);
        refuse(self, text, rest);
    }
}

/* Ids are unique in a group; addresses and data directories are unique at all. */
static void test_what_must_differ_is_compared(void **state)
{
    const struct fixture *self = *state;

#define REPLICA(name, id, data, port)                                                              \
    "    " name "\n        id = " id "\n        data = " data "\n        peer = tcp://h:" port     \
    "\n        snapshots = tcp://h:1" port "\n"
    struct config *config =
        load(self,
             HEAD "catalogs\n" REPLICA("c-1", "1", "a", "1")
                 REPLICA("c-2", "2", "b", "2") "orders\n" REPLICA("o-1", "1", "c", "3"),
             NULL);
    config_destroy(&config);
    refuse(self, HEAD "catalogs\n" REPLICA("c-1", "1", "a", "1") REPLICA("c-2", "1", "b", "2"),
           ":13: catalogs/c-2/id: \"1\" is also that of catalogs/c-1/id");
    refuse(self, HEAD "catalogs\n" REPLICA("c-1", "1", "a", "1") REPLICA("c-2", "2", "a", "2"),
           ":14: catalogs/c-2/data: \"a\" is also that of catalogs/c-1/data");
    refuse(self, HEAD "catalogs\n" REPLICA("c-1", "1", "a", "1") REPLICA("c-2", "2", "b", "1"),
           ":15: catalogs/c-2/peer: \"tcp://h:1\" is also that of catalogs/c-1/peer");
    refuse(self, HEAD "catalogs\n" REPLICA("c-1", "1", "a", "1") REPLICA("c-2", "2", "b", "11"),
           ":15: catalogs/c-2/peer: \"tcp://h:11\" is also that of catalogs/c-1/snapshots");
    refuse(self, HEAD "bridges\n    b\n        http = 127.0.0.1:8090\n",
           ":8: bridges/b/http: \"127.0.0.1:8090\" is also that of brokers/broker-1/bus");
#undef REPLICA
}

/* A node listens where it is reached, unless it is told another place; there it may be all of a
 * machine's addresses, and another machine's node may listen at the same. */
static void test_a_node_may_listen_elsewhere_than_it_is_reached(void **state)
{
    const struct fixture *self = *state;
#define REPLICA(name, id)                                                                          \
    "    " name "\n        id = " id "\n        data = " name "\n        peer = tcp://" name       \
    ":1\n        snapshots = tcp://" name ":2\n"
#define BIND "        peer_bind = tcp://*:1\n        snapshots_bind = tcp://[::]:2\n"
    struct config *config =
        load(self,
             HEAD "        bus_bind = ipc:///run/bus\ncatalogs\n" REPLICA("a", "1")
                 BIND REPLICA("b", "2") BIND REPLICA("c", "3"),
             NULL);
    assert_string_equal(config_node(config, "broker-1")->bus, "tcp://127.0.0.1:8090");
    assert_string_equal(config_node(config, "broker-1")->bus_bind, "ipc:///run/bus");
    assert_string_equal(config_node(config, "b")->peer, "tcp://b:1");
    assert_string_equal(config_node(config, "b")->peer_bind, "tcp://*:1");
    assert_string_equal(config_node(config, "b")->snapshots_bind, "tcp://[::]:2");
    assert_string_equal(config_node(config, "c")->peer_bind, "tcp://c:1");
    assert_string_equal(config_node(config, "c")->snapshots_bind, "tcp://c:2");
    assert_null(config_node(config, "c")->bus_bind);
    config_destroy(&config);
    refuse(self, HEAD "        bus_bind = tcp://*\n",
           ":6: brokers/broker-1/bus_bind: \"tcp://*\" is not good, it must be tcp://HOST:PORT, "
           "tcp://*:PORT or ipc://PATH");
    refuse(
        self,
        "cluster\n    uuid = 0123456789abcdef0123456789abcdef\nbrokers\n    b\n"
        "        bus = tcp://*:1\n",
        ":5: brokers/b/bus: \"tcp://*:1\" is not good, it must be tcp://HOST:PORT or ipc://PATH");
#undef BIND
#undef REPLICA
}

/* A file that isn't there, or is none, is no configuration. */
static void test_an_unreadable_file_is_a_storage_error(void **state)
{
    const struct fixture *self = *state;
    struct config *config;
    char *error;

    assert_int_equal(config_load(self->path, NULL, 0, &config, &error), ERR_STORAGE);
    assert_non_null(strstr(error, self->path));
    free(error);
    assert_int_equal(config_load(self->folder, NULL, 0, &config, &error), ERR_STORAGE);
    assert_non_null(strstr(error, "it is not a file"));
    free(error);
}

/* Without a flag the file is PYGMY_CONFIG's. */
static void test_the_environment_names_the_file(void **state)
{
    const struct fixture *self = *state;
    struct config *config = NULL;
    char *error = NULL;

    write_bytes(self, HEAD, strlen(HEAD));
    setenv("PYGMY_CONFIG", self->path, 1);
    assert_int_equal(config_load(NULL, NULL, 0, &config, &error), 0);
    unsetenv("PYGMY_CONFIG");
    assert_string_equal(config->path, self->path);
    config_destroy(&config);
}

static void expect_secret(const struct fixture *self, const char *text, mode_t mode, int code)
{
    char *secret = NULL;
    char *error = NULL;
    write_bytes(self, text, strlen(text));
    assert_int_equal(chmod(self->path, mode), 0);
    assert_int_equal(config_read_secret(self->path, &secret, &error), code);
    assert_int_equal(secret != NULL, code == 0);
    assert_int_equal(error != NULL, code != 0);
    if (secret != NULL)
        assert_memory_equal(secret, text, strlen(secret));
    free(secret);
    free(error);
}

/* A secret is one visible line in a file that is its owner's alone. */
static void test_a_secret_is_one_line_for_its_owner_alone(void **state)
{
    expect_secret(*state, "s3cret\n", 0600, 0);
    expect_secret(*state, "s3cret", 0400, 0);
    expect_secret(*state, "s3cret\n", 0640, ERR_FORBIDDEN);
    expect_secret(*state, "s3cret\n", 0604, ERR_FORBIDDEN);
    expect_secret(*state, "", 0600, ERR_INVALID);
    expect_secret(*state, "\n", 0600, ERR_INVALID);
    expect_secret(*state, "two\nlines\n", 0600, ERR_INVALID);
    expect_secret(*state, "two words\n", 0600, ERR_INVALID);

    char text[258];
    memset(text, 's', sizeof text);
    text[255] = '\n';
    text[256] = '\0';
    expect_secret(*state, text, 0600, 0);
    text[255] = 's';
    expect_secret(*state, text, 0600, ERR_INVALID);
    text[256] = 's';
    text[257] = '\0';
    expect_secret(*state, text, 0600, ERR_INVALID);
}

/* As many nodes as there may be, and one more; a name, and the file, a byte too long. */
static void test_nodes_names_and_the_file_are_bounded(void **state)
{
    const struct fixture *self = *state;
    char *text = calloc(1, CONFIG_BYTES_MAX + 2);
    assert_non_null(text);
    char *end = text + sprintf(text, "%s", HEAD);
    for (int i = 2; i <= CONFIG_NODES_MAX; i++)
        end += sprintf(end, "    broker-%d\n        bus = tcp://127.0.0.1:%d\n", i, i);
    struct config *config = load(self, text, NULL);
    assert_int_equal(config->node_count, CONFIG_NODES_MAX);
    config_destroy(&config);
    sprintf(end, "    one-more\n        bus = tcp://127.0.0.1:1\n");
    refuse(self, text, ":516: brokers/one-more: there are too many nodes");

    end = text + sprintf(text, "%s    ", HEAD);
    memset(end, 'n', NODE_NAME_BYTES_MAX);
    strcpy(end + NODE_NAME_BYTES_MAX, "\n        bus = tcp://127.0.0.1:1\n");
    config = load(self, text, NULL);
    assert_int_equal(config->node_count, 2);
    config_destroy(&config);
    memset(end, 'n', NODE_NAME_BYTES_MAX + 1);
    strcpy(end + NODE_NAME_BYTES_MAX + 1, "\n        bus = tcp://127.0.0.1:1\n");
    write_bytes(self, text, strlen(text));
    char *error = NULL;
    assert_int_equal(config_load(self->path, NULL, 0, &config, &error), ERR_INVALID);
    free(error);

    memset(text, '\n', CONFIG_BYTES_MAX + 1);
    memcpy(text, HEAD, strlen(HEAD));
    text[CONFIG_BYTES_MAX] = '\0';
    config = load(self, text, NULL);
    config_destroy(&config);
    text[CONFIG_BYTES_MAX] = '\n';
    write_bytes(self, text, CONFIG_BYTES_MAX + 1);
    assert_int_not_equal(config_load(self->path, NULL, 0, &config, &error), 0);
    assert_non_null(strstr(error, "it is too large"));
    free(error);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_whole_file_is_read, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_nodes_are_counted_by_kind, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_flag_beats_the_environment_beats_the_file, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_a_wrong_flag_or_variable_is_named, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_malformed_text_is_an_error_by_line, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_wrong_setting_is_an_error_by_line_and_key, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_a_bad_value_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_the_periods_of_consensus_are_bounded, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_the_cache_of_a_bridge_is_bounded, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_entries_between_snapshots_are_bounded, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_what_must_differ_is_compared, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_node_may_listen_elsewhere_than_it_is_reached, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_an_unreadable_file_is_a_storage_error, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_the_environment_names_the_file, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_secret_is_one_line_for_its_owner_alone, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_nodes_names_and_the_file_are_bounded, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
