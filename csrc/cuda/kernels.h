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

// Rows where a view of a larger tensor left them, in groups of `inner`; strides in elements, each row dense.
struct Rows {
    const void* data;
    int64_t inner, outer_stride, stride;

    LORALAB_INLINE int64_t place(uint32_t row) const {
        return row / uint32_t(inner) * outer_stride + row % uint32_t(inner) * stride;
    }
};

// y = x / rms(x) · (offset + gain) of rows, and 1 / rms of each; the gain is of x's type or float32. Of the gradient, dx
// from dy. y and dx are contiguous. At most 2^31 rows here and below.
struct Norm {
    Element element, gain_element;
    int64_t rows, width;
    Rows x, dy;  // dy: of the gradient
    const void* gain;
    float eps, offset;
    float* scale;  // [rows]: written by rms_norm, read by its gradient
    void* to;      // y or dx
};
Error rms_norm(const Norm& norm, Stream stream);
Error rms_norm_backward(const Norm& norm, Stream stream);

// Pairs (i, i + half) of x [batch, time, heads, size] turned by their positions, or back; y is contiguous.
struct Rotary {
    Element element;
    int64_t batch, time, heads, size, half;
    const void* x;
    int64_t strides[3];        // of x, in elements: batch, time, head
    const float *cos, *sin;    // [batch or 1, time, half]
    int64_t turn_stride;       // time · half, or 0 where all rows are turned alike
    bool inverse;
    void* y;
};
Error rotary(const Rotary& rotary, Stream stream);

enum class Activation : int { silu = 0, gelu = 1, gelu_tanh = 2, relu = 3 };

// y = activation(gate) · up or, where there is dy, dgate and dup; strides of rows in elements. y is contiguous.
struct Gate {
    Element element;
    Activation activation;
    int64_t rows, width;
    const void *gate, *up, *dy;
    int64_t gate_stride, up_stride, dy_stride;
    void *y, *dgate, *dup;
    int64_t gradient_stride;  // of dgate and dup
};
Error gated(const Gate& gate, Stream stream);

// logits [rows, width] ← scale · (softmax − one-hot); loss ← Σ −log softmax[label]. A label outside makes it NaN.
struct SoftmaxLoss {
    Element element;
    int64_t rows, width;
    void* logits;
    const int64_t* labels;
    float scale;
    float* losses;  // [rows], scratch
    float* loss;
};
Error softmax_loss(const SoftmaxLoss& loss, Stream stream);

// One step of AdamW on many tensors, each with a step of its own in the GPU's memory: a graph may be replayed with other
// ones. A tensor without scales has its moments in float32.
Error adam_many(const AdamTensor* tensors, int64_t count, const AdamStep* steps, const float* mean_map,
                const float* square_map, Stream stream);

}  // namespace loralab::cuda
