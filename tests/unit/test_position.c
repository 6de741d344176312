/* The subscriber's rule: case by case, and against a model that loses, doubles and reorders.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "broker/bus/alloc.h"
#include "broker/bus/limits.h"
#include "client/store/position.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

/* ---- What comes out -------------------------------------------------------------- */

/* What was delivered and reported, as a text: "5@7" is version 5, to be resumed at 7; "begun 3". */
struct heard {
    char text[4096];
    size_t used;
};

__attribute__((format(printf, 2, 3))) static void hear(struct heard *self, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    const int len =
        vsnprintf(self->text + self->used, sizeof self->text - self->used, format, args);
    va_end(args);
    assert_true(len >= 0 && (size_t)len < sizeof self->text - self->used);
    self->used += (size_t)len;
}

static void hear_change(void *arg, const json_t *change, int64_t resume)
{
    hear(arg, "%lld@%lld ", (long long)json_integer_value(json_object_get(change, "version")),
         (long long)resume);
}

static void hear_news(void *arg, enum position_news news, int64_t number)
{
    static const char *const names[] = {"begun", "silent", "heard", "ahead", "reset"};
    hear(arg, "%s %lld ", names[news], (long long)number);
}

static const struct position_owner hearer = {hear_change, hear_news};

static void expect(struct heard *self, const char *text)
{
    assert_string_equal(self->text, text);
    self->used = 0;
    self->text[0] = '\0';
}

/* ---- What goes in ---------------------------------------------------------------- */

/* A live message or an answer with rows of these versions, which a 0 ends. */
static json_t *message_of(const char *cluster, int64_t from, int64_t index, const int64_t *versions)
{
    json_t *changes = json_array();
    for (; *versions != 0; versions++)
        json_array_append_new(changes, json_pack("{sI}", "version", (json_int_t)*versions));
    return json_pack("{ss ss si sI sI so}", "group", "order", "cluster", cluster, "term", 1, "from",
                     (json_int_t)from, "index", (json_int_t)index, "changes", changes);
}

#define ROWS(...) ((const int64_t[]){__VA_ARGS__, 0})
#define NONE      ((const int64_t[]){0})

static void live(struct position *self, int64_t from, int64_t index, const int64_t *versions)
{
    json_t *message = message_of("c1", from, index, versions);
    assert_true(position_live(self, message, 100, 0));
    json_decref(message);
}

static void answer_of(struct position *self, const char *cluster, int64_t from, int64_t index,
                      const int64_t *versions, bool more)
{
    json_t *message = message_of(cluster, from, index, versions);
    json_object_set_new(message, "more", json_boolean(more));
    position_answer(self, message, 0);
    json_decref(message);
}

static void answer(struct position *self, int64_t from, int64_t index, const int64_t *versions)
{
    answer_of(self, "c1", from, index, versions, false);
}

static void expect_ask(struct position *self, int64_t now_ms, size_t replica, int64_t since)
{
    struct position_ask ask;
    assert_true(position_ask(self, now_ms, &ask));
    assert_int_equal(ask.replica, replica);
    assert_int_equal(ask.since, since);
}

static void expect_no_ask(struct position *self, int64_t now_ms)
{
    struct position_ask ask;
    assert_false(position_ask(self, now_ms, &ask));
}

/* One that knows everything up to 10, having asked replica 0 of three. */
static struct position *position_at_10(struct heard *heard)
{
    struct position *self = position_new("order", "", 10, 3, 0, &hearer, heard);
    expect_ask(self, 0, 0, 10);
    answer(self, 10, 10, NONE);
    expect(heard, "begun 10 ");
    expect_no_ask(self, 0);
    return self;
}

/* ---- Case by case ---------------------------------------------------------------- */

/* Without a place to go on from it asks for one, and what came live meanwhile is not lost. */
static void test_from_now_on_begins_where_a_replica_is(void **state)
{
    struct heard heard = {.text = ""};
    struct position *self = position_new("order", "", POSITION_NOW, 3, 0, &hearer, &heard);
    (void)state;
    expect_ask(self, 0, 0, POSITION_NOW);
    live(self, 18, 20, ROWS(19, 20));
    live(self, 20, 21, ROWS(21));
    expect(&heard, "");
    answer(self, 19, 19, NONE);
    expect(&heard, "begun 19 20@20 21@21 ");
    assert_int_equal(position_known(self), 21);
    expect_no_ask(self, 0);
    position_destroy(&self);
}

/* What follows is delivered; what is known, or known in part, is not delivered again. */
static void test_live_messages_are_delivered_once(void **state)
{
    struct heard heard = {.text = ""};
    struct position *self = position_at_10(&heard);
    (void)state;
    live(self, 10, 12, ROWS(11, 12));
    live(self, 10, 12, ROWS(11, 12));
    live(self, 11, 13, ROWS(12, 13));
    live(self, 13, 15, NONE);
    live(self, 15, 15, NONE);
    expect(&heard, "11@11 12@12 13@13 ");
    assert_int_equal(position_known(self), 15);
    expect_no_ask(self, 0);
    position_destroy(&self);
}

/* One can go on from an entry only when all of its rows were delivered. */
static void test_a_row_says_from_where_to_resume(void **state)
{
    struct heard heard = {.text = ""};
    struct position *self = position_at_10(&heard);
    (void)state;
    live(self, 10, 20, ROWS(11, 14, 14, 14, 17, 18, 18));
    expect(&heard, "11@11 14@13 14@13 14@14 17@17 18@17 18@20 ");
    position_destroy(&self);
}

/* A row above what the message covers has changed again, and comes with that change. */
static void test_a_row_above_what_is_covered_waits_for_its_message(void **state)
{
    struct heard heard = {.text = ""};
    struct position *self = position_at_10(&heard);
    (void)state;
    live(self, 10, 12, ROWS(11, 13));
    live(self, 12, 13, ROWS(13));
    expect(&heard, "11@11 13@13 ");
    position_destroy(&self);
}

/* What is above a gap is kept, in whatever order it comes, and delivered once the gap is closed. */
static void test_a_gap_is_asked_for(void **state)
{
    struct heard heard = {.text = ""};
    struct position *self = position_at_10(&heard);
    (void)state;
    live(self, 16, 18, ROWS(17));
    expect_ask(self, 0, 1, 10);
    live(self, 14, 16, ROWS(15, 16));
    live(self, 16, 18, ROWS(17));
    expect_no_ask(self, 0);
    expect(&heard, "");
    answer(self, 10, 15, ROWS(12, 15));
    expect(&heard, "12@12 15@15 16@16 17@18 ");
    assert_int_equal(position_known(self), 18);
    expect_no_ask(self, 0);
    position_destroy(&self);
}

/* A beat shows that the last message before it was lost. */
static void test_a_beat_shows_a_lost_message(void **state)
{
    struct heard heard = {.text = ""};
    struct position *self = position_at_10(&heard);
    (void)state;
    live(self, 12, 12, NONE);
    expect_ask(self, 0, 1, 10);
    answer(self, 10, 12, ROWS(11));
    expect(&heard, "11@12 ");
    expect_no_ask(self, 0);
    position_destroy(&self);
}

/* What closes the gap live, while it was asked for, makes the answer news no more. */
static void test_an_answer_may_come_too_late(void **state)
{
    struct heard heard = {.text = ""};
    struct position *self = position_at_10(&heard);
    (void)state;
    live(self, 12, 13, ROWS(13));
    expect_ask(self, 0, 1, 10);
    live(self, 10, 12, ROWS(11));
    expect(&heard, "11@12 13@13 ");
    answer(self, 10, 12, ROWS(11));
    expect(&heard, "");
    assert_int_equal(position_known(self), 13);
    expect_no_ask(self, 0);
    position_destroy(&self);
}

/* A long answer comes in pages, all of the same replica. */
static void test_pages_are_asked_for_until_there_are_no_more(void **state)
{
    struct heard heard = {.text = ""};
    struct position *self = position_new("order", "", 0, 3, 0, &hearer, &heard);
    (void)state;
    expect_ask(self, 0, 0, 0);
    answer_of(self, "c1", 0, 3, ROWS(1, 3), true);
    expect_ask(self, 0, 0, 3);
    answer_of(self, "c1", 3, 6, ROWS(4, 6), true);
    expect_ask(self, 0, 0, 6);
    answer(self, 6, 9, ROWS(7));
    expect_no_ask(self, 0);
    expect(&heard, "begun 0 1@1 3@3 4@4 6@6 7@9 ");
    position_destroy(&self);
}

/* Who does not answer is passed over for a while, and so is who has nothing of what is missing. */
static void test_replicas_take_turns(void **state)
{
    struct heard heard = {.text = ""};
    struct position *self = position_at_10(&heard);
    (void)state;
    live(self, 20, 20, NONE);
    expect_ask(self, 0, 1, 10);
    position_answer(self, NULL, 0);
    expect_ask(self, 0, 2, 10);
    answer(self, 10, 10, NONE);
    expect_ask(self, 0, 0, 10);
    answer(self, 10, 8, NONE);
    expect_no_ask(self, 0);
    assert_int_equal(position_wake_ms(self), CHANGES_BEHIND_MS);
    expect_no_ask(self, CHANGES_BEHIND_MS - 1);
    expect_ask(self, CHANGES_BEHIND_MS, 2, 10);
    answer(self, 10, 15, ROWS(12));
    expect_ask(self, CHANGES_BEHIND_MS, 0, 15);
    position_answer(self, NULL, CHANGES_BEHIND_MS);
    expect_ask(self, CHANGES_LOST_MS, 1, 15);
    answer(self, 15, 20, ROWS(20));
    expect(&heard, "12@15 20@20 ");
    expect_no_ask(self, INT64_MAX);
    position_destroy(&self);
}

/* A place that no replica has come to yet is told once, and then waited for. */
static void test_a_place_ahead_of_the_store_is_told(void **state)
{
    struct heard heard = {.text = ""};
    struct position *self = position_new("order", "", 50, 2, 0, &hearer, &heard);
    (void)state;
    live(self, 20, 21, ROWS(21));
    expect_ask(self, 0, 0, 50);
    answer(self, 50, 20, NONE);
    expect_ask(self, 0, 1, 50);
    answer(self, 50, 21, NONE);
    expect(&heard, "ahead 21 ");
    expect_no_ask(self, INT64_MAX);
    live(self, 49, 51, ROWS(50, 51));
    expect(&heard, "begun 50 51@51 ");
    position_destroy(&self);
}

/* Those that don't answer are not waited for: what comes live will tell when there is more. */
static void test_a_place_ahead_of_those_that_answer_is_told(void **state)
{
    struct heard heard = {.text = ""};
    struct position *self = position_new("order", "", 50, 2, 0, &hearer, &heard);
    (void)state;
    expect_ask(self, 0, 0, 50);
    answer(self, 50, 20, NONE);
    expect_ask(self, 0, 1, 50);
    position_answer(self, NULL, 0);
    expect(&heard, "");
    expect_ask(self, CHANGES_BEHIND_MS, 0, 50);
    answer(self, 50, 20, NONE);
    expect(&heard, "ahead 20 ");
    expect_no_ask(self, INT64_MAX);
    live(self, 60, 60, NONE);
    expect_ask(self, CHANGES_LOST_MS, 1, 50);
    position_destroy(&self);
}

/* Another cluster has another log: what was delivered is void, and all that it has is news. */
static void test_another_cluster_is_begun_anew(void **state)
{
    struct heard heard = {.text = ""};
    struct position *self = position_at_10(&heard);
    (void)state;
    live(self, 12, 13, ROWS(13));
    json_t *message = message_of("c2", 4, 5, ROWS(5));
    assert_true(position_live(self, message, 100, 0));
    json_decref(message);
    expect(&heard, "reset 0 ");
    assert_int_equal(position_known(self), 0);
    expect_ask(self, 0, 1, 0);
    answer_of(self, "c2", 0, 4, ROWS(2, 3), false);
    expect(&heard, "2@2 3@4 5@5 ");
    expect_no_ask(self, 0);
    position_destroy(&self);
}

/* Who goes on from an index of a cluster that is not the one which is met begins anew as well: by
 * whatever word of it comes first. */
static void test_an_index_of_another_cluster_is_no_place_to_begin(void **state)
{
    struct heard heard = {.text = ""};
    struct position *self = position_new("order", "c2", 10, 1, 0, &hearer, &heard);
    (void)state;
    expect_ask(self, 0, 0, 10);
    answer(self, 10, 10, NONE);
    expect(&heard, "reset 0 ");
    assert_string_equal(position_cluster(self), "c1");
    expect_ask(self, 0, 0, 0);
    answer(self, 0, 10, ROWS(3, 9));
    expect(&heard, "begun 0 3@3 9@10 ");
    position_destroy(&self);

    self = position_new("order", "c2", 10, 1, 0, &hearer, &heard);
    live(self, 0, 4, ROWS(3));
    expect(&heard, "reset 0 begun 0 3@4 ");
    position_destroy(&self);
}

/* Of the cluster's uuid the beginning is enough. */
static void test_an_index_of_this_cluster_is_gone_on_from(void **state)
{
    struct heard heard = {.text = ""};
    struct position *self = position_new("order", "c", 10, 1, 0, &hearer, &heard);
    (void)state;
    assert_string_equal(position_cluster(self), "");
    live(self, 10, 11, ROWS(11));
    expect(&heard, "begun 10 11@11 ");
    assert_string_equal(position_cluster(self), "c1");
    position_destroy(&self);
}

/* The answer to a question of before is of no use to it, and does no harm. */
static void test_an_answer_of_before_another_cluster_does_no_harm(void **state)
{
    struct heard heard = {.text = ""};
    struct position *self = position_at_10(&heard);
    (void)state;
    live(self, 30, 30, NONE);
    expect_ask(self, 0, 1, 10);
    json_t *message = message_of("c2", 5, 5, NONE);
    assert_true(position_live(self, message, 100, 0));
    json_decref(message);
    answer_of(self, "c2", 10, 12, ROWS(11), false);
    expect(&heard, "reset 0 ");
    assert_int_equal(position_known(self), 0);
    expect_ask(self, 0, 2, 0);
    position_destroy(&self);
}

/* An answer may be the first word of another cluster. It says nothing about where that is. */
static void test_another_cluster_may_answer(void **state)
{
    struct heard heard = {.text = ""};
    struct position *self = position_new("order", "", 10, 1, 0, &hearer, &heard);
    (void)state;
    live(self, 12, 12, NONE);
    expect_ask(self, 0, 0, 10);
    answer_of(self, "c2", 10, 4, NONE, false);
    expect(&heard, "reset 0 ");
    expect_ask(self, 0, 0, 0);
    answer_of(self, "c2", 0, 4, ROWS(2, 3), false);
    expect(&heard, "begun 0 2@2 3@4 ");
    expect_no_ask(self, INT64_MAX);
    position_destroy(&self);
}

/* Silence is told once, and so is its end. */
static void test_silence_and_its_end_are_told_once(void **state)
{
    struct heard heard = {.text = ""};
    struct position *self = position_at_10(&heard);
    (void)state;
    assert_int_equal(position_wake_ms(self), CHANGES_SILENCE_MS);
    position_tick(self, CHANGES_SILENCE_MS - 1);
    expect(&heard, "");
    position_tick(self, CHANGES_SILENCE_MS);
    position_tick(self, 2 * CHANGES_SILENCE_MS);
    expect(&heard, "silent 2000 ");
    assert_int_equal(position_wake_ms(self), INT64_MAX);
    json_t *message = message_of("c1", 10, 10, NONE);
    position_live(self, message, 100, 5000);
    position_live(self, message, 100, 5100);
    json_decref(message);
    expect(&heard, "heard 5000 ");
    position_tick(self, 5100 + CHANGES_SILENCE_MS);
    expect(&heard, "silent 2000 ");
    position_destroy(&self);
}

/* What finds no room above a gap is dropped, by count and by bytes, and asked for in its turn. */
static void test_what_is_kept_is_bounded(void **state)
{
    struct heard heard = {.text = ""};
    (void)state;
    for (int by_bytes = 0; by_bytes < 2; by_bytes++) {
        struct position *self = position_at_10(&heard);
        const size_t size = by_bytes ? CHANGES_KEPT_BYTES_MAX / 2 : 1;
        const int64_t room = by_bytes ? 2 : CHANGES_KEPT_MAX;
        for (int64_t i = 0; i < room + 5; i++) {
            json_t *message = message_of("c1", 20 + i, 21 + i, NONE);
            position_live(self, message, size, 0);
            json_decref(message);
        }
        expect_ask(self, 0, 1, 10);
        answer(self, 10, 20, NONE);
        assert_int_equal(position_known(self), 20 + room);
        expect_ask(self, 0, 2, 20 + room);
        position_destroy(&self);
    }
}

/* What is no message of this stream changes nothing. */
static void test_other_messages_are_refused(void **state)
{
    static const char *const texts[] = {
        "[]",
        "{}",
        "{\"group\":\"catalog\",\"cluster\":\"c1\",\"from\":1,\"index\":2,\"changes\":[]}",
        "{\"group\":\"order\",\"cluster\":7,\"from\":1,\"index\":2,\"changes\":[]}",
        "{\"group\":\"order\",\"cluster\":\"\",\"from\":1,\"index\":2,\"changes\":[]}",
        "{\"group\":\"order\",\"cluster\":\"c1\",\"index\":2,\"changes\":[]}",
        "{\"group\":\"order\",\"cluster\":\"c1\",\"from\":3,\"index\":2,\"changes\":[]}",
        "{\"group\":\"order\",\"cluster\":\"c1\",\"from\":1,\"index\":2.5,\"changes\":[]}",
        "{\"group\":\"order\",\"cluster\":\"c1\",\"from\":1,\"index\":2}",
        "{\"group\":\"order\",\"cluster\":\"c1\",\"from\":1,\"index\":2,\"changes\":[7]}",
        "{\"group\":\"order\",\"cluster\":\"c1\",\"from\":1,\"index\":2,\"changes\":[{}]}",
        ("{\"group\":\"order\",\"cluster\":\"c1\",\"from\":1,\"index\":3,"
         "\"changes\":[{\"version\":3},{\"version\":2}]}"),
    };
    struct heard heard = {.text = ""};
    struct position *self = position_new("order", "", POSITION_NOW, 1, 0, &hearer, &heard);
    (void)state;
    for (size_t i = 0; i < COUNT(texts); i++) {
        json_t *message = json_loads(texts[i], 0, NULL);
        assert_non_null(message);
        assert_false(position_live(self, message, 1, 0));
        json_decref(message);
    }
    expect_ask(self, 0, 0, POSITION_NOW);
    json_t *body = json_pack("{si}", "index", 7);
    position_answer(self, body, 0);
    json_decref(body);
    assert_int_equal(position_known(self), POSITION_NOW);
    expect_no_ask(self, 0);
    expect_ask(self, CHANGES_LOST_MS, 0, POSITION_NOW);
    expect(&heard, "");
    position_destroy(&self);
}

/* ---- Against a model -------------------------------------------------------------- */

#define MODEL_ROWS     12
#define MODEL_REPLICAS 3
#define MODEL_ENTRIES  300
#define MODEL_WIRE     64
#define MODEL_PAGE     4

/* A log is, for this purpose, which rows each entry has changed. */
struct model {
    uint64_t random;
    uint32_t touched[MODEL_ENTRIES + 1]; /* by index from 1: a bit for each row */
    int64_t last;                        /* of the log; all is committed */
    int64_t leader;                      /* what the leader has published */
    int64_t applied[MODEL_REPLICAS];     /* never beyond what a leader might have told */
    json_t *wire[MODEL_WIRE];            /* live messages on their way */
    size_t wire_count;
    bool asking;
    struct position_ask ask;
    int64_t now_ms;
    size_t asked_count;
    /* The subscriber's side. */
    struct position *position;
    int64_t began;
    int64_t versions[MODEL_ROWS]; /* last delivered of each row */
};

static uint64_t model_random(struct model *self, uint64_t below)
{
    self->random = self->random * 6364136223846793005u + 1442695040888963407u;
    return (self->random >> 33) % below;
}

/* The version of a row for one who has applied so much. */
static int64_t model_version(const struct model *self, size_t row, int64_t applied)
{
    while (applied > 0 && (self->touched[applied] >> row & 1) == 0)
        applied--;
    return applied;
}

static json_t *model_row(size_t row, int64_t version)
{
    return json_pack("{sI sI}", "version", (json_int_t)version, "id", (json_int_t)row);
}

/* The rows whose last change, for one who has applied so much, lies in (from, index]. */
static json_t *model_rows(const struct model *self, int64_t from, int64_t index, int64_t applied)
{
    json_t *rows = json_array();
    for (int64_t version = from + 1; version <= index; version++)
        for (size_t row = 0; row < MODEL_ROWS; row++)
            if (model_version(self, row, applied) == version)
                json_array_append_new(rows, model_row(row, version));
    return rows;
}

static json_t *model_message(const struct model *self, int64_t from, int64_t index, int64_t applied)
{
    return json_pack("{ss ss sI sI so}", "group", "order", "cluster", "c1", "from",
                     (json_int_t)from, "index", (json_int_t)index, "changes",
                     model_rows(self, from, index, applied));
}

static void model_deliver(void *arg, const json_t *change, int64_t resume)
{
    struct model *self = arg;
    const size_t row = (size_t)json_integer_value(json_object_get(change, "id"));
    const int64_t version = json_integer_value(json_object_get(change, "version"));
    assert_true(row < MODEL_ROWS && version > self->began);
    assert_true(version > self->versions[row]); /* P1 */
    self->versions[row] = version;
    /* Whoever resumes there misses nothing: what is at or below it was delivered, as it was then or
     * later. */
    for (size_t i = 0; i < MODEL_ROWS; i++) {
        const int64_t was = model_version(self, i, resume);
        assert_true(was <= self->began || self->versions[i] >= was ||
                    model_version(self, i, self->last) > was);
    }
}

static void model_report(void *arg, enum position_news news, int64_t number)
{
    struct model *self = arg;
    assert_true(news == POSITION_BEGUN || news == POSITION_AHEAD);
    if (news == POSITION_BEGUN)
        self->began = number;
}

static const struct position_owner model_owner = {model_deliver, model_report};

static void model_send(struct model *self, json_t *message)
{
    if (self->wire_count < MODEL_WIRE)
        self->wire[self->wire_count++] = message;
    else
        json_decref(message); /* cut */
}

/* The leader tells what is new, in one message or two, or that there is nothing. A leader that has
 * just come to lead begins at what it has applied. */
static void model_publish(struct model *self)
{
    int64_t from = self->leader;
    if (model_random(self, 20) == 0)
        from = self->applied[model_random(self, MODEL_REPLICAS)];
    int64_t to = from + (int64_t)model_random(self, (uint64_t)(self->last - from) + 1);
    model_send(self, model_message(self, from, to, self->last));
    self->leader = to;
}

static void model_append(struct model *self)
{
    if (self->last < MODEL_ENTRIES)
        self->touched[++self->last] =
            (uint32_t)(model_random(self, 1 << MODEL_ROWS) & model_random(self, 1 << MODEL_ROWS) &
                       model_random(self, 1 << MODEL_ROWS));
}

static void model_apply(struct model *self)
{
    int64_t *applied = &self->applied[model_random(self, MODEL_REPLICAS)];
    if (*applied < self->last)
        *applied += 1 + (int64_t)model_random(self, (uint64_t)(self->last - *applied));
}

/* A message arrives, any of them; perhaps it will come again, perhaps it is lost instead. */
static void model_arrive(struct model *self, bool faults)
{
    if (self->wire_count == 0)
        return;
    const size_t place = (size_t)model_random(self, self->wire_count);
    json_t *message = self->wire[place];
    const uint64_t fate = faults ? model_random(self, 10) : 9;
    if (fate > 1)
        assert_true(position_live(self->position, message, 100, self->now_ms));
    if (fate == 2)
        return; /* it comes again */
    json_decref(message);
    self->wire[place] = self->wire[--self->wire_count];
}

static json_t *model_answer(const struct model *self)
{
    const int64_t applied = self->applied[self->ask.replica];
    int64_t since = self->ask.since;
    if (since == POSITION_NOW)
        since = applied;
    json_t *answer = model_message(self, since, applied, applied);
    json_t *rows = json_object_get(answer, "changes");
    size_t count = json_array_size(rows);
    if (count <= MODEL_PAGE)
        return answer;
    /* Whole entries only. */
    int64_t last =
        json_integer_value(json_object_get(json_array_get(rows, MODEL_PAGE - 1), "version"));
    while (json_integer_value(json_object_get(json_array_get(rows, count - 1), "version")) > last)
        json_array_remove(rows, --count);
    json_object_set_new(answer, "index", json_integer(last));
    json_object_set_new(answer, "more", json_true());
    return answer;
}

static void model_ask(struct model *self, bool faults)
{
    if (!self->asking && position_ask(self->position, self->now_ms, &self->ask)) {
        self->asking = true;
        self->asked_count++;
    } else if (self->asking && (!faults || model_random(self, 3) == 0)) {
        json_t *answer = faults && model_random(self, 5) == 0 ? NULL : model_answer(self);
        self->asking = false;
        position_answer(self->position, answer, self->now_ms);
        json_decref(answer);
    }
}

static void model_step(struct model *self)
{
    switch (model_random(self, 8)) {
    case 0:
    case 1: model_append(self); break;
    case 2: model_publish(self); break;
    case 3: model_apply(self); break;
    case 4:
    case 5: model_arrive(self, true); break;
    case 6: model_ask(self, true); break;
    default: self->now_ms += (int64_t)model_random(self, 100); break;
    }
    /* Another feed's reports are heard in between, so that silence is no subject here. */
    const int64_t known = position_known(self->position);
    json_t *beat = model_message(self, 0, 0, self->last);
    position_live(self->position, beat, 1, self->now_ms);
    json_decref(beat);
    assert_int_equal(position_known(self->position), known);
}

/* All faults end: everything is applied everywhere, and a beat tells how far the log is. */
static void model_heal(struct model *self)
{
    for (size_t i = 0; i < MODEL_REPLICAS; i++)
        self->applied[i] = self->last;
    while (self->wire_count > 0)
        model_arrive(self, false);
    model_send(self, model_message(self, self->last, self->last, self->last));
    model_arrive(self, false);
    for (size_t i = 0; i < 20 * MODEL_ENTRIES && position_known(self->position) < self->last; i++) {
        model_ask(self, false);
        self->now_ms += 10;
    }
    while (self->asking)
        model_ask(self, false);
}

static void model_run(uint64_t seed)
{
    struct model *self = alloc_zero(sizeof *self);
    self->random = seed;
    const int64_t since = seed % 3 == 0 ? POSITION_NOW : (int64_t)(seed % 40);
    self->began = since;
    self->position = position_new("order", "", since, MODEL_REPLICAS, 0, &model_owner, self);
    while (self->last < 40)
        model_append(self);
    for (int i = 0; i < 2000; i++)
        model_step(self);
    model_heal(self);
    assert_int_equal(position_known(self->position), self->last);
    for (size_t row = 0; row < MODEL_ROWS; row++) {
        const int64_t version = model_version(self, row, self->last);
        assert_int_equal(self->versions[row], version > self->began ? version : 0);
    }
    /* P3: nothing is missing, so nothing is asked. */
    assert_true(self->asked_count > 0);
    expect_no_ask(self->position, INT64_MAX);
    position_destroy(&self->position);
    free(self);
}

/* Whatever is lost, doubled, late or out of order: each row's versions rise, and in the end the
 * delivered state is the log's. */
static void test_the_delivered_state_becomes_the_logs(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 300; seed++)
        model_run(seed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_from_now_on_begins_where_a_replica_is),
        cmocka_unit_test(test_live_messages_are_delivered_once),
        cmocka_unit_test(test_a_row_says_from_where_to_resume),
        cmocka_unit_test(test_a_row_above_what_is_covered_waits_for_its_message),
        cmocka_unit_test(test_a_gap_is_asked_for),
        cmocka_unit_test(test_a_beat_shows_a_lost_message),
        cmocka_unit_test(test_an_answer_may_come_too_late),
        cmocka_unit_test(test_pages_are_asked_for_until_there_are_no_more),
        cmocka_unit_test(test_replicas_take_turns),
        cmocka_unit_test(test_a_place_ahead_of_the_store_is_told),
        cmocka_unit_test(test_a_place_ahead_of_those_that_answer_is_told),
        cmocka_unit_test(test_another_cluster_is_begun_anew),
        cmocka_unit_test(test_an_index_of_another_cluster_is_no_place_to_begin),
        cmocka_unit_test(test_an_index_of_this_cluster_is_gone_on_from),
        cmocka_unit_test(test_an_answer_of_before_another_cluster_does_no_harm),
        cmocka_unit_test(test_another_cluster_may_answer),
        cmocka_unit_test(test_silence_and_its_end_are_told_once),
        cmocka_unit_test(test_what_is_kept_is_bounded),
        cmocka_unit_test(test_other_messages_are_refused),
        cmocka_unit_test(test_the_delivered_state_becomes_the_logs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
