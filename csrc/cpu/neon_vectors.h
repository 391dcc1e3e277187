// Vectors of four floats, look-ups of 4-bit codes and shuffles that more than one NEON kernel needs.
#pragma once
#include <arm_neon.h>

#include "../matrix.h"

namespace loralab::neon {

struct Floats {
    using T = float32x4_t;
    static constexpr int LANES = 4;
    LORALAB_INLINE static T zero() { return vdupq_n_f32(0); }
    LORALAB_INLINE static T load(const float* from) { return vld1q_f32(from); }
    LORALAB_INLINE static void store(float* to, T value) { vst1q_f32(to, value); }
    LORALAB_INLINE static T fma(float x, T b, T sum) { return vfmaq_n_f32(sum, b, x); }
};

// Four words from the bytes of each, sixteen at a time: b[i] holds byte i of sixteen floats.
LORALAB_INLINE void join_bytes(const uint8x16_t b[4], float32x4_t out[4]) {
    const uint16x8_t low[2] = {vreinterpretq_u16_u8(vzip1q_u8(b[0], b[1])), vreinterpretq_u16_u8(vzip2q_u8(b[0], b[1]))};
    const uint16x8_t high[2] = {vreinterpretq_u16_u8(vzip1q_u8(b[2], b[3])), vreinterpretq_u16_u8(vzip2q_u8(b[2], b[3]))};
    for (int i = 0; i < 2; i++) {
        out[2 * i] = vreinterpretq_f32_u16(vzip1q_u16(low[i], high[i]));
        out[2 * i + 1] = vreinterpretq_f32_u16(vzip2q_u16(low[i], high[i]));
    }
}

// What sixteen codes stand for, as byte planes: a look-up of bytes takes sixteen codes at a time.
struct Table {
    uint8x16x4_t planes;
    LORALAB_INLINE static Table of(const float* values) { return {vld4q_u8((const uint8_t*)values)}; }
    LORALAB_INLINE void at(uint8x16_t codes, float32x4_t out[4]) const {
        uint8x16_t bytes[4];
        for (int i = 0; i < 4; i++) bytes[i] = vqtbl1q_u8(planes.val[i], codes);
        join_bytes(bytes, out);
    }
};

// Sixteen bytes of a row → its 32 codes in order.
LORALAB_INLINE void split_codes(const uint8_t* from, uint8x16_t codes[2]) {
    const uint8x16_t bytes = vld1q_u8(from), even = vshrq_n_u8(bytes, 4), odd = vandq_u8(bytes, vdupq_n_u8(15));
    codes[0] = vzip1q_u8(even, odd);
    codes[1] = vzip2q_u8(even, odd);
}

// `count` bytes, at most 16; zeros behind them.
LORALAB_INLINE uint8x16_t load_bytes(const uint8_t* from, int64_t count) {
    if (count >= 16) return vld1q_u8(from);
    uint8_t bytes[16] = {};
    if (count > 0) __builtin_memcpy(bytes, from, count);
    return vld1q_u8(bytes);
}

LORALAB_INLINE void widen(int8x16_t bytes, float32x4_t out[4]) {
    const int16x8_t low = vmovl_s8(vget_low_s8(bytes)), high = vmovl_high_s8(bytes);
    out[0] = vcvtq_f32_s32(vmovl_s16(vget_low_s16(low)));
    out[1] = vcvtq_f32_s32(vmovl_high_s16(low));
    out[2] = vcvtq_f32_s32(vmovl_s16(vget_low_s16(high)));
    out[3] = vcvtq_f32_s32(vmovl_high_s16(high));
}

// Sixteen rows of sixteen bytes → their transpose, in place: four perfect shuffles of all 256.
LORALAB_INLINE void transpose16(uint8x16_t r[16]) {
    for (int pass = 0; pass < 4; pass++) {
        uint8x16_t t[16];
        for (int i = 0; i < 8; i++) t[2 * i] = vzip1q_u8(r[i], r[i + 8]), t[2 * i + 1] = vzip2q_u8(r[i], r[i + 8]);
        for (int i = 0; i < 16; i++) r[i] = t[i];
    }
}

}  // namespace loralab::neon
