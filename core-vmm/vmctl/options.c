// SPDX-License-Identifier: GPL-2.0-or-later
/* options.c - options of a verb, by GOption, with a near one suggested. */
#include "core-vmm/vmctl/vmctl.h"
#include "core-vmm/host/suggest.h"
#include <stdio.h>
#include <string.h>

static bool knows(const GOptionEntry *entries, const char *option, size_t n)
{
    for (; entries && entries->long_name; entries++)
        if (strlen(entries->long_name) == n && !strncmp(entries->long_name, option, n))
            return true;
    return (n == 4 && !strncmp(option, "help", n)) || n == 0;
}

/* The option of the command line that GOption did not know, without dashes; NULL: it was not that. */
static char *unknown_option(const GOptionEntry *entries, int argc, char **argv)
{
    for (int i = 1; i < argc && strcmp(argv[i], "--"); i++) {
        size_t n = strcspn(argv[i] + 2 * g_str_has_prefix(argv[i], "--"), "=");
        if (g_str_has_prefix(argv[i], "--") && !knows(entries, argv[i] + 2, n))
            return g_strndup(argv[i] + 2, n);
    }
    return NULL;
}

static const char *near_option(const GOptionEntry *entries, const char *option)
{
    g_autoptr(GPtrArray) names = g_ptr_array_new();
    for (; entries && entries->long_name; entries++)
        g_ptr_array_add(names, (gpointer)entries->long_name);
    g_ptr_array_add(names, NULL);
    return suggest(option, (const char *const *)names->pdata);
}

static int complain(const struct verb *v, const GOptionEntry *entries, const GError *error, int argc, char **argv)
{
    g_autofree char *option = g_error_matches(error, G_OPTION_ERROR, G_OPTION_ERROR_UNKNOWN_OPTION)
                                  ? unknown_option(entries, argc, argv)
                                  : NULL;
    const char *near = option ? near_option(entries, option) : NULL;
    if (near)
        return fail(EXIT_CODE_USAGE, "%s has no option --%s; did you mean --%s?", v->name, option, near);
    return fail(EXIT_CODE_USAGE, "%s: %s; see vmctl %s --help", v->name, error->message, v->name);
}

static GOptionContext *context_new(const struct verb *v, const GOptionEntry *entries)
{
    GOptionContext *c = g_option_context_new(v->args);
    g_autofree char *name = g_strdup_printf("vmctl %s", v->name), *summary = g_strdup_printf("%s.", v->summary);
    g_set_prgname(name);
    *summary = g_ascii_toupper(*summary);
    g_option_context_set_summary(c, summary);
    if (v->examples) {
        g_autofree char *examples = g_strdup_printf("Examples:\n%s", v->examples);
        g_option_context_set_description(c, examples);
    }
    if (entries)
        g_option_context_add_main_entries(c, entries, NULL);
    return c;
}

bool verb_options(const struct verb *v, const GOptionEntry *entries, int *argc, char ***argv, int min, int max,
                  int *code)
{
    g_autoptr(GOptionContext) context = context_new(v, entries);
    g_autoptr(GError) error = NULL;
    g_auto(GStrv) before = g_strdupv(*argv);
    int count = *argc;
    if (!g_option_context_parse(context, argc, argv, &error)) {
        *code = complain(v, entries, error, count, before);
        return false;
    }
    if (*argc > 1 && !strcmp((*argv)[1], "--")) { /* GOption leaves it */
        memmove(*argv + 1, *argv + 2, (*argc - 1) * sizeof **argv);
        --*argc;
    }
    if (*argc - 1 >= min && (max < 0 || *argc - 1 <= max))
        return true;
    *code = fail(EXIT_CODE_USAGE, "usage: vmctl %s %s; see vmctl %s --help", v->name, v->args, v->name);
    return false;
}

bool output_parse(const char *text, enum output *out, int *code)
{
    static const char *const words[] = {"table", "json", "name"};
    for (unsigned i = 0; i < G_N_ELEMENTS(words); i++)
        if (!strcmp(text ? text : "table", words[i])) {
            *out = i;
            return true;
        }
    *code = fail(EXIT_CODE_USAGE, "-o %s: the output is table, json or name", text);
    return false;
}
