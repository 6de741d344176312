/* See http_check.h.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "client/bridge/http_check.h"

#include <string.h>
#include <strings.h>

#include "broker/bus/err.h"

#define DIGITS "0123456789"

static int http_refuse(int code, const char *sentence, const char **why)
{
    *why = sentence;
    return code;
}

static bool http_is_alphanumeric(char byte)
{
    return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') ||
           (byte >= '0' && byte <= '9');
}

static bool http_is_in(char byte, const char *set)
{
    return byte != '\0' && strchr(set, byte) != NULL;
}

static bool http_all_in(const char *text, size_t len, const char *set)
{
    for (size_t i = 0; i < len; i++)
        if (!http_is_in(text[i], set))
            return false;
    return true;
}

/* How many bytes at the beginning are letters, digits or of @more. */
static size_t http_span(const char *text, size_t len, const char *more)
{
    size_t at = 0;
    while (at < len && (http_is_alphanumeric(text[at]) || http_is_in(text[at], more)))
        at++;
    return at;
}

static bool http_value_is(const struct http_header *header, const char *text)
{
    return header->value_len == strlen(text) &&
           strncasecmp(header->value, text, header->value_len) == 0;
}

/* The bytes after "http://" or "https://", or NULL. */
static const char *http_after_scheme(const char *text, size_t len)
{
    if (len >= 7 && strncasecmp(text, "http://", 7) == 0)
        return text + 7;
    if (len >= 8 && strncasecmp(text, "https://", 8) == 0)
        return text + 8;
    return NULL;
}

const char *http_check_path(const char *target)
{
    const char *authority = http_after_scheme(target, strlen(target));
    if (authority == NULL)
        return target;
    const char *path = strchr(authority, '/');
    return path != NULL ? path : "/";
}

/* ---- Framing ------------------------------------------------------------------------------ */

static int http_check_line(const struct http_request *request, const char **why)
{
    const char *target = request->target;

    if (strcmp(request->version, "HTTP/1.1") != 0 && strcmp(request->version, "HTTP/1.0") != 0)
        return http_refuse(ERR_MALFORMED, "only HTTP/1.1 and HTTP/1.0 are spoken here", why);
    for (const char *at = target; *at != '\0'; at++)
        if (*at < 0x21 || *at > 0x7e || *at == '#')
            return http_refuse(ERR_MALFORMED,
                               "the request target holds something else than visible ASCII", why);
    if (strcmp(target, "*") == 0 && strcmp(request->method, "OPTIONS") == 0)
        return 0;
    if (target[0] != '/' && http_after_scheme(target, strlen(target)) == NULL)
        return http_refuse(ERR_MALFORMED, "the request target does not begin with '/'", why);
    return 0;
}

/* RFC 9110, 5.6.2 and 5.5. */
static int http_check_header(const struct http_header *header, const char **why)
{
    if (header->name_len == 0 ||
        http_span(header->name, header->name_len, "!#$%&'*+-.^_`|~") != header->name_len)
        return http_refuse(ERR_MALFORMED, "a header's name holds a character that it may not", why);
    for (size_t i = 0; i < header->value_len; i++) {
        unsigned char byte = (unsigned char)header->value[i];
        if ((byte < 0x20 && byte != '\t') || byte == 0x7f)
            return http_refuse(ERR_MALFORMED, "a header's value holds a control character", why);
    }
    return 0;
}

/* RFC 9112, 6.3: where a body ends must not be a matter of taste. */
static int http_check_length(const struct http_request *request, const char **why)
{
    const struct http_header *length = http_request_header(request, "Content-Length", 0);
    const struct http_header *coding = http_request_header(request, "Transfer-Encoding", 0);

    if (http_request_count(request, "Content-Length") > 1)
        return http_refuse(ERR_MALFORMED, "there is more than one Content-Length", why);
    if (length != NULL &&
        (length->value_len == 0 || !http_all_in(length->value, length->value_len, DIGITS)))
        return http_refuse(ERR_MALFORMED, "Content-Length is not a number", why);
    if (coding == NULL)
        return 0;
    if (length != NULL)
        return http_refuse(ERR_MALFORMED, "there are Content-Length and Transfer-Encoding", why);
    if (http_request_count(request, "Transfer-Encoding") > 1 || !http_value_is(coding, "chunked"))
        return http_refuse(ERR_MALFORMED, "the only Transfer-Encoding known here is chunked", why);
    if (strcmp(request->version, "HTTP/1.0") == 0)
        return http_refuse(ERR_MALFORMED, "HTTP/1.0 has no Transfer-Encoding", why);
    return 0;
}

/* "NAME", "NAME:PORT", "[ADDRESS]", "[ADDRESS]:PORT"; @name_len gets the length less the port. */
static bool http_split_authority(const char *text, size_t len, size_t *name_len)
{
    size_t at = 0;
    if (len > 0 && text[0] == '[') {
        while (at < len && text[at] != ']')
            at++;
        if (at == len || !http_all_in(text + 1, at - 1, DIGITS "abcdefABCDEF:."))
            return false;
        at++;
    } else {
        at = http_span(text, len, ".-_");
    }
    *name_len = at;
    if (at == 0)
        return false;
    return at == len ||
           (text[at] == ':' && len - at <= 6 && http_all_in(text + at + 1, len - at - 1, DIGITS));
}

static int http_check_host_form(const struct http_request *request, const char **why)
{
    const struct http_header *host = http_request_header(request, "Host", 0);
    const char *authority = http_after_scheme(request->target, strlen(request->target));
    size_t name_len;

    if (http_request_count(request, "Host") != 1)
        return http_refuse(ERR_MALFORMED,
                           host == NULL ? "Host is missing" : "there is more than one Host", why);
    if (!http_split_authority(host->value, host->value_len, &name_len))
        return http_refuse(ERR_MALFORMED, "Host is neither NAME nor NAME:PORT", why);
    if (authority != NULL && (strcspn(authority, "/") != host->value_len ||
                              strncasecmp(authority, host->value, host->value_len) != 0))
        return http_refuse(ERR_MALFORMED, "the request target names another host than Host", why);
    return 0;
}

int http_check_head(const struct http_request *request, const char **why)
{
    int rc = http_check_line(request, why);
    for (size_t i = 0; i < request->header_count && rc == 0; i++)
        rc = http_check_header(&request->headers[i], why);
    if (rc == 0)
        rc = http_check_length(request, why);
    if (rc == 0)
        rc = http_check_host_form(request, why);
    return rc;
}

/* ---- Who may ask -------------------------------------------------------------------------- */

int http_check_host(const struct http_request *request, const char *const *hosts, size_t count,
                    const char **why)
{
    const struct http_header *host = http_request_header(request, "Host", 0);
    size_t name_len;

    if (!http_split_authority(host->value, host->value_len, &name_len))
        return http_refuse(ERR_MALFORMED, "Host is neither NAME nor NAME:PORT", why);
    for (size_t i = 0; i < count; i++)
        if (strlen(hosts[i]) == name_len && strncasecmp(hosts[i], host->value, name_len) == 0)
            return 0;
    return http_refuse(ERR_HTTP_HOST, "the name in Host is not one of this store's (setting hosts)",
                       why);
}

int http_check_origin(const struct http_request *request, const char **why)
{
    const struct http_header *host = http_request_header(request, "Host", 0);
    const struct http_header *origin;
    const struct http_header *site;

    for (size_t i = 0; (site = http_request_header(request, "Sec-Fetch-Site", i)) != NULL; i++)
        if (!http_value_is(site, "same-origin") && !http_value_is(site, "none"))
            return http_refuse(ERR_HTTP_ORIGIN, "a page of another site asked for this", why);
    for (size_t i = 0; (origin = http_request_header(request, "Origin", i)) != NULL; i++) {
        const char *authority = http_after_scheme(origin->value, origin->value_len);
        size_t scheme_len = authority != NULL ? (size_t)(authority - origin->value) : 0;
        if (authority == NULL || origin->value_len - scheme_len != host->value_len ||
            strncasecmp(authority, host->value, host->value_len) != 0)
            return http_refuse(ERR_HTTP_ORIGIN, "Origin is another site than Host", why);
    }
    return 0;
}

bool http_check_is_write(const char *method)
{
    return strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0 &&
           strcmp(method, "OPTIONS") != 0;
}
