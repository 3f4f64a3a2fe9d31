// SPDX-License-Identifier: GPL-2.0-or-later
/* machine.h - one virtual machine as the process around it (main, control, screen) sees it.
 * All calls come from the loop thread unless said otherwise. */
#pragma once
#include "core-vmm/api/config.h"
#include "core-vmm/api/cpu.h"
#include "core-vmm/api/device.h"
#include "core-vmm/api/display.h"
#include "core-vmm/api/drive.h"
#include "core-vmm/api/platform.h"

enum machine_state { MACHINE_STOPPED, MACHINE_RUNNING, MACHINE_PAUSED };
struct machine_event { /* state changes, for control clients */
    enum machine_state state;
    enum machine_end end;
    unsigned code;
    const char *message;
    bool reset; /* the state is the same: the guest was reset */
};

/* file: the parsed machine.ini; folder: where relative paths start and logs go.  ends: struct char_end by the names of
 * serial ports, already open, from which the machine takes what it needs; NULL: it opens them itself. */
struct machine *machine_new(GKeyFile *file, const char *path, const char *folder, GHashTable *ends, GError **error);
void machine_free(struct machine *m);
/* begins is called on every thread that the machine makes, before that thread does anything for the guest (again and
 * again for those that work on disk images).  False: it does nothing, and begins has stopped the machine. */
enum machine_thread { MACHINE_THREAD_VCPU, MACHINE_THREAD_WORKER };
struct thread_hook {
    bool (*begins)(void *ctx, enum machine_thread kind);
    void *ctx;
};
/* Before machine_start(). */
void machine_on_thread(struct machine *m, struct thread_hook hook);
/* What a halted vCPU looks at, on its thread, before it sleeps: where something may come that interrupts the guest.  Between
 * begin and end, on one thread at a time, look is called again and again. */
struct halt_hook {
    void (*begin)(void *ctx);
    void (*look)(void *ctx);
    void (*end)(void *ctx);
    void *ctx;
};
void machine_on_halt(struct machine *m, struct halt_hook hook); /* the last one is not called any more then */
/* Asked by machine_start() when all threads are there, and before the guest's first instruction.  False: the machine does not start. */
struct start_hook {
    bool (*may_run)(void *ctx, GError **error);
    void *ctx;
};
void machine_on_start(struct machine *m, struct start_hook hook); /* before machine_start() */
bool machine_start(struct machine *m, GError **error);
void machine_pause(struct machine *m); /* every vCPU stands when it returns; guest time stands too */
void machine_resume(struct machine *m);
void machine_reset(struct machine *m);
void machine_stop(struct machine *m, enum machine_end why, unsigned code,
                  const char *message); /* any thread; power cut */
/* Saves all of a machine that has not ended into an open, empty file, which is on stable storage on return; the disks
 * are flushed, and what is on them is not saved.  The machine stands still meanwhile, and then goes on as before.
 * goes_on hears how many bytes of the guest's memory are done, of how many, and may end it with an error; watch NULL: nobody. */
struct save_watch {
    bool (*goes_on)(void *ctx, uint64_t done, uint64_t total, GError **error);
    void *ctx;
};
bool machine_save(struct machine *m, int fd, const struct save_watch *watch, GError **error);
/* The same while it runs on: it stands only for a moment, and that is what the file shows; drives that have an image ready
 * (drive_overlay.h) go on with that from then on.  vars: an empty file for what UEFI remembers.  Takes both; one at a time.
 * done hears how it went, from the loop, unless this fails.  goes_on is called from other threads. */
struct live_result {
    int64_t stood_us;
    bool vars;                   /* what UEFI remembered at that moment is in the file for that */
    unsigned rounds, last_pages; /* how often pages that had changed were copied; how many while it stood */
    unsigned held_back;          /* how hard the guest was held back in the end; 0: it was not */
    bool based;                  /* of memory, only what differs from the older states is in the file */
};
typedef void (*live_done)(void *ctx, const struct live_result *r, const GError *error);
bool machine_save_live(struct machine *m, int fd, int vars, const struct save_watch *watch, live_done done, void *ctx,
                       GError **error);
bool machine_saves_live(const struct machine *m); /* one is under way */
/* Older states, which that may build upon, the oldest first, and each upon those before it (state_base.c): they are needed to load it
 * then.  Takes fd; false: they are more than STATE_BASES_MAX (base/state_file.h). */
bool machine_live_older(struct machine *m, int fd);
void machine_live_no_older(struct machine *m); /* none of those */
/* Loads that into a machine built from the same machine.ini, before machine_start(); its disks must be as they were.  older: what
 * it may build upon, in that order.  False: one sentence, and the machine is not to be started. */
bool machine_restore(struct machine *m, int fd, const int *older, unsigned count, GError **error);
bool machine_power_button(struct machine *m, GError **error); /* ACPI: asks the guest to shut down */
enum machine_state machine_state(struct machine *m);
/* What the guest has told of its crashes since the machine was started: how many, and of the last one code and arguments
 * (Windows' "bug check") and perhaps a text. */
struct machine_crash {
    unsigned count;
    uint64_t words[5];
    char *message;
};
void machine_crash_look(struct machine *m, struct machine_crash *out); /* any thread; for machine_crash_clear() */
void machine_crash_clear(struct machine_crash *c);
void machine_on_crash(struct machine *m, void (*fn)(void *ctx, const struct machine_crash *c), void *ctx); /* one */
void machine_on_event(struct machine *m, void (*fn)(void *ctx, const struct machine_event *e), void *ctx);

const char *machine_engine(struct machine *m);                               /* "kvm", "soft", "interp" */
const char *machine_engine_reason(struct machine *m);                        /* why auto chose it */
bool machine_engine_memory(struct machine *m, struct cpu_memory *out);       /* false: this engine does not tell */
bool machine_engine_counters(struct machine *m, cpu_count_fn fn, void *ctx); /* false: it counts nothing */
/* The code that the engine made for a CPU and that ran most, for people; pauses the machine for a moment. */
char *machine_engine_code(struct machine *m, unsigned cpu, unsigned most, GError **error);
unsigned machine_cpus(struct machine *m);
uint64_t machine_memory(struct machine *m);      /* guest RAM in bytes */
uint64_t machine_memory_used(struct machine *m); /* what of it, and of devices' memory, the host has given */
/* balloon.c: the device by which the guest gives memory back; false: there is none.  refresh: newer statistics are asked for. */
struct balloon_state;
bool machine_balloon_look(struct machine *m, bool refresh, struct balloon_state *out);
bool machine_balloon_ask(struct machine *m, uint64_t bytes);                  /* to be given back in all */
void machine_get_cpu(struct machine *m, unsigned cpu, struct x86_state *out); /* pauses that vCPU for a moment */
/* usb.c: the device of section usbN; false: there is none. */
struct usb_look;
bool machine_usb_look(struct machine *m, unsigned n, struct usb_look *out);
/* A device by its name on the board, or NULL. */
struct device *machine_device(struct machine *m, const char *name);
/* Plugs the PCI function of that section of machine.ini ("testpci1") into the running machine, and tells the guest.  settings:
 * a file that has been found good, whose section of that name counts instead; NULL: none. */
bool machine_plug(struct machine *m, const char *section, GKeyFile *settings, GError **error);
/* Asks the guest to let go of it: it goes when the guest has, then machine_device() is NULL.  Or takes it away at once. */
bool machine_ask_unplug(struct machine *m, const char *section, GError **error);
bool machine_unplug(struct machine *m, const char *section, GError **error);
/* fn after each machine_plug(), for far ends that its device may have; one listener, NULL: none any more. */
void machine_on_plug(struct machine *m, void (*fn)(void *ctx, const char *section), void *ctx);
struct display *machine_display(struct machine *m, unsigned n); /* the n-th picture; NULL: there is none */
struct drive *machine_drive(struct machine *m,
                            const char *section); /* by its section in machine.ini, e.g. "cdrom1"; NULL */
/* Keyboard and mouse of the user, to whichever device takes them.  Queued; never lost, never blocks. */
void machine_key(struct machine *m, unsigned evdev_code, bool down);
void machine_pointer(struct machine *m, int dx, int dy, int wheel, unsigned buttons);
void machine_pointer_absolute(struct machine *m, uint16_t x, uint16_t y, int wheel, unsigned buttons);
bool machine_takes_absolute(struct machine *m);
unsigned machine_leds(struct machine *m); /* of the keyboard: bit 0 scroll lock, 1 num lock, 2 caps lock */

/* Which engine to use: name is auto, kvm, soft or interp.  reason (g_free) says why in a sentence.  vmctl host-info too. */
const struct cpu_engine *engine_choose(const char *name, char **reason, GError **error);
