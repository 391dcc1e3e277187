// Plain loops for any processor: what the others are compared with, and what runs where none of them does.
//
// One thread takes whole columns of y, in blocks whose weights are unpacked to float32 once and used for every row of x.
// Sums are float32; `bf16` rounds the weight first, `int8` rounds each row of x to 127 steps of its largest magnitude.
#include "kernels.h"

namespace loralab {
namespace {

constexpr int64_t BLOCK = 16;  // columns of y unpacked at a time

float to_float(bf16 value) {
    union { uint32_t bits; float number; } both{uint32_t(value) << 16};
    return both.number;
}

bf16 to_bf16(float value) {  // to nearest, ties to even; NaN stays NaN
    union { float number; uint32_t bits; } both{value};
    if (value != value) return 0x7fc0;
    return bf16((both.bits + 0x7fff + (both.bits >> 16 & 1)) >> 16);
}

float load(Element element, const void* data, int64_t index) {
    return element == Element::bf16 ? to_float(static_cast<const bf16*>(data)[index])
                                    : static_cast<const float*>(data)[index];
}

void store(Element element, void* data, int64_t index, float value) {
    if (element == Element::bf16) static_cast<bf16*>(data)[index] = to_bf16(value);
    else static_cast<float*>(data)[index] = value;
}

float weight_at(const Weight& weight, int64_t row, int64_t column) {
    const uint8_t* codes = weight.codes + row * weight.row_bytes();
    if (weight.is_int8()) return reinterpret_cast<const int8_t*>(codes)[column] * weight.row_scales[row];
    int64_t g = column / weight.group;
    int code = column % 2 ? codes[column / 2] & 15 : codes[column / 2] >> 4;
    float zero = weight.zeros ? weight.zeros[row * weight.groups() + g] : 0.0f;
    return (weight.codebook[code] - zero) * weight.scale(row, g);
}

// y[row] for columns [first, last) from unpacked weights [last − first, inner] and x as floats [inner]
void finish_row(const Product& p, int64_t row, int64_t first, int64_t last, const float* x, const float* dense) {
    int64_t inner = p.inner(), columns = p.columns();
    for (int64_t c = first; c < last; c++) {
        const float* w = dense + (c - first) * inner;
        float sum = 0;
        for (int64_t k = 0; k < inner; k++) sum += x[k] * w[k];
        for (int64_t k = 0; k < p.extra; k++) sum += p.left[row * p.extra + k] * p.right[c * p.extra + k];
        if (p.bias) sum += p.bias[c];
        store(p.element, p.y, row * columns + c, sum);
    }
}

void read_row(const Product& p, int64_t row, Path path, float* x) {
    int64_t inner = p.inner();
    float largest = 0;
    for (int64_t k = 0; k < inner; k++) {
        x[k] = load(p.element, p.x, row * p.stride + k);
        float magnitude = x[k] < 0 ? -x[k] : x[k];
        if (magnitude > largest) largest = magnitude;
    }
    if (path == Path::bf16)
        for (int64_t k = 0; k < inner; k++) x[k] = to_float(to_bf16(x[k]));
    if (path != Path::int8 || largest == 0) return;
    float scale = largest / 127;
    for (int64_t k = 0; k < inner; k++) x[k] = __builtin_rintf(x[k] / scale) * scale;
}

struct Task {
    const Product* product;
    Path path;
};

void run_blocks(void* context, int64_t first_block, int64_t last_block) {
    const Product& p = *static_cast<Task*>(context)->product;
    Path path = static_cast<Task*>(context)->path;
    int64_t inner = p.inner(), columns = p.columns();
    float* dense = static_cast<float*>(__builtin_malloc((BLOCK + 1) * inner * sizeof(float)));
    float* x = dense + BLOCK * inner;
    for (int64_t block = first_block; block < last_block; block++) {
        int64_t first = block * BLOCK, last = first + BLOCK < columns ? first + BLOCK : columns;
        for (int64_t c = first; c < last; c++)
            for (int64_t k = 0; k < inner; k++) {
                float w = p.transposed ? weight_at(p.weight, k, c) : weight_at(p.weight, c, k);
                dense[(c - first) * inner + k] = path == Path::bf16 ? to_float(to_bf16(w)) : w;
            }
        for (int64_t row = 0; row < p.rows; row++) {
            read_row(p, row, path, x);
            finish_row(p, row, first, last, x, dense);
        }
    }
    __builtin_free(dense);
}

bool has(Path) { return true; }

void multiply(const Product& product, Path path, ParallelFor parallel) {
    Task task{&product, path};
    parallel((product.columns() + BLOCK - 1) / BLOCK, 1, run_blocks, &task);
}

void dequantize(const Weight& weight, int64_t first, int64_t last, Element element, void* dense) {
    for (int64_t row = first; row < last; row++)
        for (int64_t k = 0; k < weight.in; k++) store(element, dense, (row - first) * weight.in + k, weight_at(weight, row, k));
}

}  // namespace

extern const Kernels portable_kernels = {"portable", has, multiply, dequantize};

}  // namespace loralab
