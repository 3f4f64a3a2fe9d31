// SPDX-License-Identifier: GPL-2.0-or-later
/* start_filter.c - runs while Terrarium is built: prints the filter of FENCE_START as a C array, so that the starter
 * needs neither GLib nor libseccomp. */
#include "core-vmm/fence/fence.h"
#include <linux/filter.h>
#include <stdio.h>
#include <stdlib.h>

int main(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GBytes) code = fence_calls_program(FENCE_START, &error);
    gsize n = 0;
    const struct sock_filter *f = code ? g_bytes_get_data(code, &n) : NULL;
    if (!f) {
        g_printerr("the filter of the start: %s\n", error->message);
        return EXIT_FAILURE;
    }
    printf("static const struct sock_filter start_filter[] = {\n");
    for (const struct sock_filter *end = f + n / sizeof *f; f < end; f++)
        printf("    {%#x, %u, %u, %#x},\n", f->code, f->jt, f->jf, f->k);
    printf("};\n");
    return fflush(stdout) ? EXIT_FAILURE : EXIT_SUCCESS;
}
