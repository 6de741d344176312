/* The keys of leased caches that a command changes, and that they are all: what lookup and topic
 * say under a key that is not among them stays as it was.
 *
 * SPDX-License-Identifier: Apache-2.0 */
/* link: catalog */
#include "tests/unit/catalog_driver.h"

#include "services/catalog/touched.h"

/* The keys of a write, joined by spaces; "all" stands for all of them. The caller's to free(). */
static char *__attribute__((format(printf, 2, 3)))
keys_of(struct driver *driver, const char *format, ...)
{
    struct bytes_writer joined = {0};
    struct command command;
    struct lease_keys keys;
    va_list arguments;
    va_start(arguments, format);
    json_t *request = driver_json(format, arguments);
    va_end(arguments);
    assert_null(request_read(request, &command));
    touched_keys(driver_state(driver), &command, &keys);
    assert_true(!keys.all || keys.count == 0);
    if (keys.all)
        bytes_put_raw(&joined, "all", 3);
    for (size_t i = 0; i < keys.count; i++) {
        if (i > 0)
            bytes_put_u8(&joined, ' ');
        bytes_put_raw(&joined, keys.keys[i], strlen(keys.keys[i]));
    }
    bytes_put_u8(&joined, 0);
    touched_close(&keys);
    command_close(&command);
    json_decref(request);
    return (char *)joined.data;
}

#define EXPECT_KEYS(driver, expected, ...)                                                         \
    do {                                                                                           \
        char *keys = keys_of(driver, __VA_ARGS__);                                                 \
        assert_string_equal(keys, expected);                                                       \
        free(keys);                                                                                \
    } while (0)

static void add_with_topic(struct driver *driver, int id, const char *topic)
{
    expect(driver_write(driver,
                        "{'op':'item_add','key':'a%d','stamp':0,'id':%d,'title':'T','topic':'%s',"
                        "'price_cents':1,'stock':9}",
                        id, id, topic),
           OK);
}

static struct driver *with_items(void)
{
    struct driver *driver = driver_new();
    add_with_topic(driver, 1, "Classics");
    add_with_topic(driver, 2, "classics");
    add_with_topic(driver, 3, "");
    return driver;
}

/* What concerns stock alone has the items' keys, whether they are there or not. */
static void test_stock_touches_items(void **state)
{
    struct driver *driver = with_items();
    (void)state;
    EXPECT_KEYS(driver, "item:1", "{'op':'stock','key':'k','stamp':0,'id':1,'change':1}");
    EXPECT_KEYS(driver, "item:9007199254740991",
                "{'op':'stock','key':'k','stamp':0,'id':9007199254740991,'change':1}");
    EXPECT_KEYS(driver, "item:1 item:2 item:77",
                "{'op':'reserve','key':'k','stamp':0,'lines':[{'id':77,'quantity':1},"
                "{'id':2,'quantity':1},{'id':1,'quantity':1},{'id':2,'quantity':1}]}");
    EXPECT_KEYS(driver, "item:3",
                "{'op':'undo','key':'k','stamp':0,'lines':[{'id':3,'quantity':1}]}");
    driver_destroy(driver);
}

static void expect_command_keys(struct driver *driver, const struct command *command, size_t count,
                                const char *last)
{
    struct lease_keys keys;
    touched_keys(driver_state(driver), command, &keys);
    assert_false(keys.all);
    assert_int_equal(keys.count, count);
    if (count > 0)
        assert_string_equal(keys.keys[count - 1], last);
    touched_close(&keys);
    assert_false(touched_needs_order(command));
}

/* What the leader submits by itself: rules touch their items, the rest touches nothing. */
static void test_the_leaders_own_commands(void **state)
{
    static const enum command_op quiet[] = {COMMAND_TICK, COMMAND_SESSION_OPEN,
                                            COMMAND_SESSION_CLOSE};
    int64_t ids[] = {2, 9};
    struct command command = {.op = COMMAND_RESTOCK, .count = 2, .ids = ids};
    struct driver *driver = with_items();
    (void)state;
    expect_command_keys(driver, &command, 2, "item:9");
    for (size_t i = 0; i < sizeof quiet / sizeof quiet[0]; i++) {
        command = (struct command){.op = quiet[i], .session = 1};
        expect_command_keys(driver, &command, 0, NULL);
    }
    EXPECT_KEYS(driver, "", "{'op':'settle','keys':['a','b']}");
    EXPECT_KEYS(driver, "", "{'op':'close','keys':['a']}");
    driver_destroy(driver);
}

/* Who comes to a topic, leaves it or changes it touches the topics, by their folds; who keeps it
 * does not. */
static void test_membership_touches_topics(void **state)
{
    struct driver *driver = with_items();
    (void)state;
    EXPECT_KEYS(driver, "item:4 topic:\xc3\xa9lan vital",
                "{'op':'item_add','key':'k','stamp':0,'id':4,'title':'T','topic':'\xc3\x89lan "
                "VITAL','price_cents':1}");
    EXPECT_KEYS(driver, "item:4",
                "{'op':'item_add','key':'k','stamp':0,'id':4,'title':'T','price_cents':1}");
    EXPECT_KEYS(driver, "item:1", "{'op':'item_edit','key':'k','stamp':0,'id':1,'title':'U'}");
    EXPECT_KEYS(driver, "item:1",
                "{'op':'item_edit','key':'k','stamp':0,'id':1,'topic':'Classics'}");
    EXPECT_KEYS(driver, "item:1 topic:classics topic:poetry",
                "{'op':'item_edit','key':'k','stamp':0,'id':1,'topic':'Poetry'}");
    EXPECT_KEYS(driver, "item:1 topic:classics",
                "{'op':'item_edit','key':'k','stamp':0,'id':1,'topic':'CLASSICS'}");
    EXPECT_KEYS(driver, "item:1 topic:classics",
                "{'op':'item_edit','key':'k','stamp':0,'id':1,'topic':''}");
    EXPECT_KEYS(driver, "item:3 topic:poetry",
                "{'op':'item_edit','key':'k','stamp':0,'id':3,'topic':'poetry'}");
    EXPECT_KEYS(driver, "item:2 topic:classics", "{'op':'item_remove','key':'k','stamp':0,'id':2}");
    EXPECT_KEYS(driver, "item:3", "{'op':'item_remove','key':'k','stamp':0,'id':3}");
    EXPECT_KEYS(driver, "item:7", "{'op':'item_remove','key':'k','stamp':0,'id':7}");
    driver_destroy(driver);
}

/* An item that was removed has left its topic already. */
static void test_a_removed_item_is_in_no_topic(void **state)
{
    struct driver *driver = with_items();
    (void)state;
    expect(driver_write(driver, "{'op':'item_remove','key':'r','stamp':0,'id':1}"), OK);
    EXPECT_KEYS(driver, "item:1", "{'op':'item_remove','key':'k','stamp':0,'id':1}");
    EXPECT_KEYS(driver, "item:1 topic:classics",
                "{'op':'item_add','key':'k','stamp':0,'id':1,'title':'T','topic':'classics',"
                "'price_cents':1}");
    driver_destroy(driver);
}

/* An import touches each of its items, and the topics whose members change, each once. */
static void test_an_import_touches_its_rows(void **state)
{
    struct driver *driver = with_items();
    (void)state;
    EXPECT_KEYS(driver, "item:1 item:2 item:3 item:8 item:9 topic:classics topic:new",
                "{'op':'import','key':'k','stamp':0,'default_price_cents':1,'rows':["
                "{'id':9,'title':'T','topic':'New'},{'id':1,'title':'T','topic':'new'},"
                "{'id':2,'title':'T','topic':'classics'},{'id':3,'title':'T'},"
                "{'id':8,'title':'T','topic':'NEW'}]}");
    driver_destroy(driver);
}

static void expect_import_keys(struct driver *driver, size_t count, bool topics, size_t expected)
{
    struct command_item *rows = alloc_zero(count * sizeof rows[0]);
    const struct command command = {.op = COMMAND_IMPORT, .count = count, .rows = rows};
    struct lease_keys keys;
    for (size_t i = 0; i < count; i++)
        rows[i] = (struct command_item){.id = 100 + (int64_t)i,
                                        .fields = topics ? COMMAND_TOPIC : 0,
                                        .topic = topics ? TEXT("one") : TEXT("")};
    touched_keys(driver_state(driver), &command, &keys);
    assert_int_equal(keys.all, expected == 0);
    assert_int_equal(keys.count, expected);
    assert_int_equal(keys.keys == NULL, expected == 0);
    touched_close(&keys);
    free(rows);
}

/* More than LEASE_KEYS_MAX keys are all keys; the same one is counted once. */
static void test_many_keys_are_all_keys(void **state)
{
    struct driver *driver = with_items();
    (void)state;
    expect_import_keys(driver, LEASE_KEYS_MAX, false, LEASE_KEYS_MAX);
    expect_import_keys(driver, LEASE_KEYS_MAX + 1, false, 0);
    expect_import_keys(driver, LEASE_KEYS_MAX - 1, true, LEASE_KEYS_MAX);
    expect_import_keys(driver, LEASE_KEYS_MAX, true, 0);
    expect_import_keys(driver, IMPORT_ROWS_MAX, true, 0);
    driver_destroy(driver);
}

static bool needs_order(const char *format, ...)
{
    struct command command;
    va_list arguments;
    va_start(arguments, format);
    json_t *request = driver_json(format, arguments);
    va_end(arguments);
    assert_null(request_read(request, &command));
    const bool needs = touched_needs_order(&command);
    command_close(&command);
    json_decref(request);
    return needs;
}

/* What changes topics is looked at one by one; what does not, is not. */
static void test_what_changes_topics_needs_order(void **state)
{
    (void)state;
    assert_true(needs_order("{'op':'item_add','key':'k','stamp':0,'id':1,'title':'T',"
                            "'price_cents':1}"));
    assert_true(needs_order("{'op':'item_edit','key':'k','stamp':0,'id':1,'topic':''}"));
    assert_true(needs_order("{'op':'item_remove','key':'k','stamp':0,'id':1}"));
    assert_true(needs_order("{'op':'import','key':'k','stamp':0,'rows':[{'id':1,'title':'T'}]}"));
    assert_false(needs_order("{'op':'item_edit','key':'k','stamp':0,'id':1,'title':'T'}"));
    assert_false(needs_order("{'op':'stock','key':'k','stamp':0,'id':1,'change':1}"));
    assert_false(needs_order("{'op':'settle','keys':['k']}"));
    assert_false(needs_order("{'op':'reserve','key':'k','stamp':0,'lines':[{'id':1,"
                             "'quantity':1}]}"));
}

/* ---- That they are all ----------------------------------------------------------------------- */

#define ITEMS  6
#define TOPICS 3
#define STEPS  2000

static const char *const topics[TOPICS] = {"One", "ONE two", "\xc3\x89"};
static const char *const other_spellings[TOPICS] = {"one", "one TWO", "\xc3\xa9"};

/* What a cache may hold, by key. */
struct view {
    char *items[ITEMS];
    char *topics[TOPICS];
};

static void view_take(struct driver *driver, struct view *view)
{
    for (int i = 0; i < ITEMS; i++)
        view->items[i] = take_text(driver_read(driver, "{'op':'lookup','id':%d}", i + 1));
    for (int i = 0; i < TOPICS; i++)
        view->topics[i] = take_text(driver_read(driver, "{'op':'topic','topic':'%s'}", topics[i]));
}

static void view_close(struct view *view)
{
    for (int i = 0; i < ITEMS; i++)
        free(view->items[i]);
    for (int i = 0; i < TOPICS; i++)
        free(view->topics[i]);
}

static int draw(uint64_t *random, int below)
{
    *random = *random * 6364136223846793005U + 1442695040888963407U;
    return (int)((*random >> 33) % (uint64_t)below);
}

static const char *draw_topic(uint64_t *random)
{
    const int topic = draw(random, TOPICS + 1);
    if (topic == TOPICS)
        return "";
    return draw(random, 2) == 0 ? topics[topic] : other_spellings[topic];
}

/* Of an item that an operator has to do with. */
static json_t *draw_upkeep(uint64_t *random, int id, const char *topic)
{
    switch (draw(random, 5)) {
    case 0:
        return json_pack("{s:s,s:i,s:s,s:s,s:i,s:i}", "op", "item_add", "id", id, "title", "T",
                         "topic", topic, "price_cents", 3, "stock", 4);
    case 1: return json_pack("{s:s,s:i,s:s}", "op", "item_edit", "id", id, "topic", topic);
    case 2:
        return json_pack("{s:s,s:i,s:i}", "op", "item_edit", "id", id, "price_cents",
                         draw(random, 9));
    case 3:
        return json_pack("{s:s,s:i,s:{s:i,s:i,s:i}}", "op", "item_edit", "id", id, "restock",
                         "threshold", 9, "amount", 2, "period_ms", 1000);
    default: return json_pack("{s:s,s:i}", "op", "item_remove", "id", id);
    }
}

/* Of its stock; an undo is that of a sale which was forgotten. */
static json_t *draw_stock(uint64_t *random, int id)
{
    switch (draw(random, 3)) {
    case 0:
        return json_pack("{s:s,s:i,s:i}", "op", "stock", "id", id, "change", 1 + draw(random, 3));
    case 1:
        return json_pack("{s:s,s:[{s:i,s:i}]}", "op", "reserve", "lines", "id", id, "quantity", 1);
    default:
        return json_pack("{s:s,s:[{s:i,s:i}]}", "op", "undo", "lines", "id", id, "quantity", 1);
    }
}

static json_t *draw_import(uint64_t *random, int id, const char *topic)
{
    const int other = 1 + draw(random, ITEMS);
    if (draw(random, 2) == 0)
        return json_pack("{s:s,s:[{s:i,s:s,s:s}],s:i,s:i}", "op", "import", "rows", "id", id,
                         "title", "U", "topic", topic, "default_price_cents", 1, "default_stock",
                         2);
    return json_pack("{s:s,s:[{s:i,s:s},{s:i,s:s,s:s,s:i}],s:i}", "op", "import", "rows", "id", id,
                     "title", "V", "id", other, "title", "W", "topic", topic, "price_cents", 1,
                     "default_price_cents", 1);
}

/* What the orders' group says of sales: it has neither key nor stamp. */
static json_t *draw_end(const struct driver *driver, uint64_t *random)
{
    const char *op = draw(random, 2) == 0 ? "settle" : "close";
    return json_pack("{s:s,s:[o]}", "op", op, "keys",
                     json_sprintf("k%d", draw(random, (int)driver->index + 1)));
}

/* Any write, good or not. */
static json_t *draw_write(const struct driver *driver, uint64_t *random)
{
    const int id = 1 + draw(random, ITEMS), kind = draw(random, 11);
    const char *topic = draw_topic(random);
    if (kind == 0)
        return draw_end(driver, random);
    json_t *write = kind < 6   ? draw_upkeep(random, id, topic)
                    : kind < 9 ? draw_stock(random, id)
                               : draw_import(random, id, topic);
    json_object_set_new(write, "key", json_sprintf("k%lld", (long long)driver->index));
    json_object_set_new(write, "stamp", json_integer(driver->now_ms));
    return write;
}

/* Any entry that the leader submits by itself. */
static void draw_own(uint64_t *random, struct command *command)
{
    static const enum command_op ops[] = {COMMAND_RESTOCK, COMMAND_TICK, COMMAND_SESSION_OPEN,
                                          COMMAND_SESSION_CLOSE};

    *command = (struct command){.op = ops[draw(random, 4)], .session = 1};
    if (command->op != COMMAND_RESTOCK)
        return;
    command->count = 2;
    command->ids = alloc_zero(command->count * sizeof command->ids[0]);
    command->ids[0] = 1 + draw(random, ITEMS - 1);
    command->ids[1] = ITEMS;
}

/* The next entry, if it is one: an import that names an item twice is none. @write is what texts
 * point into. */
static bool draw_entry(struct driver *driver, uint64_t *random, struct command *command,
                       json_t **write)
{
    *write = NULL;
    driver->now_ms += draw(random, 100) == 0 ? RECORD_MEMORY_MS : draw(random, 1000);
    if (draw(random, 6) == 0) {
        draw_own(random, command);
        return true;
    }
    *write = draw_write(driver, random);
    struct outcome *refusal = request_read(*write, command);
    if (refusal != NULL)
        expect(refusal, ERR_INVALID);
    return refusal == NULL;
}

static bool keys_have(const struct lease_keys *keys, const char *key)
{
    for (size_t i = 0; i < keys->count; i++)
        if (strcmp(keys->keys[i], key) == 0)
            return true;
    return keys->all;
}

/* Whatever is different now has its key among them. Returns how many are different. */
static int expect_covered(struct driver *driver, const struct lease_keys *keys,
                          const struct view *before, const struct view *after)
{
    int different = 0;
    for (int i = 0; i < ITEMS; i++) {
        char key[32];
        (void)snprintf(key, sizeof key, "item:%d", i + 1);
        const bool same = strcmp(before->items[i], after->items[i]) == 0;
        assert_true(same || keys_have(keys, key));
        different += !same;
    }
    for (int i = 0; i < TOPICS; i++) {
        char *key = touched_topic_key(driver_state(driver), text_of(topics[i]));
        const bool same = strcmp(before->topics[i], after->topics[i]) == 0;
        assert_true(same || keys_have(keys, key));
        different += !same;
        free(key);
    }
    return different;
}

/* Random entries, by any spelling, also such as nobody asked for: whatever is answered otherwise
 * afterwards has its key among those that were found before. */
static void test_what_changes_is_among_the_keys(void **state)
{
    struct driver *driver = driver_new();
    uint64_t random = 1;
    int different[COMMAND_OPS] = {0};
    (void)state;
    for (int step = 0; step < STEPS; step++) {
        struct view before, after;
        struct command command;
        struct lease_keys keys;
        json_t *write;
        if (!draw_entry(driver, &random, &command, &write)) {
            json_decref(write);
            continue;
        }
        view_take(driver, &before);
        touched_keys(driver_state(driver), &command, &keys);
        struct outcome *outcome = driver_apply(driver, &command);
        outcome_destroy(&outcome);
        view_take(driver, &after);
        different[command.op] += expect_covered(driver, &keys, &before, &after);
        touched_close(&keys);
        command_close(&command);
        json_decref(write);
        view_close(&before);
        view_close(&after);
    }
    /* It has proved something. */
    for (enum command_op op = COMMAND_ITEM_ADD; op < COMMAND_OPS; op++)
        assert_int_equal(different[op] > STEPS / 200, op <= COMMAND_UNDO || op == COMMAND_RESTOCK);
    driver_destroy(driver);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stock_touches_items),
        cmocka_unit_test(test_the_leaders_own_commands),
        cmocka_unit_test(test_membership_touches_topics),
        cmocka_unit_test(test_a_removed_item_is_in_no_topic),
        cmocka_unit_test(test_an_import_touches_its_rows),
        cmocka_unit_test(test_many_keys_are_all_keys),
        cmocka_unit_test(test_what_changes_topics_needs_order),
        cmocka_unit_test(test_what_changes_is_among_the_keys),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
