// Matrices and products as the kernels see them: raw pointers into torch's memory, nothing owned.
#pragma once
#include <cstdint>

// What a header gives to files of several instruction sets is inlined or local to each. As a plain inline function it
// would be one function of the program, and the linker might keep the copy of an instruction set this computer lacks.
#ifdef __CUDACC__
#define LORALAB_INLINE __host__ __device__ __forceinline__
#else
#define LORALAB_INLINE inline __attribute__((always_inline))
#endif
// Of what is used in several places and long; only for templates of an instruction set's own types.
#define LORALAB_APART __attribute__((noinline))

namespace loralab {

using bf16 = uint16_t;  // the upper half of a float

constexpr int SCALE_ROWS = 16;  // rows that share a step and an offset of their scales

enum class Element : int { float32 = 0, bf16 = 1, fp16 = 2 };  // fp16: on GPUs

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

    LORALAB_INLINE bool is_int8() const { return codebook == nullptr; }
    LORALAB_INLINE int64_t groups() const { return (in + group - 1) / group; }
    LORALAB_INLINE int64_t row_bytes() const { return is_int8() ? in : groups() * group / 2; }

    LORALAB_INLINE float scale(int64_t row, int64_t g) const {
        const float* of_rows = steps + row / SCALE_ROWS * 2;
        return of_rows[1] + of_rows[0] * scales[row * groups() + g];
    }
    LORALAB_INLINE float zero(int64_t row, int64_t g) const { return zeros ? zeros[row * groups() + g] : 0; }

    // One element, for what is not worth a vector.
    LORALAB_INLINE float at(int64_t row, int64_t column) const {
        if (is_int8()) return ((const int8_t*)codes)[row * in + column] * row_scales[row];
        const int code = codes[row * row_bytes() + column / 2] >> (column % 2 ? 0 : 4) & 15;
        const int64_t g = column / group;
        return (codebook[code] - zero(row, g)) * scale(row, g);
    }
};

// y [rows, columns] = x · Wᵀ (columns = out), or x · W where `transposed` (columns = in),
//                     + left [rows, extra] · right [columns, extra]ᵀ + bias [columns],
// summed in float32 and rounded once. x, y are of `element`, x rows `stride` elements apart, y contiguous.
struct Product {
    Element element;
    const void* x;
    int64_t rows, stride;
    Weight weight;
    bool transposed;
    const float* left;
    const float* right;
    int64_t extra;
    const float* bias;  // or null
    void* y;

    LORALAB_INLINE int64_t inner() const { return transposed ? weight.out : weight.in; }
    LORALAB_INLINE int64_t columns() const { return transposed ? weight.in : weight.out; }
};

LORALAB_INLINE float to_float(bf16 value) {
    union {
        uint32_t bits;
        float number;
    } both{(uint32_t)value << 16};
    return both.number;
}

// Rounded to the nearest, ties to even; NaN stays NaN.
LORALAB_INLINE bf16 to_bf16(float value) {
    union {
        float number;
        uint32_t bits;
    } both{value};
    const uint32_t rounded = (both.bits + 0x7fff + (both.bits >> 16 & 1)) >> 16;
    return value == value ? (bf16)rounded : (bf16)(both.bits >> 16 | 0x40);
}

}  // namespace loralab
