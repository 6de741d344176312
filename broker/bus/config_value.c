/* See config_value.h.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/bus/config_value.h"

#include <arpa/inet.h>
#include <stddef.h>
#include <string.h>
#include <sys/un.h>

#include "broker/bus/limits.h"
#include "broker/bus/log.h"

#define LOWER  "abcdefghijklmnopqrstuvwxyz"
#define UPPER  "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define DIGITS "0123456789"

/* A decimal number without sign or leading zero, 1 to @max; 0 when it is none. */
static unsigned long config_value_number(const char *text, unsigned long max)
{
    size_t size = strlen(text);
    unsigned long number = 0;

    if (size < 1 || size > 9 || strspn(text, DIGITS) != size || text[0] == '0')
        return 0;
    for (size_t i = 0; i < size; i++)
        number = number * 10 + (unsigned long)(text[i] - '0');
    return number <= max ? number : 0;
}

static bool config_value_is_uuid(const char *value)
{
    return strlen(value) == 32 && strspn(value, DIGITS "abcdefABCDEF") == 32;
}

/* Take "HOST:PORT" or "[ADDRESS]:PORT" apart; @host gets the host without brackets. */
static bool config_value_split(const char *value, char *host, size_t host_bytes, bool *brackets)
{
    const char *colon = strrchr(value, ':');
    if (colon == NULL || config_value_number(colon + 1, 65535) == 0)
        return false;
    size_t size = (size_t)(colon - value);
    *brackets = size >= 2 && value[0] == '[' && value[size - 1] == ']';
    if (*brackets) {
        value++;
        size -= 2;
    }
    if (size < 1 || size >= host_bytes)
        return false;
    memcpy(host, value, size);
    host[size] = '\0';
    return true;
}

static bool config_value_is_ipv6(const char *host)
{
    struct in6_addr address;
    return inet_pton(AF_INET6, host, &address) == 1;
}

static bool config_value_is_address(const char *value)
{
    struct in_addr address;
    char host[64];
    bool brackets;

    if (!config_value_split(value, host, sizeof host, &brackets))
        return false;
    return brackets ? config_value_is_ipv6(host) : inet_pton(AF_INET, host, &address) == 1;
}

/* A wildcard is no endpoint that others connect to, but one that is listened at (@listens). Nor is
 * one with a blank in it: members of a group are listed with their endpoints, separated by
 * blanks. */
static bool config_value_is_endpoint(const char *value, bool listens)
{
    struct sockaddr_un local;
    char host[256];
    bool brackets;

    if (strncmp(value, "ipc://", 6) == 0)
        return value[6] != '\0' && strchr(value, ' ') == NULL &&
               strlen(value + 6) < sizeof local.sun_path;
    if (strncmp(value, "tcp://", 6) != 0 ||
        !config_value_split(value + 6, host, sizeof host, &brackets))
        return false;
    if (listens && !brackets && strcmp(host, "*") == 0)
        return true;
    return brackets ? config_value_is_ipv6(host)
                    : strspn(host, LOWER UPPER DIGITS ".-") == strlen(host);
}

/* A colon may only stand within brackets: a port has no meaning here, and would match nothing. */
static bool config_value_is_host(const char *host, size_t size)
{
    bool brackets = size > 2 && host[0] == '[' && host[size - 1] == ']';
    const char *set = brackets ? DIGITS "abcdefABCDEF:." : LOWER UPPER DIGITS ".-_";
    return brackets ? strspn(host + 1, set) == size - 2 : strspn(host, set) == size;
}

static bool config_value_is_hosts(const char *value)
{
    bool any = false;
    while (*value != '\0') {
        size_t size = strcspn(value, " ");
        if (size > 0 && !config_value_is_host(value, size))
            return false;
        any = any || size > 0;
        value += size + (value[size] == ' ');
    }
    return any;
}

const char *config_value_check(enum config_value_kind kind, const char *value)
{
    switch (kind) {
    case CONFIG_VALUE_UUID: return config_value_is_uuid(value) ? NULL : "32 hexadecimal digits";
    case CONFIG_VALUE_PATH: return value[0] != '\0' ? NULL : "a path";
    case CONFIG_VALUE_LEVEL:
        return log_level_parse(value) >= 0 ? NULL : "debug, info, warn or error";
    case CONFIG_VALUE_ID:
        return config_value_number(value, CONFIG_ID_MAX) > 0 ? NULL
                                                             : "a whole number from 1 to 1000000";
    case CONFIG_VALUE_PERIOD:
        return config_value_number(value, CONFIG_PERIOD_MS_MAX) >= CONFIG_PERIOD_MS_MIN
                   ? NULL
                   : "a whole number of milliseconds from 5 to 5000";
    case CONFIG_VALUE_ENTRIES:
        return config_value_number(value, CONFIG_ENTRIES_MAX) >= CONFIG_ENTRIES_MIN
                   ? NULL
                   : "a whole number from 10 to 1000000";
    case CONFIG_VALUE_CACHED:
        return strcmp(value, "0") == 0 || config_value_number(value, CONFIG_CACHE_ENTRIES_MAX) >=
                                              CONFIG_CACHE_ENTRIES_MIN
                   ? NULL
                   : "0 or a whole number from 501 to 10000000";
    case CONFIG_VALUE_BYTES:
        return config_value_number(value, CONFIG_CACHE_BYTES_MAX) >= CONFIG_CACHE_BYTES_MIN
                   ? NULL
                   : "a whole number of bytes from 262144 to 500000000";
    case CONFIG_VALUE_ENDPOINT:
        return config_value_is_endpoint(value, false) ? NULL : "tcp://HOST:PORT or ipc://PATH";
    case CONFIG_VALUE_BIND:
        return config_value_is_endpoint(value, true)
                   ? NULL
                   : "tcp://HOST:PORT, tcp://*:PORT or ipc://PATH";
    case CONFIG_VALUE_ADDRESS:
        return config_value_is_address(value) ? NULL : "IPV4:PORT or [IPV6]:PORT";
    case CONFIG_VALUE_HOSTS:
        return config_value_is_hosts(value) ? NULL
                                            : "host names without ports, separated by blanks";
    }
    return "something else";
}

bool config_value_is_name(const char *name)
{
    size_t size = strlen(name);
    return size >= 1 && size <= NODE_NAME_BYTES_MAX && strchr(LOWER, name[0]) != NULL &&
           strspn(name, LOWER DIGITS "-") == size;
}
