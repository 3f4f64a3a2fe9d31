// SPDX-License-Identifier: GPL-2.0-or-later
/* machine_sound.c - see machine_sound.h.  The process may open no files of the user's itself: WAV files are opened here, and where
 * they are among its descriptors stands in its settings. */
#include "core-vmm/host/machine_sound.h"
#include "core-vmm/api/config.h"
#include "core-vmm/host/config_schema.h"
#include "core-vmm/host/machines.h"
#include "core-vmm/host/paths.h"
#include "core-vmm/outer/end_settings.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum { AGAIN_MS = 1000, FIRST = OUTER_SOCKET + 1 };

static char *side_of(GKeyFile *file, const char *ini, const char *key)
{
    const struct config c = {file, ini, "audio"};
    return config_string(&c, key);
}

bool machine_sound_wanted(GKeyFile *file, const char *ini)
{
    if (!g_key_file_has_group(file, "audio"))
        return false;
    g_autofree char *out = side_of(file, ini, "out"), *in = side_of(file, ini, "in");
    return strcmp(out, "none") || strcmp(in, "none");
}

static bool is_regular(int fd)
{
    struct stat st;
    return !fstat(fd, &st) && S_ISREG(st.st_mode);
}

/* Nothing is lost, or what was recorded before: not the file that somebody named by mistake. */
static bool may_begin_anew(int fd)
{
    struct stat st;
    char head[12];
    return !fstat(fd, &st) && (!st.st_size || (pread(fd, head, sizeof head, 0) == sizeof head &&
                                               !memcmp(head, "RIFF", 4) && !memcmp(head + 8, "WAVE", 4)));
}

/* An open file; else why not.  What does not come from the system is the file's own. */
static bool is_fit(int fd, bool out, const char **why)
{
    if (fd >= 0 && !is_regular(fd)) {
        *why = "this is no regular file";
        return false;
    }
    if (fd >= 0 && out && !may_begin_anew(fd)) {
        *why = "this is something else than a WAV file, and would be overwritten; name another, or delete it";
        return false;
    }
    *why = NULL;
    return fd >= 0 && (!out || !ftruncate(fd, 0));
}

/* Where sound goes, or comes from: a word, or a file that is opened. */
static bool open_side(struct machine_sound *m, GKeyFile *settings, const struct config *c, const char *key,
                      GError **error)
{
    g_autofree char *value = config_string(c, key), *path = NULL;
    bool out = !strcmp(key, "out");
    if (!schema_is_path(schema_find("audio", key, NULL), value)) {
        g_key_file_set_string(settings, "sound", key, value);
        return true;
    }
    path = config_path(c, key);
    int flags = O_CLOEXEC | O_NOCTTY | O_NONBLOCK | (out ? O_RDWR | O_CREAT : O_RDONLY), fd = open(path, flags, 0600);
    const char *why;
    if (!is_fit(fd, out, &why)) {
        int e = errno;
        g_set_error(error, G_IO_ERROR, why ? G_IO_ERROR_NOT_REGULAR_FILE : g_io_error_from_errno(e),
                    "[audio] %s = %s: %s", key, path, why ? why : g_strerror(e));
        if (fd >= 0)
            close(fd);
        return false;
    }
    g_key_file_set_string(settings, "sound", key, "file");
    g_key_file_set_integer(settings, "descriptors", key, FIRST + (int)m->count);
    m->fd[m->count++] = fd;
    return true;
}

static bool open_all(struct machine_sound *m, const struct config *c, const char *folder, GError **error)
{
    g_autoptr(GKeyFile) settings = g_key_file_new();
    g_autofree char *log = g_build_filename(folder, "logs", "sound.log", NULL);
    m->fd[0] = -1; /* the settings, which come last */
    m->fd[1] = log_begin(log, error);
    m->count = 2;
    if (m->fd[1] < 0 || !open_side(m, settings, c, "out", error) || !open_side(m, settings, c, "in", error))
        return false;
    m->fd[0] = end_settings_new(settings, error);
    return m->fd[0] >= 0;
}

bool machine_sound_prepare(struct machine_sound *m, GKeyFile *file, const char *ini, const char *folder, GError **error)
{
    const struct config c = {file, ini, "audio"};
    m->program = program_find("terrarium-audio");
    if (!m->program) {
        g_set_error(
            error, MACHINE_ERROR, MACHINE_ERROR_NO_PROGRAM,
            "terrarium-audio, which the machine's sound needs, is missing: it was looked for beside vmctl and in "
            "PATH; or take [audio] out of machine.ini");
        return false;
    }
    m->argv[0] = m->program;
    if (!open_all(m, &c, folder, error))
        return false;
    m->end = (struct outer_end){"sound", m->argv, SOCK_SEQPACKET, m->fd, m->count, AGAIN_MS};
    return true;
}

void machine_sound_done(struct machine_sound *m)
{
    for (unsigned i = 0; i < m->count; i++)
        if (m->fd[i] >= 0)
            close(m->fd[i]);
    m->count = 0;
    g_clear_pointer(&m->program, g_free);
}
