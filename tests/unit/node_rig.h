/* A replica's program with a toy service, run as a child of the test, which plays the broker.
 *
 * The child is the test's own program, run with the argument "child": its main() is
 * NODE_RIG_MAIN().
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_TESTS_NODE_RIG_H
#define PYGMY_TESTS_NODE_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <czmq.h>
#include <fcntl.h>
#include <jansson.h>
#include <signal.h>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "broker/bus/alarm.h"
#include "broker/bus/alloc.h"
#include "broker/bus/clock.h"
#include "broker/bus/err.h"
#include "broker/bus/limits.h"
#include "services/replica/node.h"
#include "tests/lib/files.h"
#include "tests/lib/scripted_broker.h"
#include "tests/lib/toy_machine.h"

#define SECRET  "open-sesame"
#define SLOW_MS 300

extern char **environ;

/* ---- The toy service, in the child --------------------------------------------------------- */

struct toy {
    struct node *node;
    struct toy_machine *machine;
    struct alarm *alarm;
    struct node_call *held; /* answered by the alarm */
    int led;                /* how often it has begun to lead */
};

static inline void toy_put_done(void *arg, int code, void *result, replica_index index)
{
    struct node_call *call = arg;

    if (code == OK)
        node_answer(&call, json_pack("{s:I, s:s}", "index", (json_int_t)index, "text", result));
    else
        node_refuse(&call, code, NULL, NULL);
    free(result);
}

static inline void toy_put(void *arg, struct node_call *call, json_t *request)
{
    struct toy *self = arg;
    const char *text = json_string_value(json_object_get(request, "text"));

    if (text == NULL) {
        node_refuse(&call, ERR_INVALID, "text is missing", json_pack("{s:i}", "row", 3));
        return;
    }
    int code = replica_submit(node_replica(self->node), text, strlen(text), toy_put_done, call);
    if (code != OK)
        node_refuse(&call, code, NULL, NULL);
}

static inline void toy_count(void *arg, struct node_call *call, json_t *request)
{
    struct toy *self = arg;
    (void)request;
    node_answer(&call, json_pack("{s:I}", "count", (json_int_t)toy_machine_count(self->machine)));
}

static inline void toy_large(void *arg, struct node_call *call, json_t *request)
{
    char *text = alloc_zero(BODY_BYTES_MAX + 1);
    (void)arg;
    (void)request;
    memset(text, 'x', BODY_BYTES_MAX);
    node_answer(&call, json_pack("{s:s}", "text", text));
    free(text);
}

static inline void toy_broken(void *arg, struct node_call *call, json_t *request)
{
    (void)arg;
    (void)request;
    node_answer(&call, json_string("\xff")); /* jansson makes nothing of it */
}

static inline void toy_slow_answer(void *arg)
{
    struct toy *self = arg;
    node_answer(&self->held, json_object());
}

static inline void toy_slow(void *arg, struct node_call *call, json_t *request)
{
    struct toy *self = arg;
    (void)request;
    self->held = call;
    alarm_set(self->alarm, clock_ms() + SLOW_MS);
}

/* For who asks by the service for leases. */
static inline void toy_led(void *arg, struct node_call *call, json_t *request)
{
    struct toy *self = arg;
    (void)request;
    node_answer(&call, json_pack("{s:i}", "led", self->led));
}

static inline void toy_lead(void *arg, bool leader, replica_term term)
{
    struct toy *self = arg;
    assert_true(term > 0);
    self->led += leader;
}

static inline void *toy_open(struct node *node, struct replica_machine *machine)
{
    struct toy *self = alloc_zero(sizeof *self);
    self->node = node;
    self->machine = toy_machine_new();
    self->alarm = alarm_new(node_loop(node), toy_slow_answer, self);
    *machine = toy_machine_interface(self->machine);
    return self;
}

static inline void toy_status(void *arg, json_t *status)
{
    (void)arg;
    json_object_set_new(status, "toys", json_integer(7));
}

/* Every entry has changed a row of its own. */
static inline void toy_changes(void *arg, struct changes_page *page)
{
    struct toy *self = arg;
    const uint64_t last = replica_applied_index(node_replica(self->node));
    for (uint64_t i = page->since + 1; i <= last && changes_page_room(page, i, 1) != CHANGES_FULL;
         i++)
        changes_page_add(page, i, json_integer((json_int_t)i), 1);
}

static inline void toy_close(void *arg)
{
    struct toy *self = arg;
    if (self->held != NULL)
        node_refuse(&self->held, ERR_DRAINING, NULL, NULL);
    alarm_destroy(&self->alarm);
    toy_machine_destroy(&self->machine);
    free(self);
}

static const struct node_operation toy_operations[] = {
    {.name = "put", .kind = NODE_WRITE, .run = toy_put},
    {.name = "put_guarded", .kind = NODE_WRITE, .secret = true, .run = toy_put},
    {.name = "count", .kind = NODE_READ, .applied = true, .run = toy_count},
    {.name = "large", .kind = NODE_READ, .run = toy_large},
    {.name = "broken", .kind = NODE_READ, .run = toy_broken},
    {.name = "slow", .kind = NODE_READ, .run = toy_slow},
};

static const struct node_operation toy_lease_operations[] = {
    {.name = "led", .kind = NODE_WRITE, .secret = true, .run = toy_led},
};

static const struct node_service toy_service = {
    .kind = NODE_CATALOG,
    .program = "pygmy-toy",
    .summary = "A toy.",
    .operations = toy_operations,
    .operation_count = sizeof toy_operations / sizeof toy_operations[0],
    .lease_operations = toy_lease_operations,
    .lease_operation_count = sizeof toy_lease_operations / sizeof toy_lease_operations[0],
    .open = toy_open,
    .lead = toy_lead,
    .status = toy_status,
    .changes = toy_changes,
    .close = toy_close,
};

/* ---- Helpers ------------------------------------------------------------------------------- */

struct fixture {
    char *directory;
    char *config;
    char *output; /* of the child, both streams */
    zloop_t *loop;
    struct scripted_broker *broker;
    pid_t pid; /* 0: none */
    uint64_t correlation;
};

static inline void write_config(struct fixture *self, const char *more)
{
    char *text = zsys_sprintf("cluster\n    uuid = 0123456789abcdef0123456789abcdef\n"
                              "    secret = cluster.secret\n    log_level = debug\n"
                              "brokers\n    broker-1\n        bus = %s\n"
                              "catalogs\n    catalog-1\n        id = 1\n        data = data\n"
                              "        peer = ipc://%s/peer-1\n"
                              "        snapshots = ipc://%s/snapshots-1\n%s",
                              self->broker->endpoint, self->directory, self->directory, more);
    files_write(self->config, text);
    free(text);
}

static inline int setup(void **state)
{
    struct fixture *self = calloc(1, sizeof *self);

    zsys_handler_set(NULL);
    self->directory = files_new_directory();
    self->config = files_path(self->directory, "cluster.conf");
    self->output = files_path(self->directory, "output");
    self->loop = zloop_new();
    self->broker = scripted_broker_new(self->loop, 'W');
    char *secret = files_path(self->directory, "cluster.secret");
    files_write(secret, SECRET "\n");
    chmod(secret, 0600);
    free(secret);
    write_config(self, "");
    *state = self;
    return 0;
}

static inline int teardown(void **state)
{
    struct fixture *self = *state;
    if (self->pid != 0) {
        kill(self->pid, SIGKILL);
        waitpid(self->pid, NULL, 0);
    }
    scripted_broker_destroy(&self->broker);
    zloop_destroy(&self->loop);
    free(self->config);
    free(self->output);
    files_remove_directory(&self->directory);
    free(self);
    return 0;
}

/* Spawn the child with up to three more arguments. */
static inline void spawn_with(struct fixture *self, const char *one, const char *two,
                              const char *three)
{
    char *arguments[] = {(char *)"pygmy-toy", (char *)"child", (char *)"--config", self->config,
                         (char *)one,         (char *)two,     (char *)three,      NULL};
    posix_spawn_file_actions_t actions;

    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, self->output,
                                     O_WRONLY | O_CREAT | O_TRUNC | O_APPEND, 0600);
    posix_spawn_file_actions_adddup2(&actions, STDOUT_FILENO, STDERR_FILENO);
    assert_int_equal(posix_spawn(&self->pid, "/proc/self/exe", &actions, NULL, arguments, environ),
                     0);
    posix_spawn_file_actions_destroy(&actions);
}

static inline void spawn(struct fixture *self, const char *option, const char *value)
{
    spawn_with(self, option, value, NULL);
}

static inline bool child_has_ended(void *arg)
{
    struct fixture *self = arg;
    siginfo_t info = {0};
    waitid(P_PID, (id_t)self->pid, &info, WEXITED | WNOHANG | WNOWAIT);
    return info.si_pid == self->pid;
}

/* Wait for the child's own end. Returns its exit status. */
static inline int wait_for_end(struct fixture *self)
{
    int status = 0;
    scripted_run_until(self->loop, child_has_ended, self);
    assert_int_equal(waitpid(self->pid, &status, 0), self->pid);
    self->pid = 0;
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static inline void assert_output(struct fixture *self, const char *words)
{
    char *text = files_read(self->output);
    if (strstr(text, words) == NULL)
        fail_msg("\"%s\" lacks \"%s\"", text, words);
    free(text);
}

static inline void found(struct fixture *self)
{
    spawn(self, "--found", NULL);
    assert_int_equal(wait_for_end(self), 0);
}

/* Start the child, founded, and wait until it is registered for its four services. */
static inline void start(struct fixture *self)
{
    size_t before = scripted_broker_count(self->broker, PACK_READY);
    found(self);
    spawn(self, NULL, NULL);
    scripted_broker_await(self->broker, PACK_READY, before + 4);
}

/* The connection by which a service was registered last. */
static inline uint64_t peer_of(struct fixture *self, const char *service)
{
    for (size_t i = scripted_broker_count(self->broker, PACK_READY); i-- > 0;) {
        struct scripted_record *ready = scripted_broker_nth(self->broker, PACK_READY, i);
        if (strcmp(ready->service, service) == 0)
            return ready->peer;
    }
    fail_msg("nobody serves %s", service);
    return 0;
}

static inline void ask(struct fixture *self, const char *service, const char *body)
{
    scripted_broker_request(self->broker, peer_of(self, service), ++self->correlation, 10000, body);
}

/* Send a request and wait for its answer: the status, and the body for the caller to release. */
static inline int call(struct fixture *self, const char *service, const char *body, json_t **answer)
{
    size_t count = scripted_broker_count(self->broker, PACK_REPLY);

    ask(self, service, body);
    scripted_broker_await(self->broker, PACK_REPLY, count + 1);
    struct scripted_record *reply = scripted_broker_nth(self->broker, PACK_REPLY, count);
    assert_int_equal(reply->correlation, self->correlation);
    *answer = json_loadb(reply->body, reply->body_len, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(*answer);
    return reply->status;
}

/* The request is refused with that status, type, and words in the detail. */
static inline void assert_refused(struct fixture *self, const char *service, const char *body,
                                  int code, const char *words)
{
    json_t *answer;
    const char *type;
    const char *title;
    const char *detail = "";

    assert_int_equal(call(self, service, body, &answer), code);
    assert_int_equal(json_unpack(answer, "{s:{s:s, s:s, s?s}}", "error", "type", &type, "title",
                                 &title, "detail", &detail),
                     0);
    assert_string_equal(type, err_type(code));
    assert_string_equal(title, err_title(code));
    if (strstr(detail, words) == NULL)
        fail_msg("%s: \"%s\" lacks \"%s\"", body, detail, words);
    json_decref(answer);
}

static inline json_int_t number_of(struct fixture *self, const char *service, const char *body,
                                   const char *member)
{
    json_t *answer;
    assert_int_equal(call(self, service, body, &answer), OK);
    json_int_t number = json_integer_value(json_object_get(answer, member));
    json_decref(answer);
    return number;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

/* The tests, or what a child is. */
#define NODE_RIG_MAIN(argc, argv, tests)                                                           \
    ((argc) > 1 && strcmp((argv)[1], "child") == 0 ? node_main(&toy_service, (argc)-1, (argv) + 1) \
                                                   : cmocka_run_group_tests(tests, NULL, NULL))

#endif
