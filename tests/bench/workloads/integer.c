// SPDX-License-Identifier: GPL-2.0-or-later
// Integer arithmetic in straight code and short loops, and what is hard to predict: branches, indirect jumps, calls.
#include "bench.h"
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define READ_WRITE (PROT_READ | PROT_WRITE)

// ---- A sieve over the odd numbers below 512 Ki: byte stores at growing distances.
#define SIEVE (256 * KB)

static uint8_t *composite;

static void prepare_sieve(void)
{
    composite = pages(SIEVE, READ_WRITE);
}

static uint64_t run_sieve(uint64_t passes)
{
    uint64_t sum = 0;
    while (passes--) {
        memset(composite, 0, SIEVE);
        for (uint32_t i = 1; i < SIEVE; i++) {
            if (composite[i])
                continue;
            uint32_t prime = 2 * i + 1;
            sum += prime;
            for (uint32_t k = i + prime; k < SIEVE; k += prime)
                composite[k] = 1;
        }
    }
    return sum;
}

// ---- SHA-256 (FIPS 180-4) of a message that fills 64 KiB with its padding.
#define MESSAGE (64 * KB - 64)

static uint32_t sha_round[64], sha_begin[8];
static uint8_t *message;

// The first 32 bits behind the point of the ROOT-th root of a small prime, by Newton's method.
static uint32_t root_bits(unsigned prime, int root)
{
    long double x = prime;
    for (int i = 0; i < 40; i++)
        x = root == 2 ? (x + prime / x) / 2 : (2 * x + prime / (x * x)) / 3;
    return (uint32_t)(uint64_t)(x * 4294967296.0L);
}

static void prepare_sha(void)
{
    unsigned n = 0;
    for (unsigned p = 2; n < 64; p++) {
        unsigned d = 2;
        while (d * d <= p && p % d)
            d++;
        if (d * d <= p)
            continue;
        if (n < 8)
            sha_begin[n] = root_bits(p, 2);
        sha_round[n++] = root_bits(p, 3);
    }
    message = pages(64 * KB, READ_WRITE);
    for (uint32_t i = 0; i < MESSAGE; i++)
        message[i] = (uint8_t)(i * i >> 3);
    message[MESSAGE] = 0x80;
    uint32_t bits = __builtin_bswap32(MESSAGE * 8);
    memcpy(message + 64 * KB - 4, &bits, 4);
}

static inline uint32_t turn(uint32_t x, int bits)
{
    return x >> bits | x << (32 - bits);
}

static __attribute__((noinline)) void sha_block(uint32_t state[8], const uint8_t *block)
{
    uint32_t w[64], s[8];
    memcpy(w, block, 64);
    memcpy(s, state, 32);
    for (int i = 0; i < 16; i++)
        w[i] = __builtin_bswap32(w[i]);
    for (int i = 16; i < 64; i++) {
        uint32_t a = w[i - 15], b = w[i - 2];
        w[i] = w[i - 16] + w[i - 7] + (turn(a, 7) ^ turn(a, 18) ^ a >> 3) + (turn(b, 17) ^ turn(b, 19) ^ b >> 10);
    }
    for (int i = 0; i < 64; i++) {
        uint32_t e = s[4], a = s[0];
        uint32_t in =
            s[7] + (turn(e, 6) ^ turn(e, 11) ^ turn(e, 25)) + (s[6] ^ (e & (s[5] ^ s[6]))) + sha_round[i] + w[i];
        uint32_t out = (turn(a, 2) ^ turn(a, 13) ^ turn(a, 22)) + ((a & (s[1] | s[2])) | (s[1] & s[2]));
        s[7] = s[6], s[6] = s[5], s[5] = e, s[4] = s[3] + in;
        s[3] = s[2], s[2] = s[1], s[1] = a, s[0] = in + out;
    }
    for (int i = 0; i < 8; i++)
        state[i] += s[i];
}

static uint64_t run_sha(uint64_t passes)
{
    uint32_t state[8] = {0};
    while (passes--) {
        memcpy(state, sha_begin, sizeof state);
        for (uint32_t at = 0; at < 64 * KB; at += 64)
            sha_block(state, message + at);
    }
    return (uint64_t)state[0] << 32 | state[1]; // the digest's first 16 digits
}

// ---- LZSS: text of few words is packed with a window of 4 KiB; a control byte goes before every eight items.
#define TEXT (64 * KB)

static struct buffers lz;
static uint16_t seen[2048]; // where these three bytes stood last, plus one

static void prepare_lz(void)
{
    static const char *const words[] = {"sector", "in", "gate",   "of", "the", "descriptor", "a",  "line",
                                        "timer",  "to", "vector", "is", "not", "interrupt",  "an", "page"};
    lz = two_buffers(2 * TEXT);
    for (uint32_t i = 0; i < TEXT;) {
        const char *w = words[next_random() >> 9 & 15];
        while (*w && i < TEXT)
            lz.from[i++] = (uint8_t)*w++;
        if (i < TEXT)
            lz.from[i++] = next_random() >> 28 ? ' ' : '\n';
    }
}

static uint32_t match_length(const uint8_t *a, const uint8_t *b, uint32_t most)
{
    uint32_t n = 0;
    while (n < most && a[n] == b[n])
        n++;
    return n;
}

static uint32_t pack(const uint8_t *in, uint8_t *out)
{
    uint32_t o = 0, control = 0, items = 0;
    memset(seen, 0, sizeof seen);
    for (uint32_t i = 0; i < TEXT; items++) {
        if (items % 8 == 0)
            out[control = o++] = 0;
        uint32_t key = (in[i] | in[i + 1] << 8 | in[i + 2] << 16) * 0x9e3779b1u >> 21;
        uint32_t from = seen[key], length = 0;
        seen[key] = (uint16_t)(i + 1);
        if (from && from - 1 < i && i - (from - 1) < 4096)
            length = match_length(in + from - 1, in + i, TEXT - i < 18 ? TEXT - i : 18);
        if (length >= 3) {
            uint32_t back = i - (from - 1);
            out[control] |= (uint8_t)(1u << items % 8);
            out[o++] = (uint8_t)back;
            out[o++] = (uint8_t)(back >> 8 << 4 | (length - 3));
            i += length;
        } else {
            out[o++] = in[i++];
        }
    }
    return o;
}

static uint64_t run_lz(uint64_t passes)
{
    uint32_t size = 0;
    while (passes--)
        size = pack(lz.from, lz.to);
    return hash(lz.to, size);
}

// ---- Multiplications and divisions of the machine's word, each waiting for the one before.
static uint64_t run_muldiv(uint64_t passes)
{
    unsigned long x = 2463534242, sum = 1;
    while (passes--) {
        x = x * (unsigned long)6364136223846793005 + 1442695041;
        unsigned long divisor = x >> 10 | 1;
        sum += (x ^ sum) / divisor + sum % 997 * divisor;
    }
    return sum;
}

// ---- An interpreter by indirect jumps: counts the steps of the 3n+1 sequences that begin with 1 ... 200.
enum op { SET, ADD, AND, SHIFT, TRIPLE, IF_ZERO, IF_EQUAL, GO, LESS, STOP };

static const uint8_t program[][3] = {
    {SET, 0, 1},       // 0: r0, where the sequence begins
    {SET, 1, 0},       // 1: r1 = r0
    {ADD, 1, 0},       // 2
    {IF_EQUAL, 1, 11}, // 3: r1 = 1: next one
    {SET, 2, 0},       // 4: r2 = r1 & 1
    {ADD, 2, 1},       // 5
    {AND, 2, 1},       // 6
    {IF_ZERO, 2, 10},  // 7
    {TRIPLE, 1, 1},    // 8: odd: r1 = 3 * r1 + 1
    {GO, 3, 3},        // 9: r3 counts
    {SHIFT, 1, 12},    // 10: even: r1 >>= 1
    {ADD, 0, 4},       // 11: r4 = 1
    {LESS, 0, 1},      // 12
    {STOP, 0, 0},      // 13
};

static __attribute__((noinline)) uint32_t interpret(const uint8_t (*at)[3])
{
    static const void *const ops[] = {&&set,     &&add,      &&and, &&shift, &&triple,
                                      &&if_zero, &&if_equal, &&go,  &&less,  &&stop};
    const uint8_t(*begin)[3] = at;
    uint32_t r[5] = {0, 0, 0, 0, 1};
#define NEXT goto *ops[(*at)[0]]
#define A    (*at)[1]
#define B    (*at)[2]
    NEXT;
set:
    r[A] = B, at++;
    NEXT;
add:
    r[A] += r[B], at++;
    NEXT;
    and : r[A] &= B, at++;
    NEXT;
shift:
    r[A] >>= 1, r[3]++, at = begin + 3;
    NEXT;
triple:
    r[A] = 3 * r[A] + 1, at++;
    NEXT;
if_zero:
    at = r[A] ? at + 1 : begin + B;
    NEXT;
if_equal:
    at = r[A] == 1 ? begin + B : at + 1;
    NEXT;
go:
    r[A]++, at = begin + B;
    NEXT;
less:
    at = r[A] <= 200 ? begin + B : at + 1;
    NEXT;
stop:
    return r[3];
#undef NEXT
#undef A
#undef B
}

static uint64_t run_interp(uint64_t passes)
{
    uint64_t steps = 0;
    while (passes--)
        steps += interpret(program);
    return steps;
}

// ---- Quicksort that compares by a function it is given.
#define SORTED 4096

typedef int (*compare)(const uint32_t *a, const uint32_t *b);

static int by_value(const uint32_t *a, const uint32_t *b)
{
    return (*a > *b) - (*a < *b);
}

static void swap(uint32_t *a, uint32_t *b)
{
    uint32_t t = *a;
    *a = *b;
    *b = t;
}

static __attribute__((noinline)) void sort(uint32_t *a, uint32_t count, compare order)
{
    while (count > 1) {
        uint32_t less = 0, more = count, i = 1;
        swap(a, a + count / 2);
        while (i < more) { // a[less] is the pivot; behind it those that equal it, then the unknown, then the greater
            int c = order(a + i, a + less);
            if (c < 0)
                swap(a + less++, a + i++);
            else if (c > 0)
                swap(a + i, a + --more);
            else
                i++;
        }
        sort(a, less, order);
        a += more, count -= more;
    }
}

static uint64_t run_qsort(uint64_t passes)
{
    static uint32_t numbers[SORTED];
    compare volatile order = by_value;
    uint64_t sum = 0;
    while (passes--) {
        for (int i = 0; i < SORTED; i++)
            numbers[i] = next_random();
        sort(numbers, SORTED, order);
        sum = sum * 31 + hash(numbers, sizeof numbers[0] * 64) + numbers[SORTED - 1];
    }
    return sum;
}

// ---- Calls through tables of functions, of objects that stand in no order.
#define OBJECTS 4096

struct object {
    const struct class *class;
    uint32_t value;
};

struct class
{
    uint32_t (*change)(struct object *object, uint32_t by);
};

#define CLASS(name, expression)                                                                                        \
    static uint32_t name(struct object *o, uint32_t by)                                                                \
    {                                                                                                                  \
        return o->value = (expression);                                                                                \
    }
CLASS(grow, o->value + by)
CLASS(shrink, o->value - by)
CLASS(mix, o->value ^ by)
CLASS(scale, o->value * 5 + by)
CLASS(halve, (o->value >> 1) + by)
CLASS(widen, o->value << 1 ^ by)
CLASS(invert, by - ~o->value)
CLASS(merge, (o->value & 0xffff0000) + (by >> 3))

static struct object objects[OBJECTS];

static void prepare_objects(void)
{
    static const struct class classes[] = {{grow}, {shrink}, {mix}, {scale}, {halve}, {widen}, {invert}, {merge}};
    for (int i = 0; i < OBJECTS; i++)
        objects[i] = (struct object){&classes[next_random() >> 11 & 7], next_random()};
}

static uint64_t run_virtcall(uint64_t passes)
{
    uint32_t by = 1;
    while (passes--)
        for (int i = 0; i < OBJECTS; i++)
            by += objects[i].class->change(&objects[i], by);
    return by;
}

// ---- Recursion: 21,891 plain calls for the twentieth number.
static __attribute__((noinline, noclone)) uint32_t fibonacci(uint32_t n)
{
    if (n < 2)
        return n;
    uint32_t before = opaque(fibonacci(n - 1));
    return before + opaque(fibonacci(n - 2));
}

static uint64_t run_fib(uint64_t passes)
{
    uint64_t sum = 0;
    while (passes--)
        sum += fibonacci(opaque(20));
    return sum;
}

const struct workload integer_workloads[] = {
    {"int_sieve", "Mnumber/s", SIEVE / 1e6, 2, SUM_SAME, run_sieve, prepare_sieve, NULL},
    {"int_sha256", "MB/s", 64 * KB / 1e6, 2, SUM_SAME, run_sha, prepare_sha, NULL},
    {"int_lz", "MB/s", TEXT / 1e6, 2, SUM_SAME, run_lz, prepare_lz, NULL},
    {"int_muldiv", "Mop/s", 1e-6, 50000, SUM_WIDTH, run_muldiv, NULL, NULL},
    {"br_interp", "program/s", 1, 5, SUM_SAME, run_interp, NULL, NULL},
    {"br_qsort", "Melement/s", SORTED / 1e6, 3, SUM_SAME, run_qsort, NULL, NULL},
    {"br_virtcall", "Mcall/s", OBJECTS / 1e6, 20, SUM_SAME, run_virtcall, prepare_objects, NULL},
    {"br_fib", "Mcall/s", 21891 / 1e6, 5, SUM_SAME, run_fib, NULL, NULL},
    {0},
};
