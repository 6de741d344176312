/* The feed: topics of what replicas publish.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_BUS_FEED_H
#define PYGMY_BUS_FEED_H

/* A topic that begins with this byte is between the replicas of a group, which connect to each
 * other: brokers never relay it. All other topics are for everybody. */
#define FEED_TOPIC_PRIVATE 0x00

#endif
