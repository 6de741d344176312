/* The end of a replica that must not go on.
 *
 * A write or sync of its data has failed, its log holds an entry that it can't read, or its tables are
 * not those of a majority. Going on would tell others what no disk holds, or what is wrong; and starting
 * again would end here again, or read back from the kernel's memory what never reached the disk. So
 * who supervises the process does not start it again by itself.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_REPLICA_FATAL_H
#define PYGMY_REPLICA_FATAL_H

#define FATAL_EXIT_STATUS 5

#endif
