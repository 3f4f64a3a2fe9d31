// SPDX-License-Identifier: GPL-2.0-or-later
/* kept_file.c - files of chips that remember without power.
 *
 * The chip changes what it remembers on a vCPU's thread, and such a thread writes no file (fence/fence_calls.c).  So there is a
 * copy in memory, and a thread of a pool, one at a time, that writes what of it has changed: at once, so that nothing is lost
 * with this process, and some 100 ms later it has the host put all of that on stable storage, so that what a power failure
 * leaves is old by no more than that.  Firmware that relies on an order of writes has it between any two such times. */
#include "core-vmm/api/flash.h"
#include "core-vmm/machine/core.h"
#include <errno.h>
#include <string.h>
#include <unistd.h>

enum { FLUSH_US = 100 * 1000 };

struct kept_file {
    struct machine *machine;
    char *name; /* of chip and file, for people */
    int fd;
    bool unsafe; /* it could not be flushed, and that was said */
    GThreadPool *pool;
    GMutex lock; /* for all that follows */
    GCond changed;
    uint8_t *contents;
    size_t bytes, from, to; /* from, to: what the file does not have yet; equal: all is there */
    bool called, closing, failed;
};

static void note(struct kept_file *k, size_t from, size_t to)
{
    bool empty = k->from == k->to;
    k->from = empty ? from : MIN(k->from, from);
    k->to = empty ? to : MAX(k->to, to);
}

/* 0, or an errno. */
static int write_all(int fd, const uint8_t *data, size_t n, size_t at)
{
    for (size_t done = 0; done < n;) {
        ssize_t wrote = pwrite(fd, data + done, n - done, (off_t)(at + done));
        if (wrote == 0 || (wrote < 0 && errno != EINTR))
            return wrote ? errno : EIO;
        done += wrote > 0 ? (size_t)wrote : 0;
    }
    return 0;
}

/* The lock is held, and let go meanwhile. */
static void write_changes(struct kept_file *k)
{
    size_t from = k->from, n = k->to - k->from;
    if (!n)
        return;
    g_autofree uint8_t *data = g_memdup2(k->contents + from, n);
    k->from = k->to = 0;
    g_mutex_unlock(&k->lock);
    int problem = write_all(k->fd, data, n, from);
    g_mutex_lock(&k->lock);
    if (problem && !k->failed)
        g_warning("%s could not be written: %s; what it has lasts until the machine is switched off", k->name,
                  g_strerror(problem));
    k->failed = problem != 0;
    if (problem) /* with the next change, or at the end, perhaps it can */
        note(k, from, from + n);
}

static void call_worker(struct kept_file *k)
{
    if (!k->called)
        g_thread_pool_push(k->pool, k, NULL);
    k->called = true;
}

/* By one thread at a time; the lock is not held. */
static void flush_file(struct kept_file *k)
{
    bool problem = fdatasync(k->fd) != 0;
    if (problem && !k->unsafe)
        g_warning("%s is not on stable storage: %s; a power failure of the host may leave an older one", k->name,
                  g_strerror(errno));
    k->unsafe = problem;
}

static void work(void *data, void *unused)
{
    struct kept_file *k = data;
    const struct thread_hook *h = &k->machine->on_thread;
    gint64 flush = g_get_monotonic_time() + FLUSH_US;
    bool may = !h->begins || h->begins(h->ctx, MACHINE_THREAD_WORKER); /* else the machine is told to stop */
    g_mutex_lock(&k->lock);
    do {
        if (may)
            write_changes(k);
    } while (!k->closing && g_cond_wait_until(&k->changed, &k->lock, flush));
    g_mutex_unlock(&k->lock);
    if (may)
        flush_file(k);
    g_mutex_lock(&k->lock);
    k->called = false;
    if (may && k->from != k->to && !k->failed && !k->closing) /* who closes it writes the rest */
        call_worker(k);
    g_mutex_unlock(&k->lock);
}

struct kept_file *dev_kept_file(struct device *d, const char *name, void *contents, size_t bytes, GError **error)
{
    int fd = dev_kept_open(d, name, error);
    if (fd < 0)
        return NULL;
    if (pread(fd, contents, bytes, 0) != (ssize_t)bytes) {
        g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_INVAL, "%s: there are no %zu bytes to be read from it", name,
                    bytes);
        close(fd);
        return NULL;
    }
    struct kept_file *k = g_new0(struct kept_file, 1);
    k->machine = d->machine;
    k->name = g_strdup_printf("%s: %s", d->name, name);
    k->fd = fd;
    k->bytes = bytes;
    k->contents = g_memdup2(contents, bytes);
    k->pool = g_thread_pool_new(work, NULL, 1, FALSE, NULL);
    g_mutex_init(&k->lock);
    g_cond_init(&k->changed);
    return k;
}

void kept_file_write(struct kept_file *k, size_t at, const void *data, size_t n)
{
    g_assert(at <= k->bytes && n <= k->bytes - at);
    g_mutex_lock(&k->lock);
    memcpy(k->contents + at, data, n);
    note(k, at, at + n);
    call_worker(k);
    g_cond_signal(&k->changed);
    g_mutex_unlock(&k->lock);
}

void kept_file_close(struct kept_file *k)
{
    g_mutex_lock(&k->lock);
    k->closing = true;
    g_cond_signal(&k->changed);
    g_mutex_unlock(&k->lock);
    g_thread_pool_free(k->pool, FALSE, TRUE);
    g_mutex_lock(&k->lock);
    write_changes(k);
    g_mutex_unlock(&k->lock);
    flush_file(k);
    close(k->fd);
    g_cond_clear(&k->changed);
    g_mutex_clear(&k->lock);
    g_free(k->contents);
    g_free(k->name);
    g_free(k);
}
