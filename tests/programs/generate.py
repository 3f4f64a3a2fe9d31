# SPDX-License-Identifier: GPL-2.0-or-later
"""Prints a C program of about 2000 lines, the same one each time: integer, floating-point, string and table code."""
import random

random.seed(20240)
print("#include <stdio.h>\n#include <string.h>\n#include <math.h>\n#include <stdint.h>")
NAMES = []
for i in range(150):
    kind = i % 5
    NAMES.append((f"f{i}", kind))
    if kind == 0:
        body = ["uint32_t a = x, b = 1;"] + [
            f"a = a * {random.randrange(1 << 32)}u + (b >> {random.randrange(1, 31)}); "
            f"b {random.choice(['^=', '+=', '-='])} a {random.choice(['<<', '>>'])} {random.randrange(1, 31)};"
            for _ in range(8)] + ["return a ^ b;"]
    elif kind == 1:
        body = ["double s = x * 0.5;"] + [
            f"s = {random.choice(['sqrt(fabs(s) + 1)', 's * 1.0001 + 3', 'sin(s) * 100', 'fmod(s, 17) + x % 13'])}"
            f" {random.choice('+-')} {random.random():.6f};" for _ in range(8)] + ["return (uint32_t)(int64_t)(s * 1000);"]
    elif kind == 2:
        body = ["char t[64];", "int n = snprintf(t, sizeof t, \"%u:%x\", x, x);", "uint32_t h = 5381;"] + [
            f"for (int i = 0; i < n; i++) h = h * {random.choice([31, 33, 65599])} + t[(i + {random.randrange(9)}) % n];"
            for _ in range(6)] + ["return h;"]
    elif kind == 3:
        body = [f"static const uint32_t table[16] = {{{', '.join(str(random.randrange(1 << 32)) + 'u' for _ in range(16))}}};",
                "uint64_t s = x;"] + [
            f"for (int i = 0; i < 16; i++) s = (s << {random.randrange(1, 20)}) + (table[i ^ (s & 15)] % ((uint32_t)s | 1));"
            for _ in range(6)] + ["return s ^ s >> 32;"]
    else:
        body = ["switch (x % 8) {"] + [
            f"case {n}: return x * {random.randrange(1, 99)} + {random.randrange(1 << 16)};" for n in range(8)] + ["}", "return 0;"]
    print(f"static uint32_t f{i}(uint32_t x)\n{{")
    for line in body:
        print(f"    {line}")
    print("}\n")
print("int main(void)\n{\n    uint32_t s = 1;\n    for (int i = 0; i < 20000; i++) {")
for name, _ in NAMES:
    print(f"        s += {name}(s ^ i);")
print('    }\n    printf("%u\\n", s);\n    return 0;\n}')
