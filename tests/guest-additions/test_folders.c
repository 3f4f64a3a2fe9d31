// SPDX-License-Identifier: GPL-2.0-or-later
/* Shared folders: requests of a hostile guest by the backdoor, and what their process does with names that change under it. */
#include "guest-additions/folders/folder.h"
#include "tests/guest-additions/hgfs_client.h"
#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum { SESSION = 77, READS = 0, WRITES = 1, OLD = 0, ANY = 2, NEW = 3, TRIES = 20000 };
#define NAME(text) text, sizeof text - 1

struct desk {
    char *base, *inside, *outside; /* folders */
    struct caller *caller;
    struct folder_thread *thread;
    int channel;
};

static void put(const char *folder, const char *name, const char *text)
{
    g_autofree char *path = g_build_filename(folder, name, NULL);
    g_assert_true(g_file_set_contents(path, text, -1, NULL));
}

static void desk_begin(struct desk *d, bool read_only)
{
    int line;
    d->base = g_dir_make_tmp("terrarium-folders-XXXXXX", NULL);
    d->inside = g_build_filename(d->base, "in", NULL);
    d->outside = g_build_filename(d->base, "out", NULL);
    g_assert_cmpint(g_mkdir(d->inside, 0700) | g_mkdir(d->outside, 0700), ==, 0);
    put(d->outside, "secret", "outside");
    put(d->inside, "file", "inside");
    d->caller = caller_new("", true);
    d->thread = folder_thread_new(d->inside, read_only, false, &line);
    g_assert_true(additions_folder_add(d->caller->additions, 2, "work", read_only, line));
    d->channel = caller_open(d->caller, CALLER_RPCI);
}

static void desk_end(struct desk *d)
{
    g_autofree char *command = g_strdup_printf("rm -r '%s'", d->base);
    caller_free(d->caller);
    folder_thread_free(d->thread);
    g_assert_cmpint(system(command), ==, 0);
    g_free(d->inside);
    g_free(d->outside);
    g_free(d->base);
}

static uint32_t status(struct desk *d, GByteArray *b)
{
    return hgfs_status_of(hgfs_ask(d->caller, d->channel, b));
}

static GByteArray *with_name(uint32_t op, unsigned skip, const char *name, unsigned length)
{
    GByteArray *b = hgfs_begin(op, SESSION);
    for (unsigned i = 0; i < skip; i++)
        hgfs_add(b, 0, 1);
    hgfs_add_name(b, name, length);
    return b;
}

static GByteArray *with_handle(uint32_t op, uint32_t handle)
{
    GByteArray *b = hgfs_begin(op, SESSION);
    hgfs_add(b, handle, 4);
    hgfs_add(b, 0, 8);
    return b;
}

static GByteArray *rename_to(const char *from, unsigned from_length, const char *to, unsigned to_length)
{
    GByteArray *b = with_name(HGFS_RENAME, 16, from, from_length);
    hgfs_add_name(b, to, to_length);
    return b;
}

/* ---- paths ---- */

static void paths(void)
{
    static const char *const good[] = {"", "a", "a/b", ".a", "...", "a b/\xff"};
    static const char *const bad[] = {"/", "/a", "a/", "a//b", ".", "..", "a/..", "../a", "a/./b"};
    g_autofree char *longest = g_strnfill(255, 'n'), *longer = g_strnfill(256, 'n'), *deep = g_strnfill(4096, 'd');
    for (unsigned i = 0; i < G_N_ELEMENTS(good); i++)
        g_assert_true(folder_path_good(good[i], strlen(good[i])));
    for (unsigned i = 0; i < G_N_ELEMENTS(bad); i++)
        g_assert_false(folder_path_good(bad[i], strlen(bad[i])));
    g_assert_true(folder_path_good(longest, 255));
    g_assert_false(folder_path_good(longer, 256));
    g_assert_false(folder_path_good("a\0b", 3));
    for (unsigned i = 100; i < 4096; i += 100)
        deep[i] = '/';
    g_assert_true(folder_path_good(deep, 4095));
    g_assert_false(folder_path_good(deep, 4096));
}

/* ---- requests ---- */

static void names(void)
{
    struct desk d;
    static const struct {
        const char *name;
        unsigned length;
        uint32_t status;
    } cases[] = {
        {NAME(""), HGFS_OK},
        {NAME("work"), HGFS_OK},
        {NAME("work\0file"), HGFS_OK},
        {NAME("work\0file\0"), HGFS_OK},
        {NAME("work\0none"), HGFS_NOT_FOUND},
        {NAME("Work"), HGFS_NOT_FOUND},
        {NAME("work\0file\0x"), HGFS_NOT_FOLDER},
        {NAME("other\0file"), HGFS_NOT_FOUND},
        {NAME(".."), HGFS_BAD_NAME},
        {NAME("work\0.."), HGFS_BAD_NAME},
        {NAME("work\0..\0out\0secret"), HGFS_BAD_NAME},
        {NAME("work\0../out/secret"), HGFS_BAD_NAME},
        {NAME("work\0file/x"), HGFS_BAD_NAME},
        {NAME("work\0\0file"), HGFS_BAD_NAME},
        {NAME("\0work"), HGFS_BAD_NAME},
        {NAME("/etc\0passwd"), HGFS_BAD_NAME},
    };
    desk_begin(&d, false);
    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++)
        g_assert_cmpuint(status(&d, with_name(HGFS_GET_ATTR, 16, cases[i].name, cases[i].length)), ==, cases[i].status);
    g_autofree char *text = g_strnfill(5000, 'x');
    memcpy(text, "work", 5);
    for (unsigned i = 100; i < 5000; i += 100)
        text[i] = 0;
    g_assert_cmpuint(status(&d, with_name(HGFS_GET_ATTR, 16, text, 5000)), ==, HGFS_NAME_TOO_LONG);
    desk_end(&d);
}

/* Packets that end too early, say wrong lengths, or what nobody knows. */
static void packets(void)
{
    struct desk d;
    desk_begin(&d, false);
    GByteArray *whole = hgfs_open(SESSION, NAME("work\0file"), READS, OLD);
    hgfs_end(whole);
    for (unsigned n = 2; n < whole->len; n++) {
        char *said;
        g_assert_true(caller_send(d.caller, d.channel, whole->data, n, true) & CALLER_SUCCESS);
        GBytes *answer = caller_receive(d.caller, d.channel, false);
        said = (char *)g_bytes_get_data(answer, NULL);
        g_assert_true(said && said[0] == '1');
        g_bytes_unref(answer);
    }
    g_assert_cmpuint(d.thread->folder->used, ==, 0);
    g_byte_array_unref(whole);
    for (uint32_t op = 0; op < 70; op++)
        if (op < HGFS_OPEN || (op > HGFS_CREATE_SYMLINK && op != HGFS_CREATE_SESSION && op != HGFS_DESTROY_SESSION))
            g_assert_cmpuint(status(&d, hgfs_begin(op, SESSION)), ==, HGFS_UNKNOWN);
    g_assert_cmpuint(status(&d, with_handle(HGFS_CLOSE, 0xffffffff)), ==, HGFS_BAD_HANDLE);
    g_assert_cmpuint(status(&d, with_handle(HGFS_CLOSE, 0)), ==, HGFS_BAD_HANDLE);
    desk_end(&d);
}

/* A name that ends where the packet does: what is behind it is not there to be read. */
static void packet_end(void)
{
    const size_t page = sysconf(_SC_PAGESIZE);
    uint8_t *map = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    struct hgfs_request r;
    struct hgfs_wish w;
    g_assert_true(map != MAP_FAILED && !mprotect(map + page, page, PROT_NONE));
    GByteArray *b = with_name(HGFS_GET_ATTR, 16, NAME("work\0file"));
    g_byte_array_set_size(b, b->len - 1);
    hgfs_end(b);
    size_t bytes = b->len - 2; /* without "f " */
    memcpy(map + page - bytes, b->data + 2, bytes);
    g_assert_cmpint(hgfs_parse(map + page - bytes, bytes, &r, &w), ==, HGFS_OK);
    g_assert_cmpstr(w.name.path, ==, "file");
    hgfs_wish_clear(&w);
    g_byte_array_unref(b);
    munmap(map, 2 * page);
}

/* What the guest does not see it neither opens nor replaces. */
static void hidden(void)
{
    struct desk d;
    desk_begin(&d, false);
    g_autofree char *pipe = g_build_filename(d.inside, "pipe", NULL), *link = g_build_filename(d.inside, "link", NULL);
    g_assert_cmpint(mkfifo(pipe, 0600) | symlink("../out/new", link), ==, 0);
    d.thread->folder->links = LINKS_HIDE;
    int opens = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    struct stat st;
    char byte;
    g_assert_cmpint(inotify_add_watch(opens, pipe, IN_OPEN), >=, 0);
    g_assert_cmpuint(status(&d, hgfs_open(SESSION, NAME("work\0pipe"), WRITES, ANY)), ==, HGFS_DENIED);
    g_assert_cmpuint(status(&d, hgfs_open(SESSION, NAME("work\0link"), WRITES, ANY)), ==, HGFS_DENIED);
    g_assert_true(read(opens, &byte, 1) < 0 && errno == EAGAIN); /* it was not opened */
    g_assert_cmpuint(status(&d, rename_to(NAME("work\0file"), NAME("work\0pipe"))), ==, HGFS_DENIED);
    g_assert_cmpuint(status(&d, rename_to(NAME("work\0file"), NAME("work\0link"))), ==, HGFS_DENIED);
    g_assert_true(!lstat(pipe, &st) && S_ISFIFO(st.st_mode));
    g_assert_true(!lstat(link, &st) && S_ISLNK(st.st_mode));
    put(d.inside, "seen", "old");
    g_assert_cmpuint(status(&d, rename_to(NAME("work\0file"), NAME("work\0seen"))), ==, HGFS_OK);
    g_assert_cmpuint(status(&d, hgfs_open(SESSION, NAME("work\0made"), WRITES, ANY)), ==, HGFS_OK);
    close(opens);
    desk_end(&d);
}

static void read_only(void)
{
    struct desk d;
    desk_begin(&d, true);
    g_assert_cmpuint(status(&d, hgfs_open(SESSION, NAME("work\0file"), READS, OLD)), ==, HGFS_OK);
    g_assert_cmpuint(status(&d, hgfs_open(SESSION, NAME("work\0file"), READS, ANY)), ==, HGFS_OK);
    g_assert_cmpuint(status(&d, hgfs_open(SESSION, NAME("work\0file"), WRITES, OLD)), ==, HGFS_DENIED);
    g_assert_cmpuint(status(&d, hgfs_open(SESSION, NAME("work\0new"), READS, NEW)), ==, HGFS_DENIED);
    g_assert_cmpuint(status(&d, rename_to(NAME("work\0file"), NAME("work\0other"))), ==, HGFS_DENIED);
    g_assert_cmpuint(status(&d, with_name(HGFS_DELETE_FILE, 16, NAME("work\0file"))), ==, HGFS_DENIED);
    g_assert_cmpuint(status(&d, with_name(HGFS_CREATE_DIR, 20, NAME("work\0new"))), ==, HGFS_DENIED);
    g_assert_cmpuint(status(&d, with_name(HGFS_SET_ATTR, 120, NAME("work\0file"))), ==, HGFS_DENIED);
    desk_end(&d);
}

/* The folder itself is not the guest's to rename or remove, and what is in another is not this one's. */
static void roots(void)
{
    struct desk d;
    desk_begin(&d, false);
    g_assert_cmpuint(status(&d, with_name(HGFS_DELETE_DIR, 16, NAME("work"))), ==, HGFS_DENIED);
    g_assert_cmpuint(status(&d, with_name(HGFS_CREATE_DIR, 20, NAME("other"))), ==, HGFS_NOT_FOUND);
    g_assert_cmpuint(status(&d, rename_to(NAME("work"), NAME("work\0x"))), ==, HGFS_DENIED);
    g_assert_cmpuint(status(&d, rename_to(NAME("work\0file"), NAME(""))), ==, HGFS_OTHER_DEVICE);
    g_assert_cmpuint(status(&d, rename_to(NAME("work\0file"), NAME("x\0y"))), ==, HGFS_OTHER_DEVICE);
    g_assert_cmpuint(status(&d, rename_to(NAME("work\0file"), NAME("work\0y"))), ==, HGFS_OK);
    desk_end(&d);
}

/* ---- handles ---- */

static uint32_t opened(struct desk *d, uint64_t session)
{
    GBytes *reply = hgfs_ask(d->caller, d->channel, hgfs_open(session, NAME("work\0file"), READS, OLD));
    uint32_t handle = hgfs_word(reply, 0);
    g_assert_cmpuint(hgfs_status_of(reply), ==, HGFS_OK);
    return handle;
}

static uint32_t close_in(struct desk *d, uint64_t session, uint32_t handle)
{
    GByteArray *b = hgfs_begin(HGFS_CLOSE, session);
    hgfs_add(b, handle, 4);
    hgfs_add(b, 0, 8);
    return status(d, b);
}

/* A handle is its session's, once; it ends with that, with a reset, and does not come back. */
static void sessions(void)
{
    struct desk d;
    desk_begin(&d, false);
    uint32_t first = opened(&d, SESSION), second = opened(&d, SESSION + 1);
    g_assert_cmpuint(close_in(&d, SESSION, second), ==, HGFS_BAD_HANDLE);
    g_assert_cmpuint(close_in(&d, SESSION, first), ==, HGFS_OK);
    g_assert_cmpuint(close_in(&d, SESSION, first), ==, HGFS_BAD_HANDLE);
    GByteArray *end = hgfs_begin(HGFS_DESTROY_SESSION, SESSION + 1);
    hgfs_add(end, 0, 8);
    g_assert_cmpuint(status(&d, end), ==, HGFS_OK);
    g_assert_cmpuint(close_in(&d, SESSION + 1, second), ==, HGFS_BAD_HANDLE);
    uint32_t third = opened(&d, SESSION);
    g_assert_cmpuint(third, !=, first);
    additions_reset(d.caller->additions);
    g_assert_cmpuint(close_in(&d, SESSION, third), ==, HGFS_BAD_HANDLE);
    for (unsigned n = 0; n < 1000; n++) /* a client that never ends its sessions */
        opened(&d, SESSION + n);
    g_assert_cmpuint(d.thread->folder->used, <=, 33);
    desk_end(&d);
}

static void begin_sessions(struct desk *d, unsigned count)
{
    for (unsigned n = 0; n < count; n++) {
        GByteArray *b = hgfs_begin(HGFS_CREATE_SESSION, 0);
        hgfs_add(b, 0, 8);
        hgfs_add(b, 0, 8);
        g_assert_cmpuint(status(d, b), ==, HGFS_OK);
    }
}

/* Each ends another one, and nobody asks for what the folders' processes say to that; one of them says nothing. */
static void many_sessions(void)
{
    struct desk d;
    int pair[2];
    desk_begin(&d, false);
    begin_sessions(&d, 400);
    g_assert_cmpuint(status(&d, with_name(HGFS_GET_ATTR, 16, NAME("work\0file"))), ==, HGFS_OK);
    g_assert_cmpint(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair), ==, 0);
    g_assert_true(additions_folder_add(d.caller->additions, 3, "hung", false, pair[1]));
    begin_sessions(&d, 400);
    g_assert_cmpuint(status(&d, with_name(HGFS_GET_ATTR, 16, NAME("work\0file"))), ==, HGFS_OK);
    close(pair[0]);
    desk_end(&d);
}

static void end_the_session(struct desk *d)
{
    GByteArray *end = hgfs_begin(HGFS_DESTROY_SESSION, SESSION);
    hgfs_add(end, 0, 8);
    g_assert_cmpuint(status(d, end), ==, HGFS_OK);
}

/* Its process is gone when a session ends: what was to be told leaves nothing behind. */
static void dead_lines(void)
{
    struct desk d;
    int pair[2];
    desk_begin(&d, false);
    for (unsigned n = 0; n < 300; n++) {
        g_assert_cmpint(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair), ==, 0);
        g_assert_true(additions_folder_add(d.caller->additions, 3, "other", false, pair[1]));
        close(pair[0]);
        end_the_session(&d);
        g_assert_true(additions_folder_remove(d.caller->additions, 3));
    }
    struct folder_thread *t = folder_thread_new(d.outside, false, false, &pair[1]);
    g_assert_true(additions_folder_add(d.caller->additions, 3, "other", false, pair[1]));
    g_assert_cmpuint(status(&d, with_name(HGFS_GET_ATTR, 16, NAME("other\0secret"))), ==, HGFS_OK);
    g_assert_true(additions_folder_remove(d.caller->additions, 3));
    folder_thread_free(t);
    desk_end(&d);
}

/* Straight to the process: more than there is room for. */
static void many_handles(void)
{
    struct desk d;
    struct rlimit l;
    desk_begin(&d, false);
    getrlimit(RLIMIT_NOFILE, &l);
    l.rlim_cur = MIN(l.rlim_max, FOLDER_HANDLES_MOST + 200);
    setrlimit(RLIMIT_NOFILE, &l);
    struct folder f = {.root = open(d.inside, O_PATH | O_DIRECTORY)};
    g_autofree uint8_t *answer = g_malloc(FOLDER_ANSWER_MOST);
    struct folder_wish w = {.op = FOLDER_OPEN, .owner = 5, .path_bytes = 4};
    uint8_t packet[sizeof w + 4];
    unsigned good = 0;
    folder_handles_init(&f);
    memcpy(packet, &w, sizeof w);
    memcpy(packet + sizeof w, "file", 4);
    for (unsigned i = 0; i < 3 * FOLDER_HANDLES_MOST; i++) {
        struct folder_answer a;
        g_assert_cmpuint(folder_do(&f, packet, sizeof packet, answer), ==, sizeof a);
        memcpy(&a, answer, sizeof a);
        g_assert_true(!a.error || a.error == EMFILE);
        good += !a.error;
    }
    g_assert_cmpuint(good, ==, f.used);
    g_assert_cmpuint(good, <=, FOLDER_HANDLES_MOST);
    g_assert_cmpuint(good, >, 100);
    folder_handles_end(&f, 5);
    g_assert_cmpuint(f.used, ==, 0);
    folder_handles_free(&f);
    close(f.root);
    desk_end(&d);
}

/* ---- answers that come later, or never ---- */

static void later(void)
{
    struct desk d;
    desk_begin(&d, false);
    int pair[2];
    g_assert_cmpint(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair), ==, 0);
    g_assert_true(additions_folder_add(d.caller->additions, 3, "slow", false, pair[1]));
    GByteArray *b = with_name(HGFS_GET_ATTR, 16, NAME("slow"));
    hgfs_end(b);
    g_assert_true(caller_send(d.caller, d.channel, b->data, b->len, true) & CALLER_SUCCESS);
    for (unsigned i = 0; i < 5; i++) { /* it waits, and may ask again and again */
        g_assert_true(caller_message(d.caller, d.channel, 3, 0) & CALLER_WAITS);
        g_assert_cmphex(caller_message(d.caller, d.channel, 4, 1), ==, 0x10);
    }
    struct folder_wish w;
    g_assert_cmpint(read(pair[0], &w, sizeof w), ==, sizeof w);
    const struct folder_answer stray = {.serial = w.serial + 1}, right = {.serial = w.serial, .error = ENOTDIR};
    g_assert_cmpint(write(pair[0], &stray, sizeof stray), ==, sizeof stray); /* of a question that is over: dropped */
    g_assert_cmpint(write(pair[0], &right, sizeof right), ==, sizeof right);
    GBytes *answer = caller_receive(d.caller, d.channel, true);
    g_assert_nonnull(answer);
    g_bytes_unref(answer);
    g_assert_true(caller_send(d.caller, d.channel, b->data, b->len, true) & CALLER_SUCCESS);
    g_assert_true(additions_folder_remove(d.caller->additions, 3)); /* in the middle of a question */
    answer = caller_receive(d.caller, d.channel, true);
    g_assert_nonnull(answer);
    g_bytes_unref(answer);
    g_byte_array_unref(b);
    close(pair[0]);
    desk_end(&d);
}

/* A state is saved with an answer in it, or with a failure, never with a question. */
static void saved(void)
{
    struct desk d;
    desk_begin(&d, false);
    int pair[2];
    g_assert_cmpint(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair), ==, 0);
    g_assert_true(additions_folder_add(d.caller->additions, 3, "slow", false, pair[1]));
    GByteArray *b = with_name(HGFS_GET_ATTR, 16, NAME("slow"));
    hgfs_end(b);
    g_assert_true(caller_send(d.caller, d.channel, b->data, b->len, true) & CALLER_SUCCESS);
    close(pair[0]); /* its process dies */
    struct caller *other = caller_new("", true);
    memcpy(other->cookie, d.caller->cookie, sizeof other->cookie);
    g_test_expect_message(NULL, G_LOG_LEVEL_WARNING, "*its process has gone*");
    caller_save_load(d.caller, other);
    g_test_assert_expected_messages();
    GBytes *answer = caller_receive(other, d.channel, true);
    g_assert_nonnull(answer);
    g_bytes_unref(answer);
    g_byte_array_unref(b);
    caller_free(other);
    desk_end(&d);
}

/* Whoever runs on after a snapshot has lost nothing. */
static void saved_beside(void)
{
    struct desk d;
    desk_begin(&d, false);
    int pair[2];
    g_assert_cmpint(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair), ==, 0);
    g_assert_true(additions_folder_add(d.caller->additions, 3, "slow", false, pair[1]));
    GByteArray *b = with_name(HGFS_GET_ATTR, 16, NAME("slow"));
    hgfs_end(b);
    g_assert_true(caller_send(d.caller, d.channel, b->data, b->len, true) & CALLER_SUCCESS);
    struct caller *other = caller_new("", true);
    g_test_expect_message(NULL, G_LOG_LEVEL_MESSAGE, "*has no answer while it is saved*");
    caller_save_load(d.caller, other);
    g_test_assert_expected_messages();
    g_autoptr(GBytes) failure = caller_receive(other, d.channel, true);
    g_assert_cmpmem(g_bytes_get_data(failure, NULL), g_bytes_get_size(failure), "0 ", 2);
    struct folder_wish w;
    g_assert_cmpint(read(pair[0], &w, sizeof w), ==, sizeof w);
    const struct folder_answer right = {.serial = w.serial, .error = ENOTDIR};
    g_assert_cmpint(write(pair[0], &right, sizeof right), ==, sizeof right);
    g_autoptr(GBytes) answer = caller_receive(d.caller, d.channel, true);
    g_assert_cmpuint(g_bytes_get_size(answer), >, 2);
    g_assert_cmpmem(g_bytes_get_data(answer, NULL), 2, "1 ", 2);
    g_byte_array_unref(b);
    close(pair[0]);
    caller_free(other);
    desk_end(&d);
}

/* ---- names that change while they are walked ---- */

struct race {
    const char *inside;
    gint stop;
};

/* "dir" is a folder, then a link out of there, then again a folder: each time by one rename. */
static gpointer swap(gpointer data)
{
    struct race *r = data;
    g_autofree char *dir = g_build_filename(r->inside, "dir", NULL), *link = g_build_filename(r->inside, "link", NULL);
    while (!g_atomic_int_get(&r->stop))
        g_assert_cmpint(renameat2(AT_FDCWD, dir, AT_FDCWD, link, RENAME_EXCHANGE), ==, 0);
    return NULL;
}

static void look_for_secret(struct folder *f, uint8_t *answer, const char *name, unsigned how)
{
    struct folder_wish w = {.op = FOLDER_OPEN, .path_bytes = strlen(name), .how = how, .mode = 0600};
    struct folder_wish then = {.op = FOLDER_READ, .count = 100};
    uint8_t packet[sizeof w + 64];
    struct folder_answer a;
    w.access = how == FOLDER_OLD ? FOLDER_READS : FOLDER_WRITES;
    memcpy(packet, &w, sizeof w);
    memcpy(packet + sizeof w, name, w.path_bytes);
    g_assert_cmpuint(folder_do(f, packet, sizeof w + w.path_bytes, answer), >, 0);
    memcpy(&a, answer, sizeof a);
    if (a.error)
        return;
    then.handle = a.handle;
    memcpy(packet, &then, sizeof then);
    size_t n = folder_do(f, packet, sizeof then, answer);
    g_assert_true(how != FOLDER_OLD || (n == sizeof a + 5 && !memcmp(answer + sizeof a, "mine!", 5)));
    folder_handles_end(f, 0);
}

static void races(void)
{
    struct desk d;
    desk_begin(&d, false);
    g_autofree char *dir = g_build_filename(d.inside, "dir", NULL), *link = g_build_filename(d.inside, "link", NULL);
    g_assert_cmpint(g_mkdir(dir, 0700) | symlink("../out", link), ==, 0);
    put(dir, "secret", "mine!");
    struct race r = {.inside = d.inside};
    struct folder f = {.root = open(d.inside, O_PATH | O_DIRECTORY), .links = LINKS_CREATE};
    g_autofree uint8_t *answer = g_malloc(FOLDER_ANSWER_MOST);
    folder_handles_init(&f);
    GThread *t = g_thread_new("swap", swap, &r);
    for (unsigned i = 0; i < TRIES; i++) {
        look_for_secret(&f, answer, "dir/secret", FOLDER_OLD);
        look_for_secret(&f, answer, "link/secret", FOLDER_OLD);
        look_for_secret(&f, answer, "dir/new", FOLDER_ANY_EMPTY);
    }
    g_atomic_int_set(&r.stop, 1);
    g_thread_join(t);
    folder_handles_free(&f);
    close(f.root);
    g_autofree char *new = g_build_filename(d.outside, "new", NULL);
    g_assert_false(g_file_test(new, G_FILE_TEST_EXISTS));
    desk_end(&d);
}

int main(int argc, char **argv)
{
    signal(SIGPIPE, SIG_IGN);
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/folders/paths", paths);
    g_test_add_func("/folders/names", names);
    g_test_add_func("/folders/packets", packets);
    g_test_add_func("/folders/packet-end", packet_end);
    g_test_add_func("/folders/hidden", hidden);
    g_test_add_func("/folders/read-only", read_only);
    g_test_add_func("/folders/roots", roots);
    g_test_add_func("/folders/sessions", sessions);
    g_test_add_func("/folders/many-sessions", many_sessions);
    g_test_add_func("/folders/dead-lines", dead_lines);
    g_test_add_func("/folders/many-handles", many_handles);
    g_test_add_func("/folders/later", later);
    g_test_add_func("/folders/saved", saved);
    g_test_add_func("/folders/saved/beside", saved_beside);
    g_test_add_func("/folders/races", races);
    return g_test_run();
}
