// SPDX-License-Identifier: GPL-2.0-or-later
/* e1000_registers.h - what Intel's gigabit chips 82540EM and 82574L look like to their driver: offsets and bits, after the
 * "8254x Family of Gigabit Ethernet Controllers Software Developer's Manual" (SDM), chapters 3, 5 and 13, and the "82574
 * GbE Controller Family Datasheet", chapters 7, 8 and 10. */
#pragma once

/* ---- registers ---- */
enum {
    CTRL = 0x0000,
    STATUS = 0x0008,
    EECD = 0x0010,
    EERD = 0x0014,
    CTRL_EXT = 0x0018,
    FLA = 0x001c,
    MDIC = 0x0020,
    FCAL = 0x0028,
    FCAH = 0x002c,
    FCT = 0x0030,
    VET = 0x0038,
    ICR = 0x00c0,
    ITR = 0x00c4,
    ICS = 0x00c8,
    IMS = 0x00d0,
    IMC = 0x00d8,
    EIAC = 0x00dc,
    IAM = 0x00e0,
    IVAR = 0x00e4,
    EITR = 0x00e8,
    RCTL = 0x0100,
    FCTTV = 0x0170,
    TXCW = 0x0178,
    RXCW = 0x0180,
    TCTL = 0x0400,
    TIPG = 0x0410,
    AIFS = 0x0458,
    LEDCTL = 0x0e00,
    EXTCNF_CTRL = 0x0f00,
    EXTCNF_SIZE = 0x0f08,
    POEMB = 0x0f10,
    PBA = 0x1000,
    PBS = 0x1008,
    FCRTL = 0x2160,
    FCRTH = 0x2168,
    PSRCTL = 0x2170,
    RXFIFO = 0x2410, /* five diagnostic registers of the packet buffer */
    RDBAL = 0x2800,
    RDBAH = 0x2804,
    RDLEN = 0x2808,
    RDH = 0x2810,
    RDT = 0x2818,
    RDTR = 0x2820,
    RXDCTL = 0x2828,
    RADV = 0x282c,
    RSRPD = 0x2c00,
    TXFIFO = 0x3410,
    TDBAL = 0x3800,
    TDBAH = 0x3804,
    TDLEN = 0x3808,
    TDH = 0x3810,
    TDT = 0x3818,
    TIDV = 0x3820,
    TXDCTL = 0x3828,
    TADV = 0x382c,
    TSPMT = 0x3830,
    TARC = 0x3840,
    STATISTICS = 0x4000,
    STATISTICS_LAST = 0x4124,
    RXCSUM = 0x5000,
    RFCTL = 0x5008,
    MTA = 0x5200,
    RA = 0x5400,
    VFTA = 0x5600,
    WUC = 0x5800,
    WUFC = 0x5808,
    WUS = 0x5810,
    IPAV = 0x5838,
    WUPL = 0x5900,
    MRQC = 0x5818,
    MANC = 0x5820,
    GCR = 0x5b00,
    FUNCTAG = 0x5b08,
    FACTPS = 0x5b30,
    SWSM = 0x5b50,
    FWSM = 0x5b54,
    GCR2 = 0x5b64,
    RETA = 0x5c00,
    RSSRK = 0x5c80,
    E1000_END = 0x6000,
};
enum { MTA_WORDS = 128, VFTA_WORDS = 128, RA_ENTRIES = 16, QUEUE_STEP = 0x100, RSSRK_WORDS = 10 };

/* Statistics; each clears when it is read and stands at its highest value. */
enum {
    MPC = 0x4010,
    PRC64 = 0x405c, /* and five more by size; what is sent, from PTC64 on */
    GPRC = 0x4074,
    BPRC = 0x4078,
    MPRC = 0x407c,
    GPTC = 0x4080,
    GORCL = 0x4088,
    GORCH = 0x408c,
    GOTCL = 0x4090,
    GOTCH = 0x4094,
    RNBC = 0x40a0,
    RUC = 0x40a4,
    ROC = 0x40ac,
    TORL = 0x40c0,
    TORH = 0x40c4,
    TOTL = 0x40c8,
    TOTH = 0x40cc,
    TPR = 0x40d0,
    TPT = 0x40d4,
    PTC64 = 0x40d8,
    MPTC = 0x40f0,
    BPTC = 0x40f4,
    TSCTC = 0x40f8,
    TSCTFC = 0x40fc,
};

/* ---- bits ---- */
enum {
    CTRL_SLU = 1 << 6,
    CTRL_SPEED = 3 << 8,
    CTRL_SPEED_1000 = 2 << 8,
    CTRL_FRCSPD = 1 << 11,
    CTRL_FRCDPLX = 1 << 12,
    CTRL_SWDPIN0 = 1 << 18,
    CTRL_SWDPIN2 = 1 << 20,
    CTRL_RST = 1 << 26,
    CTRL_VME = 1 << 30,
    CTRL_FD = 1,
};
#define CTRL_PHY_RST (1u << 31)
enum {
    STATUS_FD = 1,
    STATUS_LU = 1 << 1,
    STATUS_SPEED_SHIFT = 6,
    STATUS_ASDV_SHIFT = 8,
    STATUS_PHYRA = 1 << 10,
};
enum {
    EECD_SK = 1,
    EECD_CS = 1 << 1,
    EECD_DI = 1 << 2,
    EECD_DO = 1 << 3,
    EECD_FWE = 3 << 4,
    EECD_REQ = 1 << 6,
    EECD_GNT = 1 << 7,
    EECD_PRES = 1 << 8,
};
enum { EERD_START = 1 };
enum { CTRL_EXT_EE_RST = 1 << 13, CTRL_EXT_IAME = 1 << 27 };
enum {
    MDIC_WRITE = 1 << 26,
    MDIC_READ = 2 << 26,
    MDIC_READY = 1 << 28,
    MDIC_INTERRUPT = 1 << 29,
    MDIC_ERROR = 1 << 30,
};
enum { /* ICR, ICS, IMS, IMC */
       INT_TXDW = 1,
       INT_TXQE = 1 << 1,
       INT_LSC = 1 << 2,
       INT_RXDMT0 = 1 << 4,
       INT_RXO = 1 << 6,
       INT_RXT0 = 1 << 7,
       INT_MDAC = 1 << 9,
       INT_PHY = 1 << 12,
       INT_TXD_LOW = 1 << 15,
       INT_SRPD = 1 << 16,
       INT_ACK = 1 << 17,
       INT_MNG = 1 << 18,
       INT_RXQ0 = 1 << 20, /* the 82574L's, by queue */
       INT_RXQ1 = 1 << 21,
       INT_TXQ0 = 1 << 22,
       INT_TXQ1 = 1 << 23,
       INT_OTHER = 1 << 24,
};
enum {
    RCTL_EN = 1 << 1,
    RCTL_UPE = 1 << 3,
    RCTL_MPE = 1 << 4,
    RCTL_LPE = 1 << 5,
    RCTL_LBM = 3 << 6,
    RCTL_LBM_MAC = 1 << 6,
    RCTL_RDMTS_SHIFT = 8,
    RCTL_MO_SHIFT = 12,
    RCTL_BAM = 1 << 15,
    RCTL_BSIZE_SHIFT = 16,
    RCTL_VFE = 1 << 18,
    RCTL_CFIEN = 1 << 19,
    RCTL_CFI = 1 << 20,
    RCTL_BSEX = 1 << 25,
    RCTL_SECRC = 1 << 26,
    RCTL_FLXBUF_SHIFT = 27,
    RCTL_WRITABLE = 0x06dffffe,
};
enum { TXDCTL_LWTHRESH_SHIFT = 25 };
enum { TCTL_EN = 1 << 1, TCTL_PSP = 1 << 3 };
enum { RXCSUM_PCSS = 0xff, RXCSUM_IPOFL = 1 << 8, RXCSUM_TUOFL = 1 << 9, RXCSUM_PCSD = 1 << 13 };
enum { RFCTL_EXSTEN = 1 << 15 };
enum {
    MRQC_ENABLE = 3,
    MRQC_RSS = 1,
    MRQC_TCP4 = 1 << 16,
    MRQC_IP4 = 1 << 17,
    MRQC_TCP6 = 1 << 18,
    MRQC_IP6_EX = 1 << 19,
    MRQC_IP6 = 1 << 20,
};
#define RAH_AV   (1u << 31)
#define RDTR_FPD (1u << 31)

/* ---- transmit descriptors ---- */
enum {
    TX_EOP = 1 << 24,
    TX_IFCS = 1 << 25,
    TX_IC = 1 << 26, /* of a legacy one; TSE of others */
    TX_TSE = 1 << 26,
    TX_RS = 1 << 27,
    TX_DEXT = 1 << 29,
    TX_VLE = 1 << 30,
};
#define TX_IDE (1u << 31)
enum { TX_DTYP_SHIFT = 20, TX_CONTEXT = 0, TX_DATA = 1, TX_DD = 1, TX_POPTS_IXSM = 1, TX_POPTS_TXSM = 2 };
enum { TX_TUCMD_TCP = 1 << 24, TX_TUCMD_IP = 1 << 25 };

/* ---- receive descriptors: status, errors ---- */
enum {
    RX_DD = 1,
    RX_EOP = 1 << 1,
    RX_IXSM = 1 << 2,
    RX_VP = 1 << 3,
    RX_UDPCS = 1 << 4,
    RX_TCPCS = 1 << 5,
    RX_IPCS = 1 << 6,
    RX_PIF = 1 << 7,
    RX_IPIDV = 1 << 9,
    RX_TCPE = 1 << 5,
    RX_IPE = 1 << 6,
};
