/* A broker whose part is played by the test: a ROUTER in the test's own loop,
 * which records what peers send and says what the test has it say.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_TESTS_LIB_SCRIPTED_BROKER_H
#define PYGMY_TESTS_LIB_SCRIPTED_BROKER_H

#include <czmq.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "broker/bus/pack.h"

/* Write an address to bind to into @text, of SCRIPTED_ADDRESS_BYTES: any free port of a loopback
 * address that is this process' own. Another process can't take it while its listener is down: tests
 * run side by side, and czmq gives each of them the same "random" ports. The ports are below those that
 * the system gives to outgoing connections (ip_local_port_range), one of which may be taken, while its
 * listener is down, by the very connection that looks for it. */
#define SCRIPTED_ADDRESS_BYTES 64
void scripted_address(char *text);

/* A record that came, with copies of what it points to. */
struct scripted_record {
    uint64_t peer;    /* number of the connection, from 1 in order of appearance */
    uint64_t message; /* number of the message, from 1 */
    uint8_t command;
    uint8_t flags;
    uint16_t status;
    uint16_t attempt;
    uint32_t number;
    uint64_t correlation;
    char *service;
    char *body; /* NUL-terminated */
    size_t body_len;
};

struct scripted_broker {
    zloop_t *loop;
    char side;
    char endpoint[64];
    zsock_t *router;   /* NULL while it is down */
    bool mute;         /* it sends no heartbeats */
    zlistx_t *peers;   /* struct frame: routing ids, in order of appearance, over all its lives */
    size_t gone_count; /* of those, the ones of earlier lives */
    zlistx_t *records; /* struct scripted_record, heartbeats left out */
    size_t beat_count; /* heartbeats that came */
    uint64_t message_count;
};

/* Listen at a free port of the loopback, for peers of @side. */
struct scripted_broker *scripted_broker_new(zloop_t *loop, char side);
void scripted_broker_destroy(struct scripted_broker **self_p);

/* Die as by a signal, and come back at the same address. */
void scripted_broker_stop(struct scripted_broker *self);
void scripted_broker_start(struct scripted_broker *self);

/* Read, or don't, from now on. */
void scripted_broker_set_deaf(struct scripted_broker *self, bool deaf);

/* The number of records with @command that came so far, and the @nth of them, from 0. */
size_t scripted_broker_count(struct scripted_broker *self, uint8_t command);
struct scripted_record *scripted_broker_nth(struct scripted_broker *self, uint8_t command,
                                            size_t nth);

/* Send @count records to a peer as one message. */
void scripted_broker_send(struct scripted_broker *self, uint64_t peer,
                          const struct pack_record *records, size_t count);
/* Answer a request of a client. */
void scripted_broker_reply(struct scripted_broker *self, const struct scripted_record *request,
                           int code, const char *body);
/* Give a request to a worker. */
void scripted_broker_request(struct scripted_broker *self, uint64_t peer, uint64_t correlation,
                             uint32_t remaining_ms, const char *body);
void scripted_broker_command(struct scripted_broker *self, uint64_t peer, uint8_t command);

/* Run the loop until @condition holds, looking at it every millisecond; fail the test when it
 * does not within 40 s.
 *
 * Returns the milliseconds in which the loop ran: no more than two between two looks, so that what a
 * busy machine does meanwhile hardly counts. */
typedef bool scripted_condition_fn(void *arg);
int64_t scripted_run_until(zloop_t *loop, scripted_condition_fn *condition, void *arg);

/* Run the loop until @count records of @command have come; fail the test and return as above. */
int64_t scripted_broker_await(struct scripted_broker *self, uint8_t command, size_t count);

/* Run the loop for a while: for what must not happen, and must be given the time to. */
void scripted_run_for(zloop_t *loop, int64_t duration_ms);

/* Let time pass while the loop does not run: as a long handler does, or a stopped process. */
void scripted_hold_up(int64_t duration_ms);

#endif
