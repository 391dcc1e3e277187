// Codes → panels of 16-bit numbers in pairs of k, and products of them in int32.
//
// vpmaddwd is exact; vpmaddubsw, of 8 bits, saturates. The numbers are those of the AVX-512 kernels: a code's value over
// its row's scale, rounded to the nearest once for each group.
#pragma once
#include "avx2_unpack.h"

namespace loralab::avx2 {

// The sixteen values of a group as integers around zero, one a byte.
LORALAB_INLINE __m128i int8_table(const Weight& w, int64_t row, int64_t g, float inverse) {
    const Table table = Table::of(w, w.scale(row, g), w.zero(row, g));
    const __m256i low = _mm256_cvtps_epi32(_mm256_mul_ps(table.low, _mm256_set1_ps(inverse)));
    const __m256i high = _mm256_cvtps_epi32(_mm256_mul_ps(table.high, _mm256_set1_ps(inverse)));
    const __m256i words = _mm256_permute4x64_epi64(_mm256_packs_epi32(low, high), 0xd8);
    return _mm_packs_epi16(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1));
}

// 32 elements of a row from `column`, a multiple of 32, on, as 16-bit numbers in order; zeros or padding behind the last.
LORALAB_INLINE void read32_int8(const Weight& w, int64_t row, int64_t column, const float* scales, __m256i out[2]) {
    if (w.is_int8()) {
        const __m256i bytes = load_bytes(w.codes + row * w.in + column, w.in - column);
        out[0] = _mm256_cvtepi8_epi16(_mm256_castsi256_si128(bytes));
        out[1] = _mm256_cvtepi8_epi16(_mm256_extracti128_si256(bytes, 1));
        return;
    }
    const __m128i table = int8_table(w, row, column / w.group, scales[row] > 0 ? 1 / scales[row] : 0);
    const __m128i codes = _mm_loadu_si128((const __m128i*)(w.codes + row * w.row_bytes() + column / 2));
    const __m128i even = _mm_shuffle_epi8(table, _mm_and_si128(_mm_srli_epi16(codes, 4), _mm_set1_epi8(15)));
    const __m128i odd = _mm_shuffle_epi8(table, _mm_and_si128(codes, _mm_set1_epi8(15)));
    out[0] = _mm256_cvtepi8_epi16(_mm_unpacklo_epi8(even, odd));
    out[1] = _mm256_cvtepi8_epi16(_mm_unpackhi_epi8(even, odd));
}

// y = x·Wᵀ: eight rows from `row` on → a strip [pairs][16][2].
LORALAB_INLINE void int8_rows(const Weight& w, int64_t row, int64_t from, int64_t to, const float* scales, int16_t* strip) {
    for (int64_t at = from; at < to; at += 32) {
        __m256i numbers[8][2];
        for (int i = 0; i < 8; i++) read32_int8(w, row + i < w.out ? row + i : w.out - 1, at, scales, numbers[i]);
        for (int half = 0; half < 2; half++) {
            __m256i pairs[8];
            for (int i = 0; i < 8; i++) pairs[i] = numbers[i][half];
            transpose8(pairs);
            for (int p = 0; p < 8; p++)
                _mm256_storeu_si256((__m256i*)(strip + (at - from + 16 * half + 2 * p) * COLUMNS), pairs[p]);
        }
    }
}

// dx = dy·W: two rows of the weight at a time, 32 columns from `column` on → two strips.
LORALAB_INLINE void int8_columns(const Weight& w, int64_t column, int64_t from, int64_t to, const float* scales,
                                 int16_t* strips, int64_t distance) {
    for (int64_t row = from; row < to; row += 2) {
        __m256i even[2], odd[2] = {};
        read32_int8(w, row, column, scales, even);
        if (row + 1 < to) read32_int8(w, row + 1, column, scales, odd);
        for (int half = 0; half < 2; half++) {
            const __m256i low = _mm256_unpacklo_epi16(even[half], odd[half]);  // columns 0…3 and 8…11
            const __m256i high = _mm256_unpackhi_epi16(even[half], odd[half]);
            __m256i* place = (__m256i*)(strips + half * distance + (row - from) * COLUMNS);
            _mm256_storeu_si256(place, _mm256_permute2x128_si256(low, high, 0x20));
            _mm256_storeu_si256(place + 1, _mm256_permute2x128_si256(low, high, 0x31));
        }
    }
}

LORALAB_INLINE void unpack_int8(const Weight& w, bool transposed, int64_t column, int64_t from, int64_t to,
                                const float* scales, int16_t* panel) {
    const int64_t distance = depth(to - from) * COLUMNS, columns = transposed ? w.in : w.out;
    if (column + PANEL > columns) __builtin_memset(panel, 0, distance * PANEL / COLUMNS * sizeof(int16_t));
    if (transposed)
        for (int part = 0; part < PANEL && column + part < columns; part += 32)
            int8_columns(w, column + part, from, to, scales, panel + part / COLUMNS * distance, distance);
    else
        for (int part = 0; part < PANEL && column + part < columns; part += 8)
            int8_rows(w, column + part, from, to, scales, panel + part / COLUMNS * distance + part % COLUMNS * 2);
}

// In assembly, for gcc 12 computes all products before it adds any, and spills the sums.
LORALAB_INLINE void add_products(__m256i& sum, __m256i x, __m256i b) {
    __m256i products;
    asm("vpmaddwd %3, %2, %1\n\tvpaddd %1, %0, %0" : "+x"(sum), "=&x"(products) : "x"(x), "x"(b));
}

// sums [ROWS][16], rows PANEL apart, (+)= a · strip
template <int ROWS>
LORALAB_INLINE void tile_int8_strip(const int16_t* a, int64_t stride, const int16_t* strip, int64_t pairs, int32_t* sums, bool add) {
    __m256i sum[ROWS][2];
#pragma GCC unroll 6
    for (int i = 0; i < ROWS; i++)
#pragma GCC unroll 2
        for (int j = 0; j < 2; j++)
            sum[i][j] = add ? _mm256_loadu_si256((const __m256i*)(sums + i * PANEL + j * 8)) : _mm256_setzero_si256();
    for (int64_t p = 0; p < pairs; p++) {
        const __m256i* b = (const __m256i*)(strip + p * 2 * COLUMNS);
        const __m256i b0 = _mm256_loadu_si256(b), b1 = _mm256_loadu_si256(b + 1);
#pragma GCC unroll 6
        for (int i = 0; i < ROWS; i++) {
            int32_t pair;
            __builtin_memcpy(&pair, a + i * stride + 2 * p, 4);
            const __m256i x = _mm256_set1_epi32(pair);
            add_products(sum[i][0], x, b0);
            add_products(sum[i][1], x, b1);
        }
    }
#pragma GCC unroll 6
    for (int i = 0; i < ROWS; i++)
#pragma GCC unroll 2
        for (int j = 0; j < 2; j++) _mm256_storeu_si256((__m256i*)(sums + i * PANEL + j * 8), sum[i][j]);
}

template <int ROWS>
LORALAB_INLINE void tile_int8(const int16_t* a, int64_t stride, const int16_t* panel, int64_t pairs, int32_t* sums, bool add) {
    constexpr int64_t DEEP_PAIRS = DEEP;
    for (int64_t p = 0; p < pairs; p += DEEP_PAIRS)
        for (int column = 0; column < PANEL; column += COLUMNS)
            tile_int8_strip<ROWS>(a + 2 * p, stride, panel + column * depth(2 * pairs) + p * 2 * COLUMNS,
                                  pairs - p < DEEP_PAIRS ? pairs - p : DEEP_PAIRS, sums + column, add || p > 0);
}

}  // namespace loralab::avx2
