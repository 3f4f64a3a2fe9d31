// SPDX-License-Identifier: GPL-2.0-or-later
/* client_usage.c - see client_usage.h.  The CPU is counted by the kernel (proc(5), stat), the rest by the VM process and its network
 * process. */
#include "core-vmm/control/client_usage.h"
#include "core-vmm/control/answer.h"
#include "core-vmm/control/client_machine.h"
#include "core-vmm/control/client_network.h"
#include "core-vmm/host/machines.h"
#include "core-vmm/host/paths.h"
#include <string.h>
#include <unistd.h>

#define ANSWER_MS 2000
enum { STAT_UTIME = 11, STAT_STIME = 12 }; /* fields behind the name, counted from the state */

static bool cpu_of(pid_t pid, double *seconds)
{
    g_autofree char *path = g_strdup_printf("/proc/%d/stat", (int)pid), *text = NULL;
    if (!g_file_get_contents(path, &text, NULL, NULL))
        return false;
    const char *behind = strrchr(text, ')'); /* the name may have anything in it */
    g_auto(GStrv) fields = g_strsplit(behind && behind[1] ? behind + 2 : "", " ", -1);
    if (g_strv_length(fields) <= STAT_STIME)
        return false;
    double ticks = g_ascii_strtod(fields[STAT_UTIME], NULL) + g_ascii_strtod(fields[STAT_STIME], NULL);
    *seconds = ticks / (double)sysconf(_SC_CLK_TCK);
    return true;
}

static uint64_t counted(JsonObject *o, const char *name)
{
    return answer_number(o, name, 0, G_MAXINT64, 0);
}

static void add_drives(struct usage *u, JsonArray *drives)
{
    for (unsigned i = 0; i < answer_count(drives); i++) {
        JsonObject *d = answer_object(answer_element(drives, i), "counts");
        u->reads += counted(d, "reads");
        u->read += counted(d, "read-bytes");
        u->writes += counted(d, "writes");
        u->written += counted(d, "written-bytes");
        u->disk_held += counted(d, "held");
    }
}

static void add_cards(struct usage *u, const char *name)
{
    g_autoptr(JsonObject) list = network_list(name, NULL);
    JsonArray *cards = answer_array(list, "cards");
    for (unsigned i = 0; i < answer_count(cards); i++) {
        JsonObject *now = answer_object(answer_element(cards, i), "now");
        u->sent += counted(now, "sent-bytes");
        u->received += counted(now, "received-bytes");
    }
}

bool usage_look(const char *name, struct usage *u, GError **error)
{
    g_autofree char *folder = machines_folder(name);
    pid_t pid = machine_lock_holder(folder);
    *u = (struct usage){.seconds = g_get_monotonic_time() / 1e6};
    if (pid <= 0 || !cpu_of(pid, &u->cpu))
        return machines_not_running(name, error);
    g_autoptr(JsonObject) info = client_info(name, ANSWER_MS, error);
    if (!info)
        return false;
    JsonObject *memory = answer_object(info, "memory-on-host"), *limit = answer_object(info, "cpu-limit");
    u->memory = counted(memory, "used");
    u->memory_limit = counted(memory, "limit");
    u->cpu_limit = counted(limit, "percent");
    u->held = counted(limit, "held-ms") / 1e3;
    add_drives(u, answer_array(info, "drives"));
    add_cards(u, name);
    return true;
}
