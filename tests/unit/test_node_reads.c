/* Reads of a replica's program that name the log index which has to be applied.
 *
 * SPDX-License-Identifier: Apache-2.0 */
/* link: replica */
#include "tests/unit/node_rig.h"

#include "tests/lib/files.h"

static void ask_count(struct fixture *self, const char *service, json_int_t applied)
{
    char *body = zsys_sprintf("{\"op\":\"count\",\"applied\":%lld}", (long long)applied);
    ask(self, service, body);
    free(body);
}

static json_int_t count_at(struct fixture *self, const char *service, json_int_t applied)
{
    char *body = zsys_sprintf("{\"op\":\"count\",\"applied\":%lld}", (long long)applied);
    const json_int_t count = number_of(self, service, body, "count");
    free(body);
    return count;
}

static json_int_t put(struct fixture *self)
{
    return number_of(self, "catalog.leader", "{\"op\":\"put\",\"text\":\"x\"}", "index");
}

/* What is applied is answered, by any replica's name and by the leader's; 0 always is. */
static void test_what_is_applied_is_answered(void **state)
{
    struct fixture *self = *state;

    start(self);
    assert_int_equal(count_at(self, "catalog", 0), 0);
    const json_int_t index = put(self);
    assert_int_equal(count_at(self, "catalog", index), 1);
    assert_int_equal(count_at(self, "catalog.leader", index), 1);
    assert_int_equal(count_at(self, "catalog", 0), 1);
}

static struct scripted_record *reply_to(struct fixture *self, uint64_t correlation)
{
    for (size_t i = scripted_broker_count(self->broker, PACK_REPLY); i-- > 0;) {
        struct scripted_record *reply = scripted_broker_nth(self->broker, PACK_REPLY, i);
        if (reply->correlation == correlation)
            return reply;
    }
    return NULL;
}

/* What isn't waits until it is; what is asked for meanwhile does not wait for it. */
static void test_what_is_not_applied_waits(void **state)
{
    struct fixture *self = *state;

    start(self);
    const json_int_t index = put(self);
    ask_count(self, "catalog", index + 1);
    const uint64_t waits = self->correlation;
    assert_int_equal(count_at(self, "catalog", index), 1);
    assert_null(reply_to(self, waits));
    const size_t replies = scripted_broker_count(self->broker, PACK_REPLY);
    ask(self, "catalog.leader", "{\"op\":\"put\",\"text\":\"y\"}");
    scripted_broker_await(self->broker, PACK_REPLY, replies + 2);
    assert_non_null(reply_to(self, waits));
    assert_int_equal(reply_to(self, waits)->status, OK);
    assert_non_null(strstr(reply_to(self, waits)->body, "\"count\":2"));
}

/* An index that does not come in time is told so; the replica goes on serving reads, since anybody
 * may ask for one that never comes. */
static void test_nobody_waits_for_ever(void **state)
{
    struct fixture *self = *state;

    start(self);
    const size_t readies = scripted_broker_count(self->broker, PACK_READY);
    const size_t farewells = scripted_broker_count(self->broker, PACK_DISCONNECT);
    const int64_t begin_ms = clock_ms();
    assert_refused(self, "catalog", "{\"op\":\"count\",\"applied\":9223372036854775807}",
                   ERR_UNAVAILABLE, "");
    assert_true(clock_ms() - begin_ms >= READ_WAIT_MS);
    assert_int_equal(count_at(self, "catalog", 0), 0);
    assert_int_equal(number_of(self, "catalog", "{\"op\":\"count\"}", "count"), 0);
    assert_int_equal(scripted_broker_count(self->broker, PACK_READY), readies);
    assert_int_equal(scripted_broker_count(self->broker, PACK_DISCONNECT), farewells);
}

/* Whatever is no index is refused; an operation that takes none does not look at it. */
static void test_what_is_no_index_is_refused(void **state)
{
    static const char *const wrong[] = {"-1", "1.0", "1e0", "\"1\"", "null", "true", "[1]"};
    struct fixture *self = *state;

    start(self);
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        char *body = zsys_sprintf("{\"op\":\"count\",\"applied\":%s}", wrong[i]);
        assert_refused(self, "catalog", body, ERR_INVALID, "applied");
        free(body);
    }
    assert_refused(self, "catalog.leader", "{\"op\":\"put\",\"applied\":-1}", ERR_INVALID, "text");
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        TEST(test_what_is_applied_is_answered),
        TEST(test_what_is_not_applied_waits),
        TEST(test_nobody_waits_for_ever),
        TEST(test_what_is_no_index_is_refused),
    };
    return NODE_RIG_MAIN(argc, argv, tests);
}
