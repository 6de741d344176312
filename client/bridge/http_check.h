/* What a request must be like before anything else is made of it: its framing, its Host, its
 * Origin.
 *
 * libmicrohttpd takes requests that two servers may read in two ways (two
 * lengths, a length and chunks, blanks in names); these are refused here, and
 * the connection is closed. Pure.
 *
 * In all of these, @why is a sentence, set unless 0 is returned.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_BRIDGE_HTTP_CHECK_H
#define PYGMY_BRIDGE_HTTP_CHECK_H

#include <stdbool.h>
#include <stddef.h>

#include "client/bridge/http_request.h"

/* The framing of RFC 9112: request line, names, values, Content-Length, Transfer-Encoding, and
 * exactly one Host. Returns 0 or ERR_MALFORMED. */
int http_check_head(const struct http_request *request, const char **why);

/* Whether the Host is one of @count @hosts (names or addresses, lower case, without port; IPv6 in
 * brackets). Any port is: only the name tells a site that turned its own name to us. The request
 * passed http_check_head. Returns 0, ERR_HTTP_HOST, or ERR_MALFORMED. */
int http_check_host(const struct http_request *request, const char *const *hosts, size_t count,
                    const char **why);

/* Whether a write may be asked for by the page that asks. Browsers tell by Origin and
 * Sec-Fetch-Site; who tells neither is no browser. The request passed http_check_head. Returns 0 or
 * ERR_HTTP_ORIGIN. */
int http_check_origin(const struct http_request *request, const char **why);

/* Whether the method changes anything: all but GET, HEAD and OPTIONS. */
bool http_check_is_write(const char *method);

/* Path and query of a target that passed http_check_head: what is after the authority, if it has
 * one ("http://host/path"). */
const char *http_check_path(const char *target);

#endif
