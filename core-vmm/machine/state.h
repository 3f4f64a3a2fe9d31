// SPDX-License-Identifier: GPL-2.0-or-later
/* state.h - what the files that save and load a machine share.  All of it with every vCPU standing and time stopped. */
#pragma once
#include "core-vmm/base/host_cpu.h"
#include "core-vmm/machine/core.h"
#include "core-vmm/machine/device_state.h"
#include "core-vmm/base/state_file.h"

/* ---- state_core.c: the table ---- */
struct state_part { /* a section of the file */
    char name[STATE_NAME_BYTES];
    uint32_t version;
    /* Saves or loads, by the stream's direction.  NULL: the guest's memory, which is as many sections as it takes. */
    bool (*sync)(struct machine *m, const struct state_part *p, struct stream *s, GError **error);
    union {
        struct device *device;
        unsigned cpu;
    };
};
#define STATE_BEFORE_MEMORY 2 /* parts, which say what the state is of, that come before any memory */
/* In the order of the file, which is that of loading. */
GArray *state_table(struct machine *m);

/* ---- state_manifest.c: what it is of, for people and tools ---- */
bool state_sync_manifest(struct machine *m, const struct state_part *p, struct stream *s, GError **error);

/* ---- state_machine.c: which machine it is ---- */
bool state_sync_machine(struct machine *m, const struct state_part *p, struct stream *s, GError **error);
/* The features that the guest's CPUID shows, as the words that are compared; and their names (g_ptr_array_unref): all of
 * words, or those that words has and other lacks. */
char *state_features(struct machine *m);
GPtrArray *state_feature_names(const char *words, const char *other);

/* ---- state_cpu.c ---- */
/* False: *error may be set; else the stream has failed. */
bool state_sync_cpu(struct x86_state *c, const struct host_cpu *h, struct stream *s, GError **error);

/* ---- state_memory.c ---- */
#define STATE_MEMORY_PART    "memory"
#define STATE_MEMORY_VERSION 2
struct memory_area { /* of the memory file */
    char name[STATE_NAME_BYTES];
    uint64_t offset, bytes;
};
#define STATE_RAM "RAM" /* the first area */
GArray *state_areas(struct machine *m);
struct page_store { /* pages of the memory file as they were at a moment */
    uint8_t *data;  /* of the size of the file, by the same offsets; only what is there has memory */
    uint64_t *bits; /* which are there */
    uint64_t pages; /* of the file */
};
static inline bool page_store_has(const struct page_store *s, uint64_t offset)
{
    return s->bits[offset / PAGE / 64] >> offset / PAGE % 64 & 1;
}
/* The threads that pack it. */
struct state_packers {
    GThreadPool *pool;
    GThreadPool *live, *brake; /* one thread each: save_live.c, live_brake.c */
    unsigned threads;
    GMutex lock; /* chunk.done */
    GCond one_done;
};
struct state_packers *state_packers_new(void);
void state_packers_free(struct state_packers *p); /* NULL is fine */
bool state_save_memory(struct machine *m, const struct state_part *p, struct state_writer *w,
                       const struct save_watch *watch, GError **error);
/* Which pages: those that the store has, zero or not; without one those of the machine, that differ from what they are in the base,
 * or are not zero. */
struct page_source {
    const struct page_store *store;
    const struct state_base *base;
};
/* Only these areas.  Any thread, one at a time. */
bool state_save_areas(struct machine *m, const GArray *areas, const struct page_source *from,
                      const struct state_part *p, struct state_writer *w, const struct save_watch *watch,
                      GError **error);
enum { STATE_WINDOW_PAGES = 256, STATE_PLAIN = 0, STATE_ZSTD = 1 }; /* of a chunk; how it is packed */

/* ---- state_base.c: what older states of this machine have of RAM, for one that says only what differs ---- */
#define STATE_BASE_PART    "base"
#define STATE_BASE_VERSION 1
/* Of states of which each builds upon those before it, the first upon none; the descriptors stay the caller's.  NULL: they do not fit
 * together, or not this machine. */
struct state_base *state_base_open(const int *fds, unsigned count, uint64_t ram, GError **error);
void state_base_free(struct state_base *b);                                              /* NULL is fine */
bool state_base_put(const struct state_base *b, struct state_writer *w, GError **error); /* a section of each */
uint64_t state_base_next(const struct state_base *b,
                         uint64_t at); /* the window at or behind it that has pages; UINT64_MAX: none */
/* A window of RAM as they have it, into pages * PAGE bytes; any thread.  False: they are not what they were. */
bool state_base_read(const struct state_base *b, uint64_t at, unsigned pages, uint8_t *to);
/* A section of this kind: is it of that file? */
bool state_base_is(const struct state_section *s, const struct state_identity *file);

/* ---- state_unpack.c ---- */
struct ZSTD_DCtx_s;
struct state_window { /* the head of a chunk */
    char *area;       /* g_free */
    uint64_t offset;  /* in it */
    uint16_t pages;
    uint8_t how, bits[STATE_WINDOW_PAGES / 8]; /* bits: which pages are there */
    unsigned set;                              /* how many */
};
bool state_window_read(struct state_window *w, struct stream *s); /* false: it makes no sense */
/* The pages that are there, behind the head: exactly as many bytes as the bits say.  data: room for a window, used if they are packed;
 * zstd: of one thread, and made once for many. */
bool state_window_unpack(const struct state_window *w, const uint8_t *from, size_t n, uint8_t *data,
                         struct ZSTD_DCtx_s *zstd);
bool state_clear_memory(struct machine *m, GError **error); /* before the first chunk is loaded */
struct state_unpack;
struct state_unpack *state_unpack_new(struct machine *m);
void state_unpack_only_ram(struct state_unpack *u, bool only); /* what is of other areas counts for nothing */
/* One chunk, where it is in a state's file, which stays open: it is unpacked later, as a rule.  False: this one, or one before, is damaged or
 * makes no sense. */
bool state_unpack_put(struct state_unpack *u, int fd, const struct state_extent *where, GError **error);
bool state_unpack_all(struct state_unpack *u, GError **error); /* that were put; false: the same */
void state_unpack_free(struct state_unpack *u);                /* NULL is fine */

/* ---- save.c ---- */
bool save_ended(const struct machine *m); /* there is nothing to save any more */
/* What was asked of the machine is done, what is due has run, and its drives have nothing under way. */
bool save_settle(struct machine *m, GError **error);

/* ---- save_live.c ---- */
void live_work(void *live, void *unused); /* on the packers' thread for that */
void live_brake_work(void *brake, void *unused);
void live_abandon(struct machine *m); /* the machine goes; nobody is told */
