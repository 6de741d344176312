/* A replica's program: what it registers for, how it takes requests apart, and how it ends.
 *
 * SPDX-License-Identifier: Apache-2.0 */
/* link: replica */
#include "tests/unit/node_rig.h"

#include "tests/lib/files.h"

/* ---- Up ------------------------------------------------------------------------------------ */

/* It registers for its group, for the leader's two parts and for itself, with the secret. */
static void test_it_registers_for_four_services(void **state)
{
    struct fixture *self = *state;

    start(self);
    assert_true(peer_of(self, "catalog") > 0);
    assert_true(peer_of(self, "catalog.leader") > 0);
    assert_true(peer_of(self, "catalog.leases") > 0);
    assert_true(peer_of(self, "node.catalog-1") > 0);
    for (size_t i = 0; i < 4; i++)
        assert_string_equal(scripted_broker_nth(self->broker, PACK_READY, i)->body, SECRET);
}

/* What writes may wait for comes by a service of its own, and only by that; its object is told of
 * leadership before it can be asked. */
static void test_leases_have_a_service_of_their_own(void **state)
{
    struct fixture *self = *state;
    const char *request = "{\"op\":\"led\",\"secret\":\"" SECRET "\"}";

    start(self);
    assert_int_equal(number_of(self, "catalog.leases", request, "led"), 1);
    assert_refused(self, "catalog.leader", request, ERR_NOT_IMPLEMENTED, "no operation");
    assert_refused(self, "catalog.leases", "{\"op\":\"count\"}", ERR_NOT_IMPLEMENTED,
                   "no operation");
    assert_refused(self, "catalog.leases", "{\"op\":\"led\"}", ERR_FORBIDDEN, "secret");
}

/* A write is answered from what was applied, and seen by the next read. */
static void test_a_write_is_seen_by_the_next_read(void **state)
{
    struct fixture *self = *state;
    json_t *answer;

    start(self);
    assert_int_equal(call(self, "catalog.leader",
                          "{\"op\":\"put\",\"text\":\"ein B\xc3\xbc"
                          "chlein\"}",
                          &answer),
                     OK);
    assert_int_equal(json_integer_value(json_object_get(answer, "index")), 3);
    assert_string_equal(json_string_value(json_object_get(answer, "text")), "ein B\xc3\xbc"
                                                                            "chlein");
    json_decref(answer);
    assert_int_equal(number_of(self, "catalog", "{\"op\":\"count\"}", "count"), 1);
}

/* Whatever is no request is refused with what is wrong and where, and the next one is served. */
static void test_bad_requests_are_refused(void **state)
{
    struct fixture *self = *state;
    char deep[2 * JSON_DEPTH_MAX + 64];
    const struct {
        const char *body;
        int code;
        const char *words;
    } rows[] = {
        {"", ERR_MALFORMED, "line 1"},
        {"{\"op\":\"count\"", ERR_MALFORMED, "line 1"},
        {"{\"op\":\"count\"} x", ERR_MALFORMED, "line 1"},
        {"{\n\"op\":\"count\",\n\"a\":01}", ERR_MALFORMED, "line 3"},
        {"{\"op\":\"count\",\"op\":\"count\"}", ERR_MALFORMED, "duplicate"},
        {"{\"op\":\"\xff\"}", ERR_MALFORMED, "line 1"},
        {"{\"op\":\"coun\xc3\"}", ERR_MALFORMED, "line 1"},
        {"{\"op\":\"a\\u0000b\"}", ERR_MALFORMED, "u0000"},
        {"{\"op\":\"count\",\"a\":99999999999999999999}", ERR_MALFORMED, "line 1"},
        {deep, ERR_MALFORMED, "too deep"},
        {"[]", ERR_MALFORMED, "object"},
        {"17", ERR_MALFORMED, "line 1"},
        {"{}", ERR_INVALID, "op"},
        {"{\"op\":17}", ERR_INVALID, "op"},
        {"{\"op\":\"count\",\"request_id\":\"\"}", ERR_INVALID, "request_id"},
        {"{\"op\":\"count\",\"request_id\":\"a b\"}", ERR_INVALID, "request_id"},
        {"{\"op\":\"count\",\"request_id\":{}}", ERR_INVALID, "request_id"},
        {"{\"op\":\"no such\"}", ERR_NOT_IMPLEMENTED, "no operation"},
        {"{\"op\":\"status\"}", ERR_NOT_IMPLEMENTED, "no operation"},
        {"{\"op\":\"put\",\"text\":\"x\"}", ERR_NOT_IMPLEMENTED, "served by catalog.leader"},
    };

    memset(deep, '[', sizeof deep);
    deep[sizeof deep - 1] = '\0';
    start(self);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        assert_refused(self, "catalog", rows[i].body, rows[i].code, rows[i].words);
    assert_refused(self, "node.catalog-1", "{\"op\":\"count\"}", ERR_NOT_IMPLEMENTED, "");
    assert_int_equal(number_of(self, "catalog", "{\"op\":\"count\"}", "count"), 0);
}

/* The leader answers reads under its own name, too, and leaves the group's other replicas out. */
static void test_a_read_may_be_asked_of_the_leader(void **state)
{
    struct fixture *self = *state;

    start(self);
    assert_int_equal(number_of(self, "catalog.leader", "{\"op\":\"count\"}", "count"), 0);
    number_of(self, "catalog.leader", "{\"op\":\"put\",\"text\":\"x\"}", "index");
    assert_int_equal(number_of(self, "catalog.leader", "{\"op\":\"count\"}", "count"), 1);
}

/* Brackets inside strings are no depth. */
static void test_brackets_in_strings_are_text(void **state)
{
    struct fixture *self = *state;

    start(self);
    assert_int_equal(number_of(self, "catalog.leader",
                               "{\"op\":\"put\",\"text\":\"\\\"[[[[[[[[[[[[[[[[[[[[[[[[[[[[\"}",
                               "index"),
                     3);
}

/* A service's refusal carries its detail and its own members. */
static void test_a_refusal_carries_further_members(void **state)
{
    struct fixture *self = *state;
    json_t *answer;

    start(self);
    assert_int_equal(call(self, "catalog.leader", "{\"op\":\"put\"}", &answer), ERR_INVALID);
    json_t *error = json_object_get(answer, "error");
    assert_string_equal(json_string_value(json_object_get(error, "detail")), "text is missing");
    assert_int_equal(json_integer_value(json_object_get(error, "row")), 3);
    json_decref(answer);
}

/* An operation that needs the secret is refused without it, and with any other. */
static void test_the_secret_is_asked_for(void **state)
{
    struct fixture *self = *state;
    const char *service = "catalog.leader";

    start(self);
    assert_refused(self, service, "{\"op\":\"put_guarded\",\"text\":\"x\"}", ERR_FORBIDDEN,
                   "secret");
    assert_refused(self, service, "{\"op\":\"put_guarded\",\"text\":\"x\",\"secret\":\"open\"}",
                   ERR_FORBIDDEN, "secret");
    assert_refused(self, service, "{\"op\":\"put_guarded\",\"text\":\"x\",\"secret\":[]}",
                   ERR_FORBIDDEN, "secret");
    assert_int_equal(number_of(self, "catalog", "{\"op\":\"count\"}", "count"), 0);
    assert_int_equal(number_of(self, service,
                               "{\"op\":\"put_guarded\",\"text\":\"x\",\"secret\":\"" SECRET "\"}",
                               "index"),
                     3);
}

/* An answer that does not fit, or can't be written, is an error of its own. */
static void test_impossible_answers_are_refused(void **state)
{
    struct fixture *self = *state;

    start(self);
    assert_refused(self, "catalog", "{\"op\":\"large\"}", ERR_TOO_LARGE, "ask for less");
    assert_refused(self, "catalog", "{\"op\":\"broken\"}", ERR_INTERNAL, "");
}

/* A process tells of itself what the document says, and what its service adds. */
static void test_a_process_tells_its_status(void **state)
{
    struct fixture *self = *state;
    json_t *answer;
    const char *words[8];
    json_int_t numbers[9];

    start(self);
    number_of(self, "catalog.leader", "{\"op\":\"put\",\"text\":\"x\"}", "index");
    assert_int_equal(call(self, "node.catalog-1", "{\"op\":\"status\"}", &answer), OK);
    assert_int_equal(json_unpack(answer,
                                 "{s:s, s:s, s:s, s:s, s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:I, "
                                 "s:I, s:I, s:[{s:I, s:s, s:s !}] !}",
                                 "name", &words[0], "kind", &words[1], "role", &words[2], "state",
                                 &words[3], "version", &words[4], "leader", &words[5], "pid",
                                 &numbers[0], "term", &numbers[1], "log_index", &numbers[2],
                                 "commit_index", &numbers[3], "applied_index", &numbers[4], "lag",
                                 &numbers[5], "last_contact_ms", &numbers[6], "toys", &numbers[7],
                                 "members", "id", &numbers[8], "name", &words[6], "role",
                                 &words[7]),
                     0);
    assert_string_equal(words[0], "catalog-1");
    assert_string_equal(words[1], "catalog");
    assert_string_equal(words[2], "leader");
    assert_string_equal(words[3], "up");
    assert_int_equal(numbers[0], self->pid);
    assert_string_equal(words[5], "catalog-1");
    assert_int_equal(numbers[1], 2);
    assert_int_equal(numbers[2], 3);
    assert_int_equal(numbers[4], 3);
    assert_int_equal(numbers[6], 0);
    assert_int_equal(numbers[7], 7);
    assert_int_equal(numbers[8], 1);
    assert_string_equal(words[6], "catalog-1");
    assert_string_equal(words[7], "voter");
    json_decref(answer);
    assert_int_equal(call(self, "node.catalog-1", "{\"op\":\"ping\"}", &answer), OK);
    assert_int_equal(json_object_size(answer), 0);
    json_decref(answer);
}

static void assert_changes(struct fixture *self, const char *request, const char *expected)
{
    json_t *answer;
    assert_int_equal(call(self, "node.catalog-1", request, &answer), OK);
    char *text = json_dumps(answer, JSON_COMPACT | JSON_SORT_KEYS);
    assert_string_equal(text, expected);
    free(text);
    json_decref(answer);
}

/* It tells what has changed since an index, in pages, and where it is itself. */
static void test_a_process_tells_what_changed(void **state)
{
#define CHANGES(changes, from, index, more)                                                        \
    "{\"changes\":[" changes "],\"cluster\":\"0123456789abcdef0123456789abcdef\",\"from\":" from   \
    ",\"group\":\"catalog\",\"index\":" index ",\"more\":" more ",\"term\":2}"
    struct fixture *self = *state;

    start(self);
    number_of(self, "catalog.leader", "{\"op\":\"put\",\"text\":\"x\"}", "index");
    assert_changes(self, "{\"op\":\"changes\"}", CHANGES("", "3", "3", "false"));
    assert_changes(self, "{\"op\":\"changes\",\"since\":1}", CHANGES("2,3", "1", "3", "false"));
    assert_changes(self, "{\"op\":\"changes\",\"since\":0,\"limit\":2}",
                   CHANGES("1,2", "0", "2", "true"));
    assert_changes(self, "{\"op\":\"changes\",\"since\":9}", CHANGES("", "9", "3", "false"));
}

/* What it does not know is refused there as everywhere. */
static void test_its_own_operations_take_no_members(void **state)
{
    static const char *const requests[] = {"{\"op\":\"ping\",\"more\":1}",
                                           "{\"op\":\"status\",\"more\":1}",
                                           "{\"op\":\"metrics\",\"more\":1}"};
    struct fixture *self = *state;
    json_t *answer;

    start(self);
    for (size_t i = 0; i < sizeof requests / sizeof requests[0]; i++) {
        assert_int_equal(call(self, "node.catalog-1", requests[i], &answer), ERR_INVALID);
        json_decref(answer);
    }
}

/* Its metrics count operations, and never a name that a peer made up. */
static void test_metrics_count_operations(void **state)
{
    struct fixture *self = *state;
    json_t *answer;

    start(self);
    number_of(self, "catalog.leader", "{\"op\":\"put\",\"text\":\"x\"}", "index");
    assert_refused(self, "catalog", "{\"op\":\"made_up\"}", ERR_NOT_IMPLEMENTED, "");
    assert_int_equal(call(self, "node.catalog-1", "{\"op\":\"metrics\"}", &answer), OK);
    const char *text = json_string_value(json_object_get(answer, "text"));
    assert_non_null(strstr(text, "pygmy_service_requests_total{service=\"catalog\",op=\"put\","
                                 "result=\"ok\"} 1\n"));
    assert_non_null(strstr(text, "pygmy_replica_log_index{kind=\"applied\"} 3\n"));
    assert_null(strstr(text, "made_up"));
    json_decref(answer);
}

/* A request with an id can be followed in the log, with its outcome and duration. */
static void test_a_request_is_logged_with_its_id(void **state)
{
    struct fixture *self = *state;

    start(self);
    number_of(self, "catalog", "{\"op\":\"count\",\"request_id\":\"r-17\"}", "count");
    assert_output(self, "op=count code=ok duration_us=");
    assert_output(self, "request_id=r-17");
}

/* ---- The end ------------------------------------------------------------------------------- */

/* Told to stop, it asks for no more, answers what it has in hand, and ends with 0. */
static void test_a_signal_drains(void **state)
{
    struct fixture *self = *state;

    start(self);
    size_t replies = scripted_broker_count(self->broker, PACK_REPLY);
    ask(self, "catalog", "{\"op\":\"slow\"}");
    number_of(self, "node.catalog-1", "{\"op\":\"ping\"}", "none"); /* it has the one before */
    kill(self->pid, SIGTERM);
    scripted_broker_await(self->broker, PACK_GOING_AWAY, 4);
    assert_int_equal(wait_for_end(self), 0);
    scripted_broker_await(self->broker, PACK_REPLY, replies + 2);
    assert_int_equal(scripted_broker_nth(self->broker, PACK_REPLY, replies + 1)->status, OK);
    assert_output(self, "msg=stopped");
}

/* Killed and started again, it has what it had acknowledged. */
static void test_a_restart_has_what_was_acknowledged(void **state)
{
    struct fixture *self = *state;

    start(self);
    for (int i = 0; i < 5; i++)
        number_of(self, "catalog.leader", "{\"op\":\"put\",\"text\":\"x\"}", "index");
    kill(self->pid, SIGKILL);
    waitpid(self->pid, NULL, 0);
    start(self);
    assert_int_equal(number_of(self, "catalog", "{\"op\":\"count\"}", "count"), 5);
    assert_int_equal(number_of(self, "node.catalog-1", "{\"op\":\"status\"}", "term"), 3);
}

/* ---- What can't start ---------------------------------------------------------------------- */

/* A second process on the directory ends with 1 and says why; the first one is undisturbed. */
static void test_a_second_process_is_refused(void **state)
{
    struct fixture *self = *state;

    start(self);
    pid_t first = self->pid;
    spawn(self, NULL, NULL);
    assert_int_equal(wait_for_end(self), 1);
    assert_output(self, "in use by another process");
    self->pid = first;
    assert_int_equal(number_of(self, "catalog", "{\"op\":\"count\"}", "count"), 0);
}

/* An empty directory is refused, with what to do about it; nothing is made by that. */
static void test_who_is_not_founded_is_refused(void **state)
{
    struct fixture *self = *state;
    char *data = files_path(self->directory, "data");

    spawn(self, NULL, NULL);
    assert_int_equal(wait_for_end(self), 1);
    assert_output(self, "--found");
    assert_output(self, "--join");
    assert_int_not_equal(access(data, F_OK), 0);
    free(data);
}

/* One of two has no majority: it is up, says so, and serves nothing of its group. */
static void test_one_of_two_serves_nothing(void **state)
{
    struct fixture *self = *state;
    json_t *answer;

    write_config(self, "    catalog-2\n        id = 2\n        data = data-2\n"
                       "        peer = tcp://127.0.0.1:3\n"
                       "        snapshots = tcp://127.0.0.1:4\n");
    spawn_with(self, "--name", "catalog-1", "--found");
    assert_int_equal(wait_for_end(self), 0);
    assert_output(self, "members=2");
    spawn(self, "--name", "catalog-1");
    scripted_broker_await(self->broker, PACK_READY, 1);
    assert_int_equal(call(self, "node.catalog-1", "{\"op\":\"status\"}", &answer), OK);
    assert_string_equal(json_string_value(json_object_get(answer, "role")), "follower");
    assert_true(json_is_null(json_object_get(answer, "leader")));
    assert_true(json_is_null(json_object_get(answer, "last_contact_ms")));
    json_decref(answer);
    kill(self->pid, SIGTERM);
    assert_int_equal(wait_for_end(self), 0);
    assert_int_equal(scripted_broker_count(self->broker, PACK_READY), 1);
}

/* Who joins waits to be added: up, a learner, and serving nothing. */
static void test_a_joiner_waits(void **state)
{
    struct fixture *self = *state;
    json_t *answer;

    spawn(self, "--join", NULL);
    scripted_broker_await(self->broker, PACK_READY, 1);
    assert_int_equal(call(self, "node.catalog-1", "{\"op\":\"status\"}", &answer), OK);
    assert_string_equal(json_string_value(json_object_get(answer, "role")), "learner");
    json_decref(answer);
    kill(self->pid, SIGTERM);
    assert_int_equal(wait_for_end(self), 0);
    found(self); /* changes nothing: there is a log */
    spawn(self, NULL, NULL);
    scripted_broker_await(self->broker, PACK_READY, 2);
    assert_int_equal(number_of(self, "node.catalog-1", "{\"op\":\"status\"}", "log_index"), 0);
}

/* A damaged directory ends it with 1 and with what to do. */
static void test_a_damaged_directory_is_refused(void **state)
{
    struct fixture *self = *state;
    char *mark = files_path(self->directory, "data/log.mark");

    start(self);
    number_of(self, "catalog.leader", "{\"op\":\"put\",\"text\":\"x\"}", "index");
    kill(self->pid, SIGTERM);
    assert_int_equal(wait_for_end(self), 0);
    files_truncate(mark, 100);
    files_flip(mark, 20, 0xff);
    spawn(self, NULL, NULL);
    assert_int_equal(wait_for_end(self), 1);
    assert_output(self, "re-seeded");
    free(mark);
}

/* Wrong flags and configurations end it with 2, and so does a secret that others may read. */
static void test_exit_statuses_of_bad_beginnings(void **state)
{
    struct fixture *self = *state;
    char *secret = files_path(self->directory, "cluster.secret");

    spawn(self, "--no-such-flag", NULL);
    assert_int_equal(wait_for_end(self), 2);
    spawn(self, "--name", "catalog-9");
    assert_int_equal(wait_for_end(self), 2);
    write_config(self, "nonsense\n");
    spawn(self, NULL, NULL);
    assert_int_equal(wait_for_end(self), 2);
    write_config(self, "");
    spawn(self, "--check-config", NULL);
    assert_int_equal(wait_for_end(self), 0);
    spawn(self, "--help", NULL);
    assert_int_equal(wait_for_end(self), 0);
    chmod(secret, 0644);
    spawn(self, NULL, NULL);
    assert_int_equal(wait_for_end(self), 2);
    assert_output(self, secret);
    free(secret);
}

/* ---- The group ----------------------------------------------------------------------------- */

#define LEADER "catalog.leader"
#define OPEN   "\"secret\":\"" SECRET "\"}"
#define ADD(id, name)                                                                              \
    "{\"op\":\"member_add\",\"id\":" #id ",\"name\":\"" name                                       \
    "\",\"peer\":\"tcp://127.0.0.1:1\",\"snapshots\":\"tcp://127.0.0.1:2\"," OPEN
#define ABOUT(op, id) "{\"op\":\"" op "\",\"id\":" #id "," OPEN

/* What was asked for is so now; whether it was changed by this request, and the member's role then,
 * "" where there is none. */
static void assert_changed(struct fixture *self, const char *body, bool changed, const char *role)
{
    json_t *answer;
    int was_changed;

    assert_int_equal(call(self, LEADER, body, &answer), OK);
    assert_int_equal(json_unpack(answer, "{s:b}", "changed", &was_changed), 0);
    const char *is = json_string_value(json_object_get(json_object_get(answer, "member"), "role"));
    if (was_changed != changed || strcmp(is != NULL ? is : "", role) != 0)
        fail_msg("%s: changed %d, role %s", body, was_changed, is);
    json_decref(answer);
}

/* A member is added as a learner, and removed; what is so already is done already. */
static void test_members_are_added_and_removed(void **state)
{
    struct fixture *self = *state;

    start(self);
    assert_changed(self, ADD(2, "catalog-2"), true, "learner");
    assert_changed(self, ADD(2, "catalog-2"), false, "learner");
    assert_changed(self, ABOUT("member_promote", 2), false, "learner"); /* it does not answer */
    assert_changed(self, ABOUT("member_promote", 1), false, "voter");
    assert_changed(self, ABOUT("member_remove", 2), true, "");
    assert_changed(self, ABOUT("member_remove", 2), false, "");
    assert_changed(self, ABOUT("leader_move", 1), false, "voter");
}

/* What can't be is refused, with the reason. */
static void test_impossible_changes_are_refused(void **state)
{
    struct fixture *self = *state;

    start(self);
    assert_changed(self, ADD(2, "catalog-2"), true, "learner");
    assert_refused(self, LEADER, ADD(2, "catalog-3"), ERR_EXISTS, "catalog-2 is a member");
    assert_refused(self, LEADER, ADD(3, "catalog-2"), ERR_EXISTS, "with the id 2");
    assert_refused(self, LEADER, ADD(3, "catalog-3"), ERR_EXISTS, "endpoints");
    assert_refused(self, LEADER, ABOUT("member_promote", 7), ERR_NOT_FOUND, "no member");
    assert_refused(self, LEADER, ABOUT("member_remove", 1), ERR_STATE, "only voter");
    assert_refused(self, LEADER, ABOUT("leader_move", 2), ERR_STATE, "no vote");
    assert_refused(self, LEADER, ABOUT("leader_move", 7), ERR_NOT_FOUND, "no member");
    assert_refused(self, LEADER, ABOUT("member_remove", 0), ERR_INVALID, "id");
    assert_refused(self, LEADER, ADD(3, "Catalog 3"), ERR_INVALID, "name");
    assert_refused(self, LEADER,
                   "{\"op\":\"member_add\",\"id\":3,\"name\":\"catalog-3\",\"peer\":\"nowhere\","
                   "\"snapshots\":\"tcp://127.0.0.1:2\"," OPEN,
                   ERR_INVALID, "peer must be tcp://");
    assert_refused(self, LEADER, "{\"op\":\"member_remove\",\"id\":2}", ERR_FORBIDDEN, "secret");
    assert_refused(self, "catalog", ABOUT("member_remove", 2), ERR_NOT_IMPLEMENTED, LEADER);
    assert_refused(self, "node.catalog-1", ABOUT("member_remove", 2), ERR_NOT_IMPLEMENTED,
                   "no operation");
}

/* A group has so many members, and no more. */
static void test_members_are_bounded(void **state)
{
    struct fixture *self = *state;
    char body[512];

    start(self);
    for (int id = 2; id <= MEMBERS_MAX + 1; id++) {
        snprintf(body, sizeof body,
                 "{\"op\":\"member_add\",\"id\":%d,\"name\":\"catalog-%d\","
                 "\"peer\":\"tcp://127.0.0.1:1%d\",\"snapshots\":\"tcp://127.0.0.1:2%d\"," OPEN,
                 id, id, id, id);
        if (id <= MEMBERS_MAX)
            assert_changed(self, body, true, "learner");
        else
            assert_refused(self, LEADER, body, ERR_LIMIT, "as many members");
    }
}

/* The leader lists the group, with how each member stands. */
static void test_the_leader_lists_its_group(void **state)
{
    struct fixture *self = *state;
    json_t *answer;
    const char *words[5];
    json_int_t numbers[7];
    int leads[2];

    start(self);
    assert_changed(self, ADD(2, "catalog-2"), true, "learner");
    assert_int_equal(call(self, LEADER, "{\"op\":\"members\"," OPEN, &answer), OK);
    assert_int_equal(
        json_unpack(answer,
                    "{s:s, s:s, s:I, s:I, s:I, s:[{s:I, s:s, s:s, s:b, s:s, s:s, s:I, s:I !}, "
                    "{s:s, s:b, s:I, s:n}] !}",
                    "group", &words[0], "leader", &words[1], "term", &numbers[0], "log_index",
                    &numbers[1], "commit_index", &numbers[2], "members", "id", &numbers[3], "name",
                    &words[2], "role", &words[3], "leader", &leads[0], "peer", &words[4],
                    "snapshots", &words[4], "match_index", &numbers[4], "last_contact_ms",
                    &numbers[5], "role", &words[4], "leader", &leads[1], "match_index", &numbers[6],
                    "last_contact_ms"),
        0);
    assert_string_equal(words[0], "catalog");
    assert_string_equal(words[1], "catalog-1");
    assert_string_equal(words[2], "catalog-1");
    assert_string_equal(words[3], "voter");
    assert_string_equal(words[4], "learner");
    assert_int_equal(numbers[0], 2);
    assert_int_equal(numbers[1], 3); /* founding, the term's barrier, the learner */
    assert_int_equal(numbers[2], 3);
    assert_int_equal(numbers[4], 3);
    assert_int_equal(numbers[6], 0);
    assert_true(leads[0]);
    assert_false(leads[1]);
    json_decref(answer);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        TEST(test_it_registers_for_four_services),
        TEST(test_leases_have_a_service_of_their_own),
        TEST(test_a_write_is_seen_by_the_next_read),
        TEST(test_bad_requests_are_refused),
        TEST(test_a_read_may_be_asked_of_the_leader),
        TEST(test_brackets_in_strings_are_text),
        TEST(test_a_refusal_carries_further_members),
        TEST(test_the_secret_is_asked_for),
        TEST(test_impossible_answers_are_refused),
        TEST(test_a_process_tells_its_status),
        TEST(test_a_process_tells_what_changed),
        TEST(test_its_own_operations_take_no_members),
        TEST(test_metrics_count_operations),
        TEST(test_a_request_is_logged_with_its_id),
        TEST(test_a_signal_drains),
        TEST(test_a_restart_has_what_was_acknowledged),
        TEST(test_a_second_process_is_refused),
        TEST(test_who_is_not_founded_is_refused),
        TEST(test_one_of_two_serves_nothing),
        TEST(test_a_joiner_waits),
        TEST(test_a_damaged_directory_is_refused),
        TEST(test_exit_statuses_of_bad_beginnings),
        TEST(test_members_are_added_and_removed),
        TEST(test_impossible_changes_are_refused),
        TEST(test_members_are_bounded),
        TEST(test_the_leader_lists_its_group),
    };
    return NODE_RIG_MAIN(argc, argv, tests);
}
