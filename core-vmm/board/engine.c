// SPDX-License-Identifier: GPL-2.0-or-later
/* engine.c - which CPU engine runs a VM.  One table, best first; "auto" takes the first that passes its probe. */
#include "hwaccel/hwaccel.h"
#include "patcher/patcher.h"
#include "core-vmm/machine/machine.h"
#include <string.h>

struct choice {
    const char *name, *what;
    const struct cpu_engine *(*engine)(void);
};

static const struct cpu_engine *interp(void)
{
    return &interp_engine;
}

static const struct cpu_engine *soft(void)
{
    return &soft_engine;
}

static const struct choice choices[] = {
    {"kvm", "hardware virtualization", kvm_engine_for_host},
    {"soft", "the translator, which needs no hardware support", soft},
    {"interp", "the interpreter, which needs no hardware support", interp},
};

/* Is this engine usable here?  One that needs nothing has no probe. */
static bool works(const struct cpu_engine *engine, GError **error)
{
    return !engine->probe || engine->probe(error);
}

static const struct cpu_engine *choose_automatically(char **reason, GError **error)
{
    g_autoptr(GString) passed_over = g_string_new(NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(choices); i++) {
        const struct cpu_engine *engine = choices[i].engine();
        g_autoptr(GError) why_not = NULL;
        if (works(engine, &why_not)) {
            *reason = g_strconcat(choices[i].what, passed_over->str, NULL);
            return engine;
        }
        g_string_append_printf(passed_over, "; not %s: %s", engine->name, why_not->message);
    }
    g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_NOSYS, "No CPU engine works on this host%s", passed_over->str);
    return NULL;
}

/* What was asked for is taken even if "auto" would pass it over: slow may still be what somebody wants. */
static const struct cpu_engine *choose_asked(const struct choice *c, char **reason)
{
    const struct cpu_engine *engine = c->engine();
    g_autoptr(GError) why_not = NULL;
    bool good = works(engine, &why_not);
    *reason = g_strdup_printf("asked for by name%s%s", good ? "" : ", although ", good ? "" : why_not->message);
    return engine;
}

static const struct cpu_engine *choose_by_name(const char *name, char **reason, GError **error)
{
    g_autoptr(GString) names = g_string_new("auto");
    for (size_t i = 0; i < G_N_ELEMENTS(choices); i++) {
        if (!strcmp(name, choices[i].name))
            return choose_asked(&choices[i], reason);
        g_string_append_printf(names, ", %s", choices[i].name);
    }
    g_set_error(error, G_KEY_FILE_ERROR, G_KEY_FILE_ERROR_INVALID_VALUE, "There is no CPU engine \"%s\"; there are %s",
                name, names->str);
    return NULL;
}

const struct cpu_engine *engine_choose(const char *name, char **reason, GError **error)
{
    return strcmp(name, "auto") ? choose_by_name(name, reason, error) : choose_automatically(reason, error);
}
