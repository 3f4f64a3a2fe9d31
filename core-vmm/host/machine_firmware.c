// SPDX-License-Identifier: GPL-2.0-or-later
/* machine_firmware.c - see machine_firmware.h.  What UEFI remembers may be a hostile guest's: it is looked at by a child in a
 * fence, which answers with lines of text, each with a zero behind it. */
#include "core-vmm/host/machine_firmware.h"
#include "core-vmm/fence/fence.h"
#include "core-vmm/host/certificates.h"
#include "core-vmm/host/efi_store.h"
#include "core-vmm/host/machines.h"
#include <string.h>
#include <unistd.h>

enum { LOOK_SECONDS = 20 };
static const char *const lists[] = {"PK", "KEK", "db"};

/* ---- the child ---- */

static void tell(int to, const char *format, ...) G_GNUC_PRINTF(2, 3);
static void tell(int to, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    g_autofree char *line = g_strdup_vprintf(format, ap);
    va_end(ap);
    if (write(to, line, strlen(line) + 1) < 0)
        _exit(1);
}

static void tell_list(int to, const uint8_t *flash, size_t bytes, const char *list)
{
    struct efi_variable v;
    const uint8_t *der, *guid = strcmp(list, "db") ? efi_global_guid : efi_security_guid;
    size_t n;
    if (!efi_store_find(flash, bytes, list, guid, &v))
        return;
    struct signatures s = signatures_of(v.data, v.bytes);
    while (certificate_next(&s, &der, &n)) {
        g_autofree char *name = certificate_name(der, n);
        tell(to, "%s %s", list, name ? name : "?");
    }
    tell(to, "%s-others %u", list, s.others);
}

static int look(void *ctx, int to)
{
    g_autofree char *data = NULL;
    g_autoptr(GError) error = NULL;
    gsize bytes;
    uint32_t at = 0;
    unsigned count = 0;
    struct efi_variable v;
    if (!g_file_get_contents(ctx, &data, &bytes, &error) || !firmware_vars_check((uint8_t *)data, bytes, ctx, &error)) {
        tell(to, "! %s", error->message);
        return 0;
    }
    while (efi_store_next((uint8_t *)data, bytes, &at, &v))
        count++;
    tell(to, "count %u", count);
    if (firmware_vars_keyed((uint8_t *)data, bytes))
        tell(to, "keyed %s", firmware_vars_switched_off((uint8_t *)data, bytes) ? "off" : "on");
    for (unsigned i = 0; i < G_N_ELEMENTS(lists); i++)
        tell_list(to, (uint8_t *)data, bytes, lists[i]);
    return 0;
}

/* ---- its answer ---- */

static GStrv of_list(GStrv lines, const char *list)
{
    g_autoptr(GStrvBuilder) names = g_strv_builder_new();
    size_t n = strlen(list);
    for (char **l = lines; *l; l++)
        if (!strncmp(*l, list, n) && (*l)[n] == ' ')
            g_strv_builder_add(names, *l + n + 1);
    return g_strv_builder_end(names);
}

static struct firmware_list list_named(GStrv lines, const char *list)
{
    g_autofree char *key = g_strdup_printf("%s-others", list);
    g_auto(GStrv) others = of_list(lines, key);
    return (struct firmware_list){of_list(lines, list),
                                  others[0] ? (unsigned)g_ascii_strtoull(others[0], NULL, 10) : 0};
}

static GStrv lines_of(GBytes *answer)
{
    g_autoptr(GStrvBuilder) lines = g_strv_builder_new();
    gsize n;
    const char *text = g_bytes_get_data(answer, &n);
    for (gsize at = 0; at < n; at += strnlen(text + at, n - at) + 1) {
        g_autofree char *clean = fence_text(text + at, strnlen(text + at, n - at));
        g_strv_builder_add(lines, clean);
    }
    return g_strv_builder_end(lines);
}

static bool look_inside(const char *path, struct machine_firmware *f, GError **error)
{
    struct fence_files *files = fence_files_new();
    g_autoptr(GBytes) answer = NULL;
    fence_allow_file(files, path, FENCE_READ);
    const struct fence_job job = {FENCE_LOOK, files, look, (void *)path, LOOK_SECONDS};
    int code = fence_run(&job, &answer, error);
    if (code > 0)
        g_set_error(error, MACHINE_ERROR, MACHINE_ERROR_FAILED, "%s: the process that looked at it ended with %d", path,
                    code);
    if (code)
        return false;
    g_auto(GStrv) lines = lines_of(answer);
    if (lines[0] && g_str_has_prefix(lines[0], "! ")) {
        g_set_error_literal(error, MACHINE_ERROR, MACHINE_ERROR_FAILED, lines[0] + 2);
        return false;
    }
    f->count = lines[0] ? (unsigned)g_ascii_strtoull(lines[0] + strlen("count "), NULL, 10) : 0;
    f->pk = list_named(lines, lists[0]);
    f->kek = list_named(lines, lists[1]);
    f->db = list_named(lines, lists[2]);
    g_auto(GStrv) keyed = of_list(lines, "keyed");
    f->keyed = keyed[0] != NULL;
    f->secure_boot = f->keyed && !strcmp(keyed[0], "on");
    f->there = true;
    return true;
}

static bool choose(const char *name, char **kind, struct firmware_choice *f, GError **error)
{
    g_autoptr(GKeyFile) file = machines_settings(name, error);
    g_autofree char *ini = machines_ini(name);
    const struct config c = {file, ini, "machine"};
    *kind = file ? config_string(&c, "firmware") : NULL;
    return file && firmware_choose(&c, f, error);
}

struct machine_firmware *machines_firmware(const char *name, GError **error)
{
    struct machine_firmware *f = g_new0(struct machine_firmware, 1);
    struct firmware_choice choice = {0};
    g_autofree char *folder = machines_folder(name), *path = g_build_filename(folder, FIRMWARE_VARS_FILE, NULL);
    bool good = choose(name, &f->kind, &choice, error);
    f->image = choice.image;
    f->variables = choice.variables;
    if (good && f->variables && !access(path, F_OK))
        good = look_inside(path, f, error);
    if (good)
        return f;
    machine_firmware_free(f);
    return NULL;
}

void machine_firmware_free(struct machine_firmware *f)
{
    if (!f)
        return;
    g_free(f->kind);
    g_free(f->image);
    g_strfreev(f->pk.names);
    g_strfreev(f->kek.names);
    g_strfreev(f->db.names);
    g_free(f);
}

/* ---- new ones ---- */

static bool may_reset(const char *name, const struct firmware_choice *f, const char *kind, bool enrol, GError **error)
{
    struct machine_saved saved;
    if (!f->variables)
        g_set_error(error, MACHINE_ERROR, MACHINE_ERROR_FAILED,
                    "%s has firmware = %s, which keeps no variables; for UEFI: vmctl set %s machine.firmware=uefi",
                    name, kind, name);
    else if (enrol && !f->secure)
        g_set_error(error, MACHINE_ERROR, MACHINE_ERROR_FAILED,
                    "%s has firmware = %s; Secure Boot is with vmctl set %s machine.firmware=uefi-secure", name, kind,
                    name);
    else if (saved_look(name, &saved))
        g_set_error(error, MACHINE_ERROR, MACHINE_ERROR_FAILED,
                    "%s is suspended, and its firmware's variables with it; start it, or vmctl discard-state %s", name,
                    name);
    else
        return true;
    return false;
}

bool machines_firmware_reset(const char *name, const struct firmware_enrol *enrol, GError **error)
{
    struct firmware_choice f = {0};
    g_autofree char *kind = NULL, *folder = machines_folder(name);
    int lock = machines_hold(name, error);
    bool good = lock >= 0 && choose(name, &kind, &f, error) && may_reset(name, &f, kind, enrol != NULL, error) &&
                firmware_vars_reset(folder, &f, enrol, error);
    firmware_choice_clear(&f);
    if (lock >= 0)
        close(lock);
    return good;
}
