// SPDX-License-Identifier: GPL-2.0-or-later
/* verb_usb.c - vmctl usb: what is plugged into a running machine, and sticks that come and go. */
#include "core-vmm/vmctl/verbs.h"
#include <string.h>

struct usb_options {
    char *storage, *format, *output;
    gboolean readonly;
};

static void print_device(JsonObject *o)
{
    bool plugged = answer_flag(o, "plugged");
    print("%-6s %-9s %-7s %-12s %s\n", answer_text(o, "section", "?"), answer_text(o, "device", "?"),
          plugged ? answer_text(o, "speed", "?") : "-",
          !plugged                       ? "not plugged"
          : answer_flag(o, "configured") ? "in use"
                                         : "plugged",
          answer_text(o, "file", ""));
}

/* What there is; NULL: said already, with *code. */
static JsonObject *look(struct client *c, JsonArray **devices, int *code)
{
    g_autoptr(GError) error = NULL;
    JsonObject *o = machine_call(c, "usb.list", NULL, code);
    *devices = o ? answer_need_array(o, "devices", &error) : NULL;
    if (o && !*devices) {
        *code = fail_error(error);
        g_clear_pointer(&o, json_object_unref);
    }
    return o;
}

static int list(struct client *c, enum output how)
{
    JsonArray *devices;
    int code = EXIT_CODE_OK;
    g_autoptr(JsonObject) o = look(c, &devices, &code);
    if (!o)
        return code;
    if (how == OUTPUT_JSON) {
        print_json(json_object_ref(o));
        return EXIT_CODE_OK;
    }
    for (unsigned i = 0; i < answer_count(devices); i++)
        print_device(answer_element(devices, i));
    return EXIT_CODE_OK;
}

/* A storage device without a stick; NULL: there is none. */
static const char *free_place(JsonArray *devices)
{
    for (unsigned i = 0; i < answer_count(devices); i++) {
        JsonObject *o = answer_element(devices, i);
        if (!strcmp(answer_text(o, "device", ""), "storage") && !answer_flag(o, "plugged"))
            return answer_text(o, "section", NULL);
    }
    return NULL;
}

static int attach(struct client *c, const char *name, const struct usb_options *u)
{
    g_autoptr(GError) error = NULL;
    JsonArray *devices;
    int code;
    g_autoptr(JsonObject) o = look(c, &devices, &code);
    if (!o)
        return code;
    const char *place = free_place(devices);
    if (!place)
        return fail(EXIT_CODE_WRONG_STATE,
                    "%s has no free place for a stick; pull one out (vmctl usb detach), or give it one more for its "
                    "next start, like vmctl set %s usb4.device=storage",
                    name, name);
    if (!client_insert(c, u->storage, place, u->format, u->readonly, &error))
        return fail_error(error);
    print("%s\n", place);
    return EXIT_CODE_OK;
}

static int detach(struct client *c, const char *section)
{
    JsonArray *devices;
    int code;
    bool found = false;
    g_autoptr(JsonObject) o = look(c, &devices, &code);
    if (!o)
        return code;
    for (unsigned i = 0; i < answer_count(devices); i++) {
        JsonObject *one = answer_element(devices, i);
        found |= !strcmp(answer_text(one, "section", ""), section) && answer_flag(one, "plugged") &&
                 !strcmp(answer_text(one, "device", ""), "storage");
    }
    if (!found)
        return fail(EXIT_CODE_WRONG_STATE, "there is no stick in %s; vmctl usb list shows what there is", section);
    JsonObject *args = json_object_new();
    json_object_set_string_member(args, "drive", section);
    json_object_set_boolean_member(args, "force", TRUE);
    g_autoptr(JsonObject) done = machine_call(c, "media.eject", args, &code);
    return done ? EXIT_CODE_OK : code;
}

static int dispatch(const struct verb *v, int argc, char **argv, const struct usb_options *u)
{
    enum output how;
    int code;
    bool lists = !strcmp(argv[1], "list") && argc == 3,
         attaches = !strcmp(argv[1], "attach") && argc == 3 && u->storage,
         detaches = !strcmp(argv[1], "detach") && argc == 4;
    if (!output_parse(u->output, &how, &code))
        return code;
    if (!lists && !attaches && !detaches)
        return fail(EXIT_CODE_USAGE, "usage: vmctl usb %s", v->args);
    struct client *c = machine_connect(argv[2], NULL, &code);
    if (!c)
        return code;
    code = lists ? list(c, how) : attaches ? attach(c, argv[2], u) : detach(c, argv[3]);
    client_free(c);
    return code;
}

static int usb(const struct verb *v, int argc, char **argv)
{
    struct usb_options u = {0};
    const GOptionEntry entries[] = {
        {"storage", 's', 0, G_OPTION_ARG_FILENAME, &u.storage, "attach: the image that the stick holds", "IMAGE"},
        {"format", 0, 0, G_OPTION_ARG_STRING, &u.format, "The image's format, if its name does not tell", "FORMAT"},
        {"readonly", 0, 0, G_OPTION_ARG_NONE, &u.readonly, "The guest may not write to it", NULL},
        {"output", 'o', 0, G_OPTION_ARG_STRING, &u.output, "Of list: table or json", "HOW"},
        {NULL},
    };
    int code;
    if (verb_options(v, entries, &argc, &argv, 2, 3, &code))
        code = dispatch(v, argc, argv, &u);
    g_free(u.storage);
    g_free(u.format);
    g_free(u.output);
    return code;
}

const struct verb verb_usb = {"usb", "list NAME | attach NAME --storage IMAGE | detach NAME SECTION",
                              "show what is plugged into USB, plug in and pull sticks",
                              "  vmctl usb list demo\n  vmctl usb attach demo --storage files.img\n"
                              "  vmctl usb detach demo usb2",
                              usb};
