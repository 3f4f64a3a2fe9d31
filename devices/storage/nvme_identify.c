// SPDX-License-Identifier: GPL-2.0-or-later
/* nvme_identify.c - what an NVMe controller says of itself and its namespace.  Spec: NVM Express 1.4, 5.15. */
#include "core-vmm/base/bytes.h"
#include "devices/storage/nvme.h"

static void put_text(uint8_t *out, unsigned bytes, const char *text)
{
    for (unsigned n = 0; n < bytes; n++)
        out[n] = *text ? *text++ : ' ';
}

void nvme_identify_controller(const struct nvme *n, uint8_t *out)
{
    enum { DSM = 1 << 2, WRITE_ZEROES = 1 << 3, LOG_OFFSET = 1 << 2, CACHE = 1 };

    memset(out, 0, NVME_PAGE);
    put_le16(out, 0x1b36);     /* whose PCI function it is: vendor ... */
    put_le16(out + 2, 0x1af4); /* ... and subsystem vendor */
    put_text(out + 4, 20, n->serial);
    put_text(out + 24, 40, "Terrarium NVMe");
    put_text(out + 64, 8, "1.0");
    out[72] = 6; /* recommended arbitration burst */
    out[77] = NVME_MDTS;
    put_le32(out + 80, 0x00010400);
    out[111] = 1;                            /* I/O controller */
    out[258] = 3;                            /* aborts at once, less one */
    out[259] = NVME_EVENTS - 1;              /* event requests, less one */
    out[260] = 1 << 1 | 1;                   /* one firmware slot, read-only */
    out[261] = LOG_OFFSET;                   /* of the logs */
    put_le16(out + 266, 343);                /* kelvin: warning */
    put_le16(out + 268, 353);                /* and critical */
    out[512] = 6 << 4 | 6;                   /* bytes of entries, as powers of two: submission */
    out[513] = 4 << 4 | 4;                   /* completion */
    put_le32(out + 516, 1);                  /* namespaces */
    put_le16(out + 520, DSM | WRITE_ZEROES); /* optional commands */
    out[525] = CACHE;
    g_snprintf((char *)out + 768, 256, "nqn.2024-01.org.terrarium:nvme:%s", n->serial);
    put_le16(out + 2048, 2500); /* power state 0: 25 W */
}

void nvme_identify_namespace(const struct nvme *n, uint8_t *out)
{
    enum { THIN = 1, PROTECTED = 1 };
    uint64_t sectors = nvme_sectors(n);

    memset(out, 0, NVME_PAGE);
    put_le64(out, sectors);
    put_le64(out + 8, sectors);
    put_le64(out + 16, sectors);
    out[24] = THIN;
    out[99] = drive_readonly(n->medium) ? PROTECTED : 0;
    out[128 + 2] = 9; /* the one format: sectors of 2^9 bytes */
}

/* A UUID that is made of the serial number: RFC 4122, version 5's layout. */
void nvme_identify_descriptors(const struct nvme *n, uint8_t *out)
{
    g_autoptr(GChecksum) sum = g_checksum_new(G_CHECKSUM_SHA1);
    uint8_t digest[20];
    gsize bytes = sizeof digest;

    memset(out, 0, NVME_PAGE);
    g_checksum_update(sum, (const guchar *)n->serial, -1);
    g_checksum_get_digest(sum, digest, &bytes);
    out[0] = 3; /* a UUID */
    out[1] = 16;
    memcpy(out + 4, digest, 16);
    out[4 + 6] = (out[4 + 6] & 0x0f) | 0x50;
    out[4 + 8] = (out[4 + 8] & 0x3f) | 0x80;
}
