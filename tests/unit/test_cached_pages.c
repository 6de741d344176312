/* libpygmy's cache: pages of a topic, from its list of ids and the items' own entries.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "client/store/cached_spellings.h"
#include "client/store/pygmy.h"
#include "tests/lib/scripted_broker.h"
#include "tests/unit/caching_rig.h"

#define SEARCH "{\"op\":\"search\",\"topic\":\"Classics\"}"
#define ASK    "{\"op\":\"topic\",\"topic\":\"Classics\"}"
#define FILL   "{\"op\":\"topic\",\"topic\":\"Classics\",\"applied\":40}"

static void start(struct rig *self, struct pygmy_reply *reply, const char *cursor, int limit)
{
    pygmy_search(self->store,
                 &(struct pygmy_search){.topic = "Classics", .cursor = cursor, .limit = limit},
                 pygmy_keep, reply);
}

/* Answer the @nth read, a question for the list, which goes to the leader. */
static void answer_list(struct rig *self, size_t nth, const char *text, const char *ids)
{
    json_t *body = json_pack("{ss so}", "key", "topic:classics", "ids", json_loads(ids, 0, NULL));
    rig_answer(self, rig_expect(self, nth, "catalog.leader", text), OK, body);
}

/* Answer the lookups from the @nth on, of the ids from @first to @last. */
static void answer_items(struct rig *self, size_t nth, int64_t first, int64_t last)
{
    self->number = nth + (size_t)(last - first + 1);
    rig_run_until(self, rig_has_reads);
    for (int64_t id = first; id <= last; id++) {
        char text[64];
        snprintf(text, sizeof text, "{\"op\":\"lookup\",\"id\":%lld,\"applied\":40}",
                 (long long)id);
        assert_string_equal(self->reads[nth]->service, "catalog");
        assert_string_equal(self->reads[nth]->body, text);
        rig_answer_item(self, self->reads[nth++], id, 30);
    }
}

/* What a page shows, as "1 2 >2": the ids, and the cursor of the next one. */
static void expect_page(struct rig *self, struct pygmy_reply *reply, const char *text, bool cached)
{
    char shown[256] = "";
    size_t i;
    json_t *item;
    rig_await(self, reply);
    assert_int_equal(reply->code, OK);
    json_array_foreach(json_object_get(reply->body, "items"), i, item)
    {
        const size_t used = strlen(shown);
        snprintf(shown + used, sizeof shown - used, "%lld ",
                 (long long)json_integer_value(json_object_get(item, "id")));
    }
    const json_t *next = json_object_get(reply->body, "next");
    const size_t used = strlen(shown);
    assert_non_null(next);
    if (json_is_string(next))
        snprintf(shown + used, sizeof shown - used, ">%s", json_string_value(next));
    assert_string_equal(shown, text);
    assert_int_equal(reply->cached, cached);
    pygmy_reply_close(reply);
}

/* The leader tells the key of a spelling, and the list with it, which is not kept: the next page
 * asks for it as a fill. Then all of it is in memory. */
static void test_a_page_comes_out_of_memory_in_the_end(void **state)
{
    struct rig *self = *state;
    struct pygmy_reply reply = {0};
    rig_begin(self);
    start(self, &reply, NULL, 0);
    answer_list(self, 0, ASK, "[1,2,3]");
    answer_items(self, 1, 1, 3);
    expect_page(self, &reply, "1 2 3 ", false);
    start(self, &reply, NULL, 0);
    answer_list(self, 4, FILL, "[1,2,3]");
    expect_page(self, &reply, "1 2 3 ", false);
    start(self, &reply, NULL, 0);
    expect_page(self, &reply, "1 2 3 ", true);
    assert_int_equal(self->read_count, 5);
}

/* Have the list in memory. */
static void have_list(struct rig *self, const char *ids)
{
    struct pygmy_reply reply = {0};
    rig_begin(self);
    for (size_t i = 0; i < 2; i++) {
        start(self, &reply, "9007199254740991", 0);
        answer_list(self, i, i == 0 ? ASK : FILL, ids);
        expect_page(self, &reply, "", false);
    }
}

/* The rows of a page have the short form, and the cursor of one leads to the next. */
static void test_pages_follow_each_other(void **state)
{
    struct rig *self = *state;
    struct pygmy_reply reply = {0};
    have_list(self, "[1,2,3,4,5]");
    start(self, &reply, NULL, 2);
    answer_items(self, 2, 1, 2);
    rig_await(self, &reply);
    json_t *row = json_array_get(json_object_get(reply.body, "items"), 0);
    assert_int_equal(json_object_size(row), 5);
    assert_string_equal(json_string_value(json_object_get(row, "title")), "Title 1");
    assert_int_equal(json_integer_value(json_object_get(row, "price_cents")), 101);
    expect_page(self, &reply, "1 2 >2", false);
    start(self, &reply, "2", 2);
    answer_items(self, 4, 3, 4);
    expect_page(self, &reply, "3 4 >4", false);
    start(self, &reply, "4", 2);
    answer_items(self, 6, 5, 5);
    expect_page(self, &reply, "5 ", false);
    start(self, &reply, "3", 2);
    expect_page(self, &reply, "4 5 ", true);
}

/* An item that is no more is left out. */
static void test_what_is_no_more_is_left_out(void **state)
{
    struct rig *self = *state;
    struct pygmy_reply reply = {0};
    have_list(self, "[1,2]");
    start(self, &reply, NULL, 0);
    self->number = 4;
    rig_run_until(self, rig_has_reads);
    rig_answer(self, self->reads[2], ERR_NOT_FOUND, json_pack("{s{ss}}", "error", "type", "x"));
    rig_answer_item(self, self->reads[3], 2, 30);
    expect_page(self, &reply, "2 ", false);
    start(self, &reply, NULL, 0);
    expect_page(self, &reply, "2 ", true);
}

/* The list of the ids from 1 to @last, in @text. */
static const char *ids_to(int64_t last, char text[256])
{
    size_t used = 0;
    for (int64_t id = 1; id <= last; id++)
        used +=
            (size_t)snprintf(text + used, 256 - used, "%s%lld", id == 1 ? "[" : ",", (long long)id);
    snprintf(text + used, 256 - used, "]");
    return text;
}

/* What a page of these shows. */
static const char *page_to(int64_t last, char text[256])
{
    size_t used = 0;
    for (int64_t id = 1; id <= last; id++)
        used += (size_t)snprintf(text + used, 256 - used, "%lld ", (long long)id);
    return text;
}

/* So many items that are not in memory are asked for one by one. */
static void test_what_is_missing_of_a_page_is_asked_for(void **state)
{
    struct rig *self = *state;
    struct pygmy_reply reply = {0};
    char text[256];
    have_list(self, ids_to(CACHE_PAGE_FILLS_MAX, text));
    start(self, &reply, NULL, 0);
    answer_items(self, 2, 1, CACHE_PAGE_FILLS_MAX);
    expect_page(self, &reply, page_to(CACHE_PAGE_FILLS_MAX, text), false);
    assert_int_equal(self->read_count, 2 + CACHE_PAGE_FILLS_MAX);
}

static bool has_items(struct rig *self)
{
    return rig_counts(self).entries == 1 + CACHE_PAGE_FILLS_MAX;
}

/* With more of them it is the store's own page, in one request, and so many are there for the next
 * time, though nobody waits for them. */
static void test_a_page_with_much_missing_is_a_search(void **state)
{
    enum { LAST = CACHE_PAGE_FILLS_MAX + 8 };
    struct rig *self = *state;
    struct pygmy_reply reply = {0};
    char text[256];
    const size_t search = 2 + CACHE_PAGE_FILLS_MAX;
    have_list(self, ids_to(LAST, text));
    start(self, &reply, NULL, 0);
    rig_answer(self, rig_expect(self, search, "catalog", SEARCH), OK,
               json_pack("{s[] sn}", "items", "next"));
    expect_page(self, &reply, "", false);
    answer_items(self, 2, 1, CACHE_PAGE_FILLS_MAX);
    rig_run_until(self, has_items);
    start(self, &reply, NULL, 0);
    answer_items(self, search + 1, CACHE_PAGE_FILLS_MAX + 1, LAST);
    expect_page(self, &reply, page_to(LAST, text), false);
    start(self, &reply, NULL, 0);
    expect_page(self, &reply, page_to(LAST, text), true);
    assert_int_equal(self->read_count, search + 1 + 8);
}

/* What one page asks for another one need not. */
static void test_two_pages_with_much_missing_ask_for_it_once(void **state)
{
    struct rig *self = *state;
    struct pygmy_reply replies[2] = {0};
    char text[256];
    const size_t search = 2 + CACHE_PAGE_FILLS_MAX;
    have_list(self, ids_to(CACHE_PAGE_FILLS_MAX + 1, text));
    start(self, &replies[0], NULL, 0);
    start(self, &replies[1], NULL, 0);
    self->number = search + 2;
    rig_run_until(self, rig_has_reads);
    assert_int_equal(self->read_count, search + 2);
    for (size_t i = 0; i < 2; i++) {
        assert_string_equal(self->reads[search + i]->body, SEARCH);
        rig_answer(self, self->reads[search + i], OK, json_pack("{s[] sn}", "items", "next"));
        expect_page(self, &replies[i], "", false);
    }
    assert_int_equal(rig_counts(self).fills, CACHE_PAGE_FILLS_MAX);
}

/* While one of its items is being changed the page is the store's own, in one request. */
static void test_with_a_pending_item_it_is_a_search(void **state)
{
    struct rig *self = *state;
    struct pygmy_reply reply = {0};
    have_list(self, "[1,2,3]");
    rig_tell(self, "invalidate", "item:2");
    rig_run_until(self, rig_is_acked);
    start(self, &reply, NULL, 0);
    self->number = 4;
    rig_run_until(self, rig_has_reads);
    assert_string_equal(self->reads[2]->body, "{\"op\":\"lookup\",\"id\":1,\"applied\":40}");
    assert_string_equal(self->reads[3]->body, SEARCH);
    rig_answer_item(self, self->reads[2], 1, 30);
    rig_answer(self, self->reads[3], OK, json_pack("{s[] sn}", "items", "next"));
    expect_page(self, &reply, "", false);
}

/* So it is while its list is. */
static void test_with_a_pending_list_it_is_a_search(void **state)
{
    struct rig *self = *state;
    struct pygmy_reply reply = {0};
    have_list(self, "[1]");
    rig_tell(self, "invalidate", "topic:classics");
    rig_run_until(self, rig_is_acked);
    start(self, &reply, NULL, 0);
    rig_answer(self, rig_expect(self, 2, "catalog", SEARCH), OK,
               json_pack("{s[] sn}", "items", "next"));
    expect_page(self, &reply, "", false);
}

/* A list that is too long to be told is asked for once. */
static void test_of_a_huge_topic_it_is_a_search(void **state)
{
    struct rig *self = *state;
    struct pygmy_reply reply = {0};
    rig_begin(self);
    start(self, &reply, NULL, 0);
    rig_answer(self, rig_expect(self, 0, "catalog.leader", ASK), ERR_TOO_LARGE,
               json_pack("{s{}}", "error"));
    for (size_t i = 1; i < 3; i++) {
        rig_answer(self, rig_expect(self, i, "catalog", SEARCH), OK,
                   json_pack("{s[] sn}", "items", "next"));
        expect_page(self, &reply, "", false);
        if (i == 1)
            start(self, &reply, NULL, 0);
    }
}

/* Nor is one that has become so since its key was told. */
static void test_of_a_topic_that_grew_huge_it_is_a_search(void **state)
{
    struct rig *self = *state;
    struct pygmy_reply reply = {0};
    have_list(self, "[1]");
    pygmy_cache_drop(self->store, 0);
    start(self, &reply, NULL, 0);
    rig_answer(self, rig_expect(self, 2, "catalog.leader", FILL), ERR_TOO_LARGE,
               json_pack("{s{}}", "error"));
    for (size_t i = 3; i < 5; i++) {
        rig_answer(self, rig_expect(self, i, "catalog", SEARCH), OK,
                   json_pack("{s[] sn}", "items", "next"));
        expect_page(self, &reply, "", false);
        if (i == 3)
            start(self, &reply, NULL, 0);
    }
}

/* A page holds as many bytes as one of the store, and what it does not show of an item counts. */
static void test_a_page_ends_where_one_of_the_store_does(void **state)
{
    struct rig *self = *state;
    struct pygmy_reply reply = {0};
    char *isbn = alloc_zero(PAGE_BYTES_MAX / 2);
    memset(isbn, '1', PAGE_BYTES_MAX / 2 - 1 - 256);
    have_list(self, "[1,2]");
    start(self, &reply, NULL, 0);
    self->number = 4;
    rig_run_until(self, rig_has_reads);
    for (size_t i = 0; i < 2; i++) {
        json_t *item = rig_item((int64_t)i + 1, 30);
        if (i == 1)
            json_object_set_new(item, "isbn", json_string(isbn));
        rig_answer(self, self->reads[2 + i], OK, json_pack("{so}", "item", item));
    }
    expect_page(self, &reply, "1 >1", false);
    free(isbn);
}

static bool has_term(struct rig *self)
{
    return rig_counts(self).term == self->term && rig_has_lease(self);
}

/* Another leader may fold case otherwise: it is asked for the key again. And a list that says to be
 * that of another key is not kept. */
static void test_spellings_are_forgotten_with_the_term(void **state)
{
    struct rig *self = *state;
    struct pygmy_reply reply = {0};
    have_list(self, "[]");
    self->term = 4;
    self->seq = 0;
    rig_run_until(self, has_term);
    start(self, &reply, NULL, 0);
    rig_answer(self, rig_expect(self, 2, "catalog.leader", ASK), OK,
               json_pack("{ss s[]}", "key", "topic:CLASSICS", "ids"));
    expect_page(self, &reply, "", false);
    start(self, &reply, NULL, 0);
    answer_list(self, 3, FILL, "[1]");
    rig_answer(self, rig_expect(self, 4, "catalog", SEARCH), OK,
               json_pack("{s[] sn}", "items", "next"));
    expect_page(self, &reply, "", false);
    assert_int_equal(rig_counts(self).entries, 0);
}

/* What joined a page's fills asks anew when those end with the page. */
static void test_a_page_ends_at_its_deadline(void **state)
{
    struct rig *self = *state;
    struct pygmy_reply page = {0}, lookup = {0};
    have_list(self, "[1,2]");
    pygmy_start(self->store, &(struct pygmy_call){.service = "catalog",
                                                  .request = json_pack("{ss ss}", "op", "search",
                                                                       "topic", "Classics"),
                                                  .timeout_ms = 50,
                                                  .done = pygmy_keep,
                                                  .arg = &page});
    pygmy_lookup(self->store, 2, pygmy_keep, &lookup);
    rig_await(self, &page);
    assert_int_equal(page.code, ERR_TIMEOUT);
    self->number = 5;
    rig_run_until(self, rig_has_reads);
    rig_answer_item(self, self->reads[4], 2, 30);
    rig_await(self, &lookup);
    assert_int_equal(rig_version(&lookup), 30);
    pygmy_reply_close(&page);
    pygmy_reply_close(&lookup);
}

/* What the store would refuse is for it to refuse. */
static void test_what_is_not_valid_goes_to_the_store(void **state)
{
    struct rig *self = *state;
    static const char *const texts[] = {
        "{\"op\":\"search\",\"topic\":\"x\",\"limit\":0}",
        "{\"op\":\"search\",\"topic\":\"x\",\"limit\":501}",
        "{\"op\":\"search\",\"topic\":\"x\",\"limit\":\"5\"}",
        "{\"op\":\"search\",\"topic\":\"x\",\"cursor\":\"x\"}",
        "{\"op\":\"search\",\"topic\":\"x\",\"cursor\":5}",
        "{\"op\":\"search\",\"topic\":\"x\",\"cursor\":\"99999999999999999999\"}",
        "{\"op\":\"search\",\"topic\":\"x\",\"cursor\":\"00000000000000000001\"}",
        "{\"op\":\"search\",\"topic\":\"x\",\"query\":\"y\"}",
        "{\"op\":\"search\",\"topic\":\"\"}",
        "{\"op\":\"search\",\"topic\":\"x\\u0000\"}",
        "{\"op\":\"search\"}"};
    rig_begin(self);
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct pygmy_reply reply = {0};
        pygmy_start(self->store,
                    &(struct pygmy_call){.service = "catalog",
                                         .request = json_loads(texts[i], JSON_ALLOW_NUL, NULL),
                                         .done = pygmy_keep,
                                         .arg = &reply});
        rig_answer(self, rig_expect(self, i, "catalog", texts[i]), ERR_INVALID,
                   json_pack("{s{}}", "error"));
        rig_await(self, &reply);
        assert_int_equal(reply.code, ERR_INVALID);
        pygmy_reply_close(&reply);
    }
}

/* As many spellings as are kept are known; one more, and it begins anew. */
static void test_spellings_are_bounded(void **state)
{
    struct cached_spellings *self = cached_spellings_new(77);
    char text[32];
    (void)state;
    for (int i = 0; i < CACHE_SPELLINGS_MAX; i++) {
        snprintf(text, sizeof text, "%d", i);
        cached_spellings_learn(self, 1, text, text);
    }
    assert_string_equal(cached_spellings_find(self, 1, "0"), "0");
    assert_null(cached_spellings_find(self, 2, "0"));
    cached_spellings_learn(self, 1, "more", "key");
    assert_null(cached_spellings_find(self, 1, "0"));
    assert_string_equal(cached_spellings_find(self, 1, "more"), "key");
    cached_spellings_learn(self, 1, "more", CACHED_NO_KEY);
    assert_string_equal(cached_spellings_find(self, 1, "more"), "");
    cached_spellings_destroy(&self);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, rig_set_up, rig_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_a_page_comes_out_of_memory_in_the_end),
        TEST(test_pages_follow_each_other),
        TEST(test_what_is_no_more_is_left_out),
        TEST(test_what_is_missing_of_a_page_is_asked_for),
        TEST(test_a_page_with_much_missing_is_a_search),
        TEST(test_two_pages_with_much_missing_ask_for_it_once),
        TEST(test_with_a_pending_item_it_is_a_search),
        TEST(test_with_a_pending_list_it_is_a_search),
        TEST(test_of_a_huge_topic_it_is_a_search),
        TEST(test_of_a_topic_that_grew_huge_it_is_a_search),
        TEST(test_a_page_ends_where_one_of_the_store_does),
        TEST(test_spellings_are_forgotten_with_the_term),
        TEST(test_a_page_ends_at_its_deadline),
        TEST(test_what_is_not_valid_goes_to_the_store),
        cmocka_unit_test(test_spellings_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
