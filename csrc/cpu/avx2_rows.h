// A few rows of x times Wᵀ: codes are looked up in registers and dropped.
#pragma once
#include "avx2_vectors.h"
#include "rows.h"

namespace loralab::avx2 {

constexpr int AHEAD = 8;  // rows prefetched, as in avx512_rows.h

// In float32, for x in float32.
struct FloatRows : InOrder<2> {
    template <int N>
    LORALAB_INLINE static void dot(const Weight& w, const Tables&, const float* x, int64_t padded, int64_t row,
                                   const float* scales, float* y) {
        const int64_t groups = w.groups(), bytes = w.row_bytes();
        __m256 sums[N][AT_ONCE] = {};
        for (int64_t at = 0; at < padded; at += 32) {
            const int64_t g = at / w.group;
            for (int r = 0; r < AT_ONCE; r++) {
                const int64_t this_row = existing(w, row + r);
                const uint8_t* codes = w.codes + this_row * bytes + at / 2;
                if (at % 128 == 0) _mm_prefetch((const char*)codes + AHEAD * bytes, _MM_HINT_T0);
                const Table table = Table::of(w, scales[r * groups + g], w.zero(this_row, g));
#pragma GCC unroll 4
                for (int i = 0; i < 4; i++) {
                    const __m256 values = table.at(codes + 4 * i);
#pragma GCC unroll 4
                    for (int v = 0; v < N; v++)
                        sums[v][r] = _mm256_fmadd_ps(values, _mm256_loadu_ps(x + v * padded + at + 8 * i), sums[v][r]);
                }
            }
        }
        for (int v = 0; v < N; v++)
            for (int r = 0; r < AT_ONCE; r++) y[v * AT_ONCE + r] = sum_of(sums[v][r]);
    }
};

// For x in bf16: what the codes stand for is rounded to bf16, looked up a byte plane at a time.
//
// x is laid out in blocks of 32, in the order in which they come apart: elements 4i + {0, 1, 2, 3} for i in 0…3 give
// 4i | 4i + 1 and 4i + 2 | 4i + 3, and so the second sixteen.
struct Bf16Rows : InOrder<2> {
    // Of each zero-point the low bytes of its sixteen values and the high ones.
    struct Tables {
        alignas(32) uint8_t low[16][16], high[16][16];
        LORALAB_INLINE void fill(const Weight& w) {
            for (int zero = 0; zero < (w.zeros ? 16 : 1); zero++)
                for (int code = 0; code < 16; code++) {
                    const bf16 value = to_bf16(w.codebook[code] - (float)zero);
                    low[zero][code] = (uint8_t)value, high[zero][code] = (uint8_t)(value >> 8);
                }
        }
    };
    LORALAB_INLINE static void lay_out(const float* x, int64_t padded, float* out) {
        for (int64_t at = 0; at < padded; at += 32)
            for (int half = 0; half < 2; half++)
                for (int pair = 0; pair < 2; pair++)
                    for (int i = 0; i < 8; i++)
                        out[at + 16 * half + 8 * pair + i] = x[at + 16 * half + 4 * (i % 4) + 2 * pair + i / 4];
    }

    template <int N>
    LORALAB_INLINE static void dot(const Weight& w, const Tables& tables, const float* x, int64_t padded, int64_t row,
                                   const float* scales, float* y) {
        const int64_t groups = w.groups(), bytes = w.row_bytes();
        __m256 sums[N][AT_ONCE] = {};
        for (int64_t at = 0; at < padded; at += 32) {
            const int64_t g = at / w.group;
#pragma GCC unroll 2
            for (int r = 0; r < AT_ONCE; r++) {
                const int64_t this_row = existing(w, row + r);
                const uint8_t* codes = w.codes + this_row * bytes + at / 2;
                if (at % 128 == 0) _mm_prefetch((const char*)codes + AHEAD * bytes, _MM_HINT_T0);
                const int zero = w.zeros ? w.zeros[this_row * groups + g] : 0;
                __m256 values[4];
                look_up32(codes, tables.low[zero], tables.high[zero], values);
                const __m256 scale = _mm256_set1_ps(scales[r * groups + g]);
#pragma GCC unroll 4
                for (int v = 0; v < N; v++) {
                    const float* of_x = x + v * padded + at;
                    __m256 part = _mm256_mul_ps(values[0], _mm256_loadu_ps(of_x));
                    for (int i = 1; i < 4; i++) part = _mm256_fmadd_ps(values[i], _mm256_loadu_ps(of_x + 8 * i), part);
                    sums[v][r] = _mm256_fmadd_ps(part, scale, sums[v][r]);
                }
            }
        }
        for (int v = 0; v < N; v++)
            for (int r = 0; r < AT_ONCE; r++) y[v * AT_ONCE + r] = sum_of(sums[v][r]);
    }

   private:
    LORALAB_INLINE static void look_up32(const uint8_t* codes, const uint8_t* low, const uint8_t* high, __m256 out[4]) {
        const __m128i bytes = _mm_loadu_si128((const __m128i*)codes);
        const __m256i both = _mm256_inserti128_si256(_mm256_castsi128_si256(_mm_srli_epi16(bytes, 4)), bytes, 1);
        const __m256i index = _mm256_and_si256(both, _mm256_set1_epi8(15));  // even elements, then odd ones
        const __m256i lows = _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i*)low)), index);
        const __m256i highs = _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i*)high)), index);
        const __m256i words[2] = {_mm256_unpacklo_epi8(lows, highs), _mm256_unpackhi_epi8(lows, highs)};
        const __m256i upper = _mm256_set1_epi32((int)0xffff0000);
        for (int i = 0; i < 2; i++) {
            out[2 * i] = _mm256_castsi256_ps(_mm256_slli_epi32(words[i], 16));
            out[2 * i + 1] = _mm256_castsi256_ps(_mm256_and_si256(words[i], upper));
        }
    }
};

// Of a weight of 8 bits.
struct Int8Rows : InOrder<2> {
    template <int N>
    LORALAB_INLINE static void dot(const Weight& w, const Tables&, const float* x, int64_t padded, int64_t row,
                                   const float*, float* y) {
        __m256 sums[N][AT_ONCE] = {};
        for (int64_t at = 0; at < w.in; at += 8) {
            for (int r = 0; r < AT_ONCE; r++) {
                const uint8_t* codes = w.codes + existing(w, row + r) * w.in + at;
                if (at % 64 == 0) _mm_prefetch((const char*)codes + AHEAD * w.in, _MM_HINT_T0);
                uint64_t eight = 0;
                if (w.in - at >= 8) __builtin_memcpy(&eight, codes, 8);
                else __builtin_memcpy(&eight, codes, w.in - at);
                const __m256 values = _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_cvtsi64_si128((int64_t)eight)));
#pragma GCC unroll 4
                for (int v = 0; v < N; v++)
                    sums[v][r] = _mm256_fmadd_ps(values, _mm256_loadu_ps(x + v * padded + at), sums[v][r]);
            }
        }
        for (int v = 0; v < N; v++)
            for (int r = 0; r < AT_ONCE; r++) y[v * AT_ONCE + r] = sum_of(sums[v][r]) * w.row_scales[existing(w, row + r)];
    }
};

}  // namespace loralab::avx2
