// SPDX-License-Identifier: GPL-2.0-or-later
/* firmware.c - see firmware.h.  What a firmware volume's header is: UEFI Platform Initialization Specification 1.7, Vol. 3,
 * 3.2.1. */
#include "core-vmm/host/firmware.h"
#include "core-vmm/base/bytes.h"
#include "core-vmm/host/certificates.h"
#include "core-vmm/host/efi_store.h"
#include "core-vmm/host/paths.h"
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#define OVMF_CODE "/usr/share/OVMF/OVMF_CODE_4M.fd"
#define OVMF_VARS "/usr/share/OVMF/OVMF_VARS_4M.fd"
#define OVMF_KEYS "/usr/share/OVMF/OVMF_VARS_4M.ms.fd" /* with keys of the distribution and of Microsoft, of 2011 */

/* Where distributions put SeaBIOS; the larger build knows more devices. */
static const char *const seabios_paths[] = {"/usr/share/seabios/bios-256k.bin", "/usr/share/seabios/bios.bin",
                                            "/usr/share/qemu/bios-256k.bin"};

static char *seabios(GError **error)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(seabios_paths); i++)
        if (g_file_test(seabios_paths[i], G_FILE_TEST_IS_REGULAR))
            return g_strdup(seabios_paths[i]);
    g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_NOENT,
                "No firmware: %s is not there; install the package seabios, or set [machine] firmware",
                seabios_paths[0]);
    return NULL;
}

static char *ovmf(GError **error)
{
    struct stat st;
    if (stat(OVMF_CODE, &st) || stat(OVMF_VARS, &(struct stat){0}))
        g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_NOENT,
                    "No UEFI firmware: %s and %s are not both there; install the package ovmf, or set [machine] "
                    "firmware = bios",
                    OVMF_CODE, OVMF_VARS);
    else if (st.st_size != FIRMWARE_CODE_BYTES)
        g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_INVAL,
                    "%s has %" G_GINT64_FORMAT " bytes and not %u: this OVMF has another layout than is known here",
                    OVMF_CODE, (gint64)st.st_size, FIRMWARE_CODE_BYTES);
    else
        return g_strdup(OVMF_CODE);
    return NULL;
}

bool firmware_choose(const struct config *machine, struct firmware_choice *out, GError **error)
{
    g_autofree char *value = config_string(machine, "firmware");
    struct stat st;
    bool uefi = !strcmp(value, "uefi"), secure = !strcmp(value, "uefi-secure");
    *out = (struct firmware_choice){.variables = uefi || secure, .secure = secure};
    if (uefi || secure)
        out->image = ovmf(error);
    else if (!strcmp(value, "bios"))
        out->image = seabios(error);
    else
        out->image = config_path(machine, "firmware");
    if (out->image && !out->variables) /* an OVMF of one's own */
        out->variables = !stat(out->image, &st) && st.st_size == FIRMWARE_CODE_BYTES;
    return out->image != NULL;
}

void firmware_choice_clear(struct firmware_choice *f)
{
    g_clear_pointer(&f->image, g_free);
}

/* ---- variables ---- */

static bool wrong_size(const char *path, gint64 bytes, GError **error)
{
    g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_INVAL,
                "%s has %" G_GINT64_FORMAT
                " bytes, and a store of UEFI variables has %u: it is not this machine's; vmctl "
                "firmware reset makes a new one",
                path, bytes, FIRMWARE_VARS_BYTES);
    return false;
}

bool firmware_vars_check(const uint8_t *data, size_t bytes, const char *path, GError **error)
{
    static const uint8_t variables[16] = {0x8d, 0x2b, 0xf1, 0xff, 0x96, 0x76, 0x8b, 0x4c,
                                          0xa9, 0x85, 0x27, 0x47, 0x07, 0x5b, 0x4f, 0x50};
    if (bytes != FIRMWARE_VARS_BYTES)
        return wrong_size(path, bytes, error);
    if (firmware_is_uefi(data, bytes) && !memcmp(data + 16, variables, 16) && get_le64(data + 32) == bytes)
        return true;
    g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_INVAL,
                "%s is no store of UEFI variables, or a damaged one; vmctl firmware reset makes a new one", path);
    return false;
}

bool firmware_is_uefi(const uint8_t *image, size_t bytes)
{
    return bytes >= 64 && !memcmp(image + 40, "_FVH", 4);
}

bool firmware_vars_keyed(const uint8_t *data, size_t bytes)
{
    struct efi_variable pk;
    return efi_store_find(data, bytes, "PK", efi_global_guid, &pk) && pk.bytes;
}

bool firmware_vars_switched_off(const uint8_t *data, size_t bytes)
{
    static const uint8_t guid[EFI_GUID_BYTES] = {0xc7, 0x0b, 0xa3, 0xf0, 0x08, 0xaf, 0x56, 0x45,
                                                 0x99, 0xc4, 0x00, 0x10, 0x09, 0xc9, 0x3a, 0x44};
    enum { ENABLED = 1 };
    struct efi_variable v;
    return efi_store_find(data, bytes, "SecureBootEnable", guid, &v) && v.bytes && *v.data != ENABLED;
}

/* Microsoft's certificates of 2023, which take the place of those of 2011: what the templates lack.  By their digests, so that
 * it does not matter where they come from: a folder of certificates, or a program whose signature brings its own. */
static const struct {
    const char *name, *digest;
    bool kek;
} of_2023[] = {
    {"Microsoft Corporation KEK 2K CA 2023", "459ab6fb5e284d272d5e3e6abc8ed663829d632b", true},
    {"Windows UEFI CA 2023", "45a0fa32604773c82433c3b7d59e7466b3ac0c67", false},
    {"Microsoft UEFI CA 2023", "b5eeb4a6706048073f0ed296e7f580a790b59eaa", false},
};
static const char *const places[] = {"/usr/lib/python3/dist-packages/virt/firmware/certs", "/usr/lib/shim"};

static GBytes *look_for(const char *digest)
{
    GBytes *found = NULL;
    for (unsigned i = 0; i < G_N_ELEMENTS(places) && !found; i++) {
        g_autoptr(GDir) dir = g_dir_open(places[i], 0, NULL);
        const char *name;
        while (dir && !found && (name = g_dir_read_name(dir))) {
            g_autofree char *path = g_build_filename(places[i], name, NULL);
            found = certificate_search(path, digest);
        }
    }
    return found;
}

static bool add_certificate(char *store, GBytes *certificate, bool kek, GError **error)
{
    g_autoptr(GByteArray) list = certificate_list(certificate);
    return efi_store_append((uint8_t *)store, FIRMWARE_VARS_BYTES, kek ? "KEK" : "db",
                            kek ? efi_global_guid : efi_security_guid, list->data, list->len, error);
}

static bool add_files(char *store, char **files, bool kek, GError **error)
{
    bool good = true;
    for (char **f = files; good && f && *f; f++) {
        g_autoptr(GBytes) certificate = certificate_load(*f, error);
        good = certificate && add_certificate(store, certificate, kek, error);
    }
    return good;
}

static bool enrol_all(char *store, const struct firmware_enrol *e, GError **error)
{
    bool good = true;
    for (unsigned i = 0; good && i < G_N_ELEMENTS(of_2023); i++) {
        g_autoptr(GBytes) certificate = look_for(of_2023[i].digest);
        if (certificate)
            good = add_certificate(store, certificate, of_2023[i].kek, error);
        else if (e && e->missing)
            g_ptr_array_add(e->missing, g_strdup(of_2023[i].name));
    }
    return good && (!e || (add_files(store, e->kek, true, error) && add_files(store, e->db, false, error)));
}

bool firmware_vars_reset(const char *folder, const struct firmware_choice *f, const struct firmware_enrol *enrol,
                         GError **error)
{
    const char *from = f->secure ? OVMF_KEYS : OVMF_VARS;
    g_autofree char *path = g_build_filename(folder, FIRMWARE_VARS_FILE, NULL), *data = NULL;
    gsize n;
    return g_file_get_contents(from, &data, &n, error) && firmware_vars_check((uint8_t *)data, n, from, error) &&
           (!f->secure || enrol_all(data, enrol, error)) && file_replace(path, data, n, error);
}

bool firmware_vars_prepare(const char *folder, const struct firmware_choice *f, GError **error)
{
    g_autofree char *path = g_build_filename(folder, FIRMWARE_VARS_FILE, NULL);
    struct stat st;
    if (!f->variables)
        return true;
    if (lstat(path, &st))
        return errno == ENOENT ? firmware_vars_reset(folder, f, NULL, error) : path_failed(path, error);
    if (!S_ISREG(st.st_mode)) {
        g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_INVAL, "%s is no regular file", path);
        return false;
    }
    return st.st_size == FIRMWARE_VARS_BYTES || wrong_size(path, st.st_size, error);
}
