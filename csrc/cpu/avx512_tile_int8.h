// The integer counterpart of avx512_tile.h: u8 · s8 → int32 (VNNI).
#pragma once
#include <immintrin.h>

#include <cstdint>

namespace loralab::avx512 {

// c [rows][64] (+)= a · panel: a is u8 with `stride` bytes from row to row and 4·quads of them used, the panel s8
// [quads][64][4]. In assembly, for gcc 12 spills the accumulators of the intrinsic: half the speed.
template <int ROWS>
inline void tile_int8(const uint8_t* a, int64_t stride, const int8_t* panel, int64_t quads, int32_t* c, bool add) {
    __m512i sum[ROWS][4];
#pragma GCC unroll 6
    for (int i = 0; i < ROWS; i++)
#pragma GCC unroll 4
        for (int j = 0; j < 4; j++) sum[i][j] = add ? _mm512_loadu_si512(c + i * 64 + j * 16) : _mm512_setzero_si512();
    for (int64_t q = 0; q < quads; q++) {
        __m512i b[4];
#pragma GCC unroll 4
        for (int j = 0; j < 4; j++) b[j] = _mm512_loadu_si512(panel + q * 256 + j * 64);
#pragma GCC unroll 6
        for (int i = 0; i < ROWS; i++) {
            const __m512i x = _mm512_set1_epi32(*(const int32_t*)(a + i * stride + 4 * q));
#pragma GCC unroll 4
            for (int j = 0; j < 4; j++) asm("vpdpbusd %2, %1, %0" : "+v"(sum[i][j]) : "v"(x), "v"(b[j]));
        }
    }
#pragma GCC unroll 6
    for (int i = 0; i < ROWS; i++)
#pragma GCC unroll 4
        for (int j = 0; j < 4; j++) _mm512_storeu_si512(c + i * 64 + j * 16, sum[i][j]);
}

}  // namespace loralab::avx512
