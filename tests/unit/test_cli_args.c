/* The command line: options on both sides of the verb, and errors that name what was wrong.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "client/cli/args.h"
#include "client/cli/help.h"
#include "client/cli/suggest.h"
#include "client/cli/verbs.h"

#define ARGUMENTS_MAX 16

static struct args parse(bool expected, const char *first, ...)
{
    static char *argv[ARGUMENTS_MAX + 1];
    struct args args;
    int argc = 0;
    va_list list;
    va_start(list, first);
    argv[argc++] = (char *)(uintptr_t) "pygmy";
    for (const char *arg = first; arg != NULL; arg = va_arg(list, const char *))
        argv[argc++] = (char *)(uintptr_t)arg;
    va_end(list);
    argv[argc] = NULL;
    assert_int_equal(args_parse(&args, verbs, argc, argv), expected);
    return args;
}

#define PARSE(...)  parse(true, __VA_ARGS__, NULL)
#define REFUSE(...) parse(false, __VA_ARGS__, NULL)

/* Common options stand before or after the verb, with a blank or '=' before their value. */
static void test_common_options_stand_on_both_sides(void **state)
{
    (void)state;
    struct args args = PARSE("--json", "--config", "a.conf", "lookup", "5");
    assert_ptr_equal(args.verb, &verb_lookup);
    assert_string_equal(args_value(&args, "config"), "a.conf");
    assert_string_equal(args_value(&args, "json"), "");
    assert_null(args_value(&args, "plain"));
    args = PARSE("lookup", "--config=a=b.conf", "5", "--json");
    assert_string_equal(args_value(&args, "config"), "a=b.conf");
    assert_non_null(args_value(&args, "json"));
    assert_int_equal(args.operand_count, 1);
    assert_string_equal(args.operands[0], "5");
}

/* A verb's own options are its own. */
static void test_a_verbs_own_options_stand_after_it(void **state)
{
    (void)state;
    struct args args = PARSE("buy", "5", "--quantity", "2", "7:3", "--key=k");
    assert_string_equal(args_value(&args, "quantity"), "2");
    assert_string_equal(args_value(&args, "key"), "k");
    assert_int_equal(args.operand_count, 2);
    assert_string_equal(args.operands[1], "7:3");
    args = REFUSE("--quantity", "2", "buy", "5");
    assert_string_equal(args.error, "there is no option --quantity");
    args = REFUSE("lookup", "5", "--quantity", "2");
    assert_non_null(strstr(args.error, "--quantity"));
}

/* Negative numbers and what follows "--" are arguments; so are values that look like options. */
static void test_what_looks_like_an_option_need_not_be_one(void **state)
{
    (void)state;
    struct args args = PARSE("restock", "5", "-3");
    assert_string_equal(args.operands[1], "-3");
    args = PARSE("lookup", "--", "--title");
    assert_string_equal(args.operands[0], "--title");
    args = PARSE("items", "edit", "5", "--year", "-800", "--title", "--help");
    assert_string_equal(args_value(&args, "year"), "-800");
    assert_string_equal(args_value(&args, "title"), "--help");
    assert_false(args.help);
    args = PARSE("import", "-");
    assert_string_equal(args.operands[0], "-");
}

/* Each error names what was wrong, and the nearest right word. */
static void test_errors_name_what_was_wrong(void **state)
{
    static const struct {
        const char *args[4];
        const char *error;
    } cases[] = {
        {{"serach"}, "there is no verb \"serach\"; did you mean \"search\"?"},
        {{"xyzzy"}, "there is no verb \"xyzzy\""},
        {{"lookup", "5", "--jsn"}, "there is no option --jsn; did you mean --json?"},
        {{"buy", "5", "--quantty=3"}, "there is no option --quantty; did you mean --quantity?"},
        {{"buy", "5", "--quantity"}, "--quantity takes a value: N"},
        {{"lookup", "5", "--json=yes"}, "--json takes no value"},
        {{"lookup", "-j", "5"}, "there is no option -j; options are long: --help"},
        {{"lookup"}, "an argument is missing: ID|TITLE"},
        {{"lookup", "5", "6"}, "\"6\" is one argument too many"},
        {{"order", "1", "2"}, "\"2\" is one argument too many"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct args args =
            parse(false, cases[i].args[0], cases[i].args[1], cases[i].args[2], cases[i].args[3]);
        assert_string_equal(args.error, cases[i].error);
    }
}

/* Help is had without the arguments that the verb needs. */
static void test_help_needs_no_arguments(void **state)
{
    (void)state;
    assert_true(PARSE("buy", "--help").help);
    assert_true(PARSE("--help", "buy").help);
    assert_true(PARSE("buy", "-h").help);
    assert_true(PARSE("--version").version);
    struct args args = parse(true, NULL);
    assert_null(args.verb);
}

/* A word of any length is an error like others. */
static void test_a_very_long_word_is_refused(void **state)
{
    char word[1000] = "--";
    (void)state;
    memset(word + 2, 'x', sizeof word - 3);
    word[sizeof word - 1] = '\0';
    struct args args = REFUSE("lookup", word);
    assert_non_null(strstr(args.error, "there is no option --xxx"));
    args = REFUSE(word + 2);
    assert_non_null(strstr(args.error, "there is no verb \"xxx"));
}

/* Changing, leaving out, adding and swapping letters are one step each. */
static void test_distance_counts_slips(void **state)
{
    (void)state;
    assert_int_equal(suggest_distance("search", "search"), 0);
    assert_int_equal(suggest_distance("serach", "search"), 1);
    assert_int_equal(suggest_distance("serch", "search"), 1);
    assert_int_equal(suggest_distance("searchh", "search"), 1);
    assert_int_equal(suggest_distance("seerch", "search"), 1);
    assert_int_equal(suggest_distance("", "abc"), 3);
    assert_int_equal(suggest_distance("abc", ""), 3);
    assert_int_equal(suggest_distance("kitten", "sitting"), 3);
}

/* What is printed by @print, the caller's to free(). */
static char *help_of(const struct verb *verb)
{
    char *text = NULL;
    size_t size = 0;
    FILE *file = open_memstream(&text, &size);
    help_print(file, verbs, verb);
    fclose(file);
    return text;
}

/* Every verb's help has examples first, its usage, and each of its options. */
static void test_every_verb_has_its_help(void **state)
{
    (void)state;
    char *all = help_of(NULL);
    for (size_t i = 0; verbs[i] != NULL; i++) {
        char *text = help_of(verbs[i]);
        const char *examples = strstr(text, "Examples:\n  ");
        const char *usage = strstr(text, "Usage: pygmy ");
        assert_non_null(strstr(all, verbs[i]->name));
        assert_non_null(examples);
        assert_true(usage > examples);
        const struct args_option *option = verbs[i]->options;
        for (; option != NULL && option->name != NULL; option++)
            assert_non_null(strstr(text, option->name));
        free(text);
    }
    free(all);
}

/* No verb has an option that all have: it would never be seen. */
static void test_no_verb_hides_a_common_option(void **state)
{
    (void)state;
    for (size_t i = 0; verbs[i] != NULL; i++) {
        const struct args_option *own = verbs[i]->options;
        for (; own != NULL && own->name != NULL; own++)
            for (const struct args_option *common = args_common; common->name != NULL; common++)
                assert_string_not_equal(own->name, common->name);
    }
}

/* A completion script names every verb and every option; there is none for an unknown shell. */
static void test_completion_knows_every_verb_and_option(void **state)
{
    static const char *const shells[] = {"bash", "zsh", "fish"};
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        char *text = NULL;
        size_t size = 0;
        FILE *file = open_memstream(&text, &size);
        assert_true(help_print_completion(file, verbs, shells[i]));
        assert_false(help_print_completion(file, verbs, "tcsh"));
        fclose(file);
        for (size_t j = 0; verbs[j] != NULL; j++) {
            assert_non_null(strstr(text, verbs[j]->name));
            const struct args_option *option = verbs[j]->options;
            for (; option != NULL && option->name != NULL; option++)
                assert_non_null(strstr(text, option->name));
        }
        free(text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_common_options_stand_on_both_sides),
        cmocka_unit_test(test_a_verbs_own_options_stand_after_it),
        cmocka_unit_test(test_what_looks_like_an_option_need_not_be_one),
        cmocka_unit_test(test_errors_name_what_was_wrong),
        cmocka_unit_test(test_help_needs_no_arguments),
        cmocka_unit_test(test_a_very_long_word_is_refused),
        cmocka_unit_test(test_distance_counts_slips),
        cmocka_unit_test(test_every_verb_has_its_help),
        cmocka_unit_test(test_no_verb_hides_a_common_option),
        cmocka_unit_test(test_completion_knows_every_verb_and_option),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
