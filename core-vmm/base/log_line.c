// SPDX-License-Identifier: GPL-2.0-or-later
/* log_line.c - see log_line.h. */
#include "core-vmm/base/log_line.h"
#include <string.h>
#include <time.h>

static const char *level_name(GLogLevelFlags level)
{
    if (level & (G_LOG_LEVEL_ERROR | G_LOG_LEVEL_CRITICAL))
        return "bug";
    return level & G_LOG_LEVEL_WARNING ? "warning" : "info";
}

const char *log_message(const GLogField *fields, gsize n)
{
    for (gsize i = 0; i < n; i++)
        if (!strcmp(fields[i].key, "MESSAGE"))
            return fields[i].value;
    return "";
}

/* Not by GLib, which may want to look at the time zone's file again: most threads cannot open it. */
static char *time_text(void)
{
    struct timespec now;
    struct tm tm;
    char day[32];
    clock_gettime(CLOCK_REALTIME, &now);
    localtime_r(&now.tv_sec, &tm);
    strftime(day, sizeof day, "%Y-%m-%d %H:%M:%S", &tm);
    return g_strdup_printf("%s.%03ld", day, now.tv_nsec / 1000000);
}

char *log_line(GLogLevelFlags level, const GLogField *fields, gsize n)
{
    if (level & G_LOG_LEVEL_DEBUG)
        return NULL;
    g_autofree char *time = time_text();
    return g_strdup_printf("%s %-7s %s\n", time, level_name(level), log_message(fields, n));
}
