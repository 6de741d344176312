/* What the catalog's leader submits by itself, as leadership comes and goes: with a stand-in for the
 * replica, which does what the test says.
 *
 * SPDX-License-Identifier: Apache-2.0 */
/* link: catalog */
#include "tests/unit/catalog_driver.h"

#include "broker/bus/clock.h"
#include "services/catalog/upkeep.h"

/* The stand-in. There is one, for the functions below have no place for another. */
struct replica {
    bool leader;
    int64_t log_time_ms;
    int refusal; /* of the next submissions; OK: taken */
    int submitted;
    int flushed;
    replica_done_fn *done; /* of the one that waits; NULL: none does */
    void *arg;
};

bool replica_is_leader(const struct replica *self)
{
    return self->leader;
}

int64_t replica_log_time_ms(struct replica *self)
{
    return self->log_time_ms;
}

/* By way of the leases, which here are but the replica by another name. */
struct leases {
    struct replica *replica;
};

int leases_submit(struct leases *leases, const struct command *command,
                  const struct bytes_writer *bytes, int64_t deadline_ms, replica_done_fn *done,
                  void *arg)
{
    struct replica *self = leases->replica;
    struct command decoded;

    assert_true(deadline_ms > clock_ms());
    assert_int_equal(command_decode(&decoded, bytes->data, bytes->size), OK);
    assert_int_equal(decoded.op, command->op);
    command_close(&decoded);
    assert_null(self->done); /* one at a time */
    self->submitted++;
    if (self->refusal != OK)
        return self->refusal;
    self->done = done;
    self->arg = arg;
    return OK;
}

void replica_flush(struct replica *self)
{
    self->flushed++;
}

/* Call back who waits. */
static void replica_end(struct replica *self, int code, struct outcome *outcome)
{
    replica_done_fn *done = self->done;
    self->done = NULL;
    done(self->arg, code, outcome, code == OK ? 1 : 0);
}

struct fixture {
    struct driver *driver;
    struct replica replica;
    struct leases leases;
    zloop_t *loop;
    struct upkeep *upkeep;
};

static int set_up(void **state)
{
    struct fixture *self = alloc_zero(sizeof *self);
    self->driver = driver_new();
    add_item(self->driver, 1, 5);
    self->replica = (struct replica){.leader = true, .log_time_ms = 2 * LOG_TIME_IDLE_MS};
    self->loop = zloop_new();
    self->leases.replica = &self->replica;
    self->upkeep =
        upkeep_new(self->loop, &self->replica, &self->leases, self->driver->machine, NULL);
    *state = self;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *self = *state;
    upkeep_destroy(&self->upkeep);
    zloop_destroy(&self->loop);
    driver_destroy(self->driver);
    free(self);
    return 0;
}

/* Who does not lead submits nothing, whatever is due; who leads does, and one command at a time. */
static void test_only_a_leader_submits_and_one_command_at_a_time(void **state)
{
    struct fixture *self = *state;
    self->replica.leader = false;
    upkeep_look(self->upkeep);
    assert_int_equal(self->replica.submitted, 0);
    self->replica.leader = true;
    upkeep_look(self->upkeep);
    upkeep_look(self->upkeep);
    assert_int_equal(self->replica.submitted, 1);
    assert_int_equal(self->replica.flushed, 1);
    replica_end(&self->replica, OK, outcome_answer(json_object()));
}

/* A command whose outcome became unknown when leadership was lost is forgotten: no more comes from
 * who does not lead, and the next leadership looks anew. */
static void test_a_regained_leadership_looks_anew(void **state)
{
    struct fixture *self = *state;
    upkeep_look(self->upkeep);
    assert_int_equal(self->replica.submitted, 1);
    self->replica.leader = false;
    replica_end(&self->replica, ERR_UNKNOWN, NULL);
    upkeep_look(self->upkeep);
    assert_int_equal(self->replica.submitted, 1);
    self->replica.leader = true;
    upkeep_look(self->upkeep);
    assert_int_equal(self->replica.submitted, 2);
    replica_end(&self->replica, ERR_UNKNOWN, NULL);
}

/* A refusal, as while leadership is being handed over, has no effect and is no end. */
static void test_a_refused_command_is_tried_again(void **state)
{
    struct fixture *self = *state;
    self->replica.refusal = ERR_NOT_LEADER;
    upkeep_look(self->upkeep);
    assert_int_equal(self->replica.submitted, 1);
    self->replica.refusal = OK;
    upkeep_look(self->upkeep);
    assert_int_equal(self->replica.submitted, 2);
    replica_end(&self->replica, OK, outcome_answer(json_object()));
}

/* It looks at the tables of now, also after another file took their place. */
static void test_it_looks_at_the_tables_of_now(void **state)
{
    struct fixture *self = *state;
    char *error = NULL;
    self->replica.leader = false;
    self->driver->interface.close(self->driver->interface.self);
    assert_int_equal(
        self->driver->interface.open(self->driver->interface.self, self->driver->path, &error), OK);
    self->replica.leader = true;
    upkeep_look(self->upkeep);
    assert_int_equal(self->replica.submitted, 1);
    replica_end(&self->replica, OK, outcome_answer(json_object()));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_only_a_leader_submits_and_one_command_at_a_time),
        TEST(test_a_regained_leadership_looks_anew),
        TEST(test_a_refused_command_is_tried_again),
        TEST(test_it_looks_at_the_tables_of_now),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
