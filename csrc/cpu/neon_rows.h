// A few rows of x times Wᵀ: codes are looked up in registers and dropped.
#pragma once
#include "neon_vectors.h"
#include "rows.h"

namespace loralab::neon {

constexpr int AHEAD = 8;  // rows prefetched, as in avx512_rows.h

// Of 4 bits. What the codes stand for is looked up a byte plane at a time: all four of a float, or, for x in bf16, the two
// of what it is rounded to in bf16.
template <int PLANES>
struct CodeRows : InOrder<2> {
    struct Tables {
        uint8_t planes[16][PLANES][16];  // of each zero-point
        LORALAB_INLINE void fill(const Weight& w) {
            for (int zero = 0; zero < (w.zeros ? 16 : 1); zero++)
                for (int code = 0; code < 16; code++) {
                    const float value = w.codebook[code] - (float)zero;
                    uint32_t bits;
                    __builtin_memcpy(&bits, &value, 4);
                    if (PLANES == 2) bits = to_bf16(value);
                    for (int i = 0; i < PLANES; i++) planes[zero][i][code] = (uint8_t)(bits >> 8 * i);
                }
        }
    };

    template <int N>
    LORALAB_INLINE static void dot(const Weight& w, const Tables& tables, const float* x, int64_t padded, int64_t row,
                                   const float* scales, float* y) {
        const int64_t groups = w.groups(), bytes = w.row_bytes();
        float32x4_t sums[N][AT_ONCE];
        for (int v = 0; v < N; v++)
            for (int r = 0; r < AT_ONCE; r++) sums[v][r] = vdupq_n_f32(0);
        for (int64_t at = 0; at < padded; at += 32) {
            const int64_t g = at / w.group;
#pragma GCC unroll 2
            for (int r = 0; r < AT_ONCE; r++) {
                const int64_t this_row = existing(w, row + r);
                const uint8_t* from = w.codes + this_row * bytes + at / 2;
                if (at % 128 == 0) __builtin_prefetch(from + AHEAD * bytes);
                uint8x16_t codes[2];
                split_codes(from, codes);
                float32x4_t values[8];
                const auto& planes = tables.planes[w.zeros ? w.zeros[this_row * groups + g] : 0];
                for (int half = 0; half < 2; half++) look_up(planes, codes[half], values + 4 * half);
#pragma GCC unroll 4
                for (int v = 0; v < N; v++) {
                    const float* of_x = x + v * padded + at;
                    float32x4_t part = vmulq_f32(values[0], vld1q_f32(of_x)), other = vmulq_f32(values[1], vld1q_f32(of_x + 4));
                    for (int i = 2; i < 8; i += 2) {
                        part = vfmaq_f32(part, values[i], vld1q_f32(of_x + 4 * i));
                        other = vfmaq_f32(other, values[i + 1], vld1q_f32(of_x + 4 * i + 4));
                    }
                    sums[v][r] = vfmaq_n_f32(sums[v][r], vaddq_f32(part, other), scales[r * groups + g]);
                }
            }
        }
        for (int v = 0; v < N; v++)
            for (int r = 0; r < AT_ONCE; r++) y[v * AT_ONCE + r] = vaddvq_f32(sums[v][r]);
    }

   private:
    LORALAB_INLINE static void look_up(const uint8_t (&planes)[PLANES][16], uint8x16_t codes, float32x4_t out[4]) {
        uint8x16_t b[PLANES];
        for (int i = 0; i < PLANES; i++) b[i] = vqtbl1q_u8(vld1q_u8(planes[i]), codes);
        if constexpr (PLANES == 4) return join_bytes(b, out);
        const uint16x8_t low = vreinterpretq_u16_u8(vzip1q_u8(b[0], b[1])), high = vreinterpretq_u16_u8(vzip2q_u8(b[0], b[1]));
        out[0] = vreinterpretq_f32_u32(vshll_n_u16(vget_low_u16(low), 16));
        out[1] = vreinterpretq_f32_u32(vshll_high_n_u16(low, 16));
        out[2] = vreinterpretq_f32_u32(vshll_n_u16(vget_low_u16(high), 16));
        out[3] = vreinterpretq_f32_u32(vshll_high_n_u16(high, 16));
    }
};

// Of a weight of 8 bits.
struct Int8Rows : InOrder<2> {
    template <int N>
    LORALAB_INLINE static void dot(const Weight& w, const Tables&, const float* x, int64_t padded, int64_t row,
                                   const float*, float* y) {
        float32x4_t sums[N][AT_ONCE][2];
        for (int v = 0; v < N; v++)
            for (int r = 0; r < AT_ONCE; r++) sums[v][r][0] = sums[v][r][1] = vdupq_n_f32(0);
        for (int64_t at = 0; at < w.in; at += 16)
            for (int r = 0; r < AT_ONCE; r++) {
                const uint8_t* codes = w.codes + existing(w, row + r) * w.in + at;
                if (at % 64 == 0) __builtin_prefetch(codes + AHEAD * w.in);
                float32x4_t values[4];
                widen(vreinterpretq_s8_u8(load_bytes(codes, w.in - at)), values);
#pragma GCC unroll 4
                for (int v = 0; v < N; v++)
                    for (int i = 0; i < 4; i++) {
                        float32x4_t& sum = sums[v][r][i % 2];
                        sum = vfmaq_f32(sum, values[i], vld1q_f32(x + v * padded + at + 4 * i));
                    }
            }
        for (int v = 0; v < N; v++)
            for (int r = 0; r < AT_ONCE; r++)
                y[v * AT_ONCE + r] = vaddvq_f32(vaddq_f32(sums[v][r][0], sums[v][r][1])) * w.row_scales[existing(w, row + r)];
    }
};

}  // namespace loralab::neon
