/* The buy and the cancel as sagas over two logs: the catalog's, which is the
 * commit point of a buy, and the order log, which gives the number.
 *
 * Pure: each function below is an event, told with the time; what is to be done
 * about it comes back as actions, in order, from saga_next(). It knows keys,
 * stamps and numbers; the content of a buy and a grant are bytes to it. Most
 * actions are *calls*: who carries one out answers it with one event, at once or
 * later, by its number. A second answer to a call changes nothing.
 *
 * Words. A *flow* is one key under way: a buy or a cancel. It awaits one call at
 * a time. A *ticket* is a request that waits for a flow's outcome; several may
 * wait for one.
 *
 * Invariants
 *   S1  roll-forward only: nothing is denied but by the catalog's word or by the order tables.
 *       Time never denies: at a ticket's deadline it is answered *unknown* when something of its
 *       flow may have taken effect, else *not attempted*, and the flow goes on.
 *       ("Too old" of the catalog's is told only after a linearizable read of the tables: the catalog
 *       forgets the key of an order in the end, and old tables may lack the order.)
 *   S2  a stamp passes from the client to the catalog unchanged. (The one stamp that is ever made
 *       here replaces one that the catalog refused as too old for the UNDO of an order that is
 *       cancelling, and goes through the order log first. That is safe: every stamp of an UNDO is
 *       at most an hour above the catalog's log time before the CLOSE, so a late UNDO is refused
 *       by the time the closed record may be forgotten.)
 *   S3  one flow for a key at a time. A repetition with the same content joins it, one with other
 *       content is refused.
 *   S4  a grant without an order is ordered, by the flow that asked for it or by the scan of
 *       whoever leads next. An order that is cancelling is cancelled, likewise.
 *   S5  SETTLE is sent only for keys whose order is applied here, CLOSE only for keys whose order
 *       is cancelled here. Both are lazy: what is lost of them is found again by the scan.
 *   S6  a ticket is answered exactly once.
 *   S7  who does not lead does nothing: from the loss of leadership on no action comes but answers,
 *       and what calls of an earlier leadership are answered changes nothing. Calls that are on
 *       their way then, or were sent by a leader that is deposed and does not know it, do no harm:
 *       the catalog's are idempotent by key and stamp, and its log commits nothing.
 *
 * What is left by a crash (or a lost leadership, or a lost message) between any two steps, and who
 * goes on. "Scan": that of this leader, or of the next one.
 *
 *   after                        | catalog's log | order log  | then
 *   -----------------------------|---------------|------------|----------------------------------
 *   buy asked, key looked up     | -             | -          | repeated by the client: new
 *   RESERVE sent                 | - or record   | -          | as above, or as below
 *   RESERVE denied               | denied        | -          | repetition: the same denial
 *   RESERVE granted              | granted       | -          | scan: ORDER. Repetition: the
 *                                |               |            | recorded grant, ORDER
 *   ORDER submitted              | granted       | - or order | scan, as above; a second ORDER of
 *                                |               |            | a key changes nothing
 *   ORDER applied, not answered  | granted       | order      | repetition: found by its key
 *   answered, SETTLE not sent    | granted       | order      | scan: SETTLE
 *   SETTLE sent, answer lost     | settled       | order      | nothing
 *   cancel asked, looked up      | settled       | active     | repeated by the client: new
 *   CANCELLING submitted         | settled       | either     | as above, or as below
 *   CANCELLING applied           | settled       | cancelling | scan: UNDO
 *   UNDO sent, answer lost       | released      | cancelling | scan: UNDO (once), CANCELLED
 *   CANCELLED applied            | released      | cancelled  | repetition: found by its key.
 *                                |               |            | scan: CLOSE
 *   CLOSE sent, answer lost      | closed        | cancelled  | nothing
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_ORDER_SAGA_H
#define PYGMY_ORDER_SAGA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct saga;

/* Bytes that the saga keeps and compares, and never looks into. Not owned, in events. */
struct saga_bytes {
    const uint8_t *data;
    size_t size;
};

/* ---- Actions ------------------------------------------------------------ */

enum saga_action_type {
    SAGA_LOOK_UP, /* what the order tables know: saga_looked(). call, cancel, key, number, fresh */
    SAGA_RESERVE, /* to the catalog: saga_reserved(). call, key, content, stamp */
    SAGA_UNDO,    /* to the catalog: saga_undone(). call, key (of the buy), content, stamp */
    SAGA_ORDER,   /* into the order log: saga_applied(). call, key, content, stamp, grant */
    SAGA_CANCELLING, /* into the order log: saga_applied(). call, key, number, stamp */
    SAGA_CANCELLED,  /* into the order log: saga_applied(). call, number */
    SAGA_SETTLE,     /* to the catalog: saga_settled(). call, keys */
    SAGA_CLOSE,      /* to the catalog: saga_closed(). call, keys */
    SAGA_SCAN,       /* unsettled of the catalog: saga_scanned(). call */
    SAGA_LIST,       /* orders that are cancelling, of the order tables: saga_listed() */
    SAGA_ANSWER,     /* ticket, cancel, code, number, replayed, error, log_time_ms */
};

/* What is to be done. Everything in it belongs to it. */
struct saga_action {
    enum saga_action_type type;
    uint64_t call; /* to be given back with the event that answers this; never used twice */
    bool cancel;   /* LOOK_UP, ANSWER: of a cancel, else of a buy */
    bool fresh;    /* LOOK_UP: by a linearizable read; else the tables as they are will do */
    char *key;     /* NUL-terminated */
    uint64_t number;
    int64_t stamp;
    struct saga_bytes content;
    struct saga_bytes grant;
    char **keys; /* SETTLE, CLOSE */
    size_t key_count;
    uint64_t ticket;
    int code;
    bool replayed;
    struct saga_bytes error; /* the catalog's own words for a denial; empty: none */
    int64_t log_time_ms;     /* the catalog's, as last heard; -1: not heard yet */
};

struct saga *saga_new(void);
/* Flows and tickets are dropped without an action. Accepts NULL. */
void saga_destroy(struct saga **self_p);

/* The next thing to be done, the caller's to destroy; NULL when there is nothing left. Events may
 * be told between two calls. */
struct saga_action *saga_next(struct saga *self);
void saga_action_destroy(struct saga_action **self_p);

/* ---- Events: asked ------------------------------------------------------ */

struct saga_ask {
    uint64_t ticket;
    const char *key;
    int64_t stamp;
    int64_t deadline_ms;       /* when an answer is due, in the time of @now_ms */
    struct saga_bytes content; /* a buy's: equal bytes mean the same buy */
    uint64_t number;           /* a cancel's */
};

/* Both are answered, by an action, with OK, or
 *   ERR_NOT_LEADER, ERR_EXPIRED, ERR_BUSY (SAGA_FLOWS_MAX, or SAGA_TICKETS_MAX of one key),
 *   ERR_UNAVAILABLE (deadline)           nothing was attempted
 *   ERR_TIMEOUT (deadline), ERR_UNKNOWN (leadership lost)
 *                                        unknown
 *   ERR_KEY_REUSED                       the key belongs to something else
 *   buy: a denial of the catalog's, with its own words
 *   cancel: ERR_NOT_FOUND; ERR_STATE (cancelled under another key. While it is being cancelled
 *   under another key the answer waits: "cancelled" would not be true yet); ERR_STAMP_OLD,
 *   ERR_INVALID (the stamp, judged by the catalog's log time before anything is done) */
void saga_buy(struct saga *self, const struct saga_ask *ask, int64_t now_ms);
void saga_cancel(struct saga *self, const struct saga_ask *ask, int64_t now_ms);

/* ---- Events: answered --------------------------------------------------- */

/* An answer to a call of a flow that is no more changes nothing. */

enum saga_state { SAGA_ABSENT, SAGA_ACTIVE, SAGA_IS_CANCELLING, SAGA_IS_CANCELLED };

/* What the order tables know: of a buy, the order of that key; of a cancel, the order of that
 * number. */
struct saga_known {
    bool key_used; /* the flow's key belongs to something else: a cancel, for a buy; an order
                           * or another order's cancel, for a cancel */
    enum saga_state state;
    uint64_t number;
    struct saga_bytes content;
    const char *order_key; /* cancel: the buy's key */
    bool mine;             /* cancel: begun under the flow's key */
    int64_t cancel_stamp;  /* cancel: as recorded */
};

/* @code   OK, or why the tables can't be read now: @known is NULL then */
void saga_looked(struct saga *self, uint64_t call, int code, const struct saga_known *known,
                 int64_t now_ms);

/* @code   OK (granted), a denial, or an error of the way there
 * @body   of a grant: the grant; of a denial: the catalog's words; else empty */
void saga_reserved(struct saga *self, uint64_t call, int code, struct saga_bytes body,
                   int64_t now_ms);
void saga_undone(struct saga *self, uint64_t call, int code, int64_t now_ms);

/* A command of ours was applied, refused or lost.
 *
 * @code    OK; ERR_KEY_REUSED for an ORDER whose key has an order of other content; or the log's
 * @number  of the order, for an ORDER
 * @made    whether the command changed something (else it was known before) */
void saga_applied(struct saga *self, uint64_t call, int code, uint64_t number, bool made,
                  int64_t now_ms);

void saga_settled(struct saga *self, uint64_t call, int code, int64_t now_ms);
void saga_closed(struct saga *self, uint64_t call, int code, int64_t now_ms);

enum saga_grant_order {
    SAGA_UNORDERED,
    SAGA_ORDERED,
    SAGA_ORDERED_OTHERWISE, /* the key has an order of other content */
};

/* A grant that the catalog calls unsettled, with what the order tables know of its key. */
struct saga_grant {
    const char *key;
    struct saga_bytes content;
    int64_t stamp;
    struct saga_bytes grant;
    enum saga_grant_order order;
};

struct saga_scan {
    const struct saga_grant *grants;
    size_t grant_count;
    const char *const *closable; /* keys of releases whose orders are cancelled */
    size_t closable_count;
};

/* @scan  NULL when @code is not OK */
void saga_scanned(struct saga *self, uint64_t call, int code, const struct saga_scan *scan,
                  int64_t now_ms);

/* An order that is cancelling. */
struct saga_listed {
    const char *cancel_key;
    const char *order_key;
    uint64_t number;
    int64_t stamp;
    struct saga_bytes content;
};

void saga_listed(struct saga *self, const struct saga_listed *rows, size_t count);

/* An answer of the catalog said its log time. Known anew in each leadership. */
void saga_heard(struct saga *self, int64_t log_time_ms);

/* ---- Events: time and place --------------------------------------------- */

/* Call it every SAGA_TICK_MS. */
void saga_tick(struct saga *self, int64_t now_ms);

/* Leadership of the order group was gained or lost. Lost: every ticket is answered, every flow
 * dropped; what was under way is the next leader's, who may be this one again: gained, it scans at
 * once. Never gained twice without a loss in between. */
void saga_lead(struct saga *self, bool leader, int64_t now_ms);

/* ---- For displays ------------------------------------------------------- */

struct saga_numbers {
    size_t flows;       /* keys under way */
    size_t recovered;   /* of these, found by a scan */
    size_t tickets;     /* requests that wait */
    size_t unsettled;   /* grants in the last scan's answer */
    size_t settle_keys; /* waiting for the next SETTLE */
    size_t close_keys;
    uint64_t conflicts; /* grants whose key has an order of other content: none, ever, unless
                         * orders were lost or a key was used anew after the catalog forgot it */
};

void saga_numbers(const struct saga *self, struct saga_numbers *numbers);

#endif
