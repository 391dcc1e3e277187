// What is written once for each instruction set, and the table through which the rest calls it.
//
// Nothing here knows torch: memory is the caller's, and so are the threads.
#pragma once
#include <cstdint>

#include "../adam.h"
#include "../matrix.h"

namespace loralab {

// How a product is computed. `rows`: every code read once, for a few rows of x. The others unpack the weight into panels
// for register-blocked tiles: in float32, in bf16, or as int8 with x quantised too (W4A8).
enum class Path : int { rows = 0, float32 = 1, bf16 = 2, int8 = 3 };

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

// A weight on its way to 4 bits (quantize.h). Sixteen rows at a time share the steps of their scales.
struct Quantisation {
    const void* weight;  // [out, in], rows `stride` elements apart
    Element element;
    int64_t out, in, stride, group;
    const float* codebook;  // [16], ascending
    bool fitted;            // scales of the least squared error; else of the largest magnitude
    uint8_t* codes;         // [out, padded / 2]
    uint8_t* scales;        // [out, padded / group]
    float* steps;           // [out / 16, rounded up; 2]
    uint8_t* zeros;         // [out, padded / group], or null: no zero-points

    LORALAB_INLINE int64_t groups() const { return (in + group - 1) / group; }
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
    // rows [first, last), multiples of 16 but at the end
    void (*quantize)(const Quantisation& quantisation, int64_t first, int64_t last);
    // blocks [first, last) of a tensor; the maps are the 256 shares, rising, that codes of the moments stand for
    void (*adam8bit)(const AdamTensor& tensor, const AdamStep& step, const float* mean_map, const float* square_map,
                     int64_t first, int64_t last);
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
