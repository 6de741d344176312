/* The operations on a service's group, for its leader: who belongs to it, and who leads it. See part
 * two of docs/protocol.md.
 *
 *   received -> read confirmed -> decided -> (a change of the replica's) -> answered
 *
 * What is there already is done already: so that a request may be sent again, and by anybody. Such an
 * answer is only as good as the leader's view, so a read is confirmed first, and what it rests on must
 * be committed.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <inttypes.h>
#include <string.h>

#include "broker/bus/alloc.h"
#include "broker/bus/clock.h"
#include "broker/bus/config_value.h"
#include "broker/bus/err.h"
#include "broker/bus/limits.h"
#include "services/replica/fields.h"
#include "services/replica/node_internal.h"

struct node_change;

/* What is done with a request whose read is confirmed; it ends in an answer. */
typedef void node_decide_fn(struct node_change **self_p);

/* A request that is being worked on. */
struct node_change {
    struct node *node;
    struct node_call *call;
    node_decide_fn *decide;
    uint64_t id; /* of the member that it is about; 0: it is about all */
    char address[MEMBER_ADDRESS_BYTES_MAX + 1]; /* of who is to be added */
};

/* ---- Answers ------------------------------------------------------------------------------- */

json_t *node_member_json(const struct member *member)
{
    char name[MEMBER_ADDRESS_BYTES_MAX + 1];

    return json_pack("{s:I, s:s, s:s}", "id", (json_int_t)member->id, "name",
                     member_word(member, MEMBER_NAME, name), "role",
                     member->role == MEMBER_VOTER ? "voter" : "learner");
}

/* What is more to say of a member: where it is, and how it stands. */
static json_t *node_member_page(const struct node *self, const struct member *member)
{
    char peer[MEMBER_ADDRESS_BYTES_MAX + 1];
    char snapshots[MEMBER_ADDRESS_BYTES_MAX + 1];
    json_t *page = node_member_json(member);
    int64_t contact_ms = -1;
    replica_index match;

    json_object_set_new(page, "leader", json_boolean(member->id == self->member->id));
    json_object_set_new(page, "peer", json_string(member_word(member, MEMBER_LINK, peer)));
    json_object_set_new(page, "snapshots",
                        json_string(member_word(member, MEMBER_SNAPSHOTS, snapshots)));
    bool known = replica_progress(self->replica, member->id, &match, &contact_ms);
    json_object_set_new(page, "match_index", known ? json_integer((json_int_t)match) : json_null());
    json_object_set_new(page, "last_contact_ms",
                        contact_ms >= 0 ? json_integer(contact_ms) : json_null());
    return page;
}

static void node_change_end(struct node_change **self_p)
{
    free(*self_p);
    *self_p = NULL;
}

static void node_change_refuse(struct node_change **self_p, int code, const char *detail)
{
    node_refuse(&(*self_p)->call, code, detail, NULL);
    node_change_end(self_p);
}

/* It is as it was asked to be. */
static void node_change_done(struct node_change **self_p, bool changed)
{
    struct node_change *self = *self_p;
    const struct node *node = self->node;
    const struct member *member = membership_find(replica_membership(node->replica), self->id);

    node_answer(&self->call,
                json_pack("{s:b, s:o, s:I}", "changed", changed, "member",
                          member != NULL ? node_member_page(node, member) : json_null(),
                          "log_index", (json_int_t)replica_last_index(node->replica)));
    node_change_end(self_p);
}

/* The voters that lack the last change, and so stand in the way of the next one, as a list of names:
 * the caller's to free(); "" where there are none. */
static char *node_blocking(const struct node *self, uint64_t but_id)
{
    const struct membership *membership = replica_membership(self->replica);
    const replica_index last = replica_membership_index(self->replica);
    char *names = zsys_sprintf("%s", "");

    for (size_t i = 0; i < membership->count; i++) {
        const struct member *member = &membership->members[i];
        char name[MEMBER_ADDRESS_BYTES_MAX + 1];
        replica_index match = 0;
        int64_t contact_ms;
        if (member->role != MEMBER_VOTER || member->id == but_id)
            continue;
        if (!replica_progress(self->replica, member->id, &match, &contact_ms) || match >= last)
            continue;
        char *more = zsys_sprintf("%s%s%s", names, *names != '\0' ? ", " : "",
                                  member_word(member, MEMBER_NAME, name));
        free(names);
        names = more;
    }
    return names;
}

/* ---- What came of a change ----------------------------------------------------------------- */

/* A voter-to-be is too far behind: a member that has a vote, or the learner that is to get one. The
 * latter is catching up, and is no reason to refuse. */
static void node_change_unavailable(struct node_change **self_p)
{
    struct node_change *self = *self_p;
    const struct member *member =
        membership_find(replica_membership(self->node->replica), self->id);
    char *names = node_blocking(self->node, self->id);

    if (*names == '\0' && member != NULL && member->role == MEMBER_LEARNER) {
        node_change_done(self_p, false);
    } else {
        char *detail = zsys_sprintf("%s must have the last change first: a voter that is down is "
                                    "to be started, or removed",
                                    *names != '\0' ? names : "every voter");
        node_change_refuse(self_p, ERR_UNAVAILABLE, detail);
        free(detail);
    }
    free(names);
}

static void node_change_made(void *arg, int code, void *result, replica_index index)
{
    struct node_change *self = arg;

    (void)index;
    assert(result == NULL);
    if (code == OK)
        node_change_done(&self, true);
    else if (code == ERR_UNAVAILABLE)
        node_change_unavailable(&self);
    else
        node_change_refuse(&self, code,
                           code == ERR_BUSY ? "another change of the group is under way" : NULL);
}

/* A change was handed to the replica, or refused with @code. */
static void node_change_started(struct node_change **self_p, int code)
{
    if (code != OK)
        node_change_refuse(self_p, code, NULL);
    *self_p = NULL;
}

/* ---- Decisions ----------------------------------------------------------------------------- */

static void node_members_list(struct node_change **self_p)
{
    struct node_change *self = *self_p;
    const struct node *node = self->node;
    const struct membership *membership = replica_membership(node->replica);
    json_t *members = json_array();

    for (size_t i = 0; i < membership->count; i++)
        json_array_append_new(members, node_member_page(node, &membership->members[i]));
    node_answer(&self->call,
                json_pack("{s:s, s:s, s:I, s:I, s:I, s:o}", "group",
                          config_kind_name(node->service->kind), "leader", node->member->name,
                          "term", (json_int_t)replica_current_term(node->replica), "log_index",
                          (json_int_t)replica_last_index(node->replica), "commit_index",
                          (json_int_t)replica_commit_index(node->replica), "members", members));
    node_change_end(self_p);
}

/* The member that has the id, the name or an endpoint of who is to be added; NULL: there is none. */
static const struct member *node_member_like(const struct node_change *self)
{
    static const enum member_word words[] = {MEMBER_NAME, MEMBER_LINK, MEMBER_SNAPSHOTS};
    const struct membership *membership = replica_membership(self->node->replica);
    struct member wanted = {.id = self->id};
    char one[MEMBER_ADDRESS_BYTES_MAX + 1];
    char other[MEMBER_ADDRESS_BYTES_MAX + 1];

    memcpy(wanted.address, self->address, sizeof wanted.address);
    for (size_t i = 0; i < membership->count; i++) {
        const struct member *member = &membership->members[i];
        if (member->id == wanted.id)
            return member;
        for (size_t j = 0; j < sizeof words / sizeof words[0]; j++)
            if (strcmp(member_word(member, words[j], one), member_word(&wanted, words[j], other)) ==
                0)
                return member;
    }
    return NULL;
}

static void node_member_add(struct node_change **self_p)
{
    struct node_change *self = *self_p;
    struct replica *replica = self->node->replica;
    const struct member *like = node_member_like(self);
    char name[MEMBER_ADDRESS_BYTES_MAX + 1];

    if (like != NULL && like->id == self->id && strcmp(like->address, self->address) == 0) {
        node_change_done(self_p, false);
    } else if (like != NULL) {
        char *detail =
            zsys_sprintf("%s is a member with the id %" PRIu64 ": name, id and endpoints "
                         "are one member's alone, and who comes back without its data "
                         "comes under a new id, after the old one was removed",
                         member_word(like, MEMBER_NAME, name), like->id);
        node_change_refuse(self_p, ERR_EXISTS, detail);
        free(detail);
    } else if (replica_membership(replica)->count == MEMBERS_MAX) {
        node_change_refuse(self_p, ERR_LIMIT, "the group has as many members as it can have");
    } else {
        node_change_started(self_p,
                            replica_add(replica, self->id, self->address, node_change_made, self));
    }
}

static void node_member_promote(struct node_change **self_p)
{
    struct node_change *self = *self_p;
    struct replica *replica = self->node->replica;
    const struct member *member = membership_find(replica_membership(replica), self->id);

    if (member == NULL)
        node_change_refuse(self_p, ERR_NOT_FOUND, "the group has no member with that id");
    else if (member->role == MEMBER_VOTER)
        node_change_done(self_p, false);
    else
        node_change_started(self_p, replica_promote(replica, self->id, node_change_made, self));
}

static void node_member_remove(struct node_change **self_p)
{
    struct node_change *self = *self_p;
    struct replica *replica = self->node->replica;
    const struct membership *membership = replica_membership(replica);
    const struct member *member = membership_find(membership, self->id);

    if (member == NULL)
        node_change_done(self_p, false);
    else if (member->role == MEMBER_VOTER && membership_voters(membership) == 1)
        node_change_refuse(self_p, ERR_STATE, "it is the only voter of its group");
    else if (self->id == self->node->member->id)
        node_change_refuse(self_p, ERR_STATE, "it leads its group: move the leadership first");
    else
        node_change_started(self_p, replica_remove(replica, self->id, node_change_made, self));
}

/* It leads already. */
static void node_leader_stay(struct node_change **self_p)
{
    node_change_done(self_p, false);
}

/* ---- From the request to the decision ------------------------------------------------------ */

/* The read is confirmed (replica_read_fn). */
static void node_change_read(void *arg, int code)
{
    struct node_change *self = arg;
    struct replica *replica = self->node->replica;

    if (code == OK && !replica_is_leader(replica))
        code = ERR_NOT_LEADER;
    if (code == OK && self->id != 0 &&
        replica_membership_index(replica) > replica_commit_index(replica))
        code = ERR_BUSY;
    if (code != OK)
        node_change_refuse(&self, code, NULL);
    else
        self->decide(&self);
}

static struct node_change *node_change_new(struct node *node, struct node_call *call,
                                           node_decide_fn *decide)
{
    struct node_change *self = alloc_zero(sizeof *self);

    self->node = node;
    self->call = call;
    self->decide = decide;
    return self;
}

/* Go on when the leader's view is known to be the present one, or refuse a request that is wrong. */
static void node_change_ask(struct node_change *self, struct fields *fields)
{
    int64_t wait_ms = node_call_remaining_ms(self->call);
    int code = fields_end(fields);

    if (code != OK) {
        node_change_refuse(&self, code, fields->detail);
        return;
    }
    if (wait_ms > READ_WAIT_MS)
        wait_ms = READ_WAIT_MS;
    code = replica_read(self->node->replica, clock_ms() + wait_ms, node_change_read, self);
    if (code != OK)
        node_change_refuse(&self, code, NULL);
}

/* Begin with a request about one member, whose id is all that it says. */
static struct node_change *node_change_of(struct node *node, struct node_call *call,
                                          struct fields *fields, json_t *request,
                                          node_decide_fn *decide)
{
    struct node_change *self = node_change_new(node, call, decide);
    int64_t id = 0;

    fields_init(fields, request);
    fields_integer(fields, "id", 1, CONFIG_ID_MAX, &id);
    self->id = (uint64_t)id;
    return self;
}

static void node_run_members(void *arg, struct node_call *call, json_t *request)
{
    struct fields fields;

    fields_init(&fields, request);
    node_change_ask(node_change_new(arg, call, node_members_list), &fields);
}

/* Read an endpoint of the member, which is good for others to connect to. */
static void node_read_endpoint(struct fields *fields, const char *name, struct text *endpoint)
{
    if (!fields_text(fields, name, 1, MEMBER_ADDRESS_BYTES_MAX, endpoint))
        return;
    const char *wanted = config_value_check(CONFIG_VALUE_ENDPOINT, endpoint->data);
    if (wanted != NULL)
        fields_fail(fields, name, "must be %s", wanted);
}

static void node_run_add(void *arg, struct node_call *call, json_t *request)
{
    struct fields fields;
    struct node_change *self = node_change_of(arg, call, &fields, request, node_member_add);
    struct text name = TEXT("");
    struct text peer = TEXT("");
    struct text snapshots = TEXT("");

    if (fields_text(&fields, "name", 1, NODE_NAME_BYTES_MAX, &name) &&
        !config_value_is_name(name.data))
        fields_fail(&fields, "name",
                    "must be a lower case letter, then such letters, digits and -");
    node_read_endpoint(&fields, "peer", &peer);
    node_read_endpoint(&fields, "snapshots", &snapshots);
    int size = snprintf(self->address, sizeof self->address, "%s %s %s", name.data, peer.data,
                        snapshots.data);
    if (size >= (int)sizeof self->address)
        fields_fail(&fields, "", "has more than %d bytes of name and endpoints",
                    MEMBER_ADDRESS_BYTES_MAX);
    node_change_ask(self, &fields);
}

static void node_run_promote(void *arg, struct node_call *call, json_t *request)
{
    struct fields fields;
    struct node_change *self = node_change_of(arg, call, &fields, request, node_member_promote);

    node_change_ask(self, &fields);
}

static void node_run_remove(void *arg, struct node_call *call, json_t *request)
{
    struct fields fields;
    struct node_change *self = node_change_of(arg, call, &fields, request, node_member_remove);

    node_change_ask(self, &fields);
}

/* ---- Another leader ------------------------------------------------------------------------ */

void node_members_moved(struct node *self)
{
    if (self->moving != NULL)
        node_answer(&self->moving, json_pack("{s:b}", "changed", 1));
}

void node_members_on_move_end(void *arg)
{
    struct node *self = arg;

    if (self->moving != NULL)
        node_refuse(&self->moving, ERR_UNAVAILABLE, "it did not take over in time", NULL);
}

/* Hand over to a member, and answer when this one leads no more. Not from within a callback of the
 * replica, and so without a confirmed read: who leads no more can hand over nothing. */
static void node_move(struct node *self, struct node_call *call, const struct member *to)
{
    /* What the driver takes for itself to give it up, and the new leader's election. */
    const int64_t end_ms = clock_ms() + 2 * (int64_t)self->config->election_ms;

    self->moving = call;
    int code = replica_transfer(self->replica, to->id);
    if (code == OK)
        alarm_set(self->move_end, end_ms);
    else
        node_refuse(&self->moving, code,
                    code == ERR_UNAVAILABLE ? "that member does not answer" : NULL, NULL);
}

static void node_run_move(void *arg, struct node_call *call, json_t *request)
{
    struct node *node = arg;
    struct fields fields;
    struct node_change *self = node_change_of(node, call, &fields, request, node_leader_stay);
    const struct member *to = membership_find(replica_membership(node->replica), self->id);

    if (fields_end(&fields) != OK || self->id == node->member->id) {
        node_change_ask(self, &fields);
        return;
    }
    node_change_end(&self);
    if (to == NULL)
        node_refuse(&call, ERR_NOT_FOUND, "the group has no member with that id", NULL);
    else if (to->role != MEMBER_VOTER)
        node_refuse(&call, ERR_STATE, "it has no vote", NULL);
    else if (node->moving != NULL)
        node_refuse(&call, ERR_BUSY, "the leadership is being moved", NULL);
    else
        node_move(node, call, to);
}

const struct node_operation node_member_operations[] = {
    {.name = "members", .kind = NODE_WRITE, .secret = true, .run = node_run_members},
    {.name = "member_add", .kind = NODE_WRITE, .secret = true, .run = node_run_add},
    {.name = "member_promote", .kind = NODE_WRITE, .secret = true, .run = node_run_promote},
    {.name = "member_remove", .kind = NODE_WRITE, .secret = true, .run = node_run_remove},
    {.name = "leader_move", .kind = NODE_WRITE, .secret = true, .run = node_run_move},
};
const size_t node_member_operation_count =
    sizeof node_member_operations / sizeof node_member_operations[0];
