/* Errors over HTTP: application/problem+json (RFC 9457), made from the codes of err.h. Pure.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_BRIDGE_PROBLEM_H
#define PYGMY_BRIDGE_PROBLEM_H

#include <jansson.h>
#include <stdbool.h>

#include "client/bridge/http_reply.h"

struct problem {
    int code;               /* of err.h, not OK */
    const char *detail;     /* what was wrong and where, or NULL */
    const char *instance;   /* the path that was asked for, or NULL */
    const char *request_id; /* or NULL */
    bool write;             /* of an operation that changes something: an unknown outcome matters */
    json_t *extra; /* members to add (those of a store's error object), borrowed, or NULL */
};

/* The problem as a reply: 503 and 429 with Retry-After, 401 with WWW-Authenticate. An unknown
 * outcome of a write says so, and that the same key is safe. */
struct http_reply *problem_reply(const struct problem *self);

/* The problem of an answer of the store that has @code: its error object's detail and further
 * members come along. @body is {"error": {...}}, or anything. */
struct problem problem_of_answer(int code, const json_t *body);

#endif
