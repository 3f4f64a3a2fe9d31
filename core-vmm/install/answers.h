// SPDX-License-Identifier: GPL-2.0-or-later
/* answers.h - the files of answers for one installer each: inside of core-vmm/install. */
#pragma once
#include "core-vmm/install/medium.h"

/* Each adds its files to the list.  u is complete and checked. */
typedef bool (*answers_fn)(const struct unattended *u, const struct medium *m, GPtrArray *files, GError **error);
bool answers_debian(const struct unattended *u, const struct medium *m, GPtrArray *files, GError **error);
bool answers_ubuntu(const struct unattended *u, const struct medium *m, GPtrArray *files, GError **error);
bool answers_fedora(const struct unattended *u, const struct medium *m, GPtrArray *files, GError **error);
bool answers_windows(const struct unattended *u, const struct medium *m, GPtrArray *files, GError **error);
void answers_add(GPtrArray *files, const char *name, char *text); /* takes text */

/* The label by which an installer finds the medium with its answers. */
const char *answers_label(enum unattended_kind kind);
/* What the installer's kernel is told when it is booted directly; g_free; NULL: it need not be booted so. */
char *answers_cmdline(const struct unattended *u, const struct medium *m);

/* SHA-512 as crypt(3) writes it; g_free. */
char *answers_hash(const char *password, GError **error);
/* A keyboard's layout and variant: "us(intl)" is "us" and "intl"; g_free both. */
void answers_keyboard(const char *keyboard, char **layout, char **variant);

/* ---- windows_names.c: what Windows calls things; NULL: it has no name for it ---- */
const char *windows_time_zone(const char *zone);    /* "Europe/Berlin" -> "W. Europe Standard Time" */
const char *windows_keyboard(const char *keyboard); /* "de" -> "0407:00000407" */
char *windows_locale(const char *locale);           /* "de_DE.UTF-8" -> "de-DE"; g_free */
