/* See crew_messages.h.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/crew_messages.h"

#include <assert.h>
#include <string.h>

#include "broker/bus/alloc.h"

static bool see(void *arg, const struct peer_message *message)
{
    struct crew_seen *seen = arg;

    if (message->kind == PEER_VOTE && message->vote.pre_vote)
        return false;
    seen->count[message->kind]++;
    seen->last[message->kind] = *message;
    if (message->kind == PEER_APPEND)
        seen->appended += message->append.count;
    return false;
}

void crew_watch(struct crew *crew, struct crew_seen *seen)
{
    *seen = (struct crew_seen){0};
    crew->lose = see;
    crew->arg = seen;
}

struct peer_message crew_heartbeat(uint64_t from, uint64_t to, replica_term term,
                                   replica_index prev_index, replica_term prev_term)
{
    struct peer_message message = {.kind = PEER_APPEND, .from = from, .to = to, .term = term};

    message.append.prev_index = prev_index;
    message.append.prev_term = prev_term;
    return message;
}

struct peer_message crew_append(uint64_t from, uint64_t to, replica_term term,
                                replica_index prev_index, replica_term prev_term,
                                replica_term entry_term, size_t count)
{
    struct peer_message message = crew_heartbeat(from, to, term, prev_index, prev_term);

    message.append.count = count;
    message.append.entries = alloc_zero(count * sizeof(struct shared_entry *));
    for (size_t i = 0; i < count; i++)
        message.append.entries[i] = shared_entry_new(&(struct log_entry){
            .index = prev_index + 1 + i, .term = entry_term, .kind = LOG_ENTRY_COMMAND});
    return message;
}

void crew_make_membership(struct peer_message *message, size_t place, size_t voters)
{
    struct log_entry entry = message->append.entries[place]->entry;
    struct bytes_writer writer = {0};

    crew_membership(voters, &writer);
    entry.kind = LOG_ENTRY_MEMBERSHIP;
    entry.data = writer.data;
    entry.size = writer.size;
    shared_entry_release(&message->append.entries[place]);
    message->append.entries[place] = shared_entry_new(&entry);
    bytes_writer_close(&writer);
}

void crew_vote_for(struct crew *crew, uint64_t from, uint64_t to, replica_term term)
{
    struct peer_message message = {.kind = PEER_VOTE_RESULT, .from = from, .to = to, .term = term};

    message.vote_result.granted = true;
    crew_inject(crew, &message);
}

void crew_ask_for_vote(struct crew *crew, uint64_t from, uint64_t to, replica_term term)
{
    struct peer_message message = {.kind = PEER_VOTE, .from = from, .to = to, .term = term};

    message.vote.last_index = 1000000;
    message.vote.last_term = term;
    crew_inject(crew, &message);
}

void crew_acknowledge(struct crew *crew, uint64_t from, uint64_t to, replica_term term,
                      replica_index last)
{
    crew_refuse(crew, from, to, term, 0, last);
}

void crew_refuse(struct crew *crew, uint64_t from, uint64_t to, replica_term term,
                 replica_index rejected, replica_index last)
{
    struct peer_message message = {
        .kind = PEER_APPEND_RESULT, .from = from, .to = to, .term = term};

    message.append_result.rejected = rejected;
    message.append_result.last_index = last;
    crew_inject(crew, &message);
}

struct crew *crew_of_none(size_t voters)
{
    struct crew *crew = crew_new(voters, 0);

    crew_leave_alone(crew, 1);
    crew_crash(crew, 1);
    return crew;
}

replica_term crew_stand(struct crew *crew, uint64_t id)
{
    const struct crew_node *node = crew_node(crew, id);

    crew->pre_vote = false;
    crew_start(crew, id);
    for (int ms = 0; ms < 1000 && consensus_role(node->consensus) == CONSENSUS_FOLLOWER; ms++)
        crew_run(crew, 1);
    assert(consensus_role(node->consensus) == CONSENSUS_CANDIDATE);
    return consensus_term(node->consensus);
}

replica_term crew_make_leader(struct crew *crew, uint64_t id)
{
    const replica_term term = crew_stand(crew, id);

    crew_run(crew, 1);
    for (uint64_t other = 1; other <= crew->count; other++)
        if (crew_node(crew, other)->consensus == NULL)
            crew_vote_for(crew, other, id, term);
    assert(consensus_role(crew_node(crew, id)->consensus) == CONSENSUS_LEADER);
    return term;
}
