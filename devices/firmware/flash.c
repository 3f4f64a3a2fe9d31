// SPDX-License-Identifier: GPL-2.0-or-later
/* flash.c - the flash part that holds the variables of UEFI firmware: byte-wide, blocks of 4 KiB, with the first command set
 * of Intel's parts (28F008SA datasheet, order number 290429: commands, status register).
 *
 * In *array mode* the guest reads the memory itself, as from a ROM; only its writes come here, and the first that is a
 * command hides the memory, so that reads come here too until "read array" shows it again.  What was written goes to the
 * file then, in one piece (core-vmm/machine/kept_file.c).
 *
 * Two things are as firmware for virtual machines expects them, not as in the datasheet: after "clear status" the status is
 * 00h with the ready bit clear, until the next operation ends (by this OVMF tells flash from RAM and ROM); and programming
 * sets a byte to what is written, while a real part can only clear bits of it. */
#include "core-vmm/api/flash.h"
#include "devices/all.h"
#include <string.h>

#define FILE_NAME "vars.fd"
enum { BYTES = FLASH_BYTES, BLOCK = 0x1000 };
enum {
    PROGRAM_OLD = 0x40,
    PROGRAM = 0x10,
    ERASE = 0x20,
    ERASE_CONFIRM = 0xd0,
    CLEAR_STATUS = 0x50,
    READ_STATUS = 0x70,
    READ_ID = 0x90,
    READ_ARRAY = 0xff
};
enum { READY = 0x80, ERASE_ERROR = 0x20, PROGRAM_ERROR = 0x10 };
enum { MAKER_INTEL = 0x89, PART = 0x18 };

struct flash {
    uint8_t command; /* READ_ARRAY: reads see the memory; PROGRAM, ERASE: the next write is its second cycle */
    uint8_t status;
    uint64_t loaded_at;          /* guest time */
    bool loaded;                 /* the memory came from a saved state: the file may have something else */
    uint32_t behind, behind_end; /* what of the memory the file does not have yet; empty: all is there */
    uint8_t *memory;
    struct kept_file *file;
};

/* ---- the file ---- */

static void note(struct flash *s, uint32_t from, uint32_t to)
{
    bool empty = s->behind == s->behind_end;
    s->behind = empty ? from : MIN(s->behind, from);
    s->behind_end = empty ? to : MAX(s->behind_end, to);
}

static void write_file(struct flash *s)
{
    kept_file_write(s->file, s->behind, s->memory + s->behind, s->behind_end - s->behind);
    s->behind = s->behind_end;
}

/* The guest sees the memory again, and so does the file. */
static void read_array(struct device *d)
{
    struct flash *s = d->state;
    s->command = READ_ARRAY;
    dev_memory_show(d, 0, true);
    if (s->behind == s->behind_end)
        return;
    dev_dma_done(d, FLASH_BASE + s->behind, s->behind_end - s->behind);
    write_file(s);
}

static uint64_t flash_read(struct device *d, unsigned region, uint64_t offset, unsigned size)
{
    struct flash *s = d->state;

    switch (s->command) {
    case READ_ARRAY: return s->memory[offset];
    case READ_ID: return offset == 0 ? MAKER_INTEL : offset == 1 ? PART : 0;
    default: return s->status;
    }
}

/* ---- commands ---- */

/* All of what was loaded is the file's from now on. */
static void keep_loaded(struct flash *s)
{
    if (s->loaded)
        note(s, 0, BYTES);
    s->loaded = false;
}

static void change(struct device *d, uint32_t from, uint32_t bytes, uint8_t value)
{
    struct flash *s = d->state;

    keep_loaded(s);
    memset(s->memory + from, value, bytes);
    note(s, from, from + bytes);
    s->status |= READY;
}

static void second_cycle(struct device *d, uint32_t offset, uint8_t value)
{
    struct flash *s = d->state;

    if (s->command == PROGRAM)
        change(d, offset, 1, value);
    else if (value == ERASE_CONFIRM)
        change(d, offset & ~(BLOCK - 1u), BLOCK, 0xff);
    else
        s->status |= READY | ERASE_ERROR | PROGRAM_ERROR; /* a sequence error */
    s->command = READ_STATUS;
}

static void first_cycle(struct device *d, uint8_t value)
{
    struct flash *s = d->state;

    switch (value) {
    case PROGRAM_OLD:
    case PROGRAM: s->command = PROGRAM; break;
    case ERASE:
    case READ_STATUS:
    case READ_ID: s->command = value; break;
    case CLEAR_STATUS:
        s->status = 0;
        read_array(d);
        return;
    case READ_ARRAY: read_array(d); return;
    default: dev_log(d, "command %02Xh is none of this part's", value); return;
    }
    dev_memory_show(d, 0, false);
}

static void flash_write(struct device *d, unsigned region, uint64_t offset, unsigned size, uint64_t value)
{
    struct flash *s = d->state;

    if (s->command == PROGRAM || s->command == ERASE)
        second_cycle(d, offset, value);
    else
        first_cycle(d, value);
}

/* ---- coming and going ---- */

static bool flash_init(struct device *d, const struct config *c, GError **error)
{
    struct flash *s = d->state;

    s->memory = dev_memory(d, 0, BYTES, true);
    s->command = READ_ARRAY;
    if (!s->memory) {
        g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_NOMEM, "%s: there is no memory for it", FILE_NAME);
        return false;
    }
    s->file = dev_kept_file(d, FILE_NAME, s->memory, BYTES, error);
    return s->file != NULL;
}

static void flash_reset(struct device *d)
{
    struct flash *s = d->state;

    s->status = READY;
    read_array(d);
}

static bool flash_sync(struct device *d, struct stream *s, uint32_t version)
{
    struct flash *f = d->state;
    static const uint8_t commands[] = {PROGRAM, ERASE, READ_STATUS, READ_ID, READ_ARRAY};

    stream_u8(s, &f->command);
    stream_u8(s, &f->status);
    stream_u32(s, &f->behind);
    stream_u32(s, &f->behind_end);
    if (!s->loading || !stream_ok(s))
        return stream_ok(s);
    f->loaded = true;
    f->loaded_at = dev_now(d);
    if (!memchr(commands, f->command, sizeof commands) || f->behind > f->behind_end || f->behind_end > BYTES) {
        f->command = READ_ARRAY;
        f->behind = f->behind_end = 0;
        return false;
    }
    dev_memory_show(d, 0, f->command == READ_ARRAY);
    return true;
}

static void flash_fini(struct device *d)
{
    struct flash *s = d->state;

    if (dev_now(d) > s->loaded_at) /* else it was loaded and never ran: perhaps what was loaded is not whole */
        keep_loaded(s);
    if (s->behind != s->behind_end && !s->loaded)
        write_file(s);
    kept_file_close(s->file);
}

const struct device_ops flash_ops = {
    .name = "flash",
    .state_bytes = sizeof(struct flash),
    .version = 1,
    .regions = {{BUS_MEM, .base = FLASH_BASE, .bytes = BYTES, .min_size = 1, .max_size = 1, .commands = true}},
    .init = flash_init,
    .reset = flash_reset,
    .read = flash_read,
    .write = flash_write,
    .sync = flash_sync,
    .fini = flash_fini,
};
