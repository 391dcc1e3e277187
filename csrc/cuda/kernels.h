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

// 8-bit integers in place of x and W (W4A8, or an int8 weight): each row of x and each row of W has one scale. Columns of x
// that are far larger than the others join the product of low rank instead, at most this many; of dy · W none do.
constexpr int64_t OUTLIERS = 32;

// What such a product needs besides: memory of the device, whatever is in it.
struct Scratch8 {
    int8_t* x;             // [rows, stride]
    int64_t stride;        // the contraction, rounded up to 64
    float* x_scales;       // [rows]
    float* weight_scales;  // [out]
    uint32_t* sizes;       // [inner], zeros; null where transposed
    int32_t* outliers;     // [OUTLIERS]; null where transposed
    void *left, *right;    // [rows or columns, extra + OUTLIERS] in the type of x; null where transposed
};

Error multiply_int8(const Product& product, const Addend& addend, const Scratch8& scratch, Stream stream);

// For few rows of x, in bf16 or fp16: every code read once for sixteen of them. Not transposed.
Error multiply_few(const Product& product, Stream stream);

}  // namespace loralab::cuda
