/* The feed: topics of what replicas publish.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_BUS_FEED_H
#define PYGMY_BUS_FEED_H

/* A topic that begins with this byte is between the replicas of a group, which connect to each
 * other: brokers never relay it. All other topics are for everybody. */
#define FEED_TOPIC_PRIVATE 0x00

/* What the topic of a group's stream of changes begins with: the group's name follows, and a NUL,
 * so that the topic of no group is the beginning of another's. A message is one frame, its topic
 * first: libzmq aborts the process that reads one of several when the connection is lost between
 * them. */
#define FEED_TOPIC_CHANGES "changes."
/* In the same way, of what the group's leader tells leased caches. */
#define FEED_TOPIC_LEASES "leases."

/* The streams of a group, by their topics. */
enum feed_stream { FEED_CHANGES, FEED_LEASES };
#define FEED_STREAMS 2

#endif
