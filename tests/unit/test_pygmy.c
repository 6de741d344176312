/* libpygmy's handle against a bus of the test's own: it keeps what was sent, and answers by script.
 *
 * The functions of broker/bus/client.h are defined here, so the linker takes
 * these and not the archive's. Each attempt takes the next step of the script;
 * the answer is given from the loop, as the real one does.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "broker/bus/alarm.h"
#include "broker/bus/alloc.h"
#include "broker/bus/client.h"
#include "broker/bus/clock.h"
#include "broker/bus/err.h"
#include "broker/bus/limits.h"
#include "client/store/pygmy.h"

#define STEPS_MAX  32
#define SECRET     "the-secret-of-the-test"
#define TIMEOUT_MS 5000

/* What the fake bus does with an attempt. */
struct step {
    int code;
    const char *body; /* NULL: none */
    bool refuse;      /* bus_client_request() itself returns the code */
    bool silent;      /* no answer before the budget has passed: then the code */
};

struct sent {
    char service[SERVICE_NAME_BYTES_MAX + 1];
    json_t *request;
    char *bytes;
    int64_t budget_ms;
};

struct bus_client {
    struct alarm *alarm;
    const struct step *steps; /* by attempt; beyond the last: OK and {} */
    size_t step_count;
    struct sent sent[STEPS_MAX];
    size_t sent_count;
    struct {
        int code;
        const char *body;
        bus_reply_fn *done;
        void *arg;
    } answers[STEPS_MAX]; /* to be given at the next ring */
    size_t answer_count;
};

/* The one that the handle under test made last. */
static struct bus_client *bus;

static void bus_rang(void *arg)
{
    struct bus_client *self = arg;
    for (size_t i = 0; i < self->answer_count; i++) {
        const char *body = self->answers[i].body;
        self->answers[i].done(self->answers[i].arg, self->answers[i].code, (const uint8_t *)body,
                              body != NULL ? strlen(body) : 0);
    }
    self->answer_count = 0;
}

struct bus_client *bus_client_new(zloop_t *loop, const struct bus_client_options *options)
{
    assert_true(options->endpoint_count > 0);
    bus = alloc_zero(sizeof *bus);
    bus->alarm = alarm_new(loop, bus_rang, bus);
    return bus;
}

void bus_client_destroy(struct bus_client **self_p)
{
    struct bus_client *self = *self_p;
    if (self == NULL)
        return;
    alarm_destroy(&self->alarm);
    for (size_t i = 0; i < self->sent_count; i++) {
        json_decref(self->sent[i].request);
        free(self->sent[i].bytes);
    }
    free(self);
    *self_p = NULL;
}

int bus_client_request(struct bus_client *self, const char *service, const void *body, size_t size,
                       int64_t budget_ms, bus_reply_fn *done, void *arg)
{
    static const struct step done_step = {.body = "{}"};
    size_t number = self->sent_count++;
    assert_true(number < STEPS_MAX && budget_ms >= 1);
    struct sent *sent = &self->sent[number];
    snprintf(sent->service, sizeof sent->service, "%s", service);
    sent->bytes = alloc_copy(body, size);
    sent->request = json_loads(sent->bytes, 0, NULL);
    sent->budget_ms = budget_ms;
    assert_non_null(sent->request);
    const struct step *step = number < self->step_count ? &self->steps[number] : &done_step;
    if (step->refuse)
        return step->code;
    size_t place = self->answer_count++;
    self->answers[place].code = step->code;
    self->answers[place].body = step->body;
    self->answers[place].done = done;
    self->answers[place].arg = arg;
    alarm_set(self->alarm, step->silent ? clock_ms() + budget_ms : 0);
    return OK;
}

/* Only a cache asks so (test_caching). */
int bus_client_request_once(struct bus_client *self, const char *service, const void *body,
                            size_t size, int64_t budget_ms, bus_reply_fn *done, void *arg)
{
    (void)service;
    (void)body;
    (void)size;
    (void)budget_ms;
    (void)done;
    (void)arg;
    assert_null(self);
    return ERR_NOT_IMPLEMENTED;
}

/* For what a cache says last. */
void bus_client_flush(struct bus_client *self)
{
    assert_null(self);
}

bool bus_client_connected(const struct bus_client *self)
{
    return self->sent_count > 0;
}

/* ---- Set-up ----------------------------------------------------------------- */

static const char *const endpoints[] = {"inproc://nobody"};

static struct pygmy *open_store(const char *secret, const struct step *steps, size_t step_count)
{
    struct pygmy *store = NULL;
    char *error = NULL;
    int code = pygmy_open(&(struct pygmy_options){.name = "test",
                                                  .endpoints = endpoints,
                                                  .endpoint_count = 1,
                                                  .secret = secret,
                                                  .timeout_ms = TIMEOUT_MS},
                          &store, &error);
    assert_int_equal(code, OK);
    bus->steps = steps;
    bus->step_count = step_count;
    return store;
}

#define OPEN(...)                                                                                  \
    open_store(SECRET, (const struct step[]){__VA_ARGS__},                                         \
               sizeof((const struct step[]){__VA_ARGS__}) / sizeof(struct step))

static const char *sent_text(size_t index, const char *member)
{
    return json_string_value(json_object_get(bus->sent[index].request, member));
}

static int64_t sent_number(size_t index, const char *member)
{
    json_t *value = json_object_get(bus->sent[index].request, member);
    assert_true(json_is_integer(value));
    return json_integer_value(value);
}

static const char *error_text(const struct pygmy_reply *reply, const char *member)
{
    return json_string_value(json_object_get(json_object_get(reply->body, "error"), member));
}

/* ---- Reads ------------------------------------------------------------------- */

/* The request of a lookup, and its answer. */
static void test_a_lookup_asks_the_catalog(void **state)
{
    struct pygmy *store = OPEN({.body = "{\"item\":{\"id\":5},\"log_time\":1}"});
    struct pygmy_reply reply = {0};
    (void)state;
    pygmy_lookup(store, 5, pygmy_keep, &reply);
    assert_false(reply.done);
    assert_int_equal(pygmy_pending(store), 1);
    assert_int_equal(pygmy_wait(store, &reply), OK);
    assert_int_equal(pygmy_pending(store), 0);
    assert_int_equal(reply.attempts, 1);
    assert_string_equal(bus->sent[0].service, "catalog");
    assert_string_equal(bus->sent[0].bytes, "{\"op\":\"lookup\",\"id\":5}");
    assert_non_null(json_object_get(reply.body, "item"));
    pygmy_reply_close(&reply);
    pygmy_close(&store);
}

/* What was not attempted is attempted again, until it is answered. */
static void test_a_call_is_repeated_until_it_is_answered(void **state)
{
    struct pygmy *store = OPEN({.code = ERR_NO_SERVICE}, {.code = ERR_WORKER_LOST},
                               {.code = ERR_NOT_LEADER}, {.body = "{}"});
    struct pygmy_reply reply = {0};
    (void)state;
    pygmy_lookup(store, 5, pygmy_keep, &reply);
    assert_int_equal(pygmy_wait(store, &reply), OK);
    assert_int_equal(reply.attempts, 4);
    assert_true(bus->sent[3].budget_ms < bus->sent[0].budget_ms);
    pygmy_reply_close(&reply);
    pygmy_close(&store);
}

/* An error without a body, as brokers send them, has one in the end. */
static void test_a_code_without_a_body_gets_an_error_object(void **state)
{
    struct pygmy *store = OPEN({.code = ERR_REFUSED});
    struct pygmy_reply reply = {0};
    (void)state;
    pygmy_lookup(store, 5, pygmy_keep, &reply);
    assert_int_equal(pygmy_wait(store, &reply), ERR_REFUSED);
    assert_string_equal(error_text(&reply, "type"), "refused");
    pygmy_reply_close(&reply);
    pygmy_close(&store);
}

/* An answer that is no JSON object is an unknown outcome, whatever its status says. */
static void test_an_unreadable_answer_is_unknown(void **state)
{
    struct pygmy *store =
        OPEN({.body = "[1]"}, {.body = "{\"a\""}, {.code = ERR_INVALID, .body = "nonsense"});
    struct pygmy_reply reply = {0};
    (void)state;
    pygmy_buy(store, &(struct pygmy_line){1, 1}, 1, "k", pygmy_keep, &reply);
    assert_int_equal(pygmy_wait(store, &reply), ERR_INVALID);
    pygmy_reply_close(&reply);
    pygmy_close(&store);
}

/* A request with text that is not UTF-8 ends in a callback, later, and is never sent. */
static void test_text_that_is_not_utf8_is_refused_without_being_sent(void **state)
{
    struct pygmy *store = OPEN({.code = OK});
    struct pygmy_reply reply = {0};
    (void)state;
    pygmy_lookup_title(store, "\xff", pygmy_keep, &reply);
    assert_false(reply.done);
    assert_int_equal(pygmy_wait(store, &reply), ERR_INVALID);
    assert_int_equal(bus->sent_count, 0);
    assert_int_equal(reply.attempts, 0);
    pygmy_reply_close(&reply);
    pygmy_close(&store);
}

/* A refusal by the bus itself ends in a callback too. */
static void test_a_refusal_by_the_bus_ends_in_a_callback(void **state)
{
    struct pygmy *store = OPEN({.code = ERR_TOO_LARGE, .refuse = true});
    struct pygmy_reply reply = {0};
    (void)state;
    pygmy_lookup(store, 5, pygmy_keep, &reply);
    assert_false(reply.done);
    assert_int_equal(pygmy_wait(store, &reply), ERR_TOO_LARGE);
    pygmy_reply_close(&reply);
    pygmy_close(&store);
}

static void count_code(void *arg, const struct pygmy_reply *reply)
{
    size_t *counts = arg;
    assert_true(reply->code == OK || reply->code == ERR_QUEUE_FULL ||
                reply->code == ERR_UNAVAILABLE);
    counts[reply->code == ERR_QUEUE_FULL]++;
}

/* Calls above the bound are answered with the bound's code; those below it are kept. */
static void test_calls_above_the_bound_are_refused(void **state)
{
    struct pygmy *store = OPEN({.code = ERR_TIMEOUT, .silent = true});
    struct pygmy_reply reply = {0};
    size_t counts[2] = {0};
    (void)state;
    /* They wait for the log time, which does not come. */
    for (int i = 0; i < CALLS_MAX; i++)
        pygmy_buy(store, &(struct pygmy_line){1, 1}, 1, "k", count_code, counts);
    assert_int_equal(pygmy_pending(store), CALLS_MAX);
    pygmy_lookup(store, 5, pygmy_keep, &reply);
    assert_int_equal(pygmy_wait(store, &reply), ERR_QUEUE_FULL);
    assert_int_equal(pygmy_pending(store), CALLS_MAX);
    assert_int_equal(counts[0] + counts[1], 0);
    pygmy_reply_close(&reply);
    pygmy_close(&store);
}

/* ---- Writes: key, stamp, secret ------------------------------------------------- */

/* A write that has no stamp yet asks for the log time first, once for all that wait. */
static void test_the_log_time_is_fetched_once_before_the_first_writes(void **state)
{
    struct pygmy *store = OPEN({.body = "{\"log_time\":4711}"});
    struct pygmy_reply one = {0};
    struct pygmy_reply other = {0};
    (void)state;
    pygmy_buy(store, &(struct pygmy_line){1, 2}, 1, "k1", pygmy_keep, &one);
    pygmy_cancel(store, 3, "k2", pygmy_keep, &other);
    assert_int_equal(pygmy_pending(store), 2);
    assert_int_equal(pygmy_wait(store, &one), OK);
    assert_int_equal(pygmy_wait(store, &other), OK);
    assert_int_equal(bus->sent_count, 3);
    assert_string_equal(sent_text(0, "op"), "time");
    assert_int_equal(sent_number(1, "stamp"), 4711);
    assert_int_equal(sent_number(2, "stamp"), 4711);
    pygmy_reply_close(&one);
    pygmy_reply_close(&other);
    pygmy_close(&store);
}

/* Any answer's log time will do for what comes after it. */
static void test_the_log_time_of_any_answer_stamps_the_next_write(void **state)
{
    struct pygmy *store = OPEN({.body = "{\"log_time\":12}"}, {.body = "{\"log_time\":99}"});
    struct pygmy_reply reply = {0};
    (void)state;
    pygmy_lookup(store, 5, pygmy_keep, &reply);
    pygmy_wait(store, &reply);
    pygmy_reply_close(&reply);
    pygmy_buy(store, &(struct pygmy_line){1, 1}, 1, NULL, pygmy_keep, &reply);
    pygmy_wait(store, &reply);
    assert_int_equal(bus->sent_count, 2);
    assert_int_equal(sent_number(1, "stamp"), 12);
    assert_int_equal(strlen(sent_text(1, "key")), PYGMY_KEY_BYTES - 1);
    pygmy_reply_close(&reply);
    pygmy_close(&store);
}

/* All attempts of a write are the same bytes, though the log time has gone on meanwhile. */
static void test_a_repetition_is_the_same_to_the_byte(void **state)
{
    struct pygmy *store = OPEN({.body = "{\"log_time\":12}"}, {.code = ERR_TIMEOUT},
                               {.body = "{\"log_time\":13}"}, {.code = ERR_BUSY});
    struct pygmy_reply buy = {0};
    struct pygmy_reply lookup = {0};
    (void)state;
    pygmy_lookup(store, 1, pygmy_keep, &lookup);
    pygmy_wait(store, &lookup);
    pygmy_reply_close(&lookup);
    pygmy_buy(store, &(struct pygmy_line){1, 1}, 1, NULL, pygmy_keep, &buy);
    pygmy_lookup(store, 1, pygmy_keep, &lookup);
    assert_int_equal(pygmy_wait(store, &lookup), OK);
    assert_int_equal(pygmy_wait(store, &buy), OK);
    assert_int_equal(buy.attempts, 3);
    assert_int_equal(bus->sent_count, 5);
    assert_string_equal(sent_text(1, "op"), "buy");
    assert_string_equal(bus->sent[3].bytes, bus->sent[1].bytes);
    assert_string_equal(bus->sent[4].bytes, bus->sent[1].bytes);
    pygmy_reply_close(&buy);
    pygmy_reply_close(&lookup);
    pygmy_close(&store);
}

/* Without the log time a write is not sent, and its end says so: nothing was attempted. */
static void test_a_write_without_a_log_time_was_not_attempted(void **state)
{
    struct pygmy *store = OPEN({.code = ERR_TIMEOUT, .silent = true});
    struct pygmy_reply reply = {0};
    (void)state;
    pygmy_start(store, &(struct pygmy_call){.service = "order.leader",
                                            .request = json_pack("{ss}", "op", "buy"),
                                            .write = true,
                                            .timeout_ms = 50,
                                            .done = pygmy_keep,
                                            .arg = &reply});
    int64_t began_ms = clock_ms();
    assert_int_equal(pygmy_wait(store, &reply), ERR_UNAVAILABLE);
    assert_in_range(clock_ms() - began_ms, 49, TIMEOUT_MS / 2);
    assert_int_equal(bus->sent_count, 1);
    pygmy_reply_close(&reply);
    pygmy_close(&store);
}

/* A write whose first attempt ended unknown and whose others never left ends unknown. */
static void test_a_write_ends_unknown_when_an_attempt_was(void **state)
{
    struct step steps[STEPS_MAX] = {{.body = "{\"log_time\":1}"}, {.code = ERR_WORKER_LOST}};
    for (size_t i = 2; i < STEPS_MAX; i++)
        steps[i].code = ERR_NO_BROKER;
    struct pygmy *store = open_store(SECRET, steps, STEPS_MAX);
    struct pygmy_reply reply = {0};
    (void)state;
    pygmy_start(store, &(struct pygmy_call){.service = "order.leader",
                                            .request = json_pack("{ss}", "op", "buy"),
                                            .write = true,
                                            .timeout_ms = 200,
                                            .done = pygmy_keep,
                                            .arg = &reply});
    assert_int_equal(pygmy_wait(store, &reply), ERR_UNKNOWN);
    assert_true(pygmy_code_is_unknown(reply.code));
    assert_string_equal(error_text(&reply, "type"), "unknown-outcome");
    assert_non_null(strstr(error_text(&reply, "detail"), "no-broker"));
    pygmy_reply_close(&reply);
    pygmy_close(&store);
}

/* A refused stamp is not used for the next write. */
static void test_a_refused_stamp_is_fetched_anew(void **state)
{
    struct pygmy *store =
        OPEN({.body = "{\"log_time\":100000000}"}, {.code = ERR_INVALID, .body = "{\"error\":{}}"},
             {.body = "{\"log_time\":5}"});
    struct pygmy_reply reply = {0};
    (void)state;
    pygmy_cancel(store, 1, "a", pygmy_keep, &reply);
    assert_int_equal(pygmy_wait(store, &reply), ERR_INVALID);
    pygmy_reply_close(&reply);
    pygmy_cancel(store, 1, "b", pygmy_keep, &reply);
    assert_int_equal(pygmy_wait(store, &reply), OK);
    assert_int_equal(sent_number(3, "stamp"), 5);
    pygmy_reply_close(&reply);
    pygmy_close(&store);
}

/* The secret goes with the operations that ask for it, and with no other. */
static void test_the_secret_goes_only_where_it_is_asked_for(void **state)
{
    struct pygmy *store = OPEN({.body = "{\"log_time\":1}"});
    struct pygmy_reply replies[8];
    memset(replies, 0, sizeof replies);
    struct pygmy_search search = {.query = "x"};
    (void)state;
    pygmy_stock(store, 1, 5, "found", "a", pygmy_keep, &replies[0]);
    pygmy_item_remove(store, json_pack("{si}", "id", 1), "b", pygmy_keep, &replies[1]);
    pygmy_import(store, json_pack("{s[]}", "rows"), NULL, pygmy_keep, &replies[2]);
    pygmy_buy(store, &(struct pygmy_line){1, 1}, 1, "c", pygmy_keep, &replies[3]);
    pygmy_search(store, &search, pygmy_keep, &replies[4]);
    pygmy_orders(store, NULL, 0, pygmy_keep, &replies[5]);
    pygmy_node_status(store, "order-1", pygmy_keep, &replies[6]);
    pygmy_item_add(store, json_pack("{si}", "id", 1), NULL, pygmy_keep, &replies[7]);
    for (size_t i = 0; i < 8; i++) {
        assert_int_equal(pygmy_wait(store, &replies[i]), OK);
        pygmy_reply_close(&replies[i]);
    }
    for (size_t i = 0; i < bus->sent_count; i++) {
        const char *op = sent_text(i, "op");
        bool admin = strcmp(op, "stock") == 0 || strcmp(op, "item_remove") == 0 ||
                     strcmp(op, "import") == 0 || strcmp(op, "item_add") == 0;
        assert_int_equal(sent_text(i, "secret") != NULL, admin);
        assert_int_equal(strcmp(bus->sent[i].service, "catalog.leader") == 0, admin);
    }
    pygmy_close(&store);
}

/* Without the secret an operator's call is refused here. */
static void test_an_operators_call_without_the_secret_is_forbidden(void **state)
{
    struct pygmy *store = open_store(NULL, NULL, 0);
    struct pygmy_reply reply = {0};
    (void)state;
    pygmy_stock(store, 1, 5, NULL, "a", pygmy_keep, &reply);
    assert_int_equal(pygmy_wait(store, &reply), ERR_FORBIDDEN);
    assert_int_equal(bus->sent_count, 0);
    pygmy_reply_close(&reply);
    pygmy_close(&store);
}

static void write_file(const char *path, const char *text, mode_t mode)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
    assert_int_equal(chmod(path, mode), 0);
}

/* The configuration names brokers and the secret's file, which is read when it is needed; one that
 * others may read is refused, by its name. */
static void test_the_secret_comes_from_the_file_that_the_configuration_names(void **state)
{
    char folder[] = "/tmp/pygmy-test-XXXXXX";
    char config[64];
    char secret[64];
    (void)state;
    assert_non_null(mkdtemp(folder));
    snprintf(config, sizeof config, "%s/cluster.conf", folder);
    snprintf(secret, sizeof secret, "%s/secret", folder);
    write_file(config,
               "cluster\n"
               "    uuid = 0123456789abcdef0123456789abcdef\n"
               "    secret = secret\n"
               "brokers\n"
               "    broker-1\n"
               "        bus = tcp://127.0.0.1:1\n",
               0600);
    write_file(secret, SECRET "\n", 0644);
    struct pygmy *store = NULL;
    char *error = NULL;
    struct pygmy_reply reply = {0};
    assert_int_equal(pygmy_open(&(struct pygmy_options){.config = config}, &store, &error), OK);
    pygmy_start(store, &(struct pygmy_call){.service = "catalog",
                                            .request = json_pack("{ss}", "op", "unsettled"),
                                            .done = pygmy_keep,
                                            .arg = &reply});
    assert_int_equal(pygmy_wait(store, &reply), ERR_FORBIDDEN);
    assert_non_null(strstr(error_text(&reply, "detail"), secret));
    pygmy_reply_close(&reply);
    assert_int_equal(chmod(secret, 0600), 0);
    pygmy_start(store, &(struct pygmy_call){.service = "catalog",
                                            .request = json_pack("{ss}", "op", "unsettled"),
                                            .request_id = "r-1",
                                            .done = pygmy_keep,
                                            .arg = &reply});
    assert_int_equal(pygmy_wait(store, &reply), OK);
    assert_string_equal(sent_text(0, "secret"), SECRET);
    assert_string_equal(sent_text(0, "request_id"), "r-1");
    pygmy_reply_close(&reply);
    pygmy_close(&store);
    unlink(secret);
    unlink(config);
    rmdir(folder);
}

/* Without a configuration there is no handle, but a sentence. */
static void test_a_missing_configuration_is_told(void **state)
{
    struct pygmy *store = NULL;
    char *error = NULL;
    (void)state;
    int code = pygmy_open(&(struct pygmy_options){.config = "/nonexistent/c.conf"}, &store, &error);
    assert_int_equal(code, ERR_STORAGE);
    assert_null(store);
    assert_non_null(strstr(error, "/nonexistent/c.conf"));
    free(error);
}

/* ---- The loop ----------------------------------------------------------------- */

struct chain {
    struct pygmy *store;
    struct pygmy_reply *last;
    int left;
};

static void chain_next(void *arg, const struct pygmy_reply *reply)
{
    struct chain *chain = arg;
    assert_int_equal(reply->code, OK);
    if (--chain->left > 0)
        pygmy_lookup(chain->store, chain->left, chain_next, chain);
    else
        pygmy_keep(chain->last, reply);
}

/* A callback may start the next call; a wait ends when its own reply is done. */
static void test_a_callback_may_start_the_next_call(void **state)
{
    struct pygmy *store = open_store(NULL, NULL, 0);
    struct pygmy_reply reply = {0};
    struct chain chain = {store, &reply, 10};
    (void)state;
    pygmy_lookup(store, 10, chain_next, &chain);
    assert_int_equal(pygmy_wait(store, &reply), OK);
    assert_int_equal(bus->sent_count, 10);
    pygmy_reply_close(&reply);
    pygmy_close(&store);
}

/* A wait that is interrupted leaves the call unanswered, and closing drops it without a call. */
static void test_an_interrupted_wait_is_unknown_and_closing_is_silent(void **state)
{
    struct pygmy *store = OPEN({.code = ERR_TIMEOUT, .silent = true});
    struct pygmy_reply reply = {0};
    (void)state;
    pygmy_lookup(store, 5, pygmy_keep, &reply);
    zsys_interrupted = 1;
    assert_int_equal(pygmy_wait(store, &reply), ERR_UNKNOWN);
    zsys_interrupted = 0;
    assert_false(reply.done);
    pygmy_close(&store);
    assert_null(store);
    assert_false(reply.done);
}

/* Closing nothing is fine. */
static void test_closing_nothing_is_fine(void **state)
{
    struct pygmy *store = NULL;
    (void)state;
    pygmy_close(&store);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_lookup_asks_the_catalog),
        cmocka_unit_test(test_a_call_is_repeated_until_it_is_answered),
        cmocka_unit_test(test_a_code_without_a_body_gets_an_error_object),
        cmocka_unit_test(test_an_unreadable_answer_is_unknown),
        cmocka_unit_test(test_text_that_is_not_utf8_is_refused_without_being_sent),
        cmocka_unit_test(test_a_refusal_by_the_bus_ends_in_a_callback),
        cmocka_unit_test(test_calls_above_the_bound_are_refused),
        cmocka_unit_test(test_the_log_time_is_fetched_once_before_the_first_writes),
        cmocka_unit_test(test_the_log_time_of_any_answer_stamps_the_next_write),
        cmocka_unit_test(test_a_repetition_is_the_same_to_the_byte),
        cmocka_unit_test(test_a_write_without_a_log_time_was_not_attempted),
        cmocka_unit_test(test_a_write_ends_unknown_when_an_attempt_was),
        cmocka_unit_test(test_a_refused_stamp_is_fetched_anew),
        cmocka_unit_test(test_the_secret_goes_only_where_it_is_asked_for),
        cmocka_unit_test(test_an_operators_call_without_the_secret_is_forbidden),
        cmocka_unit_test(test_the_secret_comes_from_the_file_that_the_configuration_names),
        cmocka_unit_test(test_a_missing_configuration_is_told),
        cmocka_unit_test(test_a_callback_may_start_the_next_call),
        cmocka_unit_test(test_an_interrupted_wait_is_unknown_and_closing_is_silent),
        cmocka_unit_test(test_closing_nothing_is_fine),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
