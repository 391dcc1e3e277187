// Codes → panels of 64 columns in float32 [k][64], or bf16 [pairs of k][64][2].
#pragma once
#include "avx512_vectors.h"

namespace loralab::avx512 {

constexpr int PANEL = 64;

// Where elements 2p and 2p + 1 of sixteen columns go. `panel` points at those columns of the first pair.
struct Bf16Panel {
    bf16* panel;
    LORALAB_INLINE void put(int64_t pair, __m512 even, __m512 odd) const {
        const __m512i both = (__m512i)_mm512_cvtne2ps_pbh(odd, even);
        _mm512_storeu_si512(panel + pair * PANEL * 2, _mm512_permutexvar_epi16(interleaving(), both));
    }
};
struct FloatPanel {
    float* panel;
    LORALAB_INLINE void put(int64_t pair, __m512 even, __m512 odd) const {
        _mm512_storeu_ps(panel + 2 * pair * PANEL, even);
        _mm512_storeu_ps(panel + (2 * pair + 1) * PANEL, odd);
    }
};

// y = x·Wᵀ: sixteen rows from `row` on are sixteen columns of the panel, elements [from, to) of each. `from` is a
// multiple of the group. The last element of an odd number of them is followed by what stands in the padding: zeros.
template <bool ZEROS, class Panel>
LORALAB_INLINE void unpack_rows(const Weight& w, int64_t row, int64_t from, int64_t to, Panel panel) {
    const __m512 codebook = _mm512_loadu_ps(w.codebook);
    const int64_t bytes = (to - from + 1) / 2;
    for (int64_t at = 0; at < bytes; at += 64) {
        const int64_t left = bytes - at < 64 ? bytes - at : 64;
        __m512i words[16];  // after the transpose: word d of all rows, eight elements each
        for (int i = 0; i < 16; i++) {
            const int64_t r = row + i < w.out ? row + i : w.out - 1;
            words[i] = _mm512_maskz_loadu_epi8(first_bytes(left), w.codes + r * w.row_bytes() + from / 2 + at);
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
                panel.put(at + 4 * d + b, _mm512_mul_ps(even, scale), _mm512_mul_ps(odd, scale));
            }
        }
    }
}

// Sixteen consecutive elements of a row from an even column on, of which `count` exist.
LORALAB_INLINE __m512 look_up16(const uint8_t* codes, int64_t count, __m512 table) {
    const __m128i bytes = _mm_maskz_loadu_epi8(first_words((count + 1) / 2), codes);
    const __m512i words = _mm512_cvtepu8_epi64(bytes);
    const __m512i order = _mm512_or_si512(_mm512_srli_epi64(words, 4), _mm512_slli_epi64(words, 32));
    return _mm512_maskz_permutexvar_ps(first_words(count), order, table);
}

// 32 elements of a row from `column`, a multiple of 32, on; what lies behind the last is zero.
LORALAB_INLINE void read32(const Weight& w, int64_t row, int64_t column, __m512 out[2]) {
    const uint8_t* codes = w.codes + row * w.row_bytes();
    if (w.is_int8()) {
        const __m512 scale = _mm512_set1_ps(w.row_scales[row]);
        for (int i = 0; i < 2; i++) {
            const int64_t at = column + 16 * i;
            const __m128i bytes = _mm_maskz_loadu_epi8(first_words(w.in - at), codes + at);
            out[i] = _mm512_mul_ps(_mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(bytes)), scale);
        }
    } else {
        const __m512 table = row_table(w, row, column / w.group);
        for (int i = 0; i < 2; i++) {
            const int64_t at = column + 16 * i;
            out[i] = look_up16(codes + at / 2, w.in - at, table);
        }
    }
}

// dx = dy·W: rows [from, to), columns [column, column + 32) of the weight, 4 or 8 bits → panel.
template <class Panel, class T>
LORALAB_INLINE void unpack_columns(const Weight& w, int64_t column, int64_t from, int64_t to, T* panel, int step) {
    const Panel low{panel}, high{panel + 16 * step};
    for (int64_t row = from; row < to; row += 2) {
        __m512 even[2] = {}, odd[2] = {};
        if (column < w.in) read32(w, row, column, even);
        if (column < w.in && row + 1 < to) read32(w, row + 1, column, odd);
        low.put((row - from) / 2, even[0], odd[0]);
        high.put((row - from) / 2, even[1], odd[1]);
    }
}

// The same as unpack_rows of a weight of 8 bits.
template <class Panel>
LORALAB_INLINE void unpack_int8_rows(const Weight& w, int64_t row, int64_t from, int64_t to, Panel panel) {
    alignas(64) float scales[16] = {};
    for (int64_t i = 0; i < 16 && row + i < w.out; i++) scales[i] = w.row_scales[row + i];
    const __m512 scale = _mm512_load_ps(scales);
    for (int64_t at = from; at < to; at += 64) {
        __m512i words[16];
        for (int i = 0; i < 16; i++) {
            const int64_t r = row + i < w.out ? row + i : w.out - 1;
            words[i] = _mm512_maskz_loadu_epi8(first_bytes(to - at), w.codes + r * w.in + at);
        }
        transpose16(words);
        for (int d = 0; d < 16 && at + 4 * d < to; d++) {
            __m512 four[4];
            for (int b = 0; b < 4; b++) {
                const __m512i number = _mm512_srai_epi32(_mm512_sll_epi32(words[d], _mm_cvtsi32_si128(24 - 8 * b)), 24);
                four[b] = _mm512_mul_ps(_mm512_cvtepi32_ps(number), scale);
            }
            panel.put((at - from) / 2 + 2 * d, four[0], four[1]);
            if (at + 4 * d + 2 < to) panel.put((at - from) / 2 + 2 * d + 1, four[2], four[3]);
        }
    }
}

template <class Panel>
LORALAB_INLINE void clear(Panel panel, int64_t pairs) {
    for (int64_t pair = 0; pair < pairs; pair++) panel.put(pair, _mm512_setzero_ps(), _mm512_setzero_ps());
}

// 64 columns of y from `column` on, elements [from, to) of the contraction; STEP of them lie together in the panel.
template <class Panel, int STEP, class T>
LORALAB_INLINE void unpack(const Weight& w, bool transposed, int64_t column, int64_t from, int64_t to, T* panel) {
    if (transposed) {
        for (int part = 0; part < PANEL; part += 32)
            unpack_columns<Panel>(w, column + part, from, to, panel + part * STEP, STEP);
        return;
    }
    for (int part = 0; part < PANEL; part += 16) {
        const Panel place{panel + part * STEP};
        if (column + part >= w.out) clear(place, (to - from + 1) / 2);
        else if (w.is_int8()) unpack_int8_rows(w, column + part, from, to, place);
        else if (w.zeros) unpack_rows<true>(w, column + part, from, to, place);
        else unpack_rows<false>(w, column + part, from, to, place);
    }
}

}  // namespace loralab::avx512
