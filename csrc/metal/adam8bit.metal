// AdamW with both moments in 8 bits (arXiv:2110.02861): one pass dequantises, updates and requantises. A threadgroup is a
// block, a thread an element. The formula, and the same codes and scales, as loralab_core/ops/adam8bit.py, where every
// product and every sum is rounded on its own. Metal fuses them otherwise, whatever its compiler is told about math from
// outside; only this source can forbid it.
#if __METAL_VERSION__ >= 320
#pragma METAL fp math_mode(safe)
#pragma METAL fp contract(off)
#else
#pragma clang fp contract(off)
#endif
#include <metal_stdlib>
using namespace metal;

struct AdamNumbers {
    float beta1, rest1, beta2, rest2, root, eps, keep, rate;  // AdamStep of the reference
};

struct AdamCounts {
    int elements;
    int seed_low, seed_high;  // of the rounding of bfloat parameters
};

constant constexpr int BLOCK = 256;                   // elements with one scale, and threads
constant constexpr float LEAST = 1.17549435e-38f;     // scale of a block of zeros, to divide by

// 32 bits of chance for an element, the same whoever asks (loralab_core/ops/random_bits.py).
inline uint random_bits(AdamCounts counts, uint element) {
    uint x = element + uint(counts.seed_low);
    x = (x ^ (x >> 16)) * 0x7feb352du;
    x = (x ^ (x >> 15) ^ uint(counts.seed_high)) * 0x846ca68bu;
    return x ^ (x >> 16);
}

inline void store(device float* to, uint i, float value, AdamCounts) { to[i] = value; }

// Up or down by chance, in proportion to what is cut off: to the nearest, small updates would vanish.
inline void store(device bfloat* to, uint i, float value, AdamCounts counts) {
    to[i] = as_type<bfloat>(ushort((as_type<uint>(value) + (random_bits(counts, i) & 0xffff)) >> 16));
}

// The number of the entry nearest to a share: how many borders lie below it. borders: 255, rising.
inline uchar nearest(threadgroup const float* borders, float share) {
    int found = 0;
    for (int step = BLOCK / 2; step; step /= 2)
        if (!(borders[found + step - 1] >= share)) found += step;  // NaN goes to the end, as in the reference
    return uchar(found);
}

// The largest magnitude of the group. Magnitudes are compared as bits, where NaN is the largest: it must not be lost.
inline float largest(float own, threadgroup uint* partial, uint lane, uint simd) {
    const uint most = simd_max(as_type<uint>(own) & 0x7fffffffu);
    if (lane == 0) partial[simd] = most;
    threadgroup_barrier(mem_flags::mem_threadgroup);
    const uint all = simd_max(lane < uint(BLOCK / 32) ? partial[lane] : 0u);
    return as_type<float>(all);
}

struct AdamState {
    device uchar* mean;
    device uchar* square;
    device float* mean_scales;
    device float* square_scales;
};

template <typename T, typename G>
inline void adam8bit(device T* parameter, device const G* gradient, AdamState state, device const float* mean_map,
                     device const float* square_map, AdamNumbers numbers, AdamCounts counts, threadgroup float* mean_borders,
                     threadgroup float* square_borders, threadgroup uint* partial, uint block, uint index, uint lane,
                     uint simd) {
    if (index < uint(BLOCK - 1)) {
        mean_borders[index] = (mean_map[index] + mean_map[index + 1]) / 2.0f;
        square_borders[index] = (square_map[index] + square_map[index + 1]) / 2.0f;
    }
    const uint element = block * uint(BLOCK) + index;
    const bool here = element < uint(counts.elements);
    float mean = 0.0f, square = 0.0f;
    if (here) {
        const float slope = float(gradient[element]);
        mean = mean_map[state.mean[element]] * state.mean_scales[block];
        mean = mean * numbers.beta1 + slope * numbers.rest1;
        square = square_map[state.square[element]] * state.square_scales[block];
        square = square * numbers.beta2 + slope * slope * numbers.rest2;
        const float root = precise::sqrt(square) * numbers.root + numbers.eps;
        store(parameter, element, float(parameter[element]) * numbers.keep - mean / root * numbers.rate, counts);
    }
    const float of_mean = largest(mean, partial, lane, simd);  // its barrier also completes the borders
    const float of_square = largest(square, partial + BLOCK / 32, lane, simd);
    if (here) {
        state.mean[element] = nearest(mean_borders, mean * (1.0f / max(of_mean, LEAST)));
        state.square[element] = nearest(square_borders, square * (1.0f / max(of_square, LEAST)));
    }
    if (index == 0) {  // everybody has read the old ones: the maxima took them in
        state.mean_scales[block] = of_mean;
        state.square_scales[block] = of_square;
    }
}

#define ADAM(T, G)                                                                                                   \
    kernel void adam8bit_##T##_##G(                                                                                  \
        device T* parameter [[buffer(0)]], device const G* gradient [[buffer(1)]], device uchar* mean [[buffer(2)]], \
        device uchar* square [[buffer(3)]], device float* mean_scales [[buffer(4)]],                                 \
        device float* square_scales [[buffer(5)]], device const float* mean_map [[buffer(6)]],                       \
        device const float* square_map [[buffer(7)]], constant AdamNumbers& numbers [[buffer(8)]],                   \
        constant AdamCounts& counts [[buffer(9)]], uint block [[threadgroup_position_in_grid]],                      \
        uint index [[thread_index_in_threadgroup]], uint lane [[thread_index_in_simdgroup]],                         \
        uint simd [[simdgroup_index_in_threadgroup]]) {                                                              \
        threadgroup float mean_borders[BLOCK];                                                                       \
        threadgroup float square_borders[BLOCK];                                                                     \
        threadgroup uint partial[2 * BLOCK / 32];                                                                    \
        const AdamState state = {mean, square, mean_scales, square_scales};                                          \
        adam8bit(parameter, gradient, state, mean_map, square_map, numbers, counts, mean_borders, square_borders,    \
                 partial, block, index, lane, simd);                                                                 \
    }
#define GRADIENTS(T) ADAM(T, float) ADAM(T, half) ADAM(T, bfloat)
GRADIENTS(float)
GRADIENTS(bfloat)
