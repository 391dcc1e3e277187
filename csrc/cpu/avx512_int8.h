// Codes → int8 panels [quads of k][64][4] for integer dot products, each row of the weight with one scale.
//
// A code's value over its row's scale is rounded to a whole number once for each group: a table of sixteen bytes, in
// which the codes are looked up. The same numbers serve both directions.
#pragma once
#include "avx512_unpack.h"

namespace loralab::avx512 {

// The sixteen values of a group, as integers around zero, one a byte.
LORALAB_INLINE __m128i int8_table(const Weight& w, int64_t row, int64_t g, float inverse) {
    const __m512 values = _mm512_mul_ps(row_table(w, row, g), _mm512_set1_ps(inverse));
    return _mm512_cvtepi32_epi8(_mm512_cvtps_epi32(values));
}

// 64 elements of a row from `column`, a multiple of 64 at most 64 before the end, on; zeros behind the end.
LORALAB_INLINE __m512i read64(const Weight& w, int64_t row, int64_t column, const float* scales) {
    if (w.is_int8()) return _mm512_maskz_loadu_epi8(first_bytes(w.in - column), w.codes + row * w.in + column);
    const float inverse = scales[row] > 0 ? 1 / scales[row] : 0;
    const int64_t g = column / w.group, left = w.row_bytes() - column / 2;
    const __m128i table = int8_table(w, row, g, inverse);
    const __m128i next = w.group == 32 && g + 1 < w.groups() ? int8_table(w, row, g + 1, inverse) : table;
    const __m256i both = _mm256_inserti128_si256(_mm256_castsi128_si256(table), next, 1);
    const __m256i codes =
        _mm256_maskz_loadu_epi8((__mmask32)first_bytes(left < 32 ? left : 32), w.codes + row * w.row_bytes() + column / 2);
    const __m256i low = _mm256_set1_epi8(15);
    const __m256i even = _mm256_shuffle_epi8(both, _mm256_and_si256(_mm256_srli_epi16(codes, 4), low));
    const __m256i odd = _mm256_shuffle_epi8(both, _mm256_and_si256(codes, low));
    const __m256i first = _mm256_unpacklo_epi8(even, odd), second = _mm256_unpackhi_epi8(even, odd);
    const __m512i whole = _mm512_inserti64x4(_mm512_castsi256_si512(_mm256_permute2x128_si256(first, second, 0x20)),
                                             _mm256_permute2x128_si256(first, second, 0x31), 1);
    return _mm512_maskz_mov_epi8(first_bytes(w.in - column), whole);
}

// y = x·Wᵀ: sixteen rows from `row` on.
LORALAB_INLINE void int8_rows(const Weight& w, int64_t row, int64_t from, int64_t to, const float* scales, int8_t* panel) {
    for (int64_t at = from; at < to; at += 64) {
        __m512i words[16];
        for (int i = 0; i < 16; i++)
            words[i] = row + i < w.out ? read64(w, row + i, at, scales) : _mm512_setzero_si512();
        transpose16(words);
        for (int q = 0; q < 16 && at + 4 * q < to; q++)
            _mm512_storeu_si512(panel + ((at - from) / 4 + q) * PANEL * 4, words[q]);
    }
}

// dx = dy·W: four rows of the weight at a time, 64 columns from `column` on.
LORALAB_INLINE void int8_columns(const Weight& w, int64_t column, int64_t from, int64_t to, const float* scales,
                                 int8_t* panel) {
    for (int64_t row = from; row < to; row += 4) {
        __m512i r[4];
        for (int i = 0; i < 4; i++) r[i] = row + i < to ? read64(w, row + i, column, scales) : _mm512_setzero_si512();
        const __m512i a = _mm512_unpacklo_epi8(r[0], r[1]), b = _mm512_unpackhi_epi8(r[0], r[1]);
        const __m512i c = _mm512_unpacklo_epi8(r[2], r[3]), d = _mm512_unpackhi_epi8(r[2], r[3]);
        // in the 128 bits l of each: columns 16·l + 0…3, 4…7, 8…11, 12…15
        const __m512i v0 = _mm512_unpacklo_epi16(a, c), v1 = _mm512_unpackhi_epi16(a, c);
        const __m512i v2 = _mm512_unpacklo_epi16(b, d), v3 = _mm512_unpackhi_epi16(b, d);
        const __m512i low01 = _mm512_shuffle_i32x4(v0, v1, 0x44), high01 = _mm512_shuffle_i32x4(v0, v1, 0xee);
        const __m512i low23 = _mm512_shuffle_i32x4(v2, v3, 0x44), high23 = _mm512_shuffle_i32x4(v2, v3, 0xee);
        int8_t* place = panel + (row - from) / 4 * PANEL * 4;
        _mm512_storeu_si512(place, _mm512_shuffle_i32x4(low01, low23, 0x88));
        _mm512_storeu_si512(place + 64, _mm512_shuffle_i32x4(low01, low23, 0xdd));
        _mm512_storeu_si512(place + 128, _mm512_shuffle_i32x4(high01, high23, 0x88));
        _mm512_storeu_si512(place + 192, _mm512_shuffle_i32x4(high01, high23, 0xdd));
    }
}

LORALAB_INLINE void unpack_int8(const Weight& w, bool transposed, int64_t column, int64_t from, int64_t to,
                                const float* scales, int8_t* panel) {
    if (transposed) return int8_columns(w, column, from, to, scales, panel);
    for (int part = 0; part < PANEL; part += 16) int8_rows(w, column + part, from, to, scales, panel + part * 4);
}

}  // namespace loralab::avx512
