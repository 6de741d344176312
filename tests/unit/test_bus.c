/* The whole bus: a client and a worker in this process, the broker a process of its own that is
 * killed under load. Which program that is, PYGMY_BUILD and PYGMY_SUFFIX say.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <czmq.h>
#include <setjmp.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "broker/bus/client.h"
#include "broker/bus/clock.h"
#include "broker/bus/err.h"
#include "broker/bus/limits.h"
#include "broker/bus/worker.h"
#include "tests/lib/scripted_broker.h"

#define REQUESTS   100000
#define WINDOW     256
#define RUN_MS_MAX 50000

extern char **environ;

struct load {
    zloop_t *loop;
    char endpoint[64];
    pid_t broker; /* 0: none runs */
    struct bus_client *client;
    struct bus_worker *worker;
    size_t asked_count;
    size_t answered_count;
    size_t ok_count;
    size_t served_count; /* by the worker: attempts, not requests */
    size_t kill_step;    /* kill the broker each time so many more are answered; 0: never */
    size_t kill_count;   /* how often it was */
    size_t stop_at;      /* stop the broker when so many are answered; 0: don't */
    int64_t stopped_ms;  /* when it was; 0: it is not stopped */
    uint8_t answers[REQUESTS];
    struct question {
        struct load *load;
        uint32_t number;
    } questions[REQUESTS];
};

/* ---- The broker ------------------------------------------------------- */

static void broker_start(struct load *load)
{
    const char *build = getenv("PYGMY_BUILD");
    const char *suffix = getenv("PYGMY_SUFFIX");
    char program[4096], bind[80];
    snprintf(program, sizeof program, "%s/pygmy-broker%s", build != NULL ? build : "build",
             suffix != NULL ? suffix : "");
    snprintf(bind, sizeof bind, "--bind=%s", load->endpoint);
    char *argv[] = {program, bind, "--log-level=error", NULL};
    if (posix_spawn(&load->broker, program, NULL, NULL, argv, environ) != 0)
        fail_msg("%s can't be started", program);
}

static void broker_kill(struct load *load)
{
    int status;
    assert_int_equal(kill(load->broker, SIGKILL), 0);
    assert_int_equal(waitpid(load->broker, &status, 0), load->broker);
    /* It ran until now, and did not end by itself. */
    assert_true(WIFSIGNALED(status));
    load->broker = 0;
}

/* An address that was free a moment ago. */
static void find_endpoint(struct load *load)
{
    char address[SCRIPTED_ADDRESS_BYTES];
    zsock_t *probe = zsock_new(ZMQ_ROUTER);
    scripted_address(address);
    assert_int_not_equal(zsock_bind(probe, "%s", address), -1);
    snprintf(load->endpoint, sizeof load->endpoint, "%s", zsock_endpoint(probe));
    zsock_destroy(&probe);
}

/* ---- The load --------------------------------------------------------- */

static void ask(struct load *load);

static void take_answer(void *arg, int code, const uint8_t *body, size_t size)
{
    struct question *question = arg;
    struct load *load = question->load;

    load->answers[question->number]++;
    load->answered_count++;
    if (code == OK) {
        load->ok_count++;
        assert_int_equal(size, sizeof question->number);
        assert_memory_equal(body, &question->number, sizeof question->number);
    } else {
        /* The only excuse is that the outcome can't be known, or that nothing was attempted. */
        assert_true(err_is_retryable(code));
    }
    ask(load);
}

static void ask(struct load *load)
{
    if (load->asked_count == REQUESTS)
        return;
    struct question *question = &load->questions[load->asked_count];
    *question = (struct question){load, (uint32_t)load->asked_count};
    load->asked_count++;
    assert_int_equal(bus_client_request(load->client, "echo", &question->number,
                                        sizeof question->number, REQUEST_DEADLINE_MS, take_answer,
                                        question),
                     0);
}

static void serve(void *arg, struct bus_request *request)
{
    struct load *load = arg;
    load->served_count++;
    bus_request_reply(&request, OK, bus_request_body(request), bus_request_size(request));
}

static int set_up(void **state)
{
    struct load *load = calloc(1, sizeof *load);
    const char *endpoint = load->endpoint;
    find_endpoint(load);
    load->loop = zloop_new();
    load->worker = bus_worker_new(load->loop, &(struct bus_worker_options){
                                                  .service = "echo",
                                                  .name = "echo-1",
                                                  .endpoints = &endpoint,
                                                  .endpoint_count = 1,
                                                  .on_request = serve,
                                                  .arg = load,
                                              });
    load->client = bus_client_new(load->loop, &(struct bus_client_options){.name = "load-1",
                                                                           .endpoints = &endpoint,
                                                                           .endpoint_count = 1});
    *state = load;
    return 0;
}

static int tear_down(void **state)
{
    struct load *load = *state;
    bus_client_destroy(&load->client);
    bus_worker_destroy(&load->worker);
    zloop_destroy(&load->loop);
    if (load->broker != 0)
        broker_kill(load);
    free(load);
    return 0;
}

/* Stop the broker when it is time to, and let it go on when it has been silent for long. */
static void watch_stop(struct load *load)
{
    if (load->stopped_ms != 0 && clock_ms() >= load->stopped_ms + 2 * HEARTBEAT_GONE_MS) {
        load->stopped_ms = 0;
        assert_int_equal(kill(load->broker, SIGCONT), 0);
    }
    if (load->stop_at != 0 && load->answered_count >= load->stop_at) {
        load->stop_at = 0;
        load->stopped_ms = clock_ms();
        assert_int_equal(kill(load->broker, SIGSTOP), 0);
    }
}

/* Every millisecond: do to the broker what is due, end when all is answered. */
static int watch(zloop_t *loop, int timer, void *arg)
{
    struct load *load = arg;

    (void)loop;
    (void)timer;
    if (load->kill_step != 0 && load->answered_count < REQUESTS &&
        load->answered_count >= (load->kill_count + 1) * load->kill_step) {
        load->kill_count++;
        broker_kill(load);
        broker_start(load);
    }
    watch_stop(load);
    return load->answered_count == REQUESTS ? -1 : 0;
}

static int give_up(zloop_t *loop, int timer, void *arg)
{
    (void)loop;
    (void)timer;
    (void)arg;
    return -1;
}

static void run(struct load *load)
{
    int64_t start_us = clock_us();
    for (size_t i = 0; i < WINDOW; i++)
        ask(load);
    zloop_timer(load->loop, 1, 0, watch, load);
    zloop_timer(load->loop, RUN_MS_MAX, 1, give_up, NULL);
    zloop_start(load->loop);
    double seconds = (double)(clock_us() - start_us) / 1e6;
    print_message("%zu requests in %.2f s, %zu answered, %zu well, %zu served\n", load->asked_count,
                  seconds, load->answered_count, load->ok_count, load->served_count);
    assert_int_equal(load->answered_count, REQUESTS);
    for (size_t i = 0; i < REQUESTS; i++)
        assert_int_equal(load->answers[i], 1);
}

/* Without a fault each request is served once and answered once, from before the broker was
 * there. */
static void test_each_request_is_answered_once(void **state)
{
    struct load *load = *state;

    broker_start(load);
    run(load);
    assert_int_equal(load->ok_count, REQUESTS);
    assert_int_equal(load->served_count, REQUESTS);
}

/* A broker that is killed in the middle, and again, and started again each time costs no request
 * its answer, and none gets two. */
static void test_a_killed_broker_costs_no_answer(void **state)
{
    struct load *load = *state;

    broker_start(load);
    load->kill_step = REQUESTS / 4;
    run(load);
    assert_in_range(load->kill_count, 1, 3);
    assert_int_equal(load->ok_count, REQUESTS);
    assert_in_range(load->served_count, REQUESTS, REQUESTS + load->kill_count * WINDOW);
}

/* Nor does a broker that is stopped for so long that it is given up, and then goes on with what it
 * had: its late answers find nobody, and are no second ones. */
static void test_a_stopped_broker_costs_no_answer(void **state)
{
    struct load *load = *state;

    broker_start(load);
    load->stop_at = REQUESTS / 2;
    run(load);
    assert_int_equal(load->stop_at, 0);
    assert_int_equal(load->ok_count, REQUESTS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_each_request_is_answered_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_killed_broker_costs_no_answer, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_stopped_broker_costs_no_answer, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
