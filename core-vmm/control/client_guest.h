// SPDX-License-Identifier: GPL-2.0-or-later
/* client_guest.h - programs and files in a guest, by open-vm-tools' service (VMware's VIX): as a user of the guest, whose password the
 * guest's own PAM checks.  The guest may answer what it likes; what it says is bounded, and text is to be shown with care. */
#pragma once
#include "core-vmm/control/client.h"
#include <stdint.h>

struct guest_login {
    const char *user, *password;
};
struct guest;
/* By a whole name or unique prefix; the login is copied. */
struct guest *guest_connect(const char *machine, const struct guest_login *login, GError **error);
void guest_free(struct guest *g); /* the password is wiped; NULL is fine */

/* The shell's words, by /bin/sh; its number in *pid. */
bool guest_start(struct guest *g, const char *words, int64_t *pid, GError **error);
/* Has it ended, and how? */
bool guest_ended(struct guest *g, int64_t pid, bool *ended, int *code, GError **error);

/* What a path of the guest is; a link is not followed. */
enum guest_kind { GUEST_FILE, GUEST_FOLDER, GUEST_LINK };
struct guest_attr {
    uint32_t kind;
    uint64_t bytes;
    unsigned mode; /* 0777 at most */
};
bool guest_file_look(struct guest *g, const char *path, struct guest_attr *attr, GError **error);

/* A file of the guest by its whole path. */
bool guest_file_open(struct guest *g, const char *path, uint32_t *handle, GError **error);
/* To write it; it must not be there yet. */
bool guest_file_make(struct guest *g, const char *path, unsigned mode, uint32_t *handle, GError **error);
/* Up to GUEST_PIECE bytes; *n 0: the end. */
bool guest_file_read(struct guest *g, uint32_t handle, uint64_t offset, uint8_t *data, size_t *n, GError **error);
bool guest_file_write(struct guest *g, uint32_t handle, uint64_t offset, const uint8_t *data, size_t n, GError **error);
bool guest_file_close(struct guest *g, uint32_t handle, GError **error);
bool guest_file_remove(struct guest *g, const char *path, GError **error);
/* As rename() of a guest that has it: what is at `to` goes in the same moment. */
bool guest_file_rename(struct guest *g, const char *from, const char *to, GError **error);
#define GUEST_PIECE 24576
