/* SPDX-License-Identifier: GPL-2.0-or-later
 * A DOS program (.COM) for state.py: counts with the BIOS's ticks until a key is pressed.  Each number goes to COM1 as
 * "@A NUMBER SUM" and, with its place on the disk made sure of, to the file LOG.TXT, which stays open all the time.  With
 * "@T NUMBER TICKS" the BIOS's clock. */
    .code16
    .globl start
start:
    mov $0x3c, %ah /* create the file */
    xor %cx, %cx
    mov $file, %dx
    int $0x21
    jc failed
    mov %ax, handle
next:
    incl number
    call wait_for_tick
    call sum
    mov number, %eax
    mov $digits_end, %di
    call decimal
    mov %di, %dx /* its digits, with the line's end behind them */
    call to_file
    mov $tag_a, %si
    call print
    mov %dx, %si
    call print_number
    movzwl total, %eax
    call print_value
    mov $tag_t, %si
    call print
    mov %dx, %si
    call print_number
    mov %fs:0x6c, %eax
    call print_value
    mov $1, %ah /* a key? */
    int $0x16
    jz next
    mov $0x3e, %ah
    mov handle, %bx
    int $0x21
    mov $tag_end, %si
    call print
stop:
    hlt
    jmp stop
failed:
    mov $tag_failed, %si
    call print
    jmp stop

/* FS: the BIOS's data */
wait_for_tick:
    mov $0x40, %ax
    mov %ax, %fs
    mov %fs:0x6c, %eax
1:  hlt
    cmp %fs:0x6c, %eax
    je 1b
    ret

sum: /* of 1 to 150 */
    xor %ax, %ax
    mov $150, %cx
1:  add %cx, %ax
    loop 1b
    mov %ax, total
    ret

decimal: /* of EAX, before DI */
    mov $10, %ecx
1:  xor %edx, %edx
    div %ecx
    add $'0', %dl
    dec %di
    mov %dl, (%di)
    test %eax, %eax
    jnz 1b
    ret

to_file: /* from DX to the line's end */
    push %dx
    mov $digits_end + 2, %cx
    sub %dx, %cx
    mov handle, %bx
    mov $0x40, %ah
    int $0x21
    jc failed
    mov $0x68, %ah /* to the disk, with the folder's entry */
    int $0x21
    jc failed
    pop %dx
    ret

print_value: /* EAX, and the line's end */
    push %dx
    mov $value_end, %di
    call decimal
    mov %di, %si
    call print
    mov $line_end, %si
    call print
    pop %dx
    ret

print_number: /* at SI, up to the line's end, and a space */
    push %dx
1:  lodsb
    cmp $13, %al
    je 2f
    call put
    jmp 1b
2:  mov $' ', %al
    call put
    pop %dx
    ret

print: /* at SI, up to a zero */
    push %dx
1:  lodsb
    test %al, %al
    jz 2f
    call put
    jmp 1b
2:  pop %dx
    ret

put: /* AL, when COM1 is ready for it */
    push %ax
    mov $0x3fd, %dx
1:  in %dx, %al
    test $0x20, %al
    jz 1b
    pop %ax
    mov $0x3f8, %dx
    out %al, %dx
    ret

file:       .asciz "A:\\LOG.TXT"
tag_a:      .asciz "@A "
tag_t:      .asciz "@T "
tag_end:    .asciz "@END\r\n"
tag_failed: .asciz "@FAILED\r\n"
line_end:   .asciz "\r\n"
handle:     .word 0
total:      .word 0
number:     .long 0
digits:     .space 10
digits_end: .ascii "\r\n"
value:      .space 10
value_end:  .byte 0
