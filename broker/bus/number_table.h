/* A zhashx_t whose keys are numbers that stand in what it holds.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_BUS_NUMBER_TABLE_H
#define PYGMY_BUS_NUMBER_TABLE_H

#include <czmq.h>

/* Keys are pointers to uint64_t, not copied: each stays where it is for as long as its item is in
 * the table. They are numbers of one's own: who lets others choose them lets them fill one slot. */
zhashx_t *number_table_new(void);

#endif
