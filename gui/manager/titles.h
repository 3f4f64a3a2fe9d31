// SPDX-License-Identifier: GPL-2.0-or-later
/* titles.h - what parts of a machine.ini are called for people.  All results: g_free. */
#pragma once

char *title_of_word(const char *word);       /* a key: "boot-menu": "Boot menu" */
char *title_of_section(const char *section); /* "nic2": "Network Card 2" */
char *title_of_help(const char *help);       /* a sentence that begins large; NULL: an empty one */
