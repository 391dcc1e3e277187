// 4-bit codes → bf16 panels for the tiles of avx512_tile.h.
//
// A panel holds 64 columns of the right operand, pair by pair along the contraction: [pairs][64][2].
#pragma once
#include <immintrin.h>

#include "matrix.h"

namespace loralab::avx512 {

constexpr int PANEL = 64;

// Sixteen rows of sixteen 32-bit words → their transpose, in place.
inline void transpose16(__m512i r[16]) {
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
inline __m512i interleaving() {
    alignas(64) uint16_t order[32];
    for (int i = 0; i < 16; i++) order[2 * i] = i, order[2 * i + 1] = 16 + i;
    return _mm512_load_si512(order);
}

// Scales of group g for the sixteen rows from `row` on; 0 for rows behind the last. `row` is a multiple of 16.
inline __m512 row_scales(const Quant4& w, int64_t row, int64_t g) {
    alignas(64) float scales[16] = {};
    for (int64_t i = 0; i < 16 && row + i < w.out; i++) scales[i] = w.scale(row + i, g);
    return _mm512_load_ps(scales);
}

inline __m512 row_zeros(const Quant4& w, int64_t row, int64_t g) {
    alignas(64) float zeros[16] = {};
    for (int64_t i = 0; i < 16 && row + i < w.out; i++) zeros[i] = w.zeros[(row + i) * w.groups() + g];
    return _mm512_load_ps(zeros);
}

// Sixteen rows from `row` on, elements [from, to) of each (`from` a multiple of the group) → words 16·column/16 … of
// every pair of a panel for y = x·Wᵀ: `panel` points at those words of the first pair.
template <bool ZEROS>
inline void unpack_rows(const Quant4& w, int64_t row, int64_t from, int64_t to, bf16* panel) {
    const __m512 codebook = _mm512_loadu_ps(w.codebook);
    const __m512i order = interleaving();
    const int64_t bytes = (to - from + 1) / 2;
    for (int64_t at = 0; at < bytes; at += 64) {
        const int64_t left = bytes - at < 64 ? bytes - at : 64;
        const __mmask64 mask = left == 64 ? ~0ull : (1ull << left) - 1;
        __m512i words[16];  // after the transpose: word d of all rows, eight elements each
        for (int i = 0; i < 16; i++) {
            const int64_t r = row + i < w.out ? row + i : w.out - 1;
            words[i] = _mm512_maskz_loadu_epi8(mask, w.codes + r * w.row_bytes() + from / 2 + at);
        }
        transpose16(words);
        __m512 scale{}, zero{};
        for (int d = 0; d < (left + 3) / 4; d++) {
            const int64_t element = from + 2 * at + 8 * d;
            if (d == 0 || element % w.group == 0) {
                scale = row_scales(w, row, element / w.group);
                if (ZEROS) zero = row_zeros(w, row, element / w.group);
            }
            for (int b = 0; b < 4 && 4 * d + b < left; b++) {
                // a lookup reads the low four bits of each lane only, so nothing has to be masked off
                __m512 even = _mm512_permutexvar_ps(_mm512_srl_epi32(words[d], _mm_cvtsi32_si128(8 * b + 4)), codebook);
                __m512 odd = _mm512_permutexvar_ps(_mm512_srl_epi32(words[d], _mm_cvtsi32_si128(8 * b)), codebook);
                if (ZEROS) even = _mm512_sub_ps(even, zero), odd = _mm512_sub_ps(odd, zero);
                const __m512i both = (__m512i)_mm512_cvtne2ps_pbh(_mm512_mul_ps(odd, scale), _mm512_mul_ps(even, scale));
                _mm512_storeu_si512(panel + (at + 4 * d + b) * PANEL * 2, _mm512_permutexvar_epi16(order, both));
            }
        }
    }
}

// The bf16 values of a row's group as a table for words: entries 0…15, and again, so that bit 4 of an index is ignored.
template <bool ZEROS>
inline __m512i scaled_table(const Quant4& w, __m512 codebook, int64_t row, int64_t g) {
    if (ZEROS) codebook = _mm512_sub_ps(codebook, _mm512_set1_ps(w.zeros[row * w.groups() + g]));
    const __m512 scaled = _mm512_mul_ps(codebook, _mm512_set1_ps(w.scale(row, g)));
    return (__m512i)_mm512_cvtne2ps_pbh(scaled, scaled);
}

// Sixteen bytes of codes → their 32 bf16 values in order.
inline __m512i look_up(const uint8_t* codes, __mmask16 mask, __m512i table) {
    const __m512i bytes = _mm512_cvtepu8_epi32(_mm_maskz_loadu_epi8(mask, codes));
    return _mm512_permutexvar_epi16(_mm512_or_si512(_mm512_srli_epi32(bytes, 4), _mm512_slli_epi32(bytes, 16)), table);
}

// Rows [from, to) of the 64 columns from `column` on → a panel for dx = dy·W, pair by pair along the rows.
template <bool ZEROS>
inline void unpack_columns(const Quant4& w, int64_t column, int64_t from, int64_t to, bf16* panel) {
    const __m512 codebook = _mm512_loadu_ps(w.codebook);
    alignas(64) uint16_t low[32], high[32];  // of two rows: columns 0…15 and 16…31 of both, by turns
    for (int i = 0; i < 16; i++) low[2 * i] = i, low[2 * i + 1] = 32 + i, high[2 * i] = 16 + i, high[2 * i + 1] = 48 + i;
    const __m512i first = _mm512_load_si512(low), second = _mm512_load_si512(high);
    for (int64_t row = from; row < to; row += 2) {
        bf16* pair = panel + (row - from) / 2 * PANEL * 2;
        for (int half = 0; half < 2; half++) {
            const int64_t start = column + 32 * half;
            const int64_t left = (w.groups() * w.group - start) / 2;
            __m512i values[2] = {_mm512_setzero_si512(), _mm512_setzero_si512()};
            if (left > 0) {
                const __mmask16 mask = left >= 16 ? 0xffff : (1 << left) - 1;
                for (int i = 0; i < 2 && row + i < to; i++)
                    values[i] = look_up(w.codes + (row + i) * w.row_bytes() + start / 2, mask,
                                        scaled_table<ZEROS>(w, codebook, row + i, start / w.group));
            }
            _mm512_storeu_si512(pair + 64 * half, _mm512_permutex2var_epi16(values[0], first, values[1]));
            _mm512_storeu_si512(pair + 64 * half + 32, _mm512_permutex2var_epi16(values[0], second, values[1]));
        }
    }
}

}  // namespace loralab::avx512
