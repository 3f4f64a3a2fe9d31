// SPDX-License-Identifier: GPL-2.0-or-later
/* vmctl.h - what the verbs share.  One verb is one file; verbs.c has the one table of them. */
#pragma once
#include "core-vmm/control/answer.h"
#include "core-vmm/control/client.h"
#include "core-vmm/host/exit_codes.h"

struct verb {
    const char *name;
    const char *args;                                        /* "NAME [SECTION.KEY=VALUE...]" */
    const char *summary;                                     /* one line */
    const char *examples;                                    /* lines */
    int (*run)(const struct verb *v, int argc, char **argv); /* argv[0] is the verb; an exit code */
};
const struct verb *const *verbs_all(void); /* NULL-terminated, in the order of the help */
const struct verb *verb_find(const char *name);

/* ---- options.c ---- */
/* Parses the options of a verb and checks the number of the other arguments (max -1: any).  false: *code is how to end;
 * everything has been said (help, or what is wrong). */
bool verb_options(const struct verb *v, const GOptionEntry *entries, int *argc, char ***argv, int min, int max,
                  int *code);
enum output { OUTPUT_TABLE, OUTPUT_JSON, OUTPUT_NAME };
/* "table", "json", "name" or NULL (table). */
bool output_parse(const char *text, enum output *out, int *code);

/* ---- say.c: data goes to stdout, all else to stderr ---- */
int fail(int code, const char *format, ...) G_GNUC_PRINTF(2, 3); /* "vmctl: ..." */
int fail_error(const GError *error);                             /* with the exit code that fits it */
void note(const char *format, ...) G_GNUC_PRINTF(1, 2);
/* To stdout; on a terminal control characters are shown, not sent (terminal.h).  For everything that a guest, a VM process
 * or a file's name could have put there. */
void print(const char *format, ...) G_GNUC_PRINTF(1, 2);
gsize print_bytes(const char *data, gsize n); /* how many were taken; fewer: stdout has an error */
void print_json(JsonObject *o);               /* takes it; adds "schema": 1 */
/* For main(): whoever ends the process, what it printed is written or it ends with an error. */
void say_at_exit(void);

/* ---- machines.c ---- */
/* The machine that an exact name or unique prefix means; NULL: *code, all said. */
char *machine_resolve(const char *given, int *code);
char *machine_folder_of(const char *name);
/* Waits so long until the process has gone: then the next start finds everything closed. */
bool machine_gone(const char *name, gint64 us);
/* A connection to a running machine; NULL: *code, all said. */
struct client *machine_connect(const char *given, char **name, int *code);
/* One command without interesting answer, to the machine of argv[1]; for the verbs that are no more than that. */
int machine_command(const char *given, const char *command, JsonObject *args);
/* Calls with the usual patience and says what went wrong; NULL: *code. */
JsonObject *machine_call(struct client *c, const char *command, JsonObject *args, int *code);
int print_text(JsonObject *answer); /* its member "text", or what is wrong with it; takes the answer */

/* last_resort.c: ends the VM process by signals, whatever it says itself; why: what is the matter.  An exit code. */
int machine_kill(const char *name, const char *why);

/* ---- spawn.c ---- */
char *program_find(const char *name); /* beside vmctl, in the build tree, libexec or PATH; NULL */
struct spawned {
    GPid pid;
    int ready; /* read end: see vm/main.c; -1 after spawn_wait_ready() */
};
enum { SPAWN_DETACHED = 1, SPAWN_TERMINAL = 2 /* inherits stdio and ends with us */ };
bool spawn_vm(const char *folder, unsigned flags, char **extra, struct spawned *s, GError **error);
#define SPAWN_SECONDS 60.0 /* a start's usual patience */
/* 0, or an exit code with the reason (g_free).  A process that is not ready by then is killed; the caller reaps it. */
int spawn_wait_ready(struct spawned *s, double seconds, char **message);
/* Opens a machine's window; 0 if it cannot.  stays: it outlives us, and was asked for, so say also if there is no display. */
GPid spawn_window(const char *name, bool stays);

/* ---- settings.c: options that make a machine.ini, for create and run ---- */
struct settings {
    char *memory, *engine, *kernel, *initrd, *cmdline, *firmware, *boot, *on_reset, *disk_format;
    char **disks, **cdroms, **floppies, **serials, **sets;
    char *cpus;
    gboolean boot_menu, debug_exit, testdev, no_video;
};
GOptionEntry *settings_entries(struct settings *s, const GOptionEntry *more); /* more may be NULL; g_free */
void settings_clear(struct settings *s);
/* New settings into file; paths become absolute.  folder: where a disk given as a size is to be made; NULL: not allowed. */
bool settings_apply(const struct settings *s, GKeyFile *file, const char *folder, GError **error);
bool settings_set(GKeyFile *file, const char *path, const char *assignment, GError **error); /* "section.key=value" */
bool settings_write(GKeyFile *file, const char *path, GError **error);
