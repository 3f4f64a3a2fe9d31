// SPDX-License-Identifier: GPL-2.0-or-later
/* snapshot_thin.c - which automatic snapshots stay: of the newest hours that have any the newest each, and of the newest days.  What
 * somebody took by hand, or renamed, is never touched. */
#include "core-vmm/api/config.h"
#include "core-vmm/host/snapshot_inside.h"

bool snapshots_policy(const char *machine, struct snapshot_policy *out, GError **error)
{
    g_autoptr(GKeyFile) file = machines_settings(machine, error);
    const struct config c = {file, "machine.ini", "snapshots"};
    int64_t every, hourly, daily;
    if (!file || !config_number(&c, "every", &every, error) || !config_number(&c, "keep-hourly", &hourly, error) ||
        !config_number(&c, "keep-daily", &daily, error) || !config_flag(&c, "before-stop", &out->before_stop, error))
        return false;
    out->minutes = every;
    out->hourly = hourly;
    out->daily = daily;
    return true;
}

/* "2026-11-30 12" or "2026-11-30": the same for all of an hour, or a day, of this place. */
static char *period(gint64 time, const char *format)
{
    g_autoptr(GDateTime) t = g_date_time_new_from_unix_local(time);
    return t ? g_date_time_format(t, format) : g_strdup("?");
}

/* Is it the newest of one of the newest periods?  seen: those, as the list goes from the newest to the oldest. */
static bool newest_of(GHashTable *seen, unsigned most, gint64 time, const char *format)
{
    char *p = period(time, format);
    if (g_hash_table_contains(seen, p) || g_hash_table_size(seen) >= most) {
        g_free(p);
        return false;
    }
    return g_hash_table_add(seen, p);
}

GArray *snapshots_thinned(const struct snapshot_record *r, const struct snapshot_policy *p)
{
    GArray *ids = g_array_new(FALSE, FALSE, sizeof(unsigned));
    g_autoptr(GHashTable) hours = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    g_autoptr(GHashTable) days = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    for (guint i = r->snapshots->len; i-- > 0;) {
        const struct snapshot *s = r->snapshots->pdata[i];
        if (!s->automatic)
            continue;
        bool hour = newest_of(hours, p->hourly, s->time, "%F %H"), day = newest_of(days, p->daily, s->time, "%F");
        if (!hour && !day)
            g_array_append_val(ids, s->id);
    }
    return ids;
}

gint64 snapshots_last_automatic(const struct snapshot_record *r)
{
    gint64 last = 0;
    for (guint i = 0; i < r->snapshots->len; i++) {
        const struct snapshot *s = r->snapshots->pdata[i];
        last = s->automatic ? MAX(last, s->time) : last;
    }
    return last;
}
