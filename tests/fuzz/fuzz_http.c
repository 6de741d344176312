/* Fuzzes what the bridge reads of a request by itself: lines of the input are the target, a query,
 * and the names and values of headers.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "broker/bus/alloc.h"
#include "client/bridge/etag.h"
#include "client/bridge/http_check.h"
#include "client/bridge/params.h"
#include "client/bridge/routes.h"

enum { HEADERS_MAX = 8 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Cut the next line off, as a string. */
static char *next_line(char **rest)
{
    char *line = *rest;
    char *end = strchr(line, '\n');
    *rest = end != NULL ? end + 1 : line + strlen(line);
    if (end != NULL)
        *end = '\0';
    return line;
}

/* What passes one check must be fit for the next. */
static void check(const struct http_request *request)
{
    static const char *const hosts[] = {"localhost", "[::1]"};
    struct route_parameter parameter;
    const struct route *route;
    char allow[ROUTE_ALLOW_BYTES];
    const char *why;
    size_t count;
    const struct route *routes = routes_all(&count);

    if (http_check_head(request, &why) != 0)
        return;
    http_check_host(request, hosts, 2, &why);
    http_check_origin(request, &why);
    const char *path = http_check_path(request->target);
    routes_find(routes, count, "GET", path, strcspn(path, "?"), &route, &parameter, allow);
}

/* What was decoded is the same after encoding and decoding again. */
static void decode(const char *text)
{
    static const char *const known[] = {"q", "limit", NULL};
    struct params_query query;
    char *decoded = NULL;
    char *again = NULL;
    char *error = NULL;
    const char *why;

    if (params_query_read(&query, text, known, &error) != 0)
        free(error);
    params_query_close(&query);
    if (params_decode(text, strlen(text), true, &decoded, &why) != 0)
        return;
    struct bytes_writer encoded = {0};
    params_encode(&encoded, decoded);
    if (params_decode((const char *)encoded.data, encoded.size, true, &again, &why) != 0 ||
        strcmp(decoded, again) != 0)
        abort();
    bytes_writer_close(&encoded);
    free(decoded);
    free(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = alloc_copy(data, size);
    char *rest = text;
    struct http_header headers[HEADERS_MAX] = {{"Host", 4, "localhost", 9}};
    struct http_request request = {.method = "POST",
                                   .version = "HTTP/1.1",
                                   .target = next_line(&rest),
                                   .headers = headers,
                                   .header_count = 1};
    int64_t version;

    decode(next_line(&rest));
    while (*rest != '\0' && request.header_count < HEADERS_MAX) {
        const char *name = next_line(&rest);
        const char *value = next_line(&rest);
        etag_matches(value, strlen(value), "\"7\"");
        etag_demanded(value, strlen(value), &version);
        headers[request.header_count++] =
            (struct http_header){name, strlen(name), value, strlen(value)};
    }
    check(&request);
    free(text);
    return 0;
}
