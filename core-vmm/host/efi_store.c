// SPDX-License-Identifier: GPL-2.0-or-later
/* efi_store.c - see efi_store.h.  Layout: edk2's MdeModulePkg, VariableFormat.h: a volume's header, the store's header, and
 * then one authenticated variable after the other, each at a multiple of 4: header, name, data.  A byte of state in the
 * header says whether it counts: bits are cleared as it is added and deleted, as flash can do it. */
#include "core-vmm/host/efi_store.h"
#include "core-vmm/base/bytes.h"
#include <gio/gio.h>
#include <string.h>

enum { VOLUME_HEADER_AT = 48, STORE_BYTES = 28, STORE_SIZE_AT = 16 };
enum { START = 0x55aa, ADDED = 0x3f, IN_DELETION = 0x3e, DELETED = 0xfd };
enum { STATE_AT = 2, ATTRIBUTES_AT = 4, NAME_SIZE_AT = 36, DATA_SIZE_AT = 40, GUID_AT = 44, HEADER = 60 };

const uint8_t efi_global_guid[EFI_GUID_BYTES] = {0x61, 0xdf, 0xe4, 0x8b, 0xca, 0x93, 0xd2, 0x11,
                                                 0xaa, 0x0d, 0x00, 0xe0, 0x98, 0x03, 0x2b, 0x8c};
const uint8_t efi_security_guid[EFI_GUID_BYTES] = {0xcb, 0xb2, 0x19, 0xd7, 0x3a, 0x3d, 0x96, 0x45,
                                                   0xa3, 0xbc, 0xda, 0xd0, 0x0e, 0x67, 0x65, 0x6f};

/* Where variables begin and end; false: it is no store. */
static bool limits(const uint8_t *flash, size_t bytes, uint32_t *begin, uint32_t *end)
{
    static const uint8_t authenticated[] = {0x78, 0x2c, 0xf3, 0xaa, 0x7b, 0x94, 0x9a, 0x43,
                                            0xa1, 0x80, 0x2e, 0x14, 0x4e, 0xc3, 0x77, 0x92};
    uint32_t store = bytes >= 64 ? get_le16(flash + VOLUME_HEADER_AT) : 0;
    if (!store || store + STORE_BYTES > bytes || memcmp(flash + store, authenticated, sizeof authenticated))
        return false;
    uint32_t size = get_le32(flash + store + STORE_SIZE_AT);
    *begin = store + STORE_BYTES;
    *end = store + size;
    return size >= STORE_BYTES && size <= bytes - store;
}

/* The variable at a place, whatever its state; false: none begins there, or it does not fit. */
static bool look(const uint8_t *flash, uint32_t at, uint32_t end, struct efi_variable *v, uint32_t *next)
{
    if (at > end || end - at < HEADER || get_le16(flash + at) != START)
        return false;
    uint32_t name = get_le32(flash + at + NAME_SIZE_AT), data = get_le32(flash + at + DATA_SIZE_AT),
             room = end - at - HEADER;
    if (name > room || data > room - name)
        return false;
    *v = (struct efi_variable){.name = flash + at + HEADER,
                               .guid = flash + at + GUID_AT,
                               .data = flash + at + HEADER + name,
                               .name_bytes = name,
                               .bytes = data,
                               .attributes = get_le32(flash + at + ATTRIBUTES_AT),
                               .header = at};
    *next = (at + HEADER + name + data + 3) & ~3u;
    return true;
}

bool efi_store_next(const uint8_t *flash, size_t bytes, uint32_t *at, struct efi_variable *out)
{
    uint32_t begin, end, next;
    if (!limits(flash, bytes, &begin, &end))
        return false;
    for (*at = MAX(*at, begin); look(flash, *at, end, out, &next); *at = next)
        if (flash[*at + STATE_AT] == ADDED || flash[*at + STATE_AT] == IN_DELETION) {
            *at = next;
            return true;
        }
    return false;
}

static bool named(const struct efi_variable *v, const char *name)
{
    size_t n = strlen(name) + 1;
    bool same = v->name_bytes == 2 * n;
    for (size_t i = 0; same && i < n; i++)
        same = get_le16(v->name + 2 * i) == (uint8_t)name[i];
    return same;
}

bool efi_store_find(const uint8_t *flash, size_t bytes, const char *name, const uint8_t *guid, struct efi_variable *out)
{
    uint32_t at = 0;
    while (efi_store_next(flash, bytes, &at, out))
        if (named(out, name) && !memcmp(out->guid, guid, EFI_GUID_BYTES))
            return true;
    return false;
}

/* Where the next variable would begin. */
static uint32_t free_place(const uint8_t *flash, uint32_t begin, uint32_t end)
{
    struct efi_variable v;
    uint32_t at = begin, next;
    while (look(flash, at, end, &v, &next))
        at = next;
    return at;
}

bool efi_store_append(uint8_t *flash, size_t bytes, const char *name, const uint8_t *guid, const uint8_t *data,
                      uint32_t n, GError **error)
{
    struct efi_variable old;
    uint32_t begin, end;
    if (!limits(flash, bytes, &begin, &end) || !efi_store_find(flash, bytes, name, guid, &old)) {
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA, "The variable store has no %s to add to", name);
        return false;
    }
    uint32_t at = free_place(flash, begin, end), all = HEADER + old.name_bytes + old.bytes + n;
    if (at > end || all > end - at) {
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_NO_SPACE, "There is no room in the variable store for so large a %s",
                    name);
        return false;
    }
    memcpy(flash + at, flash + old.header, HEADER + old.name_bytes + old.bytes);
    memcpy(flash + at + all - n, data, n);
    put_le32(flash + at + DATA_SIZE_AT, old.bytes + n);
    flash[at + STATE_AT] = ADDED;
    flash[old.header + STATE_AT] &= DELETED;
    return true;
}
