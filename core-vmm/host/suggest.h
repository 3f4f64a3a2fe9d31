// SPDX-License-Identifier: GPL-2.0-or-later
/* suggest.h - "did you mean": the word of a list that a mistyped one was probably meant to be. */
#pragma once

/* candidates is NULL-terminated.  NULL if none is near.  The result is one of candidates. */
const char *suggest(const char *word, const char *const *candidates);
