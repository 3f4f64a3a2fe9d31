// SPDX-License-Identifier: GPL-2.0-or-later
/* verb_vnc.c - vmctl vnc: a machine's screen for VNC clients. */
#include "core-vmm/vmctl/verbs.h"
#include <string.h>

struct vnc_options {
    char *listen, *file, *output;
    gboolean view_only, control, shared, exclusive, remove;
    enum output how;
};

/* ---- on and off ---- */

static int on(const char *name, const struct vnc_options *o)
{
    g_autoptr(GError) error = NULL;
    const struct vnc_wish wish = {o->listen,
                                  o->shared      ? "shared"
                                  : o->exclusive ? "exclusive"
                                                 : NULL,
                                  o->view_only ? "on"
                                  : o->control ? "off"
                                               : NULL};
    if ((o->shared && o->exclusive) || (o->view_only && o->control))
        return fail(EXIT_CODE_USAGE, "--shared and --exclusive, --view-only and --control are each other's opposite");
    if (!vnc_on(name, &wish, &error))
        return fail_error(error);
    g_autoptr(JsonObject) now = vnc_ask(name, "status", NULL, NULL);
    if (now)
        note("VNC of %s listens at %s%s", name, answer_text(now, "where", "?"),
             answer_flag(now, "password") ? "" : ", without a password");
    else
        note("VNC of %s begins with its next start", name);
    return EXIT_CODE_OK;
}

static int off(const char *name, const struct vnc_options *o)
{
    g_autoptr(GError) error = NULL;
    return vnc_off(name, &error) ? EXIT_CODE_OK : fail_error(error);
}

/* ---- the password ---- */

#define PROMPT "Password for VNC (at most 8 characters; it is not shown)"

static int password(const char *name, const struct vnc_options *o)
{
    g_autoptr(GError) error = NULL;
    int code;
    g_autofree char *text = o->remove ? NULL : password_read(o->file, PROMPT, &code);
    if (!o->remove && !text)
        return code;
    if (!o->remove && !*text)
        return fail(EXIT_CODE_USAGE, "an empty password is none; --remove takes it away");
    return vnc_password(name, text, &error) ? EXIT_CODE_OK : fail_error(error);
}

/* ---- what there is ---- */

static int status(const char *name, const struct vnc_options *o)
{
    g_autoptr(GError) error = NULL;
    JsonObject *s = vnc_status(name, &error);
    if (!s)
        return fail_error(error);
    if (o->how == OUTPUT_JSON) {
        print_json(s);
        return EXIT_CODE_OK;
    }
    JsonObject *now = answer_object(s, "now"), *said = now ? now : s;
    if (now)
        print("VNC listens at %s, for %d of %d clients\n", answer_text(now, "where", "?"),
              (int)answer_number(now, "clients", 0, 1000, 0), (int)answer_number(now, "most", 0, 1000, 0));
    else
        print("VNC is off%s\n", answer_flag(s, "enabled") ? "; it begins with the machine's next start" : "");
    print("password: %s\nclients: %s, %s\n", answer_flag(said, "password") ? "yes" : "none",
          answer_text(said, "sharing", "?"), answer_flag(said, "view-only") ? "to look on" : "with keys and pointer");
    json_object_unref(s);
    return EXIT_CODE_OK;
}

static void print_client(JsonObject *c)
{
    print("%-4d %-40s %-4s %-10s %8d s %12" G_GINT64_FORMAT " bytes\n", (int)answer_number(c, "id", 0, G_MAXINT, 0),
          answer_text(c, "address", "?"), answer_flag(c, "web") ? "web" : "-",
          answer_flag(c, "view-only") ? "looks on" : "-", (int)answer_number(c, "seconds", 0, G_MAXINT, 0),
          answer_number(c, "sent-bytes", 0, G_MAXINT64, 0));
}

static int clients(const char *name, const struct vnc_options *o)
{
    g_autoptr(GError) error = NULL;
    JsonObject *all = vnc_ask(name, "clients", NULL, &error);
    if (!all)
        return fail_error(error);
    if (o->how == OUTPUT_JSON) {
        print_json(all);
        return EXIT_CODE_OK;
    }
    JsonArray *list = answer_array(all, "clients");
    for (unsigned i = 0; i < answer_count(list); i++)
        print_client(answer_element(list, i));
    json_object_unref(all);
    return EXIT_CODE_OK;
}

static int disconnect(const char *name, const char *id)
{
    g_autoptr(GError) error = NULL;
    JsonObject *args = json_object_new();
    json_object_set_int_member(args, "id", g_ascii_strtoll(id, NULL, 10));
    g_autoptr(JsonObject) done = vnc_ask(name, "disconnect", args, &error);
    return done ? EXIT_CODE_OK : fail_error(error);
}

/* ---- */

static int dispatch(const struct verb *v, int argc, char **argv, const struct vnc_options *o)
{
    static const struct {
        const char *name;
        int (*run)(const char *name, const struct vnc_options *o);
    } parts[] = {{"on", on}, {"off", off}, {"password", password}, {"status", status}, {"clients", clients}};
    int code;
    g_autofree char *name = machine_resolve(argv[1], &code);
    const char *part = argc > 2 ? argv[2] : "status";
    if (!name)
        return code;
    for (unsigned i = 0; i < G_N_ELEMENTS(parts) && argc < 4; i++)
        if (!strcmp(part, parts[i].name))
            return parts[i].run(name, o);
    if (!strcmp(part, "disconnect") && argc == 4)
        return disconnect(name, argv[3]);
    return fail(EXIT_CODE_USAGE, "usage: vmctl vnc %s", v->args);
}

static int vnc(const struct verb *v, int argc, char **argv)
{
    struct vnc_options o = {0};
    const GOptionEntry entries[] = {
        {"listen", 'l', 0, G_OPTION_ARG_STRING, &o.listen, "Of on: auto, a display like :1, or unix", "WHERE"},
        {"view-only", 0, 0, G_OPTION_ARG_NONE, &o.view_only, "Of on: clients may look, no more", NULL},
        {"control", 0, 0, G_OPTION_ARG_NONE, &o.control, "Of on: they may use keys and pointer", NULL},
        {"shared", 0, 0, G_OPTION_ARG_NONE, &o.shared, "Of on: several at once", NULL},
        {"exclusive", 0, 0, G_OPTION_ARG_NONE, &o.exclusive, "Of on: one, which a new one replaces", NULL},
        {"file", 0, 0, G_OPTION_ARG_FILENAME, &o.file, "Of password: its first line (else that of stdin)", "FILE"},
        {"remove", 0, 0, G_OPTION_ARG_NONE, &o.remove, "Of password: there is to be none", NULL},
        {"output", 'o', 0, G_OPTION_ARG_STRING, &o.output, "Of status and clients: table or json", "HOW"},
        {NULL},
    };
    int code;
    if (verb_options(v, entries, &argc, &argv, 1, 3, &code) && output_parse(o.output, &o.how, &code))
        code = dispatch(v, argc, argv, &o);
    g_free(o.listen);
    g_free(o.file);
    g_free(o.output);
    return code;
}

const struct verb verb_vnc = {"vnc", "NAME [on | off | password | status | clients | disconnect ID]",
                              "a machine's screen for VNC clients",
                              "  vmctl vnc demo on --listen :1\n  vmctl vnc demo password\n"
                              "  vmctl vnc demo on --view-only\n  vmctl vnc demo clients -o json\n  vmctl vnc demo off",
                              vnc};
