// SPDX-License-Identifier: GPL-2.0-or-later
/* fuzz_vmdk.c - VMDK images with bytes changed: sparse, streams, ESX's. */
#include "tests/fuzz/fuzz_image.h"
#include "disk-formats/vmdk/vmdk.h"

/* ESX's extents are files of their own, which our create does not make: a header, a directory of one table, and patches. */
#define ESX_DISK  (1u << 20)
#define ESX_TABLE 8u /* sectors */

static void put_words(uint8_t *to, const uint64_t *words, unsigned n, unsigned bytes)
{
    for (unsigned i = 0; i < n; i++)
        if (bytes == 8)
            put_le64(to + i * 8, words[i]);
        else
            put_le32(to + i * 4, words[i]);
}

static struct blk_file *esx_file(bool se)
{
    static const uint64_t cowd[] = {0x44574f43, 1, 3, ESX_DISK / 512, 1, 4, 1};
    static const uint64_t sparse[] = {0xcafebabe,
                                      UINT64_C(0x200000001),
                                      ESX_DISK / 512,
                                      8,
                                      64,
                                      0,
                                      0,
                                      0,
                                      0,
                                      0,
                                      1,
                                      1,
                                      0,
                                      0,
                                      0,
                                      0,
                                      2,
                                      1,
                                      ESX_TABLE,
                                      64,
                                      0,
                                      0,
                                      0,
                                      0,
                                      128};
    struct blk_file *f = memory_file_new(NULL, 0);
    uint8_t head[ESX_TABLE * 512 + 64] = {0};
    if (se) {
        put_words(head, sparse, G_N_ELEMENTS(sparse), 8);
        put_le64(head + 512, 0xcafecafe);
        put_le64(head + 1024, UINT64_C(1) << 60);
        put_le64(head + ESX_TABLE * 512, UINT64_C(3) << 60);
    } else {
        put_words(head, cowd, G_N_ELEMENTS(cowd), 4);
        put_le32(head + 4 * 512, ESX_TABLE);
        put_le32(head + ESX_TABLE * 512, 100);
    }
    blk_pwrite(f, 0, head, sizeof head);
    blk_truncate(f, 128 * 512);
    return f;
}

static void esx_use(struct blk_file *f)
{
    struct image im = {.file = f};
    struct vmdk_extent x = {.kind = VMDK_ESX, .bytes = ESX_DISK, .file = f};
    struct vmdk v = {.extents = 0};
    struct image_check c;
    g_mutex_init(&v.lock);
    image_check_init(&c);
    if (vmdk_esx_open(&im, &x, NULL)) {
        for (uint64_t at = 0; at < x.bytes;) {
            struct extent e = {.bytes = x.bytes - at};
            at += vmdk_esx_lookup(&v, &x, at, &e) ? 512 : e.bytes;
        }
        vmdk_esx_check(&v, &x, &c, NULL);
    }
    vmdk_esx_close(&x);
    image_check_clear(&c);
    g_mutex_clear(&v.lock);
}

static void esx(const uint8_t *p, size_t n)
{
    static const uint16_t places[] = {0, 512, 1024, 2048, ESX_TABLE * 512};
    struct blk_file *f = esx_file(n && p[0] & 1);
    for (size_t at = 1; at + 3 < n;) {
        size_t len = MIN(1u + p[at + 2] % 16, n - at - 3);
        blk_pwrite(f, places[p[at] % G_N_ELEMENTS(places)] + p[at + 1], p + at + 3, len);
        at += 3 + len;
    }
    esx_use(f);
    blk_close(f);
}

static const char *const zeroed[] = {"zeroed_grain=on", NULL}, *const stream[] = {"subformat=streamOptimized", NULL};
static const struct fuzz_seed seeds[] = {{NULL}, {zeroed, .parent = true}, {stream}};
static const uint32_t places[] = {0, 512, 600, 700, 10752, 11264, 16384};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct fuzz_format f = {"vmdk", seeds, G_N_ELEMENTS(seeds), places, G_N_ELEMENTS(places)};
    if (size && data[0] == 254)
        esx(data + 1, size - 1);
    else
        fuzz_image(&f, data, size);
    return 0;
}
