/* libpygmy's handle: calls, their attempts, and the loop.
 *
 * What a call waits for is its state:
 *
 *   CALL_SENT     an attempt is with the bus                      -> ATTEMPT, gone
 *   CALL_ATTEMPT  the pause before the next attempt               -> SENT
 *   CALL_STAMP    the catalog's log time, until its own deadline  -> SENT, END, gone
 *   CALL_HELD     something of the cache's, until its deadline    -> SENT, END, gone
 *   CALL_END      its callback: it ended before it was sent and
 *                 must not call back inside pygmy_start()         -> gone
 *
 * All but the sent ones are in a heap by when they are due; one alarm serves its head.
 *
 * Invariants
 *   S1  a call ends in exactly one callback, from the loop, by its deadline.
 *   S2  all attempts of a call are the same bytes: one key, one stamp.
 *   S3  the log time is asked for by one call at a time (`fetch`), which is itself a call, one of the
 *       library's own, and outlives those that wait for it.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "client/store/pygmy.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "broker/bus/alarm.h"
#include "broker/bus/alloc.h"
#include "broker/bus/client.h"
#include "broker/bus/clock.h"
#include "broker/bus/config.h"
#include "broker/bus/err.h"
#include "broker/bus/heap.h"
#include "broker/bus/key.h"
#include "broker/bus/limits.h"
#include "client/store/caching.h"
#include "client/store/handle.h"
#include "client/store/loop_end.h"
#include "client/store/retry.h"
#include "client/store/stamp.h"

#define US_PER_MS       1000
#define NAME_TEXT_BYTES 32
#define NO_LOG_TIME     "the catalog's log time could not be had"

_Static_assert(PYGMY_KEY_BYTES == KEY_TEXT_BYTES, "pygmy.h is installed without key.h");

enum call_state { CALL_SENT, CALL_ATTEMPT, CALL_STAMP, CALL_HELD, CALL_END };

struct call {
    struct heap_node due; /* when it is looked at again; the first member */
    enum call_state state;
    struct pygmy *store;
    char *service;
    json_t *request; /* until it is sent for the first time; then NULL */
    char *bytes;     /* the request as it is sent */
    size_t size;
    struct retry retry;
    int64_t deadline_ms;
    int code;           /* of the last attempt */
    json_t *body;       /* of the last attempt, or NULL: to be made from the code */
    bool cached;        /* that was memory */
    bool own;           /* the library's */
    call_left_fn *left; /* who is told when a held one ends, or NULL */
    void *left_arg;
    pygmy_done_fn *done;
    void *arg;
    void *handle; /* of its place in the list */
};

struct pygmy {
    zloop_t *loop;
    bool loop_owned;
    struct config *config; /* NULL: it was opened without one */
    struct bus_client *bus;
    struct alarm *alarm;
    struct loop_end *loop_end; /* of the handle's own loop, else NULL */
    int64_t timeout_ms;
    char *secret;       /* the cluster's, or NULL: none yet */
    char *secret_path;  /* where to read it when it is first needed, or NULL */
    char *secret_error; /* why there is none, for people, or NULL */
    struct stamp stamp;
    struct call *fetch; /* the call for the log time, or NULL */
    uint64_t call_count;
    zlistx_t *calls;             /* all of them: owns them */
    size_t own_count;            /* those of the library's own */
    struct caching *caching;     /* or NULL */
    struct heap waiting;         /* those that are not sent */
    struct pygmy_reply *awaited; /* what pygmy_wait() waits for, or NULL */
    bool in_callback;
};

/* ---- Opening and closing -------------------------------------------------- */

/* Whoever held it is told that it is gone. */
static void call_leave(struct call *self)
{
    call_left_fn *left = self->left;
    self->left = NULL;
    if (left != NULL)
        left(self->left_arg);
}

static void call_destroy(void **item)
{
    struct call *self = *item;
    call_leave(self);
    free(self->service);
    json_decref(self->request);
    free(self->bytes);
    json_decref(self->body);
    free(self);
    *item = NULL;
}

static void open_bus(struct pygmy *self, const char *name, const char *const *endpoints,
                     size_t endpoint_count)
{
    char text[NAME_TEXT_BYTES];
    snprintf(text, sizeof text, "cli-%ld", (long)getpid());
    self->bus = bus_client_new(
        self->loop, &(struct bus_client_options){
                        .name = name != NULL ? name : text,
                        .endpoints = endpoints,
                        .endpoint_count = endpoint_count,
                        /* Beside those of the callers, those of our own:
                                                * for the log time, and the cache's. */
                        .request_count_max = CALLS_MAX + 1 + LEASE_FILLS_MAX + CACHE_ASKS_MAX,
                    });
}

static int open_configured(struct pygmy *self, const struct pygmy_options *options, char **error)
{
    struct config *config = NULL;
    int code = config_load(options->config, NULL, 0, &config, error);
    if (code != OK)
        return code;
    if (self->secret == NULL && config->secret != NULL)
        self->secret_path = alloc_copy(config->secret, strlen(config->secret));
    if (options->endpoints != NULL) {
        open_bus(self, options->name, options->endpoints, options->endpoint_count);
    } else {
        size_t count = 0;
        const char **endpoints = config_bus_endpoints(config, &count);
        if (count > 0)
            open_bus(self, options->name, endpoints, count);
        free(endpoints);
    }
    if (self->bus == NULL) {
        *error = zsys_sprintf("%s names no broker", config->path);
        code = ERR_INVALID;
    }
    self->config = config;
    return code;
}

static void alarm_rang(void *arg);

int pygmy_open(const struct pygmy_options *options, struct pygmy **self_p, char **error)
{
    assert(options->endpoints == NULL || options->endpoint_count > 0);
    /* Sockets are made later, and only the first would see to it that signals are caught. */
    zsys_init();
    struct pygmy *self = alloc_zero(sizeof *self);
    self->loop_owned = options->loop == NULL;
    self->loop = self->loop_owned ? zloop_new() : options->loop;
    self->timeout_ms = options->timeout_ms > 0 ? options->timeout_ms : CALL_TIMEOUT_MS;
    self->calls = zlistx_new();
    zlistx_set_destructor(self->calls, call_destroy);
    heap_init(&self->waiting);
    self->alarm = alarm_new(self->loop, alarm_rang, self);
    self->loop_end = self->loop_owned ? loop_end_new(self->loop) : NULL;
    if (options->secret != NULL)
        self->secret = alloc_copy(options->secret, strlen(options->secret));
    int code = OK;
    if (options->endpoints != NULL && options->config == NULL)
        open_bus(self, options->name, options->endpoints, options->endpoint_count);
    else
        code = open_configured(self, options, error);
    if (code != OK) {
        pygmy_close(&self);
        return code;
    }
    self->caching = caching_new(self, options);
    *self_p = self;
    return OK;
}

void pygmy_close(struct pygmy **self_p)
{
    struct pygmy *self = *self_p;
    if (self == NULL)
        return;
    assert(!self->in_callback);
    if (self->caching != NULL) {
        caching_leave(self->caching);
        bus_client_flush(self->bus);
    }
    bus_client_destroy(&self->bus);
    alarm_destroy(&self->alarm);
    loop_end_destroy(&self->loop_end);
    heap_close(&self->waiting);
    zlistx_destroy(&self->calls);
    caching_destroy(&self->caching);
    config_destroy(&self->config);
    free(self->secret);
    free(self->secret_path);
    free(self->secret_error);
    if (self->loop_owned)
        zloop_destroy(&self->loop);
    free(self);
    *self_p = NULL;
}

/* ---- States and the alarm -------------------------------------------------- */

static struct call *store_first_due(const struct pygmy *self)
{
    return (struct call *)heap_first(&self->waiting);
}

static void store_set_alarm(struct pygmy *self)
{
    const struct call *first = store_first_due(self);
    if (first != NULL)
        alarm_set(self->alarm, first->due.at_ms);
}

static void call_leave_heap(struct call *self)
{
    if (self->due.place != 0)
        heap_remove(&self->store->waiting, &self->due);
}

static void call_wait(struct call *self, enum call_state state, int64_t at_ms)
{
    call_leave_heap(self);
    self->state = state;
    self->due.at_ms = at_ms;
    heap_push(&self->store->waiting, &self->due);
    if (store_first_due(self->store) == self)
        store_set_alarm(self->store);
}

/* ---- The end of a call ---------------------------------------------------- */

static json_t *error_body(int code, const char *detail)
{
    json_t *error = json_pack("{ss ss}", "type", err_type(code), "title", err_title(code));
    if (detail != NULL)
        json_object_set_new(error, "detail", json_string(detail));
    return json_pack("{so}", "error", error);
}

static void call_set(struct call *self, int code, const char *detail)
{
    self->code = code;
    json_decref(self->body);
    self->body = error_body(code, detail);
}

/* What the caller is told: the last attempt's answer, or what must be said in its stead. */
static void call_conclude(struct call *self)
{
    int code = retry_outcome(&self->retry, self->code);
    if (code != self->code) {
        char detail[160];
        snprintf(detail, sizeof detail,
                 "an earlier attempt may have taken effect; the last one ended in \"%s\"",
                 err_type(self->code));
        call_set(self, code, detail);
    }
    if (self->body == NULL)
        self->body = error_body(self->code, NULL);
}

static void call_end(struct call *self)
{
    struct pygmy *store = self->store;
    call_leave_heap(self);
    zlistx_detach(store->calls, self->handle);
    store->own_count -= self->own;
    call_leave(self);
    call_conclude(self);
    struct pygmy_reply reply = {.code = self->code,
                                .body = self->body,
                                .attempts = self->retry.attempts,
                                .done = true,
                                .cached = self->cached};
    store->in_callback = true;
    self->done(self->arg, &reply);
    store->in_callback = false;
    call_destroy((void **)&self);
    if (store->awaited != NULL && store->awaited->done)
        loop_end_now(store->loop_end);
}

/* End it with @code in the next turn of the loop, because its caller is still in pygmy_start(). */
static void call_end_later(struct call *self, int code, const char *detail)
{
    call_set(self, code, detail);
    call_wait(self, CALL_END, 0);
}

/* ---- Attempts -------------------------------------------------------------- */

static void call_learn(struct call *self, int code)
{
    struct pygmy *store = self->store;
    json_t *log_time = json_object_get(self->body, "log_time");
    if (code == OK && json_is_integer(log_time))
        stamp_learn(&store->stamp, json_integer_value(log_time), clock_ms());
    /* The stamp may be what was refused: of a store that was set up anew, say. */
    if (self->retry.write && (code == ERR_INVALID || code == ERR_STAMP_OLD))
        stamp_forget(&store->stamp);
}

/* An attempt has ended: pause for the next, or end. */
static void call_take(struct call *self, int code)
{
    int64_t now_ms = clock_ms();
    int64_t pause_ms;
    self->code = code;
    if (retry_take(&self->retry, code, self->deadline_ms - now_ms, &pause_ms))
        call_wait(self, CALL_ATTEMPT, now_ms + pause_ms);
    else
        call_end(self);
}

static void call_answered(void *arg, int code, const uint8_t *body, size_t size)
{
    struct call *self = arg;
    json_decref(self->body);
    self->body = size > 0 ? json_loadb((const char *)body, size, 0, NULL) : NULL;
    if (self->body != NULL && !json_is_object(self->body)) {
        json_decref(self->body);
        self->body = NULL;
    }
    /* "Done", but what: a write may well have taken effect. */
    if (code == OK && self->body == NULL) {
        code = ERR_UNKNOWN;
        call_set(self, code, "the answer could not be read");
    }
    call_learn(self, code);
    call_take(self, code);
}

static void call_attempt(struct call *self)
{
    struct pygmy *store = self->store;
    int64_t left_ms = self->deadline_ms - clock_ms();
    call_leave_heap(self);
    self->state = CALL_SENT;
    int code = bus_client_request(store->bus, self->service, self->bytes, self->size,
                                  left_ms > 0 ? left_ms : 1, call_answered, self);
    if (code != OK)
        call_end_later(self, code, NULL);
}

/* The first attempt: from here on the bytes are fixed (S2). */
static void call_send(struct call *self)
{
    self->bytes = json_dumps(self->request, JSON_COMPACT);
    assert(self->bytes != NULL);
    self->size = strlen(self->bytes);
    json_decref(self->request);
    self->request = NULL;
    call_attempt(self);
}

/* A call that waited is due. */
static void call_go_on(struct call *self)
{
    if (self->state == CALL_ATTEMPT) {
        call_attempt(self);
        return;
    }
    if (self->state == CALL_STAMP)
        call_set(self, ERR_UNAVAILABLE, NO_LOG_TIME);
    if (self->state == CALL_HELD)
        call_set(self, ERR_TIMEOUT, NULL);
    call_end(self);
}

static void alarm_rang(void *arg)
{
    struct pygmy *self = arg;
    int64_t now_ms = clock_ms();
    /* Callbacks start new calls, which may be due at once: those are for the next turn. */
    for (size_t left = self->waiting.count; left > 0; left--) {
        struct call *call = store_first_due(self);
        if (call == NULL || call->due.at_ms > now_ms)
            break;
        call_go_on(call);
    }
    store_set_alarm(self);
}

/* ---- Starting: key, secret, stamp ------------------------------------------- */

static struct call *call_new(struct pygmy *store, const struct pygmy_call *from)
{
    struct call *self = alloc_zero(sizeof *self);
    int64_t timeout_ms = from->timeout_ms > 0 ? from->timeout_ms : store->timeout_ms;
    if (timeout_ms > REQUEST_DEADLINE_MS_MAX)
        timeout_ms = REQUEST_DEADLINE_MS_MAX;
    self->store = store;
    self->service = alloc_copy(from->service, strlen(from->service));
    self->request = from->request;
    self->retry = (struct retry){.write = from->write, .seed = store->call_count++};
    self->deadline_ms = clock_ms() + timeout_ms;
    self->done = from->done;
    self->arg = from->arg;
    self->handle = zlistx_add_end(store->calls, self);
    return self;
}

static struct call *call_new_own(struct pygmy *store, const struct pygmy_call *from)
{
    struct call *self = call_new(store, from);
    self->own = true;
    store->own_count++;
    return self;
}

/* The operations that docs/protocol.md says take the secret. */
static bool call_needs_secret(const struct call *self)
{
    static const char *const names[] = {
        "item_add",  "item_edit",  "item_remove",    "stock",         "import",
        "unsettled", "reserve",    "settle",         "undo",          "close",
        "members",   "member_add", "member_promote", "member_remove", "leader_move"};
    const char *op = json_string_value(json_object_get(self->request, "op"));
    for (size_t i = 0; op != NULL && i < sizeof names / sizeof *names; i++)
        if (strcmp(op, names[i]) == 0)
            return true;
    return false;
}

/* Read the secret's file when it is first needed, so that those who need none may lack the right
 * to read it. */
const char *handle_secret(struct pygmy *self)
{
    if (self->secret == NULL && self->secret_path != NULL) {
        free(self->secret_error);
        self->secret_error = NULL;
        config_read_secret(self->secret_path, &self->secret, &self->secret_error);
    }
    return self->secret;
}

/* Complete the request, all but its stamp. Returns 0, or a code with a reason. */
static int call_complete(struct call *self, const char *request_id, const char **detail)
{
    struct pygmy *store = self->store;
    if (!json_is_object(self->request)) {
        *detail = "the text of a request must be UTF-8";
        return ERR_INVALID;
    }
    if (self->retry.write && json_object_get(self->request, "key") == NULL) {
        char key[KEY_TEXT_BYTES];
        key_make(key);
        json_object_set_new(self->request, "key", json_string(key));
    }
    if (request_id != NULL)
        json_object_set_new(self->request, "request_id", json_string(request_id));
    if (!call_needs_secret(self) || json_object_get(self->request, "secret") != NULL)
        return OK;
    if (handle_secret(store) == NULL) {
        *detail =
            store->secret_error != NULL ? store->secret_error : "this takes the cluster's secret";
        return ERR_FORBIDDEN;
    }
    json_object_set_new(self->request, "secret", json_string(store->secret));
    return OK;
}

static void call_stamp(struct call *self, int64_t log_time_ms)
{
    json_object_set_new(self->request, "stamp", json_integer(log_time_ms));
    call_send(self);
}

/* The log time has come, or will not: go on with the calls that wait for it. */
static void fetch_done(void *arg, const struct pygmy_reply *reply)
{
    struct pygmy *self = arg;
    int64_t log_time_ms = 0;
    self->fetch = NULL;
    bool known = stamp_get(&self->stamp, clock_ms(), &log_time_ms);
    /* The calls themselves were not sent, so nothing about them is unknown. */
    int code = reply->code == OK || err_is_unknown(reply->code) ? ERR_UNAVAILABLE : reply->code;
    for (struct call *call = zlistx_first(self->calls); call != NULL;
         call = zlistx_next(self->calls)) {
        if (call->state != CALL_STAMP)
            continue;
        if (known)
            call_stamp(call, log_time_ms);
        else
            call_end_later(call, code, NO_LOG_TIME);
    }
}

/* Ask for the log time, for as long as a call may live: those that wait end at their own
 * deadlines. */
static void fetch_start(struct pygmy *self)
{
    if (self->fetch != NULL)
        return;
    self->fetch = call_new_own(self, &(struct pygmy_call){
                                         .service = "catalog",
                                         .request = json_pack("{ss}", "op", "time"),
                                         .timeout_ms = REQUEST_DEADLINE_MS_MAX,
                                         .done = fetch_done,
                                         .arg = self,
                                     });
    call_send(self->fetch);
}

static void call_begin(struct call *self)
{
    struct pygmy *store = self->store;
    int64_t log_time_ms;
    if (!self->retry.write || json_object_get(self->request, "stamp") != NULL) {
        call_send(self);
    } else if (stamp_get(&store->stamp, clock_ms(), &log_time_ms)) {
        call_stamp(self, log_time_ms);
    } else {
        call_wait(self, CALL_STAMP, self->deadline_ms);
        fetch_start(store);
    }
}

void pygmy_start(struct pygmy *self, const struct pygmy_call *call)
{
    assert(call->service != NULL && call->done != NULL);
    bool full = pygmy_pending(self) >= CALLS_MAX;
    struct call *begun = call_new(self, call);
    const char *detail = NULL;
    int code = full ? ERR_QUEUE_FULL : call_complete(begun, call->request_id, &detail);
    if (code != OK)
        call_end_later(begun, code, detail);
    else if (self->caching == NULL || call->write ||
             !caching_take(self->caching, begun, call->service))
        call_begin(begun);
}

/* ---- Waiting ----------------------------------------------------------------- */

void pygmy_keep(void *arg, const struct pygmy_reply *reply)
{
    struct pygmy_reply *kept = arg;
    *kept = *reply;
    json_incref(kept->body);
}

int pygmy_wait(struct pygmy *self, struct pygmy_reply *reply)
{
    assert(self->loop_owned && !self->in_callback && self->awaited == NULL);
    self->awaited = reply;
    /* The loop also ends at signals that mean nothing to us, such as a window's new size. */
    while (!reply->done && !zsys_interrupted)
        zloop_start(self->loop);
    self->awaited = NULL;
    return reply->done ? reply->code : ERR_UNKNOWN;
}

void pygmy_reply_close(struct pygmy_reply *self)
{
    json_decref(self->body);
    *self = (struct pygmy_reply){0};
}

bool pygmy_connected(const struct pygmy *self)
{
    return bus_client_connected(self->bus);
}

size_t pygmy_pending(const struct pygmy *self)
{
    return zlistx_size(self->calls) - self->own_count;
}

/* ---- For the other modules --------------------------------------------------- */

zloop_t *handle_loop(const struct pygmy *self)
{
    return self->loop;
}

struct bus_client *handle_bus(const struct pygmy *self)
{
    return self->bus;
}

const struct config *handle_config(const struct pygmy *self)
{
    return self->config;
}

void handle_start(struct pygmy *self, const struct pygmy_call *call)
{
    struct call *begun = call_new_own(self, call);
    const char *detail = NULL;
    const int code = call_complete(begun, call->request_id, &detail);
    if (code != OK)
        call_end_later(begun, code, detail);
    else
        call_begin(begun);
}

const json_t *call_request(const struct call *self)
{
    return self->request;
}

int64_t call_left_ms(const struct call *self)
{
    return self->deadline_ms - clock_ms();
}

void call_hold(struct call *self, call_left_fn *left, void *arg)
{
    assert(self->request != NULL);
    self->left = left;
    self->left_arg = arg;
    call_wait(self, CALL_HELD, self->deadline_ms);
}

void call_settle(struct call *self, const struct pygmy_reply *reply)
{
    self->left = NULL;
    self->code = reply->code;
    self->body = reply->body;
    self->retry.attempts = reply->attempts;
    self->cached = reply->cached;
    call_wait(self, CALL_END, 0);
}

void call_pass(struct call *self)
{
    self->left = NULL;
    call_leave_heap(self);
    call_begin(self);
}

static void call_is_forgotten(void *arg, const struct pygmy_reply *reply)
{
    (void)arg;
    (void)reply;
}

void handle_forget(struct pygmy *self, const void *arg)
{
    for (struct call *call = zlistx_first(self->calls); call != NULL;
         call = zlistx_next(self->calls))
        if (call->arg == arg)
            call->done = call_is_forgotten;
}

/* ---- Keys and codes ---------------------------------------------------------- */

void pygmy_key_make(char *text)
{
    key_make(text);
}

const char *pygmy_code_type(int code)
{
    return err_type(code);
}

bool pygmy_code_is_unknown(int code)
{
    return err_is_unknown(code);
}

/* ---- The cache ----------------------------------------------------------------- */

bool pygmy_cached_item(struct pygmy *self, int64_t id, struct pygmy_cached *item)
{
    return self->caching != NULL && caching_item(self->caching, id, item);
}

void pygmy_cache_drop(struct pygmy *self, int64_t id)
{
    if (self->caching != NULL)
        caching_drop(self->caching, id);
}

void pygmy_cache_count(const struct pygmy *self, struct pygmy_cache_counts *counts)
{
    struct leased_counts all = {0};
    if (self->caching != NULL)
        caching_count(self->caching, &all);
    *counts = (struct pygmy_cache_counts){
        .entries = all.entries,
        .bytes = all.bytes,
        .pending = all.pending,
        .all_pending = all.all_pending,
        .fills = all.fills,
        .lease_left_ms = all.lease_left_ms,
        .session = all.session,
        .term = all.term,
        .hits = all.hits,
        .misses = all.misses,
        .joins = all.joins,
        .passes = all.passes,
        .stored = all.stored,
        .discarded = all.discarded,
        .evicted = all.evicted,
        .invalidated = all.invalidated,
        .flushes = all.flushes,
        .renewals = all.renewals,
    };
}
