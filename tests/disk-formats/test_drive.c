// SPDX-License-Identifier: GPL-2.0-or-later
/* test_drive.c - core-vmm/machine/drive.c between a made-up controller and real images: many requests in flight, errors, media
 * that are changed while the machine runs, and a host disk that is full for a while. */
#include "core-vmm/machine/core.h"
#include "core-vmm/machine/drive_inside.h"
#include "tests/disk-formats/disk_test.h"
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#define BYTES (8u << 20)
#define DEPTH 32

/* What drive.c needs of the device's core. */
void dev_lock(struct device *d)
{
    pthread_mutex_lock(d->core->lock);
}

void dev_unlock(struct device *d)
{
    pthread_mutex_unlock(d->core->lock);
}

struct controller {
    struct machine machine;
    struct device device;
    struct device_core core;
    GKeyFile *file;
    char *folder;
    struct drive *drive;
    unsigned done, failed, changes, full, free;
    bool endless;   /* what is done is asked for again */
    unsigned again; /* so often, at least */
    int last;
};

static void on_done(struct device *d, struct drive_request *r, int error)
{
    struct controller *c = d->state;
    g_assert_cmpint(pthread_mutex_trylock(d->core->lock), ==, EBUSY); /* core holds it */
    c->done++;
    c->failed += error != 0;
    c->last = error;
    if (c->endless || c->again) {
        c->again -= c->again > 0;
        drive_submit(c->drive, r);
    }
}

static void on_change(struct device *d, struct drive *v)
{
    ((struct controller *)d->state)->changes++;
}

static void on_full(void *ctx, struct drive *v, bool full, const char *message)
{
    struct controller *c = ctx;
    g_assert_nonnull(strstr(message, full ? "full" : "again"));
    *(full ? &c->full : &c->free) += 1;
}

static struct controller *controller_new(const char *settings)
{
    struct controller *c = g_new0(struct controller, 1);
    GError *error = NULL;
    c->folder = scratch_new();
    c->machine.folder = c->folder;
    pthread_mutex_init(&c->core.own_lock, NULL);
    c->core.lock = &c->core.own_lock;
    c->device = (struct device){.state = c, .name = "test", .machine = &c->machine, .core = &c->core};
    c->file = g_key_file_new();
    g_key_file_load_from_data(c->file, settings, -1, 0, &error);
    g_assert_no_error(error);
    return c;
}

static void attach(struct controller *c)
{
    g_autofree char *name = g_key_file_get_start_group(c->file);
    struct config section = {c->file, "machine.ini", name};
    GError *error = NULL;
    c->drive = drive_open(&c->device, &section, &error);
    g_assert_no_error(error);
    drive_on_change(c->drive, on_change);
}

static void controller_free(struct controller *c)
{
    drive_close(c->drive);
    g_assert_null(c->machine.drives);
    g_key_file_unref(c->file);
    scratch_remove(c->folder);
    g_free(c);
}

static void make_disk(struct controller *c, const char *name, const char *format)
{
    g_autofree char *path = g_build_filename(c->folder, name, NULL);
    struct image_options o = {.bytes = BYTES};
    GError *error = NULL;
    image_create(path, format, &o, true, &error);
    g_assert_no_error(error);
}

static bool insert(struct controller *c, const char *name, int how, GError **error)
{
    g_autofree char *path = g_build_filename(c->folder, name, NULL);
    return drive_insert(c->drive, open(path, how | O_CLOEXEC), path, NULL, false, error);
}

static void submit(struct controller *c, struct drive_request *r)
{
    r->done = on_done;
    dev_lock(&c->device);
    drive_submit(c->drive, r);
    dev_unlock(&c->device);
}

static void wait_for(unsigned *counter, unsigned value)
{
    int64_t end = g_get_monotonic_time() + 20 * G_TIME_SPAN_SECOND;
    while (*counter < value) {
        g_assert_cmpint(g_get_monotonic_time(), <, end);
        g_main_context_iteration(NULL, TRUE);
    }
}

static int one(struct controller *c, enum drive_op op, uint64_t offset, void *data, uint64_t bytes)
{
    struct iovec iov = {data, bytes};
    struct drive_request r = {.op = op, .offset = offset, .bytes = bytes, .iov = &iov, .iov_count = 1};
    submit(c, &r);
    wait_for(&c->done, c->done + 1);
    return c->last;
}

static void test_many(void)
{
    struct controller *c = controller_new("[ide0]\nfile=a.qcow2\nformat=qcow2\n");
    static uint8_t data[DEPTH][8192], got[DEPTH][8192];
    struct drive_request r[DEPTH];
    struct iovec iov[DEPTH];
    make_disk(c, "a.qcow2", "qcow2");
    attach(c);
    g_assert_cmpuint(drive_bytes(c->drive), ==, BYTES);
    for (unsigned i = 0; i < DEPTH; i++) {
        memset(data[i], i + 1, sizeof data[i]);
        iov[i] = (struct iovec){data[i], sizeof data[i]};
        r[i] = (struct drive_request){DRIVE_WRITE, i * 100000ull / 512 * 512, 8192, &iov[i], 1};
        submit(c, &r[i]);
    }
    g_assert_false(drive_idle(c->drive));
    wait_for(&c->done, DEPTH);
    g_assert_true(drive_idle(c->drive));
    g_assert_cmpint(one(c, DRIVE_FLUSH, 0, NULL, 0), ==, 0);
    for (unsigned i = 0; i < DEPTH; i++) {
        iov[i].iov_base = got[i];
        r[i].op = DRIVE_READ;
        submit(c, &r[i]);
    }
    wait_for(&c->done, 2 * DEPTH + 1);
    g_assert_cmpuint(c->failed, ==, 0);
    g_assert_true(!memcmp(data, got, sizeof data));
    g_assert_cmpint(one(c, DRIVE_READ, BYTES - 512, got, 1024), ==, EIO);
    g_assert_cmpint(one(c, DRIVE_WRITE, UINT64_MAX - 511, got, 512), ==, EIO);
    g_assert_cmpint(one(c, DRIVE_ZERO, 0, NULL, 0), ==, 0);
    controller_free(c);
}

/* As in a machine that runs: workers tell the device themselves, nobody looks after the loop. */
static void test_by_workers(void)
{
    struct controller *c = controller_new("[sata0]\nfile=a.raw\n");
    static uint8_t data[DEPTH][4096];
    struct drive_request r[DEPTH];
    struct iovec iov[DEPTH];
    unsigned done = 0;
    int64_t end = g_get_monotonic_time() + 60 * G_TIME_SPAN_SECOND;
    make_disk(c, "a.raw", "raw");
    attach(c);
    c->machine.at_once = 1 << 20;
    for (unsigned i = 0; i < DEPTH; i++) {
        iov[i] = (struct iovec){data[i], sizeof data[i]};
        r[i] = (struct drive_request){i % 8 == 7 ? DRIVE_FLUSH : DRIVE_WRITE, i * sizeof data[i], sizeof data[i],
                                      &iov[i], 1};
        submit(c, &r[i]);
    }
    while (done < DEPTH && g_get_monotonic_time() < end) {
        dev_lock(&c->device);
        done = c->done;
        dev_unlock(&c->device);
        g_usleep(1000);
    }
    g_assert_cmpuint(done, ==, DEPTH);
    g_assert_cmpuint(c->failed, ==, 0);
    drive_wait_for_workers(c->drive);
    g_assert_true(drive_idle(c->drive));
    controller_free(c);
}

/* More requests under way than there are workers, and whoever has the device's lock waits for them, as a reset does.  Settling,
 * before a state is saved, counts what was under way, though workers tell of it meanwhile. */
static void test_quiesce(void)
{
    enum { REQUESTS = 64, ROUNDS = 100 };
    struct controller *c = controller_new("[sata0]\nfile=a.raw\n");
    static uint8_t data[65536];
    struct iovec iov = {data, sizeof data};
    struct drive_request r[REQUESTS];
    GError *error = NULL;
    make_disk(c, "a.raw", "raw");
    attach(c);
    unsigned counted = 0;
    c->machine.at_once = 1;
    for (unsigned round = 1; round <= ROUNDS; round++) {
        unsigned settled;
        for (unsigned i = 0; i < REQUESTS; i++) {
            r[i] = (struct drive_request){DRIVE_WRITE, i * sizeof data, sizeof data, &iov, 1};
            submit(c, &r[i]);
        }
        if (round % 2) {
            dev_lock(&c->device);
            drive_quiesce(c->drive);
            dev_unlock(&c->device);
        }
        g_assert_true(drives_settle(&c->machine, &settled, &error));
        counted += settled;
        g_assert_cmpuint(c->done, ==, round * REQUESTS);
        g_assert_true(drives_settle(&c->machine, &settled, &error));
        g_assert_cmpuint(settled, ==, 0);
    }
    g_assert_cmpuint(counted, >, 0);
    g_assert_cmpuint(c->failed, ==, 0);
    controller_free(c);
}

/* A limit lets go of requests by the loop thread's clock: who waits there for the drive to stand still is not to wait for that,
 * also if what is done leads to further requests. */
static void test_limited_sync(void)
{
    enum { AGAIN = 20, PATIENCE = 30 };
    struct controller *c = controller_new("[sata0]\nfile=a.raw\nlimit-operations=1\n");
    static uint8_t data[4096];
    struct iovec iov = {data, sizeof data};
    struct drive_request r[2];
    GError *error = NULL;
    make_disk(c, "a.raw", "raw");
    attach(c);
    c->machine.at_once = 1;
    c->again = AGAIN;
    alarm(PATIENCE); /* it would wait for ever */
    for (unsigned i = 0; i < G_N_ELEMENTS(r); i++) {
        r[i] = (struct drive_request){DRIVE_WRITE, i * sizeof data, sizeof data, &iov, 1};
        submit(c, &r[i]);
    }
    g_assert_true(drive_sync(c->drive, &error));
    alarm(0);
    g_assert_cmpuint(c->done, ==, AGAIN + G_N_ELEMENTS(r));
    g_assert_cmpuint(drive_counts(c->drive).held, >, 0);
    controller_free(c);
}

/* Workers that are hushed tell nothing any more. */
static void test_hush(void)
{
    struct controller *c = controller_new("[sata0]\nfile=a.raw\n");
    static uint8_t data[4096];
    struct iovec iov = {data, sizeof data};
    struct drive_request r = {DRIVE_WRITE, 0, sizeof data, &iov, 1};
    make_disk(c, "a.raw", "raw");
    attach(c);
    c->machine.at_once = 1;
    dev_lock(&c->device);
    r.done = on_done;
    drive_submit(c->drive, &r);
    dev_unlock(&c->device);
    drives_hush(&c->machine, &c->device);
    unsigned done = c->done;
    submit(c, &r);
    drive_wait_for_workers(c->drive);
    g_assert_cmpuint(c->done, ==, done);
    controller_free(c);
}

/* Within an access, what is in memory is read at once, but told only when the access is over. */
static void test_at_once(const void *format)
{
    g_autofree char *settings = g_strdup_printf("[sata0]\nfile=a\nformat=%s\n", (const char *)format);
    struct controller *c = controller_new(settings);
    static uint8_t data[8192];
    struct iovec iov = {data, sizeof data};
    struct drive_request r = {DRIVE_WRITE, 65536, sizeof data, &iov, 1};
    memset(data, 'a', sizeof data);
    make_disk(c, "a", format);
    attach(c);
    submit(c, &r);
    wait_for(&c->done, 1);
    memset(data, 0, sizeof data);
    r.op = DRIVE_READ;
    r.done = on_done;
    c->machine.at_once = 1 << 20;
    dev_lock(&c->device);
    c->core.at_once = sizeof data + 1;
    drive_submit(c->drive, &r);
    g_assert_cmpuint(c->done, ==, 1);
    g_assert_true(c->core.requests_through);
    g_assert_cmpuint(c->core.at_once, ==, 1);
    drives_tell(&c->device);
    g_assert_cmpuint(c->done, ==, 2);
    g_assert_cmpint(data[0] & data[sizeof data - 1], ==, 'a');
    drive_submit(c->drive, &r); /* more than is left: a worker's, who cannot tell before this ends */
    g_assert_false(c->core.requests_through);
    c->core.at_once = 0;
    dev_unlock(&c->device);
    drive_wait_for_workers(c->drive);
    g_assert_cmpuint(c->done, ==, 3);
    g_assert_cmpuint(c->failed, ==, 0);
    controller_free(c);
}

/* A guest that asks for the impossible, again and again, as soon as it is refused: an access of a vCPU ends all the same, and
 * the loop goes on with it. */
static void test_endless(void)
{
    struct controller *c = controller_new("[sata0]\nfile=a.raw\n");
    struct drive_request r = {.op = DRIVE_READ, .offset = UINT64_MAX - 511, .done = on_done}; /* needs no worker */
    make_disk(c, "a.raw", "raw");
    attach(c);
    c->machine.at_once = 1 << 20;
    c->endless = true;
    dev_lock(&c->device);
    c->core.at_once = c->machine.at_once;
    drive_submit(c->drive, &r);
    drives_tell(&c->device);
    c->core.at_once = 0;
    dev_unlock(&c->device);
    unsigned told = c->done;
    wait_for(&c->done, told + 1);
    c->endless = false;
    wait_for(&c->done, c->done + 1);
    g_assert_cmpuint(c->failed, ==, c->done);
    g_assert_true(drive_idle(c->drive));
    controller_free(c);
}

static void test_media(void)
{
    struct controller *c = controller_new("[ide0]\nmedia=cdrom\n");
    uint8_t sector[2048];
    GError *error = NULL;
    make_disk(c, "a.iso", "raw");
    attach(c);
    g_assert_cmpuint(drive_bytes(c->drive), ==, 0);
    g_assert_cmpint(one(c, DRIVE_READ, 0, sector, sizeof sector), ==, ENOMEDIUM);
    g_assert_true(insert(c, "a.iso", O_RDONLY, &error));
    g_assert_true(drive_changed(c->drive) && !drive_changed(c->drive));
    g_assert_cmpuint(drive_bytes(c->drive), ==, BYTES);
    g_assert_true(drive_readonly(c->drive));
    g_assert_cmpint(one(c, DRIVE_READ, 0, sector, sizeof sector), ==, 0);
    g_assert_cmpint(one(c, DRIVE_WRITE, 0, sector, sizeof sector), ==, EROFS);
    drive_guest_lock(c->drive, true);
    g_assert_false(drive_eject(c->drive, false, &error));
    g_assert_error(error, DISK_ERROR, DISK_ERROR_LOCKED);
    g_clear_error(&error);
    g_assert_cmpuint(c->changes, ==, 1);
    struct iovec iov = {sector, sizeof sector};
    struct drive_request r = {.op = DRIVE_READ, .bytes = sizeof sector, .iov = &iov, .iov_count = 1};
    submit(c, &r); /* under way while the medium goes */
    g_assert_true(drive_eject(c->drive, true, &error));
    wait_for(&c->done, c->done + 1);
    g_assert_cmpint(c->last, ==, 0);
    g_assert_cmpuint(drive_bytes(c->drive), ==, 0);
    g_assert_cmpuint(c->changes, ==, 2);
    static const int useless[] = {O_WRONLY, O_PATH};
    for (unsigned i = 0; i < G_N_ELEMENTS(useless); i++) {
        g_assert_false(insert(c, "a.iso", useless[i], &error));
        g_assert_error(error, DISK_ERROR, DISK_ERROR_PERMISSION);
        g_clear_error(&error);
    }
    g_assert_false(insert(c, ".", O_RDONLY, &error));
    g_assert_error(error, DISK_ERROR, DISK_ERROR_UNSUPPORTED);
    g_clear_error(&error);
    controller_free(c);
}

/* A floppy that is in the drive already, open for writing and in use. */
static void test_insert_again(void)
{
    struct controller *c = controller_new("[floppy0]\n");
    uint8_t sector[512] = {42};
    GError *error = NULL;
    make_disk(c, "a.img", "raw");
    attach(c);
    g_assert_true(insert(c, "a.img", O_RDWR, &error));
    struct iovec iov = {sector, sizeof sector};
    struct drive_request r = {.op = DRIVE_WRITE, .bytes = sizeof sector, .iov = &iov, .iov_count = 1};
    submit(c, &r);
    insert(c, "a.img", O_RDWR, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(c->changes, ==, 2);
    g_assert_cmpuint(c->done, ==, 1);
    g_assert_cmpuint(drive_bytes(c->drive), ==, BYTES);
    g_assert_false(drive_readonly(c->drive));
    controller_free(c);
}

static void test_bad_settings(void)
{
    static const char *const settings[] = {"[ide0]\n", "[ide0]\nfile=none.raw\n", "[ide0]\nmedia=tape\n",
                                           "[ide0]\nfile=stream.vmdk\n"};
    char *stream[] = {"subformat=streamOptimized", NULL};
    struct image_options o = {.bytes = BYTES, .options = stream};
    for (unsigned i = 0; i < G_N_ELEMENTS(settings); i++) {
        struct controller *c = controller_new(settings[i]);
        g_autofree char *path = g_build_filename(c->folder, "stream.vmdk", NULL);
        g_assert_true(image_create(path, "vmdk", &o, false, NULL));
        struct config section = {c->file, "machine.ini", "ide0"};
        GError *error = NULL;
        g_assert_null(drive_open(&c->device, &section, &error));
        g_assert_nonnull(strstr(error->message, "ide0"));
        g_clear_error(&error);
        controller_free(c);
    }
}

/* What a guest writes to an image cannot be seen through those on top of it: it is not opened for writing. */
static void test_parent(const void *name)
{
    g_autofree char *settings = g_strdup_printf("[%s]\nfile=base.vdi\n", (const char *)name);
    struct controller *c = controller_new(settings);
    struct config section = {c->file, "machine.ini", name};
    GError *error = NULL;
    g_autofree char *child = g_build_filename(c->folder, "child.qcow2", NULL);
    struct image_options o = {.parent = "base.vdi", .parent_format = "vdi"};
    make_disk(c, "base.vdi", "vdi");
    image_create(child, "qcow2", &o, false, &error);
    g_assert_no_error(error);
    g_assert_null(drive_open(&c->device, &section, &error));
    g_assert_nonnull(strstr(error->message, "is the parent of"));
    g_clear_error(&error);
    g_key_file_set_string(c->file, name, "readonly", "on");
    attach(c);
    controller_free(c);
}

/* The last sector of a CD is there, though the file ends within it. */
static void test_odd_cd(void)
{
    struct controller *c = controller_new("[ide2]\nmedia=cdrom\nfile=cd.iso\n");
    g_autofree char *path = g_build_filename(c->folder, "cd.iso", NULL);
    char data[2048 + 700], got[2048];
    memset(data, 'D', sizeof data);
    g_assert_true(g_file_set_contents(path, data, sizeof data, NULL));
    attach(c);
    g_assert_cmpuint(drive_bytes(c->drive), ==, 4096);
    g_assert_cmpint(one(c, DRIVE_READ, 2048, got, sizeof got), ==, 0);
    g_assert_cmpint(got[0] & got[699], ==, 'D');
    g_assert_cmpint(got[700] | got[2047], ==, 0);
    controller_free(c);
}

/* An image that may only be read: the sentence says what can be done.  As another user than root, who may all. */
static void test_way_out(void)
{
    struct controller *c = controller_new("[ide0]\nfile=base.raw\n");
    struct config section = {c->file, "machine.ini", "ide0"};
    g_autofree char *path = g_build_filename(c->folder, "base.raw", NULL);
    GError *error = NULL;
    make_disk(c, "base.raw", "raw");
    g_assert_cmpint(chmod(path, 0444) | chmod(c->folder, 0755), ==, 0);
    bool other = geteuid() != 0 || seteuid(65534) == 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (!other || fd < 0) {
        g_test_skip("root, and cannot be anybody else who comes to the folder of this test");
    } else {
        g_assert_null(drive_open(&c->device, &section, &error));
        g_assert_nonnull(strstr(error->message, "readonly=on"));
        g_clear_error(&error);
        g_key_file_set_string(c->file, "ide0", "readonly", "on");
        attach(c);
    }
    g_assert_cmpint(seteuid(getuid()), ==, 0);
    if (fd >= 0)
        close(fd);
    controller_free(c);
}

/* A tiny file system of our own that is full: the writes wait, and go through when there is space. */
static void test_full(const void *own_mounts)
{
    struct controller *c = controller_new("[ide0]\nfile=a.raw\n");
    static uint8_t data[2 << 20];
    if (!own_mounts || mount("none", c->folder, "tmpfs", 0, "size=1M")) {
        c->drive = NULL;
        g_test_skip("cannot mount a small file system here");
        controller_free(c);
        return;
    }
    make_disk(c, "a.raw", "raw");
    attach(c);
    drive_on_full(c->drive, on_full, c);
    struct iovec iov = {data, sizeof data};
    struct drive_request r = {.op = DRIVE_WRITE, .bytes = sizeof data, .iov = &iov, .iov_count = 1};
    memset(data, 5, sizeof data);
    submit(c, &r);
    wait_for(&c->full, 1);
    g_assert_cmpuint(c->done, ==, 0);
    g_assert_cmpint(mount("none", c->folder, "tmpfs", MS_REMOUNT, "size=16M"), ==, 0);
    wait_for(&c->free, 1);
    wait_for(&c->done, 1);
    g_assert_cmpuint(c->failed, ==, 0);
    memset(data, 0, sizeof data);
    g_assert_cmpint(one(c, DRIVE_READ, 0, data, sizeof data), ==, 0);
    g_assert_cmpint(data[0], ==, 5);
    g_assert_cmpint(data[sizeof data - 1], ==, 5);
    drive_close(c->drive);
    c->drive = NULL;
    umount2(c->folder, MNT_DETACH);
    controller_free(c);
}

int main(int argc, char **argv)
{
    /* Mounts stay ours: a name space of our own, before there are threads. */
    bool own = unshare(CLONE_NEWNS) == 0 || unshare(CLONE_NEWUSER | CLONE_NEWNS) == 0;
    own = own && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0;
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/disk/drive/many", test_many);
    g_test_add_func("/disk/drive/by-workers", test_by_workers);
    g_test_add_data_func("/disk/drive/at-once-raw", "raw", test_at_once);
    g_test_add_data_func("/disk/drive/at-once-qcow2", "qcow2", test_at_once);
    g_test_add_func("/disk/drive/endless", test_endless);
    g_test_add_func("/disk/drive/quiesce", test_quiesce);
    g_test_add_func("/disk/drive/limited-sync", test_limited_sync);
    g_test_add_func("/disk/drive/hush", test_hush);
    g_test_add_func("/disk/drive/media", test_media);
    g_test_add_func("/disk/drive/insert-again", test_insert_again);
    g_test_add_func("/disk/drive/bad-settings", test_bad_settings);
    g_test_add_data_func("/disk/drive/parent", "ide0", test_parent);
    g_test_add_data_func("/disk/drive/parent-floppy", "floppy0", test_parent);
    g_test_add_func("/disk/drive/odd-cd", test_odd_cd);
    g_test_add_func("/disk/drive/way-out", test_way_out);
    g_test_add_data_func("/disk/drive/full", own ? argv : NULL, test_full);
    return g_test_run();
}
