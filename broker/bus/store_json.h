/* The JSON of the store on the bus: what all requests and all errors have in common (part two of
 * docs/protocol.md). What an operation's own members are is its business.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_BUS_STORE_JSON_H
#define PYGMY_BUS_STORE_JSON_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

/* A sentence that says what is wrong with a text. */
#define STORE_JSON_WHY_BYTES (JSON_ERROR_TEXT_LENGTH + 64)

/* Parse an object of somebody else's: no member doubled, at most JSON_DEPTH_MAX deep. Returns it,
 * the caller's to release; else NULL, and @why of STORE_JSON_WHY_BYTES says what is wrong. */
json_t *store_json_parse(const void *text, size_t size, char *why);

/* Parse a request, and check "op" (a string) and "request_id". Returns OK and @request, the
 * caller's to release; or ERR_MALFORMED or ERR_INVALID, and @why as above. */
int store_json_request(const void *text, size_t size, json_t **request, char *why);

/* Whether a request has no members but those that all may have; an operation that takes none
 * refuses others with ERR_INVALID and the sentence. */
bool store_json_is_bare(json_t *request);
#define STORE_JSON_BARE "only op, request_id and secret are known here"

/* The body of an answer that is an error.
 *
 * @detail  what was wrong and where, or NULL; it may quote what a peer sent
 * @extra   an object whose members are added, or NULL; taken over */
json_t *store_json_error(int code, const char *detail, json_t *extra);

#endif
