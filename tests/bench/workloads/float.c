// SPDX-License-Identifier: GPL-2.0-or-later
// Floating point, by SSE2 in the 64-bit program and by the x87 in the 32-bit one, and vectors of 16 and 32 bytes.
#include "bench.h"
#include <immintrin.h>
#include <string.h>

// ---- The product of two matrices of small whole numbers, which is exact at any precision.
#define SIDE 96

static double left[SIDE][SIDE], right[SIDE][SIDE], product[SIDE][SIDE];

static void prepare_matrices(void)
{
    for (int i = 0; i < SIDE; i++) {
        for (int k = 0; k < SIDE; k++) {
            left[i][k] = (i * 5 + k * 3) % 17;
            right[i][k] = (i * 7 + k) % 13 - 6;
        }
    }
}

static uint64_t run_matmul(uint64_t passes)
{
    while (passes--) {
        for (int row = 0; row < SIDE; row++) {
            memset(product[row], 0, sizeof product[row]);
            for (int k = 0; k < SIDE; k++) {
                double factor = left[row][k];
                for (int column = 0; column < SIDE; column++)
                    product[row][column] += factor * right[k][column];
            }
        }
        memory_is_used();
    }
    return hash(product, sizeof product);
}

// ---- Five bodies that attract each other: multiplications, square roots, divisions.
#define BODIES 5

static struct body {
    double at[3], speed[3], mass;
} bodies[BODIES];

static void prepare_bodies(void)
{
    for (int i = 0; i < BODIES; i++) {
        bodies[i].mass = 0.002 / (i + 1);
        for (int k = 0; k < 3; k++) {
            bodies[i].at[k] = (i + 1) * (k + 0.5) * (i % 2 ? -0.7 : 0.9);
            bodies[i].speed[k] = 0.03 * (i - 2) * (1 - k);
        }
    }
}

static void attract(struct body *a, struct body *b)
{
    double x = a->at[0] - b->at[0], y = a->at[1] - b->at[1], z = a->at[2] - b->at[2];
    double square = x * x + y * y + z * z + 0.02;
    double pull = 0.002 / (square * __builtin_sqrt(square));
    a->speed[0] -= x * pull * b->mass, b->speed[0] += x * pull * a->mass;
    a->speed[1] -= y * pull * b->mass, b->speed[1] += y * pull * a->mass;
    a->speed[2] -= z * pull * b->mass, b->speed[2] += z * pull * a->mass;
}

static uint64_t run_nbody(uint64_t passes)
{
    while (passes--) {
        for (int i = 0; i < BODIES; i++)
            for (int k = i + 1; k < BODIES; k++)
                attract(&bodies[i], &bodies[k]);
        for (int i = 0; i < BODIES; i++)
            for (int k = 0; k < 3; k++)
                bodies[i].at[k] += 0.002 * bodies[i].speed[k];
    }
    return hash(bodies, sizeof bodies);
}

// ---- The logistic map at 80 bits, at both widths by the x87.
static uint64_t run_x87(uint64_t passes)
{
    static volatile long double rate = 3.9L;
    long double x = 0.4L, y = 0.1L, r = rate;
    while (passes--) {
        x = r * x * (1 - x);
        y = y * 0.75L + x * x;
        if (y > 1.5L)
            y -= 1;
    }
    return hash(&x, 10) ^ hash(&y, 10) * 3;
}

// ---- Vectors of whole numbers and of floats, over 16 KiB.
#define VECTORS (16 * KB)

static struct buffers v;

static void prepare_bytes(void)
{
    v = two_buffers(VECTORS);
}

static void prepare_floats(void)
{
    v = two_buffers(VECTORS);
    for (size_t i = 0; i < VECTORS / sizeof(float); i++) {
        ((float *)(void *)v.from)[i] = (float)i / 256;
        ((float *)(void *)v.to)[i] = 2;
    }
}

__attribute__((target("sse2"))) static uint64_t run_sse2_int(uint64_t passes)
{
    const __m128i odd = _mm_set1_epi16(0x5a35);
    while (passes--) {
        for (size_t i = 0; i < VECTORS; i += 16) {
            __m128i a = _mm_load_si128((const void *)(v.from + i)), b = _mm_load_si128((const void *)(v.to + i));
            __m128i words = _mm_sub_epi16(_mm_mullo_epi16(a, odd), _mm_srli_epi16(b, 3));
            __m128i pairs = _mm_add_epi32(_mm_madd_epi16(words, b), _mm_slli_epi32(a, 7));
            b = _mm_avg_epu8(_mm_xor_si128(pairs, _mm_shuffle_epi32(b, 0x93)), _mm_unpackhi_epi8(words, a));
            _mm_store_si128((void *)(v.to + i), b);
        }
    }
    return hash(v.to, VECTORS);
}

__attribute__((target("avx2"))) static uint64_t run_avx2_int(uint64_t passes)
{
    const __m256i odd = _mm256_set1_epi16(0x5a35);
    while (passes--) {
        for (size_t i = 0; i < VECTORS; i += 32) {
            __m256i a = _mm256_load_si256((const void *)(v.from + i)), b = _mm256_load_si256((const void *)(v.to + i));
            __m256i words = _mm256_sub_epi16(_mm256_mullo_epi16(a, odd), _mm256_srli_epi16(b, 3));
            __m256i pairs = _mm256_add_epi32(_mm256_madd_epi16(words, b), _mm256_slli_epi32(a, 7));
            b = _mm256_avg_epu8(_mm256_xor_si256(pairs, _mm256_shuffle_epi32(b, 0x93)), _mm256_unpackhi_epi8(words, a));
            _mm256_store_si256((void *)(v.to + i), b);
        }
    }
    return hash(v.to, VECTORS);
}

__attribute__((target("sse2"))) static uint64_t run_sse_fp(uint64_t passes)
{
    const __m128 factor = _mm_set1_ps(0.96875f);
    while (passes--) {
        for (size_t i = 0; i < VECTORS; i += 16) {
            __m128 a = _mm_load_ps((const void *)(v.from + i)), b = _mm_load_ps((const void *)(v.to + i));
            _mm_store_ps((void *)(v.to + i), _mm_sub_ps(a, _mm_mul_ps(b, factor)));
        }
    }
    return hash(v.to, VECTORS);
}

__attribute__((target("avx2,fma"))) static uint64_t run_fma_fp(uint64_t passes)
{
    const __m256 factor = _mm256_set1_ps(0.96875f);
    while (passes--) {
        for (size_t i = 0; i < VECTORS; i += 32) {
            __m256 a = _mm256_load_ps((const void *)(v.from + i)), b = _mm256_load_ps((const void *)(v.to + i));
            _mm256_store_ps((void *)(v.to + i), _mm256_fnmadd_ps(b, factor, a));
        }
    }
    return hash(v.to, VECTORS);
}

static const char *lacks_sse2(void)
{
    return __builtin_cpu_supports("sse2") ? NULL : "SSE2";
}

static const char *lacks_avx2(void)
{
    return __builtin_cpu_supports("avx2") ? NULL : "AVX2";
}

static const char *lacks_fma(void)
{
    return __builtin_cpu_supports("fma") ? lacks_avx2() : "FMA";
}

const struct workload float_workloads[] = {
    {"fp_matmul", "MFLOP/s", 2.0 * SIDE *SIDE *SIDE / 1e6, 2, SUM_SAME, run_matmul, prepare_matrices, NULL},
    {"fp_nbody", "kstep/s", 1e-3, 5000, SUM_WIDTH, run_nbody, prepare_bodies, NULL},
    {"fp_x87", "Mstep/s", 1e-6, 50000, SUM_SAME, run_x87, NULL, NULL},
    {"simd_sse2_int", "MB/s", VECTORS / 1e6, 200, SUM_SAME, run_sse2_int, prepare_bytes, lacks_sse2},
    {"simd_sse_fp", "MFLOP/s", VECTORS / 2 / 1e6, 200, SUM_SAME, run_sse_fp, prepare_floats, lacks_sse2},
    {"simd_avx2_int", "MB/s", VECTORS / 1e6, 200, SUM_SAME, run_avx2_int, prepare_bytes, lacks_avx2},
    {"simd_fma_fp", "MFLOP/s", VECTORS / 2 / 1e6, 200, SUM_SAME, run_fma_fp, prepare_floats, lacks_fma},
    {0},
};
