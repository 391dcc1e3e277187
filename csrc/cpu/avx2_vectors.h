// Vectors of eight floats, look-ups of 4-bit codes and shuffles that more than one AVX2 kernel needs.
#pragma once
#include <immintrin.h>

#include "../matrix.h"

namespace loralab::avx2 {

struct Floats {
    using T = __m256;
    static constexpr int LANES = 8;
    LORALAB_INLINE static T zero() { return _mm256_setzero_ps(); }
    LORALAB_INLINE static T load(const float* from) { return _mm256_loadu_ps(from); }
    LORALAB_INLINE static void store(float* to, T value) { _mm256_storeu_ps(to, value); }
    LORALAB_INLINE static T fma(float x, T b, T sum) { return _mm256_fmadd_ps(_mm256_set1_ps(x), b, sum); }
};

LORALAB_INLINE float sum_of(__m256 v) {
    __m128 s = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    s = _mm_add_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_add_ss(s, _mm_movehdup_ps(s)));
}

// What sixteen codes stand for: a look-up in each half, and the code's top bit chooses.
struct Table {
    __m256 low, high;

    LORALAB_INLINE static Table of(const float* codebook) { return {_mm256_loadu_ps(codebook), _mm256_loadu_ps(codebook + 8)}; }
    // of a row in group g
    LORALAB_INLINE static Table of(const Weight& w, float scale, float zero) {
        const __m256 s = _mm256_set1_ps(scale), z = _mm256_set1_ps(zero);
        const Table t = of(w.codebook);
        return {_mm256_mul_ps(_mm256_sub_ps(t.low, z), s), _mm256_mul_ps(_mm256_sub_ps(t.high, z), s)};
    }
    // index: the code's low three bits lowest, whatever lies above; top: its fourth bit as the sign, whatever lies below
    LORALAB_INLINE __m256 at(__m256i index, __m256i top) const {
        return _mm256_blendv_ps(_mm256_permutevar8x32_ps(low, index), _mm256_permutevar8x32_ps(high, index),
                                _mm256_castsi256_ps(top));
    }
    // Eight elements of a row from its four bytes, in order.
    LORALAB_INLINE __m256 at(const uint8_t* codes) const {
        int32_t word;
        __builtin_memcpy(&word, codes, 4);
        const __m256i index = _mm256_srlv_epi32(_mm256_set1_epi32(word), _mm256_setr_epi32(4, 0, 12, 8, 20, 16, 28, 24));
        return at(index, _mm256_slli_epi32(index, 28));
    }
};

// `count` bytes, at most 32; zeros behind them.
LORALAB_INLINE __m256i load_bytes(const uint8_t* from, int64_t count) {
    if (count >= 32) return _mm256_loadu_si256((const __m256i*)from);
    alignas(32) uint8_t bytes[32] = {};
    if (count > 0) __builtin_memcpy(bytes, from, count);
    return _mm256_load_si256((const __m256i*)bytes);
}

// Eight rows of eight 32-bit words → their transpose, in place.
LORALAB_INLINE void transpose8(__m256i r[8]) {
    __m256i t[8];
    for (int i = 0; i < 8; i += 2) {
        t[i] = _mm256_unpacklo_epi32(r[i], r[i + 1]);
        t[i + 1] = _mm256_unpackhi_epi32(r[i], r[i + 1]);
    }
    for (int i = 0; i < 8; i += 4) {
        r[i] = _mm256_unpacklo_epi64(t[i], t[i + 2]);
        r[i + 1] = _mm256_unpackhi_epi64(t[i], t[i + 2]);
        r[i + 2] = _mm256_unpacklo_epi64(t[i + 1], t[i + 3]);
        r[i + 3] = _mm256_unpackhi_epi64(t[i + 1], t[i + 3]);
    }
    for (int i = 0; i < 4; i++) {
        t[i] = _mm256_permute2x128_si256(r[i], r[i + 4], 0x20);
        t[i + 4] = _mm256_permute2x128_si256(r[i], r[i + 4], 0x31);
    }
    for (int i = 0; i < 8; i++) r[i] = t[i];
}

// Scales of group g for the eight rows from `row` on, a multiple of eight; 0 for rows behind the last.
LORALAB_INLINE __m256 row_scales(const Weight& w, int64_t row, int64_t g) {
    alignas(32) float scales[8] = {};
    for (int64_t i = 0; i < 8 && row + i < w.out; i++) scales[i] = w.scale(row + i, g);
    return _mm256_load_ps(scales);
}

LORALAB_INLINE __m256 row_zeros(const Weight& w, int64_t row, int64_t g) {
    alignas(32) float zeros[8] = {};
    for (int64_t i = 0; i < 8 && row + i < w.out; i++) zeros[i] = w.zero(row + i, g);
    return _mm256_load_ps(zeros);
}

}  // namespace loralab::avx2
