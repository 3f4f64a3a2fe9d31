# SPDX-License-Identifier: GPL-2.0-or-later
"""Plain Python: loops, dictionaries, strings, long integers, floats, exceptions, classes."""
import hashlib
import json
import re


class Point:
    def __init__(self, x, y):
        self.x, self.y = x, y

    def __add__(self, other):
        return Point(self.x + other.x, self.y - other.y)


def primes(n):
    sieve = bytearray([1]) * (n + 1)
    for i in range(2, int(n ** 0.5) + 1):
        if sieve[i]:
            sieve[i * i::i] = bytes(len(range(i * i, n + 1, i)))
    return sum(sieve[2:])


def words(n):
    count, x = {}, 12345
    for _ in range(n):
        x = (x * 1103515245 + 12345) & 0x7fffffff
        w = "w%d" % (x >> 12 & 1023)
        count[w] = count.get(w, 0) + 1
    return sorted(count.items(), key=lambda p: (-p[1], p[0]))[:5]


def digits_of_e(n):
    a, b = 0, 1
    for k in range(n, 0, -1):
        a, b = b + a, b * k
    return str((a + b) * 10 ** 50 // b)[:50]


def numbers(n):
    p, s = Point(0, 0), 0.0
    for i in range(1, n):
        p = p + Point(i % 7, i % 3)
        s += 1.0 / i ** 1.5
        try:
            s += 1 / (i % 1000)
        except ZeroDivisionError:
            s -= 1
    return p.x, p.y, repr(s)


text = json.dumps([{"id": i, "name": "n%d" % (i * i), "list": list(range(i % 9))} for i in range(20000)])
print(primes(3000000), words(400000), digits_of_e(1500), numbers(500000))
print(len(json.loads(text)), len(re.findall(r'"n(\d+)[05]"', text)), hashlib.md5(text.encode()).hexdigest())
