// SPDX-License-Identifier: GPL-2.0-or-later
/* medium.c - see medium.h: asks terrarium-look, and reads its answer. */
#include "core-vmm/install/medium.h"
#include "core-vmm/base/os_defaults.h"
#include "core-vmm/control/answer.h"
#include "core-vmm/host/look_program.h"
#include "core-vmm/host/paths.h"
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- the answer ---- */

static char *text_of(JsonObject *o, const char *name)
{
    return g_strdup(answer_text(o, name, NULL));
}

static void take_editions(struct medium *m, JsonArray *a)
{
    for (unsigned i = 0; i < MIN(answer_count(a), (unsigned)MEDIUM_EDITIONS); i++) {
        JsonObject *o = answer_element(a, i);
        struct medium_edition *e = g_new0(struct medium_edition, 1);
        e->index = answer_number(o, "index", 1, 10000, 0);
        e->build = answer_number(o, "build", 0, G_MAXINT32, 0);
        e->id = text_of(o, "id");
        e->name = text_of(o, "name");
        e->architecture = text_of(o, "architecture");
        g_ptr_array_add(m->editions, e);
    }
}

static char **languages_of(JsonArray *a)
{
    GPtrArray *list = g_ptr_array_new();
    for (unsigned i = 0; i < MIN(answer_count(a), (unsigned)MEDIUM_LANGUAGES); i++) {
        const char *one = answer_element_text(a, i);
        if (one)
            g_ptr_array_add(list, g_strdup(one));
    }
    g_ptr_array_add(list, NULL);
    return (char **)g_ptr_array_free(list, FALSE);
}

static struct medium *medium_of(const char *path, JsonObject *o)
{
    struct medium *m = medium_new();
    const char *os = answer_text(o, "os", os_defaults[0].os);
    m->path = g_canonicalize_filename(path, NULL);
    m->kind = medium_kind_find(answer_text(o, "kind", "unknown"));
    m->id = g_strdup(answer_text(o, "id", "unknown"));
    m->os = g_strdup(os_defaults_find(os) ? os : os_defaults[0].os);
    m->name = g_strdup(answer_text(o, "name", "unknown system"));
    m->version = text_of(o, "version");
    m->architecture = text_of(o, "architecture");
    m->volume = text_of(o, "volume");
    m->by = text_of(o, "by");
    m->bios = answer_flag(o, "bios");
    m->uefi = answer_flag(o, "uefi");
    m->wants_secure_boot = answer_flag(o, "secure-boot");
    m->unattended = unattended_kind_find(answer_text(o, "unattended", "none"));
    m->kernel = text_of(o, "kernel");
    m->initrd = text_of(o, "initrd");
    m->memory = answer_number(o, "memory", 0, INT64_C(1) << 40, 0);
    m->disk = answer_number(o, "disk", 0, INT64_C(1) << 50, 0);
    m->cpus = answer_number(o, "cpus", 0, 32, 0);
    take_editions(m, answer_array(o, "editions"));
    g_strfreev(m->languages);
    m->languages = languages_of(answer_array(o, "languages"));
    return m;
}

static struct medium *disk_medium(const char *path, GError **error)
{
    struct disk_table t;
    if (!look_at_disk(path, NULL, &t, error))
        return NULL;
    if (!strcmp(t.format, "raw") && !t.any) {
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_NOT_SUPPORTED,
                    "%s is neither a CD or DVD image nor a disk image: it has no file system and no partition table "
                    "that are known",
                    path);
        return NULL;
    }
    struct medium *m = medium_new();
    m->path = g_canonicalize_filename(path, NULL);
    m->kind = MEDIUM_DISK;
    m->id = g_strdup("unknown");
    m->os = g_strdup(os_defaults[0].os);
    m->name = g_strdup_printf("disk image (%s)", t.format);
    m->by = g_strdup(t.gpt ? "GPT" : t.any ? "MBR" : "no partition table");
    m->uefi = t.esp;
    m->bios = t.bios || (t.any && !t.esp);
    m->disk = t.bytes;
    return m;
}

static bool is_there(const char *path, GError **error)
{
    struct stat st;
    if (stat(path, &st) || access(path, R_OK))
        return path_failed(path, error);
    if (S_ISREG(st.st_mode) || S_ISBLK(st.st_mode))
        return true;
    g_set_error(error, G_IO_ERROR, G_IO_ERROR_NOT_REGULAR_FILE, "%s is neither a file nor a disk", path);
    return false;
}

struct medium *medium_detect(const char *path, GError **error)
{
    const char *const arguments[] = {"medium", path, NULL};
    g_autoptr(GError) why = NULL;
    int code;
    if (!is_there(path, error))
        return NULL;
    g_autofree char *text = look_program(arguments, &code, &why);
    if (!text && code == LOOK_NO_ISO)
        return disk_medium(path, error);
    JsonObject *o = text ? answer_parse(text, &why) : NULL;
    if (!o) {
        g_propagate_error(error, g_steal_pointer(&why));
        return NULL;
    }
    struct medium *m = medium_of(path, o);
    json_object_unref(o);
    return m;
}

/* ---- without waiting ---- */

static void detect_in_thread(GTask *task, gpointer source, gpointer path, GCancellable *cancel)
{
    GError *error = NULL;
    struct medium *m = medium_detect(path, &error);
    if (m)
        g_task_return_pointer(task, m, (GDestroyNotify)medium_free);
    else
        g_task_return_error(task, error);
}

void medium_detect_async(const char *path, GCancellable *cancel, GAsyncReadyCallback done, gpointer data)
{
    g_autoptr(GTask) task = g_task_new(NULL, cancel, done, data);
    g_task_set_task_data(task, g_strdup(path), g_free);
    g_task_run_in_thread(task, detect_in_thread);
}

struct medium *medium_detect_finish(GAsyncResult *result, GError **error)
{
    return g_task_propagate_pointer(G_TASK(result), error);
}

/* ---- a file of it ---- */

bool medium_extract(const char *path, const char *inside, const char *to, uint64_t most, GError **error)
{
    g_autofree char *bytes = g_strdup_printf("%" PRIu64, most);
    const char *const arguments[] = {"extract", path, inside, bytes, NULL};
    int fd = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return path_failed(to, error);
    struct stat st = {0};
    GError *why = NULL;
    bool good = look_program_into(arguments, fd, most, &why);
    if (g_error_matches(why, G_IO_ERROR, G_IO_ERROR_NO_SPACE))
        g_propagate_prefixed_error(error, why, "%s of %s, which becomes %s: ", inside, path, to);
    else if (why)
        g_propagate_error(error, why);
    if (good && (fstat(fd, &st) || (uint64_t)st.st_size > most)) {
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_FAILED, "%s: %s is larger than such a file is", path, inside);
        good = false;
    }
    if (close(fd) && good)
        good = path_failed(to, error);
    if (!good)
        unlink(to);
    return good;
}
