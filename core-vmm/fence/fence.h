// SPDX-License-Identifier: GPL-2.0-or-later
/* fence.h - how a process of ours gives up, for good, what it does not need: files (Landlock), system calls (seccomp) and
 * root's capabilities.  For the VM process, the processes around it, and every child that looks into a disk image.
 *
 * Both fences belong to threads and are inherited by the threads that those make.  So: close them while there is one
 * thread, and before the first byte is looked at that somebody else may have written; fence_holds() then asks the kernel.
 * A kernel without Landlock or seccomp gets a line in the log, not an error. */
#pragma once
#include <glib.h>
#include <stdbool.h>
#include <sys/types.h>

/* ---- fence_files.c: which files may still be opened ---- */
enum fence_access {
    FENCE_LIST = 1,   /* names in a folder, and below it */
    FENCE_READ = 2,   /* in a folder: everything below it */
    FENCE_WRITE = 4,  /* also cut it short */
    FENCE_DEVICE = 8, /* commands to a device: the size of a host disk, KVM */
    FENCE_MAKE = 16,  /* in a folder and below it: new regular files, renaming, removing */
    FENCE_MEET = 32,  /* the same: sockets, and folders for them */
    FENCE_RUN = 64,   /* become that program, or what is in the folder */
    FENCE_TREE = 128, /* in a folder and below it: new folders and links, removing folders */
};
struct fence_files;
struct fence_files *fence_files_new(void);
struct fence_files *fence_files_new_online(void); /* the network stays, for a process whose job that is */
void fence_files_free(struct fence_files *f);
/* What is not there gets no rule; of a path that is a link, what it leads to. */
void fence_allow(struct fence_files *f, const char *path, unsigned access);
/* A regular file or a device; a folder of that name gets no rule: everything below it would be meant. */
void fence_allow_file(struct fence_files *f, const char *path, unsigned access);
void fence_allow_fd(struct fence_files *f, int fd, unsigned access); /* what is open already, by its descriptor */
/* What whoever looks at an image may read, which names others by their path: all but the system's own (/proc, /sys, /run),
 * devices that are no disks, and what is hidden in people's homes (.ssh, .config), except caches and our own data. */
void fence_allow_images(struct fence_files *f);
/* An image, and what it may have its data in: other regular files in its folder, of any name, for what that is only the
 * image knows; but neither hidden ones nor a machine's own. */
void fence_allow_beside(struct fence_files *f, const char *path, unsigned access);
/* From here on only that; and signals, abstract sockets and TCP only within the fence, where the kernel can (ABI 4, 6).
 * Root loses its capabilities, but for reaching other users' files if a rule names one.  Frees f, also on failure. */
bool fence_files_close(struct fence_files *f, GError **error);

/* ---- fence_calls.c: which system calls may still be made; all others fail with EPERM ---- */
enum fence_kind {
    FENCE_START,       /* the VM process and its children, from its first instruction: vm/starter.c */
    FENCE_VM,          /* the VM process, all threads, from before it looks at anything */
    FENCE_LOOP,        /* its loop thread, once the machine runs */
    FENCE_VCPU,        /* threads of virtual CPUs */
    FENCE_WORKER,      /* threads that read and write disk images */
    FENCE_LOOK,        /* a child that says which files an image consists of */
    FENCE_TOOL,        /* a child that works with disk images: vmctl disk */
    FENCE_NET,         /* the network process around a VM: network-modes/ */
    FENCE_VNC,         /* its VNC server: gui/vnc/ */
    FENCE_SOUND,       /* its sound process, which talks to the host's sound server: core-vmm/sound/ */
    FENCE_SOUND_FILES, /* the same if sound comes from and goes to files that are open */
    FENCE_FOLDER,      /* the process of a shared folder: guest-additions/folders/ */
    FENCE_KINDS
};
/* The filters of the kinds that threads take on later, made ahead: a fenced thread has no use for the compiler of them. */
struct fence_filters;
struct fence_filters *fence_filters_new(GError **error);
void fence_filters_free(struct fence_filters *f);
/* Instructions of the kernel's filter machine (struct sock_filter); what stands above depends on this process' number. */
GBytes *fence_calls_program(enum fence_kind kind, GError **error);
/* All threads of the process. */
bool fence_calls_close(enum fence_kind kind, GError **error);
/* The calling thread, in addition to what holds already; once per thread, more often does nothing. */
bool fence_thread(const struct fence_filters *f, enum fence_kind kind, GError **error);

/* ---- fence_check.c ---- */
/* Does every thread of this process have no_new_privs and a filter?  False: a sentence that names one. */
bool fence_holds(GError **error);
bool fence_alone(GError **error); /* is there one thread only? */

/* ---- fence_run.c: a child that does one thing inside ---- */
struct fence_job {
    enum fence_kind kind;
    struct fence_files *files;        /* taken */
    int (*fn)(void *ctx, int answer); /* in the child; an exit code.  answer: what it writes there, the caller gets */
    void *ctx;
    unsigned seconds; /* after which it is killed; 0: never */
    /* What it writes as it comes, instead of all of it at the end; NULL: at the end. */
    void (*hear)(void *ctx, const char *data, gsize n);
    void *hear_ctx;
    const gint *cancel; /* set by another thread: the child is killed within a moment; NULL: never */
};
/* Forks: from a process with one thread.  *answer may be NULL: then the child gets -1.  The child's exit code; 128 and a
 * signal's number if one ended it; -1: it could not be started, or not be fenced. */
int fence_run(const struct fence_job *job, GBytes **answer, GError **error);
int fence_wait(pid_t pid); /* until it ends; as fence_run() returns it, or -1 */
/* A child's words for people: whoever took it over must not reach their terminal.  g_free. */
char *fence_text(const char *text, gsize n);
