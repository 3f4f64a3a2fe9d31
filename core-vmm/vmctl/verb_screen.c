// SPDX-License-Identifier: GPL-2.0-or-later
/* verb_screen.c - vmctl screen: a picture or the text of a machine's screen. */
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

static int shot(struct client *c, const char *path)
{
    g_autoptr(GError) error = NULL;
    int fd = -1;
    unsigned n = 1;
    JsonObject *o = client_call_fds(c, "screen.shot", NULL, NULL, 0, &fd, &n, 30000, &error);
    if (!o)
        return fail_error(error);
    int code = save(o, n == 1 ? fd : -1, path);
    if (n == 1)
        close(fd);
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
    static const char *const words[] = {"shot", "text", NULL};
    g_autofree char *output = NULL;
    enum output how;
    int code;
    const GOptionEntry entries[] = {
        {"output", 'o', 0, G_OPTION_ARG_STRING, &output, "Of text: table or json", "HOW"},
        {NULL},
    };
    if (!verb_options(v, entries, &argc, &argv, 2, 3, &code) || !output_parse(output, &how, &code))
        return code;
    bool wants_shot = !strcmp(argv[1], "shot"), wants_text = !strcmp(argv[1], "text");
    const char *near = suggest(argv[1], words);
    if (!wants_shot && !wants_text)
        return fail(EXIT_CODE_USAGE, "screen does not know %s; %s", argv[1],
                    near && !strcmp(near, "shot") ? "did you mean shot?" : "it can do shot and text");
    if (argc != (wants_shot ? 4 : 3))
        return fail(EXIT_CODE_USAGE, "usage: vmctl screen shot NAME FILE.png, or vmctl screen text NAME");
    struct client *c = machine_connect(argv[2], NULL, &code);
    if (!c)
        return code;
    code = wants_shot ? shot(c, argv[3]) : text(c, how);
    client_free(c);
    return code;
}

const struct verb verb_screen = {"screen", "shot NAME FILE.png | text NAME",
                                 "save the screen as a picture, or read it as text",
                                 "  vmctl screen shot demo screen.png\n  vmctl screen text demo", screen};
