// SPDX-License-Identifier: GPL-2.0-or-later
/* titles.c - see titles.h. */
#include "gui/manager/titles.h"
#include "core-vmm/host/config_schema.h"
#include <glib/gi18n.h>
#include <string.h>

char *title_of_word(const char *word)
{
    static const char *const others[][2] = {{"os", N_("System")},           {"cpus", N_("Processors")},
                                            {"cpu-model", N_("CPU model")}, {"mac", N_("Address (MAC)")},
                                            {"rtc", N_("Real-time clock")}, {"mtu", N_("Longest packet (MTU)")},
                                            {"ipv6", N_("IPv6")},           {"rom", N_("Boot ROM")},
                                            {"tftp", N_("TFTP folder")},    {"uuid", N_("UUID")}};
    for (unsigned i = 0; i < G_N_ELEMENTS(others); i++)
        if (!strcmp(others[i][0], word))
            return g_strdup(_(others[i][1]));
    char *title = g_strdelimit(g_strdup(word), "-", ' ');
    *title = g_ascii_toupper(*title);
    return title;
}

char *title_of_section(const char *section)
{
    static const struct {
        const char *name, *title;
    } titles[] = {{"machine", N_("Machine")},
                  {"serial", N_("Serial Port")},
                  {"parallel", N_("Parallel Port")},
                  {"ide", N_("IDE Drive")},
                  {"sata", N_("SATA Drive")},
                  {"nvme", N_("NVMe Disk")},
                  {"scsi", N_("SCSI Drive")},
                  {"virtio-disk", N_("Virtio Disk")},
                  {"floppy", N_("Floppy Drive")},
                  {"video", N_("Graphics")},
                  {"nic", N_("Network Card")},
                  {"balloon", N_("Memory Balloon")},
                  {"rng", N_("Random Numbers")},
                  {"console", N_("Virtio Console")},
                  {"audio", N_("Sound Card")},
                  {"folder", N_("Shared Folder")},
                  {"additions", N_("Guest Additions")},
                  {"usb", N_("USB")},
                  {"tpm", N_("TPM")},
                  {"vnc", N_("VNC Server")},
                  {"snapshots", N_("Automatic Snapshots")}};
    const struct schema_section *s = schema_find_section(section);
    const char *number = s ? section + strlen(s->name) : "";
    for (unsigned i = 0; s && i < G_N_ELEMENTS(titles); i++)
        if (!strcmp(titles[i].name, s->name))
            return g_strdup_printf("%s%s%s", _(titles[i].title), *number ? " " : "", number);
    return title_of_word(section);
}

char *title_of_help(const char *help)
{
    char *text = g_strdup(help ? help : "");
    const char *second = *text ? g_utf8_next_char(text) : text;
    if (!g_ascii_isupper(*second)) /* not of "iPXE" */
        *text = g_ascii_toupper(*text);
    return text;
}
