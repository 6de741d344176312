/* Whatever comes to the catalog as a request: through the JSON, the members, the command and the
 * tables, and back as an answer.
 *
 * The input is lines. "r", "w", "l" and "n" in front of a request: it comes to catalog, to
 * catalog.leader, to catalog.leases or to node.NAME. "t" and a number: so many milliseconds pass,
 * and what the leader does by itself is done. A write is applied at the end of its line, unless the
 * line begins with a capital "W": then it waits for the next that is.
 *
 * Held: each request gets exactly one answer, the law of conservation, and what is encoded is read
 * again as the same (fuzz_catalog_command.c has the other direction).
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "services/catalog/auditor.h"
#include "services/catalog/command.h"
#include "services/catalog/machine.h"
#include "services/catalog/operations.h"
#include "services/catalog/outcome.h"
#include "services/catalog/requests.h"
#include "services/catalog/upkeep.h"
#include "tests/fuzz/fake_node.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* ---- In the place of auditor.c, which reads the tables' file --------------------------------- */

struct auditor {
    int unused;
};

struct auditor *auditor_new(zloop_t *loop, const char *path, struct log *log,
                            struct metrics *metrics)
{
    (void)loop;
    (void)path;
    (void)log;
    (void)metrics;
    return alloc_zero(sizeof(struct auditor));
}

void auditor_reset(struct auditor *self)
{
    (void)self;
}

void auditor_destroy(struct auditor **self_p)
{
    free(*self_p);
    *self_p = NULL;
}

int auditor_ask(struct auditor *self, auditor_done_fn *done, void *arg)
{
    (void)self;
    (void)done;
    (void)arg;
    return ERR_BUSY;
}

/* ---- What must hold -------------------------------------------------------------------------- */

static void check_tables(struct machine *machine)
{
    static const char law[] =
        "SELECT count(*) FROM item WHERE initial + moved - sold <> stock OR stock < 0 OR sold < 0"
        " OR moved <> (SELECT coalesce(sum(change), 0) FROM movement WHERE item = item.id)";
    sqlite3 *database = sql_database(state_sql(machine_state(machine)));
    sqlite3_stmt *row = NULL;
    int code = sqlite3_prepare_v2(database, law, -1, &row, NULL);
    assert(code == SQLITE_OK);
    code = sqlite3_step(row);
    assert(code == SQLITE_ROW && sqlite3_column_int64(row, 0) == 0);
    sqlite3_finalize(row);
}

/* What means the same is encoded the same, and read as what it was. */
static void check_command(const char *text, size_t size)
{
    struct bytes_writer bytes = {0}, again = {0};
    struct command command, read;
    json_t *request = json_loadb(text, size, JSON_REJECT_DUPLICATES, NULL);
    struct outcome *refusal = json_is_object(request) ? request_read(request, &command) : NULL;

    if (!json_is_object(request) || refusal != NULL) {
        outcome_destroy(&refusal);
        json_decref(request);
        return;
    }
    command_encode(&command, &bytes);
    int code = command_decode(&read, bytes.data, bytes.size);
    assert(code == OK);
    command_encode(&read, &again);
    assert(again.size == bytes.size && memcmp(again.data, bytes.data, bytes.size) == 0);
    command_close(&read);
    command_close(&command);
    bytes_writer_close(&bytes);
    bytes_writer_close(&again);
    json_decref(request); /* the command's texts are within it */
}

/* ---- The input ------------------------------------------------------------------------------- */

/* What the leader does by itself has an outcome that nobody waits for. */
static void ignore(void *arg, int code, void *result, replica_index index)
{
    struct outcome *outcome = result;
    (void)arg;
    (void)code;
    (void)index;
    outcome_destroy(&outcome);
}

static void pass_time(struct fake_node *self, const char *text, size_t size)
{
    struct machine *machine = self->replica.machine.self;
    struct state *state = machine_state(machine);
    struct bytes_writer bytes = {0};
    struct command command;
    int64_t ms = 0;

    for (size_t i = 0; i < size && i < 9 && text[i] >= '0' && text[i] <= '9'; i++)
        ms = 10 * ms + (text[i] - '0');
    self->replica.now_ms += ms;
    if (upkeep_command(state, self->replica.now_ms, &command)) {
        command_encode(&command, &bytes);
        command_close(&command);
        int code = command_decode(&command, bytes.data, bytes.size);
        assert(code == OK);
        code = replica_submit(&self->replica, bytes.data, bytes.size, ignore, machine);
        assert(code == OK || code == ERR_BUSY);
    }
    command_close(&command);
    bytes_writer_close(&bytes);
}

static void run_line(struct fake_node *self, const char *line, size_t size)
{
    const char *text = line + 1;

    switch (line[0]) {
    case 'r': fake_node_request(self, NODE_PORT_READ, text, size - 1); break;
    case 'l': fake_node_request(self, NODE_PORT_LEASES, text, size - 1); break;
    case 'n': fake_node_request(self, NODE_PORT_OWN, text, size - 1); break;
    case 't': pass_time(self, text, size - 1); break;
    case 'w':
    case 'W':
        check_command(text, size - 1);
        fake_node_request(self, NODE_PORT_WRITE, text, size - 1);
        break;
    default: break;
    }
    if (line[0] != 'W')
        fake_node_apply(self);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fake_node *node = fake_node_new(&operations_service);
    const char *at = (const char *)data, *end = at + size;

    while (at < end) {
        const char *line_end = memchr(at, '\n', (size_t)(end - at));
        if (line_end == NULL)
            line_end = end;
        if (line_end > at)
            run_line(node, at, (size_t)(line_end - at));
        at = line_end + 1;
    }
    fake_node_apply(node);
    check_tables(node->replica.machine.self);
    fake_node_destroy(&node);
    return 0;
}
