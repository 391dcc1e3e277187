// AdamW with both moments in 8 bits (arXiv:2110.02861): one pass over a tensor dequantises, updates and requantises.
//
// A block is 256 elements with one scale (the largest magnitude) per moment; a code is the number of an entry of a sorted
// map of 256 shares of it. The formula, and the same codes and scales, as loralab_core/ops/adam8bit.py: every product and
// every sum is rounded on its own, so translation units that include this need -ffp-contract=off.
#pragma once
#include <cstring>

#include "kernels.h"

namespace loralab {

// Internal linkage: each instruction set's file must keep the copy that was compiled for it.
namespace {

// A map and what finds its nearest entry at once. The upper 16 bits of a float name a bucket so narrow that at most one
// border between entries lies in it: entry = below[bucket] + (share > borders[below[bucket]]). On a border: the lower one.
struct QuantMap {
    float values[256];      // rising
    float borders[256];     // between entry i and i + 1; the last is infinity
    uint8_t below[1 << 16];  // entry of the lowest share in a bucket
    uint8_t planes[4][256];  // the bytes of `values`, the lowest of each first
};

struct AdamMaps {
    QuantMap mean, square;  // signed and unsigned
};

inline float float_of(uint32_t bits) {
    float value;
    std::memcpy(&value, &bits, 4);
    return value;
}

inline uint32_t bits_of(float value) {
    uint32_t bits;
    std::memcpy(&bits, &value, 4);
    return bits;
}

inline void fill_map(const float* values /* [256], rising */, QuantMap& map) {
    for (int i = 0; i < 256; i++) {
        map.values[i] = values[i];
        for (int byte = 0; byte < 4; byte++) map.planes[byte][i] = bits_of(values[i]) >> 8 * byte;
    }
    for (int i = 0; i < 255; i++) map.borders[i] = (values[i] + values[i + 1]) / 2;
    map.borders[255] = float_of(0x7f800000);
    for (uint32_t bucket = 0; bucket < 1 << 16; bucket++) {
        const bool negative = bucket >> 15;
        const float lowest = float_of(bucket << 16 | (negative ? 0xffff : 0));
        int entry = 0;
        while (lowest > map.borders[entry]) entry++;
        map.below[bucket] = entry;
    }
}

inline uint8_t nearest(const QuantMap& map, float share) {
    const uint8_t entry = map.below[bits_of(share) >> 16];
    return entry + (share > map.borders[entry]);
}

// The same 32 bits for the same key and element, whoever asks (the finaliser "lowbias32", the key's halves on either side).
inline uint32_t random_bits(const uint32_t key[2], uint32_t element) {
    uint32_t x = element + key[0];
    x = (x ^ x >> 16) * 0x7feb352du;
    x = (x ^ x >> 15 ^ key[1]) * 0x846ca68bu;
    return x ^ x >> 16;
}

inline float load(const float* at, int64_t i) { return at[i]; }
inline float load(const uint16_t* at, int64_t i) { return float_of(uint32_t(at[i]) << 16); }

inline void store(float* at, int64_t i, float value, const uint32_t*) { at[i] = value; }

// Up or down by chance, in proportion to what is cut off: right on average, where rounding to the nearest would swallow
// every update smaller than half a step.
inline void store(uint16_t* at, int64_t i, float value, const uint32_t* key) {
    at[i] = (bits_of(value) + (random_bits(key, i) & 0xffff)) >> 16;
}

inline float share_of_one(float scale) {
    const float least = 1.17549435e-38f;
    return 1.0f / (scale > least ? scale : least);
}

// Elements [from, to) of one block. Parameter: float or uint16_t (bf16, rounded by chance); Gradient: either.
template <class Parameter, class Gradient>
inline void adam8bit_block(Parameter* parameter, const Gradient* gradient, uint8_t* mean_codes, uint8_t* square_codes,
                           float* mean_scale, float* square_scale, int64_t from, int64_t to, const AdamStep& step,
                           const AdamMaps& maps) {
    float means[ADAM_BLOCK], squares[ADAM_BLOCK];
    float largest_mean = 0, largest_square = 0;
    for (int64_t i = from; i < to; i++) {
        const float g = load(gradient, i);
        const float m = maps.mean.values[mean_codes[i]] * *mean_scale * step.beta1 + g * step.rest1;
        const float v = maps.square.values[square_codes[i]] * *square_scale * step.beta2 + g * g * step.rest2;
        const float moved = m / (__builtin_sqrtf(v) * step.root + step.eps) * step.rate;
        store(parameter, i, load(parameter, i) * step.decay - moved, step.key);
        means[i - from] = m;
        squares[i - from] = v;
        const float size = __builtin_fabsf(m);
        largest_mean = size > largest_mean ? size : largest_mean;
        largest_square = v > largest_square ? v : largest_square;
    }
    const float per_mean = share_of_one(largest_mean), per_square = share_of_one(largest_square);
    for (int64_t i = from; i < to; i++) {
        mean_codes[i] = nearest(maps.mean, means[i - from] * per_mean);
        square_codes[i] = nearest(maps.square, squares[i - from] * per_square);
    }
    *mean_scale = largest_mean;
    *square_scale = largest_square;
}

// Blocks [first, last) of a tensor of `elements`; scales [blocks]. Blocks may be shared out among threads as one likes.
template <class Parameter, class Gradient>
inline void adam8bit(Parameter* parameter, const Gradient* gradient, uint8_t* mean_codes, uint8_t* square_codes,
                     float* mean_scales, float* square_scales, int64_t elements, int64_t first, int64_t last,
                     const AdamStep& step, const AdamMaps& maps) {
    for (int64_t block = first; block < last; block++) {
        const int64_t from = block * ADAM_BLOCK, end = from + ADAM_BLOCK;
        adam8bit_block(parameter, gradient, mean_codes, square_codes, mean_scales + block, square_scales + block, from,
                       end < elements ? end : elements, step, maps);
    }
}

inline const AdamMaps& adam_maps(const float* mean, const float* square) {
    static const AdamMaps* maps = [&] {
        auto* filled = new AdamMaps;  // for as long as the process lives
        fill_map(mean, filled->mean);
        fill_map(square, filled->square);
        return filled;
    }();
    return *maps;
}

// update(parameter, gradient) with the tensor's own types.
template <class Update>
inline void with_types(const AdamTensor& tensor, const Update& update) {
    const bool narrow = tensor.parameter_element == Element::bf16, coarse = tensor.gradient_element == Element::bf16;
    if (narrow && coarse) update((uint16_t*)tensor.parameter, (const uint16_t*)tensor.gradient);
    else if (narrow) update((uint16_t*)tensor.parameter, (const float*)tensor.gradient);
    else if (coarse) update((float*)tensor.parameter, (const uint16_t*)tensor.gradient);
    else update((float*)tensor.parameter, (const float*)tensor.gradient);
}

}  // namespace
}  // namespace loralab
