// SPDX-License-Identifier: GPL-2.0-or-later
/* osinfo.c - osinfo-db, a collection of what systems' media are called and what the systems need, read where it is installed.
 * Its files are XML (libosinfo's osinfo.rng): an <os> has names, <media> with patterns for the identifiers of an ISO, and
 * <resources>.  Of all media that match the one counts that says most. */
#include "core-vmm/look/look.h"
#include <string.h>

enum { FIELDS = 4 };

struct media {
    char *architecture, *kernel, *initrd;
    bool live;
    unsigned fields; /* of the ISO that match */
    bool differs;
};
struct entry { /* an <os> */
    char *id, *name, *version, *family, *distro;
    uint64_t ram, storage, cpus; /* recommended */
    uint64_t least_ram, least_storage, least_cpus;
    struct media best;
};
struct parse {
    const char *ids[FIELDS];
    GString *path, *text;
    struct entry os;
    struct media now;
    bool translated; /* a name in another language */
};

static const char *const field_names[FIELDS] = {"volume-id", "system-id", "publisher-id", "application-id"};

static void media_clear(struct media *m)
{
    g_free(m->architecture);
    g_free(m->kernel);
    g_free(m->initrd);
    *m = (struct media){0};
}

static void entry_clear(struct entry *e)
{
    g_free(e->id);
    g_free(e->name);
    g_free(e->version);
    g_free(e->family);
    g_free(e->distro);
    media_clear(&e->best);
    *e = (struct entry){0};
}

static void start(GMarkupParseContext *c, const char *element, const char **names, const char **values, void *data,
                  GError **error)
{
    struct parse *p = data;
    g_string_append_printf(p->path, "/%s", element);
    g_string_truncate(p->text, 0);
    p->translated = false;
    for (; *names; names++, values++) {
        p->translated = p->translated || !strcmp(*names, "xml:lang");
        if (!strcmp(p->path->str, "/libosinfo/os/media") && !strcmp(*names, "arch"))
            p->now.architecture = g_strdup(*values);
        if (!strcmp(p->path->str, "/libosinfo/os/media") && !strcmp(*names, "live"))
            p->now.live = !strcmp(*values, "true");
    }
}

static void text(GMarkupParseContext *c, const char *raw, gsize n, void *data, GError **error)
{
    g_string_append_len(((struct parse *)data)->text, raw, n);
}

static void match_field(struct parse *p, const char *element)
{
    for (unsigned i = 0; i < FIELDS; i++) {
        if (strcmp(element, field_names[i]))
            continue;
        bool same = p->ids[i] && g_regex_match_simple(p->text->str, p->ids[i], 0, 0);
        p->now.fields += same;
        p->now.differs = p->now.differs || !same;
    }
}

static void take(char **to, const GString *from)
{
    if (!*to)
        *to = g_strdup(from->str);
}

static void end_of_media(struct parse *p)
{
    if (!p->now.differs && p->now.fields > p->os.best.fields) {
        media_clear(&p->os.best);
        p->os.best = p->now;
        p->now = (struct media){0};
    } else {
        media_clear(&p->now);
    }
}

static void end_of_resource(struct parse *p, const char *at)
{
    const char *name = strrchr(at, '/') + 1;
    bool least = strstr(at, "/minimum/");
    uint64_t n = g_ascii_strtoull(p->text->str, NULL, 10);
    uint64_t *to = !strcmp(name, "ram")       ? least ? &p->os.least_ram : &p->os.ram
                   : !strcmp(name, "storage") ? least ? &p->os.least_storage : &p->os.storage
                   : !strcmp(name, "n-cpus")  ? least ? &p->os.least_cpus : &p->os.cpus
                                              : NULL;
    if (to)
        *to = MAX(*to, n);
}

static void end(GMarkupParseContext *c, const char *element, void *data, GError **error)
{
    struct parse *p = data;
    const char *at = p->path->str;
    if (!strcmp(at, "/libosinfo/os/short-id"))
        take(&p->os.id, p->text);
    else if (!strcmp(at, "/libosinfo/os/name") && !p->translated)
        take(&p->os.name, p->text);
    else if (!strcmp(at, "/libosinfo/os/version"))
        take(&p->os.version, p->text);
    else if (!strcmp(at, "/libosinfo/os/family"))
        take(&p->os.family, p->text);
    else if (!strcmp(at, "/libosinfo/os/distro"))
        take(&p->os.distro, p->text);
    else if (!strcmp(at, "/libosinfo/os/media/kernel"))
        take(&p->now.kernel, p->text);
    else if (!strcmp(at, "/libosinfo/os/media/initrd"))
        take(&p->now.initrd, p->text);
    else if (!strcmp(at, "/libosinfo/os/media"))
        end_of_media(p);
    else if (g_str_has_prefix(at, "/libosinfo/os/media/iso/"))
        match_field(p, element);
    else if (g_str_has_prefix(at, "/libosinfo/os/resources/minimum/") ||
             g_str_has_prefix(at, "/libosinfo/os/resources/recommended/"))
        end_of_resource(p, at);
    g_string_truncate(p->path, p->path->len - strlen(element) - 1);
    p->translated = false;
}

static const char *os_of(const struct entry *e)
{
    static const struct {
        const char *family, *os;
    } families[] = {{"linux", "linux"},   {"freebsd", "bsd"},       {"openbsd", "bsd"},
                    {"netbsd", "bsd"},    {"dragonflybsd", "bsd"},  {"msdos", "dos"},
                    {"winnt", "windows"}, {"win9x", "windows-old"}, {"win16", "windows-old"}};
    static const char *const old[] = {"winnt3.1", "winnt3.5", "winnt3.51", "winnt4.0", "win2k",
                                      "winxp",    "win2k3",   "win2k3r2",  NULL};
    if (e->id && g_strv_contains(old, e->id))
        return "windows-old";
    for (unsigned i = 0; i < G_N_ELEMENTS(families); i++)
        if (!g_strcmp0(e->family, families[i].family))
            return families[i].os;
    return "other";
}

static void set_once(char **to, const char *from)
{
    if (!*to && from)
        *to = g_strdup(from);
}

/* What the medium said of itself counts for more. */
static void tell(const struct entry *e, struct medium *m)
{
    if (!m->id) {
        m->by = g_strdup("osinfo-db");
        m->kind = e->best.live ? MEDIUM_LIVE : MEDIUM_INSTALLER;
    }
    set_once(&m->id, e->id);
    set_once(&m->name, e->name);
    set_once(&m->version, e->version);
    set_once(&m->os, os_of(e));
    if (g_strcmp0(e->best.architecture, "all"))
        set_once(&m->architecture, e->best.architecture);
    set_once(&m->kernel, e->best.kernel);
    set_once(&m->initrd, e->best.initrd);
    m->memory = MAX(m->memory, MAX(e->ram, e->least_ram));
    m->disk = MAX(m->disk, MAX(e->storage, e->least_storage));
    m->cpus = MAX(m->cpus, (unsigned)MIN(MAX(e->cpus, e->least_cpus), 32));
}

static void parse_file(struct parse *p, const char *path, struct entry *best)
{
    static const GMarkupParser parser = {start, end, text, NULL, NULL};
    g_autofree char *xml = NULL;
    gsize n;
    if (!g_file_get_contents(path, &xml, &n, NULL))
        return;
    GMarkupParseContext *c = g_markup_parse_context_new(&parser, 0, p, NULL);
    g_string_truncate(p->path, 0);
    if (g_markup_parse_context_parse(c, xml, n, NULL) && p->os.best.fields > best->best.fields) {
        entry_clear(best);
        *best = p->os;
        p->os = (struct entry){0};
    }
    g_markup_parse_context_free(c);
    media_clear(&p->now);
    entry_clear(&p->os);
}

static void parse_folder(struct parse *p, const char *folder, struct entry *best)
{
    g_autoptr(GDir) d = g_dir_open(folder, 0, NULL);
    for (const char *name; d && (name = g_dir_read_name(d));) {
        g_autofree char *path = g_build_filename(folder, name, NULL);
        if (g_str_has_suffix(name, ".xml"))
            parse_file(p, path, best);
        else if (!strchr(name, '/') && g_file_test(path, G_FILE_TEST_IS_DIR) && !strstr(name, ".d"))
            parse_folder(p, path, best);
    }
}

void osinfo_look(const char *folder, const struct osinfo_ids *ids, struct medium *m)
{
    g_autofree char *os = g_build_filename(folder ? folder : osinfo_folder(), "os", NULL);
    struct parse p = {
        {ids->volume, ids->system, ids->publisher, ids->application}, g_string_new(NULL), g_string_new(NULL)};
    struct entry best = {0};
    if (ids->volume)
        parse_folder(&p, os, &best);
    if (best.best.fields)
        tell(&best, m);
    entry_clear(&best);
    g_string_free(p.path, TRUE);
    g_string_free(p.text, TRUE);
}
