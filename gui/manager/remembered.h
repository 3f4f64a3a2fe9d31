// SPDX-License-Identifier: GPL-2.0-or-later
/* remembered.h - how the user left the window: $XDG_CONFIG_HOME/terrarium/manager.ini.  Nothing about machines is in it. */
#pragma once

char *remembered_text(const char *key, const char *otherwise); /* g_free */
char **remembered_texts(const char *key);                      /* NULL: none; g_strfreev */
int remembered_number(const char *key, int low, int high, int otherwise);
/* Errors are of no interest to anybody: then it is not remembered. */
void remember_text(const char *key, const char *value);
void remember_texts(const char *key, const char *const *values, unsigned n);
void remember_number(const char *key, int value);
