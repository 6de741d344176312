/* The shell around the lease table at the catalog's leader: real tables and a real lease table,
 * with a replica, a clock and an alarm that do what the test says.
 *
 * What it does is a text, in order:
 *
 *   inv 1:item:5,topic:a   published, as rel and beat are (beats are left out)
 *   sub stock              submitted to the replica
 *   w1:ok w1:busy          the write w1 is told
 *   session 4  sync 1@4:item:5+1000  grant 1+990  ask:busy   answers to asks
 *
 * SPDX-License-Identifier: Apache-2.0 */
/* link: catalog */
#include "tests/unit/catalog_driver.h"
#include "tests/unit/played_clock.h"

#include "services/catalog/leases.h"
#include "services/catalog/sessions.h"

/* ---- In the place of the replica ------------------------------------------------------------- */

#define MANY 1100

struct submission {
    uint8_t *data;
    size_t size;
    replica_done_fn *done;
    void *arg;
};

struct replica {
    replica_index commit_index;
    replica_term term;
    int refusal; /* of the next submissions; OK: taken */
    struct submission waiting[MANY];
    size_t count;
    replica_read_fn *read; /* the round that is wanted; NULL: none is */
    void *read_arg;
    char text[16384];
    size_t used;
};

static void __attribute__((format(printf, 2, 3))) say(struct replica *self, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    if (self->used > 0)
        self->text[self->used++] = ' ';
    self->used += (size_t)vsnprintf(self->text + self->used, sizeof self->text - self->used, format,
                                    arguments);
    va_end(arguments);
    assert_true(self->used < sizeof self->text);
}

int replica_submit(struct replica *self, const void *command, size_t size, replica_done_fn *done,
                   void *arg)
{
    static const char *const names[] = {
        [COMMAND_ITEM_ADD] = "add",       [COMMAND_ITEM_EDIT] = "edit",
        [COMMAND_STOCK] = "stock",        [COMMAND_SETTLE] = "settle",
        [COMMAND_SESSION_OPEN] = "open",  [COMMAND_SESSION_CLOSE] = "close",
        [COMMAND_ITEM_REMOVE] = "remove", [COMMAND_IMPORT] = "import"};
    struct command decoded;

    if (self->refusal != OK)
        return self->refusal;
    assert_int_equal(command_decode(&decoded, command, size), OK);
    say(self, "sub %s", names[decoded.op]);
    command_close(&decoded);
    assert_true(self->count < MANY);
    self->waiting[self->count++] =
        (struct submission){(uint8_t *)alloc_copy(command, size), size, done, arg};
    return OK;
}

int replica_read(struct replica *self, int64_t deadline_ms, replica_read_fn *done, void *arg)
{
    assert_true(deadline_ms > now);
    assert_null(self->read);
    self->read = done;
    self->read_arg = arg;
    return OK;
}

static int compare_names(const void *one, const void *other)
{
    return strcmp(*(const char *const *)one, *(const char *const *)other);
}

/* The names of an array of keys, in their order; "*": all. */
static const char *names_of(const json_t *message, char *text, size_t size)
{
    const char *names[LEASE_KEYS_MAX] = {NULL};
    const json_t *keys = json_object_get(message, "keys");
    size_t used = 0;

    assert_true(json_is_array(keys) != json_is_true(json_object_get(message, "all")));
    (void)snprintf(text, size, "%s", keys != NULL ? "" : "*");
    for (size_t i = 0; i < json_array_size(keys); i++)
        names[i] = json_string_value(json_array_get(keys, i));
    qsort(names, json_array_size(keys), sizeof names[0], compare_names);
    for (size_t i = 0; i < json_array_size(keys); i++)
        used += (size_t)snprintf(text + used, size - used, "%s%s", i > 0 ? "," : "", names[i]);
    return text;
}

void replica_publish(struct replica *self, enum feed_stream stream, const void *text, size_t size)
{
    json_t *message = json_loadb(text, size, 0, NULL);
    const char *type = json_string_value(json_object_get(message, "type"));
    char keys[256];

    assert_int_equal(stream, FEED_LEASES);
    assert_string_equal(json_string_value(json_object_get(message, "cluster")), "uuid");
    assert_int_equal(json_integer_value(json_object_get(message, "term")), self->term);
    assert_true(strcmp(type, "release") != 0 ||
                json_integer_value(json_object_get(message, "index")) > 0);
    if (strcmp(type, "beat") != 0)
        say(self, "%.3s %d:%s", type, (int)json_integer_value(json_object_get(message, "seq")),
            names_of(message, keys, sizeof keys));
    json_decref(message);
}

replica_index replica_commit_index(const struct replica *self)
{
    return self->commit_index;
}

replica_term replica_current_term(const struct replica *self)
{
    return self->term;
}

void replica_flush(struct replica *self)
{
    (void)self;
}

/* ---- The rig --------------------------------------------------------------------------------- */

struct rig {
    struct driver *driver;
    struct replica replica;
    struct leases *leases;
    struct write {
        struct rig *rig;
        int number;
        bool told;
    } writes[MANY];
    int write_count;
    uint64_t epoch, ask;
};

static struct leases *rig_leases(struct rig *self)
{
    const struct leases_options options = {
        .replica = &self->replica,
        .machine = self->driver->machine,
        .group = "catalog",
        .uuid = "uuid",
    };
    return leases_new(&options);
}

static void rig_lead(struct rig *self, replica_term term)
{
    self->replica.term = term;
    self->replica.commit_index = ++self->driver->index; /* its barrier */
    leases_lead(self->leases, true, term);
}

static int set_up(void **state)
{
    struct rig *self = alloc_zero(sizeof *self);
    self->driver = driver_new();
    add_item(self->driver, 5, 10);
    add_item(self->driver, 6, 10);
    self->leases = rig_leases(self);
    rig_lead(self, 1); /* its barrier is entry 3 */
    *state = self;
    return 0;
}

/* Whoever still waits is told, once. */
static int tear_down(void **state)
{
    struct rig *self = *state;
    while (self->replica.count > 0) {
        struct submission *last = &self->replica.waiting[--self->replica.count];
        free(last->data);
        last->done(last->arg, ERR_UNKNOWN, NULL, 0);
    }
    if (self->replica.read != NULL)
        self->replica.read(self->replica.read_arg, ERR_UNAVAILABLE);
    leases_destroy(&self->leases);
    for (int i = 0; i < self->write_count; i++)
        assert_true(self->writes[i].told);
    driver_destroy(self->driver);
    free(self);
    return 0;
}

/* What it did since this was asked last. */
static void rig_expect(struct rig *self, const char *text)
{
    self->replica.text[self->replica.used] = '\0';
    assert_string_equal(self->replica.text, text);
    self->replica.used = 0;
}

/* Time comes, with the alarms that are due. */
static void rig_wait(struct rig *self, int64_t ms)
{
    const int64_t end = now + ms;
    while (the_alarm->at_ms <= end) {
        now = the_alarm->at_ms > now ? the_alarm->at_ms : now;
        the_alarm->at_ms = INT64_MAX;
        the_alarm->handler(the_alarm->arg);
    }
    now = end;
    (void)self;
}

/* What was submitted first is called back with a code; OK: it is applied before. */
static void rig_call_back(struct rig *self, int code)
{
    struct submission first = self->replica.waiting[0];
    void *outcome = NULL;

    assert_true(self->replica.count > 0);
    self->replica.count--;
    memmove(self->replica.waiting, self->replica.waiting + 1, self->replica.count * sizeof first);
    if (code == OK) {
        self->replica.commit_index = ++self->driver->index;
        self->driver->interface.begin(self->driver->machine);
        outcome = driver_apply_bytes(self->driver, self->driver->index, self->driver->now_ms,
                                     first.data, first.size);
        self->driver->interface.commit(self->driver->machine);
    }
    free(first.data);
    first.done(first.arg, code, outcome, code == OK ? self->driver->index : 0);
}

static void rig_apply(struct rig *self)
{
    while (self->replica.count > 0)
        rig_call_back(self, OK);
}

static void rig_confirm(struct rig *self, int code)
{
    replica_read_fn *read = self->replica.read;
    assert_non_null(read);
    self->replica.read = NULL;
    read(self->replica.read_arg, code);
}

static void on_written(void *arg, int code, void *result, replica_index index)
{
    struct write *write = arg;
    struct outcome *outcome = result;
    assert_false(write->told);
    assert_true((code == OK) == (outcome != NULL && index > 0));
    write->told = true;
    say(&write->rig->replica, "w%d:%s", write->number, err_type(code));
    outcome_destroy(&outcome);
}

/* The next write, from its JSON. Returns what leases_submit() does. */
static int rig_write_until(struct rig *self, int64_t deadline_ms, const char *text)
{
    struct write *write = &self->writes[self->write_count++];
    struct command command;
    struct bytes_writer bytes = {0};
    json_t *request = json_loads(text, 0, NULL);

    assert_true(self->write_count <= MANY);
    *write = (struct write){self, self->write_count, false};
    json_object_set_new(request, "stamp", json_integer(1));
    json_object_set_new(request, "key", json_sprintf("key-%d", self->write_count));
    if (strstr(text, "settle") != NULL) {
        json_object_del(request, "stamp");
        json_object_del(request, "key");
    }
    struct outcome *refusal = request_read(request, &command);
    assert_null(refusal);
    command_encode(&command, &bytes);
    const int code = leases_submit(self->leases, &command, &bytes, deadline_ms, on_written, write);
    if (code != OK) {
        assert_false(write->told);
        write->told = true;
    }
    bytes_writer_close(&bytes);
    command_close(&command);
    json_decref(request);
    return code;
}

static int rig_write(struct rig *self, const char *text)
{
    return rig_write_until(self, now + 10000, text);
}

#define STOCK_5    "{\"op\":\"stock\",\"id\":5,\"change\":1}"
#define STOCK_6    "{\"op\":\"stock\",\"id\":6,\"change\":1}"
#define TOPIC_5(t) "{\"op\":\"item_edit\",\"id\":5,\"topic\":\"" t "\"}"

static void on_answer(void *arg, int code, json_t *body)
{
    struct rig *self = arg;
    const json_int_t left = json_integer_value(json_object_get(body, "remaining_ms"));
    char keys[256];

    if (code != OK)
        say(&self->replica, "ask:%s", err_type(code));
    else if (json_object_get(body, "session") != NULL)
        say(&self->replica, "session %d",
            (int)json_integer_value(json_object_get(body, "session")));
    else if (json_object_size(body) == 0)
        say(&self->replica, "ok");
    else if (json_object_get(body, "index") != NULL)
        say(&self->replica, "sync %d@%d:%s+%d",
            (int)json_integer_value(json_object_get(body, "seq")),
            (int)json_integer_value(json_object_get(body, "index")),
            names_of(body, keys, sizeof keys), (int)left);
    else
        say(&self->replica, "grant %d+%d", (int)json_integer_value(json_object_get(body, "epoch")),
            (int)left);
    json_decref(body);
}

static struct lease_ask rig_ask(struct rig *self, uint64_t session)
{
    return (struct lease_ask){
        .session = session, .term = self->replica.term, .epoch = self->epoch, .ask = ++self->ask};
}

static void rig_sync(struct rig *self, uint64_t session)
{
    self->epoch++;
    const struct lease_ask ask = rig_ask(self, session);
    leases_sync(self->leases, &ask, on_answer, self);
}

static void rig_renew(struct rig *self, uint64_t session, uint64_t acked)
{
    struct lease_ask ask = rig_ask(self, session);
    ask.acked = acked;
    leases_renew(self->leases, &ask, on_answer, self);
}

/* Open a session, which is entry 4 unless something was written, and give it a lease. */
static void rig_lease(struct rig *self)
{
    leases_open(self->leases, on_answer, self);
    rig_apply(self);
    rig_sync(self, self->driver->index);
    rig_confirm(self, OK);
    self->replica.used = 0;
}

/* ---- Without a session ----------------------------------------------------------------------- */

/* Nothing is told, computed or counted: what the replica says is what the writer gets. */
static void test_without_a_session_a_write_is_the_replicas(void **state)
{
    struct rig *self = *state;
    assert_int_equal(rig_write(self, STOCK_5), OK);
    assert_int_equal(rig_write(self, TOPIC_5("a")), OK);
    assert_int_equal(rig_write(self, TOPIC_5("b")), OK);
    rig_expect(self, "sub stock sub edit sub edit");
    rig_apply(self);
    rig_expect(self, "w1:ok w2:ok w3:ok");
    self->replica.refusal = ERR_DISK_LOW;
    assert_int_equal(rig_write(self, STOCK_5), ERR_DISK_LOW);
    assert_int_equal(rig_write(self, TOPIC_5("c")), ERR_DISK_LOW);
    assert_int_equal(the_alarm->at_ms, INT64_MAX);
    rig_expect(self, "");
}

/* What has passed before a session was opened is before it in the log: the index that it is told
 * covers that. What comes while it is being opened does not pass: the key is told as pending. */
static void test_a_write_around_an_opening_is_covered(void **state)
{
    struct rig *self = *state;
    rig_write(self, STOCK_5);
    leases_open(self->leases, on_answer, self);
    rig_write(self, STOCK_6);
    rig_expect(self, "sub stock sub open sub stock");
    rig_call_back(self, OK);
    rig_call_back(self, OK);
    rig_sync(self, 5);
    rig_confirm(self, OK);
    rig_expect(self, "w1:ok session 5 sync 0@5:item:6+1000");
    rig_apply(self);
    rig_expect(self, "w2:ok");
}

/* ---- Approval -------------------------------------------------------------------------------- */

/* Told; acknowledged; submitted in that very turn; answered when it is applied; released when it
 * was quiet for long enough, with an index that covers it. */
static void test_a_write_waits_for_the_acknowledgement(void **state)
{
    struct rig *self = *state;
    rig_lease(self);
    assert_int_equal(rig_write(self, STOCK_5), OK);
    assert_int_equal(rig_write(self, STOCK_5), OK);
    rig_expect(self, "inv 1:item:5");
    rig_wait(self, LEASE_REPEAT_MS);
    rig_expect(self, "inv 1:item:5");
    rig_renew(self, 4, 1);
    rig_expect(self, "sub stock sub stock grant 1+980");
    rig_apply(self);
    rig_expect(self, "w1:ok w2:ok");
    rig_wait(self, LEASE_QUIET_MS - 1);
    rig_expect(self, "");
    rig_wait(self, LEASE_BEAT_MS);
    rig_expect(self, "rel 2:item:5");
}

/* Settling changes nothing that is cached. */
static void test_what_has_no_keys_does_not_wait(void **state)
{
    struct rig *self = *state;
    rig_lease(self);
    assert_int_equal(rig_write(self, "{\"op\":\"settle\",\"keys\":[\"k\"]}"), OK);
    rig_expect(self, "sub settle");
    rig_apply(self);
    rig_expect(self, "w1:ok");
}

/* A cache that says nothing is waited for until its lease is over, and no more after that. */
static void test_a_silent_cache_is_waited_for_once(void **state)
{
    struct rig *self = *state;
    rig_lease(self);
    rig_write(self, STOCK_5);
    rig_wait(self, LEASE_WAIT_MS - 1);
    assert_non_null(strstr(self->replica.text, "inv 1:item:5"));
    assert_null(strstr(self->replica.text, "sub"));
    self->replica.used = 0;
    rig_wait(self, 1);
    rig_write(self, STOCK_6);
    rig_expect(self, "sub stock sub stock");
    rig_apply(self);
}

/* ---- What the replica makes of it ------------------------------------------------------------ */

/* A proposal that the replica does not take is told to who waits; its key is released again. */
static void test_a_refused_proposal_frees_its_key(void **state)
{
    struct rig *self = *state;
    rig_lease(self);
    rig_write(self, STOCK_5);
    self->replica.refusal = ERR_BUSY;
    rig_renew(self, 4, 1);
    rig_expect(self, "inv 1:item:5 w1:busy grant 1+1000");
    assert_int_equal(rig_write(self, STOCK_5), ERR_BUSY); /* its key is pending: at once */
    rig_expect(self, "");
    rig_wait(self, LEASE_QUIET_MS + LEASE_BEAT_MS);
    rig_expect(self, "rel 2:item:5");
    self->replica.refusal = OK;
}

/* So is one that was taken and never appended. */
static void test_a_proposal_that_was_never_appended_frees_its_key(void **state)
{
    struct rig *self = *state;
    rig_lease(self);
    rig_write(self, STOCK_5);
    rig_renew(self, 4, 1);
    rig_call_back(self, ERR_NOT_LEADER);
    rig_expect(self, "inv 1:item:5 sub stock grant 1+1000 w1:not-leader");
    rig_wait(self, LEASE_QUIET_MS + LEASE_BEAT_MS);
    rig_expect(self, "rel 2:item:5");
}

/* One whose outcome is unknown may yet be applied: nobody comes to hold its key in this term. */
static void test_an_unknown_outcome_keeps_its_key(void **state)
{
    struct rig *self = *state;
    rig_lease(self);
    rig_write(self, STOCK_5);
    rig_renew(self, 4, 1);
    rig_call_back(self, ERR_UNKNOWN);
    rig_expect(self, "inv 1:item:5 sub stock grant 1+1000 w1:unknown-outcome");
    for (int i = 0; i < 100; i++)
        rig_wait(self, 100);
    assert_null(strstr(self->replica.text, "rel"));
}

/* ---- Time that runs out ---------------------------------------------------------------------- */

/* A write is refused when its time is up, and nothing of it was submitted. */
static void test_a_write_gives_up_at_its_deadline(void **state)
{
    struct rig *self = *state;
    rig_lease(self);
    assert_int_equal(rig_write_until(self, now, STOCK_5), ERR_UNAVAILABLE);
    rig_expect(self, "");
    rig_write_until(self, now + 10, STOCK_6);
    rig_wait(self, 10);
    rig_renew(self, 4, 1);
    rig_expect(self, "inv 1:item:6 w2:unavailable grant 1+990");
}

/* One that waits for another that changes topics, too; and it was not looked at. */
static void test_a_write_that_waits_for_its_turn_gives_up_too(void **state)
{
    struct rig *self = *state;
    rig_lease(self);
    rig_write(self, TOPIC_5("a"));
    rig_write_until(self, now + 10, TOPIC_5("b"));
    rig_expect(self, "inv 1:item:5,topic:a");
    rig_wait(self, 10);
    rig_expect(self, "w2:unavailable");
}

/* ---- One after the other --------------------------------------------------------------------- */

/* The topic that an item leaves is known when the change before is applied. */
static void test_changes_of_topic_know_the_ones_before(void **state)
{
    struct rig *self = *state;
    rig_lease(self);
    rig_write(self, TOPIC_5("A"));
    rig_write(self, TOPIC_5("B"));
    rig_write(self, STOCK_6);
    rig_expect(self, "inv 1:item:5,topic:a inv 2:item:6");
    rig_renew(self, 4, 2);
    rig_expect(self, "sub edit sub stock grant 1+1000");
    rig_call_back(self, OK);
    rig_expect(self, "w1:ok inv 3:topic:b");
    rig_renew(self, 4, 3);
    rig_call_back(self, OK);
    rig_wait(self, LEASE_QUIET_MS + LEASE_BEAT_MS);
    rig_expect(self, "sub edit grant 1+1000 w3:ok rel 4:item:6"); /* not topic:a, which it leaves */
    rig_apply(self);
    rig_wait(self, LEASE_QUIET_MS + LEASE_BEAT_MS);
    rig_expect(self, "w2:ok rel 5:item:5,topic:a,topic:b");
}

/* Also when that one has passed, before there was a session. */
static void test_changes_of_topic_know_those_that_have_passed(void **state)
{
    struct rig *self = *state;
    rig_write(self, TOPIC_5("A"));
    leases_open(self->leases, on_answer, self);
    rig_write(self, TOPIC_5("B"));
    rig_expect(self, "sub edit sub open");
    rig_call_back(self, OK); /* the second begins now: an opening is under way */
    rig_expect(self, "w1:ok sub edit");
    rig_call_back(self, OK);
    rig_sync(self, 5);
    rig_confirm(self, OK);
    rig_expect(self, "session 5 sync 0@5:item:5,topic:a,topic:b+1000");
}

/* So many wait for their turn; the next is refused. */
static void test_few_wait_for_their_turn(void **state)
{
    struct rig *self = *state;
    rig_lease(self);
    for (int i = 0; i < 1 + LEASE_ORDERED_MAX; i++)
        assert_int_equal(rig_write(self, TOPIC_5("a")), OK);
    assert_int_equal(rig_write(self, TOPIC_5("a")), ERR_BUSY);
    rig_expect(self, "inv 1:item:5,topic:a");
    leases_lead(self->leases, false, 1);
}

/* ---- Leadership ------------------------------------------------------------------------------ */

/* Whoever waits is told when it ends: writes in the table, those that wait for their turn, and
 * asks. What was submitted is the replica's to tell. */
static void test_the_end_of_leadership_answers_all(void **state)
{
    struct rig *self = *state;
    rig_lease(self);
    rig_write(self, STOCK_6);
    rig_renew(self, 4, 1);
    rig_write(self, STOCK_5);
    rig_write(self, TOPIC_5("a"));
    rig_write(self, TOPIC_5("b"));
    now += LEASE_ROUND_MS;
    rig_renew(self, 4, 1);
    self->replica.used = 0;
    leases_lead(self->leases, false, 1);
    rig_expect(self, "w4:not-leader w2:not-leader w3:not-leader ask:not-leader");
    rig_call_back(self, ERR_UNKNOWN);
    rig_expect(self, "w1:unknown-outcome");
    rig_confirm(self, OK); /* late: it confirms nothing */
    rig_sync(self, 4);
    rig_expect(self, "ask:not-leader");
}

/* A new leader knows the sessions from the tables, and waits for who has not synced with it. */
static void test_a_new_leader_waits_for_the_sessions_of_the_tables(void **state)
{
    struct rig *self = *state;
    rig_lease(self);
    leases_lead(self->leases, false, 1);
    rig_lead(self, 2);
    rig_write(self, STOCK_5);
    rig_expect(self, "inv 1:item:5");
    rig_sync(self, 4);
    rig_confirm(self, OK);
    rig_expect(self, "sync 1@5:item:5+1000 sub stock");
    rig_apply(self);
}

/* A round counts from before it was asked for; and one of an earlier leadership does not count. */
static void test_a_round_counts_from_its_beginning_and_in_its_term(void **state)
{
    struct rig *self = *state;
    leases_open(self->leases, on_answer, self);
    rig_apply(self);
    rig_sync(self, 4);
    now += 70;
    rig_confirm(self, OK);
    rig_expect(self, "sub open session 4 sync 0@4:+930");
    now += LEASE_ROUND_MS;
    rig_renew(self, 4, 0);
    leases_lead(self->leases, false, 1);
    rig_lead(self, 2);
    rig_expect(self, "ask:not-leader");
    rig_confirm(self, OK); /* the round that was asked for in term 1 */
    rig_sync(self, 4);
    rig_expect(self, "");
    rig_confirm(self, ERR_UNAVAILABLE);
    rig_expect(self, "");
}

/* ---- Sessions -------------------------------------------------------------------------------- */

/* Who is silent is closed, in the log; and writes pass again. */
static void test_a_silent_session_is_closed(void **state)
{
    struct rig *self = *state;
    uint64_t ids[LEASE_SESSIONS_MAX];
    rig_lease(self);
    assert_int_equal(sessions_list(driver_state(self->driver), ids, LEASE_SESSIONS_MAX), 1);
    for (int i = 0; i < LEASE_SILENT_MS / 100; i++)
        rig_wait(self, 100);
    rig_expect(self, "sub close");
    rig_sync(self, 4);
    rig_expect(self, "ask:not-found");
    rig_apply(self);
    assert_int_equal(sessions_list(driver_state(self->driver), ids, LEASE_SESSIONS_MAX), 0);
    rig_write(self, TOPIC_5("a"));
    rig_write(self, TOPIC_5("b"));
    rig_expect(self, "sub edit sub edit");
}

/* Who says that it is over is waited for no more, and closed in the log. */
static void test_who_leaves_is_closed_at_once(void **state)
{
    struct rig *self = *state;
    uint64_t ids[LEASE_SESSIONS_MAX];
    rig_lease(self);
    rig_write(self, STOCK_5);
    rig_expect(self, "inv 1:item:5");
    leases_leave(self->leases, 4, on_answer, self);
    rig_expect(self, "ok sub close sub stock");
    leases_leave(self->leases, 4, on_answer, self);
    rig_expect(self, "ok");
    rig_apply(self);
    assert_int_equal(sessions_list(driver_state(self->driver), ids, LEASE_SESSIONS_MAX), 0);
    leases_leave(self->leases, 4, on_answer, self);
    rig_expect(self, "w1:ok ask:not-found");
    rig_write(self, STOCK_5);
    rig_expect(self, "sub stock");
    leases_lead(self->leases, false, 1);
    leases_leave(self->leases, 4, on_answer, self);
    rig_expect(self, "ask:not-leader");
    rig_call_back(self, ERR_UNKNOWN);
    rig_expect(self, "w2:unknown-outcome");
}

/* There are so many at most, those on their way included. */
static void test_sessions_are_bounded(void **state)
{
    struct rig *self = *state;
    for (int i = 0; i < LEASE_SESSIONS_MAX; i++)
        leases_open(self->leases, on_answer, self);
    self->replica.used = 0;
    leases_open(self->leases, on_answer, self);
    rig_expect(self, "ask:busy");
    self->replica.refusal = ERR_NOT_LEADER;
    while (self->replica.count > 0)
        rig_call_back(self, ERR_NOT_LEADER);
    self->replica.used = 0;
    leases_open(self->leases, on_answer, self);
    rig_expect(self, "ask:not-leader");
}

/* Where nobody leads there is nothing to see. */
static void test_a_status_is_the_leaders(void **state)
{
    struct rig *self = *state;
    rig_lease(self);
    rig_write(self, STOCK_5);
    json_t *status = leases_status(self->leases);
    assert_int_equal(json_integer_value(json_object_get(status, "sessions")), 1);
    assert_int_equal(json_integer_value(json_object_get(status, "synced")), 1);
    assert_int_equal(json_integer_value(json_object_get(status, "approving")), 1);
    assert_int_equal(json_integer_value(json_object_get(status, "waiting")), 1);
    json_decref(status);
    leases_lead(self->leases, false, 1);
    status = leases_status(self->leases);
    assert_true(json_is_null(status));
    json_decref(status);
}

#define RIGGED(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        RIGGED(test_without_a_session_a_write_is_the_replicas),
        RIGGED(test_a_write_around_an_opening_is_covered),
        RIGGED(test_a_write_waits_for_the_acknowledgement),
        RIGGED(test_what_has_no_keys_does_not_wait),
        RIGGED(test_a_silent_cache_is_waited_for_once),
        RIGGED(test_a_refused_proposal_frees_its_key),
        RIGGED(test_a_proposal_that_was_never_appended_frees_its_key),
        RIGGED(test_an_unknown_outcome_keeps_its_key),
        RIGGED(test_a_write_gives_up_at_its_deadline),
        RIGGED(test_a_write_that_waits_for_its_turn_gives_up_too),
        RIGGED(test_changes_of_topic_know_the_ones_before),
        RIGGED(test_changes_of_topic_know_those_that_have_passed),
        RIGGED(test_few_wait_for_their_turn),
        RIGGED(test_the_end_of_leadership_answers_all),
        RIGGED(test_a_new_leader_waits_for_the_sessions_of_the_tables),
        RIGGED(test_a_round_counts_from_its_beginning_and_in_its_term),
        RIGGED(test_a_silent_session_is_closed),
        RIGGED(test_who_leaves_is_closed_at_once),
        RIGGED(test_sessions_are_bounded),
        RIGGED(test_a_status_is_the_leaders),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
