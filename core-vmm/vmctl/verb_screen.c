// SPDX-License-Identifier: GPL-2.0-or-later
#include "verbs.h"
#include "../screenshot.h"
#include "../suggest.h"
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define SIDE_MAX 16384

/* The answer of screen.shot, as a mapping; NULL: what came is no picture. */
static uint32_t *map_picture(JsonObject *o, int fd, gint64 *width, gint64 *height, gint64 *stride)
{
    struct stat st;
    *width = json_object_get_int_member_with_default(o, "width", 0);
    *height = json_object_get_int_member_with_default(o, "height", 0);
    *stride = json_object_get_int_member_with_default(o, "stride", 0);
    bool good = *width > 0 && *width <= SIDE_MAX && *height > 0 && *height <= SIDE_MAX && *stride >= *width * 4 &&
                *stride <= SIDE_MAX * 8 && !fstat(fd, &st) && st.st_size >= *stride * *height;
    void *p = good ? mmap(NULL, *stride * *height, PROT_READ, MAP_SHARED, fd, 0) : MAP_FAILED;
    return p == MAP_FAILED ? NULL : p;
}

static int save(JsonObject *o, int fd, const char *path)
{
    gint64 width, height, stride;
    g_autoptr(GError) error = NULL;
    uint32_t *pixels = map_picture(o, fd, &width, &height, &stride);
    if (!pixels)
        return fail(EXIT_CODE_FAILED, "the VM process sent no picture");
    bool good = screenshot_write(path, pixels, width, height, stride, &error);
    munmap(pixels, stride * height);
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
    int code = n == 1 ? save(o, fd, path) : fail(EXIT_CODE_FAILED, "the VM process sent no picture");
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
    fputs(json_object_get_string_member_with_default(o, "text", ""), stdout);
    json_object_unref(o);
    return code;
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
