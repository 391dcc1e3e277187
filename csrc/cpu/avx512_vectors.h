// Shuffles that more than one AVX-512 kernel needs.
#pragma once
#include <immintrin.h>

#include "../matrix.h"

namespace loralab::avx512 {

// Sixteen rows of sixteen 32-bit words → their transpose, in place.
LORALAB_INLINE void transpose16(__m512i r[16]) {
    __m512i t[16];
    for (int i = 0; i < 16; i += 2) {
        t[i] = _mm512_unpacklo_epi32(r[i], r[i + 1]);
        t[i + 1] = _mm512_unpackhi_epi32(r[i], r[i + 1]);
    }
    for (int i = 0; i < 16; i += 4) {
        r[i] = _mm512_unpacklo_epi64(t[i], t[i + 2]);
        r[i + 1] = _mm512_unpackhi_epi64(t[i], t[i + 2]);
        r[i + 2] = _mm512_unpacklo_epi64(t[i + 1], t[i + 3]);
        r[i + 3] = _mm512_unpackhi_epi64(t[i + 1], t[i + 3]);
    }
    for (int i = 0; i < 4; i++) {
        t[i] = _mm512_shuffle_i32x4(r[i], r[i + 4], 0x88);
        t[i + 4] = _mm512_shuffle_i32x4(r[i], r[i + 4], 0xdd);
        t[i + 8] = _mm512_shuffle_i32x4(r[i + 8], r[i + 12], 0x88);
        t[i + 12] = _mm512_shuffle_i32x4(r[i + 8], r[i + 12], 0xdd);
    }
    for (int i = 0; i < 4; i++) {
        r[i] = _mm512_shuffle_i32x4(t[i], t[i + 8], 0x88);
        r[i + 4] = _mm512_shuffle_i32x4(t[i + 4], t[i + 12], 0x88);
        r[i + 8] = _mm512_shuffle_i32x4(t[i], t[i + 8], 0xdd);
        r[i + 12] = _mm512_shuffle_i32x4(t[i + 4], t[i + 12], 0xdd);
    }
}

// Word order that turns [a0…a15 | b0…b15] into a0 b0 a1 b1 …
LORALAB_INLINE __m512i interleaving() {
    alignas(64) uint16_t order[32];
    for (int i = 0; i < 16; i++) order[2 * i] = i, order[2 * i + 1] = 16 + i;
    return _mm512_load_si512(order);
}

// The low `count` lanes.
LORALAB_INLINE __mmask64 first_bytes(int64_t count) { return count >= 64 ? ~0ull : count > 0 ? (1ull << count) - 1 : 0; }
LORALAB_INLINE __mmask16 first_words(int64_t count) { return count >= 16 ? 0xffff : count > 0 ? (1 << count) - 1 : 0; }

// Scales of group g for the sixteen rows from `row` on; 0 for rows behind the last. `row` is a multiple of 16.
LORALAB_INLINE __m512 row_scales(const Weight& w, int64_t row, int64_t g) {
    alignas(64) float scales[16] = {};
    for (int64_t i = 0; i < 16 && row + i < w.out; i++) scales[i] = w.scale(row + i, g);
    return _mm512_load_ps(scales);
}

LORALAB_INLINE __m512 row_zeros(const Weight& w, int64_t row, int64_t g) {
    alignas(64) float zeros[16] = {};
    for (int64_t i = 0; i < 16 && row + i < w.out; i++) zeros[i] = w.zero(row + i, g);
    return _mm512_load_ps(zeros);
}

// What a row's sixteen codes stand for in group g.
LORALAB_INLINE __m512 row_table(const Weight& w, int64_t row, int64_t g) {
    const __m512 values = _mm512_sub_ps(_mm512_loadu_ps(w.codebook), _mm512_set1_ps(w.zero(row, g)));
    return _mm512_mul_ps(values, _mm512_set1_ps(w.scale(row, g)));
}

}  // namespace loralab::avx512
