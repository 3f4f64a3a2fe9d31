// SPDX-License-Identifier: GPL-2.0-or-later
/* vmctl - machines from the command line. */
#include "core-vmm/vmctl/verbs.h"
#include "core-vmm/host/stdio_guard.h"
#include "core-vmm/host/suggest.h"
#include <locale.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>

static int unknown_verb(const char *word)
{
    g_autoptr(GPtrArray) names = g_ptr_array_new();
    for (const struct verb *const *v = verbs_all(); *v; v++)
        g_ptr_array_add(names, (gpointer)(*v)->name);
    g_ptr_array_add(names, NULL);
    const char *near = suggest(word, (const char *const *)names->pdata);
    if (near)
        return fail(EXIT_CODE_USAGE, "there is no verb %s; did you mean %s?", word, near);
    return fail(EXIT_CODE_USAGE, "there is no verb %s; vmctl help lists them", word);
}

int main(int argc, char **argv)
{
    stdio_guard();
    say_at_exit();
    signal(SIGPIPE, SIG_IGN); /* errors of writing, like others */
    signal(SIGXFSZ, SIG_IGN);
    setlocale(LC_ALL, "");
    umask(077); /* machines are private */
    const char *word = argc > 1 ? argv[1] : "help";
    if (!strcmp(word, "--help") || !strcmp(word, "-h") || !strcmp(word, "-?"))
        word = "help";
    if (!strcmp(word, "--version") || !strcmp(word, "-V"))
        word = "version";
    const struct verb *v = verb_find(word);
    if (!v)
        return unknown_verb(word);
    int code = v->run(v, argc > 1 ? argc - 1 : 1, argc > 1 ? argv + 1 : argv);
    if (argc < 2)
        code = EXIT_CODE_USAGE;
    return code;
}
