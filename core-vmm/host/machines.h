// SPDX-License-Identifier: GPL-2.0-or-later
/* machines.h - the machines of this user, and what one does with them: for vmctl, the manager and tests.
 *
 * A machine is a folder (paths.h); there is no daemon to ask.  What files, locks and processes tell is known here.  What a
 * running VM says of itself (paused or not, its engine), and asking it to stop, is core-vmm/control/client_machine.h's.
 *
 * Nothing here prints or ends the process.  An error is one sentence for people; its domain says what is wrong:
 * MACHINE_ERROR a machine, CONFIG_ERROR a setting, DISK_ERROR an image, G_IO_ERROR and G_FILE_ERROR a file of the host.
 * Calls may come from any thread, except those that look into disk images: they fork (see disk_look.h), and say so. */
#pragma once
#include <gio/gio.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define MACHINE_ERROR machine_error_quark()
GQuark machine_error_quark(void);
enum machine_error {
    MACHINE_ERROR_FAILED,      /* what is there is no machine */
    MACHINE_ERROR_NOT_FOUND,   /* no such machine */
    MACHINE_ERROR_AMBIGUOUS,   /* the beginning of several names */
    MACHINE_ERROR_EXISTS,      /* the name is taken */
    MACHINE_ERROR_RUNNING,     /* not while it runs */
    MACHINE_ERROR_NOT_RUNNING, /* only while it runs */
    MACHINE_ERROR_IN_USE,      /* another machine needs a disk image of it */
    MACHINE_ERROR_TIMEOUT,     /* it did not happen in time */
    MACHINE_ERROR_NO_PROGRAM,  /* terrarium-vm is not installed */
    MACHINE_ERROR_REFUSED,     /* the VM process ended before its guest ran; the sentence is its own */
};

/* How a long call tells how far it is, and is ended; may be NULL everywhere. */
struct machine_job {
    void (*progress)(void *ctx, uint64_t done,
                     uint64_t total); /* bytes; from the calling thread, some times a second */
    void *ctx;
    gint cancel; /* set to 1 by any thread: it ends with G_IO_ERROR_CANCELLED, and nothing has changed */
};

/* ---- machines.c: which machines there are ---- */
/* The machine that an exact name or the unique beginning of one means; g_free. */
char *machines_find(const char *given, GError **error);
char *machines_folder(const char *name); /* of throw-away machines too; g_free */
char *machines_ini(const char *name);
enum entry_state { ENTRY_STOPPED, ENTRY_RUNS, ENTRY_DAMAGED /* its machine.ini is no good */, ENTRY_NO_INI };
struct machine_entry {
    char *name;
    enum entry_state state;
    pid_t process;    /* ENTRY_RUNS; -1: not known */
    uint64_t memory;  /* bytes; 0: not known */
    char *why;        /* what is wrong with its machine.ini; NULL: nothing */
    guint64 settings; /* another number when machine.ini is another one */
    bool saved;       /* its next start goes on from a saved state */
};
/* All of them by name, as struct machine_entry; g_ptr_array_unref.  Takes away what killed ones have left. */
GPtrArray *machines_list(GError **error);
struct machine_entry *machines_look(const char *name);   /* machine_entry_free */
struct machine_entry *machines_glance(const char *name); /* the same without reading its machine.ini */
void machine_entry_free(gpointer entry);
void machines_sweep(void); /* what killed creates and deletes have left */
/* Waits so long (microseconds) until the process has gone: then the next start finds everything closed. */
bool machines_wait_gone(const char *name, gint64 us);
/* Keeps a machine that stands still from being started, until what it returns is closed.  By the whole name; -1: an error. */
int machines_hold(const char *name, GError **error);
/* Sets MACHINE_ERROR_NOT_RUNNING; false. */
bool machines_not_running(const char *name, GError **error);

/* ---- machine_settings.c ---- */
struct settings { /* what a new machine is to have; strings NULL: not said */
    char *
        nic; /* the model of a card of mode nat, or "none"; not said: machines_create() gives it one, a throw-away has none */
    char *os, *disk_bus; /* names of os_defaults.h; not said: any system, and what it is given */
    char *memory, *engine, *kernel, *initrd, *cmdline, *firmware, *boot, *on_reset, *disk_format, *cpus;
    char **disks, **cdroms, **floppies, **serials, **sets; /* disks: a file, or a size for a new one; sets: "a.b=c" */
    gboolean boot_menu, debug_exit, testdev, no_video;
    GPtrArray *remarks; /* of char *: what was decided for the user; made by who decides */
    /* What else belongs into a new machine's file and folder; NULL: nothing. */
    bool (*more)(void *ctx, GKeyFile *file, const char *folder, GError **error);
    void *more_ctx;
};
void settings_clear(struct settings *s);
/* Into file; paths become absolute.  folder: where a disk given as a size is made.  Looks into images: forks. */
bool settings_apply(struct settings *s, GKeyFile *file, const char *folder, GError **error);
/* "section.key=value", checked; path: where it is from, for messages. */
bool settings_assign(GKeyFile *file, const char *path, const char *assignment, GError **error);
/* Gives a card a new random address, 52:54:00 and three bytes. */
void settings_new_mac(GKeyFile *file, const char *card);
bool settings_write(GKeyFile *file, const char *path, GError **error);
/* The lock under which machine.ini, and what belongs to it, is read and written anew; close it.  -1: an error. */
int settings_hold(const char *folder, GError **error);
GKeyFile *machines_settings(const char *name, GError **error); /* checked; g_key_file_unref */
enum settings_count { SETTINGS_COUNT_NOW, SETTINGS_COUNT_FROM_NEXT_START };
/* assignments "section.key=value", removals "section" or "section.key"; NULL-terminated, or NULL.  All or nothing; *count
 * says from when on the new settings do.  A running VM has read its file: only what people read counts at once, and what it is told
 * (limits: limits_tell() of control/client_limits.h, which whoever changes them calls). */
bool machines_change(const char *name, char **assignments, char **removals, enum settings_count *count, GError **error);
/* The same for who has to see the settings to say what is to change: `edit` has them alone.  ini: for messages. */
typedef bool (*settings_edit)(void *ctx, GKeyFile *file, const char *ini, GError **error);
bool machines_edit(const char *name, settings_edit edit, void *ctx, GError **error);

/* ---- machine_create.c: a machine appears complete or not at all ---- */
bool machines_create(const char *name, struct settings *s, GError **error); /* looks into images: forks */
/* Not while it runs, nor if another machine, or its own machine.ini, names a file of it by its folder.  Its images must find
 * their parents in it by relative names, as ours do.  Looks into images: forks. */
bool machines_rename(const char *from, const char *to, GError **error);
/* One among the runtime files, for as long as *lock is open; its folder, g_free.  Forks. */
char *machines_create_throwaway(struct settings *s, int *lock, GError **error);
void machines_end_throwaway(const char *folder, int lock);

/* ---- machine_clone.c ---- */
struct machine_clone {
    bool linked; /* new images on top of the source's, which are frozen for that: by a snapshot, if none is given */
    const char *snapshot; /* number or name; NULL: the present */
    bool keep_macs, keep_uuid;
};
/* A new machine with what another one, which stands still, has on its disks; how may be NULL.  remarks: of char *, what the user
 * may not have expected, or NULL.  Works in fenced children: forks. */
bool machines_clone(const char *source, const char *name, const struct machine_clone *how, struct machine_job *job,
                    GPtrArray *remarks, GError **error);

/* ---- machine_move.c ---- */
/* The hard disks of a machine that stands still and has no snapshots go to a folder; the machine stays.  Forks. */
bool machines_move(const char *name, const char *folder, struct machine_job *job, GError **error);

/* ---- machine_delete.c ---- */
/* By the whole name.  keep_disks: all but its disk images goes; *left: some stay, and with them the name is taken.  Looks
 * into images: forks. */
bool machines_delete(const char *name, bool keep_disks, bool *left, GError **error);

/* ---- machine_start.c ---- */
#define MACHINE_START_SECONDS 60.0 /* a start's usual patience */
struct machine_start {
    bool terminal; /* it inherits stdio, and ends with us; else it goes its own way */
    bool unfenced; /* for debugging */
    double seconds;
    const char *vnc;    /* where a VNC server listens this time (base/vnc_listen.h); NULL: as machine.ini says */
    const char *load;   /* a state of `vmctl debug save` to go on from; NULL: none */
    bool disposable;    /* nothing of this run stays; one that is suspended goes on, and stays suspended */
    const char *engine; /* for this run, instead of that in machine.ini; NULL: that */
};
struct machine_run {
    GPid pid;    /* whoever started it reaps it */
    int refusal; /* MACHINE_ERROR_REFUSED: the exit code that the VM process gave, 1 to 255 */
};
/* Returns when the guest runs.  On failure nothing is left of the process. */
bool machines_start(const char *name, const struct machine_start *how, struct machine_run *r, GError **error);
bool machines_start_folder(const char *folder, const struct machine_start *how, struct machine_run *r, GError **error);
/* The same without waiting: done comes from the thread's default main context, where the process is reaped later too.
 * Cancelled, the process is ended. */
void machines_start_async(const char *name, const struct machine_start *how, GCancellable *cancel,
                          GAsyncReadyCallback done, gpointer data);
bool machines_start_finish(GAsyncResult *result, GError **error);
/* ---- machine_disposable.c: images for a run that leaves nothing.  Forks ---- */
struct disposable {
    char *folder; /* with an image for each drive, DRIVE.qcow2; NULL: there is none */
    int lock;
};
bool disposable_new(const char *folder, struct disposable *d, GError **error);
void disposable_forget(struct disposable *d); /* the VM process has them open, or does not need them */

/* A program of ours: beside the one that runs, in the build tree, libexec or PATH; g_free; NULL. */
char *program_find(const char *name);
void program_in_child(gpointer detached); /* for g_spawn_async(): what of us a program must not inherit */

/* ---- machine_saved.c: machines that are suspended; client_suspend() of client_machine.h does that ---- */
struct machine_saved {
    gint64 time;    /* Unix */
    uint64_t bytes; /* of the file */
};
bool saved_look(const char *name, struct machine_saved *out); /* false: it is not */
/* Gives the state up, and what a save that was killed has left of one: the machine's next start is one from the beginning.  By
 * the whole name, and not while it runs. */
bool machines_discard_saved(const char *name, GError **error);
/* A new file in the machine's folder for a state, open and locked; *path: g_free.  It becomes the machine's saved state. */
int saved_new(const char *folder, char **path, GError **error);
bool saved_publish(const char *folder, const char *path, GError **error);

/* ---- machine_kill.c ---- */
/* The last resort: ends the VM process by signals, whatever it says itself.  why: what is the matter with it. */
bool machines_kill(const char *name, const char *why, GError **error);

/* ---- machine_watch.c ---- */
enum machine_change {
    MACHINE_CREATED,
    MACHINE_DELETED,
    MACHINE_CHANGED /* its settings */,
    MACHINE_STARTED,
    MACHINE_ENDED
};
typedef void (*machine_changed)(void *ctx, const char *name, enum machine_change change);
struct machine_watch;
/* From now on, in the thread's default main context.  Throw-away machines are not watched. */
struct machine_watch *machines_watch(machine_changed changed, void *ctx, GError **error);
void machine_watch_free(struct machine_watch *w); /* not from inside of changed */
