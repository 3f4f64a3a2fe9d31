// SPDX-License-Identifier: GPL-2.0-or-later
/* menus.c - what the bar's menus offer: actions, key combinations, drives and network cards as they are now. */
#include "core-vmm/control/answer.h"
#include "gui/screen/chooser.h"
#include "gui/screen/screen.h"
#include <sys/stat.h>
#include <string.h>

#define IMAGES_MAX 12 /* files that are offered for a drive */

static void fill_machine(void *ctx, struct menu *m)
{
    actions_fill(ctx, m, ACTIONS_MACHINE);
}

static void fill_view(void *ctx, struct menu *m)
{
    actions_fill(ctx, m, ACTIONS_VIEW);
}

/* ---- keys ---- */

static void send_combination(void *ctx, const char *keys)
{
    struct screen *s = ctx;
    JsonObject *args = json_object_new();

    json_object_set_string_member(args, "keys", keys);
    link_send(s->link, "input.keys", args);
}

static void fill_keys(void *ctx, struct menu *m)
{
    static const char *const combinations[][2] = {
        {"Ctrl+Alt+F1", "ctrl+alt+f1"},
        {"Ctrl+Alt+F2", "ctrl+alt+f2"},
        {"Ctrl+Alt+F3", "ctrl+alt+f3"},
        {"Ctrl+Alt+F7", "ctrl+alt+f7"},
        {NULL, NULL},
        {"Alt+Tab", "alt+tab"},
        {"Alt+F4", "alt+f4"},
        {"Ctrl+Esc", "ctrl+esc"},
        {"Ctrl+Shift+Esc", "ctrl+shift+esc"},
        {"Super", "super"},
        {"Super+L", "super+l"},
        {"Super+R", "super+r"},
        {NULL, NULL},
        {"Print Screen", "print"},
        {"Alt+SysRq+S (Linux: write to disks)", "alt+sysrq+s"},
        {"Pause", "pause"},
        {"Right Ctrl", "rightctrl"},
    };
    struct screen *s = ctx;

    actions_fill(s, m, ACTIONS_KEYS);
    for (size_t i = 0; i < G_N_ELEMENTS(combinations); i++)
        if (combinations[i][0])
            menu_add(m, combinations[i][0], NULL, false, actions_possible(s) ? send_combination : NULL,
                     combinations[i][1]);
        else
            menu_add_line(m);
}

/* ---- drives ---- */

static void insert(struct screen *s, const char *drive, const char *file);

static void drives_told(void *ctx, const char *output, const char *problem)
{
    struct screen *s = ctx;
    JsonObject *drives = problem ? NULL : answer_parse(output, NULL);

    if (problem)
        window_notice(s, "%s", problem);
    g_clear_pointer(&s->drives, json_object_unref);
    s->drives = drives;
    bar_refill(&s->bar);
    window_changed(s);
}

static void look_at_drives(void *ctx)
{
    struct screen *s = ctx;
    const char *words[] = {"media", "-o", "json", "--", "list", s->name, NULL};

    if (actions_possible(s))
        job_start(&s->jobs, words, drives_told, s);
}

static void changed(void *ctx, const char *output, const char *problem)
{
    if (problem)
        window_notice(ctx, "%s", problem);
    else
        window_notice_over(ctx);
}

/* What is known of drives and cards will not be so any more. */
static void change(struct screen *s, const char *busy, const char *const *words)
{
    g_clear_pointer(&s->drives, json_object_unref);
    g_clear_pointer(&s->cards, json_object_unref);
    action_job(s, busy, words, changed);
}

static void eject(void *ctx, const char *drive)
{
    struct screen *s = ctx;
    const char *words[] = {"media", "--drive", drive, "--", "eject", s->name, NULL};

    change(s, "ejecting", words);
}

static void insert(struct screen *s, const char *drive, const char *file)
{
    const char *words[] = {"media", "--drive", drive, "--", "insert", s->name, file, NULL};

    change(s, "inserting", words);
}

/* arg: the drive's name, a blank, the file's */
static void insert_chosen(void *ctx, const char *arg)
{
    const char *blank = strchr(arg, ' ');
    g_autofree char *drive = g_strndup(arg, blank - arg);

    insert(ctx, drive, blank + 1);
}

/* output: the file. */
static void file_chosen(void *ctx, const char *output, const char *problem)
{
    struct screen *s = ctx;
    g_autofree char *drive = g_steal_pointer(&s->choosing);

    if (problem)
        window_notice(s, "%s", problem);
    else if (output && drive)
        insert(s, drive, output);
}

static void choose_file(void *ctx, const char *drive)
{
    struct screen *s = ctx;

    if (s->choosing)
        return;
    s->choosing = g_strdup(drive);
    job_start_call(&s->jobs, chooser_file, "Insert a medium", file_chosen, s);
}

struct found {
    char *path;
    gint64 changed;
};

static void found_free(gpointer data)
{
    struct found *f = data;

    g_free(f->path);
    g_free(f);
}

static int newest_first(gconstpointer a, gconstpointer b)
{
    const struct found *const *one = a, *const *other = b;

    return ((*one)->changed < (*other)->changed) - ((*one)->changed > (*other)->changed);
}

static bool fits(const char *file, bool floppy)
{
    g_autofree char *lower = g_ascii_strdown(file, -1);

    if (!floppy)
        return g_str_has_suffix(lower, ".iso");
    return g_str_has_suffix(lower, ".img") || g_str_has_suffix(lower, ".ima") || g_str_has_suffix(lower, ".flp") ||
           g_str_has_suffix(lower, ".vfd");
}

static void find_in(GPtrArray *found, const char *folder, bool floppy)
{
    g_autoptr(GDir) dir = folder ? g_dir_open(folder, 0, NULL) : NULL;
    const char *name;
    struct stat st;

    while (dir && (name = g_dir_read_name(dir))) {
        g_autofree char *path = g_build_filename(folder, name, NULL);
        struct found *f;
        if (!fits(name, floppy) || !g_utf8_validate(path, -1, NULL) || stat(path, &st) != 0 || !S_ISREG(st.st_mode))
            continue;
        f = g_new0(struct found, 1);
        f->path = g_steal_pointer(&path);
        f->changed = st.st_mtime;
        g_ptr_array_add(found, f);
    }
}

/* What is beside the image that is in the drive, and what was downloaded; the newest first. */
static GPtrArray *images_for(const char *file, bool floppy)
{
    GPtrArray *found = g_ptr_array_new_with_free_func(found_free);
    const char *downloads = g_get_user_special_dir(G_USER_DIRECTORY_DOWNLOAD);
    g_autofree char *beside = file ? g_path_get_dirname(file) : NULL;

    find_in(found, downloads, floppy);
    if (g_strcmp0(beside, downloads))
        find_in(found, beside, floppy);
    g_ptr_array_sort(found, newest_first);
    return found;
}

static void offer_images(struct menu *m, const char *drive, const char *file, bool floppy)
{
    g_autoptr(GPtrArray) images = images_for(file, floppy);

    for (unsigned i = 0; i < images->len && i < IMAGES_MAX; i++) {
        const struct found *f = images->pdata[i];
        g_autofree char *base = g_path_get_basename(f->path), *label = g_strdup_printf("Insert %s", base);
        g_autofree char *arg = g_strdup_printf("%s %s", drive, f->path);
        if (g_strcmp0(f->path, file))
            menu_add(m, label, NULL, false, insert_chosen, arg);
    }
}

static void offer_drive(struct menu *m, JsonObject *drive)
{
    const char *name = answer_text(drive, "drive", "?"), *file = answer_text(drive, "file", NULL);
    bool floppy = !strcmp(answer_text(drive, "media", ""), "floppy");
    g_autofree char *base = file ? g_path_get_basename(file) : NULL;
    g_autofree char *title = g_strdup_printf("%s %s: %s", floppy ? "Floppy" : "CD/DVD", name, base ? base : "empty");

    menu_add_line(m);
    menu_add_heading(m, title);
    menu_add(m, "Eject", NULL, false, file ? eject : NULL, name);
    menu_add(m, "Insert a file...", NULL, false, choose_file, name);
    offer_images(m, name, file, floppy);
}

static void fill_media(void *ctx, struct menu *m)
{
    struct screen *s = ctx;
    JsonArray *drives = answer_array(s->drives, "drives");
    unsigned offered = 0;

    for (unsigned i = 0; i < answer_count(drives); i++) {
        JsonObject *drive = answer_element(drives, i);
        if (!answer_flag(drive, "removable") || !actions_possible(s))
            continue;
        offer_drive(m, drive);
        offered++;
    }
    menu_add_line(m);
    if (offered)
        menu_add(m, "Files dropped onto the window are inserted", NULL, false, NULL, NULL);
    else
        menu_add(m, s->drives ? "This machine has no drive with removable media" : "Looking...", NULL, false, NULL,
                 NULL);
}

/* ---- a file that was dropped ---- */

static JsonObject *drive_for(JsonObject *list, const char *file)
{
    JsonArray *drives = answer_array(list, "drives");

    for (unsigned i = 0; i < answer_count(drives); i++) {
        JsonObject *drive = answer_element(drives, i);
        const char *media = answer_text(drive, "media", "");
        if (answer_flag(drive, "removable") && fits(file, !strcmp(media, "floppy")))
            return drive;
    }
    return NULL;
}

static void insert_into(struct screen *s, JsonObject *drive, const char *file)
{
    g_autofree char *name = g_strdup(answer_text(drive, "drive", "")); /* the list is given up */

    insert(s, name, file);
}

static void drop_told(void *ctx, const char *output, const char *problem)
{
    struct screen *s = ctx;
    g_autofree char *file = g_steal_pointer(&s->dropped);
    JsonObject *drive;

    drives_told(s, output, problem);
    if (problem || !file)
        return;
    drive = drive_for(s->drives, file);
    if (drive)
        insert_into(s, drive, file);
    else
        window_notice(s, "no drive of this machine takes %s", file);
}

void menus_dropped(struct screen *s, const char *file)
{
    const char *words[] = {"media", "-o", "json", "--", "list", s->name, NULL};

    if (!actions_possible(s))
        return;
    g_free(s->dropped);
    s->dropped = g_strdup(file);
    action_job(s, "inserting", words, drop_told);
}

/* ---- network ---- */

static void cards_told(void *ctx, const char *output, const char *problem)
{
    struct screen *s = ctx;
    JsonObject *cards = problem ? NULL : answer_parse(output, NULL);

    if (problem)
        window_notice(s, "%s", problem);
    g_clear_pointer(&s->cards, json_object_unref);
    s->cards = cards;
    bar_refill(&s->bar);
    window_changed(s);
}

static void look_at_cards(void *ctx)
{
    struct screen *s = ctx;
    const char *words[] = {"nic", "-o", "json", "--", "list", s->name, NULL};

    job_start(&s->jobs, words, cards_told, s);
}

static void plug(struct screen *s, const char *what, const char *card)
{
    const char *words[] = {"nic", "--card", card, "--", what, s->name, NULL};

    change(s, what[0] == 'c' ? "connecting the cable" : "taking the cable out", words);
}

static void cable_in(void *ctx, const char *card)
{
    plug(ctx, "connect", card);
}

static void cable_out(void *ctx, const char *card)
{
    plug(ctx, "disconnect", card);
}

static void fill_network(void *ctx, struct menu *m)
{
    struct screen *s = ctx;
    JsonArray *cards = answer_array(s->cards, "cards");

    for (unsigned i = 0; i < answer_count(cards); i++) {
        JsonObject *card = answer_element(cards, i);
        const char *name = answer_text(card, "card", "?");
        bool in = answer_flag(card, "connected");
        g_autofree char *title =
            g_strdup_printf("%s: %s, %s", name, answer_text(card, "mode", "?"), answer_text(card, "mac", "?"));
        menu_add_line(m);
        menu_add_heading(m, title);
        menu_add(m, "Cable connected", NULL, in, in ? cable_out : cable_in, name);
    }
    if (!answer_count(cards))
        menu_add(m, s->cards ? "This machine has no network card" : "Looking...", NULL, false, NULL, NULL);
}

const struct bar_menu screen_menus[] = {
    {"Machine", fill_machine, NULL},
    {"Keys", fill_keys, NULL},
    {"View", fill_view, NULL},
    {"Media", fill_media, look_at_drives},
    {"Network", fill_network, look_at_cards},
    {NULL, NULL, NULL},
};

void menus_clear(struct screen *s)
{
    g_clear_pointer(&s->drives, json_object_unref);
    g_clear_pointer(&s->cards, json_object_unref);
    g_clear_pointer(&s->dropped, g_free);
    g_clear_pointer(&s->choosing, g_free);
}
