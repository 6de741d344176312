/* The kinds of value that a configuration holds, and what is a good one.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_BUS_CONFIG_VALUE_H
#define PYGMY_BUS_CONFIG_VALUE_H

#include <stdbool.h>

enum config_value_kind {
    CONFIG_VALUE_UUID,     /* 32 hexadecimal digits */
    CONFIG_VALUE_PATH,     /* of a file or folder; relative to the configuration's folder */
    CONFIG_VALUE_LEVEL,    /* debug, info, warn, error */
    CONFIG_VALUE_ID,       /* a replica's id, 1 to CONFIG_ID_MAX */
    CONFIG_VALUE_PERIOD,   /* milliseconds, CONFIG_PERIOD_MS_MIN to CONFIG_PERIOD_MS_MAX */
    CONFIG_VALUE_ENTRIES,  /* of a log, CONFIG_ENTRIES_MIN to CONFIG_ENTRIES_MAX */
    CONFIG_VALUE_CACHED,   /* entries in a cache: 0, or CONFIG_CACHE_ENTRIES_MIN to _MAX */
    CONFIG_VALUE_BYTES,    /* CONFIG_CACHE_BYTES_MIN to CONFIG_CACHE_BYTES_MAX */
    CONFIG_VALUE_ENDPOINT, /* tcp://HOST:PORT, tcp://[ADDRESS]:PORT or ipc://PATH */
    CONFIG_VALUE_BIND,     /* such an endpoint, or with * for HOST: all addresses of the machine */
    CONFIG_VALUE_ADDRESS,  /* IPv4:PORT or [IPv6]:PORT */
    CONFIG_VALUE_HOSTS,    /* host names or addresses, blank-separated */
};

#define CONFIG_ID_MAX 1000000

/* What a good value of the kind looks like, when @value is none; else NULL. */
const char *config_value_check(enum config_value_kind kind, const char *value);

/* Whether @name may be a node's: a lower case letter, then lower case letters, digits, '-', up to
 * NODE_NAME_BYTES_MAX. */
bool config_value_is_name(const char *name);

#endif
