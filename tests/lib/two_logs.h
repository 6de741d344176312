/* Models of the catalog's log and of the order log, as far as a buy and a cancel
 * see them: what each promises, and nothing else. Any one promise can be broken
 * on purpose.
 *
 * A key is a number from 0; the number of an order is from 1.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_TESTS_TWO_LOGS_H
#define PYGMY_TESTS_TWO_LOGS_H

#include <stdbool.h>
#include <stdint.h>

#define MODEL_KEYS   40
#define MODEL_ITEMS  3
#define MODEL_DAY_MS (INT64_C(24) * 3600 * 1000)

enum broken_rule {
    NOTHING_BROKEN,
    DENIAL_FORGOTTEN,    /* the catalog does not record denials */
    OLD_STAMP_ACCEPTED,  /* the catalog takes any stamp */
    UNSETTLED_FORGOTTEN, /* the catalog forgets grants that are not settled */
    LATE_SETTLE_COUNTS,  /* SETTLE of a released grant makes it a settled one */
    UNDO_TWICE,          /* each UNDO gives the stock back */
    ORDER_NOT_UNIQUE,    /* the order log makes an order of each ORDER */
    /* Of who carries the saga out: the models know nothing of these. */
    FRESH_STAMP,        /* each RESERVE is stamped anew */
    DENIED_BY_TIMEOUT,  /* a RESERVE without an answer is taken for a denial */
    UNKNOWN_IS_NOTHING, /* a RESERVE that is on its way is taken for one that never left */
    BROKEN_RULES
};

struct content { /* what is bought; also the grant of it */
    int32_t item;
    int32_t quantity;
};

enum record_state { NO_RECORD, DENIED, GRANTED, SETTLED, RELEASED, CLOSED };

struct record { /* of a buy's key, in the catalog */
    enum record_state state;
    struct content content;
    int64_t stamp;
    int64_t since;   /* log time of its making or release */
    int64_t touched; /* log time of its last use */
};

enum made_state { MADE_ACTIVE, MADE_CANCELLING, MADE_CANCELLED };

struct made { /* an order */
    int key;
    struct content content;
    enum made_state state;
    int cancel; /* which cancel's key; -1: none */
    int64_t cancel_stamp;
};

struct made_table { /* the order tables, as one leader sees them */
    uint64_t count;
    struct made orders[MODEL_KEYS * 4];
};

struct two_logs {
    enum broken_rule broken;
    int64_t now_ms; /* the caller's to move */
    bool catalog_up;
    int64_t log_time_ms;    /* the catalog's */
    int64_t log_time_at_ms; /* when it was that */
    int64_t stock[MODEL_ITEMS];
    int64_t supplied[MODEL_ITEMS]; /* initial, and restocked since */
    struct record records[MODEL_KEYS];
    struct made_table table;
};

/* The catalog's log time; it stands still while the catalog is down. */
int64_t two_logs_time(const struct two_logs *self);
void two_logs_switch_catalog(struct two_logs *self, bool up);
void two_logs_supply(struct two_logs *self, int item, int64_t quantity);

/* Each an entry of the catalog's log. Return OK or the code of the refusal. */
int two_logs_reserve(struct two_logs *self, int key, struct content content, int64_t stamp);
int two_logs_undo(struct two_logs *self, int key, struct content content, int64_t stamp);
void two_logs_settle(struct two_logs *self, int key);
void two_logs_close(struct two_logs *self, int key);

/* The order of a buy's key, its number in *number; NULL: none. */
struct made *made_table_find(struct made_table *self, int key, uint64_t *number);

/* Each an entry of the order log. Return whether it changed something. */
bool two_logs_order(struct two_logs *self, int key, struct content content, uint64_t *number);
bool two_logs_cancelling(struct two_logs *self, uint64_t number, int cancel, int64_t stamp);
bool two_logs_cancelled(struct two_logs *self, uint64_t number);

/* What is wrong when nothing is under way any more, or NULL: each grant settled, each release
 * closed, no order cancelling, stock conserved. */
const char *two_logs_check(const struct two_logs *self);

#endif
