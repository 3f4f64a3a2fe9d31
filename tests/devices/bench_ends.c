// SPDX-License-Identifier: GPL-2.0-or-later
/* The bench's far ends: images of known contents in core's drives, and what the guest sends on core's serial ports. */
#include "tests/devices/bench_inside.h"
#include "core-vmm/machine/char_port.h"
#include "core-vmm/machine/drive_inside.h"
#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- images ---- */

enum { PATTERN_BYTES = 4 << 20 };

uint8_t bench_pattern(uint64_t place)
{
    return place * 7 + (place >> 9) * 13 + (place >> 17);
}

/* The first call computes it for all: a fuzzer makes media by the thousand. */
static const uint8_t *pattern(void)
{
    static uint8_t *pattern;
    if (g_once_init_enter(&pattern)) {
        uint8_t *made = g_malloc(PATTERN_BYTES);
        for (uint64_t i = 0; i < PATTERN_BYTES; i++)
            made[i] = bench_pattern(i);
        g_once_init_leave(&pattern, made);
    }
    return pattern;
}

char *bench_image(struct bench *b, const char *spec)
{
    const char *size = strchr(spec, ':');
    uint64_t bytes;
    if (!size || !size_parse(size + 1, &bytes) || !bytes)
        return NULL;
    if (!b->folder)
        b->folder = g_dir_make_tmp("terrarium-bench-XXXXXX", NULL);
    g_autofree char *name = g_strdup_printf("%u", b->images++), *path = g_build_filename(b->folder, name, NULL);
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    g_assert_cmpint(fd, >=, 0);
    g_assert_cmpint(ftruncate(fd, bytes), ==, 0);
    if (g_str_has_prefix(spec, "pattern:")) {
        g_assert_cmpuint(bytes, <=, PATTERN_BYTES);
        g_assert_cmpint(write(fd, pattern(), bytes), ==, bytes);
    }
    close(fd);
    return g_steal_pointer(&path);
}

/* ---- drives ---- */

struct drive *bench_drive(struct bench *b, const char *section)
{
    return machine_drive(b->machine->m, section);
}

void bench_drive_insert(struct bench *b, const char *section, const char *file)
{
    struct drive *v = bench_drive(b, section);
    g_autofree char *path = file ? bench_image(b, file) : NULL;
    g_autoptr(GError) error = NULL;
    if (v && drive_removable(v) && (!path || v->guest_locked))
        drive_eject(v, true, NULL);
    if (v && drive_removable(v) && path &&
        !drive_insert(v, open(path, O_RDWR | O_CLOEXEC), path, "raw", v->readonly, &error))
        g_error("%s", error->message);
}

/* An image format that fails, over the real one: until a request of the controller's has (drive_peek() is none). */
struct failing {
    struct image_format table;
    const struct image_format *real;
    struct drive *drive;
    int error;
    bool hit;
};

static int fails(struct image *im)
{
    struct failing *f = (struct failing *)im->format;
    f->hit = true;
    return -f->error;
}

static int failing_extent(struct image *im, uint64_t offset, struct extent *out)
{
    return fails(im);
}

/* Closing an image flushes it too, and that is no request: it shall not be said that data are lost. */
static int failing_flush(struct image *im)
{
    const struct failing *f = (const struct failing *)im->format;
    return f->drive->running ? fails(im) : 0;
}

static struct failing *failing_of(struct bench *b, const struct drive *v)
{
    for (unsigned i = 0; v->medium && i < b->failing->len; i++)
        if ((gconstpointer)v->medium->image->format == b->failing->pdata[i])
            return b->failing->pdata[i];
    return NULL;
}

void bench_drive_fail(struct bench *b, struct drive *v, int error)
{
    drive_wait_for_workers(v);
    if (!v->medium || failing_of(b, v))
        return;
    struct image *im = v->medium->image;
    struct failing *f = g_new0(struct failing, 1);
    *f = (struct failing){.table = *im->format, .real = im->format, .drive = v, .error = error};
    f->table.extent = failing_extent;
    f->table.flush = failing_flush;
    f->table.sync = failing_flush;
    g_ptr_array_add(b->failing, f);
    im->format = &f->table;
}

static void mend(struct bench *b)
{
    for (struct drive *v = b->machine->m->drives; v; v = v->next) {
        struct failing *f = failing_of(b, v);
        if (f && f->hit)
            v->medium->image->format = f->real;
    }
}

bool bench_drive_locked(struct drive *v)
{
    return v->guest_locked;
}

struct view { /* of an image */
    uint8_t *data;
    size_t bytes;
};

static void view_free(void *view)
{
    munmap(((struct view *)view)->data, ((struct view *)view)->bytes);
    g_free(view);
}

uint8_t *bench_drive_data(struct bench *b, struct drive *v, uint64_t *bytes)
{
    g_autofree char *path = drive_file(v);
    struct stat st;
    *bytes = 0;
    if (!path)
        return NULL;
    int fd = open(path, O_RDWR | O_CLOEXEC);
    g_assert_true(fd >= 0 && !fstat(fd, &st));
    struct view *view = g_new(struct view, 1);
    *view = (struct view){mmap(NULL, st.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0), st.st_size};
    g_assert(view->data != MAP_FAILED);
    close(fd);
    g_ptr_array_add(b->views, view);
    *bytes = view->bytes;
    return view->data;
}

/* machine.ini names what lies in the drives now, as whoever saves a machine has to see to. */
static void name_media(struct bench *b)
{
    for (struct drive *v = b->machine->m->drives; v; v = v->next) {
        g_autofree char *path = drive_file(v);
        if (path)
            g_key_file_set_string(b->file, v->section, "file", path);
        else
            g_key_file_remove_key(b->file, v->section, "file", NULL);
    }
}

/* ---- serial ports ---- */

struct heard { /* of a port: what the guest sent that the test has not seen yet */
    GString *text;
    uint64_t to; /* this far in the port's output */
};

static void heard_free(void *heard)
{
    g_string_free(((struct heard *)heard)->text, TRUE);
    g_free(heard);
}

static struct heard *listen_to(struct bench *b, struct char_port *p)
{
    struct heard *h = g_hash_table_lookup(b->heard, char_name(p));
    uint64_t start;
    if (!h) {
        h = g_new0(struct heard, 1);
        h->text = g_string_new(NULL);
        g_hash_table_insert(b->heard, g_strdup(char_name(p)), h);
    }
    g_autoptr(GBytes) tail = char_tail(p, h->to, &start);
    gsize n;
    const char *new = g_bytes_get_data(tail, &n);
    if (n)
        g_string_append_len(h->text, new, n);
    h->to = char_written(p);
    return h;
}

void bench_char_send(struct device *d, const uint8_t *data, size_t n)
{
    struct char_port *p = char_find(d->machine, d->name);
    if (p)
        char_input(p, data, n);
}

char *bench_char_sent(struct device *d)
{
    struct char_port *p = char_find(d->machine, d->name);
    if (!p)
        return g_strdup("");
    struct heard *h = listen_to(bench_of(d), p);
    char *sent = g_strndup(h->text->str, h->text->len);
    g_string_truncate(h->text, 0);
    return sent;
}

/* ---- all of them ---- */

void bench_ends_begin(struct bench *b)
{
    b->views = g_ptr_array_new_with_free_func(view_free);
    b->failing = g_ptr_array_new_with_free_func(g_free);
    b->cables = g_ptr_array_new_with_free_func(bench_cable_free);
    b->heard = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, heard_free);
}

bool bench_ends_settle(struct bench *b)
{
    g_autoptr(GError) error = NULL;
    unsigned requests;
    if (!drives_settle(b->machine->m, &requests, &error))
        g_error("%s", error->message);
    bool any = requests > 0;
    if (any)
        mend(b);
    while (g_main_context_iteration(NULL, FALSE))
        any = true;
    return any;
}

void bench_ends_leave(struct bench *b)
{
    struct char_port *p;
    name_media(b);
    bench_cables_leave(b);
    for (unsigned i = 0; (p = char_nth(b->machine->m, i)); i++)
        listen_to(b, p)->to = 0;
}

void bench_ends_free(struct bench *b)
{
    g_ptr_array_unref(b->views);
    g_ptr_array_unref(b->failing);
    g_ptr_array_unref(b->cables);
    g_hash_table_unref(b->heard);
    for (unsigned i = 0; i < b->images; i++) {
        g_autofree char *name = g_strdup_printf("%u", i), *path = g_build_filename(b->folder, name, NULL);
        g_unlink(path);
    }
    if (b->folder)
        g_rmdir(b->folder);
    g_free(b->folder);
}
