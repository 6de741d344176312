/* Random histories against a simple model: every key takes effect once at most, every answer is the
 * first one, and the law of conservation holds after each entry.
 *
 * The orders' side is played by the rules: an undo follows a grant that was seen, a close follows
 * an undo that was answered, and everything may come again, late. Messages keep the stamp that they
 * were born with. PYGMY_SEED runs one seed alone.
 *
 * SPDX-License-Identifier: Apache-2.0 */
/* link: catalog */
#include "tests/unit/catalog_driver.h"

#include "services/catalog/sessions.h"

#define ITEMS 5
#define KEYS  120
#define STEPS 1500
#define SEEDS 20
/* Some more than are open at a time. */
#define SESSIONS STEPS

enum model_state { MODEL_NEW, MODEL_GRANTED, MODEL_DENIED, MODEL_UNDONE };

/* What the test knows of one key. */
struct model_key {
    enum model_state state;
    int64_t stamp;        /* of the reserve */
    int64_t cancel_stamp; /* of the undo */
    int64_t made_ms;      /* when it was first applied */
    bool cancelled;       /* an undo was answered: a close may come */
    bool closed;
    int quantity[ITEMS]; /* for each item; 0: not wanted */
    char *answer;        /* the first one, as text */
};

struct model {
    struct driver *driver;
    uint64_t random;
    int64_t stock[ITEMS];
    int64_t sold[ITEMS];
    struct model_key keys[KEYS];
    int fresh;                   /* keys used so far */
    uint64_t sessions[SESSIONS]; /* rising; those that are open */
    size_t session_count;
};

/* Knuth's MMIX generator; its upper bits are good enough. */
static int draw(struct model *model, int below)
{
    model->random = model->random * 6364136223846793005U + 1442695040888963407U;
    return (int)((model->random >> 33) % (uint64_t)below);
}

static const char *lines_of(const struct model_key *key, char *text, size_t capacity)
{
    size_t size = 0;
    for (int i = 0; i < ITEMS; i++)
        if (key->quantity[i] > 0)
            size += (size_t)snprintf(text + size, capacity - size, "%s{'id':%d,'quantity':%d}",
                                     size == 0 ? "[" : ",", i + 1, key->quantity[i]);
    (void)snprintf(text + size, capacity - size, "]");
    return text;
}

static bool model_fits(const struct model *model, const struct model_key *key)
{
    for (int i = 0; i < ITEMS; i++)
        if (key->quantity[i] > model->stock[i])
            return false;
    return true;
}

static void model_take(struct model *model, const struct model_key *key, int sign)
{
    for (int i = 0; i < ITEMS; i++) {
        model->stock[i] -= sign * key->quantity[i];
        model->sold[i] += sign * key->quantity[i];
    }
}

static void expect_first_answer(struct model *model, struct model_key *key, int number)
{
    char name[32], lines[256];
    (void)snprintf(name, sizeof name, "key-%d", number);
    struct outcome *outcome =
        reserve(model->driver, name, key->stamp, lines_of(key, lines, sizeof lines));
    bool fits = key->state == MODEL_NEW && model_fits(model, key);
    if (outcome->code == ERR_STAMP_OLD) {
        /* Only ever said of what is old, and takes no effect. */
        assert_true(key->stamp < model->driver->now_ms - STAMP_AGE_MS_MAX);
        if (key->state == MODEL_NEW)
            key->state = MODEL_DENIED;
        outcome_destroy(&outcome);
    } else if (key->state == MODEL_NEW) {
        assert_int_equal(outcome->code, fits ? OK : ERR_OUT_OF_STOCK);
        assert_false(outcome->replayed);
        key->state = fits ? MODEL_GRANTED : MODEL_DENIED;
        key->made_ms = model->driver->now_ms;
        if (fits)
            model_take(model, key, 1);
        key->answer = take_text(outcome);
    } else {
        assert_true(outcome->replayed);
        char *answer = take_text(outcome);
        assert_string_equal(answer, key->answer);
        free(answer);
    }
}

static void step_reserve(struct model *model)
{
    if (model->fresh == KEYS)
        return;
    struct model_key *key = &model->keys[model->fresh];
    key->stamp = model->driver->now_ms - draw(model, 2) * draw(model, 30) * HOUR_MS;
    key->stamp = key->stamp < 0 ? 0 : key->stamp;
    key->quantity[draw(model, ITEMS)] = 1 + draw(model, 4);
    key->quantity[draw(model, ITEMS)] = 1 + draw(model, 4);
    expect_first_answer(model, key, model->fresh++);
}

static void step_repeat(struct model *model)
{
    if (model->fresh == 0)
        return;
    int number = draw(model, model->fresh);
    expect_first_answer(model, &model->keys[number], number);
}

static void step_settle(struct model *model, const char *op)
{
    if (model->fresh == 0)
        return;
    int number = draw(model, model->fresh);
    struct model_key *key = &model->keys[number];
    bool close = strcmp(op, "close") == 0;
    if (close && !key->cancelled)
        return;
    key->closed |= close;
    expect(driver_write(model->driver, "{'op':'%s','keys':['key-%d','none']}", op, number), OK);
}

/* An undo is sent while the order is being cancelled; a copy of it may come at any time. */
static void step_undo(struct model *model)
{
    char name[32], lines[256];
    if (model->fresh == 0)
        return;
    int number = draw(model, model->fresh);
    struct model_key *key = &model->keys[number];
    if (key->state != MODEL_GRANTED && key->state != MODEL_UNDONE)
        return;
    if (key->state == MODEL_GRANTED)
        key->cancel_stamp = model->driver->now_ms - draw(model, 20) * HOUR_MS;
    key->cancel_stamp = key->cancel_stamp < 0 ? 0 : key->cancel_stamp;
    (void)snprintf(name, sizeof name, "key-%d", number);
    struct outcome *outcome =
        undo(model->driver, name, key->cancel_stamp, lines_of(key, lines, sizeof lines));
    if (key->state == MODEL_UNDONE && outcome->code == ERR_STAMP_OLD) {
        assert_true(key->closed); /* a release that was not closed is never forgotten */
        outcome_destroy(&outcome);
        return;
    }
    expect(outcome, OK);
    if (key->state == MODEL_GRANTED)
        model_take(model, key, -1);
    key->state = MODEL_UNDONE;
    key->cancelled = true;
}

static void step_restock(struct model *model)
{
    int item = draw(model, ITEMS);
    int change = 1 + draw(model, 5);
    expect(driver_write(
               model->driver, "{'op':'stock','key':'s-%lld','stamp':%lld,'id':%d,'change':%d}",
               (long long)model->driver->index, (long long)model->driver->now_ms, item + 1, change),
           OK);
    model->stock[item] += change;
}

static void step_open(struct model *model)
{
    const struct command command = {.op = COMMAND_SESSION_OPEN};
    const int64_t session = take_number(driver_apply(model->driver, &command), "session");
    assert_true(session > 0);
    model->sessions[model->session_count++] = (uint64_t)session;
}

/* One that is open, or was, or never was. */
static void step_close(struct model *model)
{
    const struct command command = {.op = COMMAND_SESSION_CLOSE,
                                    .session = 1 + (uint64_t)draw(model, 200)};
    size_t kept = 0;
    for (size_t i = 0; i < model->session_count; i++)
        if (model->sessions[i] != command.session)
            model->sessions[kept++] = model->sessions[i];
    const bool open = kept < model->session_count;
    model->session_count = kept;
    assert_int_equal(take_number(driver_apply(model->driver, &command), "closed"), open);
}

static void step_time(struct model *model)
{
    static const int64_t jumps[] = {1, 1000, HOUR_MS, 6 * HOUR_MS, DAY_MS};
    tick(model->driver, model->driver->now_ms + jumps[draw(model, 5)]);
}

static void model_check(struct model *model)
{
    for (int i = 0; i < ITEMS; i++) {
        struct outcome *outcome =
            driver_read(model->driver, "{'op':'movements','id':%d,'limit':1}", i + 1);
        assert_int_equal(number_at(outcome, "stock"), model->stock[i]);
        assert_int_equal(number_at(outcome, "sold"), model->sold[i]);
        assert_int_equal(number_at(outcome, "initial") + number_at(outcome, "moved") -
                             number_at(outcome, "sold"),
                         model->stock[i]);
        outcome_destroy(&outcome);
    }
    uint64_t sessions[LEASE_SESSIONS_MAX];
    assert_int_equal(sessions_list(driver_state(model->driver), sessions, LEASE_SESSIONS_MAX),
                     model->session_count);
    if (model->session_count > 0)
        assert_memory_equal(sessions, model->sessions, model->session_count * sizeof sessions[0]);
}

static void run_step(struct model *model)
{
    switch (draw(model, 14)) {
    case 0:
    case 1: step_reserve(model); break;
    case 2:
    case 3:
    case 4: step_repeat(model); break;
    case 5:
    case 6: step_settle(model, "settle"); break;
    case 7: step_settle(model, "close"); break;
    case 8:
    case 9: step_undo(model); break;
    case 10: step_restock(model); break;
    case 11: step_open(model); break;
    case 12: step_close(model); break;
    default: step_time(model); break;
    }
}

static void run_seed(uint64_t seed)
{
    struct model model = {.driver = driver_new(), .random = seed};
    int counts[4] = {0};
    for (int i = 0; i < ITEMS; i++) {
        add_item(model.driver, i + 1, 10);
        model.stock[i] = 10;
    }
    for (int step = 0; step < STEPS; step++) {
        run_step(&model);
        if (step % 16 == 0)
            model_check(&model);
        if (step % 250 == 249)
            driver_restart(model.driver);
    }
    model_check(&model);
    for (int i = 0; i < KEYS; i++) {
        counts[model.keys[i].state]++;
        free(model.keys[i].answer);
    }
    /* A run in which nothing happened proves nothing. */
    assert_true(counts[MODEL_GRANTED] + counts[MODEL_UNDONE] > 5);
    assert_true(counts[MODEL_UNDONE] > 2);
    assert_true(counts[MODEL_DENIED] > 5);
    driver_destroy(model.driver);
}

/* The law of conservation and once-only effect hold in random histories. */
static void test_random_histories_agree_with_a_simple_model(void **state)
{
    const char *one = getenv("PYGMY_SEED");
    (void)state;
    if (one != NULL) {
        run_seed(strtoull(one, NULL, 10));
        return;
    }
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        print_message("seed %llu\n", (unsigned long long)seed);
        run_seed(seed);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_histories_agree_with_a_simple_model),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
