/* SPDX-License-Identifier: GPL-2.0-or-later
 * guests.S - the little guests of the engine tests.  Each is copied to the address that ORG names and uses 0x600 and up
 * for results, 0xe9 for text, 0xf4 to finish (bare_machine.h). */
#define ORG 0x8000
#define AT(label, start) (label - start + ORG)
#define RESULT 0x600
#define MMIO 0xd0000000
#define APIC 0xfee00000

.macro guest name
    .balign 16
    .global \name
\name:
.endm
.macro guest_end name
    .global \name\()_end
\name\()_end:
.endm

    .section .rodata

/* Port I/O of every width, single and repeated. */
    .code16
guest g_ports
    movw $0x300, %dx
    movl $0x12345678, %eax
    outb %al, %dx
    outw %ax, %dx
    outl %eax, %dx
    xorl %eax, %eax
    inb %dx, %al
    movl %eax, RESULT
    xorl %eax, %eax
    inw %dx, %ax
    movl %eax, RESULT+4
    inl %dx, %eax
    movl %eax, RESULT+8
    cld
    movw $AT(2f, g_ports), %si
    movw $0xe9, %dx
    movw $5, %cx
    rep outsb
    movw $RESULT+16, %di
    movw $0x300, %dx
    movw $3, %cx
    rep insw
    outb %al, $0xf4
1:  hlt
    jmp 1b
2:  .ascii "hello"
guest_end g_ports

/* A port that changes registers: 32-bit code. */
    .code32
guest g_registers
    movl $0x11111111, %ebx
    movl $0x22222222, %ecx
    movl $0x44444444, %esi
    movl $0x55555555, %edi
    movl $0x66666666, %ebp
    movl %esp, RESULT+32
    movl $0x310, %edx
    movl $0x564d5868, %eax
    inl %dx, %eax
    movl %eax, RESULT
    movl %ebx, RESULT+4
    movl %ecx, RESULT+8
    movl %edx, RESULT+12
    movl %esi, RESULT+16
    movl %edi, RESULT+20
    movl %ebp, RESULT+24
    movl %esp, RESULT+28
    outb %al, $0xf4
1:  hlt
    jmp 1b
guest_end g_registers

/* MMIO of every width, a read-modify-write, and accesses across the page's end. */
    .code32
guest g_mmio
    movl $MMIO, %edi
    movb $0x11, (%edi)
    movw $0x2233, 2(%edi)
    movl $0x44556677, 4(%edi)
    movq AT(3f, g_mmio), %mm0
    movq %mm0, 8(%edi)
    emms
    movzbl (%edi), %eax
    movl %eax, RESULT
    movzwl 2(%edi), %eax
    movl %eax, RESULT+4
    movl 4(%edi), %eax
    movl %eax, RESULT+8
    orl $0x88000000, 4(%edi)
    movl $0xcafebabe, 0xffd(%edi)
    movl 0xffd(%edi), %eax
    movl %eax, RESULT+12
    outb %al, $0xf4
1:  hlt
    jmp 1b
3:  .quad 0x0102030405060708
guest_end g_mmio

/* 64-bit mode: registers, SSE2, CMPXCHG16B. */
    .code64
guest g_long
    movabs $0x1122334455667788, %r8
    mov %r8, %r15
    bswap %r15
    mov %r15, RESULT
    movl $0x600+32, %esi
    xorl %eax, %eax
    xorl %edx, %edx
    movl $3, %ecx
    movl $4, %ebx
    lock cmpxchg16b (%rsi)
    setz RESULT+8
    movups (%rsi), %xmm9
    paddq %xmm9, %xmm9
    movups %xmm9, RESULT+48
    outb %al, $0xf4
1:  hlt
    jmp 1b
guest_end g_long

    .code32
guest g_spin
1:  lock incl RESULT
    jmp 1b
guest_end g_spin

/* Counts interrupts in RESULT; RESULT+4 grows with every HLT that ended. */
    .code16
guest g_halt16
1:  sti
    hlt
    incl RESULT+4
    jmp 1b
guest_end g_halt16

guest g_count16
    incl RESULT
    iret
guest_end g_count16

/* Interrupts open for one instruction of four only. */
guest g_busy16
1:  sti
    nop
    cli
    incl RESULT+4
    movw $0x300, %dx
    outb %al, %dx
    jmp 1b
guest_end g_busy16

/* Waits with interrupts off until RESULT+8 is set, then opens them. */
guest g_window16
1:  cmpl $0, RESULT+8
    je 1b
    sti
2:  incl RESULT+4
    jmp 2b
guest_end g_window16

/* APIC on, then wait for interrupts. */
    .code32
guest g_apic
    movl $0x1ff, APIC+0xf0
    movl $1, RESULT+8
1:  sti
    hlt
    incl RESULT+4
    jmp 1b
guest_end g_apic

guest g_apic_count
    incl RESULT
    movl $0, APIC+0xb0
    iret
guest_end g_apic_count

guest g_nmi
    incl RESULT+12
    iret
guest_end g_nmi

/* CR8 from RESULT+32; what it reads back to RESULT. */
    .code64
guest g_cr8
    movl RESULT+32, %eax
    mov %rax, %cr8
    mov %cr8, %rcx
    movl %ecx, RESULT
    outb %al, $0xf4
1:  hlt
    jmp 1b
guest_end g_cr8

    .code32
/* The boot processor starts the other one at 0x9000 and waits for its sign. */
guest g_bsp
    movl $0x1ff, APIC+0xf0
    movl $0x01000000, APIC+0x310
    movl $0x00004500, APIC+0x300
1:  testl $0x1000, APIC+0x300
    jnz 1b
    movl $0x01000000, APIC+0x310
    movl $0x00004609, APIC+0x300
2:  cmpl $0x77, RESULT
    jne 2b
    outb %al, $0xf4
3:  hlt
    jmp 3b
guest_end g_bsp

    .code16
guest g_ap
    movl $0x77, RESULT
    movw %cs, %ax
    movw %ax, RESULT+4
    movb $'A', %al
    outb %al, $0xe9
    outb %al, $0xf4
1:  hlt
    jmp 1b
guest_end g_ap

/* Writes to pages 0x200, 0x203 and 0x2ff. */
    .code32
guest g_dirty
    movl $1, 0x200000
    movl $1, 0x203abc
    movl $1, 0x2ffffc
    outb %al, $0xf4
    movl $1, 0x204000
    outb %al, $0xf4
1:  hlt
    jmp 1b
guest_end g_dirty

/* Writes to 0x300000 (read-only) and reads it back. */
guest g_readonly
    movl $0x5555aaaa, 0x300010
    movl 0x300010, %eax
    movl %eax, RESULT
    outb %al, $0xf4
1:  hlt
    jmp 1b
guest_end g_readonly

/* Reads the same word at 0x400000 over and over; anything but 0xabad1dea ends it. */
guest g_remap
1:  incl RESULT
    cmpl $0xabad1dea, 0x400ffc
    jne 2f
    cmpl $0, RESULT+8
    je 1b
    movl $1, RESULT+4
2:  outb %al, $0xf4
3:  hlt
    jmp 3b
guest_end g_remap

/* The first word of each page from 0x300 to 0x7ff into the table at 0x100000. */
guest g_sum
    movl $0x300, %ecx
1:  movl %ecx, %esi
    shll $12, %esi
    movl (%esi), %eax
    movl %eax, 0x100000(,%ecx,4)
    incl %ecx
    cmpl $0x800, %ecx
    jne 1b
    outb %al, $0xf4
2:  hlt
    jmp 2b
guest_end g_sum

guest g_triple
    lidt AT(1f, g_triple)
    ud2
1:  .word 0
    .long 0
guest_end g_triple

guest g_jump_nowhere
    movl $0x12345, %ebx
    movl $MMIO, %eax
    jmp *%eax
guest_end g_jump_nowhere

/* Work to be interrupted, saved and gone on with elsewhere: integers, SSE2 and x87, with port I/O now and then.
 * Iterations in RESULT+32; results at RESULT. */
    .code64
guest g_work
    movl RESULT+32, %ecx
    movl $1, %eax
    pxor %xmm3, %xmm3
    movl $3, %edx
    movd %edx, %xmm4
    fninit # RESET leaves x87 with #IS unmasked and all registers in use
    fld1
    fldz
1:  lea (%rax,%rax,4), %rax
    add %rcx, %rax
    rol $7, %rax
    paddq %xmm4, %xmm3
    fadd %st(1), %st
    testb $0x3f, %cl
    jnz 2f
    mov %rax, %r12
    movw $0x300, %dx
    inl %dx, %eax
    movl %eax, RESULT+40
    mov %r12, %rax
2:  dec %ecx
    jnz 1b
    mov %rax, RESULT
    movq %xmm3, RESULT+8
    fistpll RESULT+16
    outb %al, $0xf4
3:  hlt
    jmp 3b
guest_end g_work

/* Round and round through the CPU's modes until RESULT+32 is set: real, protected with null segments, virtual 8086 if
 * RESULT+36 is set, 64-bit with a null SS and an FS that is null but has a base, protected 16-bit, and real again with the
 * 4 GiB limit of what DS had ("unreal").  Each counts at RESULT, and takes a while. */
#define CODE32 8
#define DATA32 16
#define TSS    24
#define CODE64 32
#define CODE16 40
#define MODES_STACK 0x7000
.macro a_while
    movl $60, %ecx
9:  decl %ecx
    jnz 9b
.endm
    .code16
guest g_modes
    lgdtl AT(gdt_pointer, g_modes)
    lidtl AT(idt_pointer, g_modes)
round:
    a_while
    movl %cr0, %eax
    orl $1, %eax
    movl %eax, %cr0
    ljmpl $CODE32, $AT(1f, g_modes)
    .code32
1:  movl $DATA32, %eax
    movl %eax, %ds
    movl %eax, %es
    movl %eax, %ss
    xorl %eax, %eax
    movl %eax, %fs
    movl %eax, %gs
    lldt %ax
    andb $0xfd, AT(tss_descriptor, g_modes) + 5
    movl $TSS, %eax
    ltr %ax
    incl RESULT
    a_while
    cmpl $0, RESULT+36
    je no_v86
    pushl $0x60 /* GS, FS, DS, ES, SS:ESP, EFLAGS with VM and IOPL 3, CS:EIP */
    pushl $0x50
    pushl $0x20
    pushl $0x10
    pushl $0x30
    pushl $0x6000
    pushl $0x23002
    pushl $0
    pushl $AT(1f, g_modes)
    iretl
    .code16
1:  incl RESULT + 4 - 0x200 /* DS is 0x20 */
    a_while
    int $0x40
    .code32
back_from_v86:
    movl $DATA32, %eax
    movl %eax, %ds
    movl %eax, %es
    movl $MODES_STACK, %esp
no_v86:
    movl %cr4, %eax
    orl $0x20, %eax
    movl %eax, %cr4
    movl $0x2000, %eax
    movl %eax, %cr3
    movl $0xc0000080, %ecx
    rdmsr
    orl $0x100, %eax
    wrmsr
    movl %cr0, %eax
    orl $0x80000000, %eax
    movl %eax, %cr0
    ljmpl $CODE64, $AT(1f, g_modes)
    .code64
1:  xorl %eax, %eax
    movl %eax, %ss
    movl %eax, %ds
    xorl %edx, %edx
    movl $RESULT, %eax
    movl $0xc0000100, %ecx
    wrmsr
    movl $8, %eax
    incl %fs:(%rax)
    a_while
    ljmpl *AT(to_32, g_modes)
    .code32
back_from_64:
    movl $DATA32, %eax
    movl %eax, %ds
    movl %eax, %ss
    movl %cr0, %eax
    andl $0x7fffffff, %eax
    movl %eax, %cr0
    movl $0xc0000080, %ecx
    rdmsr
    andl $~0x100, %eax
    wrmsr
    ljmpl $CODE16, $AT(1f, g_modes)
    .code16
1:  a_while
    movl %cr0, %eax
    andl $~1, %eax
    movl %eax, %cr0
    ljmpl $0, $AT(1f, g_modes)
1:  a_while
    movl $0x200000, %ebx /* far above what a real-mode segment reaches */
    incl (%ebx)
    xorw %ax, %ax
    movw %ax, %ss
    movw %ax, %es
    movw %ax, %fs
    movw %ax, %gs
    movl $MODES_STACK, %esp
    cmpl $0, RESULT+32
    je round
    movl (%ebx), %eax
    movl %eax, RESULT+12
    outb %al, $0xf4
1:  hlt
    jmp 1b
    .balign 8
to_32:
    .long AT(back_from_64, g_modes)
    .word CODE32
    .balign 8
gdt:
    .quad 0, 0x00cf9b000000ffff, 0x00cf93000000ffff
tss_descriptor:
    .quad 0x0000890000000067 + (AT(tss, g_modes) << 16), 0x00af9b000000ffff, 0x00009b000000ffff
gdt_pointer:
    .word 47
    .long AT(gdt, g_modes)
idt_pointer: /* vector 0x40 alone */
    .word 0x40 * 8 + 7
    .long AT(gate, g_modes) - 0x40 * 8
gate:
    .word AT(back_from_v86, g_modes), CODE32, 0xee00, 0
tss:
    .long 0, MODES_STACK, DATA32
    .fill 23, 4, 0
guest_end g_modes

/* The TSC to RESULT, and what CPUID leaf RESULT+32, subleaf RESULT+36 says to RESULT+16. */
    .code64
guest g_tsc
1:  rdtsc
    movl %eax, RESULT
    movl %edx, RESULT+4
    movl RESULT+32, %eax
    movl RESULT+36, %ecx
    cpuid
    movl %eax, RESULT+16
    movl %ebx, RESULT+20
    movl %ecx, RESULT+24
    movl %edx, RESULT+28
    outb %al, $0xf4
    jmp 1b
guest_end g_tsc

/* Reads the MSR that is asked for. */
guest g_read_msr
1:  movl RESULT+32, %ecx
    rdmsr
    movl %eax, RESULT+16
    movl %edx, RESULT+20
    outb %al, $0xf4
    jmp 1b
guest_end g_read_msr

/* Adds 2^40 to its TSC, then goes on as g_tsc. */
guest g_wrtsc
    movl $0x10, %ecx
    rdmsr
    addl $0x100, %edx
    wrmsr
    outb %al, $0xf4
1:  rdtsc
    movl %eax, RESULT
    movl %edx, RESULT+4
    outb %al, $0xf4
    jmp 1b
guest_end g_wrtsc

/* Switches KVM's paravirtual clock on, which CPUID does not offer. */
guest g_pvclock
    movl $0x4b564d01, %ecx
    movl $(RESULT + 1), %eax
    xorl %edx, %edx
    wrmsr
    outb %al, $0xf4
1:  hlt
    jmp 1b
guest_end g_pvclock

/* One round after another: says that it has come to the round, waits for GO, stores, has a barrier, loads and says what it saw. */
    .code32
guest g_barrier
    xorl %ebx, %ebx
1:  incl %ebx
    movl %ebx, RESULT
2:  movl RESULT+0x300, %eax /* the load is quicker than the store so */
    cmpl %ebx, RESULT+0x100
    jb 2b
    movl %ebx, RESULT+0x200
    lock addl $0, -4(%esp)
    movl RESULT+0x300, %eax
    movl %eax, RESULT+0x400
    jmp 1b
guest_end g_barrier

/* Stores with a non-temporal hint, 16 bytes from RESULT+16 on each. */
guest g_hints
    movups RESULT, %xmm0
    movq RESULT, %mm0
    movl RESULT, %eax
    movntps %xmm0, RESULT+16
    movntpd %xmm0, RESULT+32
    movntdq %xmm0, RESULT+48
    movntq %mm0, RESULT+64
    movnti %eax, RESULT+80
    outb %al, $0xf4
1:  hlt
    jmp 1b
guest_end g_hints

    .section .note.GNU-stack, "", @progbits
