// SPDX-License-Identifier: GPL-2.0-or-later
/* state_edit.c - see state_edit.h. */
#include "tests/core-vmm/state_edit.h"
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

void part_free(void *part)
{
    struct part *p = part;
    g_byte_array_unref(p->bytes);
    g_free(p);
}

int state_memfd(const void *data, size_t n)
{
    int fd = memfd_create("state", MFD_CLOEXEC);
    g_assert_cmpint(fd, >=, 0);
    for (size_t done = 0; done < n;) {
        ssize_t k = write(fd, (const char *)data + done, n - done);
        g_assert_cmpint(k, >, 0);
        done += k;
    }
    return fd;
}

GPtrArray *state_parts(int fd)
{
    GPtrArray *parts = g_ptr_array_new_with_free_func(part_free);
    struct state_reader r;
    struct state_section s;
    g_autoptr(GError) error = NULL;
    g_assert_true(state_open(&r, fd, &error));
    while (state_next(&r, &s, &error) && strcmp(s.name, STATE_END)) {
        struct part *p = g_new0(struct part, 1);
        memcpy(p->name, s.name, sizeof p->name);
        p->version = s.version;
        p->bytes = g_byte_array_append(g_byte_array_new(), s.data, s.bytes);
        g_ptr_array_add(parts, p);
    }
    g_assert_no_error(error);
    state_close(&r);
    return parts;
}

struct part *part_find(GPtrArray *parts, const char *name)
{
    for (unsigned i = 0; i < parts->len; i++)
        if (!strcmp(((struct part *)parts->pdata[i])->name, name))
            return parts->pdata[i];
    g_error("the state has no part \"%s\"", name);
}

struct part *part_copy(const struct part *p)
{
    struct part *copy = g_memdup2(p, sizeof *p);
    copy->bytes = g_byte_array_append(g_byte_array_new(), p->bytes->data, p->bytes->len);
    return copy;
}

int state_join(GPtrArray *parts)
{
    int fd = state_memfd("", 0);
    struct state_writer w;
    g_autoptr(GError) error = NULL;
    g_assert_true(state_begin(&w, fd, &error));
    for (unsigned i = 0; i < parts->len; i++) {
        const struct part *p = parts->pdata[i];
        g_assert_true(state_put(&w, p->name, p->version, p->bytes->data, p->bytes->len, &error));
    }
    g_assert_true(state_finish(&w, &error));
    return fd;
}

struct machine *state_machine(const char *more, GError **error)
{
    g_autofree char *ini =
        g_strconcat("[machine]\nmemory=4M\ncpus=2\nengine=interp\n[serial1]\ntarget=none\n[parallel1]\n[ide2]\n"
                    "media=cdrom\n[testpci1]\nmodel=edu\n[testpci2]\nmodel=edu-msix\n[floppy0]\n[debug-port]\ntarget="
                    "none\n[debug-exit]\n[testdev]\n[tpm]\n[video]\nmemory=1M\n",
                    more, NULL);
    g_autoptr(GKeyFile) file = g_key_file_new();
    g_key_file_load_from_data(file, ini, -1, G_KEY_FILE_NONE, NULL);
    return machine_new(file, "machine.ini", g_get_tmp_dir(), NULL, error);
}
