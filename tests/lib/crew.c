/* See crew.h.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/crew.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/bus/alloc.h"

static const uint8_t uuid[16] = {7};

struct crew_node *crew_node(struct crew *self, uint64_t id)
{
    assert(id >= 1 && id <= self->count);
    return &self->nodes[id - 1];
}

const char *crew_address(uint64_t id)
{
    static const char *const addresses[] = {"",      "a 1 1", "b 2 2", "c 3 3",
                                            "d 4 4", "e 5 5", "f 6 6"};
    return addresses[id];
}

/* ---- Network ------------------------------------------------------------------------------------ */

static bool is_lost(struct crew *self, const struct peer_message *message)
{
    if (self->lose != NULL && self->lose(self->arg, message))
        return true;
    self->random = self->random * 6364136223846793005ULL + 1442695040888963407ULL;
    return (self->random >> 33) % 100 < self->loss_percent || message->to > self->count ||
           crew_node(self, message->to)->is_cut_off || crew_node(self, message->from)->is_cut_off;
}

static void post(struct crew *self, const struct peer_message *message)
{
    struct bytes_writer writer = {0};
    struct crew_packet *packet = alloc_zero(sizeof *packet);

    peer_message_encode(message, uuid, &writer);
    packet->at_ms = self->now_ms + 1;
    packet->to = message->to;
    packet->data = writer.data;
    packet->size = writer.size;
    *self->packets_end = packet;
    self->packets_end = &packet->next;
}

static void fill_from_disk(struct crew_node *node, struct peer_message *message)
{
    node->appends_on_disk++;
    message->append.entries = alloc_zero(message->append.count * sizeof(struct shared_entry *));
    for (size_t i = 0; i < message->append.count; i++) {
        const replica_index index = message->append.prev_index + 1 + i;
        assert(index >= node->disk.first && index <= node->disk.last);
        message->append.entries[i] = shared_entry_hold(node->disk.entries[index]);
    }
}

static void send_one(struct crew *self, struct crew_node *node, struct peer_message *message)
{
    node->messages++;
    /* C1: it speaks of no term that is not on the disk (a vote before the vote asks for the next). */
    assert(message->term <= node->disk.term ||
           (message->kind == PEER_VOTE && message->vote.pre_vote) ||
           (message->kind == PEER_VOTE_RESULT && message->vote_result.pre_vote));
    if (!is_lost(self, message))
        post(self, message);
    peer_message_close(message);
}

static void send_all(struct crew *self, struct crew_node *node, struct peer_message *message)
{
    struct peer_message rest = {0};

    if (message->kind == PEER_APPEND && message->append.count > 0) {
        if (message->append.entries == NULL)
            fill_from_disk(node, message);
        while (consensus_split_append(message, &rest)) {
            send_one(self, node, message);
            *message = rest;
        }
    }
    send_one(self, node, message);
}

static void deliver(struct crew *self, struct crew_packet *packet)
{
    struct crew_node *node = crew_node(self, packet->to);
    struct peer_message message;

    if (node->consensus != NULL && !node->is_cut_off) {
        int code = peer_message_decode(&message, uuid, packet->data, packet->size);
        assert(code == 0);
        consensus_receive(node->consensus, &message, self->now_ms);
        crew_follow(self, node);
    }
    free(packet->data);
    free(packet);
}

static void deliver_due(struct crew *self)
{
    while (self->packets != NULL && self->packets->at_ms <= self->now_ms) {
        struct crew_packet *packet = self->packets;
        self->packets = packet->next;
        if (self->packets == NULL)
            self->packets_end = &self->packets;
        deliver(self, packet);
    }
}

void crew_inject(struct crew *self, struct peer_message *message)
{
    struct crew_node *node = crew_node(self, message->to);

    consensus_receive(node->consensus, message, self->now_ms);
    crew_follow(self, node);
}

/* ---- Disk --------------------------------------------------------------------------------------- */

static void disk_cut(struct crew_disk *disk, replica_index index)
{
    for (; disk->last >= index && disk->last >= disk->first; disk->last--)
        shared_entry_release(&disk->entries[disk->last]);
}

static void disk_write(struct crew_disk *disk, struct consensus_write *write)
{
    if (write->term != 0) {
        assert(write->term > disk->term || (write->term == disk->term && disk->vote == 0));
        disk->term = write->term;
        disk->vote = write->vote;
    }
    for (size_t i = 0; i < write->count; i++) {
        struct shared_entry *entry = write->entries[i];
        if (i == 0)
            disk_cut(disk, entry->entry.index);
        assert(entry->entry.index == disk->last + 1 && entry->entry.index <= CREW_ENTRIES_MAX);
        assert(entry->entry.term <= disk->term);
        disk->entries[++disk->last] = shared_entry_hold(entry);
    }
}

static void write_close(struct crew_write *write)
{
    struct consensus_action action = {.kind = CONSENSUS_WRITE, .write = write->write};

    consensus_action_close(&action);
    free(write);
}

static void persist_one(struct crew *self, struct crew_node *node)
{
    struct crew_write *write = node->writes;

    node->writes = write->next;
    disk_write(&node->disk, &write->write);
    write_close(write);
    consensus_persisted(node->consensus, self->now_ms);
    crew_follow(self, node);
}

static void install(struct crew *self, struct crew_node *node)
{
    struct crew_disk *disk = &node->disk;

    node->installs = false;
    disk_cut(disk, disk->first);
    disk->snapshot = node->install;
    disk->first = disk->snapshot.index + 1;
    disk->last = disk->snapshot.index;
    node->applied = disk->snapshot.index;
    consensus_snapshot_installed(node->consensus, self->now_ms);
    crew_follow(self, node);
}

/* ---- Actions ------------------------------------------------------------------------------------ */

static void begin_write(struct crew_node *node, const struct consensus_action *action)
{
    struct crew_write **end = &node->writes;

    while (*end != NULL)
        end = &(*end)->next;
    *end = alloc_zero(sizeof **end);
    (*end)->write = action->write;
}

static void apply(struct crew_node *node)
{
    const replica_index durable = consensus_durable_index(node->consensus);

    while (!node->installs && node->applied < node->seen_commit && node->applied < durable)
        node->applied++;
    consensus_applied(node->consensus, node->applied);
}

static void follow_one(struct crew *self, struct crew_node *node, struct consensus_action *action)
{
    switch (action->kind) {
    case CONSENSUS_WRITE: begin_write(node, action); break;
    case CONSENSUS_SEND: send_all(self, node, &action->message); break;
    case CONSENSUS_COMMIT:
        assert(action->commit > node->seen_commit);
        node->seen_commit = action->commit;
        break;
    case CONSENSUS_ROLE: node->role = *action; break;
    case CONSENSUS_MEMBERS: break;
    case CONSENSUS_FETCH:
        node->fetches++;
        node->fetch = *action;
        node->wanted = *action->fetch.snapshot;
        break;
    case CONSENSUS_INSTALL:
        node->installs = true;
        node->install = *action->install;
        break;
    case CONSENSUS_READ:
        node->read_ticket = action->read.ticket;
        node->read_index = action->read.index;
        break;
    }
}

void crew_follow(struct crew *self, struct crew_node *node)
{
    struct consensus_action action;

    while (consensus_next(node->consensus, &action))
        follow_one(self, node, &action);
    apply(node);
    consensus_check(node->consensus);
}

/* ---- Time --------------------------------------------------------------------------------------- */

/* What is to be fetched is there at once, if who offered it still has it. */
static void fetch(struct crew *self, struct crew_node *node)
{
    const struct consensus_action action = node->fetch;
    const struct snapshot_mark mark = node->wanted;

    node->fetch = (struct consensus_action){0};
    if (node->ignores_fetches ||
        !snapshot_mark_same(&crew_node(self, action.fetch.from)->disk.snapshot, &mark))
        return;
    consensus_snapshot_fetched(node->consensus, &mark, action.fetch.from, action.fetch.term,
                               self->now_ms);
    crew_follow(self, node);
}

static void turn(struct crew *self, struct crew_node *node)
{
    while (node->consensus != NULL && node->writes != NULL && !node->disk_is_stalled)
        persist_one(self, node);
    if (node->consensus != NULL && node->fetch.fetch.from != 0)
        fetch(self, node);
    if (node->consensus != NULL && node->installs && node->writes == NULL && !node->disk_is_stalled)
        install(self, node);
    if (node->consensus != NULL && consensus_deadline_ms(node->consensus) <= self->now_ms) {
        consensus_tick(node->consensus, self->now_ms);
        crew_follow(self, node);
    }
}

void crew_run(struct crew *self, int64_t ms)
{
    for (int64_t end_ms = self->now_ms + ms; self->now_ms < end_ms;) {
        self->now_ms++;
        deliver_due(self);
        for (size_t i = 0; i < self->count; i++)
            turn(self, &self->nodes[i]);
    }
}

uint64_t crew_leader(const struct crew *self)
{
    replica_term term = 0;
    uint64_t id = 0;

    for (size_t i = 0; i < self->count; i++) {
        const struct consensus *consensus = self->nodes[i].consensus;
        if (consensus == NULL || consensus_role(consensus) != CONSENSUS_LEADER ||
            self->nodes[i].is_cut_off)
            continue;
        assert(consensus_term(consensus) != term);
        if (consensus_term(consensus) > term) {
            term = consensus_term(consensus);
            id = self->nodes[i].id;
        }
    }
    return id;
}

uint64_t crew_elect(struct crew *self)
{
    for (int ms = 0; ms < 10000; ms++) {
        const uint64_t id = crew_leader(self);
        if (id != 0 && crew_node(self, id)->applied >= crew_node(self, id)->role.role.barrier &&
            crew_node(self, id)->role.role.barrier != 0)
            return id;
        crew_run(self, 1);
    }
    assert(false && "no leader within 10 s");
    return 0;
}

/* ---- Nodes -------------------------------------------------------------------------------------- */

void crew_crash(struct crew *self, uint64_t id)
{
    struct crew_node *node = crew_node(self, id);

    consensus_destroy(&node->consensus);
    while (node->writes != NULL) {
        struct crew_write *write = node->writes;
        node->writes = write->next;
        write_close(write);
    }
    node->installs = false;
    node->fetch = (struct consensus_action){0};
    node->read_ticket = 0;
    node->role = (struct consensus_action){0};
}

/* What the disk holds, as a driver wants to be told. */
static void read_disk(const struct crew_disk *disk, struct consensus_start *start,
                      replica_term *terms, struct shared_entry **memberships)
{
    *start = (struct consensus_start){.term = disk->term,
                                      .vote = disk->vote,
                                      .first_index = disk->first,
                                      .count = (size_t)(disk->last + 1 - disk->first),
                                      .terms = terms,
                                      .memberships = memberships};
    if (disk->snapshot.index != 0)
        start->snapshot = &disk->snapshot;
    start->last_log_time_ms = disk->snapshot.log_time_ms;
    for (replica_index i = disk->first; i <= disk->last; i++) {
        terms[i - disk->first] = disk->entries[i]->entry.term;
        start->last_log_time_ms = disk->entries[i]->entry.log_time_ms;
        if (disk->entries[i]->entry.kind == LOG_ENTRY_MEMBERSHIP)
            memberships[start->membership_count++] = disk->entries[i];
    }
}

void crew_start(struct crew *self, uint64_t id)
{
    static const size_t room = CREW_ENTRIES_MAX + 1;
    struct crew_node *node = crew_node(self, id);
    replica_term *terms = alloc_zero(room * sizeof *terms);
    struct shared_entry **memberships = alloc_zero(room * sizeof(struct shared_entry *));
    struct consensus_start start;
    const struct consensus_options options = {.id = id,
                                              .start_id = 1000 + ++self->starts,
                                              .address = crew_address(id),
                                              .seed = (unsigned)(id * 7919 + self->starts * 104729),
                                              .election_ms = CREW_ELECTION_MS,
                                              .heartbeat_ms = 15,
                                              .snapshot_retry_ms = 200,
                                              .in_flight_max = self->in_flight_max,
                                              .pre_vote = self->pre_vote};

    assert(node->consensus == NULL);
    read_disk(&node->disk, &start, terms, memberships);
    node->consensus = consensus_new(&options, &start, self->now_ms);
    assert(node->consensus != NULL);
    node->applied = node->disk.snapshot.index;
    node->seen_commit = 0;
    free(terms);
    free(memberships);
    crew_follow(self, node);
}

void crew_membership(size_t voters, struct bytes_writer *writer)
{
    struct membership membership = {.count = voters};

    for (size_t i = 0; i < voters; i++) {
        membership.members[i].id = i + 1;
        membership.members[i].role = MEMBER_VOTER;
        memcpy(membership.members[i].address, crew_address(i + 1), strlen(crew_address(i + 1)));
    }
    membership_encode(&membership, writer);
}

static void found(struct crew_node *node, size_t voters)
{
    struct bytes_writer writer = {0};

    crew_membership(voters, &writer);
    node->disk.term = 1;
    node->disk.last = 1;
    node->disk.entries[1] = shared_entry_new(&(struct log_entry){.index = 1,
                                                                 .term = 1,
                                                                 .kind = LOG_ENTRY_MEMBERSHIP,
                                                                 .data = writer.data,
                                                                 .size = writer.size});
    bytes_writer_close(&writer);
}

struct crew *crew_new(size_t voters, size_t others)
{
    struct crew *self = alloc_zero(sizeof *self);

    assert(voters + others <= CREW_NODES_MAX);
    self->count = voters + others;
    self->now_ms = 1000;
    self->packets_end = &self->packets;
    self->random = 1;
    self->pre_vote = true;
    self->in_flight_max = PEER_IN_FLIGHT_MAX;
    for (size_t i = 0; i < self->count; i++) {
        self->nodes[i].id = i + 1;
        self->nodes[i].disk.first = 1;
        if (i < voters)
            found(&self->nodes[i], voters);
        crew_start(self, i + 1);
    }
    return self;
}

void crew_destroy(struct crew **self_p)
{
    struct crew *self = *self_p;

    for (size_t i = 0; i < self->count; i++) {
        crew_crash(self, i + 1);
        disk_cut(&self->nodes[i].disk, self->nodes[i].disk.first);
    }
    while (self->packets != NULL) {
        struct crew_packet *packet = self->packets;
        self->packets = packet->next;
        free(packet->data);
        free(packet);
    }
    free(self);
    *self_p = NULL;
}

/* ---- What tests ask for ------------------------------------------------------------------------- */

int crew_submit(struct crew *self, uint64_t id, const char *text, replica_index *index)
{
    struct crew_node *node = crew_node(self, id);
    const struct log_entry entry = {.kind = LOG_ENTRY_COMMAND,
                                    .log_time_ms = self->now_ms,
                                    .data = (const uint8_t *)text,
                                    .size = strlen(text)};
    int code = consensus_submit(node->consensus, &entry, 1, index, self->now_ms);

    crew_follow(self, node);
    return code;
}

void crew_put(struct crew *self, uint64_t id, replica_term term, const char *text)
{
    struct crew_disk *disk = &crew_node(self, id)->disk;

    assert(crew_node(self, id)->consensus == NULL && term >= disk->term);
    if (term > disk->term)
        disk->vote = 0;
    disk->term = term;
    disk->last++;
    disk->entries[disk->last] = shared_entry_new(&(struct log_entry){.index = disk->last,
                                                                     .term = term,
                                                                     .kind = LOG_ENTRY_COMMAND,
                                                                     .data = (const uint8_t *)text,
                                                                     .size = strlen(text)});
}

void crew_leave_alone(struct crew *self, uint64_t id)
{
    for (uint64_t other = 1; other <= self->count; other++)
        if (other != id && crew_node(self, other)->consensus != NULL)
            crew_crash(self, other);
}

bool crew_agrees(const struct crew *self, replica_index last)
{
    const struct crew_node *other = NULL;

    for (size_t i = 0; i < self->count; i++) {
        const struct crew_node *node = &self->nodes[i];
        if (node->consensus == NULL)
            continue;
        if (node->applied < last)
            return false;
        for (replica_index at = last; other != NULL; at--) {
            if (at < node->disk.first || at < other->disk.first)
                break;
            const struct log_entry *a = &node->disk.entries[at]->entry;
            const struct log_entry *b = &other->disk.entries[at]->entry;
            assert(a->term == b->term && a->size == b->size && a->kind == b->kind);
            assert(a->size == 0 || memcmp(a->data, b->data, a->size) == 0);
        }
        other = node;
    }
    return true;
}

void crew_converge(struct crew *self, replica_index last)
{
    for (int ms = 0; ms < 20000; ms++) {
        if (crew_agrees(self, last))
            return;
        crew_run(self, 1);
    }
    assert(false && "no agreement within 20 s");
}

void crew_snapshot(struct crew *self, uint64_t id, unsigned trailing)
{
    struct crew_node *node = crew_node(self, id);
    struct snapshot_mark mark = {.index = node->applied,
                                 .term = consensus_term_of(node->consensus, node->applied),
                                 .bytes = 100,
                                 .checksum = (uint32_t)(id * 1000 + node->applied)};

    if (node->applied >= node->disk.first)
        mark.log_time_ms = node->disk.entries[node->applied]->entry.log_time_ms;
    consensus_membership_at(node->consensus, mark.index, &mark.membership, &mark.membership_index);
    bool taken = consensus_snapshot_taken(node->consensus, &mark, trailing, self->now_ms);
    assert(taken);
    node->disk.snapshot = mark;
    for (; node->disk.first + trailing <= mark.index; node->disk.first++)
        shared_entry_release(&node->disk.entries[node->disk.first]);
    crew_follow(self, node);
}
