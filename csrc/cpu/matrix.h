// Matrices as the kernels see them: raw pointers into torch's memory, nothing owned.
#pragma once
#include <cstdint>

namespace loralab {

using bf16 = uint16_t;  // the upper half of a float

constexpr int SCALE_ROWS = 16;  // rows that share a step and an offset of their scales

// A matrix [out, in] as loralab_core/quant/tensor.py describes it.
// 4 bits: `in` padded to whole groups, element 2j of a row in the high half of byte j, padding that stands for zero.
// 8 bits (`codebook` null): int8 codes [out, in], one float scale a row in `row_scales`; the other fields are unused.
struct Weight {
    const uint8_t* codes;     // [out, padded / 2], or int8 [out, in]
    const uint8_t* scales;    // [out, padded / group]
    const float* steps;       // [out / 16, rounded up; 2]: step and offset of the scales
    const uint8_t* zeros;     // [out, padded / group], or null
    const float* codebook;    // [16], or null
    const float* row_scales;  // [out], of 8 bits
    int64_t out, in, group;   // group: 32, 64 or 128

    bool is_int8() const { return codebook == nullptr; }
    int64_t groups() const { return (in + group - 1) / group; }
    int64_t row_bytes() const { return is_int8() ? in : groups() * group / 2; }

    float scale(int64_t row, int64_t g) const {
        const float* of_rows = steps + row / SCALE_ROWS * 2;
        return of_rows[1] + of_rows[0] * scales[row * groups() + g];
    }
};

}  // namespace loralab
