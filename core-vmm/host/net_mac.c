// SPDX-License-Identifier: GPL-2.0-or-later
/* net_mac.c - which address a network card has. */
#include "core-vmm/api/net.h"
#include <string.h>

enum { MAC_BYTES = 6, MAC_TEXT = 17, MAC_GROUP = 1 };

bool mac_parse(const char *text, uint8_t mac[6])
{
    uint8_t any = 0;
    if (strlen(text) != MAC_TEXT)
        return false;
    for (unsigned i = 0; i < MAC_BYTES; i++) {
        int high = g_ascii_xdigit_value(text[3 * i]), low = g_ascii_xdigit_value(text[3 * i + 1]);
        if (high < 0 || low < 0 || (i + 1 < MAC_BYTES && text[3 * i + 2] != ':'))
            return false;
        mac[i] = high << 4 | low;
        any |= mac[i];
    }
    return any && !(mac[0] & MAC_GROUP);
}

void net_mac(const struct config *c, uint8_t mac[6])
{
    static const uint8_t own[3] = {0x52, 0x54, 0x00}; /* locally administered; what QEMU and KVM use */
    g_autofree char *text = config_string(c, "mac");
    if (text && mac_parse(text, mac))
        return;
    g_autofree char *path = g_canonicalize_filename(c->path, NULL), *name = g_strconcat(path, "\n", c->section, NULL);
    g_autofree char *sum = g_compute_checksum_for_string(G_CHECKSUM_SHA256, name, -1);
    memcpy(mac, own, sizeof own);
    for (unsigned i = 0; i < 3; i++)
        mac[3 + i] = g_ascii_xdigit_value(sum[2 * i]) << 4 | g_ascii_xdigit_value(sum[2 * i + 1]);
}
