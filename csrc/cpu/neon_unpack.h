// Codes → panels in float32: strips of 16 columns, [PANEL / 16][depth][16].
#pragma once
#include "neon_vectors.h"
#include "tile.h"

namespace loralab::neon {

constexpr int PANEL = 64, COLUMNS = 16;

// Sixteen bytes of sixteen rows from `row` on, transposed; rows behind the last are the last.
LORALAB_INLINE void load_rows(const Weight& w, int64_t row, int64_t byte, uint8x16_t bytes[16]) {
    for (int i = 0; i < 16; i++) {
        const int64_t r = row + i < w.out ? row + i : w.out - 1;
        bytes[i] = load_bytes(w.codes + r * w.row_bytes() + byte, w.row_bytes() - byte);
    }
    transpose16(bytes);
}

// y = x·Wᵀ: sixteen rows from `row` on are the columns of a strip, elements [from, to) of each.
template <bool ZEROS>
LORALAB_INLINE void unpack_rows(const Weight& w, int64_t row, int64_t from, int64_t to, float* strip) {
    const Table table = Table::of(w.codebook);
    for (int64_t at = from; at < to; at += 32) {
        float scales[16] = {}, zeros[16] = {};
        for (int64_t i = 0; i < 16 && row + i < w.out; i++) {
            scales[i] = w.scale(row + i, at / w.group);
            if (ZEROS) zeros[i] = w.zero(row + i, at / w.group);
        }
        uint8x16_t bytes[16];
        load_rows(w, row, at / 2, bytes);
        for (int e = 0; e < 32; e++) {
            float32x4_t values[4];
            table.at(e % 2 ? vandq_u8(bytes[e / 2], vdupq_n_u8(15)) : vshrq_n_u8(bytes[e / 2], 4), values);
            for (int j = 0; j < 4; j++) {
                if (ZEROS) values[j] = vsubq_f32(values[j], vld1q_f32(zeros + 4 * j));
                vst1q_f32(strip + (at - from + e) * COLUMNS + 4 * j, vmulq_f32(values[j], vld1q_f32(scales + 4 * j)));
            }
        }
    }
}

// The same of a weight of 8 bits.
LORALAB_INLINE void unpack_int8_rows(const Weight& w, int64_t row, int64_t from, int64_t to, float* strip) {
    float scales[16] = {};
    for (int64_t i = 0; i < 16 && row + i < w.out; i++) scales[i] = w.row_scales[row + i];
    for (int64_t at = from; at < to; at += 16) {
        uint8x16_t bytes[16];
        load_rows(w, row, at, bytes);
        for (int e = 0; e < 16; e++) {
            float32x4_t values[4];
            widen(vreinterpretq_s8_u8(bytes[e]), values);
            for (int j = 0; j < 4; j++)
                vst1q_f32(strip + (at - from + e) * COLUMNS + 4 * j, vmulq_f32(values[j], vld1q_f32(scales + 4 * j)));
        }
    }
}

// 32 elements of a row from `column`, a multiple of 32, on; what lies behind the last is zero, or padding.
LORALAB_INLINE void read32(const Weight& w, int64_t row, int64_t column, float32x4_t out[8]) {
    if (w.is_int8()) {
        for (int half = 0; half < 2; half++) {
            const int64_t at = column + 16 * half;
            widen(vreinterpretq_s8_u8(load_bytes(w.codes + row * w.in + at, w.in - at)), out + 4 * half);
        }
        for (int i = 0; i < 8; i++) out[i] = vmulq_n_f32(out[i], w.row_scales[row]);
        return;
    }
    const int64_t g = column / w.group;
    const Table table = Table::of(w.codebook);
    uint8x16_t codes[2];
    split_codes(w.codes + row * w.row_bytes() + column / 2, codes);
    for (int half = 0; half < 2; half++) table.at(codes[half], out + 4 * half);
    const float32x4_t zero = vdupq_n_f32(w.zero(row, g));
    const float scale = w.scale(row, g);
    for (int i = 0; i < 8; i++) out[i] = vmulq_n_f32(vsubq_f32(out[i], zero), scale);
}

struct Read {
    LORALAB_INLINE static void read32(const Weight& w, int64_t row, int64_t column, float* out) {
        float32x4_t values[8];
        neon::read32(w, row, column, values);
        for (int i = 0; i < 8; i++) vst1q_f32(out + 4 * i, values[i]);
    }
};

// dx = dy·W: rows [from, to), columns [column, column + 32) of the weight → two strips `distance` apart.
LORALAB_INLINE void unpack_columns(const Weight& w, int64_t column, int64_t from, int64_t to, float* strips, int64_t distance) {
    for (int64_t row = from; row < to; row++) {
        float32x4_t values[8];
        read32(w, row, column, values);
        float* place = strips + (row - from) * COLUMNS;
        for (int i = 0; i < 8; i++) vst1q_f32(place + i / 4 * distance + i % 4 * 4, values[i]);
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
    for (int part = 0; part < PANEL && column + part < columns; part += COLUMNS) {
        float* strip = panel + part / COLUMNS * distance;
        if (w.is_int8()) unpack_int8_rows(w, column + part, from, to, strip);
        else if (w.zeros) unpack_rows<true>(w, column + part, from, to, strip);
        else unpack_rows<false>(w, column + part, from, to, strip);
    }
}

}  // namespace loralab::neon
