/* The command line of a daemon.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "broker/bus/options.h"

static const struct option_row rows[] = {{"bind", "ENDPOINT", "listen here"}};
static const struct options_program broker = {
    .name = "pygmy-broker",
    .summary = "The broker.",
    .kind = NODE_BROKER,
    .rows = rows,
    .row_count = 1,
};
static const struct options_program bridge = {
    .name = "pygmy-http",
    .summary = "The bridge.",
    .kind = NODE_BRIDGE,
};

static const char file[] = "cluster\n"
                           "    uuid = 0123456789abcdef0123456789abcdef\n"
                           "brokers\n"
                           "    broker-1\n"
                           "        bus = tcp://127.0.0.1:1\n"
                           "    broker-2\n"
                           "        bus = tcp://127.0.0.1:2\n"
                           "bridges\n"
                           "    bridge-1\n"
                           "        http = 127.0.0.1:3\n";

/* What goes to a descriptor is kept while a test runs. */
struct capture {
    int fd, saved;
    FILE *stream, *file;
    char text[4096];
};

static void capture_begin(struct capture *self, FILE *stream)
{
    fflush(stream);
    self->stream = stream;
    self->fd = fileno(stream);
    self->file = tmpfile();
    assert_non_null(self->file);
    self->saved = dup(self->fd);
    assert_true(dup2(fileno(self->file), self->fd) >= 0);
}

static const char *capture_end(struct capture *self)
{
    fflush(self->stream);
    assert_true(dup2(self->saved, self->fd) >= 0);
    close(self->saved);
    rewind(self->file);
    self->text[fread(self->text, 1, sizeof self->text - 1, self->file)] = '\0';
    fclose(self->file);
    return self->text;
}

static int parse(const struct options_program *program, const char *const *words,
                 struct options **options)
{
    char *argv[8] = {(char *)(uintptr_t) "program"};
    int argc = 1;
    for (; words[argc - 1] != NULL; argc++)
        argv[argc] = (char *)(uintptr_t)words[argc - 1];
    return options_parse(program, argc, argv, options);
}

#define WORDS(...) ((const char *const[]){__VA_ARGS__, NULL})

/* Options of the program and common ones are found by name, repeated ones in order. */
static void test_options_are_read_by_name(void **state)
{
    struct options *options;
    (void)state;

    assert_int_equal(
        parse(&broker,
              WORDS("--bind", "a", "--set=x/y=1", "--bind=b", "--set", "z/w=2", "--check-config"),
              &options),
        OPTIONS_GO_ON);
    assert_int_equal(options_count(options, "bind"), 2);
    assert_string_equal(options_value(options, "bind", 0), "a");
    assert_string_equal(options_value(options, "bind", 1), "b");
    assert_string_equal(options_value(options, "bind", OPTIONS_LAST), "b");
    assert_null(options_value(options, "bind", 2));
    assert_string_equal(options_value(options, "set", 1), "z/w=2");
    assert_int_equal(options_count(options, "check-config"), 1);
    assert_null(options_value(options, "name", OPTIONS_LAST));
    options_destroy(&options);
    assert_null(options);
    options_destroy(&options);
}

/* Every wrong command line ends with status 2 and names what was wrong. */
static void test_a_wrong_command_line_is_named(void **state)
{
    static const struct {
        const char *words[3];
        const char *says;
    } wrong[] = {
        {{"--colour=red"}, "--colour"},
        {{"--config"}, "--config"},
        {{"--check-config=yes"}, "--check-c"},
        {{"file.conf"}, "file.conf"},
        {{"-x"}, "'x'"},
        {{"--check-config", "more"}, "more"},
        {{"--bind", "x"}, "--bind"},
    };
    (void)state;

    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct options *options;
        struct capture capture;
        capture_begin(&capture, stderr);
        int status = parse(&bridge, wrong[i].words, &options);
        capture_end(&capture);
        assert_int_equal(status, OPTIONS_USAGE);
        assert_non_null(strstr(capture.text, wrong[i].says));
        assert_non_null(strstr(capture.text, "Try pygmy-http --help"));
        options_destroy(&options);
    }
}

/* The help names every option of the table. */
static void test_the_help_is_made_from_the_table(void **state)
{
    static const char *const names[] = {"--bind=ENDPOINT", "--config=FILE", "--name=NAME",
                                        "--set=KEY=VALUE", "--log-level=",  "--check-config ",
                                        "--print-config ", "--help ",       "--version "};
    struct options *options;
    struct capture capture;
    (void)state;

    capture_begin(&capture, stdout);
    int status = parse(&broker, WORDS("--help"), &options);
    capture_end(&capture);
    assert_int_equal(status, 0);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        assert_non_null(strstr(capture.text, names[i]));
    options_destroy(&options);

    capture_begin(&capture, stdout);
    status = parse(&broker, WORDS("--version"), &options);
    assert_memory_equal(capture_end(&capture), "pygmy-broker ", 13);
    assert_int_equal(status, 0);
    options_destroy(&options);
}

static int write_file(void **state)
{
    char *path = strdup("/tmp/pygmy-options-XXXXXX");
    assert_non_null(path);
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, file, sizeof file - 1), sizeof file - 1);
    close(fd);
    *state = path;
    return 0;
}

static int remove_file(void **state)
{
    unlink(*state);
    free(*state);
    return 0;
}

/* A process finds itself by its name, or by being the only one of its kind. */
static void test_a_process_finds_its_node(void **state)
{
    const char *path = *state;
    struct options *options;
    struct config *config;
    const struct config_node *node;

    assert_int_equal(parse(&bridge, WORDS("--config", path, "--log-level", "debug"), &options),
                     OPTIONS_GO_ON);
    assert_int_equal(options_load(options, &config, &node), OPTIONS_GO_ON);
    assert_string_equal(node->name, "bridge-1");
    assert_string_equal(config->log_level, "debug");
    config_destroy(&config);
    options_destroy(&options);

    assert_int_equal(parse(&broker, WORDS("--config", path, "--name", "broker-2"), &options),
                     OPTIONS_GO_ON);
    assert_int_equal(options_load(options, &config, &node), OPTIONS_GO_ON);
    assert_string_equal(node->name, "broker-2");
    config_destroy(&config);
    options_destroy(&options);
}

/* Which node is meant must be clear; a bad configuration ends with status 2. */
static void test_an_unclear_node_or_bad_configuration_is_refused(void **state)
{
    const char *path = *state;
    const struct {
        const char *words[6];
        const char *says;
    } wrong[] = {
        {{"--config", path}, "2 brokers: say which by --name"},
        {{"--config", path, "--name", "broker-3"}, "no broker named broker-3"},
        {{"--config", path, "--name", "bridge-1"}, "no broker named bridge-1"},
        {{"--config", path, "--log-level", "loud"}, "cluster/log_level"},
        {{"--config", "/nowhere/x"}, "/nowhere/x: No such file"},
    };

    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct options *options;
        struct config *config;
        const struct config_node *node;
        struct capture capture;
        assert_int_equal(parse(&broker, wrong[i].words, &options), OPTIONS_GO_ON);
        capture_begin(&capture, stderr);
        int status = options_load(options, &config, &node);
        capture_end(&capture);
        assert_int_equal(status, OPTIONS_USAGE);
        assert_null(config);
        assert_non_null(strstr(capture.text, wrong[i].says));
        options_destroy(&options);
    }
}

/* --check-config and --print-config answer and end with status 0, for any node. */
static void test_a_configuration_is_checked_and_printed(void **state)
{
    static const struct {
        const char *flag, *says;
    } asks[] = {{"--check-config", ": good\n"},
                {"--print-config", "log_level = info    # default"}};

    for (size_t i = 0; i < sizeof asks / sizeof asks[0]; i++) {
        struct options *options;
        struct config *config;
        const struct config_node *node;
        struct capture capture;
        assert_int_equal(parse(&broker, WORDS("--config", *state, asks[i].flag), &options),
                         OPTIONS_GO_ON);
        capture_begin(&capture, stdout);
        int status = options_load(options, &config, &node);
        capture_end(&capture);
        assert_int_equal(status, 0);
        assert_null(config);
        assert_non_null(strstr(capture.text, asks[i].says));
        options_destroy(&options);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_options_are_read_by_name),
        cmocka_unit_test(test_a_wrong_command_line_is_named),
        cmocka_unit_test(test_the_help_is_made_from_the_table),
        cmocka_unit_test_setup_teardown(test_a_process_finds_its_node, write_file, remove_file),
        cmocka_unit_test_setup_teardown(test_an_unclear_node_or_bad_configuration_is_refused,
                                        write_file, remove_file),
        cmocka_unit_test_setup_teardown(test_a_configuration_is_checked_and_printed, write_file,
                                        remove_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
