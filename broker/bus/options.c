/* See options.h.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/bus/options.h"

#include <assert.h>
#include <czmq.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/bus/alloc.h"

static const struct option_row options_common[] = {
    {"config", "FILE", "the cluster's configuration (else PYGMY_CONFIG, else the default place)"},
    {"name", "NAME", "which node of it this process is (may be left out when there is one)"},
    {"set", "KEY=VALUE", "override a setting, for example cluster/log_level=debug; repeatable"},
    {"log-level", "LEVEL", "debug, info, warn or error: short for --set cluster/log_level=LEVEL"},
    {"check-config", NULL, "check the configuration and end"},
    {"print-config", NULL, "print all settings, each with its origin, and end"},
    {"help", NULL, "print this and end"},
    {"version", NULL, "print the version and end"},
};

#define OPTIONS_COMMON (sizeof options_common / sizeof options_common[0])

struct options_given {
    const struct option_row *row;
    const char *value; /* within argv; NULL for a flag */
};

struct options {
    const struct options_program *program;
    struct options_given *given; /* in the order of the command line */
    size_t given_count;
};

/* The rows of the program, then the common ones. */
static const struct option_row *options_row(const struct options_program *program, size_t index)
{
    assert(index < program->row_count + OPTIONS_COMMON);
    return index < program->row_count ? &program->rows[index]
                                      : &options_common[index - program->row_count];
}

static void options_print_help(const struct options_program *program)
{
    printf("Usage: %s [OPTION]...\n%s\n\nOptions:\n", program->name, program->summary);
    for (size_t i = 0; i < program->row_count + OPTIONS_COMMON; i++) {
        const struct option_row *row = options_row(program, i);
        const char *argument = row->argument != NULL ? row->argument : "";
        int width = 22 - (int)strlen(row->name) - (row->argument != NULL);
        printf("  --%s%s%-*s %s\n", row->name, row->argument != NULL ? "=" : "", width, argument,
               row->help);
    }
    printf("\nExit status: 0 after a clean end, 1 after a failure, 2 for a wrong option or "
           "configuration%s%s.\n",
           program->status != NULL ? ",\n" : "", program->status != NULL ? program->status : "");
}

/* getopt's table, made from ours in the same order: its index is that of our row. */
static struct option *options_table(const struct options_program *program)
{
    size_t count = program->row_count + OPTIONS_COMMON;
    struct option *table = alloc_zero((count + 1) * sizeof *table);
    for (size_t i = 0; i < count; i++) {
        const struct option_row *row = options_row(program, i);
        table[i].name = row->name;
        table[i].has_arg = row->argument != NULL ? required_argument : no_argument;
    }
    return table;
}

static void options_add(struct options *self, const struct option_row *row, const char *value)
{
    self->given = alloc_resize(self->given, (self->given_count + 1) * sizeof *self->given);
    self->given[self->given_count++] = (struct options_given){.row = row, .value = value};
}

/* getopt itself tells what is wrong with an option. */
static int options_read(struct options *self, int argc, char **argv)
{
    struct option *table = options_table(self->program);
    int index = 0;
    int found;

    optind = 0; /* GNU: start anew, also in a process that has read a command line before */
    opterr = 1;
    while ((found = getopt_long(argc, argv, "+", table, &index)) == 0)
        options_add(self, options_row(self->program, (size_t)index), optarg);
    free(table);
    if (found == -1 && optind < argc)
        fprintf(stderr, "%s: not an option: %s\n", argv[0], argv[optind]);
    if (found == -1 && optind == argc)
        return OPTIONS_GO_ON;
    fprintf(stderr, "Try %s --help\n", self->program->name);
    return OPTIONS_USAGE;
}

int options_parse(const struct options_program *program, int argc, char **argv,
                  struct options **self_p)
{
    struct options *self = alloc_zero(sizeof *self);
    self->program = program;
    *self_p = self;

    int status = options_read(self, argc, argv);
    if (status != OPTIONS_GO_ON)
        return status;
    if (options_count(self, "help") > 0)
        options_print_help(program);
    else if (options_count(self, "version") > 0)
        printf("%s %s\n", program->name, PYGMY_VERSION);
    else
        return OPTIONS_GO_ON;
    return 0;
}

void options_destroy(struct options **self_p)
{
    struct options *self = *self_p;
    if (self == NULL)
        return;
    free(self->given);
    free(self);
    *self_p = NULL;
}

size_t options_count(const struct options *self, const char *name)
{
    size_t count = 0;
    for (size_t i = 0; i < self->given_count; i++)
        count += strcmp(self->given[i].row->name, name) == 0;
    return count;
}

const char *options_value(const struct options *self, const char *name, size_t index)
{
    const char *value = NULL;
    for (size_t i = 0; i < self->given_count; i++) {
        if (strcmp(self->given[i].row->name, name) != 0)
            continue;
        value = self->given[i].value;
        if (index != OPTIONS_LAST && index-- == 0)
            return value;
    }
    return index == OPTIONS_LAST ? value : NULL;
}

/* The configuration with all --set flags; --log-level is the last of them. */
static int options_load_config(const struct options *self, struct config **config)
{
    size_t count = options_count(self, "set");
    const char **sets = alloc_zero((count + 1) * sizeof *sets);
    const char *level = options_value(self, "log-level", OPTIONS_LAST);
    char *level_set = NULL;
    char *error = NULL;

    for (size_t i = 0; i < count; i++)
        sets[i] = options_value(self, "set", i);
    if (level != NULL) {
        level_set = zsys_sprintf("cluster/log_level=%s", level);
        sets[count++] = level_set;
    }
    int rc = config_load(options_value(self, "config", OPTIONS_LAST), sets, count, config, &error);
    if (rc != 0)
        fprintf(stderr, "%s: %s\n", self->program->name, error);
    free(error);
    free(level_set);
    free(sets);
    return rc == 0 ? OPTIONS_GO_ON : OPTIONS_USAGE;
}

/* The node of --name, or the only one of the program's kind. */
static int options_find_node(const struct options *self, const struct config *config,
                             const struct config_node **node)
{
    const char *kind = config_kind_name(self->program->kind);
    const char *name = options_value(self, "name", OPTIONS_LAST);
    const struct config_node *found = name != NULL ? config_node(config, name) : NULL;

    if (name != NULL && (found == NULL || found->kind != self->program->kind)) {
        fprintf(stderr, "%s: %s has no %s named %s\n", self->program->name, config->path, kind,
                name);
        return OPTIONS_USAGE;
    }
    if (name == NULL && config_count(config, self->program->kind) != 1) {
        fprintf(stderr, "%s: %s has %zu %ss: say which by --name\n", self->program->name,
                config->path, config_count(config, self->program->kind), kind);
        return OPTIONS_USAGE;
    }
    for (size_t i = 0; found == NULL; i++)
        if (config->nodes[i].kind == self->program->kind)
            found = &config->nodes[i];
    *node = found;
    return OPTIONS_GO_ON;
}

static void options_print_config(const struct config *config)
{
    struct bytes_writer text = {0};
    config_print(config, &text);
    fwrite(text.data, 1, text.size, stdout);
    bytes_writer_close(&text);
}

int options_load(const struct options *self, struct config **config,
                 const struct config_node **node)
{
    *config = NULL;
    int status = options_load_config(self, config);
    if (status != OPTIONS_GO_ON)
        return status;
    if (options_count(self, "print-config") > 0) {
        options_print_config(*config);
        status = 0;
    } else if (options_count(self, "check-config") > 0) {
        printf("%s: good\n", (*config)->path);
        status = 0;
    } else {
        status = options_find_node(self, *config, node);
    }
    if (status != OPTIONS_GO_ON)
        config_destroy(config);
    return status;
}

int options_read_secret(const struct options *self, const char *path, char **secret)
{
    char *error = NULL;

    *secret = NULL;
    if (path == NULL || config_read_secret(path, secret, &error) == 0)
        return OPTIONS_GO_ON;
    fprintf(stderr, "%s: %s\n", self->program->name, error);
    free(error);
    return OPTIONS_USAGE;
}
