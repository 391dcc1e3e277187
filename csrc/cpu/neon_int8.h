// Codes → int8 panels in quads of k, strips [depth / 4][16][4], and products of them in int32: by dot products of four
// where the processor has them (Armv8.2), otherwise by products of eight.
//
// The numbers are those of the AVX-512 kernels: a code's value over its row's scale, rounded once for each group.
#pragma once
#include "neon_unpack.h"

// A function for processors with dot products, in a file for those without.
#if defined(__ARM_FEATURE_DOTPROD)
#define LORALAB_DOTPROD
#elif !defined(__clang__) || __clang_major__ >= 16
#define LORALAB_DOTPROD __attribute__((target("arch=armv8.2-a+dotprod")))
#endif

#if defined(__APPLE__)
#include <sys/sysctl.h>
#else
#include <sys/auxv.h>
#endif

namespace loralab::neon {

inline bool has_dotprod() {
#if defined(__ARM_FEATURE_DOTPROD)
    return true;
#elif !defined(LORALAB_DOTPROD)
    return false;
#elif defined(__APPLE__)
    int found = 0;
    size_t size = sizeof found;
    return sysctlbyname("hw.optional.arm.FEAT_DotProd", &found, &size, nullptr, 0) == 0 && found;
#else
    return getauxval(AT_HWCAP) >> 20 & 1;  // HWCAP_ASIMDDP
#endif
}

// The sixteen values of a group as integers around zero, one a byte.
LORALAB_INLINE int8x16_t int8_table(const Weight& w, int64_t row, int64_t g, float inverse) {
    const float32x4_t zero = vdupq_n_f32(w.zero(row, g));
    int32x4_t n[4];
    for (int i = 0; i < 4; i++) {
        const float32x4_t value = vmulq_n_f32(vsubq_f32(vld1q_f32(w.codebook + 4 * i), zero), w.scale(row, g));
        n[i] = vcvtnq_s32_f32(vmulq_n_f32(value, inverse));
    }
    const int16x8_t low = vcombine_s16(vmovn_s32(n[0]), vmovn_s32(n[1])), high = vcombine_s16(vmovn_s32(n[2]), vmovn_s32(n[3]));
    return vcombine_s8(vmovn_s16(low), vmovn_s16(high));
}

// 32 elements of a row from `column`, a multiple of 32, on; zeros or padding behind the last.
LORALAB_INLINE void read32_int8(const Weight& w, int64_t row, int64_t column, const float* scales, int8x16_t out[2]) {
    if (w.is_int8()) {
        for (int half = 0; half < 2; half++) {
            const int64_t at = column + 16 * half;
            out[half] = vreinterpretq_s8_u8(load_bytes(w.codes + row * w.in + at, w.in - at));
        }
        return;
    }
    const int8x16_t table = int8_table(w, row, column / w.group, scales[row] > 0 ? 1 / scales[row] : 0);
    uint8x16_t codes[2];
    split_codes(w.codes + row * w.row_bytes() + column / 2, codes);
    for (int half = 0; half < 2; half++) out[half] = vqtbl1q_s8(table, codes[half]);
}

// Four rows of four quads → [quad][row].
LORALAB_INLINE void store_transposed(const int8x16_t rows[4], int8_t* out, int64_t distance) {
    const int32x4_t a = vreinterpretq_s32_s8(rows[0]), b = vreinterpretq_s32_s8(rows[1]);
    const int32x4_t c = vreinterpretq_s32_s8(rows[2]), d = vreinterpretq_s32_s8(rows[3]);
    const int64x2_t ab[2] = {vreinterpretq_s64_s32(vtrn1q_s32(a, b)), vreinterpretq_s64_s32(vtrn2q_s32(a, b))};
    const int64x2_t cd[2] = {vreinterpretq_s64_s32(vtrn1q_s32(c, d)), vreinterpretq_s64_s32(vtrn2q_s32(c, d))};
    for (int i = 0; i < 2; i++) {
        vst1q_s8(out + i * distance, vreinterpretq_s8_s64(vtrn1q_s64(ab[i], cd[i])));
        vst1q_s8(out + (i + 2) * distance, vreinterpretq_s8_s64(vtrn2q_s64(ab[i], cd[i])));
    }
}

// y = x·Wᵀ: four rows from `row` on.
LORALAB_INLINE void int8_rows(const Weight& w, int64_t row, int64_t from, int64_t to, const float* scales, int8_t* strip) {
    for (int64_t at = from; at < to; at += 32) {
        int8x16_t numbers[4][2];
        for (int i = 0; i < 4; i++) read32_int8(w, row + i < w.out ? row + i : w.out - 1, at, scales, numbers[i]);
        for (int half = 0; half < 2; half++) {
            const int8x16_t rows[4] = {numbers[0][half], numbers[1][half], numbers[2][half], numbers[3][half]};
            store_transposed(rows, strip + (at - from + 16 * half) * COLUMNS, 4 * COLUMNS);
        }
    }
}

// dx = dy·W: four rows of the weight at a time, 32 columns from `column` on → two strips.
LORALAB_INLINE void int8_columns(const Weight& w, int64_t column, int64_t from, int64_t to, const float* scales,
                                 int8_t* strips, int64_t distance) {
    for (int64_t row = from; row < to; row += 4) {
        int8x16_t numbers[4][2];
        for (int i = 0; i < 4; i++) {
            numbers[i][0] = numbers[i][1] = vdupq_n_s8(0);
            if (row + i < to) read32_int8(w, row + i, column, scales, numbers[i]);
        }
        for (int half = 0; half < 2; half++) {
            const int8x16x4_t rows = {{numbers[0][half], numbers[1][half], numbers[2][half], numbers[3][half]}};
            vst4q_s8(strips + half * distance + (row - from) * COLUMNS, rows);
        }
    }
}

LORALAB_INLINE void unpack_int8(const Weight& w, bool transposed, int64_t column, int64_t from, int64_t to,
                                const float* scales, int8_t* panel) {
    const int64_t distance = depth(to - from) * COLUMNS, columns = transposed ? w.in : w.out;
    if (column + PANEL > columns) __builtin_memset(panel, 0, distance * PANEL / COLUMNS);
    if (transposed)
        for (int part = 0; part < PANEL && column + part < columns; part += 32)
            int8_columns(w, column + part, from, to, scales, panel + part / COLUMNS * distance, distance);
    else
        for (int part = 0; part < PANEL && column + part < columns; part += 4)
            int8_rows(w, column + part, from, to, scales, panel + part / COLUMNS * distance + part % COLUMNS * 4);
}

LORALAB_INLINE int8x8_t broadcast_quad(const int8_t* a) {
    int32_t four;
    __builtin_memcpy(&four, a, 4);
    return vreinterpret_s8_s32(vdup_n_s32(four));
}

// sums [ROWS][16], rows PANEL apart, (+)= a · strip, by dot products of four.
#if defined(LORALAB_DOTPROD)
template <int ROWS>
LORALAB_DOTPROD static void dot_strip(const int8_t* a, int64_t stride, const int8_t* strip, int64_t quads, int32_t* sums,
                                      bool add) {
    int32x4_t sum[ROWS][4];
#pragma GCC unroll 6
    for (int i = 0; i < ROWS; i++)
#pragma GCC unroll 4
        for (int j = 0; j < 4; j++) sum[i][j] = add ? vld1q_s32(sums + i * PANEL + 4 * j) : vdupq_n_s32(0);
    for (int64_t q = 0; q < quads; q++) {
        int8x16_t b[4];
#pragma GCC unroll 4
        for (int j = 0; j < 4; j++) b[j] = vld1q_s8(strip + q * 64 + 16 * j);
#pragma GCC unroll 6
        for (int i = 0; i < ROWS; i++) {
            const int8x8_t x = broadcast_quad(a + i * stride + 4 * q);
#pragma GCC unroll 4
            for (int j = 0; j < 4; j++) sum[i][j] = vdotq_lane_s32(sum[i][j], b[j], x, 0);
        }
    }
#pragma GCC unroll 6
    for (int i = 0; i < ROWS; i++)
#pragma GCC unroll 4
        for (int j = 0; j < 4; j++) vst1q_s32(sums + i * PANEL + 4 * j, sum[i][j]);
}
#endif

// The same by products of eight, two of which fit 16 bits: four columns at a time, two sums each.
template <int ROWS>
LORALAB_INLINE void product_strip(const int8_t* a, int64_t stride, const int8_t* strip, int64_t quads, int32_t* sums,
                                  bool add) {
    for (int j = 0; j < COLUMNS; j += 4) {
        int32x4_t sum[ROWS][2];
#pragma GCC unroll 6
        for (int i = 0; i < ROWS; i++) sum[i][0] = sum[i][1] = vdupq_n_s32(0);
        for (int64_t q = 0; q < quads; q += 2) {
            const bool both = q + 1 < quads;
            const int8x16_t b0 = vld1q_s8(strip + q * 64 + 4 * j);
            const int8x16_t b1 = both ? vld1q_s8(strip + (q + 1) * 64 + 4 * j) : vdupq_n_s8(0);
#pragma GCC unroll 6
            for (int i = 0; i < ROWS; i++) {
                const int8x8_t x0 = broadcast_quad(a + i * stride + 4 * q);
                const int8x8_t x1 = both ? broadcast_quad(a + i * stride + 4 * q + 4) : vdup_n_s8(0);
                const int16x8_t low = vmlal_s8(vmull_s8(vget_low_s8(b0), x0), vget_low_s8(b1), x1);
                const int16x8_t high = vmlal_s8(vmull_s8(vget_high_s8(b0), x0), vget_high_s8(b1), x1);
                sum[i][0] = vpadalq_s16(sum[i][0], low);
                sum[i][1] = vpadalq_s16(sum[i][1], high);
            }
        }
#pragma GCC unroll 6
        for (int i = 0; i < ROWS; i++) {
            int32_t* place = sums + i * PANEL + j;
            const int32x4_t four = vpaddq_s32(sum[i][0], sum[i][1]);
            vst1q_s32(place, add ? vaddq_s32(four, vld1q_s32(place)) : four);
        }
    }
}

// All strips of a panel.
template <int ROWS, bool DOTPROD>
LORALAB_INLINE void tile_int8(const int8_t* a, int64_t stride, const int8_t* panel, int64_t quads, int32_t* sums, bool add) {
    constexpr int64_t DEEP_QUADS = DEEP;
    for (int64_t q = 0; q < quads; q += DEEP_QUADS)
        for (int column = 0; column < PANEL; column += COLUMNS) {
            const int8_t* strip = panel + column * depth(4 * quads) + q * 4 * COLUMNS;
            const int64_t count = quads - q < DEEP_QUADS ? quads - q : DEEP_QUADS;
#if defined(LORALAB_DOTPROD)
            if constexpr (DOTPROD) {
                dot_strip<ROWS>(a + 4 * q, stride, strip, count, sums + column, add || q > 0);
                continue;
            }
#endif
            product_strip<ROWS>(a + 4 * q, stride, strip, count, sums + column, add || q > 0);
        }
}

}  // namespace loralab::neon
