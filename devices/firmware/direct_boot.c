// SPDX-License-Identifier: GPL-2.0-or-later
/* direct_boot.c - a kernel from the host's file system, without boot loader or disk.
 * Specs: the Linux kernel's Documentation/arch/x86/boot.rst; Multiboot 0.6.96; ELF.
 *
 * Here files are read and judged, and it is decided what goes where; rom/directboot.S copies it there and jumps.
 *   Linux      real-mode code 0x10000 (old ones 0x90000), command line 64 KiB (40 KiB) above it, kernel 1 MiB (zImage
 *              0x10000), initial RAM disk as high as the kernel and the memory allow.
 *   Multiboot  information block with its strings, module list, GDT and room for the memory map in 0x10000-0x1ffff, the
 *              image where it wants to be, the modules behind it.
 * The BIOS keeps its tables at the top of low memory, so nothing comes near to that; nor to the bottom, where its vectors,
 * variables and stack are, up to where it loads a boot sector. */
#include "core-vmm/base/bytes.h"
#include "directboot_rom.h"
#include "devices/firmware/fw_cfg.h"
#include "devices/firmware/pc_firmware.h"
#include <elf.h>

enum { PAGE = 4096, MIB = 1 << 20, BIOS_TOP = MIB, LOW_BEGIN = 0x7c00, LOW_END = 0x90000 };

struct boot { /* a blob and its place */
    GBytes *kernel, *initrd;
    uint32_t kernel_at, initrd_at, entry;
    uint32_t setup_at, cmdline_at;
    const uint8_t *setup;
    uint32_t setup_bytes;
    const char *cmdline;
};

/* Sets the error and returns false. */
G_GNUC_PRINTF(3, 4) static bool fail(GError **error, const char *file, const char *format, ...)
{
    g_autofree char *what = NULL;
    va_list ap;

    va_start(ap, format);
    what = g_strdup_vprintf(format, ap);
    va_end(ap);
    g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_INVAL, "%s: %s", file, what);
    return false;
}

static GBytes *read_file(const char *file, GError **error)
{
    g_autoptr(GMappedFile) map = g_mapped_file_new(file, FALSE, error);

    return map ? g_mapped_file_get_bytes(map) : NULL;
}

static void hand_over(struct device *d, const struct boot *b)
{
    fw_cfg_add_u32(d, FW_CFG_KERNEL_ADDRESS, b->kernel_at);
    fw_cfg_add_u32(d, FW_CFG_KERNEL_SIZE, g_bytes_get_size(b->kernel));
    fw_cfg_add_key_bytes(d, FW_CFG_KERNEL_DATA, b->kernel);
    fw_cfg_add_u32(d, FW_CFG_KERNEL_ENTRY, b->entry);
    fw_cfg_add_u32(d, FW_CFG_INITRD_ADDRESS, b->initrd_at);
    fw_cfg_add_u32(d, FW_CFG_INITRD_SIZE, b->initrd ? g_bytes_get_size(b->initrd) : 0);
    if (b->initrd)
        fw_cfg_add_key_bytes(d, FW_CFG_INITRD_DATA, b->initrd);
    fw_cfg_add_u32(d, FW_CFG_CMDLINE_ADDRESS, b->cmdline_at);
    fw_cfg_add_u32(d, FW_CFG_CMDLINE_SIZE, b->cmdline ? strlen(b->cmdline) + 1 : 0);
    if (b->cmdline)
        fw_cfg_add_key(d, FW_CFG_CMDLINE_DATA, b->cmdline, strlen(b->cmdline) + 1);
    fw_cfg_add_u32(d, FW_CFG_SETUP_ADDRESS, b->setup_at);
    fw_cfg_add_u32(d, FW_CFG_SETUP_SIZE, b->setup_bytes);
    fw_cfg_add_key(d, FW_CFG_SETUP_DATA, b->setup, b->setup_bytes);
    fw_cfg_add_file(d, "genroms/directboot.bin", directboot_rom, sizeof directboot_rom);
}

/* ---- Linux ---- */
enum { /* the setup header: offset in the file */
       H_SETUP_SECTORS = 0x1f1,
       H_SYSTEM_SIZE = 0x1f4,
       H_VIDEO_MODE = 0x1fa,
       H_BOOT_FLAG = 0x1fe,
       H_MAGIC = 0x202,
       H_VERSION = 0x206,
       H_LOADER = 0x210,
       H_LOAD_FLAGS = 0x211,
       H_INITRD = 0x218,
       H_INITRD_SIZE = 0x21c,
       H_HEAP_END = 0x224,
       H_CMDLINE = 0x228,
       H_INITRD_MAX = 0x22c,
       H_CMDLINE_SIZE = 0x238,
       H_INIT_SIZE = 0x260,
       H_END = 0x268
};
enum { LOADED_HIGH = 1, CAN_USE_HEAP = 0x80, OLD_CMDLINE_MAGIC = 0x20, OLD_CMDLINE_OFFSET = 0x22, HEAP_GAP = 0x200 };

/* "vga=" is the boot loader's part of the command line. */
static uint16_t video_mode(const char *cmdline)
{
    const char *v = strstr(cmdline, "vga=");

    if (!v || (v != cmdline && v[-1] != ' '))
        return 0xffff;
    v += 4;
    if (g_str_has_prefix(v, "ext"))
        return 0xfffe;
    if (g_str_has_prefix(v, "ask"))
        return 0xfffd;
    return g_ascii_isdigit(*v) ? strtoul(v, NULL, 0) : 0xffff;
}

static bool is_linux(const uint8_t *image, gsize bytes)
{
    return bytes > H_END && get_le16(image + H_BOOT_FLAG) == 0xaa55;
}

/* 0 before protocol 2.00. */
static unsigned linux_version(const uint8_t *image)
{
    return memcmp(image + H_MAGIC, "HdrS", 4) ? 0 : get_le16(image + H_VERSION);
}

/* As high as may be, on a page boundary. */
static bool place_initrd(struct boot *b, const uint8_t *setup, unsigned version, const char *file, uint64_t ram,
                         uint64_t kernel_end, GError **error)
{
    uint64_t bytes = g_bytes_get_size(b->initrd), top = ram - BIOS_TOP;
    uint64_t highest = version >= 0x203 ? get_le32(setup + H_INITRD_MAX) : 0x37ffffff;

    if (version < 0x200)
        return fail(error, file, "the kernel is too old for an initial RAM disk (boot protocol before 2.00)");
    if (bytes == 0)
        return fail(error, file, "the initial RAM disk is empty");
    top = MIN(top, highest + 1);
    if (bytes > top || ((top - bytes) & ~(uint64_t)(PAGE - 1)) < kernel_end)
        return fail(error, file,
                    "the initial RAM disk (%" G_GUINT64_FORMAT
                    " MiB) and the kernel do not fit into the guest's memory",
                    bytes >> 20);
    b->initrd_at = (top - bytes) & ~(uint64_t)(PAGE - 1);
    return true;
}

/* Fills the fields that the protocol leaves to the boot loader. */
static void patch_setup(uint8_t *setup, const struct boot *b, unsigned version)
{
    put_le16(setup + H_VIDEO_MODE, video_mode(b->cmdline));
    if (version >= 0x200) {
        setup[H_LOADER] = 0xff; /* not one of the numbered ones */
        put_le32(setup + H_INITRD, b->initrd_at);
        put_le32(setup + H_INITRD_SIZE, b->initrd ? g_bytes_get_size(b->initrd) : 0);
    }
    if (version >= 0x201) {
        setup[H_LOAD_FLAGS] |= CAN_USE_HEAP;
        put_le16(setup + H_HEAP_END, b->cmdline_at - b->setup_at - HEAP_GAP);
    }
    if (version >= 0x202) {
        put_le32(setup + H_CMDLINE, b->cmdline_at);
    } else {
        put_le16(setup + OLD_CMDLINE_MAGIC, 0xa33f);
        put_le16(setup + OLD_CMDLINE_OFFSET, b->cmdline_at - b->setup_at);
    }
}

/* What the header says of the part behind the real-mode code, in bytes; 0 if that is not to be relied on. */
static uint64_t system_bytes(const uint8_t *image)
{
    return linux_version(image) >= 0x204 ? get_le32(image + H_SYSTEM_SIZE) * 16ull : 0;
}

static bool check_linux(const uint8_t *image, gsize bytes, gsize setup_bytes, const char *kernel, const char *cmdline,
                        GError **error)
{
    unsigned version = linux_version(image);
    uint32_t longest = version >= 0x206 ? get_le32(image + H_CMDLINE_SIZE) : 255;

    if (setup_bytes >= bytes || bytes - setup_bytes + 15 < system_bytes(image))
        return fail(error, kernel, "the kernel is cut short: it has %" G_GSIZE_FORMAT " bytes", bytes);
    if (strlen(cmdline) > MIN(longest, 0xffff))
        return fail(error, kernel, "the kernel takes a command line of at most %u bytes", longest);
    return true;
}

static bool linux_setup(struct device *d, GBytes *file, const char *kernel, const char *initrd, const char *cmdline,
                        uint64_t ram, GError **error)
{
    gsize bytes, setup_bytes;
    const uint8_t *image = g_bytes_get_data(file, &bytes);
    unsigned version = linux_version(image);
    bool high = version >= 0x200 && (image[H_LOAD_FLAGS] & LOADED_HIGH);
    bool low_setup = high && version >= 0x202;
    struct boot b = {.kernel_at = high ? MIB : 0x10000,
                     .setup_at = low_setup ? 0x10000 : 0x90000,
                     .cmdline_at = low_setup ? 0x20000 : 0x9a000,
                     .cmdline = cmdline};
    g_autoptr(GBytes) rest = NULL, disk = NULL;
    g_autofree uint8_t *setup = NULL;
    uint64_t kernel_end;

    setup_bytes = ((image[H_SETUP_SECTORS] ? image[H_SETUP_SECTORS] : 4) + 1) * 512;
    if (!check_linux(image, bytes, setup_bytes, kernel, cmdline, error))
        return false;
    setup = g_memdup2(image, setup_bytes);
    b.setup = setup;
    b.setup_bytes = setup_bytes;
    b.kernel = rest = g_bytes_new_from_bytes(file, setup_bytes, bytes - setup_bytes);
    kernel_end = b.kernel_at + MAX(g_bytes_get_size(rest), version >= 0x20a ? get_le32(image + H_INIT_SIZE) : 0);
    if (kernel_end > (high ? ram - BIOS_TOP : LOW_END))
        return fail(error, kernel, "the kernel needs %" G_GUINT64_FORMAT " MiB of memory; the guest has less",
                    (kernel_end >> 20) + 1);
    if (initrd) {
        b.initrd = disk = read_file(initrd, error);
        if (!disk || !place_initrd(&b, image, version, initrd, ram, kernel_end, error))
            return false;
    }
    patch_setup(setup, &b, version);
    hand_over(d, &b);
    return true;
}

/* ---- Multiboot ---- */
enum { MB_MAGIC = 0x1badb002, MB_SEARCH = 8192, MB_ADDRESSES = 1 << 16, MB_KNOWN = 0xffff, MB_PAGES_AND_MEMORY = 7 };
enum { INFO_AT = 0x10000, INFO_BYTES = 0xf000, INFO_GDT = 0xfe0, INFO_GDT_POINTER = 0xff8, INFO_DATA = 0x1000 };
enum { INFO_MEMORY = 1, INFO_CMDLINE = 4, INFO_MODULES = 8, INFO_MAP = 64, INFO_LOADER = 512, MODULE_ENTRY = 16 };

struct image { /* what becomes of the file in memory */
    uint64_t low, high;
    uint32_t entry;
    uint8_t *data; /* high - low bytes */
};

/* Offset of the header, or -1. */
static gssize multiboot_header(const uint8_t *file, gsize bytes)
{
    for (gsize at = 0; at + 12 <= MIN(bytes, MB_SEARCH); at += 4)
        if (get_le32(file + at) == MB_MAGIC &&
            get_le32(file + at) + get_le32(file + at + 4) + get_le32(file + at + 8) == 0)
            return at;
    return -1;
}

/* The loader reads the image before it last needs its own memory and the BIOS. */
static bool is_in_use(const struct image *im)
{
    bool info = im->low < INFO_AT + 0x10000 && im->high > INFO_AT;

    return im->low < LOW_BEGIN || info || (im->low < MIB && im->high > LOW_END);
}

static bool check_range(const struct image *im, uint64_t ram, const char *kernel, GError **error)
{
    if (im->high <= im->low || im->high > ram - BIOS_TOP)
        return fail(error, kernel,
                    "the image wants addresses 0x%" G_GINT64_MODIFIER "x-0x%" G_GINT64_MODIFIER "x, which "
                    "the guest's memory has not got",
                    im->low, im->high);
    if (is_in_use(im))
        return fail(error, kernel,
                    "the image wants addresses 0x%" G_GINT64_MODIFIER "x-0x%" G_GINT64_MODIFIER "x, which "
                    "are in use while it is loaded",
                    im->low, im->high);
    return true;
}

/* Load addresses in the header itself. */
static bool load_by_header(struct image *im, const uint8_t *file, gsize bytes, gsize at, const char *kernel,
                           uint64_t ram, GError **error)
{
    uint32_t header, load, load_end, bss_end;
    uint64_t skip, size;

    if (at + 32 > bytes)
        return fail(error, kernel, "the Multiboot header is cut short");
    header = get_le32(file + at + 12);
    load = get_le32(file + at + 16);
    load_end = get_le32(file + at + 20);
    bss_end = get_le32(file + at + 24);
    if (header < load || header - load > at)
        return fail(error, kernel, "the load addresses in the Multiboot header contradict each other");
    skip = at - (header - load);
    size = load_end ? (uint64_t)load_end - load : bytes - skip;
    if ((load_end && load_end < load) || size > bytes - skip)
        return fail(error, kernel, "the Multiboot header wants more than the file has");
    *im = (struct image){.low = load, .high = MAX(load + size, bss_end), .entry = get_le32(file + at + 28)};
    if (!check_range(im, ram, kernel, error))
        return false;
    im->data = g_malloc0(im->high - im->low);
    memcpy(im->data, file + skip, size);
    return true;
}

static bool next_segment(const uint8_t *file, gsize bytes, const Elf32_Ehdr *e, unsigned n, Elf32_Phdr *p)
{
    uint64_t at = (uint64_t)e->e_phoff + (uint64_t)n * e->e_phentsize;

    if (at + sizeof *p > bytes)
        return false;
    memcpy(p, file + at, sizeof *p);
    return p->p_type != PT_LOAD || ((uint64_t)p->p_offset + p->p_filesz <= bytes && p->p_filesz <= p->p_memsz);
}

static bool load_elf(struct image *im, const uint8_t *file, gsize bytes, const char *kernel, uint64_t ram,
                     GError **error)
{
    Elf32_Ehdr e;
    Elf32_Phdr p;

    memcpy(&e, file, sizeof e);
    if (e.e_ident[EI_CLASS] != ELFCLASS32 || e.e_machine != EM_386)
        return fail(error, kernel,
                    "a Multiboot image must be a 32-bit x86 ELF file, or have load addresses in its header");
    *im = (struct image){.low = UINT64_MAX, .entry = e.e_entry};
    for (unsigned n = 0; n < e.e_phnum; n++) {
        if (!next_segment(file, bytes, &e, n, &p))
            return fail(error, kernel, "the ELF program headers point outside of the file");
        if (p.p_type != PT_LOAD || !p.p_memsz)
            continue;
        im->low = MIN(im->low, p.p_paddr);
        im->high = MAX(im->high, (uint64_t)p.p_paddr + p.p_memsz);
        /* An entry given as a virtual address. */
        if (p.p_vaddr != p.p_paddr && e.e_entry >= p.p_vaddr && e.e_entry - p.p_vaddr < p.p_memsz)
            im->entry = e.e_entry - p.p_vaddr + p.p_paddr;
    }
    if (!check_range(im, ram, kernel, error))
        return false;
    im->data = g_malloc0(im->high - im->low);
    for (unsigned n = 0; n < e.e_phnum; n++)
        if (next_segment(file, bytes, &e, n, &p) && p.p_type == PT_LOAD && p.p_memsz)
            memcpy(im->data + (p.p_paddr - im->low), file + p.p_offset, p.p_filesz);
    return true;
}

static bool load_image(struct image *im, const uint8_t *file, gsize bytes, gsize at, const char *kernel, uint64_t ram,
                       GError **error)
{
    uint32_t flags = get_le32(file + at + 4);

    if (flags & MB_KNOWN & ~MB_PAGES_AND_MEMORY)
        return fail(error, kernel, "the Multiboot header demands features 0x%x that do not exist", flags & MB_KNOWN);
    if (flags & MB_ADDRESSES)
        return load_by_header(im, file, bytes, at, kernel, ram, error);
    if (bytes < sizeof(Elf32_Ehdr) || memcmp(file, ELFMAG, SELFMAG))
        return fail(error, kernel, "a Multiboot image must be an ELF file, or have load addresses in its header");
    return load_elf(im, file, bytes, kernel, ram, error);
}

struct info { /* the information block; text and modules grow from INFO_DATA on */
    uint8_t data[INFO_BYTES];
    uint32_t used;
};

/* Its address, or 0 if there is no more room. */
static uint32_t info_add(struct info *info, const void *data, uint32_t bytes)
{
    uint32_t at = (info->used + 3) & ~3u;

    if (bytes > INFO_BYTES - at)
        return 0;
    memcpy(info->data + at, data, bytes);
    info->used = at + bytes;
    return INFO_AT + at;
}

/* "FILE ARGS": the string goes with the module. */
static bool add_module(struct info *info, GByteArray *modules, uint32_t base, uint8_t *entry, const char *text,
                       GError **error)
{
    g_autofree char *name = g_strndup(text, strcspn(text, " "));
    g_autoptr(GBytes) file = read_file(name, error);
    uint32_t start = (modules->len + PAGE - 1) & ~(PAGE - 1u), string;
    gsize bytes;
    const uint8_t *data;

    if (!file)
        return false;
    data = g_bytes_get_data(file, &bytes);
    string = info_add(info, text, strlen(text) + 1);
    if (!string || bytes > G_MAXINT32 - start)
        return fail(error, name, "too much for a Multiboot module");
    g_byte_array_set_size(modules, start);
    g_byte_array_append(modules, data, bytes);
    put_le32(entry, base + start);
    put_le32(entry + 4, base + start + bytes);
    put_le32(entry + 8, string);
    return true;
}

static bool add_modules(struct info *info, GByteArray *modules, uint32_t base, const char *list, GError **error)
{
    g_auto(GStrv) each = g_strsplit(list, ",", -1);
    unsigned count = g_strv_length(each);
    uint32_t table = (info->used + 3) & ~3u;

    if (count * MODULE_ENTRY > INFO_BYTES - table)
        return fail(error, list, "too many Multiboot modules");
    info->used = table + count * MODULE_ENTRY;
    for (unsigned n = 0; n < count; n++)
        if (!add_module(info, modules, base, info->data + table + n * MODULE_ENTRY, g_strstrip(each[n]), error))
            return false;
    put_le32(info->data, get_le32(info->data) | INFO_MODULES);
    put_le32(info->data + 20, count);
    put_le32(info->data + 24, INFO_AT + table);
    return true;
}

/* The ROM adds what only the BIOS knows: memory sizes and map. */
static bool fill_info(struct info *info, const char *kernel, const char *cmdline, GError **error)
{
    static const uint64_t gdt[3] = {0, 0x00cf9a000000ffff, 0x00cf92000000ffff};
    g_autofree char *line = g_strdup_printf("%s%s%s", kernel, *cmdline ? " " : "", cmdline);
    uint32_t text;

    info->used = INFO_DATA;
    for (unsigned n = 0; n < G_N_ELEMENTS(gdt); n++)
        put_le64(info->data + INFO_GDT + n * 8, gdt[n]);
    put_le16(info->data + INFO_GDT_POINTER, sizeof gdt - 1);
    put_le32(info->data + INFO_GDT_POINTER + 2, INFO_AT + INFO_GDT);
    put_le32(info->data, INFO_MEMORY | INFO_CMDLINE | INFO_MAP | INFO_LOADER);
    text = info_add(info, line, strlen(line) + 1);
    if (!text)
        return fail(error, kernel, "the command line is too long");
    put_le32(info->data + 16, text);
    put_le32(info->data + 64, info_add(info, "Terrarium", sizeof "Terrarium"));
    return true;
}

static bool multiboot_setup(struct device *d, GBytes *file, gsize at, const char *kernel, const char *initrd,
                            const char *cmdline, uint64_t ram, GError **error)
{
    gsize bytes;
    const uint8_t *data = g_bytes_get_data(file, &bytes);
    g_autofree struct info *info = g_new0(struct info, 1);
    g_autoptr(GByteArray) modules = g_byte_array_new();
    g_autoptr(GBytes) whole = NULL, initrd_bytes = NULL;
    struct boot b = {.setup_at = INFO_AT, .setup = info->data};
    struct image im = {0};

    if (!load_image(&im, data, bytes, at, kernel, ram, error))
        return false;
    b.kernel = whole = g_bytes_new_take(im.data, im.high - im.low);
    b.kernel_at = im.low;
    b.entry = im.entry;
    b.initrd_at = (MAX(im.high, MIB) + PAGE - 1) & ~(uint64_t)(PAGE - 1);
    if (!fill_info(info, kernel, cmdline, error))
        return false;
    if (initrd && !add_modules(info, modules, b.initrd_at, initrd, error))
        return false;
    if (b.initrd_at + (uint64_t)modules->len > ram - BIOS_TOP)
        return fail(error, kernel, "image and modules do not fit into the guest's memory");
    b.initrd = initrd_bytes = g_bytes_new(modules->data, modules->len);
    b.setup_bytes = info->used;
    hand_over(d, &b);
    return true;
}

bool direct_boot_setup(struct device *fw_cfg, const char *kernel, const char *initrd, const char *cmdline,
                       uint64_t ram_below_4g, GError **error)
{
    g_autoptr(GBytes) file = read_file(kernel, error);
    gsize bytes;
    const uint8_t *image;
    gssize at;

    if (!file)
        return false;
    image = g_bytes_get_data(file, &bytes);
    if (ram_below_4g < 4 * MIB)
        return fail(error, kernel, "the guest has too little memory for direct boot");
    at = multiboot_header(image, bytes);
    if (at >= 0)
        return multiboot_setup(fw_cfg, file, at, kernel, initrd, cmdline, ram_below_4g, error);
    if (is_linux(image, bytes))
        return linux_setup(fw_cfg, file, kernel, initrd, cmdline, ram_below_4g, error);
    return fail(error, kernel, "neither a Linux kernel (bzImage) nor a Multiboot image");
}
