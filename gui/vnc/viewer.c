// SPDX-License-Identifier: GPL-2.0-or-later
/* viewer.c - what one client sees: libvncserver on a thread of the client's own, so that nobody waits for anybody else.
 *
 * Each thread has a screen (rfbScreenInfo) with one client on it.  The screens are made before there are threads, as
 * rfbGetScreen() makes a lock anew that belongs to all of them; they are used again.  What the loop thread has to say is left under
 * a lock, added up, with an eventfd to wake the viewer. */
#include "gui/vnc/vnc.h"
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { DOT = 5, WAIT_MS = 15000, KEYS_ENCODING = -258, LEDS_ENCODING = -261 };

struct box {
    int left, top, right, bottom; /* right == 0: empty */
};
struct viewer {
    struct vnc *vnc;
    unsigned place; /* of its screen */
    rfbScreenInfoPtr screen;
    rfbCursorPtr dot;
    int sock, wake;
    bool gone;
    struct picture *picture;
    GThread *thread;
    GMutex lock; /* of all below */
    struct picture *next;
    struct box damage;
    bool greet, tell_leds;
    unsigned leds;
};

/* ---- screens ---- */

static struct rfbCursor *get_cursor(rfbClientPtr c)
{
    struct viewer *w = c->screen->screenData;
    return w->dot;
}

/* Nothing in the guest listens to that yet. */
static int refuse_size(int width, int height, int count, struct rfbExtDesktopScreen *screens, rfbClientPtr c)
{
    return rfbExtDesktopSize_ResizeProhibited;
}

static rfbBool no_power(rfbClientPtr c, uint8_t version, uint8_t code)
{
    return FALSE; /* gates answer to it */
}

void viewers_init(struct vnc *v)
{
    rfbLogEnable(FALSE);
    for (unsigned i = 0; i < 2 * v->most; i++) { /* those that go have theirs for a moment more */
        rfbScreenInfoPtr s = rfbGetScreen(NULL, NULL, 4, 4, 8, 3, 4);
        s->desktopName = v->name;
        s->cursor = NULL; /* the picture is not to be drawn into */
        s->getCursorPtr = get_cursor;
        s->setDesktopSizeHook = refuse_size;
        s->deferUpdateTime = 0; /* the VM sends so many a second already */
        s->alwaysShared = TRUE;
        s->maxClientWait = WAIT_MS;
        v->screens[i] = s;
    }
}

void viewers_clear(struct vnc *v)
{
    for (unsigned i = 0; i < 2 * v->most; i++)
        if (v->screens[i])
            rfbScreenCleanup(v->screens[i]);
}

/* ---- on its thread ---- */

/* x8r8g8b8, whatever rfbNewFramebuffer() takes it for. */
static void set_format(rfbScreenInfoPtr s, const struct picture *p)
{
    s->paddedWidthInBytes = p->stride;
    s->depth = 24;
    s->serverFormat.depth = 24;
    s->serverFormat.redShift = 16;
    s->serverFormat.greenShift = 8;
    s->serverFormat.blueShift = 0;
}

static void show(struct viewer *w, struct picture *p)
{
    rfbScreenInfoPtr s = w->screen;
    struct _rfbClientRec *c = s->clientHead;
    if (p->width != s->width || p->height != s->height || !c) {
        rfbNewFramebuffer(s, (char *)p->pixels, p->width, p->height, 8, 3, 4);
        set_format(s, p);
        if (c)
            s->setTranslateFunction(c);
    } else {
        s->frameBuffer = (char *)p->pixels;
        set_format(s, p);
        rfbMarkRectAsModified(s, 0, 0, p->width, p->height);
    }
    picture_unref(w->picture);
    w->picture = p;
}

/* A message of one rectangle that says something else than pixels. */
static void say(struct viewer *w, int encoding, const uint8_t *payload, unsigned n)
{
    rfbClientPtr c = w->screen->clientHead;
    uint8_t text[17] = {rfbFramebufferUpdate, 0, 0, 1, 0, 0, 0, 0, 0, 1, 0, 1};
    for (unsigned i = 0; i < 4; i++)
        text[12 + i] = (uint32_t)encoding >> (24 - 8 * i);
    if (n)
        text[16] = *payload;
    if (c && rfbWriteExact(c, (char *)text, 16 + n) < 0)
        rfbCloseClient(c);
}

/* What the loop thread left. */
static void hear(struct viewer *w)
{
    uint64_t count;
    if (read(w->wake, &count, sizeof count) < 0)
        count = 0; /* nobody woke us */
    g_mutex_lock(&w->lock);
    struct picture *next = g_steal_pointer(&w->next);
    struct box d = w->damage;
    bool greet = w->greet, tell = w->tell_leds;
    uint8_t leds = w->leds;
    w->damage = (struct box){0};
    w->greet = w->tell_leds = false;
    g_mutex_unlock(&w->lock);
    if (next)
        show(w, next);
    if (d.right)
        rfbMarkRectAsModified(w->screen, d.left, d.top, d.right, d.bottom);
    if (greet)
        say(w, KEYS_ENCODING, NULL, 0);
    if (tell)
        say(w, LEDS_ENCODING, &leds, 1);
}

static void on_gone(rfbClientPtr c)
{
    struct viewer *w = c->screen->screenData;
    w->gone = true;
}

static gpointer run(gpointer data)
{
    struct viewer *w = data;
    hear(w);
    rfbClientPtr c = rfbNewClient(w->screen, w->sock); /* takes the socket, also if it fails */
    w->gone = !c;
    if (c)
        c->clientGoneHook = on_gone;
    while (!w->gone) {
        struct pollfd p[] = {{w->sock, POLLIN, 0}, {w->wake, POLLIN, 0}};
        poll(p, 2, -1);
        hear(w);
        rfbProcessEvents(w->screen, 0);
    }
    return NULL;
}

/* ---- on the loop thread ---- */

static rfbCursorPtr new_dot(void)
{
    rfbCursorPtr c = rfbMakeXCursor(DOT, DOT, "      xxx  xxx  xxx      ", "xxxxxxxxxxxxxxxxxxxxxxxxx");
    c->xhot = c->yhot = DOT / 2;
    c->backRed = c->backGreen = c->backBlue = 0xffff;
    return c;
}

static bool take_screen(struct viewer *w)
{
    for (w->place = 0; w->place < 2 * w->vnc->most; w->place++)
        if (w->vnc->screens[w->place]) {
            w->screen = g_steal_pointer(&w->vnc->screens[w->place]);
            return true;
        }
    return false;
}

struct viewer *viewer_new(struct vnc *v, int sock, bool power)
{
    struct viewer *w = g_new0(struct viewer, 1);
    *w = (struct viewer){.vnc = v, .sock = sock, .wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
    if (w->wake < 0 || !take_screen(w)) {
        if (w->wake >= 0)
            close(w->wake);
        close(sock);
        g_free(w);
        return NULL;
    }
    g_mutex_init(&w->lock);
    w->dot = new_dot();
    w->screen->screenData = w;
    w->screen->xvpHook = power ? no_power : NULL;
    w->next = picture_ref(v->picture);
    w->thread = g_thread_new("viewer", run, w);
    return w;
}

void viewer_free(struct viewer *w)
{
    if (!w)
        return;
    g_thread_join(w->thread);
    w->vnc->screens[w->place] = w->screen;
    picture_unref(w->picture);
    picture_unref(w->next);
    rfbFreeCursor(w->dot);
    g_mutex_clear(&w->lock);
    close(w->wake);
    g_free(w);
}

static void lock(struct viewer *w)
{
    g_mutex_lock(&w->lock);
}

static void unlock(struct viewer *w)
{
    uint64_t one = 1;
    g_mutex_unlock(&w->lock);
    if (write(w->wake, &one, sizeof one) < 0)
        return; /* it has not looked yet since it was woken very often */
}

void viewer_picture(struct viewer *w, struct picture *p)
{
    lock(w);
    picture_unref(w->next);
    w->next = picture_ref(p);
    w->damage = (struct box){0};
    unlock(w);
}

void viewer_damage(struct viewer *w, int x, int y, int width, int height)
{
    lock(w);
    struct box *d = &w->damage, n = {x, y, x + width, y + height};
    *d = !d->right
             ? n
             : (struct box){MIN(d->left, n.left), MIN(d->top, n.top), MAX(d->right, n.right), MAX(d->bottom, n.bottom)};
    unlock(w);
}

void viewer_leds(struct viewer *w, unsigned leds)
{
    lock(w);
    w->leds = leds;
    w->tell_leds = true;
    unlock(w);
}

void viewer_greet_keys(struct viewer *w)
{
    lock(w);
    w->greet = true;
    unlock(w);
}
