/* SPDX-License-Identifier: GPL-2.0-or-later */
/* directboot.S - option ROM that starts the kernel which the VM's configuration names.
 *
 * It is a "bootstrap entry vector" ROM (BIOS Boot Specification 1.01, Plug and Play BIOS Specification 1.0a), first in the
 * boot order.  The device does the work: by firmware-configuration DMA it copies four blobs (kernel, initial RAM disk,
 * command line, set-up data) to where direct_boot.c has decided, above 1 MiB too, so that no mode switch is needed.
 * Then either Linux's real-mode entry is called (Linux/x86 boot protocol 2.00 and later, also older), or, if there is a
 * 32-bit entry address, the memory map is added to the Multiboot information and the kernel is entered in protected mode
 * (Multiboot 0.6.96). */

/* Keys and control bits of the configuration device. */
KERNEL_ADDRESS  = 0x07
KERNEL_SIZE     = 0x08
INITRD_ADDRESS  = 0x0a
INITRD_SIZE     = 0x0b
KERNEL_ENTRY    = 0x10
KERNEL_DATA     = 0x11
INITRD_DATA     = 0x12
CMDLINE_ADDRESS = 0x13
CMDLINE_SIZE    = 0x14
CMDLINE_DATA    = 0x15
SETUP_ADDRESS   = 0x16
SETUP_SIZE      = 0x17
SETUP_DATA      = 0x18
DMA_HIGH        = 0x514
DMA_LOW         = 0x518
DMA_ERROR       = 1
SELECT_AND_READ = 0x0a

/* Multiboot set-up data: see direct_boot.c.  Segment, and offsets in it. */
INFO_SEGMENT = 0x1000
INFO_LINEAR  = 0x10000
MEM_LOWER    = 4
MEM_UPPER    = 8
MAP_LENGTH   = 44
MAP_ADDRESS  = 48
GDT_POINTER  = 0x0ff8
MAP          = 0xf000
MAP_END      = 0xffc0
MULTIBOOT_MAGIC = 0x2badb002

        .code16
        .globl  _start
_start: .byte   0x55, 0xaa, 0           /* the size is filled in when the ROM is made */
        jmp     init
        .org    0x1a
        .word   pnp
        .balign 16
pnp:    .ascii  "$PnP"
        .byte   1, 2                    /* revision, length / 16 */
        .word   0                       /* next header */
        .byte   0, 0
        .long   0
        .word   maker
        .word   product
        .byte   2, 0, 0, 0xe4           /* type: storage; device: boot */
        .word   0, 0, boot, 0, 0
maker:  .asciz  "Terrarium"
product: .asciz "Direct kernel boot"
failed: .asciz  "\r\nDirect boot: the kernel does not fit into the guest's memory.\r\n"

init:   mov     $0x20, %ax              /* an initial program load device is attached */
        lret

/* Copies ecx bytes of blob ax to the physical address edx.  Keeps everything. */
dma:    pushal
        sub     $16, %sp
        mov     %sp, %bp
        shl     $16, %eax
        or      $SELECT_AND_READ, %eax
        bswap   %eax
        bswap   %ecx
        bswap   %edx
        mov     %eax, (%bp)
        mov     %ecx, 4(%bp)
        movl    $0, 8(%bp)
        mov     %edx, 12(%bp)
        xor     %ecx, %ecx
        mov     %ss, %cx
        shl     $4, %ecx
        movzwl  %bp, %eax
        add     %eax, %ecx
        bswap   %ecx
        xor     %eax, %eax
        mov     $DMA_HIGH, %dx
        out     %eax, %dx
        mov     %ecx, %eax
        mov     $DMA_LOW, %dx
        out     %eax, %dx
1:      mov     (%bp), %eax
        bswap   %eax
        test    $~DMA_ERROR, %eax
        jnz     1b
        test    $DMA_ERROR, %al
        jnz     fail
        add     $16, %sp
        popal
        ret

/* The 32-bit number of key ax, in eax. */
number: push    %ecx
        push    %edx
        push    %bp
        pushl   $0
        mov     %sp, %bp
        xor     %edx, %edx
        mov     %ss, %dx
        shl     $4, %edx
        movzwl  %bp, %ecx
        add     %ecx, %edx
        mov     $4, %ecx
        call    dma
        pop     %eax
        pop     %bp
        pop     %edx
        pop     %ecx
        ret

/* Loads a blob: keys of address (ax), size (bx) and data (si). */
load:   call    number
        mov     %eax, %edx
        mov     %bx, %ax
        call    number
        mov     %eax, %ecx
        jecxz   1f
        mov     %si, %ax
        call    dma
1:      ret

fail:   push    %cs
        pop     %ds
        mov     $failed, %si
1:      lodsb
        test    %al, %al
        jz      2f
        mov     $0x0e, %ah
        mov     $7, %bx
        int     $0x10
        jmp     1b
2:      int     $0x18                   /* the next boot device */
        hlt
        jmp     2b

boot:   cld
        mov     $SETUP_ADDRESS, %ax
        mov     $SETUP_SIZE, %bx
        mov     $SETUP_DATA, %si
        call    load
        mov     $CMDLINE_ADDRESS, %ax
        mov     $CMDLINE_SIZE, %bx
        mov     $CMDLINE_DATA, %si
        call    load
        mov     $KERNEL_ADDRESS, %ax
        mov     $KERNEL_SIZE, %bx
        mov     $KERNEL_DATA, %si
        call    load
        mov     $INITRD_ADDRESS, %ax
        mov     $INITRD_SIZE, %bx
        mov     $INITRD_DATA, %si
        call    load
        mov     $KERNEL_ENTRY, %ax
        call    number
        test    %eax, %eax
        jnz     multiboot

/* Linux: all segments at the real-mode code, the stack below the command line, entry at 200h. */
linux:  mov     $SETUP_ADDRESS, %ax
        call    number
        mov     %eax, %ebx
        mov     $CMDLINE_ADDRESS, %ax
        call    number
        sub     %ebx, %eax
        sub     $16, %eax
        shr     $4, %ebx
        cli
        mov     %bx, %ss
        mov     %ax, %sp
        mov     %bx, %ds
        mov     %bx, %es
        mov     %bx, %fs
        mov     %bx, %gs
        add     $0x20, %bx
        push    %bx
        push    $0
        xor     %eax, %eax
        xor     %ebx, %ebx
        xor     %ecx, %ecx
        xor     %edx, %edx
        xor     %esi, %esi
        xor     %edi, %edi
        xor     %ebp, %ebp
        lret

/* eax: the 32-bit entry. */
multiboot:
        push    %eax
        mov     $INFO_SEGMENT, %ax
        mov     %ax, %ds
        mov     %ax, %es
        int     $0x12                   /* KiB below 640 KiB */
        movzwl  %ax, %eax
        mov     %eax, MEM_LOWER
        xor     %cx, %cx
        xor     %dx, %dx
        mov     $0xe801, %ax            /* KiB from 1 to 16 MiB, 64 KiB above that */
        int     $0x15
        jcxz    1f
        mov     %cx, %ax
        mov     %dx, %bx
1:      movzwl  %ax, %eax
        movzwl  %bx, %ebx
        shl     $6, %ebx
        add     %ebx, %eax
        mov     %eax, MEM_UPPER
        mov     $MAP, %di
        xor     %ebx, %ebx
2:      movl    $20, (%di)
        add     $4, %di
        mov     $0xe820, %eax
        mov     $0x534d4150, %edx
        mov     $20, %ecx
        int     $0x15
        jc      3f
        add     $20, %di
        test    %ebx, %ebx
        jz      4f
        cmp     $MAP_END, %di
        jb      2b
        jmp     4f
3:      sub     $4, %di
4:      movzwl  %di, %eax
        sub     $MAP, %eax
        mov     %eax, MAP_LENGTH
        movl    $INFO_LINEAR + MAP, MAP_ADDRESS
        pop     %esi                    /* the entry */
        cli
        lgdtl   GDT_POINTER
        mov     %cr0, %eax
        or      $1, %al
        xor     %ebx, %ebx
        mov     %cs, %bx
        shl     $4, %ebx
        add     $flat, %ebx
        mov     %eax, %cr0
        pushl   $8
        pushl   %ebx
        lretl

        .code32
flat:   mov     $16, %eax
        mov     %eax, %ds
        mov     %eax, %es
        mov     %eax, %fs
        mov     %eax, %gs
        mov     %eax, %ss
        mov     $MULTIBOOT_MAGIC, %eax
        mov     $INFO_LINEAR, %ebx
        jmp     *%esi
        .byte   0                       /* room for the checksum */
