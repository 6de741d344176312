/* Lookup by title, search, topics, pages of items.
 *
 * SPDX-License-Identifier: Apache-2.0 */
/* link: catalog */
#include "tests/unit/catalog_driver.h"

static void add_book(struct driver *driver, int id, const char *title, const char *authors,
                     const char *topic)
{
    expect(driver_write(driver,
                        "{'op':'item_add','key':'book-%d','stamp':0,'id':%d,'title':'%s','authors':"
                        "'%s','topic':'%s','price_cents':100,'stock':1}",
                        id, id, title, authors, topic),
           OK);
}

static int set_up(void **state)
{
    struct driver *driver = driver_new();
    add_book(driver, 1, "Harry Potter and the Sorcerer\\u0027s Stone", "J.K. Rowling", "fantasy");
    add_book(driver, 2, "The Hobbit", "J.R.R. Tolkien", "Fantasy");
    add_book(driver, 3, "Germinal", "\xc3\x89mile Zola", "classics");
    add_book(driver, 4, "War & Peace", "Leo Tolstoy; Louise Maude", "classics");
    add_book(driver, 5, "Fantasy Fonts", "Harry Peace", "design");
    add_book(driver, 6, "\xc3\x89milie Jolie", "P. Ch\xc3\xa2tel", "");
    add_book(driver, 7, "The HOBBIT", "Somebody Else", "science fantasy");
    *state = driver;
    return 0;
}

static int tear_down(void **state)
{
    driver_destroy(*state);
    return 0;
}

/* The ids that a search with these members finds must be these, in this order. */
static void expect_found(struct driver *driver, const char *members, const char *ids)
{
    char found[256] = "";
    size_t i;
    json_t *item;
    struct outcome *outcome = driver_read(driver, "{'op':'search'%s}", members);
    json_array_foreach(json_object_get(outcome->body, "items"), i, item)
    {
        size_t size = strlen(found);
        (void)snprintf(found + size, sizeof found - size, "%s%lld", i > 0 ? " " : "",
                       (long long)json_integer_value(json_object_get(item, "id")));
    }
    expect(outcome, OK);
    if (strcmp(found, ids) != 0)
        fail_msg("%s finds \"%s\" instead of \"%s\"", members, found, ids);
}

/* Without members, a search finds everything. */
static void test_a_search_for_nothing_finds_everything(void **state)
{
    expect_found(*state, "", "1 2 3 4 5 6 7");
    expect_found(*state, ",'query':'','author':'  ','topic':''", "1 2 3 4 5 6 7");
}

/* A row of a search has five members. */
static void test_a_found_item_is_short(void **state)
{
    char *text = take_text(driver_read(*state, "{'op':'search','query':'hobbit','limit':1}"));
    assert_string_equal(text,
                        "{\"items\":[{\"authors\":\"J.R.R. Tolkien\",\"id\":2,\"price_cents\":"
                        "100,\"title\":\"The Hobbit\",\"topic\":\"Fantasy\"}],\"next\":\"2\"}");
    free(text);
}

/* All words must occur, in title, authors or topic; the last may be the beginning of a word. */
static void test_all_words_must_occur_and_the_last_may_begin_one(void **state)
{
    expect_found(*state, ",'query':'harry potter'", "1");
    expect_found(*state, ",'query':'harry'", "1 5");
    expect_found(*state, ",'query':'POTTER fantasy'", "1");
    expect_found(*state, ",'query':'har'", "1 5");
    expect_found(*state, ",'query':'har potter'", "");
    expect_found(*state, ",'query':'har '", "");
    expect_found(*state, ",'query':'sorcerer\\u0027s'", "1");
    expect_found(*state, ",'query':'hobbit potter'", "");
}

/* Case and accents are ignored among words. */
static void test_words_ignore_accents(void **state)
{
    expect_found(*state, ",'query':'emile'", "3");
    expect_found(*state, ",'query':'\xc3\x89MIL'", "3 6");
    expect_found(*state, ",'author':'chatel'", "6");
}

/* An author's words are whole words among the authors. */
static void test_an_author_is_sought_among_the_authors(void **state)
{
    expect_found(*state, ",'author':'peace'", "5");
    expect_found(*state, ",'author':'peac'", "");
    expect_found(*state, ",'author':'tolstoy leo'", "4");
    expect_found(*state, ",'author':'maude','query':'war'", "4");
}

/* A topic is the whole topic, case ignored, alone and together with words. */
static void test_a_topic_is_the_whole_topic(void **state)
{
    expect_found(*state, ",'topic':'fantasy'", "1 2");
    expect_found(*state, ",'topic':'FANTASY','query':'hobbit'", "2");
    expect_found(*state, ",'topic':'science fantasy'", "7");
    expect_found(*state, ",'topic':'science fantasy','query':'hob'", "7");
    expect_found(*state, ",'topic':'science','query':'hob'", "");
    expect_found(*state, ",'topic':'no such'", "");
}

/* Nothing that a user can type is an operator or an error. */
static void test_a_query_has_no_syntax(void **state)
{
    static const char *const queries[] = {
        "hobbit OR potter",
        "hobbit NOT potter",
        "NEAR(harry potter)",
        "title : hobbit",
        "{title} : hobbit",
        "hobbit*x",
        "^zzz",
        "\\\"",
        "\\\"hobbit\\\" zz",
        "a AND b",
        "(",
        ")",
        "-zzz",
        "+zzz",
        "zzz\\\\",
        "hobbit zz;DROP TABLE item",
    };
    for (size_t i = 0; i < sizeof queries / sizeof queries[0]; i++) {
        char members[128];
        (void)snprintf(members, sizeof members, ",'query':'%s'", queries[i]);
        expect_found(*state, members, "");
        (void)snprintf(members, sizeof members, ",'author':'%s','topic':'fantasy'", queries[i]);
        expect_found(*state, members, "");
    }
    expect_found(*state, ",'query':'war & peace'", "4");
    expect_found(*state, ",'query':'\\\"war\\\" peace'", "4");
    expect_found(*state, ",'query':'&'", "");
    expect_found(*state, ",'query':'&','topic':'fantasy'", "");
    expect_found(*state, ",'query':'^hobbit'", "2 7");
}

/* Edits and removals change what is found. */
static void test_the_index_follows_the_items(void **state)
{
    struct driver *driver = *state;
    expect(driver_write(driver, "{'op':'item_edit','key':'a','stamp':0,'id':2,'title':'A Ring'}"),
           OK);
    expect(driver_write(driver, "{'op':'item_edit','key':'b','stamp':0,'id':7,'topic':'rings'}"),
           OK);
    expect(driver_write(driver, "{'op':'item_remove','key':'c','stamp':0,'id':1}"), OK);
    expect_found(driver, ",'query':'hobbit'", "7");
    expect_found(driver, ",'query':'ring'", "2 7");
    expect_found(driver, ",'query':'potter'", "");
    expect_found(driver, ",'topic':'fantasy'", "2");
    add_item(driver, 1, 1);
    expect_found(driver, ",'query':'potter'", "");
    expect_found(driver, ",'query':'item'", "1");
}

/* A whole title is found whatever its case, in any script; of several the lowest id. */
static void test_a_title_is_looked_up_exactly_but_for_case(void **state)
{
    struct driver *driver = *state;
    assert_int_equal(
        take_number(driver_read(driver, "{'op':'lookup','title':'the hobbit'}"), "item.id"), 2);
    assert_int_equal(
        take_number(driver_read(driver, "{'op':'lookup','title':'\xc3\xa9MILIE JOLIE'}"),
                    "item.id"),
        6);
    expect(driver_read(driver, "{'op':'lookup','title':'Emilie Jolie'}"), ERR_NOT_FOUND);
    expect(driver_read(driver, "{'op':'lookup','title':'hobbit'}"), ERR_NOT_FOUND);
    expect(driver_write(driver, "{'op':'item_remove','key':'c','stamp':0,'id':2}"), OK);
    assert_int_equal(
        take_number(driver_read(driver, "{'op':'lookup','title':'the hobbit'}"), "item.id"), 7);
}

/* Topics are counted, spellings that differ in case together; an item without one in none. */
static void test_topics_are_counted(void **state)
{
    struct driver *driver = *state;
    char *text = take_text(driver_read(driver, "{'op':'topics'}"));
    assert_string_equal(text,
                        "{\"topics\":[{\"items\":2,\"topic\":\"classics\"},{\"items\":1,"
                        "\"topic\":\"design\"},{\"items\":2,\"topic\":\"Fantasy\"},{\"items\":"
                        "1,\"topic\":\"science fantasy\"}]}");
    free(text);
    expect(driver_write(driver, "{'op':'item_remove','key':'c','stamp':0,'id':2}"), OK);
    expect(driver_write(driver, "{'op':'item_edit','key':'d','stamp':0,'id':5,'topic':''}"), OK);
    text = take_text(driver_read(driver, "{'op':'topics'}"));
    assert_string_equal(text,
                        "{\"topics\":[{\"items\":2,\"topic\":\"classics\"},{\"items\":1,"
                        "\"topic\":\"fantasy\"},{\"items\":1,\"topic\":\"science fantasy\"}]}");
    free(text);
}

/* A read of @request answers exactly this. */
static void expect_answer(struct driver *driver, const char *request, const char *expected)
{
    struct outcome *outcome = driver_read(driver, "%s", request);
    assert_int_equal(outcome->code, OK);
    char *text = take_text(outcome);
    assert_string_equal(text, expected);
    free(text);
}

/* The ids of a topic, rising, and its key, whatever its spelling; none for one that nothing has. */
static void test_a_topic_has_ids_and_a_key(void **state)
{
    struct driver *driver = *state;
    expect_answer(driver, "{'op':'topic','topic':'FANTASY'}",
                  "{\"ids\":[1,2],\"key\":\"topic:fantasy\"}");
    expect_answer(driver, "{'op':'topic','topic':'Fantasy','applied':3}",
                  "{\"ids\":[1,2],\"key\":\"topic:fantasy\"}");
    expect_answer(driver, "{'op':'topic','topic':'\u00c9'}",
                  "{\"ids\":[],\"key\":\"topic:\xc3\xa9\"}");
    expect(driver_write(driver, "{'op':'item_remove','key':'t','stamp':0,'id':1}"), OK);
    add_book(driver, 90, "T", "A", "fanTASY");
    expect_answer(driver, "{'op':'topic','topic':'fantasy'}",
                  "{\"ids\":[2,90],\"key\":\"topic:fantasy\"}");
    expect(driver_read(driver, "{'op':'topic','topic':''}"), ERR_INVALID);
    expect(driver_read(driver, "{'op':'topic'}"), ERR_INVALID);
    expect(driver_read(driver, "{'op':'topic','topic':'t','limit':1}"), ERR_INVALID);
}

/* An item that is looked up by its id may be as of an index; one that is sought may not. */
static void test_an_index_goes_with_an_id_alone(void **state)
{
    struct driver *driver = *state;
    expect(driver_read(driver, "{'op':'lookup','id':1,'applied':1}"), OK);
    expect(driver_read(driver, "{'op':'lookup','id':77,'applied':1}"), ERR_NOT_FOUND);
    expect_detail(driver_read(driver, "{'op':'lookup','title':'The Hobbit','applied':1}"),
                  ERR_INVALID, "applied goes with id alone");
    expect(driver_read(driver, "{'op':'search','applied':1}"), ERR_INVALID);
}

static void import_topic(struct driver *driver, int from, int count)
{
    json_t *rows = json_array();
    for (int i = from; i < from + count; i++)
        json_array_append_new(rows, json_pack("{s:i,s:s,s:s,s:i}", "id", i, "title", "T", "topic",
                                              "large", "price_cents", 1));
    char *key = sqlite3_mprintf("large-%d", from);
    expect(driver_submit(driver, json_pack("{s:s,s:s,s:i,s:o}", "op", "import", "key", key, "stamp",
                                           0, "rows", rows)),
           OK);
    sqlite3_free(key);
}

/* A topic is told whole or not at all. */
static void test_the_ids_of_a_topic_are_bounded(void **state)
{
    struct driver *driver = *state;
    for (int i = 0; i < TOPIC_IDS_MAX; i += IMPORT_ROWS_MAX)
        import_topic(driver, 1000 + i, IMPORT_ROWS_MAX);
    struct outcome *outcome = driver_read(driver, "{'op':'topic','topic':'Large'}");
    assert_int_equal(json_array_size(json_object_get(outcome->body, "ids")), TOPIC_IDS_MAX);
    assert_int_equal(number_at(outcome, "ids.9999"), 1000 + TOPIC_IDS_MAX - 1);
    expect(outcome, OK);
    import_topic(driver, 900, 1);
    expect(driver_read(driver, "{'op':'topic','topic':'Large'}"), ERR_TOO_LARGE);
    expect(driver_write(driver, "{'op':'item_remove','key':'l','stamp':0,'id':1500}"), OK);
    assert_int_equal(take_number(driver_read(driver, "{'op':'topic','topic':'Large'}"), "ids.0"),
                     900);
}

/* Going from page to page sees each item that was there all the time exactly once, whatever comes
 * and goes meanwhile. */
static void test_pages_go_on_where_they_ended(void **state)
{
    static const char *const operations[] = {"'op':'items'", "'op':'search'",
                                             "'op':'search','query':'e'"};
    struct driver *driver = *state;
    for (int i = 100; i < 160; i++)
        add_book(driver, i, "Even or odd", "E", "t");
    for (size_t o = 0; o < sizeof operations / sizeof operations[0]; o++) {
        int seen[200] = {0};
        char cursor[64] = "";
        bool more = true;
        for (int page = 0; more; page++) {
            struct outcome *outcome =
                driver_read(driver, "{%s,'limit':7%s}", operations[o], cursor);
            size_t i;
            json_t *item, *next = json_object_get(outcome->body, "next");
            json_array_foreach(json_object_get(outcome->body, "items"), i, item)
                seen[json_integer_value(json_object_get(item, "id"))]++;
            more = json_is_string(next);
            (void)snprintf(cursor, sizeof cursor, ",'cursor':'%s'", json_string_value(next));
            expect(outcome, OK);
            if (page == 2) {
                int added = 170 + (int)o;
                add_book(driver, added, "Late", "E", "t");
                expect(driver_write(driver, "{'op':'item_remove','key':'r%d','stamp':0,'id':%d}",
                                    (int)o, 101 + (int)o),
                       OK);
            }
        }
        for (int i = 110; i < 160; i++)
            assert_int_equal(seen[i], 1);
        assert_int_equal(seen[170 + o], 1);
    }
    expect(driver_read(driver, "{'op':'items','cursor':'x'}"), ERR_INVALID);
    expect(driver_read(driver, "{'op':'items','cursor':'9999999999999999999'}"), ERR_INVALID);
    expect(driver_read(driver, "{'op':'items','limit':501}"), ERR_INVALID);
    expect(driver_read(driver, "{'op':'items','limit':0}"), ERR_INVALID);
}

/* A page of the longest texts ends early instead of growing too large for the bus. */
static void test_a_page_is_bounded_by_bytes(void **state)
{
    struct driver *driver = *state;
    char authors[AUTHORS_BYTES_MAX + 1];
    memset(authors, 'x', AUTHORS_BYTES_MAX);
    authors[AUTHORS_BYTES_MAX] = '\0';
    for (int i = 1000; i < 1300; i++)
        add_book(driver, i, "Long", authors, "");
    struct outcome *outcome = driver_read(driver, "{'op':'items','limit':500}");
    char *text = json_dumps(outcome->body, 0);
    assert_true(strlen(text) < BODY_BYTES_MAX * 3 / 4);
    assert_true(json_is_string(json_object_get(outcome->body, "next")));
    free(text);
    outcome_destroy(&outcome);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_search_for_nothing_finds_everything),
        TEST(test_a_found_item_is_short),
        TEST(test_all_words_must_occur_and_the_last_may_begin_one),
        TEST(test_words_ignore_accents),
        TEST(test_an_author_is_sought_among_the_authors),
        TEST(test_a_topic_is_the_whole_topic),
        TEST(test_a_query_has_no_syntax),
        TEST(test_the_index_follows_the_items),
        TEST(test_a_title_is_looked_up_exactly_but_for_case),
        TEST(test_topics_are_counted),
        TEST(test_a_topic_has_ids_and_a_key),
        TEST(test_an_index_goes_with_an_id_alone),
        TEST(test_the_ids_of_a_topic_are_bounded),
        TEST(test_pages_go_on_where_they_ended),
        TEST(test_a_page_is_bounded_by_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
