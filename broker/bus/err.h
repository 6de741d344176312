/* The one table of outcomes: what a function returns, what a reply carries on
 * the bus, what the `type` of a JSON error says and what HTTP answers.
 *
 * A code is for ever: it is on the wire (docs/protocol.md lists them all), so
 * rows are added at the end of their group and never renumbered.
 *
 * What a caller may conclude from an error is its *effect*:
 *   NONE     the operation did not take effect and never will (definite)
 *   UNKNOWN  it may have taken effect, or may still; the same key is safe to retry
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_BUS_ERR_H
#define PYGMY_BUS_ERR_H

#include <stdbool.h>

/* X(name, code on the wire, HTTP status, type, title) */
#define ERR_TABLE(X)                                                                               \
    X(OK, 0, 200, "ok", "Done")                                                                    \
    /* 1 to 99: the bus. Given by a broker, or by a client on behalf of one. */                    \
    X(ERR_NO_SERVICE, 1, 503, "no-service", "Nobody serves this now")                              \
    X(ERR_QUEUE_FULL, 2, 503, "queue-full", "Too many requests are waiting")                       \
    X(ERR_EXPIRED, 3, 503, "expired", "The deadline passed before the request was worked on")      \
    X(ERR_WORKER_LOST, 4, 504, "worker-lost", "The worker was lost; the outcome is unknown")       \
    X(ERR_REFUSED, 5, 403, "refused", "The broker refuses this request")                           \
    X(ERR_TOO_LARGE, 6, 413, "too-large", "The message is too large")                              \
    X(ERR_MALFORMED, 7, 400, "malformed", "The message could not be understood")                   \
    X(ERR_NOT_LEADER, 8, 503, "not-leader", "This replica does not lead its group")                \
    X(ERR_TIMEOUT, 9, 504, "timeout", "No answer in time; the outcome is unknown")                 \
    X(ERR_DRAINING, 10, 503, "draining", "The process is about to stop")                           \
    X(ERR_NO_BROKER, 11, 503, "no-broker", "No broker can be reached")                             \
    X(ERR_NOT_IMPLEMENTED, 12, 501, "not-implemented", "There is no such operation")               \
    /* 100 to 199: the replicated log and its storage. */                                          \
    X(ERR_UNKNOWN, 100, 504, "unknown-outcome", "The outcome is unknown")                          \
    X(ERR_DISK_LOW, 101, 503, "disk-low", "Too little free space for new writes")                  \
    X(ERR_BUSY, 102, 503, "busy", "Too many writes are under way")                                 \
    X(ERR_UNAVAILABLE, 103, 503, "unavailable", "Not ready; nothing was attempted")                \
    X(ERR_STORAGE, 104, 500, "storage", "A file could not be read or written")                     \
    X(ERR_CORRUPT, 105, 500, "corrupt", "Stored data is damaged")                                  \
    X(ERR_MISMATCH, 106, 500, "mismatch", "The data belongs to another cluster or replica")        \
    X(ERR_LOCKED, 107, 500, "locked", "Another process uses this directory")                       \
    X(ERR_VERSION, 108, 500, "version", "The format's version is not known here")                  \
    /* 200 to 299: the store. */                                                                   \
    X(ERR_INVALID, 200, 400, "invalid", "The request is not valid")                                \
    X(ERR_NOT_FOUND, 201, 404, "not-found", "There is no such thing")                              \
    X(ERR_OUT_OF_STOCK, 202, 409, "out-of-stock", "Not enough stock")                              \
    X(ERR_KEY_REUSED, 203, 422, "key-reused", "The key was used for something else")               \
    X(ERR_KEY_MISSING, 204, 400, "key-missing", "An idempotency key is required")                  \
    X(ERR_STAMP_OLD, 205, 410, "stamp-old", "The operation began too long ago")                    \
    X(ERR_STATE, 206, 409, "wrong-state", "Not possible in the present state")                     \
    X(ERR_EXISTS, 207, 409, "exists", "It exists already")                                         \
    X(ERR_VERSION_CONFLICT, 208, 412, "version-conflict", "It was changed meanwhile")              \
    X(ERR_UNAUTHORIZED, 209, 401, "unauthorized", "A token is required")                           \
    X(ERR_FORBIDDEN, 210, 403, "forbidden", "Not permitted")                                       \
    X(ERR_VERSION_REQUIRED, 211, 428, "version-required", "The version to change is required")     \
    X(ERR_LIMIT, 212, 409, "limit", "A limit of the store is reached")                             \
    /* 300 to 399: HTTP alone. */                                                                  \
    X(ERR_HTTP_METHOD, 300, 405, "method-not-allowed", "This method is not possible here")         \
    X(ERR_HTTP_ROUTE, 301, 404, "no-such-page", "There is nothing at this address")                \
    X(ERR_HTTP_MEDIA_TYPE, 302, 415, "media-type", "The body must be application/json")            \
    X(ERR_HTTP_HEADERS, 303, 431, "headers-too-large", "The headers are too large")                \
    X(ERR_HTTP_HOST, 304, 421, "host", "This host name is not served here")                        \
    X(ERR_HTTP_ORIGIN, 305, 403, "origin", "Requests of other sites are refused")                  \
    X(ERR_HTTP_BUSY, 306, 429, "too-many-requests", "Too many requests")                           \
    X(ERR_INTERNAL, 399, 500, "internal", "An error inside the store")

enum err_code {
#define X(name, code, http, type, title) name = code,
    ERR_TABLE(X)
#undef X
};

/* The stable slug of a code ("out-of-stock"), "unknown-outcome" for a code that is not in the
 * table: a newer peer may send one, and nothing may be concluded from it. Never NULL. */
const char *err_type(int code);

/* The sentence of a code, for people. Never NULL. */
const char *err_title(int code);

/* The HTTP status of a code; 504 for one that is not in the table. */
int err_http(int code);

/* Whether an operation that ended so may still have taken, or take, effect. False for a definite
 * refusal and for OK. */
bool err_is_unknown(int code);

/* Whether @code is the store's verdict on the request itself, the same for every attempt of it: OK,
 * recorded with the key, or a fault of the request that each attempt has. What is not speaks for
 * one attempt alone, and says nothing of an earlier one whose answer was lost. */
bool err_is_verdict(int code);

/* Whether the same request may succeed when it is simply sent again (nothing was attempted, or the
 * outcome is unknown and the key makes a repetition safe). */
bool err_is_retryable(int code);

#endif
