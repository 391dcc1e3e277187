// What csrc/cuda can do, for callers that know nothing of CUDA: each starts kernels on a stream and returns null, or what
// the driver said. Nothing waits, allocates or reads memory of the device, so all of it may be captured into a graph.
#pragma once
#include <cstddef>
#include <cstdint>

#include "../adam.h"
#include "../matrix.h"

namespace loralab::cuda {

using Stream = void*;
using Error = const char*;

// Rows [first, last) and columns [start, end) of a weight; start is a multiple of its group.
struct Part {
    int64_t first, last, start, end;

    LORALAB_INLINE int64_t rows() const { return last - first; }
    LORALAB_INLINE int64_t columns() const { return end - start; }
    LORALAB_INLINE int64_t place(int64_t row, int64_t column) const { return (row - first) * columns() + column - start; }
};

// → dense, contiguous [rows, columns]
Error dequantize(const Weight& weight, const Part& part, Element element, void* dense, Stream stream);

// What is added to y, in the type of x: left [rows, extra] · right [columns, extra]ᵀ, and bias [columns] in float32.
struct Addend {
    const void *left, *right;
    int64_t extra;
    const float* bias;
};

// For any number of rows, in bf16 or fp16 and 4 bits, both ways: W is unpacked in the multiprocessors, tile by tile.
// Of `product` what is added is not used.
Error multiply_tiles(const Product& product, const Addend& addend, Stream stream);

// The same on Hopper (sm_90a). x begins at a multiple of 16 bytes, as do its rows; so does `left`.
Error multiply_hopper(const Product& product, const Addend& addend, Stream stream);

// Products of 8-bit numbers (W4A8, or an int8 weight): each row of x and each row of W has one scale. Columns of x that are
// far larger than the others join the product of low rank instead, at most OUTLIERS; of dy · W none do.
constexpr int64_t OUTLIERS = 32, LINE8 = 64;

enum class Form : int { int8 = 0, fp8 = 1 };  // fp8: e4m3

LORALAB_INLINE int64_t padded8(int64_t inner) { return (inner + LINE8 - 1) / LINE8 * LINE8; }

// x in 8 bits, on the device. `weight_scales` are those of W's rows: of dy · W they belong to the contraction, so that dy
// takes them with it.
struct Rounded {
    Form form;
    uint8_t* x;            // [rows, padded8(inner)]
    float* x_scales;       // [rows]
    float* weight_scales;  // [out]
    uint32_t* sizes;       // [inner], zeros; null where transposed, as the rest
    int32_t* outliers;     // [OUTLIERS], columns, -1 for none
    void *left, *right;    // [rows, extra + OUTLIERS] and [columns, extra + OUTLIERS] in the type of x
};

// Fills `rounded` from the product's x and weight; what is added becomes left and right of `rounded` where they are wanted.
Error round8(const Product& product, const Addend& addend, const Rounded& rounded, Stream stream);

// A part of W in 8 bits → dense [part's rows, padded8(in)], or turned [part's columns, padded8(out)] with all rows.
Error unpack8(const Weight& weight, const Part& part, bool turned, Form form, const float* weight_scales, uint8_t* dense,
              Stream stream);

// Columns [first, last) of y from integers: x of `rounded` and `dense`, which is W's part for them.
Error multiply_int8(const Product& product, const Addend& addend, const Rounded& rounded, const uint8_t* dense, int64_t first,
                    int64_t last, Stream stream);

// For few rows of x, in bf16 or fp16: every code read once for sixteen of them. Not transposed.
Error multiply_few(const Product& product, Stream stream);

}  // namespace loralab::cuda
