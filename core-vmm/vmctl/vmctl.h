// SPDX-License-Identifier: GPL-2.0-or-later
/* vmctl.h - what the verbs share.  One verb is one file; verbs.c has the one table of them. */
#pragma once
#include "core-vmm/control/answer.h"
#include "core-vmm/control/client_machine.h"
#include "core-vmm/control/client_network.h"
#include "core-vmm/control/client_vnc.h"
#include "core-vmm/exit/exit_codes.h"
#include "core-vmm/host/machines.h"

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
GOptionEntry *entries_join(const GOptionEntry *a, const GOptionEntry *b); /* settings.c; b may be NULL; g_free */
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
void print_json_line(JsonObject *o);          /* the same in one line, for streams */
/* For main(): whoever ends the process, what it printed is written or it ends with an error. */
void say_at_exit(void);

/* ---- progress.c: a bar on a terminal, and Ctrl-C that leaves nothing half-made ---- */
struct progress {
    const char *what;
    bool terminal;
    int shown; /* permille, -1: nothing yet */
};
/* SIGINT and SIGTERM set *cancel from now on, by a thread of their own. */
void progress_start(struct progress *p, const char *what, bool quiet, gint *cancel);
void progress_show(void *progress, uint64_t done, uint64_t total); /* of a job */
void progress_end(struct progress *p);

/* ---- machines.c ---- */
/* The machine that an exact name or unique prefix means; NULL: *code, all said. */
char *machine_resolve(const char *given, int *code);
/* A connection to a running machine; NULL: *code, all said. */
struct client *machine_connect(const char *given, char **name, int *code);
/* One command without interesting answer, to the machine of argv[1]; for the verbs that are no more than that. */
int machine_command(const char *given, const char *command, JsonObject *args);
/* Calls with the usual patience and says what went wrong; NULL: *code. */
JsonObject *machine_call(struct client *c, const char *command, JsonObject *args, int *code);
int print_text(JsonObject *answer); /* its member "text", or what is wrong with it; takes the answer */

/* ---- password.c ---- */
/* Each is g_free's; NULL: *code, all said.  A line that is too long is refused. */
char *password_line(const char *path, int *code); /* a file's first; "-": standard input's next */
char *password_ask(const char *what, int *code);  /* on the terminal, unseen; signals leave it as it was */
/* Of the file, or (NULL) of the terminal; without one, of standard input. */
char *password_read(const char *file, const char *what, int *code);

/* ---- verb_nic.c ---- */
void network_print(JsonObject *list); /* the cards of network_list(), a line each */

/* ---- snapshot_extract.c ---- */
int snapshot_extract(const char *name, const char *which, const char *drive, const char *path,
                     const char *out); /* "-": stdout */

/* ---- snapshot_diff.c ---- */
int snapshot_diff_show(const char *name, const char *a, const char *b, bool files,
                       enum output how); /* b NULL: the present */

/* ---- window.c ---- */
/* Opens a machine's window; 0 if it cannot.  stays: it outlives us, and was asked for, so say also if there is no display. */
GPid window_open(const char *name, bool stays);

/* ---- settings.c: options that say what a machine is to have, for create and run ---- */
GOptionEntry *settings_entries(struct settings *s, const GOptionEntry *more); /* more may be NULL; g_free */
void settings_tell(const struct settings *s);                                 /* its remarks */
