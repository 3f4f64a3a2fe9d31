// SPDX-License-Identifier: GPL-2.0-or-later
/* ahci.h - inside of the AHCI controller: ahci.c (registers, links, interrupts), ahci_command.c (the command list and what it
 * makes the drives do).
 *
 * A port has 32 slots in the guest's memory.  A bit in PxCI hands a slot to the drive.  Commands of the ordinary kind run
 * one at a time: the port is busy until its answer (a D2H or PIO Setup FIS) comes.  Queued ones (NCQ) are taken at once, up to
 * 32 of them, each with a drive_request of its own; those that are through are told together, in one Set Device Bits FIS
 * and with one interrupt.  Data goes straight between medium and guest memory; a transfer whose descriptors do not fit into
 * a dma_list goes in several requests.
 * What was given up while a request was under way is stale: its end is not told, and its slot waits for it.  A reset waits
 * until requests have let go of the guest's memory (drive_quiesce()). */
#pragma once
#include "devices/storage/ata.h"
#include "devices/storage/dma_list.h"

enum { AHCI_PORTS = 6, AHCI_SLOTS = 32, AHCI_RAW_SECTORS = 16 };
enum { CMD_ST = 1, CMD_SUD = 1 << 1, CMD_POD = 1 << 2, CMD_CLO = 1 << 3, CMD_FRE = 1 << 4, CMD_FR = 1 << 14 };
enum { CMD_CR = 1 << 15, CMD_HPCP = 1 << 18, CMD_ATAPI = 1 << 24 };
enum { IS_D2H = 1, IS_PIO = 1 << 1, IS_SDB = 1 << 3, IS_PRD = 1 << 5, IS_CONNECT = 1 << 6, IS_PHY = 1 << 22 };
enum { IS_OVERFLOW = 1 << 24, IS_INTERFACE = 1 << 27, IS_HOST_BUS = 1 << 29, IS_TASK_FILE = 1 << 30 };
enum { SERR_PHY = 1 << 16, SERR_EXCHANGED = 1 << 26 };

struct ahci_port;
struct ahci_slot {
    struct ahci_port *port;
    uint8_t number;
    bool pending, stale; /* a request is under way; its command was given up */
    bool packet, notify; /* a packet command; a descriptor wants an interrupt */
    struct ata_action action;
    uint64_t header, descriptors; /* guest addresses */
    uint32_t count, next, skip;   /* descriptors; the next one, and how much of it is used */
    uint64_t at, left, moved;     /* bytes: on the medium, still to go, through */
    unsigned range;               /* of a TRIM */
    struct drive_request request;
    struct iovec raw; /* what the request reads into, instead of dma */
    struct dma_list dma;
};

struct ahci_port {
    unsigned number;
    struct ata_drive drive;
    uint64_t list, fis; /* PxCLB, PxFB */
    uint32_t status, enable, command, sctl, serr, active, issue;
    uint32_t told;            /* interrupts that a message was sent for */
    uint32_t taken;           /* slots of PxCI that are being worked at */
    uint32_t queued, through; /* tags of queued commands under way; those to be told */
    bool link, halted;        /* a drive answers; an error that only PxCMD.ST = 0 ends */
    bool resetting;           /* between the two FISes of a software reset */
    uint8_t last;             /* slot that was taken last: PxCMD.CCS */
    struct ahci_slot slot[AHCI_SLOTS];
    uint8_t answer[ATA_ANSWER];
    uint8_t raw[AHCI_RAW_SECTORS * CD_RAW_SECTOR];
};

struct ahci {
    uint32_t ghc, is;
    struct ahci_port port[AHCI_PORTS];
};

/* ahci.c */
void ahci_update(struct device *d); /* interrupts, after any change */

/* ahci_command.c */
void ahci_run(struct device *d, struct ahci_port *p);         /* takes what PxCI has */
void ahci_give_up(struct ahci_port *p);                       /* commands under way become stale */
void ahci_tell_queued(struct device *d, struct ahci_port *p); /* Set Device Bits for what is through */
void ahci_post_d2h(struct device *d, struct ahci_port *p, bool interrupt);
bool ahci_port_idle(const struct ahci_port *p); /* no request is under way, not even a stale one */
