// A few rows of x times Wᵀ: every code is read once from memory, looked up in registers and dropped.
//
// The sums run along a row of the weight, in the order in which codes come apart: x is laid out as 16 even elements, 16
// odd ones, and so on. All in float32, for x in bf16 too: two of its products in one instruction would need the weight
// rounded, and that instruction starts but every second cycle on processors without AMX.
#pragma once
#include "avx512_vectors.h"
#include "rows.h"

namespace loralab::avx512 {

constexpr int ROWS_AT_ONCE = 4;  // of the weight: independent chains of sums hide the latency of an addition
constexpr int AHEAD = 8;         // rows prefetched: reading and computing would take turns, 313 µs instead of 200
constexpr int BYTES_AHEAD = 6144;
constexpr int64_t SHORT = 4096;  // elements of x that stay in the first cache

// Four rows of a weight; behind the last one it is repeated, and what comes of that thrown away.
struct FourRows {
    int64_t number[ROWS_AT_ONCE];
    const uint8_t* codes[ROWS_AT_ONCE];
    LORALAB_INLINE FourRows(const Weight& w, int64_t row, int64_t bytes) {
        for (int r = 0; r < ROWS_AT_ONCE; r++) {
            number[r] = existing(w, row + r);
            codes[r] = w.codes + number[r] * bytes;
        }
    }
};

// The sums of four vectors' lanes.
LORALAB_INLINE void sum_four(const __m512 sums[4], float* y) {
    __m256 halves[4];
    for (int r = 0; r < 4; r++) halves[r] = _mm256_add_ps(_mm512_castps512_ps256(sums[r]), _mm512_extractf32x8_ps(sums[r], 1));
    const __m256 pairs = _mm256_hadd_ps(_mm256_hadd_ps(halves[0], halves[1]), _mm256_hadd_ps(halves[2], halves[3]));
    _mm_storeu_ps(y, _mm_add_ps(_mm256_castps256_ps128(pairs), _mm256_extractf128_ps(pairs, 1)));
}

// Scales of four rows, [4][groups].
LORALAB_INLINE void decode_four(const Weight& w, int64_t row, float* scales) {
    const int64_t groups = w.groups();
    const float* of_rows = w.steps + row / SCALE_ROWS * 2;
    const __m512 step = _mm512_set1_ps(of_rows[0]), offset = _mm512_set1_ps(of_rows[1]);
    for (int r = 0; r < ROWS_AT_ONCE; r++) {
        const uint8_t* codes = w.scales + existing(w, row + r) * groups;
        for (int64_t g = 0; g < groups; g += 16) {
            const __mmask16 mask = first_words(groups - g);
            const __m512 numbers = _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_maskz_loadu_epi8(mask, codes + g)));
            _mm512_mask_storeu_ps(scales + r * groups + g, mask, _mm512_add_ps(offset, _mm512_mul_ps(step, numbers)));
        }
    }
}

struct FloatRows : InOrder<ROWS_AT_ONCE> {
    LORALAB_INLINE static void decode_scales(const Weight& w, int64_t row, float* scales) { decode_four(w, row, scales); }
    LORALAB_INLINE static void lay_out(const float* x, int64_t padded, float* out) {
        const __m512i even = _mm512_set_epi32(30, 28, 26, 24, 22, 20, 18, 16, 14, 12, 10, 8, 6, 4, 2, 0);
        const __m512i odd = _mm512_add_epi32(even, _mm512_set1_epi32(1));
        for (int64_t at = 0; at < padded; at += 32) {
            const __m512 low = _mm512_loadu_ps(x + at), high = _mm512_loadu_ps(x + at + 16);
            _mm512_storeu_ps(out + at, _mm512_permutex2var_ps(low, even, high));
            _mm512_storeu_ps(out + at + 16, _mm512_permutex2var_ps(low, odd, high));
        }
    }

    template <int N>
    LORALAB_INLINE static void dot(const Weight& w, const Tables&, const float* x, int64_t padded, int64_t row,
                                   const float* scales, float* y) {
        const int64_t groups = w.groups(), bytes = w.row_bytes();
        const FourRows rows(w, row, bytes);
        const __m512 codebook = _mm512_loadu_ps(w.codebook);
        if constexpr (N == 1) {
            if (padded <= SHORT) return one_by_one(w, rows, codebook, x, scales, y);
        }
        __m512 sums[N][AT_ONCE];
        for (auto& line : sums)
            for (auto& sum : line) sum = _mm512_setzero_ps();
        for (int64_t g = 0; g < groups; g++) {
            __m512 tables[AT_ONCE];
#pragma GCC unroll 4
            for (int r = 0; r < AT_ONCE; r++) tables[r] = table(w, rows.number[r], g, codebook, scales[r * groups + g]);
            for (int64_t at = g * w.group; at < (g + 1) * w.group; at += 32) {
                __m512i words[AT_ONCE];
#pragma GCC unroll 4
                for (int r = 0; r < AT_ONCE; r++) {
                    const uint8_t* codes = rows.codes[r] + at / 2;
                    if (at % 128 == 0) _mm_prefetch((const char*)codes + AHEAD * bytes, _MM_HINT_T0);
                    words[r] = _mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i*)codes));
                }
                add<N>(words, 4, tables, x + at, padded, sums);
                add<N>(words, 0, tables, x + at + 16, padded, sums);
            }
        }
        for (int v = 0; v < N; v++) sum_four(sums[v], y + v * AT_ONCE);
    }

   private:
    // What a group's codes stand for, its scale included.
    LORALAB_INLINE static __m512 table(const Weight& w, int64_t row, int64_t g, __m512 codebook, float scale) {
        const __m512 values = w.zeros ? _mm512_sub_ps(codebook, _mm512_set1_ps(w.zero(row, g))) : codebook;
        return _mm512_mul_ps(values, _mm512_set1_ps(scale));
    }

    // One row of the weight after the other: codes are read as they lie in memory, which processors foresee.
    LORALAB_INLINE static void one_by_one(const Weight& w, const FourRows& rows, __m512 codebook, const float* x,
                                          const float* scales, float* y) {
        const int64_t groups = w.groups();
        __m512 sums[AT_ONCE];
        for (int r = 0; r < AT_ONCE; r++) {
            __m512 parts[4] = {_mm512_setzero_ps(), _mm512_setzero_ps(), _mm512_setzero_ps(), _mm512_setzero_ps()};
            for (int64_t g = 0; g < groups; g++) {
                const int64_t at = g * w.group;
                const uint8_t* codes = rows.codes[r] + at / 2;
                const __m512 values = table(w, rows.number[r], g, codebook, scales[r * groups + g]);
                if (at % 128 == 0) _mm_prefetch((const char*)codes + BYTES_AHEAD, _MM_HINT_T1);
                add32(codes, values, x + at, parts);
                if (w.group >= 64) add32(codes + 16, values, x + at + 32, parts + 2);
                if (w.group >= 128) add32(codes + 32, values, x + at + 64, parts), add32(codes + 48, values, x + at + 96, parts + 2);
            }
            sums[r] = _mm512_add_ps(_mm512_add_ps(parts[0], parts[1]), _mm512_add_ps(parts[2], parts[3]));
        }
        sum_four(sums, y);
    }

    LORALAB_INLINE static void add32(const uint8_t* codes, __m512 table, const float* x, __m512* sums) {
        const __m512i words = _mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i*)codes));
        const __m512 even = _mm512_permutexvar_ps(_mm512_srli_epi32(words, 4), table);
        sums[0] = _mm512_fmadd_ps(even, _mm512_loadu_ps(x), sums[0]);
        sums[1] = _mm512_fmadd_ps(_mm512_permutexvar_ps(words, table), _mm512_loadu_ps(x + 16), sums[1]);
    }

    // sums + the codes' values · x, sixteen columns of each row; of a word only the low four bits count.
    template <int N>
    LORALAB_INLINE static void add(const __m512i* words, int shift, const __m512* tables, const float* x, int64_t padded,
                                   __m512 (&sums)[N][AT_ONCE]) {
        __m512 values[AT_ONCE];
#pragma GCC unroll 4
        for (int r = 0; r < AT_ONCE; r++)
            values[r] = _mm512_permutexvar_ps(shift ? _mm512_srli_epi32(words[r], 4) : words[r], tables[r]);
#pragma GCC unroll 4
        for (int v = 0; v < N; v++) {
            const __m512 of_x = _mm512_loadu_ps(x + v * padded);
#pragma GCC unroll 4
            for (int r = 0; r < AT_ONCE; r++) sums[v][r] = _mm512_fmadd_ps(values[r], of_x, sums[v][r]);
        }
    }
};

// Of a weight of 8 bits.
struct Int8Rows : InOrder<ROWS_AT_ONCE> {
    template <int N>
    LORALAB_INLINE static void dot(const Weight& w, const Tables&, const float* x, int64_t padded, int64_t row,
                                   const float*, float* y) {
        const FourRows rows(w, row, w.in);
        __m512 sums[N][AT_ONCE];
        for (auto& line : sums)
            for (auto& sum : line) sum = _mm512_setzero_ps();
        const int64_t whole = w.in / 64 * 64;
        for (int64_t at = 0; at < whole; at += 64) {
#pragma GCC unroll 4
            for (int r = 0; r < AT_ONCE; r++) {
                _mm_prefetch((const char*)rows.codes[r] + at + AHEAD * w.in, _MM_HINT_T0);
#pragma GCC unroll 4
                for (int i = 0; i < 64; i += 16)
                    add<N>(_mm_loadu_si128((const __m128i*)(rows.codes[r] + at + i)), x + at + i, padded, r, sums);
            }
        }
        for (int64_t at = whole; at < w.in; at += 16)
            for (int r = 0; r < AT_ONCE; r++)
                add<N>(_mm_maskz_loadu_epi8(first_words(w.in - at), rows.codes[r] + at), x + at, padded, r, sums);
        for (int v = 0; v < N; v++) {
            sum_four(sums[v], y + v * AT_ONCE);
            for (int r = 0; r < AT_ONCE; r++) y[v * AT_ONCE + r] *= w.row_scales[rows.number[r]];
        }
    }

   private:
    template <int N>
    LORALAB_INLINE static void add(__m128i bytes, const float* x, int64_t padded, int r, __m512 (&sums)[N][AT_ONCE]) {
        const __m512 values = _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(bytes));
#pragma GCC unroll 4
        for (int v = 0; v < N; v++) sums[v][r] = _mm512_fmadd_ps(values, _mm512_loadu_ps(x + v * padded), sums[v][r]);
    }
};

}  // namespace loralab::avx512
