/* The command line.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "client/cli/args.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "client/cli/suggest.h"

const struct args_option args_common[] = {
    {"config", "FILE", "the cluster's configuration (else PYGMY_CONFIG, or the default place)"},
    {"timeout", "TIME", "how long to try: seconds, or 500ms, 2m (10 s)"},
    {"json", NULL, "print the store's answers as JSON, one object on a line"},
    {"plain", NULL, "print tab-separated values without headings"},
    {"no-color", NULL, "no colour, also on a terminal"},
    {"quiet", NULL, "no notices and no progress on standard error"},
    {"help", NULL, "show a verb's help (also -h)"},
    {"version", NULL, "show the version"},
    {NULL, NULL, NULL},
};

__attribute__((format(printf, 2, 3))) static bool args_fail(struct args *self, const char *format,
                                                            ...)
{
    va_list list;
    va_start(list, format);
    vsnprintf(self->error, sizeof self->error, format, list);
    va_end(list);
    return false;
}

const struct verb *args_verb(const struct verb *const *verbs, const char *name)
{
    for (; *verbs != NULL; verbs++)
        if (strcmp((*verbs)->name, name) == 0)
            return *verbs;
    return NULL;
}

static bool args_take_verb(struct args *self, const struct verb *const *verbs, const char *name)
{
    struct suggest suggest = {.typed = name};
    self->verb = args_verb(verbs, name);
    if (self->verb != NULL)
        return true;
    for (; *verbs != NULL; verbs++)
        suggest_offer(&suggest, (*verbs)->name);
    if (suggest.best != NULL)
        return args_fail(self, "there is no verb \"%s\"; did you mean \"%s\"?", name, suggest.best);
    return args_fail(self, "there is no verb \"%s\"", name);
}

/* The place in @options of the one whose name is the first @len bytes of @name; -1: none. */
static int args_find(const struct args_option *options, const char *name, size_t len)
{
    for (int i = 0; options != NULL && options[i].name != NULL; i++) {
        assert(i < ARGS_OPTIONS_MAX);
        if (strlen(options[i].name) == len && memcmp(options[i].name, name, len) == 0)
            return i;
    }
    return -1;
}

static bool args_unknown_option(struct args *self, const char *name, size_t len)
{
    char typed[SUGGEST_BYTES_MAX + 1];
    snprintf(typed, sizeof typed, "%.*s", (int)(len < sizeof typed ? len : sizeof typed - 1), name);
    struct suggest suggest = {.typed = typed};
    for (const struct args_option *option = args_common; option->name != NULL; option++)
        suggest_offer(&suggest, option->name);
    const struct args_option *own = self->verb != NULL ? self->verb->options : NULL;
    for (; own != NULL && own->name != NULL; own++)
        suggest_offer(&suggest, own->name);
    if (suggest.best != NULL)
        return args_fail(self, "there is no option --%s; did you mean --%s?", typed, suggest.best);
    return args_fail(self, "there is no option --%s", typed);
}

/* Take the option argv[*at], and its value with it. */
static bool args_take_option(struct args *self, int argc, char **argv, int *at)
{
    const char *name = argv[*at] + 2;
    size_t len = strcspn(name, "=");
    const struct args_option *table = args_common;
    const char **values = self->common;
    int place = args_find(table, name, len);
    if (place == -1 && self->verb != NULL) {
        table = self->verb->options;
        values = self->own;
        place = args_find(table, name, len);
    }
    if (place == -1)
        return args_unknown_option(self, name, len);
    const struct args_option *option = &table[place];
    if (option->value == NULL && name[len] == '=')
        return args_fail(self, "--%s takes no value", option->name);
    if (option->value == NULL) {
        values[place] = "";
    } else if (name[len] == '=') {
        values[place] = name + len + 1;
    } else if (*at + 1 < argc) {
        values[place] = argv[++*at];
    } else {
        return args_fail(self, "--%s takes a value: %s", option->name, option->value);
    }
    return true;
}

static bool args_is_operand(const char *arg)
{
    return arg[0] != '-' || arg[1] == '\0' || (arg[1] >= '0' && arg[1] <= '9');
}

static bool args_check_operands(struct args *self)
{
    const struct verb *verb = self->verb;
    if (self->help || self->version || verb == NULL)
        return true;
    if (self->operand_count < verb->operand_min)
        return args_fail(self, "an argument is missing: %s", verb->operands);
    if (self->operand_count > verb->operand_max)
        return args_fail(self, "\"%s\" is one argument too many",
                         self->operands[verb->operand_max]);
    return true;
}

bool args_parse(struct args *self, const struct verb *const *verbs, int argc, char **argv)
{
    bool options = true;
    *self = (struct args){.operands = argv};
    for (int i = 1; i < argc; i++) {
        bool good = true;
        if (options && strcmp(argv[i], "--") == 0)
            options = false;
        else if (options && strcmp(argv[i], "-h") == 0)
            self->help = true;
        else if (options && !args_is_operand(argv[i]) && argv[i][1] != '-')
            good = args_fail(self, "there is no option %s; options are long: --help", argv[i]);
        else if (options && !args_is_operand(argv[i]))
            good = args_take_option(self, argc, argv, &i);
        else if (self->verb == NULL)
            good = args_take_verb(self, verbs, argv[i]);
        else
            self->operands[self->operand_count++] = argv[i];
        if (!good)
            return false;
    }
    self->help = self->help || args_value(self, "help") != NULL;
    self->version = args_value(self, "version") != NULL;
    return args_check_operands(self);
}

const char *args_value(const struct args *self, const char *name)
{
    int place = args_find(args_common, name, strlen(name));
    if (place != -1)
        return self->common[place];
    assert(self->verb != NULL);
    place = args_find(self->verb->options, name, strlen(name));
    assert(place != -1);
    return self->own[place];
}
