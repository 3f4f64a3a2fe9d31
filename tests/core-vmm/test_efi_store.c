// SPDX-License-Identifier: GPL-2.0-or-later
/* UEFI's variables in a store that is made here, certificates in files and in variables, and stores of nonsense. */
#include "core-vmm/base/bytes.h"
#include "core-vmm/host/certificates.h"
#include "core-vmm/host/efi_store.h"
#include "core-vmm/host/firmware.h"
#include <glib/gstdio.h>
#include <string.h>

enum { STORE_AT = 0x48, VARIABLES_AT = STORE_AT + 28, STORE_BYTES = 0x3ffb8, HEADER = 60 };

/* With two variables "PK", of which the first was deleted. */
static uint8_t *a_store(void)
{
    static const uint8_t volume[] = {0x8d, 0x2b, 0xf1, 0xff, 0x96, 0x76, 0x8b, 0x4c,
                                     0xa9, 0x85, 0x27, 0x47, 0x07, 0x5b, 0x4f, 0x50};
    static const uint8_t store[] = {0x78, 0x2c, 0xf3, 0xaa, 0x7b, 0x94, 0x9a, 0x43,
                                    0xa1, 0x80, 0x2e, 0x14, 0x4e, 0xc3, 0x77, 0x92};
    uint8_t *s = g_malloc(FIRMWARE_VARS_BYTES), *at = s + VARIABLES_AT;
    memset(s, 0xff, FIRMWARE_VARS_BYTES);
    memset(s, 0, STORE_AT);
    memcpy(s + 16, volume, sizeof volume);
    put_le64(s + 32, FIRMWARE_VARS_BYTES);
    memcpy(s + 40, "_FVH", 4);
    put_le16(s + 48, STORE_AT);
    memcpy(s + STORE_AT, store, sizeof store);
    put_le32(s + STORE_AT + 16, STORE_BYTES);
    for (unsigned i = 0; i < 2; i++, at += HEADER + 6 + 4 + 2) { /* the name, four bytes, up to a multiple of 4 */
        memset(at, 0, HEADER);
        put_le16(at, 0x55aa);
        at[2] = i ? 0x3f : 0x3d;
        put_le32(at + 4, 0x27);
        put_le32(at + 36, 6);
        put_le32(at + 40, 4);
        memcpy(at + 44, efi_global_guid, EFI_GUID_BYTES);
        memcpy(at + HEADER, "P\0K\0\0", 6);
        put_le32(at + HEADER + 6, 0x1111 + i);
    }
    return s;
}

static void test_store(void)
{
    g_autofree uint8_t *s = a_store();
    g_autoptr(GError) error = NULL;
    struct efi_variable v;
    uint32_t at = 0;
    g_assert_true(firmware_vars_check(s, FIRMWARE_VARS_BYTES, "x", &error));
    g_assert_true(firmware_vars_keyed(s, FIRMWARE_VARS_BYTES));
    g_assert_true(efi_store_next(s, FIRMWARE_VARS_BYTES, &at, &v));
    g_assert_cmphex(get_le32(v.data), ==, 0x1112);
    g_assert_false(efi_store_next(s, FIRMWARE_VARS_BYTES, &at, &v));
    g_assert_false(efi_store_find(s, FIRMWARE_VARS_BYTES, "PK", efi_security_guid, &v));
    g_assert_false(efi_store_append(s, FIRMWARE_VARS_BYTES, "db", efi_security_guid, s, 1, &error));
    g_assert_nonnull(strstr(error->message, "has no db"));
    g_clear_error(&error);
    g_assert_true(efi_store_append(s, FIRMWARE_VARS_BYTES, "PK", efi_global_guid, (const uint8_t *)"more", 4, &error));
    g_assert_true(efi_store_find(s, FIRMWARE_VARS_BYTES, "PK", efi_global_guid, &v));
    g_assert_cmpuint(v.bytes, ==, 8);
    g_assert_cmpmem(v.data + 4, 4, "more", 4);
    g_assert_cmphex(v.attributes, ==, 0x27);
    g_autofree uint8_t *much = g_malloc0(STORE_BYTES);
    g_assert_false(efi_store_append(s, FIRMWARE_VARS_BYTES, "PK", efi_global_guid, much, STORE_BYTES - 200, &error));
    g_assert_nonnull(strstr(error->message, "no room"));
}

/* Whatever is in it, nobody reads beyond it, and everybody comes to an end. */
static void test_nonsense(void)
{
    for (unsigned seed = 0; seed < 2000; seed++) {
        g_autofree uint8_t *s = a_store();
        g_autoptr(GRand) r = g_rand_new_with_seed(seed);
        for (unsigned i = 0; i < 6; i++)
            s[g_rand_int_range(r, 40, VARIABLES_AT + 2 * HEADER + 24)] = g_rand_int(r);
        size_t bytes = seed % 3 ? FIRMWARE_VARS_BYTES : (size_t)g_rand_int_range(r, 0, VARIABLES_AT + 200);
        g_autofree uint8_t *exact = g_memdup2(s, bytes); /* sanitizers see what is behind it */
        struct efi_variable v;
        uint32_t at = 0, count = 0;
        while (efi_store_next(exact, bytes, &at, &v)) {
            size_t n;
            const uint8_t *der;
            struct signatures in = signatures_of(v.data, v.bytes);
            g_assert_true(v.data >= exact && v.data + v.bytes <= exact + bytes);
            while (certificate_next(&in, &der, &n)) {
                g_autofree char *name = certificate_name(der, n);
                g_assert_true(der + n <= exact + bytes);
            }
            g_assert_cmpuint(count++, <, FIRMWARE_VARS_BYTES / HEADER);
        }
    }
}

/* A certificate as short as can be: only what it takes to find the name. */
static const uint8_t certificate[] = {
    0x30, 0x29, 0x30, 0x27, 0xa0, 0x03, 0x02, 0x01, 0x02, 0x02, 0x01, 0x01, 0x30, 0x00, 0x30,
    0x00, 0x30, 0x00, 0x30, 0x0f, 0x31, 0x0d, 0x30, 0x0b, 0x06, 0x03, 0x55, 0x04, 0x03, 0x0c,
    0x04, 'M',  'i',  'n',  'e',  0x30, 0x00, 0x30, 0x00, 0x30, 0x00, 0x30, 0x00,
};

static void test_certificates(void)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *path = g_build_filename(g_get_tmp_dir(), "terrarium-test-certificate", NULL);
    g_autofree char *base64 = g_base64_encode(certificate, sizeof certificate);
    g_autofree char *pem = g_strdup_printf("x\n-----BEGIN CERTIFICATE-----\n%s\n-----END CERTIFICATE-----\n", base64);
    for (unsigned kind = 0; kind < 2; kind++) {
        g_assert_true(g_file_set_contents(path, kind ? pem : (const char *)certificate,
                                          kind ? -1 : (gssize)sizeof certificate, NULL));
        g_autoptr(GBytes) loaded = certificate_load(path, &error);
        g_assert_no_error(error);
        g_assert_cmpmem(g_bytes_get_data(loaded, NULL), g_bytes_get_size(loaded), certificate, sizeof certificate);
        g_autoptr(GByteArray) list = certificate_list(loaded);
        size_t n;
        const uint8_t *der;
        struct signatures all = signatures_of(list->data, list->len);
        g_assert_true(certificate_next(&all, &der, &n));
        g_autofree char *name = certificate_name(der, n);
        g_assert_cmpstr(name, ==, "Mine");
        g_assert_false(certificate_next(&all, &der, &n));
        g_assert_cmpuint(all.others, ==, 0);
    }
    for (size_t n = 0; n < sizeof certificate; n++) {
        g_autofree uint8_t *cut = g_memdup2(certificate, n);
        g_autofree char *name = certificate_name(cut, n);
        g_assert_null(name);
    }
    g_assert_true(g_file_set_contents(path, "hello", -1, NULL));
    g_assert_null(certificate_load(path, &error));
    g_assert_nonnull(strstr(error->message, "is no X.509 certificate"));
    g_unlink(path);
}

/* Two certificates in one list, then three digests in another. */
static void test_lists(void)
{
    static const uint8_t sha256[16] = {0x26, 0x16, 0xc4, 0xc1, 0x4c, 0x50, 0x92, 0x40,
                                       0xac, 0xa9, 0x41, 0xf9, 0x36, 0x93, 0x43, 0x28};
    enum { HEAD = 28, EACH = 16 + sizeof certificate, DIGEST = 16 + 32 };
    g_autoptr(GBytes) one = g_bytes_new_static(certificate, sizeof certificate);
    g_autoptr(GByteArray) list = certificate_list(one);
    g_byte_array_append(list, list->data + HEAD, EACH);
    put_le32(list->data + 16, HEAD + 2 * EACH);
    list->data[HEAD + EACH + 16 + 31] = 'F'; /* "Mine" */
    g_byte_array_set_size(list, list->len + HEAD + 3 * DIGEST);
    uint8_t *second = list->data + HEAD + 2 * EACH;
    memset(second, 0, HEAD + 3 * DIGEST);
    memcpy(second, sha256, sizeof sha256);
    put_le32(second + 16, HEAD + 3 * DIGEST);
    put_le32(second + 24, DIGEST);
    struct signatures s = signatures_of(list->data, list->len);
    const char *const names[] = {"Mine", "Fine"};
    const uint8_t *der;
    size_t n;
    for (unsigned i = 0; i < 2; i++) {
        g_assert_true(certificate_next(&s, &der, &n));
        g_autofree char *name = certificate_name(der, n);
        g_assert_cmpstr(name, ==, names[i]);
    }
    g_assert_false(certificate_next(&s, &der, &n));
    g_assert_cmpuint(s.others, ==, 3);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/efi-store/variables", test_store);
    g_test_add_func("/efi-store/nonsense", test_nonsense);
    g_test_add_func("/efi-store/certificates", test_certificates);
    g_test_add_func("/efi-store/lists", test_lists);
    return g_test_run();
}
