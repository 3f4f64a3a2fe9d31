// SPDX-License-Identifier: GPL-2.0-or-later
/* dsdt.asl - the board as ACPI sees it: PCI root, interrupt links of the PIIX3, ISA devices, soft off.
 * acpi_tables.c sets the two numbers that differ from VM to VM, PCIB and ISAD; the processors are in a table of its own.
 * Revision 1 (32-bit integers) and no External(), so that systems from the days of ACPI 1.0 take it. */
DefinitionBlock ("", "DSDT", 1, "TERRRM", "TERRPC", 1)
{
    Name (PCIB, 0xF0F0F0F0) /* first address of the PCI memory window */
    Name (HPTP, 0xF0F0F0F0) /* 1: there are high precision event timers */
    Name (TPMP, 0xF0F0F0F0) /* 1: there is a TPM */
    Name (PC64, 0xF0F0F0F0) /* 1: there is a window for 64-bit BARs too, CR64 */
    Name (ISAD, 0xF0F0F0F0) /* a bit per ISA device that not every VM has: COM1, COM2, floppy controller */

    /* SLP_TYP 0 of the PIIX4 is soft off; there is no other sleep. */
    Name (\_S5, Package () { 0, 0, 0, 0 })

    /* 0: PIC, 1: APIC.  Both see PCI interrupts on the same numbers, so nothing depends on it. */
    Name (\PICM, 0)
    Method (\_PIC, 1, NotSerialized)
    {
        Store (Arg0, \PICM)
    }

    Scope (\_SB)
    {
        Device (PCI0)
        {
            Name (_HID, EisaId ("PNP0A03"))
            Name (_UID, 0)
            Name (CRES, ResourceTemplate ()
            {
                WordBusNumber (ResourceProducer, MinFixed, MaxFixed, PosDecode, 0, 0, 0xFF, 0, 0x100)
                IO (Decode16, 0x0CF8, 0x0CF8, 1, 8)
                WordIO (ResourceProducer, MinFixed, MaxFixed, PosDecode, EntireRange, 0, 0, 0x0CF7, 0, 0x0CF8)
                WordIO (ResourceProducer, MinFixed, MaxFixed, PosDecode, EntireRange, 0, 0x0D00, 0xFFFF, 0, 0xF300)
                DWordMemory (ResourceProducer, PosDecode, MinFixed, MaxFixed, Cacheable, ReadWrite,
                    0, 0x000A0000, 0x000BFFFF, 0, 0x00020000)
                DWordMemory (ResourceProducer, PosDecode, MinFixed, MaxFixed, NonCacheable, ReadWrite,
                    0, 0xE0000000, 0xFEBFFFFF, 0, 0x1EC00000, , , HOLE)
            })
            Name (CR64, ResourceTemplate ()
            {
                WordBusNumber (ResourceProducer, MinFixed, MaxFixed, PosDecode, 0, 0, 0xFF, 0, 0x100)
                IO (Decode16, 0x0CF8, 0x0CF8, 1, 8)
                WordIO (ResourceProducer, MinFixed, MaxFixed, PosDecode, EntireRange, 0, 0, 0x0CF7, 0, 0x0CF8)
                WordIO (ResourceProducer, MinFixed, MaxFixed, PosDecode, EntireRange, 0, 0x0D00, 0xFFFF, 0, 0xF300)
                DWordMemory (ResourceProducer, PosDecode, MinFixed, MaxFixed, Cacheable, ReadWrite,
                    0, 0x000A0000, 0x000BFFFF, 0, 0x00020000)
                DWordMemory (ResourceProducer, PosDecode, MinFixed, MaxFixed, NonCacheable, ReadWrite,
                    0, 0xE0000000, 0xFEBFFFFF, 0, 0x1EC00000, , , HOL6)
                QWordMemory (ResourceProducer, PosDecode, MinFixed, MaxFixed, NonCacheable, ReadWrite,
                    0, 0xE0F0F0F000000000, 0xFFF0F0F0FFFFFFFF, 0, 0x1F00000100000000)
            })
            Method (_CRS, 0, Serialized)
            {
                If (\PC64)
                {
                    CreateDWordField (CR64, ^HOL6._MIN, XMIN)
                    CreateDWordField (CR64, ^HOL6._MAX, XMAX)
                    CreateDWordField (CR64, ^HOL6._LEN, XLEN)
                    Store (\PCIB, XMIN)
                    Add (Subtract (XMAX, XMIN), 1, XLEN)
                    Return (CR64)
                }
                CreateDWordField (CRES, ^HOLE._MIN, WMIN)
                CreateDWordField (CRES, ^HOLE._MAX, WMAX)
                CreateDWordField (CRES, ^HOLE._LEN, WLEN)
                Store (\PCIB, WMIN)
                Add (Subtract (WMAX, WMIN), 1, WLEN)
                Return (CRES)
            }

            /* Pin INTx# of slot n is PIRQ (n - 1 + x) mod 4. */
            Name (_PRT, Package ()
            {
                Package () { 0x0001FFFF, 0, LNKA, 0 },
                Package () { 0x0001FFFF, 1, LNKB, 0 },
                Package () { 0x0001FFFF, 2, LNKC, 0 },
                Package () { 0x0001FFFF, 3, LNKD, 0 },
                Package () { 0x0002FFFF, 0, LNKB, 0 },
                Package () { 0x0002FFFF, 1, LNKC, 0 },
                Package () { 0x0002FFFF, 2, LNKD, 0 },
                Package () { 0x0002FFFF, 3, LNKA, 0 },
                Package () { 0x0003FFFF, 0, LNKC, 0 },
                Package () { 0x0003FFFF, 1, LNKD, 0 },
                Package () { 0x0003FFFF, 2, LNKA, 0 },
                Package () { 0x0003FFFF, 3, LNKB, 0 },
                Package () { 0x0004FFFF, 0, LNKD, 0 },
                Package () { 0x0004FFFF, 1, LNKA, 0 },
                Package () { 0x0004FFFF, 2, LNKB, 0 },
                Package () { 0x0004FFFF, 3, LNKC, 0 },
                Package () { 0x0005FFFF, 0, LNKA, 0 },
                Package () { 0x0005FFFF, 1, LNKB, 0 },
                Package () { 0x0005FFFF, 2, LNKC, 0 },
                Package () { 0x0005FFFF, 3, LNKD, 0 },
                Package () { 0x0006FFFF, 0, LNKB, 0 },
                Package () { 0x0006FFFF, 1, LNKC, 0 },
                Package () { 0x0006FFFF, 2, LNKD, 0 },
                Package () { 0x0006FFFF, 3, LNKA, 0 },
                Package () { 0x0007FFFF, 0, LNKC, 0 },
                Package () { 0x0007FFFF, 1, LNKD, 0 },
                Package () { 0x0007FFFF, 2, LNKA, 0 },
                Package () { 0x0007FFFF, 3, LNKB, 0 },
                Package () { 0x0008FFFF, 0, LNKD, 0 },
                Package () { 0x0008FFFF, 1, LNKA, 0 },
                Package () { 0x0008FFFF, 2, LNKB, 0 },
                Package () { 0x0008FFFF, 3, LNKC, 0 },
                Package () { 0x0009FFFF, 0, LNKA, 0 },
                Package () { 0x0009FFFF, 1, LNKB, 0 },
                Package () { 0x0009FFFF, 2, LNKC, 0 },
                Package () { 0x0009FFFF, 3, LNKD, 0 },
                Package () { 0x000AFFFF, 0, LNKB, 0 },
                Package () { 0x000AFFFF, 1, LNKC, 0 },
                Package () { 0x000AFFFF, 2, LNKD, 0 },
                Package () { 0x000AFFFF, 3, LNKA, 0 },
                Package () { 0x000BFFFF, 0, LNKC, 0 },
                Package () { 0x000BFFFF, 1, LNKD, 0 },
                Package () { 0x000BFFFF, 2, LNKA, 0 },
                Package () { 0x000BFFFF, 3, LNKB, 0 },
                Package () { 0x000CFFFF, 0, LNKD, 0 },
                Package () { 0x000CFFFF, 1, LNKA, 0 },
                Package () { 0x000CFFFF, 2, LNKB, 0 },
                Package () { 0x000CFFFF, 3, LNKC, 0 },
                Package () { 0x000DFFFF, 0, LNKA, 0 },
                Package () { 0x000DFFFF, 1, LNKB, 0 },
                Package () { 0x000DFFFF, 2, LNKC, 0 },
                Package () { 0x000DFFFF, 3, LNKD, 0 },
                Package () { 0x000EFFFF, 0, LNKB, 0 },
                Package () { 0x000EFFFF, 1, LNKC, 0 },
                Package () { 0x000EFFFF, 2, LNKD, 0 },
                Package () { 0x000EFFFF, 3, LNKA, 0 },
                Package () { 0x000FFFFF, 0, LNKC, 0 },
                Package () { 0x000FFFFF, 1, LNKD, 0 },
                Package () { 0x000FFFFF, 2, LNKA, 0 },
                Package () { 0x000FFFFF, 3, LNKB, 0 },
                Package () { 0x0010FFFF, 0, LNKD, 0 },
                Package () { 0x0010FFFF, 1, LNKA, 0 },
                Package () { 0x0010FFFF, 2, LNKB, 0 },
                Package () { 0x0010FFFF, 3, LNKC, 0 },
                Package () { 0x0011FFFF, 0, LNKA, 0 },
                Package () { 0x0011FFFF, 1, LNKB, 0 },
                Package () { 0x0011FFFF, 2, LNKC, 0 },
                Package () { 0x0011FFFF, 3, LNKD, 0 },
                Package () { 0x0012FFFF, 0, LNKB, 0 },
                Package () { 0x0012FFFF, 1, LNKC, 0 },
                Package () { 0x0012FFFF, 2, LNKD, 0 },
                Package () { 0x0012FFFF, 3, LNKA, 0 },
                Package () { 0x0013FFFF, 0, LNKC, 0 },
                Package () { 0x0013FFFF, 1, LNKD, 0 },
                Package () { 0x0013FFFF, 2, LNKA, 0 },
                Package () { 0x0013FFFF, 3, LNKB, 0 },
                Package () { 0x0014FFFF, 0, LNKD, 0 },
                Package () { 0x0014FFFF, 1, LNKA, 0 },
                Package () { 0x0014FFFF, 2, LNKB, 0 },
                Package () { 0x0014FFFF, 3, LNKC, 0 },
                Package () { 0x0015FFFF, 0, LNKA, 0 },
                Package () { 0x0015FFFF, 1, LNKB, 0 },
                Package () { 0x0015FFFF, 2, LNKC, 0 },
                Package () { 0x0015FFFF, 3, LNKD, 0 },
                Package () { 0x0016FFFF, 0, LNKB, 0 },
                Package () { 0x0016FFFF, 1, LNKC, 0 },
                Package () { 0x0016FFFF, 2, LNKD, 0 },
                Package () { 0x0016FFFF, 3, LNKA, 0 },
                Package () { 0x0017FFFF, 0, LNKC, 0 },
                Package () { 0x0017FFFF, 1, LNKD, 0 },
                Package () { 0x0017FFFF, 2, LNKA, 0 },
                Package () { 0x0017FFFF, 3, LNKB, 0 },
                Package () { 0x0018FFFF, 0, LNKD, 0 },
                Package () { 0x0018FFFF, 1, LNKA, 0 },
                Package () { 0x0018FFFF, 2, LNKB, 0 },
                Package () { 0x0018FFFF, 3, LNKC, 0 },
                Package () { 0x0019FFFF, 0, LNKA, 0 },
                Package () { 0x0019FFFF, 1, LNKB, 0 },
                Package () { 0x0019FFFF, 2, LNKC, 0 },
                Package () { 0x0019FFFF, 3, LNKD, 0 },
                Package () { 0x001AFFFF, 0, LNKB, 0 },
                Package () { 0x001AFFFF, 1, LNKC, 0 },
                Package () { 0x001AFFFF, 2, LNKD, 0 },
                Package () { 0x001AFFFF, 3, LNKA, 0 },
                Package () { 0x001BFFFF, 0, LNKC, 0 },
                Package () { 0x001BFFFF, 1, LNKD, 0 },
                Package () { 0x001BFFFF, 2, LNKA, 0 },
                Package () { 0x001BFFFF, 3, LNKB, 0 },
                Package () { 0x001CFFFF, 0, LNKD, 0 },
                Package () { 0x001CFFFF, 1, LNKA, 0 },
                Package () { 0x001CFFFF, 2, LNKB, 0 },
                Package () { 0x001CFFFF, 3, LNKC, 0 },
                Package () { 0x001DFFFF, 0, LNKA, 0 },
                Package () { 0x001DFFFF, 1, LNKB, 0 },
                Package () { 0x001DFFFF, 2, LNKC, 0 },
                Package () { 0x001DFFFF, 3, LNKD, 0 },
                Package () { 0x001EFFFF, 0, LNKB, 0 },
                Package () { 0x001EFFFF, 1, LNKC, 0 },
                Package () { 0x001EFFFF, 2, LNKD, 0 },
                Package () { 0x001EFFFF, 3, LNKA, 0 },
                Package () { 0x001FFFFF, 0, LNKC, 0 },
                Package () { 0x001FFFFF, 1, LNKD, 0 },
                Package () { 0x001FFFFF, 2, LNKA, 0 },
                Package () { 0x001FFFFF, 3, LNKB, 0 }
            })

            Device (ISA)
            {
                Name (_ADR, 0x00010000)
                OperationRegion (ROUT, PCI_Config, 0x60, 4)
                Field (ROUT, ByteAcc, NoLock, Preserve)
                {
                    PIRA, 8,
                    PIRB, 8,
                    PIRC, 8,
                    PIRD, 8
                }
            }
        }

        /* What may come and go: the registers of pci_hotplug.c, a device per slot (0 to 2 are the board's), and who tells
         * the system of each: 1, look there; 3, let go of it. */
        Scope (PCI0)
        {
            OperationRegion (HPCI, SystemIO, 0xAE00, 0x10)
            Field (HPCI, DWordAcc, NoLock, WriteAsZeros)
            {
                CAME, 32,
                WANT, 32,
                EJCT, 32,
                RMVB, 32
            }
            Mutex (HPLK, 0)
            Method (PEJ0, 1, Serialized)
            {
                Acquire (HPLK, 0xFFFF)
                Store (Arg0, EJCT)
                Release (HPLK)
            }
            Device (S03)
            {
                Name (_SUN, 3)
                Name (_ADR, 0x00030000)
                Method (_EJ0, 1, NotSerialized)
                {
                    PEJ0 (0x00000008)
                }
            }
            Device (S04)
            {
                Name (_SUN, 4)
                Name (_ADR, 0x00040000)
                Method (_EJ0, 1, NotSerialized)
                {
                    PEJ0 (0x00000010)
                }
            }
            Device (S05)
            {
                Name (_SUN, 5)
                Name (_ADR, 0x00050000)
                Method (_EJ0, 1, NotSerialized)
                {
                    PEJ0 (0x00000020)
                }
            }
            Device (S06)
            {
                Name (_SUN, 6)
                Name (_ADR, 0x00060000)
                Method (_EJ0, 1, NotSerialized)
                {
                    PEJ0 (0x00000040)
                }
            }
            Device (S07)
            {
                Name (_SUN, 7)
                Name (_ADR, 0x00070000)
                Method (_EJ0, 1, NotSerialized)
                {
                    PEJ0 (0x00000080)
                }
            }
            Device (S08)
            {
                Name (_SUN, 8)
                Name (_ADR, 0x00080000)
                Method (_EJ0, 1, NotSerialized)
                {
                    PEJ0 (0x00000100)
                }
            }
            Device (S09)
            {
                Name (_SUN, 9)
                Name (_ADR, 0x00090000)
                Method (_EJ0, 1, NotSerialized)
                {
                    PEJ0 (0x00000200)
                }
            }
            Device (S0A)
            {
                Name (_SUN, 10)
                Name (_ADR, 0x000A0000)
                Method (_EJ0, 1, NotSerialized)
                {
                    PEJ0 (0x00000400)
                }
            }
            Device (S0B)
            {
                Name (_SUN, 11)
                Name (_ADR, 0x000B0000)
                Method (_EJ0, 1, NotSerialized)
                {
                    PEJ0 (0x00000800)
                }
            }
            Device (S0C)
            {
                Name (_SUN, 12)
                Name (_ADR, 0x000C0000)
                Method (_EJ0, 1, NotSerialized)
                {
                    PEJ0 (0x00001000)
                }
            }
            Device (S0D)
            {
                Name (_SUN, 13)
                Name (_ADR, 0x000D0000)
                Method (_EJ0, 1, NotSerialized)
                {
                    PEJ0 (0x00002000)
                }
            }
            Device (S0E)
            {
                Name (_SUN, 14)
                Name (_ADR, 0x000E0000)
                Method (_EJ0, 1, NotSerialized)
                {
                    PEJ0 (0x00004000)
                }
            }
            Device (S0F)
            {
                Name (_SUN, 15)
                Name (_ADR, 0x000F0000)
                Method (_EJ0, 1, NotSerialized)
                {
                    PEJ0 (0x00008000)
                }
            }
            Device (S10)
            {
                Name (_SUN, 16)
                Name (_ADR, 0x00100000)
                Method (_EJ0, 1, NotSerialized)
                {
                    PEJ0 (0x00010000)
                }
            }
            Device (S11)
            {
                Name (_SUN, 17)
                Name (_ADR, 0x00110000)
                Method (_EJ0, 1, NotSerialized)
                {
                    PEJ0 (0x00020000)
                }
            }
            Device (S12)
            {
                Name (_SUN, 18)
                Name (_ADR, 0x00120000)
                Method (_EJ0, 1, NotSerialized)
                {
                    PEJ0 (0x00040000)
                }
            }
            Device (S13)
            {
                Name (_SUN, 19)
                Name (_ADR, 0x00130000)
                Method (_EJ0, 1, NotSerialized)
                {
                    PEJ0 (0x00080000)
                }
            }
            Device (S14)
            {
                Name (_SUN, 20)
                Name (_ADR, 0x00140000)
                Method (_EJ0, 1, NotSerialized)
                {
                    PEJ0 (0x00100000)
                }
            }
            Device (S15)
            {
                Name (_SUN, 21)
                Name (_ADR, 0x00150000)
                Method (_EJ0, 1, NotSerialized)
                {
                    PEJ0 (0x00200000)
                }
            }
            Device (S16)
            {
                Name (_SUN, 22)
                Name (_ADR, 0x00160000)
                Method (_EJ0, 1, NotSerialized)
                {
                    PEJ0 (0x00400000)
                }
            }
            Device (S17)
            {
                Name (_SUN, 23)
                Name (_ADR, 0x00170000)
                Method (_EJ0, 1, NotSerialized)
                {
                    PEJ0 (0x00800000)
                }
            }
            Device (S18)
            {
                Name (_SUN, 24)
                Name (_ADR, 0x00180000)
                Method (_EJ0, 1, NotSerialized)
                {
                    PEJ0 (0x01000000)
                }
            }
            Device (S19)
            {
                Name (_SUN, 25)
                Name (_ADR, 0x00190000)
                Method (_EJ0, 1, NotSerialized)
                {
                    PEJ0 (0x02000000)
                }
            }
            Device (S1A)
            {
                Name (_SUN, 26)
                Name (_ADR, 0x001A0000)
                Method (_EJ0, 1, NotSerialized)
                {
                    PEJ0 (0x04000000)
                }
            }
            Device (S1B)
            {
                Name (_SUN, 27)
                Name (_ADR, 0x001B0000)
                Method (_EJ0, 1, NotSerialized)
                {
                    PEJ0 (0x08000000)
                }
            }
            Device (S1C)
            {
                Name (_SUN, 28)
                Name (_ADR, 0x001C0000)
                Method (_EJ0, 1, NotSerialized)
                {
                    PEJ0 (0x10000000)
                }
            }
            Device (S1D)
            {
                Name (_SUN, 29)
                Name (_ADR, 0x001D0000)
                Method (_EJ0, 1, NotSerialized)
                {
                    PEJ0 (0x20000000)
                }
            }
            Device (S1E)
            {
                Name (_SUN, 30)
                Name (_ADR, 0x001E0000)
                Method (_EJ0, 1, NotSerialized)
                {
                    PEJ0 (0x40000000)
                }
            }
            Device (S1F)
            {
                Name (_SUN, 31)
                Name (_ADR, 0x001F0000)
                Method (_EJ0, 1, NotSerialized)
                {
                    PEJ0 (0x80000000)
                }
            }
            Method (TELL, 2, NotSerialized)
            {
                If (And (Arg0, 0x00000008))
                {
                    Notify (S03, Arg1)
                }
                If (And (Arg0, 0x00000010))
                {
                    Notify (S04, Arg1)
                }
                If (And (Arg0, 0x00000020))
                {
                    Notify (S05, Arg1)
                }
                If (And (Arg0, 0x00000040))
                {
                    Notify (S06, Arg1)
                }
                If (And (Arg0, 0x00000080))
                {
                    Notify (S07, Arg1)
                }
                If (And (Arg0, 0x00000100))
                {
                    Notify (S08, Arg1)
                }
                If (And (Arg0, 0x00000200))
                {
                    Notify (S09, Arg1)
                }
                If (And (Arg0, 0x00000400))
                {
                    Notify (S0A, Arg1)
                }
                If (And (Arg0, 0x00000800))
                {
                    Notify (S0B, Arg1)
                }
                If (And (Arg0, 0x00001000))
                {
                    Notify (S0C, Arg1)
                }
                If (And (Arg0, 0x00002000))
                {
                    Notify (S0D, Arg1)
                }
                If (And (Arg0, 0x00004000))
                {
                    Notify (S0E, Arg1)
                }
                If (And (Arg0, 0x00008000))
                {
                    Notify (S0F, Arg1)
                }
                If (And (Arg0, 0x00010000))
                {
                    Notify (S10, Arg1)
                }
                If (And (Arg0, 0x00020000))
                {
                    Notify (S11, Arg1)
                }
                If (And (Arg0, 0x00040000))
                {
                    Notify (S12, Arg1)
                }
                If (And (Arg0, 0x00080000))
                {
                    Notify (S13, Arg1)
                }
                If (And (Arg0, 0x00100000))
                {
                    Notify (S14, Arg1)
                }
                If (And (Arg0, 0x00200000))
                {
                    Notify (S15, Arg1)
                }
                If (And (Arg0, 0x00400000))
                {
                    Notify (S16, Arg1)
                }
                If (And (Arg0, 0x00800000))
                {
                    Notify (S17, Arg1)
                }
                If (And (Arg0, 0x01000000))
                {
                    Notify (S18, Arg1)
                }
                If (And (Arg0, 0x02000000))
                {
                    Notify (S19, Arg1)
                }
                If (And (Arg0, 0x04000000))
                {
                    Notify (S1A, Arg1)
                }
                If (And (Arg0, 0x08000000))
                {
                    Notify (S1B, Arg1)
                }
                If (And (Arg0, 0x10000000))
                {
                    Notify (S1C, Arg1)
                }
                If (And (Arg0, 0x20000000))
                {
                    Notify (S1D, Arg1)
                }
                If (And (Arg0, 0x40000000))
                {
                    Notify (S1E, Arg1)
                }
                If (And (Arg0, 0x80000000))
                {
                    Notify (S1F, Arg1)
                }
            }
            Method (PCNT, 0, Serialized)
            {
                Acquire (HPLK, 0xFFFF)
                Store (CAME, Local0)
                Store (WANT, Local1)
                Release (HPLK)
                TELL (Local0, 1)
                TELL (Local1, 3)
            }
        }

        Scope (PCI0.ISA)
        {
            Device (RTC)
            {
                Name (_HID, EisaId ("PNP0B00"))
                Name (_CRS, ResourceTemplate ()
                {
                    IO (Decode16, 0x0070, 0x0070, 1, 8)
                    IRQNoFlags () { 8 }
                })
            }
            Device (PIC)
            {
                Name (_HID, EisaId ("PNP0000"))
                Name (_CRS, ResourceTemplate ()
                {
                    IO (Decode16, 0x0020, 0x0020, 1, 2)
                    IO (Decode16, 0x00A0, 0x00A0, 1, 2)
                    IRQNoFlags () { 2 }
                })
            }
            Device (DMAC)
            {
                Name (_HID, EisaId ("PNP0200"))
                Name (_CRS, ResourceTemplate ()
                {
                    IO (Decode16, 0x0000, 0x0000, 1, 0x10)
                    IO (Decode16, 0x0081, 0x0081, 1, 0x0F)
                    IO (Decode16, 0x00C0, 0x00C0, 1, 0x20)
                    DMA (Compatibility, NotBusMaster, Transfer16) { 4 }
                })
            }
            Device (TMR)
            {
                Name (_HID, EisaId ("PNP0100"))
                Name (_CRS, ResourceTemplate ()
                {
                    IO (Decode16, 0x0040, 0x0040, 1, 4)
                    IRQNoFlags () { 0 }
                })
            }
            Device (SPKR)
            {
                Name (_HID, EisaId ("PNP0800"))
                Name (_CRS, ResourceTemplate ()
                {
                    IO (Decode16, 0x0061, 0x0061, 1, 1)
                })
            }
            Device (FPU)
            {
                Name (_HID, EisaId ("PNP0C04"))
                Name (_CRS, ResourceTemplate ()
                {
                    IO (Decode16, 0x00F0, 0x00F0, 1, 0x10)
                    IRQNoFlags () { 13 }
                })
            }
            Device (KBD)
            {
                Name (_HID, EisaId ("PNP0303"))
                Name (_CRS, ResourceTemplate ()
                {
                    IO (Decode16, 0x0060, 0x0060, 1, 1)
                    IO (Decode16, 0x0064, 0x0064, 1, 1)
                    IRQNoFlags () { 1 }
                })
            }
            Device (MOU)
            {
                Name (_HID, EisaId ("PNP0F13"))
                Name (_CRS, ResourceTemplate ()
                {
                    IRQNoFlags () { 12 }
                })
            }
            Device (COM1)
            {
                Name (_HID, EisaId ("PNP0501"))
                Name (_UID, 1)
                Method (_STA, 0, NotSerialized)
                {
                    Return (PRES (1))
                }
                Name (_CRS, ResourceTemplate ()
                {
                    IO (Decode16, 0x03F8, 0x03F8, 1, 8)
                    IRQNoFlags () { 4 }
                })
            }
            Device (COM2)
            {
                Name (_HID, EisaId ("PNP0501"))
                Name (_UID, 2)
                Method (_STA, 0, NotSerialized)
                {
                    Return (PRES (2))
                }
                Name (_CRS, ResourceTemplate ()
                {
                    IO (Decode16, 0x02F8, 0x02F8, 1, 8)
                    IRQNoFlags () { 3 }
                })
            }
            Device (FDC)
            {
                Name (_HID, EisaId ("PNP0700"))
                Method (_STA, 0, NotSerialized)
                {
                    Return (PRES (4))
                }
                Name (_CRS, ResourceTemplate ()
                {
                    IO (Decode16, 0x03F2, 0x03F2, 1, 4)
                    IO (Decode16, 0x03F7, 0x03F7, 1, 1)
                    IRQNoFlags () { 6 }
                    DMA (Compatibility, NotBusMaster, Transfer8) { 2 }
                })
            }
            /* Ports of the board itself, which nobody else may be given: power management, SMBus, edge/level control. */
            Device (MBRD)
            {
                Name (_HID, EisaId ("PNP0C02"))
                Name (_CRS, ResourceTemplate ()
                {
                    IO (Decode16, 0x0092, 0x0092, 1, 1)
                    IO (Decode16, 0x00B2, 0x00B2, 1, 2)
                    IO (Decode16, 0x04D0, 0x04D0, 1, 2)
                    IO (Decode16, 0x0510, 0x0510, 1, 0x0C)
                    IO (Decode16, 0x0600, 0x0600, 1, 0x40)
                    IO (Decode16, 0x0700, 0x0700, 1, 0x10)
                    IO (Decode16, 0xAE00, 0xAE00, 1, 0x10)
                })
            }
            Method (PRES, 1, NotSerialized)
            {
                If (And (\ISAD, Arg0))
                {
                    Return (0x0F)
                }
                Return (0)
            }
        }

        Device (HPET)
        {
            Name (_HID, EisaId ("PNP0103"))
            Name (_UID, 0)
            Method (_STA, 0, NotSerialized)
            {
                If (\HPTP)
                {
                    Return (0x0F)
                }
                Return (0)
            }
            Name (_CRS, ResourceTemplate ()
            {
                Memory32Fixed (ReadOnly, 0xFED00000, 0x00000400)
            })
        }

        Device (TPM)
        {
            Name (_HID, "MSFT0101")
            Name (_STR, Unicode ("TPM 2.0 Device"))
            Name (_UID, 1)
            Method (_STA, 0, NotSerialized)
            {
                If (\TPMP)
                {
                    Return (0x0F)
                }
                Return (0)
            }
            Name (_CRS, ResourceTemplate ()
            {
                Memory32Fixed (ReadWrite, 0xFED40000, 0x00001000)
            })
        }

        /* Interrupt links: the current IRQ from the routing register, 80h is none. */
        Name (PRSA, ResourceTemplate ()
        {
            Interrupt (ResourceConsumer, Level, ActiveHigh, Shared) { 5, 10, 11 }
        })
        Method (LSTA, 1, NotSerialized)
        {
            If (And (Arg0, 0x80))
            {
                Return (0x09)
            }
            Return (0x0B)
        }
        Name (LBUF, ResourceTemplate ()
        {
            Interrupt (ResourceConsumer, Level, ActiveHigh, Shared, , , LINE) { 0 }
        })
        Method (LCRS, 1, Serialized)
        {
            CreateDWordField (LBUF, ^LINE._INT, IRQN)
            Store (0, IRQN)
            If (LNot (And (Arg0, 0x80)))
            {
                Store (And (Arg0, 0x0F), IRQN)
            }
            Return (LBUF)
        }

        Device (LNKA)
        {
            Name (_HID, EisaId ("PNP0C0F"))
            Name (_UID, 1)
            Method (_STA, 0, NotSerialized)
            {
                Return (LSTA (^^PCI0.ISA.PIRA))
            }
            Method (_PRS, 0, NotSerialized)
            {
                Return (PRSA)
            }
            Method (_DIS, 0, NotSerialized)
            {
                Or (^^PCI0.ISA.PIRA, 0x80, ^^PCI0.ISA.PIRA)
            }
            Method (_CRS, 0, NotSerialized)
            {
                Return (LCRS (^^PCI0.ISA.PIRA))
            }
            Method (_SRS, 1, NotSerialized)
            {
                CreateDWordField (Arg0, 5, IRQN)
                Store (IRQN, ^^PCI0.ISA.PIRA)
            }
        }

        Device (LNKB)
        {
            Name (_HID, EisaId ("PNP0C0F"))
            Name (_UID, 2)
            Method (_STA, 0, NotSerialized)
            {
                Return (LSTA (^^PCI0.ISA.PIRB))
            }
            Method (_PRS, 0, NotSerialized)
            {
                Return (PRSA)
            }
            Method (_DIS, 0, NotSerialized)
            {
                Or (^^PCI0.ISA.PIRB, 0x80, ^^PCI0.ISA.PIRB)
            }
            Method (_CRS, 0, NotSerialized)
            {
                Return (LCRS (^^PCI0.ISA.PIRB))
            }
            Method (_SRS, 1, NotSerialized)
            {
                CreateDWordField (Arg0, 5, IRQN)
                Store (IRQN, ^^PCI0.ISA.PIRB)
            }
        }

        Device (LNKC)
        {
            Name (_HID, EisaId ("PNP0C0F"))
            Name (_UID, 3)
            Method (_STA, 0, NotSerialized)
            {
                Return (LSTA (^^PCI0.ISA.PIRC))
            }
            Method (_PRS, 0, NotSerialized)
            {
                Return (PRSA)
            }
            Method (_DIS, 0, NotSerialized)
            {
                Or (^^PCI0.ISA.PIRC, 0x80, ^^PCI0.ISA.PIRC)
            }
            Method (_CRS, 0, NotSerialized)
            {
                Return (LCRS (^^PCI0.ISA.PIRC))
            }
            Method (_SRS, 1, NotSerialized)
            {
                CreateDWordField (Arg0, 5, IRQN)
                Store (IRQN, ^^PCI0.ISA.PIRC)
            }
        }

        Device (LNKD)
        {
            Name (_HID, EisaId ("PNP0C0F"))
            Name (_UID, 4)
            Method (_STA, 0, NotSerialized)
            {
                Return (LSTA (^^PCI0.ISA.PIRD))
            }
            Method (_PRS, 0, NotSerialized)
            {
                Return (PRSA)
            }
            Method (_DIS, 0, NotSerialized)
            {
                Or (^^PCI0.ISA.PIRD, 0x80, ^^PCI0.ISA.PIRD)
            }
            Method (_CRS, 0, NotSerialized)
            {
                Return (LCRS (^^PCI0.ISA.PIRD))
            }
            Method (_SRS, 1, NotSerialized)
            {
                CreateDWordField (Arg0, 5, IRQN)
                Store (IRQN, ^^PCI0.ISA.PIRD)
            }
        }
    }
    Scope (\_GPE)
    {
        Method (_E01, 0, NotSerialized)
        {
            \_SB.PCI0.PCNT ()
        }
    }
}
