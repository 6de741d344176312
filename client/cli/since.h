/* Where in the groups' streams of changes to begin, as --since has it: "1234" for one group, or
 * "catalog=1234,orders=56"; each number with "@" and the beginning of the uuid of the cluster that it
 * belongs to, if that is known ("1234@0123abcd"). Pure.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_CLI_SINCE_H
#define PYGMY_CLI_SINCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SINCE_GROUPS     2
#define SINCE_WHY_BYTES  128
#define SINCE_TEXT_BYTES 96
/* What is written of a cluster's uuid: to find a mistake, eight digits are enough. */
#define SINCE_CLUSTER_DIGITS     8
#define SINCE_CLUSTER_DIGITS_MAX 32

/* A group that is watched. */
struct since_group {
    const char *word;                           /* "catalog", "orders" */
    int64_t index;                              /* PYGMY_NOW: not given */
    char cluster[SINCE_CLUSTER_DIGITS_MAX + 1]; /* what its uuid begins with; "": not known */
};

/* Read @text into the groups that it names. Returns whether it is well-formed: else @why says
 * what is wrong with it. */
bool since_read(const char *text, struct since_group *groups, size_t group_count,
                char why[SINCE_WHY_BYTES]);

/* Write it, with a word to each number when @words, else as the number alone of one group;
 * groups that have no index are left out. Returns @text, "" when nothing is known. */
char *since_write(const struct since_group *groups, size_t group_count, bool words,
                  char text[SINCE_TEXT_BYTES]);

#endif
