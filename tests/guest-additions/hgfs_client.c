// SPDX-License-Identifier: GPL-2.0-or-later
/* hgfs_client.c - see hgfs_client.h. */
#include "tests/guest-additions/hgfs_client.h"
#include "core-vmm/api/x86_state.h"
#include "core-vmm/base/bytes.h"
#include "guest-additions/folders/folder.h"
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { HEADER = 52, SIZE_AT = 8, STATUS_AT = 24, AGAIN = 0x10, RECEIVE_SIZE = 3, RECEIVE = 4, RECEIVED = 5 };

static gpointer serve(gpointer data)
{
    struct folder_thread *t = data;
    g_autofree uint8_t *wish = g_malloc(FOLDER_WISH_MOST + 1), *answer = g_malloc(FOLDER_ANSWER_MOST);
    ssize_t n;
    while ((n = read(t->fd, wish, FOLDER_WISH_MOST + 1)) > 0) {
        size_t bytes = folder_do(t->folder, wish, n, answer);
        if (!bytes || write(t->fd, answer, bytes) != (ssize_t)bytes)
            break;
    }
    return NULL;
}

struct folder_thread *folder_thread_new(const char *path, bool read_only, bool links, int *other)
{
    struct folder_thread *t = g_new0(struct folder_thread, 1);
    int pair[2];
    g_assert_cmpint(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), ==, 0);
    g_assert_cmpint(fcntl(pair[1], F_SETFL, O_NONBLOCK), ==, 0);
    t->folder = g_new0(struct folder, 1);
    t->folder->root = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    t->folder->read_only = read_only;
    t->folder->links = links ? LINKS_CREATE : LINKS_SHOW;
    g_assert_cmpint(t->folder->root, >=, 0);
    folder_handles_init(t->folder);
    t->fd = pair[0];
    *other = pair[1];
    t->thread = g_thread_new("folder", serve, t);
    return t;
}

void folder_thread_free(struct folder_thread *t)
{
    g_thread_join(t->thread);
    folder_handles_free(t->folder);
    if (t->folder->root >= 0)
        close(t->folder->root);
    close(t->fd);
    g_free(t->folder);
    g_free(t);
}

void hgfs_add(GByteArray *b, uint64_t value, unsigned bytes)
{
    uint8_t le[8];
    put_le64(le, value);
    g_byte_array_append(b, le, bytes);
}

GByteArray *hgfs_begin(uint32_t op, uint64_t session)
{
    GByteArray *b = g_byte_array_new();
    g_byte_array_append(b, (const uint8_t *)"f ", 2);
    hgfs_add(b, 1, 4);
    hgfs_add(b, 0xff, 4);
    hgfs_add(b, 0, 4);
    hgfs_add(b, HEADER, 4);
    hgfs_add(b, 0x1234, 4);
    hgfs_add(b, op, 4);
    hgfs_add(b, 0, 8);
    hgfs_add(b, 0, 4);
    hgfs_add(b, session, 8);
    hgfs_add(b, 0, 8);
    return b;
}

void hgfs_add_name(GByteArray *b, const char *name, unsigned length)
{
    hgfs_add(b, length, 4);
    hgfs_add(b, 0, 8);
    hgfs_add(b, 0xffffffff, 4);
    g_byte_array_append(b, (const uint8_t *)name, length);
    hgfs_add(b, 0, 1);
}

void hgfs_end(GByteArray *b)
{
    put_le32(b->data + 2 + SIZE_AT, b->len - 2);
}

GByteArray *hgfs_open(uint64_t session, const char *name, unsigned length, uint32_t access, uint32_t how)
{
    GByteArray *b = hgfs_begin(HGFS_OPEN, session);
    hgfs_add(b, 0x3f, 8);
    hgfs_add(b, access, 4);
    hgfs_add(b, how, 4);
    hgfs_add(b, 0x04040600, 4); /* special, owner, group, others */
    for (unsigned i = 0; i < 44; i++)
        hgfs_add(b, 0, 1);
    hgfs_add_name(b, name, length);
    return b;
}

/* The bytes of an answer whose size has been told. */
static GBytes *fetch(struct caller *c, unsigned channel, uint32_t size)
{
    GByteArray *all = g_byte_array_new();
    while (all->len < size) {
        unsigned status = caller_message(c, channel, RECEIVE, 1);
        if (!(status & CALLER_SUCCESS)) {
            g_assert_cmphex(status, ==, AGAIN);
            g_byte_array_unref(all);
            return NULL;
        }
        hgfs_add(all, c->r[X86_RBX], 4);
    }
    g_byte_array_set_size(all, size);
    g_assert_true(caller_message(c, channel, RECEIVED, 1) & CALLER_SUCCESS);
    return g_byte_array_free_to_bytes(all);
}

GBytes *hgfs_ask(struct caller *c, unsigned channel, GByteArray *b)
{
    GBytes *said = NULL;
    hgfs_end(b);
    g_assert_true(caller_send(c, channel, b->data, b->len, true) & CALLER_SUCCESS);
    g_byte_array_unref(b);
    while (!said) {
        unsigned status = caller_message(c, channel, RECEIVE_SIZE, 0);
        g_assert_true(status & CALLER_WAITS);
        said = fetch(c, channel, c->r[X86_RBX]);
    }
    gsize n;
    const char *text = g_bytes_get_data(said, &n);
    bool good = n >= 2 && !memcmp(text, "1 ", 2);
    GBytes *reply = good ? g_bytes_new_from_bytes(said, 2, n - 2) : NULL;
    g_bytes_unref(said);
    return reply;
}

uint32_t hgfs_status_of(GBytes *reply)
{
    gsize n;
    const uint8_t *data = g_bytes_get_data(reply, &n);
    g_assert_cmpuint(n, >=, HEADER);
    g_assert_cmpuint(get_le32(data + SIZE_AT), ==, n);
    uint32_t status = get_le32(data + STATUS_AT);
    g_bytes_unref(reply);
    return status;
}

uint32_t hgfs_word(GBytes *reply, unsigned at)
{
    gsize n;
    const uint8_t *data = g_bytes_get_data(reply, &n);
    g_assert_cmpuint(n, >=, HEADER + at + 4);
    return get_le32(data + HEADER + at);
}
