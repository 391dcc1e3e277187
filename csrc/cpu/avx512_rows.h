// A few vectors times a 4-bit matrix: every code is read once, dequantised in registers and dropped.
#pragma once
#include <immintrin.h>

#include "matrix.h"

namespace loralab::avx512 {

constexpr int AHEAD = 8;  // rows

// x [vectors][groups·group] as 32 even elements, 32 odd ones, and so on: the order in which codes come apart.
inline void split_even_odd(const bf16* x, int64_t width, int64_t padded, bf16* out) {
    for (int64_t k = 0; k < padded; k += 64)
        for (int64_t j = 0; j < 32; j++) {
            out[k + j] = k + 2 * j < width ? x[k + 2 * j] : 0;
            out[k + 32 + j] = k + 2 * j + 1 < width ? x[k + 2 * j + 1] : 0;
        }
}

// 32 bytes of codes → their 32 even and 32 odd values. The table holds its sixteen entries twice, so that of a whole
// byte as index only the low four bits count.
inline void look_up_64(const uint8_t* codes, __m512i table, __m512bh& even, __m512bh& odd) {
    const __m512i bytes = _mm512_cvtepu8_epi16(_mm256_loadu_si256((const __m256i*)codes));
    even = (__m512bh)_mm512_permutexvar_epi16(_mm512_srli_epi16(bytes, 4), table);
    odd = (__m512bh)_mm512_permutexvar_epi16(bytes, table);
}

// y[v] = Σ x[v]·row for VECTORS vectors (as split_even_odd leaves them) and ROWS rows with groups of 64; sums in float32.
// scales [ROWS][groups].
template <int VECTORS, int ROWS>
inline void dot_rows(const bf16* x, int64_t padded, const uint8_t* codes, int64_t row_bytes, const float* scales,
                     __m512i table, float* y /* [VECTORS][ROWS] */) {
    __m512 sum[VECTORS][ROWS];
    for (int v = 0; v < VECTORS; v++)
        for (int r = 0; r < ROWS; r++) sum[v][r] = _mm512_setzero_ps();
    const int64_t groups = padded / 64;
    for (int64_t g = 0; g < groups; g++) {
#pragma GCC unroll 4
        for (int r = 0; r < ROWS; r++) {
            __m512bh even, odd;
            // without it reading and computing take turns: 313 µs for cold 2048², 200 with it, 111 to read the bytes
            if (g % 2 == 0) _mm_prefetch((const char*)codes + (r + AHEAD) * row_bytes + g * 32, _MM_HINT_T0);
            look_up_64(codes + r * row_bytes + g * 32, table, even, odd);
            const __m512 scale = _mm512_set1_ps(scales[r * groups + g]);
#pragma GCC unroll 4
            for (int v = 0; v < VECTORS; v++) {
                const bf16* at = x + v * padded + g * 64;
                __m512 part = _mm512_dpbf16_ps(_mm512_setzero_ps(), (__m512bh)_mm512_loadu_si512(at), even);
                part = _mm512_dpbf16_ps(part, (__m512bh)_mm512_loadu_si512(at + 32), odd);
                sum[v][r] = _mm512_fmadd_ps(part, scale, sum[v][r]);
            }
        }
    }
    for (int v = 0; v < VECTORS; v++)
        for (int r = 0; r < ROWS; r++) y[v * ROWS + r] = _mm512_reduce_add_ps(sum[v][r]);
}

}  // namespace loralab::avx512
