// SPDX-License-Identifier: GPL-2.0-or-later
/* snapshot_record.c - see snapshot_record.h.  Only programs of the user's write the file, never the VM process; it is checked all
 * the same, so that an edited or damaged one is refused in one sentence and leads nowhere. */
#include "core-vmm/host/snapshot_record.h"
#include "core-vmm/host/config_schema.h"
#include "core-vmm/host/paths.h"
#include <gio/gio.h>
#include <json-glib/json-glib.h>
#include <string.h>

#define LAYOUT      1
#define RECORD      "record.json"
#define RECORD_MAX  (64 << 20)
#define STRUCTS_MAX 100000

/* ---- life ---- */

static void disk_free(gpointer disk)
{
    struct snapshot_disk *d = disk;
    g_free(d->drive);
    g_free(d->file);
    g_free(d);
}

void snapshot_free(gpointer snapshot)
{
    struct snapshot *s = snapshot;
    g_free(s->name);
    g_free(s->description);
    g_ptr_array_unref(s->disks);
    g_free(s);
}

static void image_free(gpointer image)
{
    struct snapshot_image *i = image;
    g_free(i->file);
    g_free(i->format);
    g_free(i->on);
    g_free(i);
}

struct snapshot_record *record_new(void)
{
    struct snapshot_record *r = g_new0(struct snapshot_record, 1);
    r->next = 1;
    r->snapshots = g_ptr_array_new_with_free_func(snapshot_free);
    r->images = g_ptr_array_new_with_free_func(image_free);
    return r;
}

void record_free(struct snapshot_record *r)
{
    if (!r)
        return;
    g_ptr_array_unref(r->snapshots);
    g_ptr_array_unref(r->images);
    g_free(r->pending);
    g_free(r);
}

struct snapshot *snapshot_new(unsigned id)
{
    struct snapshot *s = g_new0(struct snapshot, 1);
    s->id = id;
    for (unsigned k = 0; k < KEPT_COUNT; k++)
        s->kept[k] = KEPT_UNKNOWN;
    s->disks = g_ptr_array_new_with_free_func(disk_free);
    return s;
}

void snapshot_add_disk(struct snapshot *s, const char *drive, const char *file)
{
    struct snapshot_disk *d = g_new0(struct snapshot_disk, 1);
    *d = (struct snapshot_disk){g_strdup(drive), g_strdup(file)};
    g_ptr_array_add(s->disks, d);
}

struct snapshot_image *record_add_image(struct snapshot_record *r, const char *file, const char *format, const char *on)
{
    struct snapshot_image *i = g_new0(struct snapshot_image, 1);
    *i = (struct snapshot_image){.file = g_strdup(file), .format = g_strdup(format), .on = g_strdup(on)};
    g_ptr_array_add(r->images, i);
    return i;
}

/* ---- looking up ---- */

struct snapshot *record_snapshot(const struct snapshot_record *r, unsigned id)
{
    for (guint i = 0; i < r->snapshots->len; i++)
        if (((struct snapshot *)r->snapshots->pdata[i])->id == id)
            return r->snapshots->pdata[i];
    return NULL;
}

struct snapshot_image *record_image(const struct snapshot_record *r, const char *file)
{
    for (guint i = 0; i < r->images->len; i++)
        if (!g_strcmp0(((struct snapshot_image *)r->images->pdata[i])->file, file))
            return r->images->pdata[i];
    return NULL;
}

GPtrArray *record_children(const struct snapshot_record *r, const char *file)
{
    GPtrArray *children = g_ptr_array_new();
    for (guint i = 0; i < r->images->len; i++)
        if (!g_strcmp0(((struct snapshot_image *)r->images->pdata[i])->on, file))
            g_ptr_array_add(children, r->images->pdata[i]);
    return children;
}

bool record_needs(const struct snapshot_record *r, const char *file)
{
    for (guint i = 0; i < r->snapshots->len; i++) {
        const struct snapshot *s = r->snapshots->pdata[i];
        for (guint k = 0; k < s->disks->len; k++)
            if (!strcmp(((struct snapshot_disk *)s->disks->pdata[k])->file, file))
                return true;
    }
    return false;
}

char *snapshot_path(const char *folder, unsigned id, const char *ending)
{
    return g_strdup_printf("%s/" SNAPSHOTS_FOLDER "/%u.%s", folder, id, ending);
}

char *snapshot_base(const char *folder, unsigned id, unsigned n)
{
    return g_strdup_printf("%s/" SNAPSHOTS_FOLDER "/%u.base%u", folder, id, n);
}

#define BASE "base[1-7]"
G_STATIC_ASSERT(STATE_BASES_MAX == 7);

bool snapshot_is_saved_base(const char *name)
{
    return g_regex_match_simple("^saved\\." BASE "$", name, 0, 0);
}

bool snapshot_is_state(const char *path)
{
    return g_regex_match_simple("/([0-9]+\\.(state|" BASE ")|saved\\." BASE ")$", path, 0, 0);
}

char *snapshot_fresh_image(const char *drive, unsigned number)
{
    return g_strdup_printf(SNAPSHOTS_FOLDER "/%s-%u.qcow2", drive, number);
}

guint64 snapshot_file_number(const char *name)
{
    if (!g_regex_match_simple("^[0-9]+\\.(ini|state|vars|tpm|png|" BASE ")$|^[a-z0-9-]+-[0-9]+\\.qcow2$", name, 0, 0))
        return 0;
    const char *digits = g_str_has_suffix(name, ".qcow2") ? strrchr(name, '-') + 1 : name;
    return g_ascii_strtoull(digits, NULL, 10);
}

/* ---- writing ---- */

static void set_text(JsonObject *o, const char *name, const char *text)
{
    if (text && *text)
        json_object_set_string_member(o, name, text);
}

static const char *const kept_names[KEPT_COUNT] = {[KEPT_VARS] = "vars-crc", [KEPT_TPM] = "tpm-crc"};

static JsonArray *bases_array(const struct snapshot *s)
{
    JsonArray *a = json_array_new();
    for (unsigned i = 0; i < s->bases; i++)
        json_array_add_int_element(a, s->base_bytes[i]);
    return a;
}

static JsonObject *snapshot_object(const struct snapshot *s)
{
    JsonObject *o = json_object_new();
    JsonArray *disks = json_array_new();
    json_object_set_int_member(o, "id", s->id);
    json_object_set_int_member(o, "parent", s->parent);
    set_text(o, "name", s->name);
    set_text(o, "description", s->description);
    json_object_set_int_member(o, "time", s->time);
    json_object_set_int_member(o, "state-bytes", s->state_bytes);
    if (s->bases)
        json_object_set_array_member(o, "base-bytes", bases_array(s));
    json_object_set_int_member(o, "settings-crc", s->settings);
    for (unsigned k = 0; k < KEPT_COUNT; k++)
        if (s->kept[k] != KEPT_UNKNOWN)
            json_object_set_int_member(o, kept_names[k], s->kept[k]);
    if (s->automatic)
        json_object_set_boolean_member(o, "automatic", true);
    if (s->moved)
        json_object_set_boolean_member(o, "moved", true);
    for (guint i = 0; i < s->disks->len; i++) {
        const struct snapshot_disk *d = s->disks->pdata[i];
        JsonObject *one = json_object_new();
        json_object_set_string_member(one, "drive", d->drive);
        json_object_set_string_member(one, "file", d->file);
        json_array_add_object_element(disks, one);
    }
    json_object_set_array_member(o, "disks", disks);
    return o;
}

static JsonObject *image_object(const struct snapshot_image *i)
{
    JsonObject *o = json_object_new();
    json_object_set_string_member(o, "file", i->file);
    json_object_set_string_member(o, "format", i->format);
    set_text(o, "on", i->on);
    json_object_set_boolean_member(o, "ours", i->ours);
    json_object_set_boolean_member(o, "merging", i->merging);
    json_object_set_boolean_member(o, "frozen", i->frozen);
    if (!i->frozen)
        return o;
    json_object_set_int_member(o, "bytes", i->bytes);
    json_object_set_int_member(o, "changed-ns", i->changed_ns);
    if (i->live)
        json_object_set_boolean_member(o, "live", true);
    return o;
}

char *record_print(const struct snapshot_record *r)
{
    JsonObject *o = json_object_new();
    JsonArray *snapshots = json_array_new(), *images = json_array_new();
    json_object_set_int_member(o, "layout", LAYOUT);
    json_object_set_int_member(o, "next", r->next);
    json_object_set_int_member(o, "current", r->current);
    for (guint i = 0; i < r->snapshots->len; i++)
        json_array_add_object_element(snapshots, snapshot_object(r->snapshots->pdata[i]));
    for (guint i = 0; i < r->images->len; i++)
        json_array_add_object_element(images, image_object(r->images->pdata[i]));
    json_object_set_array_member(o, "snapshots", snapshots);
    json_object_set_array_member(o, "images", images);
    if (r->pending) {
        json_object_set_string_member(o, "pending-settings", r->pending);
        json_object_set_int_member(o, "pending-state", r->pending_state);
    }
    g_autoptr(JsonNode) node = json_node_init_object(json_node_alloc(), o);
    json_object_unref(o);
    return json_to_string(node, TRUE);
}

bool record_store(const char *folder, const struct snapshot_record *r, GError **error)
{
    g_autofree char *path = g_build_filename(folder, SNAPSHOTS_FOLDER, RECORD, NULL), *text = record_print(r);
    return file_replace(path, text, strlen(text), error);
}

/* ---- reading ---- */

struct reading {
    struct snapshot_record *record;
    bool bad;
};

static JsonNode *member(JsonObject *o, const char *name)
{
    return o && json_object_has_member(o, name) ? json_object_get_member(o, name) : NULL;
}

static int64_t number(struct reading *g, JsonObject *o, const char *name, int64_t low, int64_t high)
{
    JsonNode *n = member(o, name);
    bool is = n && JSON_NODE_HOLDS_VALUE(n) && json_node_get_value_type(n) == G_TYPE_INT64;
    int64_t value = is ? json_node_get_int(n) : low;
    g->bad |= !is || value < low || value > high;
    return g->bad ? low : value;
}

static bool flag(struct reading *g, JsonObject *o, const char *name)
{
    JsonNode *n = member(o, name);
    bool is = n && JSON_NODE_HOLDS_VALUE(n) && json_node_get_value_type(n) == G_TYPE_BOOLEAN;
    g->bad |= !is;
    return is && json_node_get_boolean(n);
}

/* g_free; NULL: there is none. */
static char *text(struct reading *g, JsonObject *o, const char *name, gsize most, bool needed)
{
    JsonNode *n = member(o, name);
    bool is = n && JSON_NODE_HOLDS_VALUE(n) && json_node_get_value_type(n) == G_TYPE_STRING;
    const char *t = is ? json_node_get_string(n) : NULL;
    g->bad |= (n && !is) || (needed && (!t || !*t)) || (t && strlen(t) > most);
    return g_strdup(t);
}

static JsonArray *array(struct reading *g, JsonObject *o, const char *name)
{
    JsonNode *n = member(o, name);
    bool is = n && JSON_NODE_HOLDS_ARRAY(n) && json_array_get_length(json_node_get_array(n)) < STRUCTS_MAX;
    g->bad |= !is;
    return is ? json_node_get_array(n) : NULL;
}

static JsonObject *element(struct reading *g, JsonArray *a, guint i)
{
    JsonNode *n = json_array_get_element(a, i);
    g->bad |= !JSON_NODE_HOLDS_OBJECT(n);
    return JSON_NODE_HOLDS_OBJECT(n) ? json_node_get_object(n) : NULL;
}

static void read_disks(struct reading *g, JsonObject *o, struct snapshot *s)
{
    JsonArray *disks = array(g, o, "disks");
    for (guint i = 0; disks && !g->bad && i < json_array_get_length(disks); i++) {
        JsonObject *one = element(g, disks, i);
        g_autofree char *drive = text(g, one, "drive", 64, true), *file = text(g, one, "file", 4096, true);
        if (!g->bad)
            snapshot_add_disk(s, drive, file);
    }
}

static void read_bases(struct reading *g, JsonObject *o, struct snapshot *s)
{
    JsonArray *a = array(g, o, "base-bytes");
    guint n = a ? json_array_get_length(a) : 0;
    g->bad |= !n || n > STATE_BASES_MAX || !s->state_bytes;
    for (guint i = 0; i < n && !g->bad; i++) {
        JsonNode *one = json_array_get_element(a, i);
        bool is = JSON_NODE_HOLDS_VALUE(one) && json_node_get_value_type(one) == G_TYPE_INT64;
        int64_t bytes = is ? json_node_get_int(one) : 0;
        g->bad |= bytes <= 0;
        s->base_bytes[s->bases++] = bytes;
    }
}

static void read_snapshot(struct reading *g, JsonObject *o)
{
    struct snapshot *s = snapshot_new(number(g, o, "id", 1, G_MAXINT32));
    s->parent = number(g, o, "parent", 0, G_MAXINT32);
    s->name = text(g, o, "name", SNAPSHOT_TEXT_MAX, false);
    s->description = text(g, o, "description", SNAPSHOT_TEXT_MAX, false);
    s->time = number(g, o, "time", 0, G_MAXINT64);
    s->state_bytes = number(g, o, "state-bytes", 0, G_MAXINT64);
    if (member(o, "base-bytes"))
        read_bases(g, o, s);
    s->settings = number(g, o, "settings-crc", 0, G_MAXUINT32);
    for (unsigned k = 0; k < KEPT_COUNT; k++)
        if (member(o, kept_names[k]))
            s->kept[k] = number(g, o, kept_names[k], KEPT_NONE, G_MAXUINT32);
    s->automatic = member(o, "automatic") && flag(g, o, "automatic");
    s->moved = member(o, "moved") && flag(g, o, "moved");
    read_disks(g, o, s);
    g_ptr_array_add(g->record->snapshots, s);
}

static void read_image(struct reading *g, JsonObject *o)
{
    g_autofree char *file = text(g, o, "file", 4096, true), *format = text(g, o, "format", 32, true);
    g_autofree char *on = text(g, o, "on", 4096, false);
    struct snapshot_image *i = record_add_image(g->record, file, format, on);
    i->ours = flag(g, o, "ours");
    i->merging = flag(g, o, "merging");
    i->frozen = flag(g, o, "frozen");
    if (!i->frozen)
        return;
    i->bytes = number(g, o, "bytes", 0, G_MAXINT64);
    i->changed_ns = number(g, o, "changed-ns", G_MININT64, G_MAXINT64);
    i->live = member(o, "live") && flag(g, o, "live");
}

static bool is_own_name(const char *file)
{
    return g_str_has_prefix(file, SNAPSHOTS_FOLDER "/") && !strchr(file + strlen(SNAPSHOTS_FOLDER) + 1, '/');
}

/* As a key of images by their files; NULL: two have one. */
static GHashTable *by_file(const struct snapshot_record *r)
{
    GHashTable *images = g_hash_table_new(g_str_hash, g_str_equal);
    for (guint i = 0; i < r->images->len; i++) {
        struct snapshot_image *image = r->images->pdata[i];
        if (!g_hash_table_insert(images, image->file, image)) {
            g_hash_table_unref(images);
            return NULL;
        }
    }
    return images;
}

/* Whoever follows "on" comes to an end.  ends: images of which that is known. */
static bool chain_ends(GHashTable *images, const struct snapshot_image *top, GHashTable *ends)
{
    guint steps = 0, most = g_hash_table_size(images);
    const struct snapshot_image *i = top;
    for (; i && !g_hash_table_contains(ends, i) && steps <= most; steps++)
        i = i->on ? g_hash_table_lookup(images, i->on) : NULL;
    if (steps > most)
        return false;
    for (i = top; i && g_hash_table_add(ends, (gpointer)i);)
        i = i->on ? g_hash_table_lookup(images, i->on) : NULL;
    return true;
}

/* What is below another image, or in a snapshot, is written to by nobody; what may be removed is where ours are. */
static bool images_fit(const struct snapshot_record *r, GHashTable *images)
{
    g_autoptr(GHashTable) ends = g_hash_table_new(NULL, NULL);
    bool good = true;
    for (guint i = 0; i < r->images->len && good; i++) {
        const struct snapshot_image *image = r->images->pdata[i];
        const struct snapshot_image *below = image->on ? g_hash_table_lookup(images, image->on) : NULL;
        good = (!image->ours || is_own_name(image->file)) && (!image->on || (below && below->frozen)) &&
               chain_ends(images, image, ends);
    }
    return good;
}

/* The name becomes a section of machine.ini and part of a file's name. */
static bool disk_fits(const struct snapshot_disk *d, GHashTable *images)
{
    const struct schema_section *section = schema_find_section(d->drive);
    const struct snapshot_image *image = g_hash_table_lookup(images, d->file);
    return section && section->drive && image && image->frozen;
}

static bool disks_fit(const struct snapshot *s, GHashTable *images)
{
    bool good = true;
    for (guint i = 0; i < s->disks->len && good; i++) {
        const struct snapshot_disk *d = s->disks->pdata[i];
        good = disk_fits(d, images);
        for (guint k = 0; k < i && good; k++)
            good = strcmp(d->drive, ((struct snapshot_disk *)s->disks->pdata[k])->drive);
    }
    return good;
}

/* Numbers that are there, no two alike, parents before their children. */
static bool fits_together(const struct snapshot_record *r)
{
    unsigned before = 0;
    g_autoptr(GHashTable) images = by_file(r);
    bool good = images && images_fit(r, images) && r->snapshots->len <= SNAPSHOTS_MAX &&
                (!r->current || record_snapshot(r, r->current));
    for (guint i = 0; i < r->snapshots->len && good; i++) {
        const struct snapshot *s = r->snapshots->pdata[i];
        good = s->id > before && s->id < r->next && s->parent < s->id &&
               (!s->parent || record_snapshot(r, s->parent)) && disks_fit(s, images);
        before = s->id;
    }
    bool last = r->pending_state == (int)r->next - 1; /* a retold one (snapshot_state.c) */
    return good && (r->pending_state <= 0 || last || record_snapshot(r, r->pending_state));
}

static void read_all(struct reading *g, JsonObject *o)
{
    struct snapshot_record *r = g->record;
    r->next = number(g, o, "next", 1, G_MAXINT32);
    r->current = number(g, o, "current", 0, G_MAXINT32);
    JsonArray *snapshots = array(g, o, "snapshots"), *images = array(g, o, "images");
    for (guint i = 0; !g->bad && i < json_array_get_length(snapshots); i++)
        read_snapshot(g, element(g, snapshots, i));
    for (guint i = 0; !g->bad && i < json_array_get_length(images); i++)
        read_image(g, element(g, images, i));
    r->pending = text(g, o, "pending-settings", RECORD_MAX, member(o, "pending-settings"));
    if (r->pending)
        r->pending_state = number(g, o, "pending-state", PENDING_STATE_GOES, G_MAXINT32);
    g->bad = g->bad || !fits_together(r);
}

static struct snapshot_record *refuse(struct snapshot_record *r, const char *path, const char *why, GError **error)
{
    record_free(r);
    g_set_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA, "%s is no record of snapshots: %s", path, why);
    return NULL;
}

/* The parser calls itself for each level. */
static bool is_flat(const char *data, gsize n)
{
    enum { DEPTH_MAX = 8 };
    unsigned depth = 0;
    bool quoted = false;
    for (gsize i = 0; i < n && depth <= DEPTH_MAX; i++) {
        if (quoted && data[i] == '\\')
            i++;
        else if (data[i] == '"')
            quoted = !quoted;
        else if (!quoted && (data[i] == '[' || data[i] == '{'))
            depth++;
        else if (!quoted && depth && (data[i] == ']' || data[i] == '}'))
            depth--;
    }
    return depth <= DEPTH_MAX;
}

struct snapshot_record *record_parse(const char *data, gsize n, const char *path, GError **error)
{
    struct reading g = {record_new(), false};
    g_autoptr(JsonParser) parser = json_parser_new();
    if (n > RECORD_MAX || !is_flat(data, n) || !g_utf8_validate(data, n, NULL) ||
        !json_parser_load_from_data(parser, data, n, NULL))
        return refuse(g.record, path, "it cannot be read", error);
    JsonNode *root = json_parser_get_root(parser);
    JsonObject *o = root && JSON_NODE_HOLDS_OBJECT(root) ? json_node_get_object(root) : NULL;
    int64_t layout = number(&g, o, "layout", 0, G_MAXINT32);
    if (!g.bad && layout != LAYOUT)
        return refuse(g.record, path, "another version of Terrarium has written it", error);
    if (!g.bad)
        read_all(&g, o);
    return g.bad ? refuse(g.record, path, "what is in it makes no sense", error) : g.record;
}

/* One of the files that are never there without a record; g_free; NULL: there is none. */
static char *any_file(const char *folder)
{
    g_autofree char *in = g_build_filename(folder, SNAPSHOTS_FOLDER, NULL);
    g_autoptr(GDir) dir = g_dir_open(in, 0, NULL);
    const char *name;
    while (dir && (name = g_dir_read_name(dir)))
        if (snapshot_file_number(name))
            return g_strdup(name);
    return NULL;
}

struct snapshot_record *record_load(const char *folder, GError **error)
{
    g_autofree char *path = g_build_filename(folder, SNAPSHOTS_FOLDER, RECORD, NULL), *data = NULL;
    g_autoptr(GError) why = NULL;
    gsize n;
    if (g_file_get_contents(path, &data, &n, &why))
        return record_parse(data, n, path, error);
    g_autofree char *other = any_file(folder);
    if (!g_error_matches(why, G_FILE_ERROR, G_FILE_ERROR_NOENT)) {
        g_propagate_error(error, g_steal_pointer(&why));
        return NULL;
    }
    if (!other)
        return record_new();
    g_set_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA,
                "%s is missing, and %s beside it may be needed: put it back from a copy; or go on without these "
                "snapshots: rename the folder " SNAPSHOTS_FOLDER ", and in machine.ini the images that are in it",
                path, other);
    return NULL;
}
