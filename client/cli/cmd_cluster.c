/* pygmy cluster: who belongs to a group of replicas, and who leads it.
 *
 * What takes long is in steps, each of which is done already when it is done again: a replica is added
 * without a vote, catches up, and gets its vote. Whoever is interrupted runs the same command again.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "broker/bus/clock.h"
#include "broker/bus/config.h"
#include "broker/bus/err.h"
#include "broker/bus/limits.h"
#include "client/cli/cli.h"
#include "client/cli/progress.h"
#include "client/cli/verbs.h"

struct cluster {
    struct cli *cli;
    struct config *config;
};

static const enum node_kind cluster_kinds[] = {NODE_CATALOG, NODE_ORDER};

#define CLUSTER_KINDS (sizeof cluster_kinds / sizeof cluster_kinds[0])

/* ---- Asking a group's leader ----------------------------------------------------- */

/* Ask it; @request is taken over. Returns 0 and the answer, the caller's to release, or an exit
 * status, having told why. */
static int cluster_ask(const struct cluster *self, const char *group, json_t *request,
                       json_t **answer)
{
    char service[SERVICE_NAME_BYTES_MAX + 1];
    struct pygmy_reply reply = {0};

    snprintf(service, sizeof service, "%s.leader", group);
    pygmy_start(self->cli->store,
                &(struct pygmy_call){
                    .service = service, .request = request, .done = pygmy_keep, .arg = &reply});
    int status = cli_wait(self->cli, &reply);
    if (status != EXIT_DONE)
        return status;
    *answer = json_incref(reply.body);
    pygmy_reply_close(&reply);
    return EXIT_DONE;
}

/* The same about one member. */
static int cluster_ask_about(const struct cluster *self, const char *group, const char *op,
                             int64_t id, json_t **answer)
{
    return cluster_ask(self, group, json_pack("{ss sI}", "op", op, "id", (json_int_t)id), answer);
}

static int cluster_ask_members(const struct cluster *self, const char *group, json_t **answer)
{
    return cluster_ask(self, group, json_pack("{ss}", "op", "members"), answer);
}

/* ---- Members --------------------------------------------------------------------- */

/* The member of that name in an answer, NULL: there is none. */
static const json_t *cluster_member(const json_t *answer, const char *name)
{
    size_t i;
    json_t *member;
    json_array_foreach(json_object_get(answer, "members"), i, member)
    {
        if (strcmp(cli_text(member, "name"), name) == 0)
            return member;
    }
    return NULL;
}

static bool cluster_is_voter(const json_t *member)
{
    return strcmp(cli_text(member, "role"), "voter") == 0;
}

static bool cluster_leads(const json_t *member)
{
    return json_is_true(json_object_get(member, "leader"));
}

/* The voter that is the best to lead next: of those that were heard just now the one that has most of
 * the log. NULL: there is none. */
static const json_t *cluster_successor(const json_t *answer)
{
    const json_t *best = NULL;
    size_t i;
    json_t *member;
    json_array_foreach(json_object_get(answer, "members"), i, member)
    {
        const json_t *contact_ms = json_object_get(member, "last_contact_ms");
        if (!cluster_is_voter(member) || cluster_leads(member) || !json_is_integer(contact_ms) ||
            json_integer_value(contact_ms) > HEARTBEAT_GONE_MS)
            continue;
        if (best == NULL || cli_integer(member, "match_index") > cli_integer(best, "match_index"))
            best = member;
    }
    return best;
}

/* ---- Showing --------------------------------------------------------------------- */

/* A number that may not be known. */
static void cluster_cell(const struct cli *cli, struct table *table, const json_t *value)
{
    if (json_is_integer(value))
        table_number(table, json_integer_value(value));
    else
        table_text(table, cli->plain ? "" : "-");
}

static void cluster_add_rows(const struct cli *cli, struct table *table, const json_t *answer)
{
    size_t i;
    json_t *member;
    json_array_foreach(json_object_get(answer, "members"), i, member)
    {
        table_text(table, cli_text(answer, "group"));
        table_text(table, cli_text(member, "name"));
        table_number(table, cli_integer(member, "id"));
        table_text(table, cluster_leads(member) ? "leader" : cli_text(member, "role"));
        cluster_cell(cli, table, json_object_get(member, "match_index"));
        table_number(table, cli_integer(answer, "log_index") - cli_integer(member, "match_index"));
        cluster_cell(cli, table, json_object_get(member, "last_contact_ms"));
        table_text(table, cli_text(member, "peer"));
        table_text(table, cli_text(member, "snapshots"));
    }
}

static void cluster_print(const struct cli *cli, const json_t *groups)
{
    static const struct table_column columns[] = {
        {"GROUP", false},     {"NAME", false}, {"ID", true},
        {"ROLE", false},      {"MATCH", true}, {"LAG", true},
        {"CONTACT MS", true}, {"LINK", false}, {"SNAPSHOTS", false}};
    struct table *table = table_new(columns, sizeof columns / sizeof *columns);
    size_t i;
    json_t *answer;
    json_array_foreach(groups, i, answer)
    {
        cluster_add_rows(cli, table, answer);
    }
    cli_print_table(cli, table);
    table_destroy(&table);
}

/* What has been done, in a sentence; with --json the answer. */
__attribute__((format(printf, 3, 4))) static void cluster_tell(const struct cli *cli,
                                                               const json_t *answer,
                                                               const char *format, ...)
{
    va_list args;

    if (cli->json) {
        cli_print_json(cli, answer);
        return;
    }
    va_start(args, format);
    char *sentence = zsys_vprintf(format, args);
    va_end(args);
    puts(sentence);
    free(sentence);
}

/* ---- list ------------------------------------------------------------------------ */

static bool cluster_is_group(const char *name)
{
    for (size_t i = 0; i < CLUSTER_KINDS; i++)
        if (strcmp(config_kind_name(cluster_kinds[i]), name) == 0)
            return true;
    return false;
}

static void cluster_show(const struct cli *cli, json_t *groups)
{
    if (cli->json) {
        json_t *all = json_pack("{sO}", "groups", groups);
        cli_print_json(cli, all);
        json_decref(all);
    } else {
        cluster_print(cli, groups);
    }
}

/* Those of one group, or of all. One that does not answer hides nobody else: what the others say is
 * shown, and the status is its own. */
static int cluster_list(struct cluster *self)
{
    const char *only = cli_operand(self->cli, 1);
    int status = EXIT_DONE;

    if (only != NULL && !cluster_is_group(only))
        return cli_usage(self->cli, "\"%s\" is none of catalog, order", only);
    json_t *groups = json_array();
    for (size_t i = 0; i < CLUSTER_KINDS && status != EXIT_INTERRUPTED; i++) {
        const char *group = config_kind_name(cluster_kinds[i]);
        json_t *answer;
        if (config_count(self->config, cluster_kinds[i]) == 0 ||
            (only != NULL && strcmp(only, group) != 0))
            continue;
        int code = cluster_ask_members(self, group, &answer);
        if (code == EXIT_DONE)
            json_array_append_new(groups, answer);
        else
            status = code;
    }
    if (json_array_size(groups) > 0)
        cluster_show(self->cli, groups);
    json_decref(groups);
    return status;
}

/* ---- add ------------------------------------------------------------------------- */

/* A learner on its way to its vote. */
struct newcomer {
    const struct config_node *node;
    const char *group;
    struct progress progress;
    int64_t heard_ms; /* when it was last known to be there, or the waiting began */
};

static void newcomer_note(struct newcomer *self, const json_t *answer)
{
    const json_t *member = json_object_get(answer, "member");
    const json_t *contact_ms = json_object_get(member, "last_contact_ms");
    int64_t match = cli_integer(member, "match_index");
    int64_t last = cli_integer(answer, "log_index");
    char note[64];

    if (json_is_integer(contact_ms) && json_integer_value(contact_ms) <= HEARTBEAT_GONE_MS)
        self->heard_ms = clock_ms();
    snprintf(note, sizeof note, "%" PRId64 " of %" PRId64 " entries", match, last);
    self->progress.total = last > 0 ? last : 1;
    progress_set(&self->progress, match, note);
}

/* Ask for its vote until it has it: as long as it takes to catch up, unless it is not there. */
static int cluster_promote(struct cluster *self, struct newcomer *newcomer, json_t **answer)
{
    int status;

    while ((status = cluster_ask_about(self, newcomer->group, "member_promote",
                                       (int64_t)newcomer->node->id, answer)) == EXIT_DONE) {
        if (cluster_is_voter(json_object_get(*answer, "member")))
            break;
        newcomer_note(newcomer, *answer);
        json_decref(*answer);
        if (clock_ms() - newcomer->heard_ms > self->cli->timeout_ms) {
            progress_end(&newcomer->progress);
            cli_error(self->cli, "%s is not heard: has it been started with --join?",
                      newcomer->node->name);
            status = EXIT_UNANSWERED;
            break;
        }
        zclock_sleep(CLUSTER_LOOK_MS);
    }
    progress_end(&newcomer->progress);
    return status;
}

static int cluster_add_learner(struct cluster *self, const struct newcomer *newcomer)
{
    const struct config_node *node = newcomer->node;
    json_t *answer;
    int status =
        cluster_ask(self, newcomer->group,
                    json_pack("{ss sI ss ss ss}", "op", "member_add", "id", (json_int_t)node->id,
                              "name", node->name, "peer", node->peer, "snapshots", node->snapshots),
                    &answer);

    if (status != EXIT_DONE)
        return status;
    if (json_is_true(json_object_get(answer, "changed")))
        cli_notice(self->cli, "%s is in its group, and gets a vote when it has caught up",
                   node->name);
    json_decref(answer);
    return EXIT_DONE;
}

static int cluster_add(struct cluster *self)
{
    const char *name = cli_operand(self->cli, 1);
    const struct config_node *node = config_node(self->config, name);
    struct newcomer newcomer = {
        .node = node,
        .progress = {.shown = self->cli->err_is_tty && !self->cli->quiet, .label = name},
        .heard_ms = clock_ms(),
    };
    json_t *answer;

    if (node == NULL || node->id == 0)
        return cli_usage(self->cli, "the configuration has no replica \"%s\"", name);
    newcomer.group = config_kind_name(node->kind);
    int status = cluster_add_learner(self, &newcomer);
    if (status != EXIT_DONE)
        return status;
    status = cluster_promote(self, &newcomer, &answer);
    if (status != EXIT_DONE) {
        cli_notice(self->cli, "%s may be in its group without a vote; the same command goes on",
                   name);
        return status;
    }
    cluster_tell(self->cli, answer, "%s has a vote in its group", name);
    json_decref(answer);
    return EXIT_DONE;
}

/* ---- move-leader ----------------------------------------------------------------- */

/* Have @to lead. Returns 0 and the group as its new leader lists it, or an exit status. */
static int cluster_move(struct cluster *self, const char *group, const json_t *to, json_t **answer)
{
    json_t *moved;
    int status = cluster_ask_about(self, group, "leader_move", cli_integer(to, "id"), &moved);

    if (status != EXIT_DONE)
        return status;
    json_decref(moved);
    return cluster_ask_members(self, group, answer);
}

/* Move the leadership of the group in @members to @to, and tell who leads then. */
static int cluster_move_and_tell(struct cluster *self, const char *group, const json_t *to)
{
    json_t *answer;
    int status = cluster_move(self, group, to, &answer);

    if (status != EXIT_DONE)
        return status;
    const char *leader = cli_text(answer, "leader");
    if (strcmp(leader, cli_text(to, "name")) == 0) {
        cluster_tell(self->cli, answer, "%s leads the %s replicas", leader, group);
    } else {
        cli_error(self->cli, "%s was asked to lead, but by now %s does", cli_text(to, "name"),
                  leader);
        status = EXIT_REFUSED;
    }
    json_decref(answer);
    return status;
}

static int cluster_move_leader(struct cluster *self)
{
    const char *group = cli_operand(self->cli, 1);
    const char *name = cli_operand(self->cli, 2);
    json_t *members;

    if (!cluster_is_group(group))
        return cli_usage(self->cli, "\"%s\" is none of catalog, order", group);
    int status = cluster_ask_members(self, group, &members);
    if (status != EXIT_DONE)
        return status;
    const json_t *to = name != NULL ? cluster_member(members, name) : cluster_successor(members);
    if (to != NULL) {
        status = cluster_move_and_tell(self, group, to);
    } else if (name != NULL) {
        cli_error(self->cli, "the %s replicas have no member \"%s\"", group, name);
        status = EXIT_REFUSED;
    } else {
        cli_error(self->cli, "there is no other replica with a vote that answers");
        status = EXIT_UNANSWERED;
    }
    json_decref(members);
    return status;
}

/* ---- remove ---------------------------------------------------------------------- */

/* A leader does not remove itself: have another one lead first. */
static int cluster_replace(struct cluster *self, const char *group, const json_t *members)
{
    const json_t *to = cluster_successor(members);
    json_t *answer;

    if (to == NULL) {
        cli_error(self->cli, "it leads its group, and no other replica with a vote answers");
        return EXIT_UNANSWERED;
    }
    cli_notice(self->cli, "%s leads its group; %s is to lead first", cli_text(members, "leader"),
               cli_text(to, "name"));
    int status = cluster_move(self, group, to, &answer);
    if (status == EXIT_DONE)
        json_decref(answer);
    return status;
}

static size_t cluster_voters(const json_t *members)
{
    size_t voters = 0;
    size_t i;
    json_t *member;
    json_array_foreach(json_object_get(members, "members"), i, member)
    {
        voters += cluster_is_voter(member);
    }
    return voters;
}

static int cluster_remove_member(struct cluster *self, const char *group, const json_t *members,
                                 const json_t *member)
{
    json_t *answer;
    int status = EXIT_DONE;

    if (cluster_leads(member) && cluster_voters(members) > 1)
        status = cluster_replace(self, group, members);
    if (status == EXIT_DONE)
        status =
            cluster_ask_about(self, group, "member_remove", cli_integer(member, "id"), &answer);
    if (status != EXIT_DONE)
        return status;
    cluster_tell(self->cli, answer, "%s is in its group no more; it may be stopped",
                 cli_text(member, "name"));
    json_decref(answer);
    return EXIT_DONE;
}

/* Remove it if it is in @group: then *found is set. */
static int cluster_remove_from(struct cluster *self, const char *group, const char *name,
                               bool *found)
{
    json_t *members;
    int status = cluster_ask_members(self, group, &members);

    if (status != EXIT_DONE)
        return status;
    const json_t *member = cluster_member(members, name);
    *found = member != NULL;
    if (*found)
        status = cluster_remove_member(self, group, members, member);
    json_decref(members);
    return status;
}

/* By its name among the members, since it may have left the configuration already. */
static int cluster_remove(struct cluster *self)
{
    const char *name = cli_operand(self->cli, 1);
    const struct config_node *node = config_node(self->config, name);
    bool found = false;

    for (size_t i = 0; i < CLUSTER_KINDS && !found; i++) {
        if (config_count(self->config, cluster_kinds[i]) == 0 ||
            (node != NULL && node->kind != cluster_kinds[i]))
            continue;
        int status = cluster_remove_from(self, config_kind_name(cluster_kinds[i]), name, &found);
        if (status != EXIT_DONE)
            return status;
    }
    if (found)
        return EXIT_DONE;
    if (node == NULL || node->id == 0) {
        cli_error(self->cli, "no group has a member \"%s\"", name);
        return EXIT_REFUSED;
    }
    json_t *answer = json_pack("{sb sn}", "changed", 0, "member");
    cluster_tell(self->cli, answer, "%s is not in its group", name);
    json_decref(answer);
    return EXIT_DONE;
}

/* ---- The verb ---------------------------------------------------------------------- */

struct cluster_action {
    const char *name;
    size_t operand_min; /* its own included */
    size_t operand_max;
    const char *operands;
    int (*run)(struct cluster *self);
};

static const struct cluster_action cluster_actions[] = {
    {"list", 1, 2, "catalog or order, or nothing", cluster_list},
    {"add", 2, 2, "the NAME of a replica", cluster_add},
    {"remove", 2, 2, "the NAME of a replica", cluster_remove},
    {"move-leader", 2, 3, "catalog or order, and the NAME of a replica if you like",
     cluster_move_leader},
};

static const struct cluster_action *cluster_find(const char *name)
{
    for (size_t i = 0; i < sizeof cluster_actions / sizeof *cluster_actions; i++)
        if (strcmp(cluster_actions[i].name, name) == 0)
            return &cluster_actions[i];
    return NULL;
}

static int cluster_run(struct cli *cli)
{
    const struct cluster_action *action = cluster_find(cli_operand(cli, 0));
    struct cluster self = {.cli = cli};
    char *error = NULL;

    if (action == NULL)
        return cli_usage(cli, "\"%s\" is none of list, add, remove, move-leader",
                         cli_operand(cli, 0));
    if (cli->args.operand_count < action->operand_min ||
        cli->args.operand_count > action->operand_max)
        return cli_usage(cli, "%s takes %s", action->name, action->operands);
    if (config_load(cli_option(cli, "config"), NULL, 0, &self.config, &error) != OK) {
        cli_error(cli, "%s", error);
        free(error);
        return EXIT_USAGE;
    }
    int status = cli_open(cli);
    if (status == EXIT_DONE)
        status = action->run(&self);
    config_destroy(&self.config);
    return status;
}

const struct verb verb_cluster = {
    .name = "cluster",
    .operands = "list|add|remove|move-leader [GROUP] [NAME]",
    .summary = "show or change who belongs to a group of replicas, and who leads it",
    .examples = "  pygmy cluster list\n"
                "  pygmy cluster list catalog\n"
                "  pygmy cluster add catalog-4\n"
                "  pygmy cluster remove catalog-2\n"
                "  pygmy cluster move-leader order order-3\n",
    .notes =
        "list shows the members of both groups, or of the one that is named: catalog or order.\n"
        "add takes a replica that stands in the configuration and was started with --join: it\n"
        "gets the group's log, and a vote when it has caught up. Interrupted, the same command\n"
        "goes on. remove takes a member out, who may be down; a leader first has another one\n"
        "lead. While a member with a vote is down, its removal is the only change possible.\n"
        "move-leader takes a group, catalog or order, and the member that is to lead it: without\n"
        "one, who has most of the log.\n"
        "A replica that has lost its data may come back under another id only.\n"
        "This takes the cluster's secret.\n",
    .operand_min = 1,
    .operand_max = 3,
    .run = cluster_run,
};
