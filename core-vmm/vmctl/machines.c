// SPDX-License-Identifier: GPL-2.0-or-later
/* machines.c - finding the machine that somebody named, its process, and its end. */
#include "core-vmm/vmctl/vmctl.h"
#include "core-vmm/host/paths.h"
#include "core-vmm/host/suggest.h"
#include <string.h>

#define PATIENCE_MS 30000
#define POLL_US     20000

static int not_found(const char *given, GPtrArray *names)
{
    g_ptr_array_add(names, NULL);
    const char *near = suggest(given, (const char *const *)names->pdata);
    if (near)
        return fail(EXIT_CODE_NOT_FOUND, "there is no machine %s; did you mean %s?", given, near);
    return fail(EXIT_CODE_NOT_FOUND, "there is no machine %s; vmctl list shows those there are", given);
}

static int ambiguous(const char *given, GPtrArray *matches)
{
    g_ptr_array_add(matches, NULL);
    g_autofree char *all = g_strjoinv(", ", (char **)matches->pdata);
    return fail(EXIT_CODE_USAGE, "%s could be any of %s", given, all);
}

char *machine_resolve(const char *given, int *code)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) names = paths_list(&error), matches = g_ptr_array_new();
    if (!names) {
        *code = fail_error(error);
        return NULL;
    }
    for (unsigned i = 0; i < names->len; i++) {
        const char *name = names->pdata[i];
        if (!strcmp(name, given))
            return g_strdup(name);
        if (*given && g_str_has_prefix(name, given))
            g_ptr_array_add(matches, (gpointer)name);
    }
    if (matches->len == 1)
        return g_strdup(matches->pdata[0]);
    *code = matches->len ? ambiguous(given, matches) : not_found(given, names);
    return NULL;
}

char *machine_folder_of(const char *name)
{
    char *folder = paths_machine(name);
    g_autofree char *runtime = paths_runtime(NULL);
    if (!runtime || g_file_test(folder, G_FILE_TEST_IS_DIR) || !paths_is_throwaway(name))
        return folder;
    g_free(folder);
    return g_build_filename(runtime, name, NULL);
}

bool machine_gone(const char *name, gint64 us)
{
    g_autofree char *folder = machine_folder_of(name);
    gint64 end = g_get_monotonic_time() + us;
    while (machine_lock_holder(folder)) {
        if (g_get_monotonic_time() > end)
            return false;
        g_usleep(POLL_US);
    }
    return true;
}

static int not_running(const char *name)
{
    g_autofree char *folder = machine_folder_of(name), *runtime = paths_runtime(NULL);
    pid_t holder = machine_lock_holder(folder);
    if (holder)
        return fail(EXIT_CODE_WRONG_STATE, "%s is running as process %d, but not with its control socket in %s", name,
                    (int)holder, runtime);
    return fail(EXIT_CODE_WRONG_STATE, "%s is not running; vmctl start %s starts it", name, name);
}

struct client *machine_connect(const char *given, char **name, int *code)
{
    g_autofree char *exact = machine_resolve(given, code);
    g_autoptr(GError) error = NULL;
    if (!exact)
        return NULL;
    struct client *c = client_connect(exact, &error);
    if (!c && g_error_matches(error, CONTROL_ERROR, CONTROL_NOT_FOUND))
        *code = not_running(exact);
    else if (!c)
        *code = fail_error(error);
    if (c && name)
        *name = g_steal_pointer(&exact);
    return c;
}

JsonObject *machine_call(struct client *c, const char *command, JsonObject *args, int *code)
{
    g_autoptr(GError) error = NULL;
    JsonObject *result = client_call(c, command, args, PATIENCE_MS, &error);
    *code = result ? EXIT_CODE_OK : fail_error(error);
    return result;
}

int print_text(JsonObject *answer)
{
    g_autoptr(GError) error = NULL;
    const char *text = answer_need_text(answer, "text", &error);
    if (text)
        print("%s", text);
    json_object_unref(answer);
    return text ? EXIT_CODE_OK : fail_error(error);
}

int machine_command(const char *given, const char *command, JsonObject *args)
{
    int code;
    struct client *c = machine_connect(given, NULL, &code);
    if (!c) {
        g_clear_pointer(&args, json_object_unref);
        return code;
    }
    JsonObject *result = machine_call(c, command, args, &code);
    g_clear_pointer(&result, json_object_unref);
    client_free(c);
    return code;
}
