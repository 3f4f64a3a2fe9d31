// SPDX-License-Identifier: GPL-2.0-or-later
/* item.c - see item.h. */
#include "gui/manager/item.h"
#include "core-vmm/api/config.h"
#include "core-vmm/host/config_schema.h"
#include "core-vmm/host/machines.h"
#include "core-vmm/host/paths.h"
#include "gui/manager/live.h"
#include <glib/gi18n.h>
#include <glib/gstdio.h>
#include <string.h>

struct _VmItem {
    GObject parent_instance;
    char *name, *title, *group, *heading, *os, *problem;
    char *folder_id; /* of the folder that it is; NULL: there was none */
    enum vm_state state;
    bool damaged;
    uint64_t memory;
    gint64 used;
    guint64 settings_print; /* of the machine.ini that was read */
    struct live *live;      /* while it runs */
    JsonObject *info;
    GdkTexture *picture;
    VmJob *job;
    unsigned pictures_wanted, info_count, settings_count;
    unsigned hidden; /* see vm_item_set_heading() */
    guint ending;    /* source, while what the VM said last is read; 0: none */
    bool told_end;   /* the VM has said that it ends */
    bool crashed;    /* and once it had not, which is the problem */
};
enum {
    PROP_TITLE = 1,
    PROP_GROUP,
    PROP_WORDS,
    PROP_HEADING,
    PROP_FOLDED,
    PROP_UNFOLDED,
    PROP_SUBTITLE,
    PROP_CAPTION,
    PROP_STATE,
    PROP_ICON,
    PROP_PICTURE,
    PROP_SHOWN,
    PROP_BUSY,
    PROP_FRACTION,
    PROP_PROBLEM,
    PROP_OFF,
    PROP_LIVE,
    PROP_RUNNING,
    PROP_PAUSED,
    PROP_INFO,
    PROP_SETTINGS,
};
G_DEFINE_FINAL_TYPE(VmItem, vm_item, G_TYPE_OBJECT)

/* ---- what is so ---- */

const char *vm_item_name(VmItem *m)
{
    return m->name;
}

const char *vm_item_title(VmItem *m)
{
    return m->title ? m->title : m->name;
}

const char *vm_item_group(VmItem *m)
{
    return m->group;
}

enum vm_state vm_item_state(VmItem *m)
{
    return m->state;
}

bool vm_item_is_off(VmItem *m)
{
    return m->state == VM_OFF || m->state == VM_SAVED;
}

bool vm_item_is_live(VmItem *m)
{
    return m->state == VM_RUNNING || m->state == VM_PAUSED;
}

uint64_t vm_item_memory(VmItem *m)
{
    return m->memory;
}

gint64 vm_item_used(VmItem *m)
{
    return m->used;
}

JsonObject *vm_item_info(VmItem *m)
{
    return m->info;
}

VmJob *vm_item_job(VmItem *m)
{
    return m->job;
}

static char *subtitle(VmItem *m)
{
    if (m->job)
        return g_strdup(vm_job_title(m->job));
    switch (m->state) {
    case VM_OFF: return g_strdup(_("Off"));
    case VM_SAVED: return g_strdup(_("Saved"));
    case VM_BEGINS: return g_strdup(_("Starting"));
    case VM_RUNNING: return g_strdup(_("Running"));
    case VM_PAUSED: return g_strdup(_("Paused"));
    case VM_SILENT: return g_strdup(_("Does not answer"));
    case VM_DAMAGED: return g_strdup(_("Settings are damaged"));
    }
    return NULL;
}

static char *caption(VmItem *m)
{
    char *text = subtitle(m);
    if (!m->group)
        return text;
    char *both = g_strdup_printf("%s · %s", text, m->group);
    g_free(text);
    return both;
}

static char *words_of(VmItem *m)
{
    return g_strdup_printf("%s\n%s\n%s", vm_item_title(m), m->name, m->group ? m->group : "");
}

/* Ours, in the resources; by the words of os_defaults.h. */
static const char *icon_of(const char *os)
{
    static const char *const icons[][2] = {
        {"linux", "system-linux-symbolic"},     {"bsd", "system-bsd-symbolic"},
        {"windows", "system-windows-symbolic"}, {"windows-old", "system-windows-symbolic"},
        {"dos", "system-dos-symbolic"},
    };
    for (unsigned i = 0; os && i < G_N_ELEMENTS(icons); i++)
        if (!strcmp(os, icons[i][0]))
            return icons[i][1];
    return "system-other-symbolic";
}

/* ---- changes ---- */

static void set_state(VmItem *m, enum vm_state state)
{
    static const char *const follow[] = {"state",   "subtitle",   "caption",  "is-off",
                                         "is-live", "is-running", "is-paused"};
    if (m->state == state)
        return;
    m->state = state;
    for (unsigned i = 0; i < G_N_ELEMENTS(follow); i++)
        g_object_notify(G_OBJECT(m), follow[i]);
}

void vm_item_set_problem(VmItem *m, const char *problem)
{
    if (!g_strcmp0(m->problem, problem))
        return;
    g_free(m->problem);
    m->problem = g_strdup(problem);
    g_object_notify(G_OBJECT(m), "problem");
}

static void set_info(VmItem *m, JsonObject *info)
{
    g_clear_pointer(&m->info, json_object_unref);
    m->info = info ? json_object_ref(info) : NULL;
    m->info_count++;
    g_object_notify(G_OBJECT(m), "info");
}

static void set_picture(VmItem *m, GdkTexture *picture)
{
    bool was = m->picture;
    if (g_set_object(&m->picture, picture))
        g_object_notify(G_OBJECT(m), "picture");
    if (was != (m->picture != NULL))
        g_object_notify(G_OBJECT(m), "is-shown");
}

/* ---- the running VM ---- */

static void on_info(void *ctx, JsonObject *info)
{
    set_info(ctx, info);
}

static void on_state(void *ctx, const char *state, const char *message)
{
    VmItem *m = ctx;
    if (!strcmp(state, "running"))
        set_state(m, VM_RUNNING);
    else if (!strcmp(state, "paused"))
        set_state(m, VM_PAUSED);
    m->told_end = !strcmp(state, "stopped");
    if (message)
        vm_item_set_problem(m, message);
}

static void on_picture(void *ctx, GdkTexture *picture)
{
    set_picture(ctx, picture);
}

static void on_full(void *ctx, bool full, const char *message)
{
    vm_item_set_problem(ctx, full ? message ? message : _("The disk of this computer is full; the machine is paused.")
                                  : NULL);
}

static void on_silent(void *ctx, bool silent)
{
    set_state(ctx, silent ? VM_SILENT : VM_BEGINS);
}

static void on_failed(void *ctx, const char *message)
{
    vm_item_set_problem(ctx, message);
}

static void go_live(VmItem *m)
{
    const struct live_calls calls = {on_info, on_state, on_picture, on_full, on_silent, on_failed, m};
    if (m->crashed)
        vm_item_set_problem(m, NULL);
    m->crashed = m->told_end = false;
    set_state(m, VM_BEGINS);
    m->live = live_new(m->name, &calls);
    live_want_pictures(m->live, m->pictures_wanted);
}

static void go_off(VmItem *m)
{
    if (m->ending)
        g_source_remove(m->ending);
    m->ending = 0;
    g_clear_pointer(&m->live, live_free);
    set_info(m, NULL);
    set_picture(m, NULL);
}

void vm_item_want_pictures(VmItem *m, bool wanted)
{
    m->pictures_wanted += wanted ? 1 : -1;
    if (m->live)
        live_want_pictures(m->live, m->pictures_wanted);
}

void vm_item_send(VmItem *m, const char *command, JsonObject *args)
{
    if (m->live)
        live_send(m->live, command, args);
    else if (args)
        json_object_unref(args);
}

/* ---- what its folder says ---- */

static gint64 last_used(const char *name)
{
    g_autofree char *folder = machines_folder(name), *log = paths_log(folder);
    GStatBuf st;
    return g_stat(log, &st) ? 0 : st.st_mtime;
}

static void set_text(VmItem *m, char **field, const char *value, const char *property)
{
    if (!g_strcmp0(*field, value))
        return;
    g_free(*field);
    *field = g_strdup(value);
    g_object_notify(G_OBJECT(m), property);
}

/* One line that reads as it is written: without line breaks, and without what turns the direction of all behind it.  g_free. */
static char *one_line(char *text)
{
    GString *s = g_string_new(NULL);
    for (const char *c = text; c && *c; c = g_utf8_next_char(c)) {
        gunichar u = g_utf8_get_char(c);
        bool turns = (u >= 0x202a && u <= 0x202e) || (u >= 0x2066 && u <= 0x2069);
        if (!turns)
            g_string_append_unichar(s, g_unichar_iscntrl(u) || u == 0x2028 || u == 0x2029 ? ' ' : u);
    }
    g_free(text);
    return g_strstrip(g_string_free(s, FALSE));
}

static void take_settings(VmItem *m, guint64 print, GError **error)
{
    g_autofree char *ini = machines_ini(m->name);
    g_autoptr(GKeyFile) file = schema_load(ini, error);
    const struct config c = {file, ini, "machine"};
    g_autofree char *title = one_line(file ? g_key_file_get_string(file, "machine", "name", NULL) : NULL);
    g_autofree char *os = file ? g_key_file_get_string(file, "machine", "os", NULL) : NULL;
    g_autofree char *group = one_line(file ? g_key_file_get_string(file, "machine", "group", NULL) : NULL);
    m->settings_print = print;
    m->damaged = !file || !config_size(&c, "memory", &m->memory, NULL);
    set_text(m, &m->os, os, "icon");
    set_text(m, &m->title, *title ? title : NULL, "title");
    set_text(m, &m->group, *group ? group : NULL, "group");
    g_object_notify(G_OBJECT(m), "words");
    g_object_notify(G_OBJECT(m), "caption");
    m->settings_count++;
    g_object_notify(G_OBJECT(m), "settings");
}

/* What is known of a machine that stands still, by its folder. */
static enum vm_state standing(VmItem *m, const struct machine_entry *e)
{
    return !e->settings || m->damaged ? VM_DAMAGED : e->saved ? VM_SAVED : VM_OFF;
}

/* A VM that was suspended, or that we were told to end, is missed by nobody. */
static void miss(VmItem *m)
{
    struct machine_entry *e = machines_glance(m->name);
    if (m->info && !m->told_end && !m->job && e->state != ENTRY_RUNS && standing(m, e) == VM_OFF) {
        vm_item_set_problem(
            m, _("The machine's process ended unexpectedly: it crashed, or was killed. Its log may say more."));
        m->crashed = true;
    }
    machine_entry_free(e);
}

static gboolean on_ended(gpointer item)
{
    VmItem *m = item;
    m->ending = 0;
    miss(m);
    go_off(m);
    vm_item_look(m);
    return G_SOURCE_REMOVE;
}

/* The folder may tell that the process is gone before its last words were read. */
static void leave(VmItem *m)
{
    enum { LAST_WORDS_MS = 200 };
    if (!m->ending)
        m->ending = g_timeout_add(LAST_WORDS_MS, on_ended, m);
}

/* machine.ini is read only when it is another one. */
void vm_item_look(VmItem *m)
{
    struct machine_entry *e = machines_glance(m->name);
    g_autoptr(GError) error = NULL;
    bool runs = e->state == ENTRY_RUNS;
    if (e->settings && e->settings != m->settings_print)
        take_settings(m, e->settings, &error);
    m->used = last_used(m->name);
    if (runs && !m->live)
        go_live(m);
    if (!runs && m->live)
        leave(m);
    else if (!runs)
        set_state(m, standing(m, e));
    if (m->state == VM_DAMAGED && (error || !e->settings))
        vm_item_set_problem(m, error ? error->message : _("The folder has no machine.ini."));
    machine_entry_free(e);
}

void vm_item_set_heading(VmItem *m, const char *heading, unsigned hidden)
{
    g_autofree char *text = heading && hidden ? g_strdup_printf("%s (%u)", heading, hidden) : g_strdup(heading);
    bool was = m->hidden;
    set_text(m, &m->heading, text, "heading");
    m->hidden = hidden;
    if (was == (hidden != 0))
        return;
    g_object_notify(G_OBJECT(m), "is-folded");
    g_object_notify(G_OBJECT(m), "is-unfolded");
}

void vm_item_forget(VmItem *m)
{
    go_off(m);
    set_state(m, VM_OFF);
}

/* Another folder that comes to have its name has another one, by the time of its birth also if the file system gives it the same
 * number.  NULL: there is none. */
static char *folder_id(const char *name)
{
    g_autofree char *folder = machines_folder(name);
    g_autoptr(GFile) file = g_file_new_for_path(folder);
    g_autoptr(GFileInfo) i = g_file_query_info(file, "standard::type,id::file,time::created,time::created-usec",
                                               G_FILE_QUERY_INFO_NONE, NULL, NULL);
    if (!i || g_file_info_get_file_type(i) != G_FILE_TYPE_DIRECTORY)
        return NULL;
    return g_strdup_printf("%s %" G_GUINT64_FORMAT ".%06u", g_file_info_get_attribute_string(i, "id::file"),
                           g_file_info_get_attribute_uint64(i, "time::created"),
                           g_file_info_get_attribute_uint32(i, "time::created-usec"));
}

bool vm_item_is_there(VmItem *m)
{
    g_autofree char *id = folder_id(m->name);
    return id && !g_strcmp0(id, m->folder_id);
}

VmItem *vm_item_new(const char *name)
{
    VmItem *m = g_object_new(vm_item_get_type(), NULL);
    m->name = g_strdup(name);
    m->folder_id = folder_id(name);
    vm_item_look(m);
    return m;
}

/* ---- changes by vmctl ---- */

static void tell_job(VmItem *m)
{
    g_object_notify(G_OBJECT(m), "busy");
    g_object_notify(G_OBJECT(m), "fraction");
    g_object_notify(G_OBJECT(m), "subtitle");
    g_object_notify(G_OBJECT(m), "caption");
}

static void on_fraction(VmItem *m)
{
    g_object_notify(G_OBJECT(m), "fraction");
}

static void on_job_done(VmItem *m)
{
    VmJob *job = g_steal_pointer(&m->job);
    if (vm_job_problem(job) && !vm_job_was_cancelled(job))
        vm_item_set_problem(m, vm_job_problem(job));
    g_object_unref(job);
    vm_item_look(m);
    tell_job(m);
}

VmJob *vm_item_run(VmItem *m, const char *title, const char *const *words)
{
    if (m->job) {
        g_autofree char *problem =
            g_strdup_printf(_("Not now: “%s” is still under way. Wait for it, or cancel it."), vm_job_title(m->job));
        vm_item_set_problem(m, problem);
        return NULL;
    }
    vm_item_set_problem(m, NULL);
    m->job = vm_job_new(title, words);
    g_signal_connect_object(m->job, "notify::fraction", G_CALLBACK(on_fraction), m, G_CONNECT_SWAPPED);
    g_signal_connect_object(m->job, "notify::done", G_CALLBACK(on_job_done), m, G_CONNECT_SWAPPED);
    tell_job(m);
    return g_object_ref(m->job);
}

/* ---- as an object ---- */

static void get_property(GObject *o, guint id, GValue *v, GParamSpec *spec)
{
    VmItem *m = VM_ITEM(o);
    switch (id) {
    case PROP_TITLE: g_value_set_string(v, vm_item_title(m)); break;
    case PROP_GROUP: g_value_set_string(v, m->group); break;
    case PROP_WORDS: g_value_take_string(v, words_of(m)); break;
    case PROP_HEADING: g_value_set_string(v, m->heading); break;
    case PROP_FOLDED: g_value_set_boolean(v, m->hidden); break;
    case PROP_UNFOLDED: g_value_set_boolean(v, !m->hidden); break;
    case PROP_SUBTITLE: g_value_take_string(v, subtitle(m)); break;
    case PROP_CAPTION: g_value_take_string(v, caption(m)); break;
    case PROP_STATE: g_value_set_uint(v, m->state); break;
    case PROP_ICON: g_value_set_string(v, icon_of(m->os)); break;
    case PROP_PICTURE: g_value_set_object(v, m->picture); break;
    case PROP_SHOWN: g_value_set_boolean(v, m->picture != NULL); break;
    case PROP_BUSY: g_value_set_boolean(v, m->job != NULL); break;
    case PROP_FRACTION: g_value_set_double(v, m->job ? vm_job_fraction(m->job) : -1); break;
    case PROP_PROBLEM: g_value_set_string(v, m->problem); break;
    case PROP_OFF: g_value_set_boolean(v, vm_item_is_off(m)); break;
    case PROP_LIVE: g_value_set_boolean(v, vm_item_is_live(m)); break;
    case PROP_RUNNING: g_value_set_boolean(v, m->state == VM_RUNNING); break;
    case PROP_PAUSED: g_value_set_boolean(v, m->state == VM_PAUSED); break;
    case PROP_INFO: g_value_set_uint(v, m->info_count); break;
    case PROP_SETTINGS: g_value_set_uint(v, m->settings_count); break;
    default: G_OBJECT_WARN_INVALID_PROPERTY_ID(o, id, spec);
    }
}

static void dispose(GObject *o)
{
    VmItem *m = VM_ITEM(o);
    if (m->ending)
        g_source_remove(m->ending);
    m->ending = 0;
    g_clear_pointer(&m->live, live_free);
    g_clear_pointer(&m->info, json_object_unref);
    g_clear_object(&m->picture);
    g_clear_object(&m->job);
    G_OBJECT_CLASS(vm_item_parent_class)->dispose(o);
}

static void finalize(GObject *o)
{
    VmItem *m = VM_ITEM(o);
    g_free(m->name);
    g_free(m->folder_id);
    g_free(m->title);
    g_free(m->group);
    g_free(m->heading);
    g_free(m->os);
    g_free(m->problem);
    G_OBJECT_CLASS(vm_item_parent_class)->finalize(o);
}

static void vm_item_class_init(VmItemClass *c)
{
    static const struct {
        guint id;
        const char *name;
        GType type;
    } properties[] = {
        {PROP_TITLE, "title", G_TYPE_STRING},         {PROP_SUBTITLE, "subtitle", G_TYPE_STRING},
        {PROP_GROUP, "group", G_TYPE_STRING},         {PROP_WORDS, "words", G_TYPE_STRING},
        {PROP_HEADING, "heading", G_TYPE_STRING},     {PROP_CAPTION, "caption", G_TYPE_STRING},
        {PROP_ICON, "icon", G_TYPE_STRING},           {PROP_PROBLEM, "problem", G_TYPE_STRING},
        {PROP_STATE, "state", G_TYPE_UINT},           {PROP_INFO, "info", G_TYPE_UINT},
        {PROP_SETTINGS, "settings", G_TYPE_UINT},     {PROP_BUSY, "busy", G_TYPE_BOOLEAN},
        {PROP_FOLDED, "is-folded", G_TYPE_BOOLEAN},   {PROP_UNFOLDED, "is-unfolded", G_TYPE_BOOLEAN},
        {PROP_OFF, "is-off", G_TYPE_BOOLEAN},         {PROP_LIVE, "is-live", G_TYPE_BOOLEAN},
        {PROP_RUNNING, "is-running", G_TYPE_BOOLEAN}, {PROP_PAUSED, "is-paused", G_TYPE_BOOLEAN},
        {PROP_SHOWN, "is-shown", G_TYPE_BOOLEAN},
    };
    GObjectClass *o = G_OBJECT_CLASS(c);
    const GParamFlags flags = G_PARAM_READABLE | G_PARAM_STATIC_STRINGS;
    o->get_property = get_property;
    o->dispose = dispose;
    o->finalize = finalize;
    for (unsigned i = 0; i < G_N_ELEMENTS(properties); i++) {
        const char *n = properties[i].name;
        g_object_class_install_property(
            o, properties[i].id,
            properties[i].type == G_TYPE_STRING ? g_param_spec_string(n, NULL, NULL, NULL, flags)
            : properties[i].type == G_TYPE_UINT ? g_param_spec_uint(n, NULL, NULL, 0, G_MAXUINT, 0, flags)
                                                : g_param_spec_boolean(n, NULL, NULL, FALSE, flags));
    }
    g_object_class_install_property(o, PROP_FRACTION, g_param_spec_double("fraction", NULL, NULL, -1, 1, -1, flags));
    g_object_class_install_property(o, PROP_PICTURE,
                                    g_param_spec_object("picture", NULL, NULL, GDK_TYPE_TEXTURE, flags));
}

static void vm_item_init(VmItem *m)
{
}
