// SPDX-License-Identifier: GPL-2.0-or-later
/* verb_screen.c - vmctl screen: a picture, the text or the size of a machine's screen. */
#include "core-vmm/vmctl/verbs.h"
#include "core-vmm/host/screenshot.h"
#include "core-vmm/host/suggest.h"
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int save(JsonObject *o, int fd, const char *path)
{
    struct answer_picture p;
    g_autoptr(GError) error = NULL;
    g_autofree uint32_t *pixels = answer_picture(o, fd, &p, &error);
    bool good = pixels && screenshot_write(path, pixels, p.width, p.height, p.stride, &error);
    return good ? EXIT_CODE_OK : fail_error(error);
}

static JsonObject *of_screen(int screen)
{
    JsonObject *o = json_object_new();
    json_object_set_int_member(o, "screen", screen - 1);
    return o;
}

static int shot(struct client *c, const char *path, int screen)
{
    g_autoptr(GError) error = NULL;
    int fd = -1;
    unsigned n = 1;
    JsonObject *o = client_call_fds(c, "screen.shot", of_screen(screen), NULL, 0, &fd, &n, 30000, &error);
    if (!o)
        return fail_error(error);
    int code = save(o, n == 1 ? fd : -1, path);
    if (n == 1)
        close(fd);
    json_object_unref(o);
    return code;
}

static int size(struct client *c, const char *text, int screen)
{
    unsigned width = 0, height = 0;
    int code;
    char rest;
    if (strcmp(text, "off") && sscanf(text, "%5ux%5u%c", &width, &height, &rest) != 2)
        return fail(EXIT_CODE_USAGE, "%s is no size; it is WIDTHxHEIGHT, like 1280x800, or off", text);
    JsonObject *args = of_screen(screen);
    json_object_set_int_member(args, "width", width);
    json_object_set_int_member(args, "height", height);
    JsonObject *o = machine_call(c, "screen.size", args, &code);
    if (o && !answer_flag(o, "told"))
        puts("the guest's driver will find that size when it starts");
    if (o)
        json_object_unref(o);
    return code;
}

static int text(struct client *c, enum output how)
{
    int code;
    JsonObject *o = machine_call(c, "screen.text", NULL, &code);
    if (!o)
        return code;
    if (how == OUTPUT_JSON) {
        print_json(o);
        return code;
    }
    return print_text(o);
}

static int screen(const struct verb *v, int argc, char **argv)
{
    static const char *const words[] = {"shot", "text", "size", NULL};
    g_autofree char *output = NULL;
    enum output how;
    int code, number = 1;
    const GOptionEntry entries[] = {
        {"output", 'o', 0, G_OPTION_ARG_STRING, &output, "Of text: table or json", "HOW"},
        {"screen", 0, 0, G_OPTION_ARG_INT, &number, "Of pictures and size: which of several", "N"},
        {NULL},
    };
    if (!verb_options(v, entries, &argc, &argv, 2, 3, &code) || !output_parse(output, &how, &code))
        return code;
    bool wants_text = !strcmp(argv[1], "text"), wants_size = !strcmp(argv[1], "size");
    if (!g_strv_contains(words, argv[1])) {
        const char *near = suggest(argv[1], words);
        g_autofree char *ask = near ? g_strdup_printf("did you mean %s?", near) : NULL;
        return fail(EXIT_CODE_USAGE, "screen does not know %s; %s", argv[1],
                    ask ? ask : "it can do shot, text and size");
    }
    if (argc != (wants_text ? 3 : 4))
        return fail(EXIT_CODE_USAGE,
                    "usage: vmctl screen shot NAME FILE.png, vmctl screen text NAME, or vmctl screen size NAME "
                    "WIDTHxHEIGHT");
    struct client *c = machine_connect(argv[2], NULL, &code);
    if (!c)
        return code;
    code = wants_text ? text(c, how) : wants_size ? size(c, argv[3], number) : shot(c, argv[3], number);
    client_free(c);
    return code;
}

const struct verb verb_screen = {
    "screen", "shot NAME FILE.png | text NAME | size NAME WIDTHxHEIGHT",
    "save the screen as a picture, read it as text, or ask the guest for a size",
    "  vmctl screen shot demo screen.png\n  vmctl screen text demo\n  vmctl screen size demo 1600x900", screen};
