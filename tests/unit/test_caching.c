/* libpygmy's cache: what is served from memory, what is asked for, and by whom it is kept up.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "client/store/cached_fills.h"
#include "client/store/pygmy.h"
#include "tests/lib/scripted_broker.h"
#include "tests/unit/caching_rig.h"

#define LOOKUP_7 "{\"op\":\"lookup\",\"id\":7}"

/* ---- Reading --------------------------------------------------------------------------------- */

/* Before there is a lease a lookup is one of the store, and nothing of it is kept. */
static void test_without_a_lease_nothing_is_kept(void **state)
{
    struct rig *self = *state;
    struct pygmy_reply reply = {0};
    self->mute = true;
    pygmy_lookup(self->store, 7, pygmy_keep, &reply);
    rig_answer_item(self, rig_expect(self, 0, "catalog", LOOKUP_7), 7, 30);
    rig_await(self, &reply);
    assert_int_equal(rig_version(&reply), 30);
    assert_false(reply.cached);
    assert_int_equal(rig_counts(self).entries, 0);
    assert_int_equal(rig_counts(self).passes, 1);
    pygmy_reply_close(&reply);
}

/* With one it is asked of a replica that has applied the watermark, and is in memory then: for
 * calls, and without one, in the very bytes. */
static void test_what_was_looked_up_is_served_from_memory(void **state)
{
    struct rig *self = *state;
    struct pygmy_reply reply = {0}, again = {0};
    struct pygmy_cached item;
    rig_begin(self);
    pygmy_lookup(self->store, 7, pygmy_keep, &reply);
    struct scripted_record *read =
        rig_expect(self, 0, "catalog", "{\"op\":\"lookup\",\"id\":7,\"applied\":40}");
    rig_answer_item(self, read, 7, 30);
    rig_await(self, &reply);
    assert_false(reply.cached);
    assert_int_equal(reply.attempts, 1);

    pygmy_lookup(self->store, 7, pygmy_keep, &again);
    assert_false(again.done);
    rig_await(self, &again);
    assert_true(again.cached);
    assert_int_equal(again.attempts, 0);
    assert_int_equal(rig_version(&again), 30);
    assert_true(
        json_equal(json_object_get(reply.body, "item"), json_object_get(again.body, "item")));

    assert_true(pygmy_cached_item(self->store, 7, &item));
    char *text = json_dumps(json_object_get(reply.body, "item"), JSON_COMPACT);
    assert_string_equal(item.text, text);
    assert_int_equal(item.size, strlen(text));
    assert_int_equal(item.version, 30);
    assert_int_equal(self->read_count, 1);
    free(text);
    pygmy_reply_close(&reply);
    pygmy_reply_close(&again);
}

/* That there is no such item is known as well, in the store's own words, less the log's time, which
 * is that of an answer and old in the next one. */
static void test_that_there_is_none_is_kept_too(void **state)
{
    struct rig *self = *state;
    struct pygmy_reply reply = {0}, again = {0};
    struct pygmy_cached item;
    rig_begin(self);
    pygmy_lookup(self->store, 7, pygmy_keep, &reply);
    rig_expect(self, 0, "catalog", "{\"op\":\"lookup\",\"id\":7,\"applied\":40}");
    rig_answer(self, self->reads[0], ERR_NOT_FOUND,
               json_pack("{s{ss ss sI sI}}", "error", "type", "not-found", "detail", "no item 7",
                         "id", (json_int_t)7, "log_time", (json_int_t)1));
    rig_await(self, &reply);
    json_t *error = json_object_get(reply.body, "error");
    assert_int_equal(json_integer_value(json_object_get(error, "log_time")), 1);
    pygmy_lookup(self->store, 7, pygmy_keep, &again);
    rig_await(self, &again);
    assert_int_equal(again.code, ERR_NOT_FOUND);
    assert_true(again.cached);
    json_object_del(error, "log_time");
    assert_true(json_equal(reply.body, again.body));
    assert_true(pygmy_cached_item(self->store, 7, &item));
    assert_false(item.present);
    assert_string_equal(item.text, "{\"type\":\"not-found\",\"detail\":\"no item 7\",\"id\":7}");
    pygmy_reply_close(&reply);
    pygmy_reply_close(&again);
}

/* What is no lookup by id of any replica goes its way: writes, titles, the leader, more members. */
static void test_other_calls_go_past_it(void **state)
{
    struct rig *self = *state;
    static const char *const texts[] = {"{\"op\":\"lookup\",\"title\":\"x\"}",
                                        "{\"op\":\"lookup\",\"id\":7,\"more\":1}",
                                        "{\"op\":\"lookup\",\"id\":0}", "{\"op\":\"items\"}"};
    rig_begin(self);
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct pygmy_reply reply = {0};
        pygmy_start(self->store, &(struct pygmy_call){.service = "catalog",
                                                      .request = json_loads(texts[i], 0, NULL),
                                                      .done = pygmy_keep,
                                                      .arg = &reply});
        rig_answer(self, rig_expect(self, i, "catalog", texts[i]), OK, json_pack("{}"));
        rig_await(self, &reply);
        pygmy_reply_close(&reply);
    }
    struct pygmy_reply reply = {0};
    pygmy_start(self->store, &(struct pygmy_call){.service = "catalog.leader",
                                                  .request = json_loads(LOOKUP_7, 0, NULL),
                                                  .done = pygmy_keep,
                                                  .arg = &reply});
    rig_answer(self, rig_expect(self, 4, "catalog.leader", LOOKUP_7), OK, json_pack("{}"));
    rig_await(self, &reply);
    pygmy_reply_close(&reply);
    assert_int_equal(rig_counts(self).misses, 0);
}

/* A handle that wants no cache has none, and says so. */
static void test_without_a_cache_there_is_none(void **state)
{
    struct rig *self = *state;
    struct pygmy_reply reply = {0};
    pygmy_close(&self->store);
    rig_open(self, 0);
    pygmy_lookup(self->store, 7, pygmy_keep, &reply);
    rig_answer_item(self, rig_expect(self, 0, "catalog", LOOKUP_7), 7, 30);
    rig_await(self, &reply);
    assert_int_equal(rig_cached(self, 7), 0);
    pygmy_cache_drop(self->store, 7);
    const struct pygmy_cache_counts counts = rig_counts(self);
    assert_int_equal(counts.misses + counts.entries + counts.session, 0);
    pygmy_reply_close(&reply);
}

/* An operator lets go of one item, or of all; the lease stays. */
static void test_items_are_dropped(void **state)
{
    struct rig *self = *state;
    rig_begin(self);
    rig_fill(self, 7, 30);
    rig_fill(self, 8, 31);
    rig_fill(self, 9, 32);
    pygmy_cache_drop(self->store, 7);
    assert_int_equal(rig_cached(self, 7), 0);
    assert_int_equal(rig_counts(self).entries, 2);
    pygmy_cache_drop(self->store, 0);
    assert_int_equal(rig_counts(self).entries, 0);
    assert_true(rig_counts(self).session != 0);
}

/* ---- Fills ----------------------------------------------------------------------------------- */

/* Who asks while a fill is under way has its answer; each gets a body of its own. */
static void test_a_fill_is_joined(void **state)
{
    struct rig *self = *state;
    struct pygmy_reply replies[3] = {0};
    rig_begin(self);
    for (size_t i = 0; i < 3; i++)
        pygmy_lookup(self->store, 7, pygmy_keep, &replies[i]);
    assert_int_equal(pygmy_pending(self->store), 3);
    rig_answer_item(
        self, rig_expect(self, 0, "catalog", "{\"op\":\"lookup\",\"id\":7,\"applied\":40}"), 7, 30);
    for (size_t i = 0; i < 3; i++) {
        rig_await(self, &replies[i]);
        assert_int_equal(rig_version(&replies[i]), 30);
        assert_false(replies[i].cached);
    }
    assert_ptr_not_equal(replies[0].body, replies[1].body);
    assert_int_equal(self->read_count, 1);
    assert_int_equal(rig_counts(self).joins, 2);
    assert_int_equal(pygmy_pending(self->store), 0);
    for (size_t i = 0; i < 3; i++)
        pygmy_reply_close(&replies[i]);
}

/* The store's verdict is that of all who waited, and is not kept. */
static void test_a_fill_that_is_refused_refuses_all(void **state)
{
    struct rig *self = *state;
    struct pygmy_reply replies[2] = {0};
    rig_begin(self);
    for (size_t i = 0; i < 2; i++)
        pygmy_lookup(self->store, 7, pygmy_keep, &replies[i]);
    rig_expect(self, 0, "catalog", "{\"op\":\"lookup\",\"id\":7,\"applied\":40}");
    rig_answer(self, self->reads[0], ERR_FORBIDDEN, json_pack("{s{}}", "error"));
    for (size_t i = 0; i < 2; i++) {
        rig_await(self, &replies[i]);
        assert_int_equal(replies[i].code, ERR_FORBIDDEN);
        pygmy_reply_close(&replies[i]);
    }
    assert_int_equal(rig_counts(self).entries, 0);
    assert_int_equal(rig_counts(self).fills, 0);
}

static void start_lookup(struct rig *self, struct pygmy_reply *reply, int64_t timeout_ms)
{
    pygmy_start(self->store, &(struct pygmy_call){.service = "catalog",
                                                  .request = json_loads(LOOKUP_7, 0, NULL),
                                                  .timeout_ms = timeout_ms,
                                                  .done = pygmy_keep,
                                                  .arg = reply});
}

/* One who joined ends at its own deadline, and the others go on. */
static void test_who_joins_keeps_its_own_deadline(void **state)
{
    struct rig *self = *state;
    struct pygmy_reply patient = {0}, hasty = {0};
    rig_begin(self);
    start_lookup(self, &patient, 30000);
    start_lookup(self, &hasty, 20);
    rig_expect(self, 0, "catalog", "{\"op\":\"lookup\",\"id\":7,\"applied\":40}");
    rig_await(self, &hasty);
    assert_int_equal(hasty.code, ERR_TIMEOUT);
    assert_false(patient.done);
    rig_answer_item(self, self->reads[0], 7, 30);
    rig_await(self, &patient);
    assert_int_equal(rig_version(&patient), 30);
    pygmy_reply_close(&patient);
    pygmy_reply_close(&hasty);
}

/* The fill ends with the time of the one for whom it was begun; who joined it asks anew. */
static void test_who_joined_asks_anew(void **state)
{
    struct rig *self = *state;
    struct pygmy_reply patient = {0}, hasty = {0};
    rig_begin(self);
    start_lookup(self, &hasty, 50);
    start_lookup(self, &patient, 30000);
    rig_await(self, &hasty);
    assert_int_equal(hasty.code, ERR_TIMEOUT);
    self->number = 2;
    rig_run_until(self, rig_has_reads);
    assert_false(patient.done);
    rig_answer_item(self, self->reads[1], 7, 31);
    rig_await(self, &patient);
    assert_int_equal(rig_version(&patient), 31);
    pygmy_reply_close(&patient);
    pygmy_reply_close(&hasty);
}

static int64_t fixed_clock(void *arg)
{
    (void)arg;
    return 1;
}

/* As many as may wait do; one more is read for itself. */
static void test_waiters_are_bounded(void **state)
{
    struct rig *self = *state;
    struct leased_cache *cache = leased_cache_new(
        &(struct leased_cache_options){.entries_max = 1, .bytes_max = 1000, .now_ms = fixed_clock});
    struct cached_fills *fills = cached_fills_new(self->store, cache);
    struct cached_waiter *waiters = calloc(CACHE_WAITERS_MAX + 1, sizeof *waiters);
    const struct cached_read read = {.key = "item:1", .id = 1, .left_ms = 30000};
    const struct cached_read list = {.topic = "classics", .left_ms = 30000};
    struct leased_ask ask;
    assert_true(leased_cache_ask(cache, 1, &ask));
    assert_true(leased_cache_opened(cache, ask.ask, 9, 1, 1));
    assert_true(leased_cache_ask(cache, 1, &ask));
    leased_cache_synced(cache, ask.ask, ask.epoch, &(struct leased_message){.term = 1}, LEASE_MS,
                        1);
    for (size_t i = 0; i < CACHE_WAITERS_MAX; i++)
        assert_int_equal(cached_fills_miss(fills, &read, &waiters[i]),
                         i == 0 ? LEASED_FILL : LEASED_JOIN);
    assert_int_equal(cached_fills_miss(fills, &read, &waiters[CACHE_WAITERS_MAX]), LEASED_PASS);
    assert_false(cached_fills_ask(fills, &list, &waiters[CACHE_WAITERS_MAX]));
    cached_waiter_leave(&waiters[5]);
    assert_int_equal(cached_fills_miss(fills, &read, &waiters[CACHE_WAITERS_MAX]), LEASED_JOIN);
    pygmy_close(&self->store);
    cached_fills_destroy(&fills);
    leased_cache_destroy(&cache);
    free(waiters);
}

static bool has_asked(struct rig *self)
{
    return self->opens >= self->number;
}

/* A handle is closed with all of this under way. */
static void test_it_is_closed_with_reads_under_way(void **state)
{
    struct rig *self = *state;
    struct pygmy_reply replies[4] = {0};
    rig_begin(self);
    start_lookup(self, &replies[0], 0);
    start_lookup(self, &replies[1], 0);
    pygmy_search(self->store, &(struct pygmy_search){.topic = "classics"}, pygmy_keep, &replies[2]);
    rig_expect(self, 1, "catalog.leader", "{\"op\":\"topic\",\"topic\":\"classics\"}");
    pygmy_close(&self->store);
    for (size_t i = 0; i < 3; i++)
        assert_false(replies[i].done);
}

static bool has_closed(struct rig *self)
{
    return self->closes > 0;
}

/* And tells the leader that it is over, also with much on its way. */
static void test_a_handle_that_is_closed_says_so(void **state)
{
    struct rig *self = *state;
    struct pygmy_reply replies[40] = {0};
    rig_begin(self);
    rig_fill(self, 7, 30);
    for (size_t i = 0; i < sizeof replies / sizeof *replies; i++)
        start_lookup(self, &replies[i], 100 + (int64_t)i);
    pygmy_close(&self->store);
    rig_run_until(self, has_closed);
    assert_int_equal(self->closed, 17);
    assert_int_equal(self->closes, 1);
}

/* One that has no session yet has nothing to say. */
static void test_without_a_session_nobody_is_told(void **state)
{
    struct rig *self = *state;
    self->slow = true;
    self->number = 1;
    rig_run_until(self, has_asked);
    pygmy_close(&self->store);
    scripted_broker_await(self->broker, PACK_DISCONNECT, 1);
    rig_look(self);
    assert_int_equal(self->closes, 0);
}

/* A session that comes when there is one already is closed: no leader shall wait for it. */
static void test_a_session_too_many_is_closed(void **state)
{
    struct rig *self = *state;
    self->slow = true;
    rig_begin(self);
    assert_int_equal(self->opens, 2);
    self->session = 18;
    json_t *open = json_pack("{ss}", "op", "lease_open");
    rig_answer_ask(self, self->late, open);
    json_decref(open);
    rig_run_until(self, has_closed);
    assert_int_equal(self->closed, 18);
    assert_int_equal(rig_counts(self).session, 17);
    self->session = 17;
}

/* ---- The feed -------------------------------------------------------------------------------- */

/* What is to be changed goes, and that is acknowledged; until it is released it is read of the
 * store alone, and then a fill has to be as new as the change. */
static void test_an_invalidated_item_is_let_go(void **state)
{
    struct rig *self = *state;
    struct pygmy_reply reply = {0};
    rig_begin(self);
    rig_fill(self, 7, 30);
    rig_tell(self, "invalidate", "item:7");
    rig_run_until(self, rig_is_acked);
    assert_int_equal(rig_counts(self).entries, 0);
    assert_int_equal(rig_counts(self).pending, 1);
    pygmy_lookup(self->store, 7, pygmy_keep, &reply);
    rig_answer_item(self, rig_expect(self, 1, "catalog", LOOKUP_7), 7, 44);
    rig_await(self, &reply);
    assert_int_equal(rig_counts(self).entries, 0);
    pygmy_reply_close(&reply);

    self->index = 45;
    rig_tell(self, "release", "item:7");
    rig_tell(self, "invalidate", "item:8");
    rig_run_until(self, rig_is_acked);
    pygmy_lookup(self->store, 7, pygmy_keep, &reply);
    rig_answer_item(
        self, rig_expect(self, 2, "catalog", "{\"op\":\"lookup\",\"id\":7,\"applied\":45}"), 7, 44);
    rig_await(self, &reply);
    pygmy_reply_close(&reply);
    assert_int_equal(rig_cached(self, 7), 44);
}

/* An answer and the word that it is old come together, in whichever order they are read: it goes to
 * the one who had asked, and stays nowhere. */
static void test_an_answer_that_comes_with_its_invalidation_is_not_kept(void **state)
{
    struct rig *self = *state;
    struct pygmy_reply reply = {0};
    rig_begin(self);
    for (int i = 0; i < 10; i++) {
        const size_t nth = self->read_count;
        char key[32];
        snprintf(key, sizeof key, "item:%d", 10 + i);
        pygmy_lookup(self->store, 10 + i, pygmy_keep, &reply);
        self->number = nth + 1;
        rig_run_until(self, rig_has_reads);
        if (i % 2 == 0)
            rig_tell(self, "invalidate", key);
        rig_answer_item(self, self->reads[nth], 10 + i, 30);
        if (i % 2 == 1)
            rig_tell(self, "invalidate", key);
        scripted_hold_up(5);
        rig_await(self, &reply);
        rig_run_until(self, rig_is_acked);
        assert_int_equal(rig_cached(self, 10 + i), 0);
        pygmy_reply_close(&reply);
    }
    assert_int_equal(rig_counts(self).entries, 0);
}

static bool has_flushed(struct rig *self)
{
    return rig_counts(self).flushes >= self->number && rig_has_lease(self);
}

/* A number that is missing: all goes, and it begins anew with another SYNC, on the same session. */
static void test_a_gap_begins_anew(void **state)
{
    struct rig *self = *state;
    rig_begin(self);
    rig_fill(self, 7, 30);
    const size_t syncs = self->syncs;
    self->seq += 2;
    self->number = rig_counts(self).flushes + 1;
    rig_publish(self, 0, "invalidate", self->seq, "item:8");
    rig_run_until(self, has_flushed);
    assert_int_equal(rig_counts(self).entries, 0);
    assert_true(self->syncs > syncs);
    assert_int_equal(self->opens, 1);
}

/* Nonsense, other groups' topics and other clusters' words say nothing. */
static void test_nonsense_in_the_feed_says_nothing(void **state)
{
    struct rig *self = *state;
    rig_begin(self);
    rig_say(&self->feeds[0], json_pack("[]"));
    rig_say(&self->feeds[0],
            json_pack("{ss ss sI}", "type", "invalidate", "cluster", "c1", "seq", (json_int_t)6));
    rig_say(&self->feeds[0], json_pack("{ss ss sI sI s[i]}", "type", "invalidate", "cluster", "c1",
                                       "seq", (json_int_t)6, "term", (json_int_t)3, "keys", 7));
    rig_say(&self->feeds[0], json_pack("{ss ss sI sI}", "type", "surprise", "cluster", "c1", "seq",
                                       (json_int_t)6, "term", (json_int_t)3));
    const uint64_t flushes = rig_counts(self).flushes;
    rig_tell(self, "invalidate", "item:7");
    rig_run_until(self, rig_is_acked);
    assert_int_equal(rig_counts(self).pending, 1);
    assert_int_equal(rig_counts(self).flushes, flushes);
}

static bool second_is_subscribed(struct rig *self)
{
    return self->feeds[1].subscribed > 0;
}

/* A feed that says nothing is left for the next broker's; and that one's goes for it. */
static void test_a_silent_feed_is_left_for_the_next(void **state)
{
    struct rig *self = *state;
    rig_begin(self);
    rig_fill(self, 7, 30);
    assert_int_equal(self->feeds[1].ever, 0);
    self->quiet = true;
    rig_run_until(self, second_is_subscribed);
    assert_true(rig_counts(self).flushes >= 1);
    rig_run_until(self, rig_has_lease);
    rig_publish(self, 1, "beat", self->seq, NULL);
    rig_publish(self, 1, "invalidate", ++self->seq, "item:7");
    rig_run_until(self, rig_is_acked);
}

static bool is_renewed(struct rig *self)
{
    return self->renews >= self->number;
}

/* One that beats is not. */
static void test_a_feed_that_beats_is_kept(void **state)
{
    struct rig *self = *state;
    rig_begin(self);
    rig_fill(self, 7, 30);
    self->number = self->renews + 4;
    rig_run_until(self, is_renewed);
    assert_int_equal(rig_cached(self, 7), 30);
    assert_int_equal(self->feeds[1].ever, 0);
}

/* The end of its connection is noticed long before. */
static void test_a_closed_feed_is_left_at_once(void **state)
{
    struct rig *self = *state;
    rig_begin(self);
    const uint64_t flushes = rig_counts(self).flushes;
    zsock_destroy(&self->feeds[0].socket);
    assert_true(rig_run_until(self, second_is_subscribed) < LEASE_FEED_MS);
    assert_int_equal(rig_counts(self).flushes, flushes + 1);
}

static bool first_came_again(struct rig *self)
{
    return (uint64_t)self->feeds[0].ever > self->number;
}

/* With a single broker its feed is connected anew. */
static void test_the_only_feed_is_connected_anew(void **state)
{
    struct rig *self = *state;
    const char *endpoints[] = {self->broker->endpoint};
    const char *feeds[] = {self->feeds[0].endpoint};
    char *error = NULL;
    pygmy_close(&self->store);
    assert_int_equal(pygmy_open(&(struct pygmy_options){.loop = self->loop,
                                                        .endpoints = endpoints,
                                                        .endpoint_count = 1,
                                                        .secret = "a-secret",
                                                        .cache_entries = 10,
                                                        .feeds = feeds,
                                                        .feed_count = 1},
                                &self->store, &error),
                     OK);
    rig_begin(self);
    self->quiet = true;
    self->number = (uint64_t)self->feeds[0].ever;
    rig_run_until(self, first_came_again);
    rig_run_until(self, rig_has_lease);
}

/* ---- The lease ------------------------------------------------------------------------------- */

/* A process that stood still longer than its lease serves nothing when it goes on, although nothing
 * has told it yet. */
static void test_after_a_pause_nothing_is_served(void **state)
{
    struct rig *self = *state;
    rig_begin(self);
    rig_fill(self, 7, 30);
    scripted_hold_up(LEASE_MS);
    assert_int_equal(rig_counts(self).entries, 1);
    assert_int_equal(rig_cached(self, 7), 0);
    rig_run_until(self, rig_has_lease);
}

/* Nor does one whose leader does not answer. */
static bool lease_is_over(struct rig *self)
{
    return rig_counts(self).lease_left_ms == 0;
}

static void test_without_renewal_the_lease_ends(void **state)
{
    struct rig *self = *state;
    rig_begin(self);
    rig_fill(self, 7, 30);
    self->mute = true;
    rig_run_until(self, lease_is_over);
    assert_int_equal(rig_cached(self, 7), 0);
}

static bool has_opened(struct rig *self)
{
    return self->opens >= self->number && rig_has_lease(self);
}

/* A session that the leader does not know is followed by another one. */
static void test_a_forgotten_session_is_opened_anew(void **state)
{
    struct rig *self = *state;
    rig_begin(self);
    self->session = 90;
    self->refuse = ERR_NOT_FOUND;
    self->number = 2;
    rig_tell(self, "invalidate", "item:7");
    rig_run_until(self, lease_is_over);
    self->refuse = OK;
    rig_run_until(self, has_opened);
    assert_int_equal(rig_counts(self).session, 90);
}

/* What stands behind the brokers is another store now, whose terms are lower: it begins there as if
 * there had been nothing. */
static void test_another_cluster_begins_anew(void **state)
{
    struct rig *self = *state;
    rig_begin(self);
    rig_fill(self, 7, 30);
    self->cluster = "c2";
    self->term = 1;
    self->session = 4;
    self->seq = 0;
    self->number = 2;
    rig_publish(self, 0, "beat", 0, NULL);
    rig_run_until(self, has_opened);
    assert_int_equal(rig_counts(self).term, 1);
    assert_int_equal(rig_counts(self).session, 4);
    assert_int_equal(rig_counts(self).entries, 0);
}

/* Another leader: all goes, and the session is synced in its term. */
static void test_a_new_term_begins_anew(void **state)
{
    struct rig *self = *state;
    rig_begin(self);
    rig_fill(self, 7, 30);
    self->term = 4;
    self->seq = 0;
    self->number = rig_counts(self).flushes + 1;
    rig_publish(self, 0, "beat", 0, NULL);
    rig_run_until(self, has_flushed);
    assert_int_equal(rig_counts(self).term, 4);
    assert_int_equal(rig_counts(self).entries, 0);
    assert_int_equal(self->opens, 1);
}

static bool is_pending(struct rig *self)
{
    return rig_counts(self).pending >= self->number;
}

/* A leader that does not answer is not stormed: so many asks are under way, for so long. */
static void test_asks_under_way_are_bounded(void **state)
{
    struct rig *self = *state;
    rig_begin(self);
    self->mute = true;
    const size_t before = self->renews;
    const int64_t start_ms = clock_ms();
    for (int i = 0; i < 50; i++) {
        char key[32];
        snprintf(key, sizeof key, "item:%d", i);
        self->number = rig_counts(self).pending + 1;
        rig_tell(self, "invalidate", key);
        rig_run_until(self, is_pending);
    }
    const int64_t spans = (clock_ms() - start_ms) / LEASE_ANSWER_MS + 1;
    rig_look(self);
    assert_in_range(self->renews - before, 1, (uint64_t)spans * LEASE_ASKS_MAX);
    self->mute = false;
    rig_run_until(self, rig_is_acked);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, rig_set_up, rig_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_without_a_lease_nothing_is_kept),
        TEST(test_what_was_looked_up_is_served_from_memory),
        TEST(test_that_there_is_none_is_kept_too),
        TEST(test_other_calls_go_past_it),
        TEST(test_without_a_cache_there_is_none),
        TEST(test_items_are_dropped),
        TEST(test_a_fill_is_joined),
        TEST(test_a_fill_that_is_refused_refuses_all),
        TEST(test_who_joins_keeps_its_own_deadline),
        TEST(test_who_joined_asks_anew),
        TEST(test_waiters_are_bounded),
        TEST(test_it_is_closed_with_reads_under_way),
        TEST(test_a_handle_that_is_closed_says_so),
        TEST(test_without_a_session_nobody_is_told),
        TEST(test_a_session_too_many_is_closed),
        TEST(test_an_invalidated_item_is_let_go),
        TEST(test_an_answer_that_comes_with_its_invalidation_is_not_kept),
        TEST(test_a_gap_begins_anew),
        TEST(test_nonsense_in_the_feed_says_nothing),
        TEST(test_a_silent_feed_is_left_for_the_next),
        TEST(test_a_feed_that_beats_is_kept),
        TEST(test_a_closed_feed_is_left_at_once),
        TEST(test_the_only_feed_is_connected_anew),
        TEST(test_after_a_pause_nothing_is_served),
        TEST(test_without_renewal_the_lease_ends),
        TEST(test_a_forgotten_session_is_opened_anew),
        TEST(test_another_cluster_begins_anew),
        TEST(test_a_new_term_begins_anew),
        TEST(test_asks_under_way_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
