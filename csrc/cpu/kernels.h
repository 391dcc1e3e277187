// What is written once for each instruction set, and the table through which the rest calls it.
//
// Nothing here knows torch: memory is the caller's, and so are the threads.
#pragma once
#include <cstdint>

#include "matrix.h"

namespace loralab {

enum class Element : int { float32 = 0, bf16 = 1 };

// How a product is computed. `rows`: every code read once, for a few rows of x. The others unpack the weight into panels
// for register-blocked tiles: in float32, in bf16, or as int8 with x quantised too (W4A8).
enum class Path : int { rows = 0, float32 = 1, bf16 = 2, int8 = 3 };

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

    int64_t inner() const { return transposed ? weight.out : weight.in; }
    int64_t columns() const { return transposed ? weight.in : weight.out; }
};

// A projection of a decoder: W, and where there are such a bias [out] and an adapter's A [rank, in] and B [out, rank].
struct DecodeLinear {
    Weight weight;
    const float *bias, *a, *b;
    int64_t rank;
    float scale;
};

struct DecodeLayer {
    const float *attention_norm, *mlp_norm;  // gains [hidden]
    const float *query_norm, *key_norm;      // [head_dim], or null
    DecodeLinear query, key, value, output, gate, up, down;
    void *keys, *values;  // remembered: [capacity, kv_heads, head_dim]
};

enum class Activation : int { silu = 0, gelu_tanh = 1, relu = 2 };

constexpr int64_t DECODE_RANK = 4096;  // of an adapter, at most

// A plain decoder, quantised (see decode.h).
struct DecodeModel {
    const DecodeLayer* layer;
    int64_t layers, hidden, heads, kv_heads, head_dim, rotary, widest;  // widest: of any vector between two products
    float eps, attention_scale;
    Activation activation;
    Element cache;
    const float* final_norm;
    DecodeLinear head;
};

struct DecodeToken {
    const float* x;           // [hidden], its embedding
    const float *cos, *sin;   // [rotary / 2]
    int64_t past;             // tokens remembered; this one becomes the next
    float* logits;            // [vocab]
};

// The caller's threads: run(context, first, last) for parts of [0, count), `grain` items a part at least.
using Run = void (*)(void* context, int64_t first, int64_t last);
using ParallelFor = void (*)(int64_t count, int64_t grain, Run run, void* context);

struct Kernels {
    const char* name;  // of the instruction set, as LORALAB_ISA takes it
    bool (*has)(Path path);
    void (*multiply)(const Product& product, Path path, ParallelFor parallel);
    // rows [first, last) of the weight → dense, contiguous [last − first, in]
    void (*dequantize)(const Weight& weight, int64_t first, int64_t last, Element element, void* dense);
    // one token through a decoder, by `threads` of the caller's threads at once
    void (*decode)(const DecodeModel& model, const DecodeToken& token, int64_t threads, ParallelFor parallel);
};

extern const Kernels portable_kernels;
#if defined(__x86_64__)
extern const Kernels avx2_kernels, avx512_kernels;
#elif defined(__aarch64__)
extern const Kernels neon_kernels;
#endif

// The best that runs on this computer, or the one called `wanted`; null if that one does not run here.
const Kernels* find_kernels(const char* wanted);

}  // namespace loralab
