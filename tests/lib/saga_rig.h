/* The saga with its world played by a test: events go in by short forms, actions are taken one by one,
 * and time passes when the test says so.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_TESTS_SAGA_RIG_H
#define PYGMY_TESTS_SAGA_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "broker/bus/err.h"
#include "broker/bus/limits.h"
#include "services/order/saga.h"

#define STAMP    5000
#define LOG_TIME 6000
#define LONG_MS  1000000

struct fixture {
    struct saga *saga;
    struct saga_action *action; /* the one last taken */
    int64_t now_ms;
};

static inline struct saga_bytes bytes(const char *text)
{
    return (struct saga_bytes){(const uint8_t *)text, strlen(text)};
}

static inline bool bytes_are(struct saga_bytes have, const char *text)
{
    return have.size == strlen(text) && memcmp(have.data, text, have.size) == 0;
}

/* Take the next action, which must be of @type. */
static inline struct saga_action *expect(struct fixture *self, enum saga_action_type type)
{
    saga_action_destroy(&self->action);
    self->action = saga_next(self->saga);
    assert_non_null(self->action);
    assert_int_equal(self->action->type, type);
    return self->action;
}

static inline void expect_nothing(struct fixture *self)
{
    saga_action_destroy(&self->action);
    self->action = saga_next(self->saga);
    assert_null(self->action);
}

static inline void expect_answer(struct fixture *self, uint64_t ticket, int code)
{
    struct saga_action *answer = expect(self, SAGA_ANSWER);

    assert_int_equal(answer->ticket, ticket);
    assert_int_equal(answer->code, code);
}

static inline void expect_order(struct fixture *self, uint64_t ticket, uint64_t number,
                                bool replayed)
{
    expect_answer(self, ticket, OK);
    assert_int_equal(self->action->number, number);
    assert_int_equal(self->action->replayed, replayed);
}

static inline void pass(struct fixture *self, int64_t ms)
{
    self->now_ms += ms;
    saga_tick(self->saga, self->now_ms);
}

/* A leader whose first scan has been answered: nothing is left to be done. */
static inline int set_up(void **state)
{
    struct fixture *self = calloc(1, sizeof *self);
    struct saga_scan nothing = {0};

    self->saga = saga_new();
    self->now_ms = 1000;
    saga_lead(self->saga, true, self->now_ms);
    pass(self, 0);
    expect(self, SAGA_SCAN);
    saga_heard(self->saga, LOG_TIME);
    saga_scanned(self->saga, self->action->call, OK, &nothing, self->now_ms);
    expect(self, SAGA_LIST);
    expect_nothing(self);
    *state = self;
    return 0;
}

static inline int tear_down(void **state)
{
    struct fixture *self = *state;

    saga_action_destroy(&self->action);
    saga_destroy(&self->saga);
    free(self);
    return 0;
}

/* ---- Short forms of the events -------------------------------------------- */

static inline void buy_until(struct fixture *self, uint64_t ticket, const char *key,
                             const char *content, int64_t deadline_ms)
{
    struct saga_ask ask = {
        .ticket = ticket,
        .key = key,
        .stamp = STAMP,
        .deadline_ms = deadline_ms,
        .content = bytes(content),
    };

    saga_buy(self->saga, &ask, self->now_ms);
}

static inline void buy(struct fixture *self, uint64_t ticket, const char *key, const char *content)
{
    buy_until(self, ticket, key, content, self->now_ms + LONG_MS);
}

static inline void cancel_until(struct fixture *self, uint64_t ticket, const char *key,
                                uint64_t number, int64_t stamp, int64_t deadline_ms)
{
    struct saga_ask ask = {
        .ticket = ticket,
        .key = key,
        .stamp = stamp,
        .deadline_ms = deadline_ms,
        .number = number,
    };

    saga_cancel(self->saga, &ask, self->now_ms);
}

static inline void cancel(struct fixture *self, uint64_t ticket, const char *key, uint64_t number)
{
    cancel_until(self, ticket, key, number, STAMP, self->now_ms + LONG_MS);
}

static inline void looked(struct fixture *self, const struct saga_known *known)
{
    saga_looked(self->saga, expect(self, SAGA_LOOK_UP)->call, OK, known, self->now_ms);
}

static inline void looked_absent(struct fixture *self)
{
    looked(self, &(struct saga_known){.state = SAGA_ABSENT});
}

static inline void reserved(struct fixture *self, int code, const char *body)
{
    saga_reserved(self->saga, expect(self, SAGA_RESERVE)->call, code, bytes(body), self->now_ms);
}

static inline void ordered(struct fixture *self, int code, uint64_t number, bool made)
{
    saga_applied(self->saga, expect(self, SAGA_ORDER)->call, code, number, made, self->now_ms);
}

/* A buy as far as its RESERVE, which is the action last taken: its flow. */
static inline uint64_t buy_to_reserve(struct fixture *self, uint64_t ticket, const char *key)
{
    buy(self, ticket, key, "content");
    looked_absent(self);
    return expect(self, SAGA_RESERVE)->call;
}

/* A whole buy. */
static inline void buy_through(struct fixture *self, uint64_t ticket, const char *key,
                               uint64_t number)
{
    buy(self, ticket, key, "content");
    looked_absent(self);
    reserved(self, OK, "grant");
    ordered(self, OK, number, true);
    expect_order(self, ticket, number, false);
}

/* An order of the key "buy", as a cancel finds it. */
static inline struct saga_known known_order(enum saga_state state, bool mine)
{
    return (struct saga_known){
        .state = state,
        .number = 7,
        .content = bytes("content"),
        .order_key = "buy",
        .mine = mine,
        .cancel_stamp = STAMP,
    };
}

static inline void looked_order(struct fixture *self, enum saga_state state, bool mine)
{
    struct saga_known known = known_order(state, mine);

    looked(self, &known);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

#endif
