/* See parcel.h.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/parcel.h"

#include <assert.h>
#include <stdlib.h>

#include "broker/bus/alloc.h"
#include "broker/bus/limits.h"
#include "broker/bus/mdp.h"

struct parcel *parcel_add(struct peer *peer, enum pack_command command, struct frame *name)
{
    struct parcel *parcel = alloc_zero(sizeof *parcel);
    parcel->command = command;
    parcel->dialect = peer->dialect;
    if (name != NULL)
        frame_share(&parcel->name, name);
    else
        frame_init(&parcel->name);
    list_add_last(&peer->parcels, &parcel->link);
    return parcel;
}

static struct parcel *parcel_first(const struct peer *peer)
{
    struct list_link *link = list_first(&peer->parcels);
    return link == NULL ? NULL : LIST_OBJECT(link, struct parcel, link);
}

static void parcel_free(struct parcel *parcel)
{
    list_remove(&parcel->link);
    frame_close(&parcel->name);
    body_close(&parcel->body);
    free(parcel);
}

static void parcel_write_plain(struct parcel *parcel, struct message *message)
{
    switch (parcel->command) {
    case PACK_REQUEST: mdp_write_request(message, parcel->dialect, parcel->correlation); break;
    case PACK_REPLY:
        mdp_write_reply(message, parcel->dialect, parcel->partial ? MDP_PARTIAL : MDP_FINAL,
                        &parcel->name);
        break;
    case PACK_HEARTBEAT: mdp_write_control(message, parcel->dialect, MDP_HEARTBEAT); break;
    default:
        assert(parcel->command == PACK_DISCONNECT);
        mdp_write_control(message, parcel->dialect, MDP_DISCONNECT);
        break;
    }
    body_add_to(&parcel->body, message);
}

static struct pack_record parcel_record(const struct parcel *parcel)
{
    const bool body = parcel->body.bytes > 0;
    assert(parcel->body.count <= 1);
    return (struct pack_record){
        .command = (uint8_t)parcel->command,
        .flags = parcel->flags,
        .status = parcel->status,
        .number = parcel->number,
        .correlation = parcel->correlation,
        .attempt = parcel->attempt,
        .service = (const char *)frame_data(&parcel->name),
        .service_len = frame_size(&parcel->name),
        .body = body ? frame_data(&parcel->body.first) : NULL,
        .body_len = parcel->body.bytes,
    };
}

/* Write records of the first parcels, as many as one message takes, at least one. */
static size_t parcel_records(const struct peer *peer, struct pack_record *records)
{
    const struct list_link *link = list_first(&peer->parcels);
    size_t count = 0, bytes = 0;
    do {
        const struct parcel *parcel = LIST_OBJECT(link, struct parcel, link);
        bytes += parcel->body.bytes;
        if (count > 0 && bytes > BATCH_BYTES_MAX)
            break;
        records[count++] = parcel_record(parcel);
        link = list_after(&peer->parcels, link);
    } while (link != NULL && count < BATCH_COUNT_MAX);
    return count;
}

static void parcel_write_ours(struct peer *peer, struct message *message)
{
    struct pack_record records[BATCH_COUNT_MAX];
    const char side = peer->worker_side ? 'W' : 'C';
    const size_t count = parcel_records(peer, records);
    struct parcel *first = parcel_first(peer);
    if (count == 1 && first->body.bytes > 0)
        pack_write_frame(message, side, &records[0], &first->body.first);
    else
        pack_write(message, side, records, count);
    for (size_t i = 0; i < count; i++)
        parcel_free(parcel_first(peer));
}

void parcel_write(struct peer *peer, struct message *message)
{
    if (peer->extension) {
        parcel_write_ours(peer, message);
        return;
    }
    struct parcel *parcel = parcel_first(peer);
    parcel_write_plain(parcel, message);
    parcel_free(parcel);
}

void parcel_drop_all(struct peer *peer)
{
    struct parcel *parcel;
    while ((parcel = parcel_first(peer)) != NULL)
        parcel_free(parcel);
}
