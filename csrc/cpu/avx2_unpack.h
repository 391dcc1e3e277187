// Codes → panels in float32: strips of 16 columns, [PANEL / 16][depth][16].
#pragma once
#include "avx2_vectors.h"
#include "tile.h"

namespace loralab::avx2 {

constexpr int PANEL = 64, COLUMNS = 16;

// y = x·Wᵀ: eight rows from `row` on are eight columns of a strip, elements [from, to) of each.
template <bool ZEROS>
LORALAB_INLINE void unpack_rows(const Weight& w, int64_t row, int64_t from, int64_t to, float* strip) {
    const Table table = Table::of(w.codebook);
    const int64_t bytes = (to - from + 1) / 2;
    for (int64_t at = 0; at < bytes; at += 32) {
        __m256i words[8];  // after the transpose: word d of all rows, eight elements each
        for (int i = 0; i < 8; i++) {
            const int64_t r = row + i < w.out ? row + i : w.out - 1;
            words[i] = load_bytes(w.codes + r * w.row_bytes() + from / 2 + at, w.row_bytes() - from / 2 - at);
        }
        transpose8(words);
        __m256 scale{}, zero{};
        for (int d = 0; d < 8 && at + 4 * d < bytes; d++) {
            const int64_t element = from + 2 * at + 8 * d;
            if (d == 0 || element % w.group == 0) {
                scale = row_scales(w, row, element / w.group);
                if (ZEROS) zero = row_zeros(w, row, element / w.group);
            }
#pragma GCC unroll 8
            for (int e = 0; e < 8; e++) {
                const int place = e / 2 * 8 + (e % 2 ? 0 : 4);  // of its lowest bit
                __m256 value = table.at(_mm256_srli_epi32(words[d], place), _mm256_slli_epi32(words[d], 28 - place));
                if (ZEROS) value = _mm256_sub_ps(value, zero);
                _mm256_storeu_ps(strip + (2 * at + 8 * d + e) * COLUMNS, _mm256_mul_ps(value, scale));
            }
        }
    }
}

// The same of a weight of 8 bits.
LORALAB_INLINE void unpack_int8_rows(const Weight& w, int64_t row, int64_t from, int64_t to, float* strip) {
    alignas(32) float scales[8] = {};
    for (int64_t i = 0; i < 8 && row + i < w.out; i++) scales[i] = w.row_scales[row + i];
    const __m256 scale = _mm256_load_ps(scales);
    for (int64_t at = from; at < to; at += 32) {
        __m256i words[8];
        for (int i = 0; i < 8; i++) {
            const int64_t r = row + i < w.out ? row + i : w.out - 1;
            words[i] = load_bytes(w.codes + r * w.in + at, w.in - at);
        }
        transpose8(words);
        for (int d = 0; d < 8 && at + 4 * d < to; d++)
#pragma GCC unroll 4
            for (int b = 0; b < 4; b++) {
                const __m256i number = _mm256_srai_epi32(_mm256_slli_epi32(words[d], 24 - 8 * b), 24);
                _mm256_storeu_ps(strip + (at - from + 4 * d + b) * COLUMNS, _mm256_mul_ps(_mm256_cvtepi32_ps(number), scale));
            }
    }
}

// 32 elements of a row from `column`, a multiple of 32, on; what lies behind the last is zero, or padding.
LORALAB_INLINE void read32(const Weight& w, int64_t row, int64_t column, __m256 out[4]) {
    if (w.is_int8()) {
        const __m256 scale = _mm256_set1_ps(w.row_scales[row]);
        const __m256i bytes = load_bytes(w.codes + row * w.in + column, w.in - column);
        const __m128i low = _mm256_castsi256_si128(bytes), high = _mm256_extracti128_si256(bytes, 1);
        const __m128i parts[4] = {low, _mm_srli_si128(low, 8), high, _mm_srli_si128(high, 8)};
        for (int i = 0; i < 4; i++) out[i] = _mm256_mul_ps(_mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(parts[i])), scale);
        return;
    }
    const int64_t g = column / w.group;
    const Table table = Table::of(w, w.scale(row, g), w.zero(row, g));
    const uint8_t* codes = w.codes + row * w.row_bytes() + column / 2;
    for (int i = 0; i < 4; i++) out[i] = table.at(codes + 4 * i);
}

struct Read {
    LORALAB_INLINE static void read32(const Weight& w, int64_t row, int64_t column, float* out) {
        __m256 values[4];
        avx2::read32(w, row, column, values);
        for (int i = 0; i < 4; i++) _mm256_storeu_ps(out + 8 * i, values[i]);
    }
};

// dx = dy·W: rows [from, to), columns [column, column + 32) of the weight → two strips `distance` apart.
LORALAB_INLINE void unpack_columns(const Weight& w, int64_t column, int64_t from, int64_t to, float* strips, int64_t distance) {
    for (int64_t row = from; row < to; row++) {
        __m256 values[4];
        read32(w, row, column, values);
        float* place = strips + (row - from) * COLUMNS;
        for (int i = 0; i < 4; i++) _mm256_storeu_ps(place + i / 2 * distance + i % 2 * 8, values[i]);
    }
}

LORALAB_INLINE void unpack(const Weight& w, bool transposed, int64_t column, int64_t from, int64_t to, float* panel) {
    const int64_t distance = depth(to - from) * COLUMNS, columns = transposed ? w.in : w.out;
    if (column + PANEL > columns) __builtin_memset(panel, 0, distance * PANEL / COLUMNS * sizeof(float));
    if (transposed) {
        for (int part = 0; part < PANEL && column + part < columns; part += 32)
            unpack_columns(w, column + part, from, to, panel + part / COLUMNS * distance, distance);
        return;
    }
    for (int part = 0; part < PANEL && column + part < columns; part += 8) {
        float* strip = panel + part / COLUMNS * distance + part % COLUMNS;
        if (w.is_int8()) unpack_int8_rows(w, column + part, from, to, strip);
        else if (w.zeros) unpack_rows<true>(w, column + part, from, to, strip);
        else unpack_rows<false>(w, column + part, from, to, strip);
    }
}

}  // namespace loralab::avx2
