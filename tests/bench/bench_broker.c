/* How many requests a second pass through the broker, beside what passes through a bare zmq_proxy:
 * one client, one worker that echoes, 64-byte bodies, loopback TCP, each in a process of its own.
 *
 *   bench_broker [ROUNDS]     rounds of one second a row, in turn; the median is shown (3)
 *
 * Rows: the proxy; plain Majordomo 0.1 (one request at a time for the worker); the extension with one
 * request a message, at credit 1 and 64; the extension with several requests a message.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zmq.h>

#include "broker/bus/clock.h"
#include "broker/bus/frame.h"
#include "broker/bus/limits.h"
#include "broker/bus/pack.h"

#define BODY_BYTES   64
#define RUN_US       1000000
#define ROUNDS_MAX   99
#define BROKER_PLACE "tcp://127.0.0.1:29871"
#define PROXY_FRONT  "tcp://127.0.0.1:29872"
#define PROXY_BACK   "tcp://127.0.0.1:29873"

enum speech { SPEECH_PROXY, SPEECH_PLAIN, SPEECH_SINGLE, SPEECH_BATCH };

struct row {
    const char *name;
    enum speech speech;
    const char *service; /* a worker for each */
    uint32_t credit;     /* of the worker */
    size_t window;       /* requests under way */
    double rates[ROUNDS_MAX];
};

static const uint8_t body_bytes[BODY_BYTES];

static void *socket_open(void *context, int type, const char *endpoint, bool bind)
{
    void *socket = zmq_socket(context, type);
    const int none = 0;
    zmq_setsockopt(socket, ZMQ_LINGER, &none, sizeof none);
    /* Without these the proxy would drop what is above its marks. */
    zmq_setsockopt(socket, ZMQ_SNDHWM, &none, sizeof none);
    zmq_setsockopt(socket, ZMQ_RCVHWM, &none, sizeof none);
    const int rc = bind ? zmq_bind(socket, endpoint) : zmq_connect(socket, endpoint);
    assert(rc == 0);
    (void)rc;
    return socket;
}

static bool socket_wait(void *socket, long timeout_ms)
{
    zmq_pollitem_t item = {.socket = socket, .events = ZMQ_POLLIN};
    return zmq_poll(&item, 1, timeout_ms) > 0;
}

static void send_message(void *socket, struct message *message)
{
    zmq_pollitem_t item = {.socket = socket, .events = ZMQ_POLLOUT};
    while (message_send(message, socket, NULL) != 0)
        zmq_poll(&item, 1, 1000);
}

/* ---- The worker ------------------------------------------------------- */

static void worker_send_record(void *socket, uint8_t command, const char *service, uint32_t credit)
{
    struct message message;
    pack_write(&message, 'W',
               &(struct pack_record){.command = command,
                                     .number = credit,
                                     .service = service,
                                     .service_len = strlen(service)},
               1);
    send_message(socket, &message);
}

static void worker_answer(void *socket, const struct row *row, const struct message *message)
{
    struct pack_record records[BATCH_COUNT_MAX], replies[BATCH_COUNT_MAX];
    struct message reply;
    size_t count = 0, reply_count = 0;
    if (pack_read(message, 'W', records, &count) != 0)
        return;
    for (size_t i = 0; i < count; i++) {
        if (records[i].command != PACK_REQUEST)
            continue;
        replies[reply_count++] = (struct pack_record){.command = PACK_REPLY,
                                                      .correlation = records[i].correlation,
                                                      .body = records[i].body,
                                                      .body_len = records[i].body_len};
    }
    const size_t step = row->speech == SPEECH_BATCH ? BATCH_COUNT_MAX : 1;
    for (size_t i = 0; i < reply_count; i += step) {
        pack_write(&reply, 'W', &replies[i], reply_count - i < step ? reply_count - i : step);
        send_message(socket, &reply);
    }
}

static void worker_run_ours(void *socket, const struct row *row)
{
    worker_send_record(socket, PACK_READY, row->service, row->credit);
    for (;;) {
        struct message message;
        if (!socket_wait(socket, HEARTBEAT_MS / 2))
            worker_send_record(socket, PACK_HEARTBEAT, "w", row->credit);
        while (message_receive(&message, socket, NULL) == 0) {
            worker_answer(socket, row, &message);
            message_close(&message);
        }
    }
}

/* READY, then each request's frames back as they came, but for the command. */
static void worker_run_plain(void *socket, const struct row *row)
{
    struct message message;
    message_init(&message);
    message_add_copy(&message, "", 0);
    message_add_copy(&message, "MDPW01", 6);
    message_add_copy(&message, "\1", 1);
    message_add_copy(&message, row->service, strlen(row->service));
    send_message(socket, &message);
    for (int64_t beat_ms = 0;;) {
        if (clock_ms() - beat_ms > 1000) {
            beat_ms = clock_ms();
            message_init(&message);
            message_add_copy(&message, "", 0);
            message_add_copy(&message, "MDPW01", 6);
            message_add_copy(&message, "\4", 1);
            send_message(socket, &message);
        }
        socket_wait(socket, 1000);
        while (message_receive(&message, socket, NULL) == 0) {
            if (message.count > 3) {
                frame_close(&message.frames[2]);
                frame_init_copy(&message.frames[2], "\3", 1);
                send_message(socket, &message);
            }
            message_close(&message);
        }
    }
}

static void worker_run_proxy(void *socket)
{
    for (;;) {
        struct message message;
        socket_wait(socket, -1);
        while (message_receive(&message, socket, NULL) == 0)
            send_message(socket, &message);
    }
}

static void worker_run(const struct row *row)
{
    void *context = zmq_ctx_new();
    const char *place = row->speech == SPEECH_PROXY ? PROXY_BACK : BROKER_PLACE;
    void *socket = socket_open(context, ZMQ_DEALER, place, false);
    if (row->speech == SPEECH_PROXY)
        worker_run_proxy(socket);
    else if (row->speech == SPEECH_PLAIN)
        worker_run_plain(socket, row);
    else
        worker_run_ours(socket, row);
}

/* ---- The client ------------------------------------------------------- */

static void client_send(void *socket, const struct row *row, size_t count)
{
    struct pack_record records[BATCH_COUNT_MAX];
    struct message message;
    message_init(&message);
    if (row->speech == SPEECH_PLAIN) {
        message_add_copy(&message, "", 0);
        message_add_copy(&message, "MDPC01", 6);
        message_add_copy(&message, row->service, strlen(row->service));
    }
    if (row->speech == SPEECH_PLAIN || row->speech == SPEECH_PROXY) {
        message_add_copy(&message, body_bytes, BODY_BYTES);
    } else {
        for (size_t i = 0; i < count; i++)
            records[i] = (struct pack_record){.command = PACK_REQUEST,
                                              .correlation = i,
                                              .service = row->service,
                                              .service_len = strlen(row->service),
                                              .body = body_bytes,
                                              .body_len = BODY_BYTES};
        pack_write(&message, 'C', records, count);
    }
    send_message(socket, &message);
}

static size_t client_replies(const struct row *row, const struct message *message)
{
    struct pack_record records[BATCH_COUNT_MAX];
    size_t count = 1;
    if (row->speech == SPEECH_SINGLE || row->speech == SPEECH_BATCH) {
        if (pack_read(message, 'C', records, &count) != 0 || records[0].status != 0) {
            fprintf(stderr, "unexpected answer, status %u\n", records[0].status);
            exit(1);
        }
    }
    return count;
}

/* Fill the window. */
static size_t client_fill(void *socket, const struct row *row, size_t under_way)
{
    const size_t step = row->speech == SPEECH_BATCH ? BATCH_COUNT_MAX : 1;
    while (under_way < row->window) {
        const size_t room = row->window - under_way;
        const size_t count = room < step ? room : step;
        client_send(socket, row, count);
        under_way += count;
    }
    return under_way;
}

/* Run for RUN_US and return requests a second. */
static double client_run(void *context, const struct row *row)
{
    const char *place = row->speech == SPEECH_PROXY ? PROXY_FRONT : BROKER_PLACE;
    void *socket = socket_open(context, ZMQ_DEALER, place, false);
    size_t under_way = 0, done = 0;
    const int64_t begin_us = clock_us();
    int64_t now_us = begin_us;
    while (now_us - begin_us < RUN_US || under_way > 0) {
        struct message message;
        if (now_us - begin_us < RUN_US)
            under_way = client_fill(socket, row, under_way);
        if (!socket_wait(socket, 5000)) {
            fprintf(stderr, "%s, %zu under way: no answer in 5 s\n", row->name, under_way);
            exit(1);
        }
        while (message_receive(&message, socket, NULL) == 0) {
            const size_t count = client_replies(row, &message);
            message_close(&message);
            under_way -= count;
            done += count;
        }
        now_us = clock_us();
    }
    zmq_close(socket);
    return (double)done * 1e6 / (double)(now_us - begin_us);
}

/* ---- All together ----------------------------------------------------- */

/* A child that ends with us. */
static pid_t child_new(void)
{
    const pid_t pid = fork();
    assert(pid >= 0);
    if (pid == 0)
        prctl(PR_SET_PDEATHSIG, SIGKILL);
    return pid;
}

static pid_t start_proxy(void)
{
    const pid_t pid = child_new();
    if (pid != 0)
        return pid;
    void *context = zmq_ctx_new();
    void *front = socket_open(context, ZMQ_ROUTER, PROXY_FRONT, true);
    void *back = socket_open(context, ZMQ_DEALER, PROXY_BACK, true);
    zmq_proxy(front, back, NULL);
    _exit(1);
}

static pid_t start_broker(void)
{
    const pid_t pid = child_new();
    if (pid != 0)
        return pid;
    char path[4096];
    const char *build = getenv("PYGMY_BUILD"), *suffix = getenv("PYGMY_SUFFIX");
    snprintf(path, sizeof path, "%s/pygmy-broker%s", build != NULL ? build : "build",
             suffix != NULL ? suffix : "");
    execl(path, path, "--bind", BROKER_PLACE, "--log-level", "warn", (char *)NULL);
    perror(path);
    _exit(1);
}

static pid_t start_worker(const struct row *row)
{
    const pid_t pid = child_new();
    if (pid == 0)
        worker_run(row);
    return pid;
}

static int rate_compare(const void *one, const void *other)
{
    const double a = *(const double *)one, b = *(const double *)other;
    return a < b ? -1 : a > b;
}

static void show(struct row *rows, size_t count, size_t rounds)
{
    printf("%-42s %7s %7s %12s %9s\n", "", "credit", "window", "requests/s", "of proxy");
    double proxy = 0;
    for (size_t i = 0; i < count; i++) {
        qsort(rows[i].rates, rounds, sizeof rows[i].rates[0], rate_compare);
        const double rate = rows[i].rates[rounds / 2];
        if (rows[i].speech == SPEECH_PROXY)
            proxy = rate;
        printf("%-42s %7u %7zu %12.0f %9.2f\n", rows[i].name, rows[i].credit, rows[i].window, rate,
               rate / proxy);
    }
}

int main(int argc, char **argv)
{
    /* Each proxy row is the measure of those below it. */
    struct row rows[] = {
        {.name = "zmq_proxy", .speech = SPEECH_PROXY, .window = 1},
        {.name = "plain 0.1", .speech = SPEECH_PLAIN, .service = "a", .credit = 1, .window = 1},
        {.name = "extension", .speech = SPEECH_SINGLE, .service = "c", .credit = 64, .window = 1},
        {.name = "zmq_proxy", .speech = SPEECH_PROXY, .window = 64},
        {.name = "plain 0.1", .speech = SPEECH_PLAIN, .service = "a", .credit = 1, .window = 64},
        {.name = "extension, one a message",
         .speech = SPEECH_SINGLE,
         .service = "b",
         .credit = 1,
         .window = 64},
        {.name = "extension, one a message",
         .speech = SPEECH_SINGLE,
         .service = "c",
         .credit = 64,
         .window = 64},
        {.name = "extension, several a message",
         .speech = SPEECH_BATCH,
         .service = "d",
         .credit = 64,
         .window = 64},
        {.name = "zmq_proxy", .speech = SPEECH_PROXY, .window = 1024},
        {.name = "extension, one a message",
         .speech = SPEECH_SINGLE,
         .service = "c",
         .credit = 64,
         .window = 1024},
        {.name = "extension, several a message",
         .speech = SPEECH_BATCH,
         .service = "e",
         .credit = 1024,
         .window = 1024},
    };
    static const size_t workers[] = {0, 1, 5, 6, 7, 10}; /* the first row of each service */
    const size_t count = sizeof rows / sizeof *rows;
    const long wanted = argc > 1 ? strtol(argv[1], NULL, 10) : 3;
    const size_t rounds = wanted >= 1 && wanted <= ROUNDS_MAX ? (size_t)wanted : 3;
    pid_t children[2 + sizeof workers / sizeof *workers] = {start_proxy(), start_broker()};
    for (size_t i = 0; i < sizeof workers / sizeof *workers; i++)
        children[2 + i] = start_worker(&rows[workers[i]]);
    void *context = zmq_ctx_new();
    for (size_t round = 0; round < rounds; round++)
        for (size_t i = 0; i < count; i++)
            rows[i].rates[round] = client_run(context, &rows[i]);
    show(rows, count, rounds);
    for (size_t i = 0; i < sizeof children / sizeof *children; i++) {
        kill(children[i], SIGKILL);
        waitpid(children[i], NULL, 0);
    }
    zmq_ctx_term(context);
    return 0;
}
