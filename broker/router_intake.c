/* What peers say: recognised, checked against their role, and handed on.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <string.h>

#include "broker/bus/err.h"
#include "broker/bus/key.h"
#include "broker/bus/mdp.h"
#include "broker/bus/pack.h"
#include "broker/router_state.h"

#define MMI_PREFIX  "mmi."
#define MMI_SERVICE "mmi.service"

static bool text_is(const char *data, size_t size, const char *text)
{
    return size == strlen(text) && (size == 0 || memcmp(data, text, size) == 0);
}

static bool text_begins(const char *data, size_t size, const char *prefix)
{
    return size >= strlen(prefix) && memcmp(data, prefix, strlen(prefix)) == 0;
}

/* ---- Clients ---------------------------------------------------------- */

/* 8/MMI: whether a service has a worker, busy or idle. */
static const char *intake_mmi_answer(struct router *self, const struct ask *ask)
{
    if (!text_is(ask->service, ask->service_len, MMI_SERVICE))
        return "501";
    const char *name = (const char *)(ask->body.count > 0 ? frame_data(&ask->body.first) : NULL);
    const size_t size = ask->body.count > 0 ? frame_size(&ask->body.first) : 0;
    if (!service_name_valid(name, size))
        return "404";
    if (text_is(name, size, self->name))
        return "200";
    const struct service *service = service_find(self->services, name, size);
    return service != NULL && service->worker_count > 0 ? "200" : "404";
}

static void intake_mmi(struct router *self, struct peer *client, struct ask *ask)
{
    const char *answer = intake_mmi_answer(self, ask);
    struct frame name;
    frame_init_copy(&name, ask->service, ask->service_len);
    struct parcel *parcel = router_post(self, client, PACK_REPLY, client->extension ? NULL : &name);
    frame_close(&name);
    body_close(&ask->body);
    parcel->dialect = ask->dialect;
    parcel->correlation = ask->correlation;
    body_copy_bytes(&parcel->body, answer, strlen(answer));
    self->results[SERVICE_MMI][RESULT_OK]++;
}

static void intake_request(struct router *self, struct peer *client, struct ask *ask)
{
    if (client->role != PEER_CLIENT)
        member_client(self, client);
    if (!service_name_valid(ask->service, ask->service_len)) {
        dispatch_refuse(self, client, ask, ERR_MALFORMED);
        member_strike(self, client);
    } else if (text_begins(ask->service, ask->service_len, MMI_PREFIX))
        intake_mmi(self, client, ask);
    else
        dispatch_accept(self, client, ask);
}

/* ---- Workers ---------------------------------------------------------- */

/* Names that are the store's own: registering one takes the cluster's secret, if there is one. */
static bool intake_protected(const char *name, size_t size)
{
    return text_begins(name, size, "catalog") || text_begins(name, size, "order") ||
           text_begins(name, size, "node.");
}

static bool intake_secret_equal(const struct router *self, const uint8_t *secret, size_t size)
{
    char text[KEY_BYTES_MAX + 1];
    if (size >= sizeof text || memchr(secret, '\0', size) != NULL)
        return false;
    memcpy(text, secret, size);
    text[size] = '\0';
    return key_secret_equal(self->secret, text);
}

static bool intake_ready_permitted(const struct router *self, const char *name, size_t size,
                                   const uint8_t *secret, size_t secret_size)
{
    if (self->draining || text_begins(name, size, MMI_PREFIX) || text_is(name, size, self->name))
        return false;
    if (self->secret == NULL || !intake_protected(name, size))
        return true;
    return secret_size > 0 && intake_secret_equal(self, secret, secret_size);
}

static void intake_ready(struct router *self, struct peer *peer, const char *name, size_t size,
                         uint32_t credit, const uint8_t *secret, size_t secret_size)
{
    if (peer->role != PEER_NEW && peer->role != PEER_CLOSED) {
        member_misplaced(self, peer);
        return;
    }
    struct service *service = NULL;
    if (service_name_valid(name, size) &&
        intake_ready_permitted(self, name, size, secret, secret_size))
        service = service_obtain(self->services, name, size, self->now_ms);
    if (service == NULL)
        member_refuse(self, peer);
    else
        member_worker(self, peer, service, credit);
}

/* ---- The extension ---------------------------------------------------- */

/* The body of a record: the body frame itself when it is that of one record, else a copy. */
static void intake_body(struct message *message, const struct pack_record *record,
                        struct body *body)
{
    if (message->count == 2 && record->body_len == frame_size(&message->frames[1]))
        body_take_frame(body, &message->frames[1]);
    else
        body_copy_bytes(body, record->body, record->body_len);
}

static void intake_hello(struct router *self, struct peer *peer, const struct pack_record *record)
{
    if (self->secret != NULL && record->body_len > 0 &&
        !intake_secret_equal(self, record->body, record->body_len)) {
        member_refuse(self, peer);
        return;
    }
    const bool again = peer->role == PEER_CLIENT && peer->class == PEER_CLASS_OURS;
    peer_set_name(peer, record->service, record->service_len);
    if (peer->role != PEER_CLIENT)
        member_client(self, peer);
    peer_classify(self->peers, peer, PEER_CLASS_OURS, self->awake_ms);
    if (!again)
        router_tell(self, NOTE_CLIENT_JOINED, peer, "", 0);
    if (self->draining)
        router_post(self, peer, PACK_GOING_AWAY, NULL);
}

static void intake_ours_client(struct router *self, struct peer *peer, struct message *message,
                               const struct pack_record *record)
{
    struct ask ask = {.service = record->service,
                      .service_len = record->service_len,
                      .correlation = record->correlation,
                      .budget_ms = record->number,
                      .replay_safe = (record->flags & PACK_REPLAY_SAFE) != 0};
    switch (record->command) {
    case PACK_HELLO: intake_hello(self, peer, record); break;
    case PACK_REQUEST:
        intake_body(message, record, &ask.body);
        intake_request(self, peer, &ask);
        break;
    case PACK_HEARTBEAT:
        /* From one we don't know: we were started again, or gave it up. It must say HELLO. */
        if (peer->role != PEER_CLIENT)
            member_misplaced(self, peer);
        break;
    case PACK_DISCONNECT: member_close(self, peer, false); break;
    case PACK_GOING_AWAY: break;
    default: member_misplaced(self, peer); break;
    }
}

static void intake_ours_worker(struct router *self, struct peer *peer, struct message *message,
                               const struct pack_record *record)
{
    if (record->command == PACK_READY) {
        intake_ready(self, peer, record->service, record->service_len, record->number, record->body,
                     record->body_len);
        return;
    }
    if (record->command == PACK_DISCONNECT) {
        member_close(self, peer, false);
        return;
    }
    if (peer->role != PEER_WORKER) {
        member_misplaced(self, peer);
        return;
    }
    struct body body = {0};
    switch (record->command) {
    case PACK_REPLY:
        intake_body(message, record, &body);
        dispatch_reply(self, peer, record->correlation, record->status, &body);
        break;
    case PACK_HEARTBEAT:
        if (!text_is(record->service, record->service_len, peer->name))
            peer_set_name(peer, record->service, record->service_len);
        member_set_credit(self, peer, record->number);
        break;
    case PACK_GOING_AWAY:
        if (!peer->leaving)
            router_tell(self, NOTE_WORKER_LEAVING, peer, peer->service->name, 0);
        peer->leaving = true;
        member_set_credit(self, peer, peer->credit);
        break;
    default: member_misplaced(self, peer); break;
    }
}

static void intake_ours(struct router *self, struct peer *peer, struct message *message, char side)
{
    struct pack_record records[BATCH_COUNT_MAX];
    size_t count = 0;
    const bool worker_side = side == 'W';
    if (peer->role == PEER_NEW || peer->role == PEER_CLOSED) {
        peer->extension = true;
        peer->worker_side = worker_side;
    }
    if (!peer->extension || peer->worker_side != worker_side) {
        member_misplaced(self, peer);
        return;
    }
    if (pack_read(message, side, records, &count) != 0) {
        member_strike(self, peer);
        return;
    }
    for (size_t i = 0; i < count; i++) {
        if (worker_side)
            intake_ours_worker(self, peer, message, &records[i]);
        else
            intake_ours_client(self, peer, message, &records[i]);
        if (peer->role == PEER_CLOSED)
            return;
    }
}

/* ---- Plain Majordomo -------------------------------------------------- */

static void intake_plain_request(struct router *self, struct peer *peer, struct message *message,
                                 const struct mdp_message *read)
{
    if (peer->role == PEER_WORKER || peer->extension) {
        member_misplaced(self, peer);
        return;
    }
    const struct frame *name = &message->frames[read->service];
    struct ask ask = {.service = (const char *)frame_data(name),
                      .service_len = frame_size(name),
                      .dialect = read->dialect,
                      .replay_safe = true};
    body_take_message(&ask.body, message, read->body);
    intake_request(self, peer, &ask);
}

static void intake_plain_reply(struct router *self, struct peer *peer, struct message *message,
                               const struct mdp_message *read)
{
    struct body body;
    if (!read->known) {
        member_strike(self, peer);
        return;
    }
    body_take_message(&body, message, read->body);
    if (read->command == MDP_PARTIAL)
        dispatch_partial(self, peer, read->address, &body);
    else
        dispatch_reply(self, peer, read->address, OK, &body);
}

static void intake_plain_worker(struct router *self, struct peer *peer, struct message *message,
                                const struct mdp_message *read)
{
    const struct frame *name = &message->frames[read->service];
    switch (read->command) {
    case MDP_READY:
        intake_ready(self, peer, (const char *)frame_data(name), frame_size(name), 1, NULL, 0);
        return;
    case MDP_DISCONNECT: member_close(self, peer, false); return;
    default: break;
    }
    if (peer->role != PEER_WORKER)
        member_misplaced(self, peer);
    else if (read->command != MDP_HEARTBEAT)
        intake_plain_reply(self, peer, message, read);
}

static void intake_plain(struct router *self, struct peer *peer, struct message *message)
{
    struct mdp_message read;
    if (mdp_read(message, &read) != 0 || message->count - read.body > BODY_FRAMES_MAX) {
        member_strike(self, peer);
        return;
    }
    if (peer->role == PEER_NEW || peer->role == PEER_CLOSED) {
        peer->extension = false;
        peer->worker_side = read.from_worker;
    }
    if (peer->extension) {
        member_misplaced(self, peer);
        return;
    }
    peer->dialect = read.dialect;
    if (read.from_worker)
        intake_plain_worker(self, peer, message, &read);
    else
        intake_plain_request(self, peer, message, &read);
}

void intake_receive(struct router *self, struct peer *peer, struct message *message)
{
    if (pack_is(message, 'C'))
        intake_ours(self, peer, message, 'C');
    else if (pack_is(message, 'W'))
        intake_ours(self, peer, message, 'W');
    else
        intake_plain(self, peer, message);
}
