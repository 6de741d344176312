/* See sim_cases.h.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/sim_cases.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "broker/bus/err.h"
#include "tests/sim/sim_check.h"
#include "tests/sim/sim_clients.h"
#include "tests/sim/sim_script.h"

#define ONLY(node) (1U << (node))

/* ---- Raft, figure 8 ------------------------------------------------------------------------------ */

/* An entry of an earlier term is on a majority and is not committed by that: who has a later entry may
 * still be elected and overwrite it. The letters are those of the figure. */
static void play_figure_8(struct script *script)
{
    replica_index index;
    replica_term term;

    /* (a) The first leads and has given its entry to the second only. */
    script_elect(script, 0, ONLY(1) | ONLY(2));
    script_talk_all(script);
    index = script_submit(script, 0, 1);
    term = script_term_of(script, 0, index);
    script_talk(script, 0, 1);
    script_lose(script, 0, -1);
    sim_node_crash(script->sim, 0);

    /* (b) The fifth is elected by those who have not got it, and has another at its index. */
    script_reboot(script, 2);
    script_reboot(script, 3);
    script_elect(script, 4, ONLY(2) | ONLY(3));
    script_expect(script, script_term_of(script, 4, index) > term, "the fifth has another entry");
    script_lose(script, -1, -1);
    sim_node_crash(script->sim, 4);

    /* (c) The first leads again and brings its old entry to the third: that is a majority. */
    sim_node_start(script->sim, 0);
    script_settle(script);
    script_reboot(script, 1);
    script_reboot(script, 2);
    script_elect(script, 0, ONLY(1) | ONLY(2));
    while (script_term_of(script, 2, index) != term && script->sim->world->violation[0] == '\0') {
        script_wake(script, 0);
        script_deliver(script, 0, 2);
        script_deliver(script, 2, 0);
    }
    script_expect(script, script_term_of(script, 1, index) == term, "the second has it still");
    script_expect(script, script_node(script, 0)->commit < index, "it is not committed");
    script_lose(script, -1, -1);
    sim_node_crash(script->sim, 0);

    /* (d) The fifth is elected by three of which two have it, and overwrites it. */
    sim_node_start(script->sim, 4);
    script_settle(script);
    script_reboot(script, 1);
    script_reboot(script, 2);
    script_reboot(script, 3);
    script_elect(script, 4, ONLY(1) | ONLY(2) | ONLY(3));
    script_talk_all(script);
    script_wake(script, 4);
    script_talk_all(script);
    script_expect(script, script_node(script, 1)->commit >= index, "the group goes on");
    script_expect(script, script_term_of(script, 1, index) > term, "the entry is overwritten");
}

/* ---- A leader's own entry ------------------------------------------------------------------------ */

/* Nobody writes: a new leader serves reads all the same. */
static void play_idle_leader(struct script *script)
{
    script_elect(script, 0, ONLY(1) | ONLY(2));
    script_talk_all(script);
    script_reboot(script, 0);
    script_reboot(script, 1);
    script_reboot(script, 2);
    script_elect(script, 1, ONLY(0) | ONLY(2));
    script_talk_all(script);
    sim_node_read(script->sim, 1);
    for (int i = 0; i < 10; i++) {
        script_wake(script, 1);
        script_talk_all(script);
    }
    script_expect(script, script->sim->counts.reads == 1, "the new leader serves a read");
}

/* A leader that is cut off and does not know that there is another shows nothing. */
static void play_cut_off_leader(struct script *script)
{
    struct sim *sim = script->sim;

    script_elect(script, 0, ONLY(1) | ONLY(2));
    script_talk_all(script);
    script_reboot(script, 1);
    script_reboot(script, 2);
    script_elect(script, 1, ONLY(2));
    script_submit(script, 1, 1);
    script_talk(script, 1, 2);
    script_expect(script, sim->counts.acknowledged == 1, "the new leader has acknowledged a write");
    script_lose(script, -1, -1);
    sim_node_read(sim, 0);
    for (int i = 0; i < 10; i++) {
        script_wake(script, 0);
        script_lose(script, 0, -1);
    }
    script_expect(script, sim->counts.reads == 0, "the old leader serves no read");
}

/* Ongaro's message to raft-dev of July 2015: memberships that differ by one member each, of leaders of
 * different terms, have majorities without a common member. So no leader changes anything before it
 * has committed an entry of its own. Of four, the first promotes a fifth and tells nobody but that;
 * the second leads and removes the first; then the first would be elected by itself, the fourth and
 * the fifth, who know nothing of it. */
static void play_two_memberships(struct script *script)
{
    struct sim *sim = script->sim;
    int fifth;

    script_elect(script, 0, ONLY(1) | ONLY(2) | ONLY(3));
    script_talk_all(script);
    fifth = script_promote(script, 0);
    script_deliver(script, 0, fifth);
    script_lose(script, -1, -1);

    script_reboot(script, 2);
    script_reboot(script, 3);
    script_elect(script, 1, ONLY(2) | ONLY(3));
    script_expect(script, sim_node_remove(sim, 1, 0) == ERR_BUSY,
                  "it refuses a change before it has committed");
    script_settle(script);
    script_talk(script, 1, 2);
    script_lose(script, -1, -1);
    sim_node_remove(sim, 1, 0);
    script_settle(script);
    script_talk(script, 1, 2);
    script_lose(script, -1, -1);

    script_reboot(script, 0);
    script_reboot(script, 3);
    script_reboot(script, fifth);
    for (int i = 0; i < 4; i++)
        script_wake(script, 0);
    script_talk(script, 0, 3);
    script_talk(script, 0, fifth);
    script_talk(script, 0, 3);
    script_expect(script,
                  script_node(script, 0)->role != CONSENSUS_LEADER ||
                      script_node(script, 1)->commit < sim_log_last(&script_node(script, 1)->log),
                  "not both, the old leader elected and its removal committed");
}

/* ---- Guards that chance rarely calls for ---------------------------------------------------------- */

/* A refusal that was doubled comes late: when the member has all that it refused then, and was silent
 * for so long that it is probed again. It is not taken for a new one, or the leader would send what
 * the member has, one entry at a time, for ever. */
static void play_stale_refusal(struct script *script)
{
    struct sim *sim = script->sim;
    replica_index last;

    script_elect(script, 0, ONLY(1) | ONLY(2));
    script_talk_all(script);
    last = script_submit(script, 0, 5);
    script_talk(script, 0, 1);
    script_lose(script, -1, -1);
    script_reboot(script, 0);
    script_elect(script, 1, ONLY(0));
    script_deliver(script, 1, 2);
    script_expect(script, sim_net_lay_aside(sim, 2, 1, PEER_APPEND_RESULT) > 0,
                  "the third refuses what it lacks the beginning of");
    for (int i = 0; i < 20 && sim_log_last(&script_node(script, 2)->log) < last; i++) {
        script_deliver(script, 2, 1);
        script_deliver(script, 1, 2);
    }
    script_deliver(script, 2, 1);
    script_lose(script, 1, 2);
    for (int i = 0; i < 40; i++) {
        script_wake(script, 1);
        script_talk(script, 0, 1);
        script_lose(script, 1, 2);
    }
    sim_net_deliver_aside(sim);
    script_settle(script);
    for (int i = 0; i < 20; i++) {
        script_wake(script, 1);
        script_talk_all(script);
    }
    script_expect(script,
                  sim_log_last(&script_node(script, 2)->log) ==
                      sim_log_last(&script_node(script, 1)->log),
                  "the third gets the rest");
}

/* The fourth has a membership that it does not know to be committed when the next one comes; the next
 * one is then overwritten by a leader that never had it. What is left is the first one. */
static void play_double_change(struct script *script)
{
    struct sim *sim = script->sim;
    int learner;

    script_elect(script, 0, ONLY(1) | ONLY(2) | ONLY(3) | ONLY(4));
    script_talk_all(script);
    learner = sim_node_join(sim);
    script_expect(script, sim_node_add(sim, 0, learner) == 0, "a learner is added");
    script_settle(script);
    for (int i = 1; i < 5; i++)
        script_deliver(script, 0, i);
    script_deliver(script, -1, 0);
    script_lose(script, 0, -1);
    script_expect(script, sim_node_remove(sim, 0, learner) == 0, "and removed");
    script_settle(script);
    script_deliver(script, 0, 3);
    script_lose(script, -1, -1);
    sim_node_crash(sim, 0);
    script_reboot(script, 2);
    script_reboot(script, 4);
    script_elect(script, 1, ONLY(2) | ONLY(4));
    script_talk_all(script);
    script_wake(script, 1);
    script_talk_all(script);
    script_expect(script, consensus_membership(script_node(script, 3)->consensus)->count == 6,
                  "the learner is a member");
}

/* A learner is made a voter by an entry that the others have and it has not. When the leader is gone
 * its vote is needed: it gives it, though it has stood for no election and so forgotten nobody. */
static void play_unaware_voter(struct script *script)
{
    int fourth;

    script_elect(script, 0, ONLY(1) | ONLY(2));
    script_talk_all(script);
    fourth = script_promote(script, 0);
    script_deliver(script, 0, 1);
    script_deliver(script, 0, 2);
    script_lose(script, -1, -1);
    sim_node_crash(script->sim, 0);
    script_reboot(script, 1);
    script_reboot(script, 2);
    script_elect(script, 1, ONLY(2) | ONLY(fourth));
}

/* The only voter has sent an entry to a learner and lost it itself. It comes back and leads, and puts
 * another at the same index: in another term, or the learner would take it for its own. */
static void play_sole_voter(struct script *script)
{
    replica_index lost;
    int learner;

    script_wake(script, 0);
    script_wake(script, 0);
    learner = sim_node_join(script->sim);
    script_expect(script, sim_node_add(script->sim, 0, learner) == 0, "a learner is added");
    for (int i = 0; i < 4; i++) {
        script_settle(script);
        script_talk_all(script);
        script_wake(script, 0);
    }
    script_talk_all(script);
    script_node(script, 0)->disk.slow = 1000000;
    lost = script_submit(script, 0, 1);
    script_deliver(script, 0, learner);
    script_node(script, 0)->disk.slow = 1;
    script_reboot(script, 0);
    script_lose(script, -1, -1);
    script_expect(script, script->sim->counts.lost_writes > 0, "the voter has lost the entry");
    script_expect(script, script_term_of(script, learner, lost) > 0, "the learner has it");
    script_wake(script, 0);
    script_wake(script, 0);
    script_submit(script, 0, 1);
    for (int i = 0; i < 20; i++) {
        script_wake(script, 0);
        script_talk_all(script);
    }
    script_expect(script,
                  script_node(script, learner)->applied.index ==
                      script_node(script, 0)->applied.index,
                  "the learner has all that the voter has");
}

/* A candidate that has most of the log but is behind by terms learns of them, so that it can be
 * elected: nobody else can. */
static void play_pre_vote_term(struct script *script)
{
    script_elect(script, 0, ONLY(1) | ONLY(2));
    script_talk_all(script);
    script_submit(script, 0, 1);
    script_lose(script, -1, -1);
    sim_node_crash(script->sim, 0);
    script_reboot(script, 1);
    script_reboot(script, 2);
    script_wake(script, 1);
    script_deliver(script, 1, 2);
    script_deliver(script, 2, 1);
    for (int i = 0; i < 4; i++) /* the votes before the vote it has, the others get lost */
        script_wake(script, 1);
    script_expect(script, consensus_term(script_node(script, 1)->consensus) > 4,
                  "the second is ahead by terms");
    script_lose(script, -1, -1);
    sim_node_crash(script->sim, 2);
    script_reboot(script, 1);
    sim_node_start(script->sim, 0);
    script_settle(script);
    for (int i = 0; i < 20; i++) {
        script_wake(script, 0);
        script_talk(script, 0, 1);
        script_wake(script, 1);
        script_talk(script, 0, 1);
    }
    script_expect(
        script, sim_node_serves(script_node(script, 0)) || sim_node_serves(script_node(script, 1)),
        "two of three have a leader");
}

/* A member whose log's end is of a leader that is no more finds back to the others' in a few messages,
 * however long that end is. */
static void play_long_tail(struct script *script)
{
    uint64_t sent;

    script->sim->traits.in_flight_max = 4096;
    script_reboot(script, 0);
    script_elect(script, 0, ONLY(1) | ONLY(2));
    script_talk_all(script);
    for (int i = 0; i < 4; i++)
        script_submit(script, 0, 250);
    script_lose(script, -1, -1);
    script_reboot(script, 1);
    script_reboot(script, 2);
    script_elect(script, 1, ONLY(2));
    script_talk(script, 1, 2);
    script_submit(script, 1, 250);
    script_submit(script, 1, 250);
    script_talk(script, 1, 2);
    script_lose(script, -1, -1);
    script_reboot(script, 1);
    script_reboot(script, 2);
    script_elect(script, 1, ONLY(2));
    sent = script->sim->counts.sent;
    script_wake(script, 1);
    script_talk_all(script);
    script_wake(script, 1);
    script_talk_all(script);
    script_expect(script,
                  script_node(script, 0)->applied.index == script_node(script, 1)->applied.index,
                  "the first leader has become one of the others");
    script_expect(script, script->sim->counts.sent < sent + 60, "it takes few messages");
}

/* ---- Running ------------------------------------------------------------------------------------- */

const struct sim_case sim_cases[] = {
    {"figure-8", 5, true, MUTATION_NONE, play_figure_8, NULL},
    {"figure-8-without-pre-vote", 5, false, MUTATION_NONE, play_figure_8, NULL},
    {"idle-leader", 3, true, MUTATION_BARRIER, play_idle_leader, NULL},
    {"cut-off-leader", 3, true, MUTATION_READ_ROUND, play_cut_off_leader, NULL},
    {"stale-refusal", 3, true, MUTATION_STALE_REJECT, play_stale_refusal, NULL},
    {"double-change", 5, true, MUTATION_DOUBLE_CHANGE, play_double_change, NULL},
    {"unaware-voter", 3, true, MUTATION_VOTING_ROLE, play_unaware_voter, NULL},
    {"unaware-voter-without-pre-vote", 3, false, MUTATION_DISRUPT, play_unaware_voter, NULL},
    {"sole-voter", 1, true, MUTATION_SOLE_VOTER, play_sole_voter, NULL},
    {"pre-vote-term", 3, true, MUTATION_PRE_VOTE_TERM, play_pre_vote_term, NULL},
    {"long-tail", 3, true, MUTATION_HINT, play_long_tail, NULL},
    {"two-memberships", 4, true, MUTATION_NONE, play_two_memberships, NULL},
    {"two-memberships-without-pre-vote", 4, false, MUTATION_NONE, play_two_memberships, NULL},
    {"lease-end", 3, true, MUTATION_LEASE_WAIT_100, NULL, play_lease_end},
    {"lease-end-3", 3, true, MUTATION_LEASE_DRIFT_3, NULL, play_lease_end},
    {"lease-late-answer", 3, true, MUTATION_LEASE_ARRIVAL, NULL, play_lease_late_answer},
    {"lease-lapsed", 3, true, MUTATION_LEASE_LAPSED, NULL, play_lease_lapsed},
    {"lease-renewal", 3, true, MUTATION_LEASE_RENEWAL, NULL, play_lease_renewal},
};
const size_t sim_case_count = sizeof sim_cases / sizeof sim_cases[0];

bool sim_case_run(const struct sim_case *self, enum sim_mutation mutation, FILE *trace, char *why,
                  size_t size)
{
    struct sim_options options = {.seed = 1,
                                  .servers = self->servers,
                                  .election_ms = 150,
                                  .heartbeat_ms = 15,
                                  .heal_majority = 0,
                                  .pre_vote = self->pre_vote,
                                  .membership = 0,
                                  .mutation = mutation,
                                  .use = &sim_use_toy,
                                  .trace = trace};
    struct script script;
    bool good;

    if (self->play_lease != NULL)
        return sim_lease_play(self->play_lease, mutation, trace, why, size);
    script.sim = sim_new(&options);
    script.sim->scripted = true;
    script.sim->traits.wire = true;
    script.sim->traits.in_flight_max = 1; /* entries go one by one */
    script.sim->traits.snapshot_entries = 1000000;
    sim_nodes_found(script.sim, self->servers);
    script_settle(&script);
    self->play(&script);
    good = script.sim->world->violation[0] == '\0';
    snprintf(why, size, "%s", script.sim->world->violation);
    sim_destroy(&script.sim);
    return good;
}

bool sim_case_run_apart(const struct sim_case *self, enum sim_mutation mutation, char *why,
                        size_t size)
{
    int ends[2], status;
    ssize_t length;
    pid_t child;

    if (pipe(ends) != 0)
        abort();
    fflush(NULL);
    child = fork();
    if (child == 0) {
        char found[512] = "";
        bool good;

        close(ends[0]);
        dup2(ends[1], STDERR_FILENO); /* for an assertion's words */
        good = sim_case_run(self, mutation, NULL, found, sizeof found);
        (void)!write(ends[1], found, strlen(found));
        _exit(good ? 0 : 1);
    }
    close(ends[1]);
    length = read(ends[0], why, size - 1);
    why[length > 0 ? length : 0] = '\0';
    why[strcspn(why, "\n")] = '\0';
    close(ends[0]);
    waitpid(child, &status, 0);
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/* ---- Looking for mutations ----------------------------------------------------------------------- */

static const char *find_by_case(enum sim_mutation mutation, char *what, size_t size)
{
    for (size_t i = 0; i < sim_case_count; i++)
        if (sim_cases[i].finds == mutation &&
            !sim_case_run_apart(&sim_cases[i], mutation, what, size))
            return sim_cases[i].name;
    return NULL;
}

bool sim_case_find(const struct sim_batch *batch, enum sim_mutation mutation, bool seeds_too,
                   struct sim_finding *finding)
{
    struct sim_batch look = *batch;
    struct sim_outcome outcome;

    memset(finding, 0, sizeof *finding);
    finding->by_case = find_by_case(mutation, finding->what, sizeof finding->what);
    if (finding->by_case != NULL && !seeds_too)
        return true;
    look.options.mutation = mutation;
    look.stop = true;
    sim_run_batch(&look, &outcome);
    finding->seed = outcome.first[0].seed;
    if (finding->seed != 0)
        snprintf(finding->what, sizeof finding->what, "%s", outcome.first[0].violation);
    return finding->by_case != NULL || finding->seed != 0;
}
