// Register-blocked products of a few rows with a 64-column panel.
#pragma once
#include <immintrin.h>

#include "matrix.h"

namespace loralab::avx512 {

// c [rows][64] (+)= a · panel: a is bf16 with `stride` elements from row to row and 2·pairs of them used, the panel bf16
// [pairs][64][2]. ROWS up to 6: 24 accumulators, four columns of the panel and one broadcast fill the 32 registers.
template <int ROWS>
inline void tile_bf16(const bf16* a, int64_t stride, const bf16* panel, int64_t pairs, float* c, bool add) {
    __m512 sum[ROWS][4];
#pragma GCC unroll 6
    for (int i = 0; i < ROWS; i++)
#pragma GCC unroll 4
        for (int j = 0; j < 4; j++) sum[i][j] = add ? _mm512_loadu_ps(c + i * 64 + j * 16) : _mm512_setzero_ps();
    for (int64_t p = 0; p < pairs; p++) {
        __m512bh b[4];
#pragma GCC unroll 4
        for (int j = 0; j < 4; j++) b[j] = (__m512bh)_mm512_loadu_si512(panel + p * 128 + j * 32);
#pragma GCC unroll 6
        for (int i = 0; i < ROWS; i++) {
            const __m512bh x = (__m512bh)_mm512_set1_epi32(*(const int32_t*)(a + i * stride + 2 * p));
#pragma GCC unroll 4
            for (int j = 0; j < 4; j++) sum[i][j] = _mm512_dpbf16_ps(sum[i][j], x, b[j]);
        }
    }
#pragma GCC unroll 6
    for (int i = 0; i < ROWS; i++)
#pragma GCC unroll 4
        for (int j = 0; j < 4; j++) _mm512_storeu_ps(c + i * 64 + j * 16, sum[i][j]);
}

}  // namespace loralab::avx512
