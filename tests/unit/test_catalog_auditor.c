/* Audits in the loop.
 *
 * SPDX-License-Identifier: Apache-2.0 */
/* link: catalog */
#include "tests/unit/catalog_driver.h"

#include "services/catalog/auditor.h"

struct told {
    struct driver *driver;
    struct auditor *auditor;
    zloop_t *loop;
    int count;      /* answers so far */
    int code;       /* of the last */
    uint64_t first; /* log index of the first audit told of */
    uint64_t last;  /* and of the last */
    bool ask_again; /* ask anew from the first answer, after one more entry */
    int wanted;     /* the loop ends after so many answers */
};

static void on_audit(void *arg, int code, const struct audit_result *result)
{
    struct told *told = arg;
    told->code = code;
    if (code == OK) {
        assert_int_equal(result->violations, 0);
        told->last = result->log_index;
        told->first = told->count == 0 ? result->log_index : told->first;
    }
    if (told->count++ == 0 && told->ask_again) {
        add_item(told->driver, 2, 5);
        assert_int_equal(auditor_ask(told->auditor, on_audit, told), OK);
    }
}

static int on_look(zloop_t *loop, int timer, void *arg)
{
    const struct told *told = arg;
    (void)loop;
    (void)timer;
    return told->count >= told->wanted ? -1 : 0;
}

static int on_deadline(zloop_t *loop, int timer, void *arg)
{
    (void)loop;
    (void)timer;
    (void)arg;
    fail_msg("no answer in 10 s");
    return -1;
}

static int set_up(void **state)
{
    struct told *told = alloc_zero(sizeof *told);
    told->driver = driver_new();
    add_item(told->driver, 1, 5);
    told->loop = zloop_new();
    told->auditor = auditor_new(told->loop, told->driver->path, NULL, NULL);
    *state = told;
    return 0;
}

static int tear_down(void **state)
{
    struct told *told = *state;
    auditor_destroy(&told->auditor);
    zloop_destroy(&told->loop);
    driver_destroy(told->driver);
    free(told);
    return 0;
}

static void run_until_told(struct told *told, int wanted)
{
    told->wanted = wanted;
    zloop_timer(told->loop, 1, 0, on_look, told);
    zloop_timer(told->loop, 10000, 1, on_deadline, told);
    zloop_start(told->loop);
    assert_int_equal(told->count, wanted);
}

/* Who asks is told later, of the tables as they were when it asked or after. */
static void test_an_audit_is_told_from_the_loop(void **state)
{
    struct told *told = *state;
    assert_int_equal(auditor_ask(told->auditor, on_audit, told), OK);
    assert_int_equal(told->count, 0);
    run_until_told(told, 1);
    assert_int_equal(told->code, OK);
    assert_int_equal(told->last, 1);
}

/* A question that comes later is answered by a later audit: one that has seen what was done before
 * the question. */
static void test_a_later_question_gets_a_later_audit(void **state)
{
    struct told *told = *state;
    told->ask_again = true;
    assert_int_equal(auditor_ask(told->auditor, on_audit, told), OK);
    run_until_told(told, 2);
    assert_int_equal(told->first, 1);
    assert_int_equal(told->last, 2);
}

/* Only so many may wait; those are told together. */
static void test_waiters_are_bounded(void **state)
{
    struct told *told = *state;
    for (int i = 0; i < AUDIT_WAITERS_MAX; i++)
        assert_int_equal(auditor_ask(told->auditor, on_audit, told), OK);
    assert_int_equal(auditor_ask(told->auditor, on_audit, told), ERR_BUSY);
    run_until_told(told, AUDIT_WAITERS_MAX);
    assert_int_equal(told->first, told->last);
    assert_int_equal(auditor_ask(told->auditor, on_audit, told), OK);
}

/* When another file takes the place of the one under audit, who waits is told of the other one. */
static void test_who_waits_is_told_of_the_file_that_comes(void **state)
{
    struct told *told = *state;
    assert_int_equal(auditor_ask(told->auditor, on_audit, told), OK);
    auditor_reset(told->auditor);
    add_item(told->driver, 2, 5);
    run_until_told(told, 1);
    assert_int_equal(told->code, OK);
    assert_int_equal(told->last, 2);
}

/* Who still waits when the auditor goes is told so. */
static void test_who_waits_at_the_end_is_told(void **state)
{
    struct told *told = *state;
    assert_int_equal(auditor_ask(told->auditor, on_audit, told), OK);
    auditor_destroy(&told->auditor);
    assert_null(told->auditor);
    assert_int_equal(told->count, 1);
    assert_int_equal(told->code, ERR_UNAVAILABLE);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_an_audit_is_told_from_the_loop),
        TEST(test_a_later_question_gets_a_later_audit),
        TEST(test_waiters_are_bounded),
        TEST(test_who_waits_is_told_of_the_file_that_comes),
        TEST(test_who_waits_at_the_end_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
