// Register-blocked products of a few rows with a panel of 64 columns.
//
// ROWS up to 6: 24 accumulators, four columns of the panel and one broadcast fill most of the 32 registers.
#pragma once
#include <immintrin.h>

#include "../matrix.h"

namespace loralab::avx512 {

// sums [ROWS][64] (+)= a · panel: float32, `stride` elements from row to row; the panel [steps][64].
template <int ROWS>
LORALAB_INLINE void tile_float(const float* a, int64_t stride, const float* panel, int64_t steps, float* sums, bool add) {
    __m512 sum[ROWS][4];
#pragma GCC unroll 6
    for (int i = 0; i < ROWS; i++)
#pragma GCC unroll 4
        for (int j = 0; j < 4; j++) sum[i][j] = add ? _mm512_loadu_ps(sums + i * 64 + j * 16) : _mm512_setzero_ps();
    for (int64_t k = 0; k < steps; k++) {
        __m512 b[4];
#pragma GCC unroll 4
        for (int j = 0; j < 4; j++) b[j] = _mm512_loadu_ps(panel + k * 64 + j * 16);
#pragma GCC unroll 6
        for (int i = 0; i < ROWS; i++) {
            const __m512 x = _mm512_set1_ps(a[i * stride + k]);
#pragma GCC unroll 4
            for (int j = 0; j < 4; j++) sum[i][j] = _mm512_fmadd_ps(x, b[j], sum[i][j]);
        }
    }
#pragma GCC unroll 6
    for (int i = 0; i < ROWS; i++)
#pragma GCC unroll 4
        for (int j = 0; j < 4; j++) _mm512_storeu_ps(sums + i * 64 + j * 16, sum[i][j]);
}

// The same in bf16, two elements of the contraction a step: the panel [steps][64][2].
template <int ROWS>
LORALAB_INLINE void tile_bf16(const bf16* a, int64_t stride, const bf16* panel, int64_t steps, float* sums, bool add) {
    __m512 sum[ROWS][4];
#pragma GCC unroll 6
    for (int i = 0; i < ROWS; i++)
#pragma GCC unroll 4
        for (int j = 0; j < 4; j++) sum[i][j] = add ? _mm512_loadu_ps(sums + i * 64 + j * 16) : _mm512_setzero_ps();
    for (int64_t p = 0; p < steps; p++) {
        __m512bh b[4];
#pragma GCC unroll 4
        for (int j = 0; j < 4; j++) b[j] = (__m512bh)_mm512_loadu_si512(panel + p * 128 + j * 32);
#pragma GCC unroll 6
        for (int i = 0; i < ROWS; i++) {
            int32_t pair;
            __builtin_memcpy(&pair, a + i * stride + 2 * p, 4);
            const __m512bh x = (__m512bh)_mm512_set1_epi32(pair);
#pragma GCC unroll 4
            for (int j = 0; j < 4; j++) sum[i][j] = _mm512_dpbf16_ps(sum[i][j], x, b[j]);
        }
    }
#pragma GCC unroll 6
    for (int i = 0; i < ROWS; i++)
#pragma GCC unroll 4
        for (int j = 0; j < 4; j++) _mm512_storeu_ps(sums + i * 64 + j * 16, sum[i][j]);
}

// The same of u8 · s8 in int32 (VNNI), four elements a step: the panel [steps][64][4]. In assembly, for gcc 12 spills the
// accumulators of the intrinsic: half the speed.
template <int ROWS>
LORALAB_INLINE void tile_int8(const uint8_t* a, int64_t stride, const int8_t* panel, int64_t steps, int32_t* sums, bool add) {
    __m512i sum[ROWS][4];
#pragma GCC unroll 6
    for (int i = 0; i < ROWS; i++)
#pragma GCC unroll 4
        for (int j = 0; j < 4; j++)
            sum[i][j] = add ? _mm512_loadu_si512(sums + i * 64 + j * 16) : _mm512_setzero_si512();
    for (int64_t q = 0; q < steps; q++) {
        __m512i b[4];
#pragma GCC unroll 4
        for (int j = 0; j < 4; j++) b[j] = _mm512_loadu_si512(panel + q * 256 + j * 64);
#pragma GCC unroll 6
        for (int i = 0; i < ROWS; i++) {
            int32_t four;
            __builtin_memcpy(&four, a + i * stride + 4 * q, 4);
            const __m512i x = _mm512_set1_epi32(four);
#pragma GCC unroll 4
            for (int j = 0; j < 4; j++) asm("vpdpbusd %2, %1, %0" : "+v"(sum[i][j]) : "v"(x), "v"(b[j]));
        }
    }
#pragma GCC unroll 6
    for (int i = 0; i < ROWS; i++)
#pragma GCC unroll 4
        for (int j = 0; j < 4; j++) _mm512_storeu_si512(sums + i * 64 + j * 16, sum[i][j]);
}

}  // namespace loralab::avx512
