// SPDX-License-Identifier: GPL-2.0-or-later
/* main.c - terrarium-audio: see sound.h.  It is started by a keeper (core-vmm/outer) with
 *
 *   3 the pair with the VM process    4 its settings    5 its log    6... files, by the settings
 *
 * and closes its fence before it hears a byte.  Settings, a key file:
 *
 *   [sound]
 *   machine=NAME  out=auto|none|file  in=auto|none|file
 *   [descriptors]
 *   out=6  in=7 */
#include "core-vmm/fence/fence.h"
#include "core-vmm/outer/end_log.h"
#include "core-vmm/outer/end_settings.h"
#include "core-vmm/outer/outer.h"
#include "core-vmm/sound/sound.h"
#include <glib-unix.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

enum { FD_SETTINGS = OUTER_SOCKET + 1, FD_LOG };

/* What a sound server's library reads and connects to. */
static const struct {
    const char *path;
    unsigned access;
} always[] = {
    {"/usr", FENCE_READ},
    {"/lib", FENCE_READ},
    {"/lib64", FENCE_READ},
    {"/etc", FENCE_READ}, /* where those libraries have their settings */
    {"/proc/self", FENCE_READ},
    {"/proc/asound", FENCE_READ},
    {"/sys/class/sound", FENCE_READ},
    {"/var/lib/dbus/machine-id", FENCE_READ},
    {"/dev/snd", FENCE_READ | FENCE_WRITE | FENCE_DEVICE},
    {"/dev/shm", FENCE_READ | FENCE_WRITE | FENCE_MAKE}, /* samples that are shared with the server */
    {"/dev/urandom", FENCE_READ},
    {"/dev/null", FENCE_READ | FENCE_WRITE},
};

/* In the user's own folders. */
static void allow_own(struct fence_files *f)
{
    static const char *const in_runtime[] = {"pulse", "pipewire-0", "pipewire-0.lock", NULL};
    static const char *const in_config[] = {"pulse", "pipewire", "alsa", NULL};
    for (unsigned i = 0; in_runtime[i]; i++) {
        g_autofree char *path = g_build_filename(g_get_user_runtime_dir(), in_runtime[i], NULL);
        fence_allow(f, path, FENCE_READ | FENCE_WRITE);
    }
    for (unsigned i = 0; in_config[i]; i++) {
        g_autofree char *path = g_build_filename(g_get_user_config_dir(), in_config[i], NULL);
        fence_allow(f, path, FENCE_READ);
    }
    g_autofree char *asoundrc = g_build_filename(g_get_home_dir(), ".asoundrc", NULL);
    fence_allow_file(f, asoundrc, FENCE_READ);
}

/* SDL's driver "disk" writes what is played to a file, or reads what is recorded from one; for tests. */
static void allow_disk_driver(struct fence_files *f)
{
    static const char *const names[] = {"SDL_DISKAUDIOFILE", "SDL_DISKAUDIOFILEIN"};
    for (unsigned i = 0; i < G_N_ELEMENTS(names) && !g_strcmp0(g_getenv("SDL_AUDIODRIVER"), "disk"); i++)
        if (g_getenv(names[i]))
            fence_allow_file(f, g_getenv(names[i]), FENCE_READ | FENCE_WRITE);
}

static bool fence(const struct sound *s, GError **error)
{
    struct fence_files *f = fence_files_new();
    for (unsigned i = 0; s->player && i < G_N_ELEMENTS(always); i++)
        fence_allow(f, always[i].path, always[i].access);
    if (s->player) {
        allow_own(f);
        allow_disk_driver(f);
    }
    return fence_alone(error) && fence_files_close(f, error) &&
           fence_calls_close(s->player ? FENCE_SOUND : FENCE_SOUND_FILES, error);
}

static int descriptor(GKeyFile *settings, const char *name)
{
    return g_key_file_get_integer(settings, "descriptors", name, NULL);
}

static bool read_settings(struct sound *s, GKeyFile *settings, GError **error)
{
    g_autofree char *out = g_key_file_get_string(settings, "sound", "out", NULL),
                    *in = g_key_file_get_string(settings, "sound", "in", NULL);
    bool plays = !g_strcmp0(out, "auto"), records = !g_strcmp0(in, "auto");
    if (!g_strcmp0(out, "file") && !(s->wav_out = wav_out_new(descriptor(settings, "out"), error)))
        return false;
    if (!g_strcmp0(in, "file")) {
        s->wav_in = g_new0(struct wav_in, 1);
        if (!wav_in_open(s->wav_in, descriptor(settings, "in"), error))
            return false;
    }
    s->player = plays || records ? player_new(s, plays, records) : NULL;
    return true;
}

static gboolean on_packet(int fd, GIOCondition condition, gpointer data)
{
    struct sound *s = data;
    bool there = sound_receive(s);
    if (!there)
        g_main_loop_quit(s->loop);
    return there;
}

/* What the VM process has said by now is still to be heard. */
static gboolean on_signal(gpointer data)
{
    struct sound *s = data;
    while (sound_waits(s) && sound_receive(s))
        continue;
    g_main_loop_quit(s->loop);
    return G_SOURCE_CONTINUE;
}

static void run(struct sound *s)
{
    s->loop = g_main_loop_new(NULL, FALSE);
    g_unix_signal_add(SIGTERM, on_signal, s);
    g_unix_fd_add(s->wire, G_IO_IN, on_packet, s);
    g_main_loop_run(s->loop);
    g_main_loop_unref(s->loop);
    for (unsigned i = 0; i < AUDIO_WIRE_STREAMS; i++)
        source_stop(s, i);
}

static void clear(struct sound *s)
{
    if (s->counts)
        g_source_remove(s->counts);
    player_free(s->player);
    streams_free(s);
    wav_out_free(s->wav_out);
    g_free(s->wav_in);
}

int main(void)
{
    struct sound s = {.wire = OUTER_SOCKET};
    g_autoptr(GError) error = NULL;
    prctl(PR_SET_NAME, "terrarium-audio");
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); /* a recording that grows too long fails like one on a full disk */
    end_log_start(FD_LOG);
    g_autoptr(GKeyFile) settings = end_settings_read(FD_SETTINGS, &error);
    if (!settings || !read_settings(&s, settings, &error) || !fence(&s, &error)) {
        g_critical("%s", error->message);
        clear(&s);
        return EXIT_FAILURE;
    }
    g_message("the sound process begins, number %d", (int)getpid());
    run(&s);
    clear(&s);
    g_message("it ends with the machine");
    return EXIT_SUCCESS;
}
