/* libpygmy: the store, from C.
 *
 * One handle speaks to the store over its message bus. Each call names an
 * operation of docs/protocol.md (part two) and ends in one callback with a code
 * and the JSON answer. The handle lives in one thread and one zloop: the
 * caller's, or one of its own that pygmy_wait() runs, so that a program may be
 * written either way:
 *
 *   struct pygmy *store = NULL;
 *   struct pygmy_reply reply = {0};
 *   char *error = NULL;
 *   if (pygmy_open(&(struct pygmy_options){.name = "shop"}, &store, &error) != 0)
 *       ...
 *   pygmy_lookup(store, 20001, pygmy_keep, &reply);
 *   pygmy_wait(store, &reply);
 *   if (reply.code == 0)
 *       printf("%s\n", json_string_value(json_object_get(
 *                          json_object_get(reply.body, "item"), "title")));
 *   pygmy_reply_close(&reply);
 *   pygmy_close(&store);
 *
 * Retries. Until its deadline a call is repeated by itself, with the same key
 * and stamp, when nothing was attempted or the outcome is unknown; with a
 * growing pause of at most half a second. What the caller gets in the end is a
 * result, a definite refusal, or an honest *unknown* (pygmy_code_is_unknown()):
 * once an attempt of a write has ended unknown, a later "not attempted" is
 * unknown too.
 *
 * Link with -lpygmy -lczmq -lzmq -ljansson.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_H
#define PYGMY_H

#include <czmq.h>
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pygmy;

struct pygmy_options {
    const char *name;   /* own name for displays, "cli-PID" when NULL */
    zloop_t *loop;      /* the caller's, or NULL for one of the handle's own */
    const char *config; /* path of cluster.conf; NULL: PYGMY_CONFIG or the default place, and
                              none at all when there are endpoints */
    const char *const *endpoints; /* brokers; NULL: those of the configuration */
    size_t endpoint_count;
    const char *secret; /* the cluster's; NULL: from the configuration when its file may be read */
    int64_t timeout_ms; /* of a call; 0: 10000, and never more than 300000 */
    /* A cache that is never stale (below). */
    size_t cache_entries;     /* 0: none; below that of the longest page and its list, 501, such
                                    a page never comes from memory */
    size_t cache_bytes;       /* of what is kept and its keys; 0: 16 MB. A list takes 8 for each
                                    id, 80 KB at most; with less it is fetched for each page */
    const char *const *feeds; /* where brokers give out their feeds; NULL: those of the
                                    configuration. Without any nothing is kept */
    size_t feed_count;
};

struct pygmy_reply {
    int code;     /* 0, or a code of err.h / docs/protocol.md */
    json_t *body; /* the answer, or {"error": {...}}; never NULL */
    int attempts; /* how often it was sent */
    bool done;
    /* All of it came from memory, under a lease. Then there is no "log_time"; nor is there in a
     * page that a handle with a cache has made of what it asked for. */
    bool cached;
};

/* @reply  valid during the call; take a reference to its body to keep it */
typedef void pygmy_done_fn(void *arg, const struct pygmy_reply *reply);

/* Open a handle; brokers are connected in the background. Returns 0, or a code and a sentence in
 * *error, the caller's to free(). */
int pygmy_open(const struct pygmy_options *options, struct pygmy **self_p, char **error);

/* Calls under way end without a callback. Accepts NULL. Not from within a callback. */
void pygmy_close(struct pygmy **self_p);

/* A callback for programs that wait: @arg is a struct pygmy_reply, zeroed before, to be filled. */
void pygmy_keep(void *arg, const struct pygmy_reply *reply);
/* Run the handle's own loop until @reply is done, and return its code. Returns ERR_UNKNOWN, and
 * leaves it undone, when the process got SIGINT or SIGTERM meanwhile (zsys_interrupted); then close
 * the handle before @reply goes. Only for a handle with a loop of its own, not from a callback. */
int pygmy_wait(struct pygmy *self, struct pygmy_reply *reply);
/* Release the body; @self is zeroed and may be filled again. */
void pygmy_reply_close(struct pygmy_reply *self);

/* Whether a broker is being heard. */
bool pygmy_connected(const struct pygmy *self);
/* Calls under way. */
size_t pygmy_pending(const struct pygmy *self);

/* ---- The general call --------------------------------------------------- */

struct pygmy_call {
    const char *service;    /* "catalog", "order.leader", "node.order-1" */
    json_t *request;        /* the object with "op"; taken over. NULL ends in ERR_INVALID: jansson
                               makes no text of what is not UTF-8 */
    bool write;             /* carries key and stamp: each is made when the request lacks it */
    const char *request_id; /* for the logs, or NULL */
    int64_t timeout_ms;     /* 0: the handle's */
    pygmy_done_fn *done;
    void *arg;
};

/* Start a call. Never calls back from within. Even a call that can't be sent (too large, too many)
 * ends in a callback. The cluster's secret is added to the operations that ask for it, and to no
 * other; without one they end in ERR_FORBIDDEN. */
void pygmy_start(struct pygmy *self, const struct pygmy_call *call);

/* ---- The calls of the store --------------------------------------------- */

/* An item by its id, or by its whole title (case ignored). */
void pygmy_lookup(struct pygmy *self, int64_t id, pygmy_done_fn *done, void *arg);
void pygmy_lookup_title(struct pygmy *self, const char *title, pygmy_done_fn *done, void *arg);

struct pygmy_search {
    const char *topic; /* each may be NULL; all NULL: every item */
    const char *query;
    const char *author;
    const char *cursor;
    int limit; /* 0: 50 */
};
void pygmy_search(struct pygmy *self, const struct pygmy_search *search, pygmy_done_fn *done,
                  void *arg);

struct pygmy_line {
    int64_t id;
    int64_t quantity;
};
/* Buy. @key NULL: one is made; pygmy_key_make() gives one that the caller can show. */
void pygmy_buy(struct pygmy *self, const struct pygmy_line *lines, size_t line_count,
               const char *key, pygmy_done_fn *done, void *arg);
void pygmy_order(struct pygmy *self, int64_t number, pygmy_done_fn *done, void *arg);
void pygmy_orders(struct pygmy *self, const char *cursor, int limit, pygmy_done_fn *done,
                  void *arg);
void pygmy_cancel(struct pygmy *self, int64_t number, const char *key, pygmy_done_fn *done,
                  void *arg);

/* The operator's calls; they need the cluster's secret. */
void pygmy_stock(struct pygmy *self, int64_t id, int64_t change, const char *reason,
                 const char *key, pygmy_done_fn *done, void *arg);
/* @fields as in the operation of docs/protocol.md, without op, key and stamp; taken over. */
void pygmy_item_add(struct pygmy *self, json_t *fields, const char *key, pygmy_done_fn *done,
                    void *arg);
void pygmy_item_edit(struct pygmy *self, json_t *fields, const char *key, pygmy_done_fn *done,
                     void *arg);
void pygmy_item_remove(struct pygmy *self, json_t *fields, const char *key, pygmy_done_fn *done,
                       void *arg);
void pygmy_import(struct pygmy *self, json_t *fields, const char *key, pygmy_done_fn *done,
                  void *arg);
/* The status of a process by its name. */
void pygmy_node_status(struct pygmy *self, const char *name, pygmy_done_fn *done, void *arg);

/* ---- A cache that is never stale ----------------------------------------- */

/* A handle with cache_entries keeps what was looked up by id, also that there is no such item, and
 * the lists of ids of topics. It serves them under a lease of the catalog's leader, which lets no
 * write happen before each such cache has let go of what it changes: so an answer from memory is as
 * fresh as one of the store (docs/consistency.md). Calls go through it by themselves: a lookup by
 * id, and a search by topic alone, on "catalog". An item counts by itself then: such a search is
 * not one moment of the store. It asks for what is not in memory item by item, for 32 at most: with
 * more missing it is one search of the store, and those 32 are in memory the next time.
 *
 * Whoever holds leases makes the store's writers wait for it, and for up to a second, once, when it
 * dies or stands still; one that ends by pygmy_close() says so, and delays nobody. It is for
 * processes that live long, and run their loop all the time. */

/* An item out of memory, without a call. Valid until the next call of any function on this handle,
 * or turn of its loop. */
struct pygmy_cached {
    bool present;     /* false: it is known that there is no such item */
    int64_t version;  /* of one that is present */
    const char *text; /* JSON: of lookup's "item", or of its "error" where there is none; with a NUL
                         after @size bytes */
    size_t size;
};

/* Returns whether it may be answered from memory, now. To be asked after the request has come whose
 * answer it is to be; it takes well below a microsecond. A miss counts nowhere: pygmy_lookup() is
 * what to do then. */
bool pygmy_cached_item(struct pygmy *self, int64_t id, struct pygmy_cached *item);

/* Let go of an item; 0: of everything. */
void pygmy_cache_drop(struct pygmy *self, int64_t id);

/* All 0 without a cache. */
struct pygmy_cache_counts {
    /* Now. */
    size_t entries;
    size_t bytes;   /* of what is kept and its keys */
    size_t pending; /* keys that are being changed, so that nobody keeps them */
    bool all_pending;
    size_t fills;          /* reads under way whose answers may be kept */
    int64_t lease_left_ms; /* 0: no lease, so nothing is served */
    uint64_t session;      /* 0: none */
    uint64_t term;         /* of the leader */
    /* So far. */
    uint64_t hits;   /* items and lists that could be served; a page looks for many */
    uint64_t misses; /* that were asked for, since they could not be; of those: */
    uint64_t joins;  /* had the answer of one that was under way */
    uint64_t passes; /* found no lease, a key that is being changed, or too many fills */
    uint64_t stored;
    uint64_t discarded; /* answers that could not be kept: too old by then, or too large */
    uint64_t evicted;   /* went for others */
    uint64_t invalidated;
    uint64_t flushes;  /* all went: another leader, a gap in the feed, silence */
    uint64_t renewals; /* of the lease; the first one after a flush is none */
};
void pygmy_cache_count(const struct pygmy *self, struct pygmy_cache_counts *counts);

/* ---- Committed changes, live ---------------------------------------------- */

/* Each item and each order that changes, in its state after the change, as soon as that is
 * committed; and from any index on that was told before: whatever fails meanwhile, no row's last
 * state is missed. What changes several times in a moment may be told once. See
 * docs/protocol.md, "The stream of changes". */
struct pygmy_watch;

#define PYGMY_NOW INT64_C(-1)

enum pygmy_news {
    PYGMY_BEGUN,  /* what comes is told; number: from this index on */
    PYGMY_SILENT, /* nothing is heard of the group's leader; number: for so many milliseconds */
    PYGMY_HEARD,  /* it is heard again; number: after so many milliseconds */
    PYGMY_AHEAD,  /* no replica has come to `since` yet; number: how far they are */
    PYGMY_RESET,  /* the brokers serve another cluster now: all that was told is void */
};

struct pygmy_watch_options {
    const char *group; /* "catalog" or "order" */
    int64_t since;     /* the index after which to begin, PYGMY_NOW: where the group is */
    /* What the uuid of the cluster begins with that `since` is an index of: in another one
     * (PYGMY_RESET) all that it has is told. NULL: any. */
    const char *cluster;
    /* Where brokers give out their feeds, and the names of the group's replicas; those that are
     * NULL are taken from the configuration. */
    const char *const *feeds;
    size_t feed_count;
    const char *const *replicas;
    size_t replica_count;
    /* A row has changed; @change as in the protocol. Who begins again after the index @resume, when
     * this has returned, misses nothing. */
    void (*change)(void *arg, const json_t *change, int64_t resume);
    void (*news)(void *arg, enum pygmy_news news, int64_t number);
    void *arg;
};

/* Begin, on the handle's loop. Returns 0, or a code and a sentence in *error, the caller's to
 * free(). */
int pygmy_watch_new(struct pygmy *store, const struct pygmy_watch_options *options,
                    struct pygmy_watch **self_p, char **error);
/* Before its handle is closed, and not from within its functions. Accepts NULL. */
void pygmy_watch_destroy(struct pygmy_watch **self_p);

/* Everything up to this index was told; PYGMY_NOW: it has not begun. */
int64_t pygmy_watch_index(const struct pygmy_watch *self);
/* The uuid of the cluster that this is an index of; "": none was met. */
const char *pygmy_watch_cluster(const struct pygmy_watch *self);

/* ---- Keys and codes -------------------------------------------------------- */

/* Write a new key of 32 characters and a NUL into @text. */
#define PYGMY_KEY_BYTES 33
void pygmy_key_make(char *text);

/* The slug of a code ("out-of-stock"), and whether an operation that ended in it may have taken
 * effect. */
const char *pygmy_code_type(int code);
bool pygmy_code_is_unknown(int code);

#endif
