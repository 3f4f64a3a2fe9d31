// SPDX-License-Identifier: GPL-2.0-or-later
/* player.c - the host's loudspeakers and microphone, by SDL's queues.  A device is open while a stream runs and for some seconds after:
 * a guest that makes no sound costs nothing.  A sound server that is not there, or vanishes, is looked for again and again; in between
 * all goes on without it, and the log says so once. */
#include "core-vmm/sound/sound.h"
#include <SDL.h>

enum { LOOK_MS = 5, AGAIN_MS = 3000, LINGER_MS = 5000, DEVICE_FRAMES = 512, STUCK_MS = 3000 };
#define QUEUED   0.04 /* seconds that SDL has in advance */
#define BYTES(n) ((n)*2 * sizeof(int16_t))

struct side { /* of one direction */
    bool wanted, in;
    SDL_AudioDeviceID device; /* 0: it is not open */
    gint64 again, idle_since; /* ms; when to try to open it; 0: it is not idle */
    gint64 moved;             /* ms: when something last went in or out */
    bool told;                /* the log knows that it is not there */
};
struct player {
    struct sound *sound;
    struct side out, in;
    bool began; /* playing: something has been queued since it was idle */
    guint timer;
};

static gint64 now_ms(void)
{
    return g_get_monotonic_time() / 1000;
}

static const char *name_of(const struct side *d)
{
    return d->in ? "microphone" : "loudspeaker";
}

static void shut(struct side *d)
{
    if (d->device)
        SDL_CloseAudioDevice(d->device);
    d->device = 0;
}

static void gone(struct side *d, const char *why)
{
    shut(d);
    if (!d->told)
        g_warning("the host's %s is not there: %s; it is looked for again", name_of(d), why);
    d->told = true;
    d->again = now_ms() + AGAIN_MS;
}

/* SDL looks for a sound server when its sound begins, not when a device is opened; so that has to begin anew each time. */
static bool begin_sdl(void)
{
    if (!SDL_WasInit(SDL_INIT_AUDIO))
        return !SDL_InitSubSystem(SDL_INIT_AUDIO);
    return true;
}

static void open_device(struct player *p, struct side *d)
{
    const SDL_AudioSpec spec = {.freq = SOUND_RATE, .format = AUDIO_S16SYS, .channels = 2, .samples = DEVICE_FRAMES};
    if (now_ms() < d->again)
        return;
    d->device = begin_sdl() ? SDL_OpenAudioDevice(NULL, d->in, &spec, NULL, 0) : 0;
    if (!d->device) {
        gone(d, SDL_GetError());
        if (!p->out.device && !p->in.device)
            SDL_QuitSubSystem(SDL_INIT_AUDIO);
        return;
    }
    g_message("the host's %s is there, by %s", name_of(d), SDL_GetCurrentAudioDriver());
    d->told = false;
    d->idle_since = 0;
    d->moved = now_ms();
    SDL_PauseAudioDevice(d->device, 0);
}

/* Opens it when it is needed; false: there is none now. */
static bool ready(struct player *p, struct side *d, bool needed)
{
    if (!d->wanted)
        return false;
    if (needed)
        d->idle_since = 0;
    else if (!d->idle_since)
        d->idle_since = now_ms();
    if (!needed && now_ms() - d->idle_since > LINGER_MS)
        shut(d);
    if (needed && !d->device)
        open_device(p, d);
    if (d->device && SDL_GetAudioDeviceStatus(d->device) == SDL_AUDIO_STOPPED)
        gone(d, "it has vanished");
    else if (d->device && now_ms() - d->moved > STUCK_MS)
        gone(d, "nothing moves there any more");
    return d->device;
}

static void play(struct player *p)
{
    float mix[2 * SOUND_CHUNK];
    int16_t frames[2 * SOUND_CHUNK];
    size_t before = SDL_GetQueuedAudioSize(p->out.device), queued = before;
    while (queued < BYTES((size_t)(QUEUED * SOUND_RATE))) {
        size_t n = sound_mix(p->sound, mix, (double)queued / BYTES(SOUND_RATE));
        if (!n)
            break;
        p->sound->under_runs += p->began && !queued;
        p->began = true;
        audio_clip(mix, frames, 2 * n);
        if (SDL_QueueAudio(p->out.device, frames, BYTES(n))) {
            gone(&p->out, SDL_GetError());
            return;
        }
        queued += BYTES(n);
    }
    p->began = p->began && queued;
    if (queued > before || !queued)
        p->out.moved = now_ms();
}

static void record(struct player *p)
{
    int16_t frames[2 * SOUND_CHUNK];
    for (Uint32 n; (n = SDL_DequeueAudio(p->in.device, frames, sizeof frames)) > 0;) {
        sound_recorded(p->sound, frames, n / BYTES(1));
        p->in.moved = now_ms();
    }
}

static gboolean look(gpointer data)
{
    struct player *p = data;
    bool plays = sound_plays(p->sound), records = sound_records(p->sound);
    if (ready(p, &p->out, plays))
        play(p);
    if (ready(p, &p->in, records))
        record(p);
    bool busy = plays || records || p->out.device || p->in.device;
    p->timer = busy ? p->timer : 0;
    return busy;
}

struct player *player_new(struct sound *s, bool out, bool in)
{
    struct player *p = g_new0(struct player, 1);
    *p = (struct player){.sound = s, .out = {.wanted = out}, .in = {.wanted = in, .in = true}};
    return p;
}

void player_look(struct player *p)
{
    if (!p->timer)
        p->timer = g_timeout_add(LOOK_MS, look, p);
}

bool player_there(const struct player *p)
{
    return p->out.device != 0;
}

void player_free(struct player *p)
{
    if (!p)
        return;
    if (p->timer)
        g_source_remove(p->timer);
    shut(&p->out);
    shut(&p->in);
    if (SDL_WasInit(SDL_INIT_AUDIO))
        SDL_QuitSubSystem(SDL_INIT_AUDIO);
    g_free(p);
}
