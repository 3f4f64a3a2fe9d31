// SPDX-License-Identifier: GPL-2.0-or-later
/* handles.c - what a guest has open: a table of fixed size.  Its number of one has the place in the low bits, and above them how
 * often the place was taken, so that an old number does not reach what is there now. */
#include "guest-additions/folders/folder.h"
#include <errno.h>
#include <sys/random.h>
#include <unistd.h>

enum { PLACE_BITS = 14, GENERATIONS = 1 << (FOLDER_HANDLE_BITS - PLACE_BITS) };
G_STATIC_ASSERT(FOLDER_HANDLES_MOST <= 1 << PLACE_BITS);

/* A process that was started again begins at another number than the one before it. */
void folder_handles_init(struct folder *f)
{
    uint32_t from = 0;
    if (getrandom(&from, sizeof from, 0) != sizeof from)
        from = getpid();
    f->handles = g_new0(struct folder_handle, FOLDER_HANDLES_MOST);
    for (unsigned i = 0; i < FOLDER_HANDLES_MOST; i++)
        f->handles[i] = (struct folder_handle){.fd = -1, .generation = from % GENERATIONS};
}

void folder_handles_free(struct folder *f)
{
    for (unsigned i = 0; i < FOLDER_HANDLES_MOST; i++)
        folder_handle_close(f, &f->handles[i]);
    g_free(f->handles);
}

struct folder_handle *folder_handle_new(struct folder *f, int fd, uint64_t owner, uint32_t *number)
{
    if (f->used == FOLDER_HANDLES_MOST) {
        close(fd);
        errno = EMFILE;
        return NULL;
    }
    while (f->handles[f->look_from].fd >= 0)
        f->look_from = (f->look_from + 1) % FOLDER_HANDLES_MOST;
    struct folder_handle *h = &f->handles[f->look_from];
    *number = f->look_from | h->generation << PLACE_BITS;
    f->look_from = (f->look_from + 1) % FOLDER_HANDLES_MOST;
    h->fd = fd;
    h->owner = owner;
    f->used++;
    return h;
}

struct folder_handle *folder_handle_of(struct folder *f, uint32_t number, uint64_t owner)
{
    uint32_t place = number & ((1u << PLACE_BITS) - 1);
    struct folder_handle *h = place < FOLDER_HANDLES_MOST ? &f->handles[place] : NULL;
    return h && h->fd >= 0 && h->owner == owner && h->generation == number >> PLACE_BITS ? h : NULL;
}

void folder_handle_close(struct folder *f, struct folder_handle *h)
{
    if (h->fd < 0)
        return;
    close(h->fd);
    if (h->names)
        g_ptr_array_unref(h->names);
    f->list_bytes -= h->bytes;
    f->used--;
    *h = (struct folder_handle){.fd = -1, .generation = (h->generation + 1) % GENERATIONS};
}

void folder_handles_end(struct folder *f, uint64_t owner)
{
    for (unsigned i = 0; i < FOLDER_HANDLES_MOST && f->used; i++)
        if (f->handles[i].fd >= 0 && f->handles[i].owner == owner)
            folder_handle_close(f, &f->handles[i]);
}
