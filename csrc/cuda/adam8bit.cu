// AdamW with moments in 8 bits for many tensors in one launch, to the very codes of loralab_core/ops/adam8bit.py: every
// product and every sum is rounded on its own.
//
// * A warp takes a block of 256 elements, eight side by side to a lane: everything is read and written once. Which tensor
//   a block belongs to is looked up in a table among the kernel's arguments: nothing has to be copied to the GPU first,
//   and a captured graph holds it.
// * What changes from step to step (learning rate, corrections, seeds) lies in the GPU's memory, so that a graph can be
//   replayed with other numbers.
// * The nearest entry of a map is computed, not searched: its entries are even steps within each decade. Rounding may
//   land one beside it, which its two borders tell.
#include "../adam.h"
#include "kernels.h"
#include "pieces.cuh"

namespace loralab {
namespace {

constexpr int THREADS = 256, WARPS = THREADS / 32, EACH = ADAM_BLOCK / 32;
constexpr int TENSORS = 56;     // of a launch: what 4 KB of arguments hold
constexpr int64_t GRID = 1024;  // blocks of threads at most: each fills its maps once
constexpr float TINY = 1.17549435e-38f;

struct Many {
    AdamTensor tensor[TENSORS];
    uint32_t first[TENSORS + 1];  // block of elements of each, counted through; the last: how many there are
    int count;
    const AdamStep* steps;  // of these tensors
    const float *mean_map, *square_map;
};
static_assert(sizeof(Many) <= 4096, "arguments of a kernel");

struct Map {
    float value[256], border[256];  // border[i]: between entry i and i + 1; the last is infinity
};

struct Maps {
    Map mean, square;
};

DEVICE void fill(Map& map, const float* values) {
    const int i = thread();
    const float value = values[i];
    map.value[i] = value;
    map.border[i] = i < 255 ? over(plus(value, values[i + 1]), 2) : bits_to_float(0x7f800000);
}

// The nearest entry, the lower one on a border. Zero is entry 127 of the signed map and 0 of the unsigned one; the
// uppermost of seven decades has 64 entries on each side, or 128, and each below it half as many (blockwise8.py).
template <bool SIGNED>
DEVICE int nearest(const Map& map, float share) {
    constexpr int ZERO = SIGNED ? 127 : 0, FIRST = SIGNED ? 0 : 1;
    const float size = share < 0 ? -share : share;
    float decade = size;
    int entries = SIGNED ? 64 : 128;
#pragma unroll
    for (int i = 0; i < 6; i++)
        if (decade < 0.1f) decade *= 10, entries /= 2;
    float within = (decade - 0.1f) * (entries * (1 / 0.9f));
    within = within < entries ? within : entries;  // beyond it, one; not a number too
    const int rank = entries - FIRST + int(within);
    int guess = share < 0 ? ZERO - rank : ZERO + rank;
    guess = guess < 0 ? 0 : guess > 255 ? 255 : guess;
    if (share > map.border[guess]) return guess + 1;
    return guess > 0 && !(share > map.border[guess - 1]) ? guess - 1 : guess;
}

DEVICE uint32_t random_bits(const uint32_t (&key)[2], uint32_t element) {
    uint32_t x = element + key[0];
    x = (x ^ x >> 16) * 0x7feb352du;
    x = (x ^ x >> 15 ^ key[1]) * 0x846ca68bu;
    return x ^ x >> 16;
}

DEVICE float larger(float a, float b) { return b > a ? b : a; }

DEVICE float largest_of_warp(float own) {
#pragma unroll
    for (int mask = 16; mask > 0; mask /= 2) own = larger(own, from_lane_xor(own, mask));
    return own;
}

// Eight numbers of a tensor, or as many as are left: the others are zero.
template <class T>
DEVICE void load_some(const void* data, int64_t at, int count, bool whole, float (&number)[EACH]) {
    const T* from = static_cast<const T*>(data) + at;
    if (whole) {
#pragma unroll
        for (int i = 0; i < EACH; i += PIECE<T>) {
            float some[PIECE<T>];
            unpack<T>(load_changing(reinterpret_cast<const uint4*>(from + i)), some);
#pragma unroll
            for (int j = 0; j < PIECE<T>; j++) number[i + j] = some[j];
        }
        return;
    }
#pragma unroll
    for (int i = 0; i < EACH; i++) number[i] = i < count ? from[i].value() : 0;
}
DEVICE void load_some(Element element, const void* data, int64_t at, int count, bool whole, float (&number)[EACH]) {
    if (element == Element::bf16) load_some<Bf16>(data, at, count, whole, number);
    else if (element == Element::fp16) load_some<Fp16>(data, at, count, whole, number);
    else load_some<Fp32>(data, at, count, whole, number);
}

template <class T>
DEVICE void store_some(void* data, int64_t at, int count, bool whole, const float (&number)[EACH]) {
    T* to = static_cast<T*>(data) + at;
    if (whole) {
#pragma unroll
        for (int i = 0; i < EACH; i += PIECE<T>) {
            float some[PIECE<T>];
#pragma unroll
            for (int j = 0; j < PIECE<T>; j++) some[j] = number[i + j];
            store(to + i, some);
        }
        return;
    }
#pragma unroll
    for (int i = 0; i < EACH; i++)
        if (i < count) to[i] = T::of(number[i]);
}

// A parameter of bf16 is rounded up or down by chance: what is cut off is added to first, so that cutting it off rounds.
DEVICE void store_parameter(const AdamTensor& t, int64_t at, int count, bool whole, float (&number)[EACH], const AdamStep& step) {
    if (t.parameter_element == Element::fp16) return store_some<Fp16>(t.parameter, at, count, whole, number);
    if (t.parameter_element == Element::float32) return store_some<Fp32>(t.parameter, at, count, whole, number);
#pragma unroll
    for (int i = 0; i < EACH; i++) {
        const uint32_t bits = float_to_bits(number[i]) + (random_bits(step.key, uint32_t(at + i)) & 0xffff);
        number[i] = bits_to_float(bits & 0xffff0000);
    }
    store_some<Bf16>(t.parameter, at, count, whole, number);
}

struct Moment {
    uint8_t* codes;  // or float32
    float* scales;
};

DEVICE void load_moment(const Moment& m, const Map& map, int64_t block, int64_t at, int count, bool whole, float (&number)[EACH]) {
    if (!m.scales) return load_some<Fp32>(m.codes, at, count, whole, number);
    const float scale = m.scales[block];
    uint2 codes = {};
    if (whole) codes = load_changing(reinterpret_cast<const uint2*>(m.codes + at));
#pragma unroll
    for (int i = 0; i < EACH; i++) {
        const int code = whole ? (i < 4 ? codes.x : codes.y) >> i % 4 * 8 & 255 : i < count ? m.codes[at + i] : 0;
        number[i] = i < count ? times(map.value[code], scale) : 0;
    }
}

template <bool SIGNED>
DEVICE void store_moment(const Moment& m, const Map& map, int64_t block, int64_t at, int count, bool whole, const float (&number)[EACH]) {
    if (!m.scales) return store_some<Fp32>(m.codes, at, count, whole, number);
    float largest = 0;
#pragma unroll
    for (int i = 0; i < EACH; i++) largest = larger(largest, number[i] < 0 ? -number[i] : number[i]);
    largest = largest_of_warp(largest);
    const float per_share = over(1, larger(largest, TINY));
    uint32_t word[2] = {};
#pragma unroll
    for (int i = 0; i < EACH; i++) word[i / 4] |= uint32_t(nearest<SIGNED>(map, times(number[i], per_share))) << i % 4 * 8;
    if (lane() == 0) m.scales[block] = largest;
    if (whole) {
        *reinterpret_cast<uint2*>(m.codes + at) = {word[0], word[1]};
        return;
    }
#pragma unroll
    for (int i = 0; i < EACH; i++)
        if (i < count) m.codes[at + i] = uint8_t(word[i / 4] >> i % 4 * 8);
}

// One block of 256 elements by a warp.
DEVICE void move_block(const AdamTensor& t, const AdamStep& step, const Maps& maps, int64_t block, bool aligned) {
    const int64_t at = block * ADAM_BLOCK + lane() * EACH, left = t.elements - at;
    const int count = left < 0 ? 0 : left < EACH ? int(left) : EACH;
    const bool whole = aligned && count == EACH;
    const Moment of_mean{t.mean, t.mean_scales}, of_square{t.square, t.square_scales};
    float parameter[EACH], gradient[EACH], mean[EACH], square[EACH];
    load_some(t.parameter_element, t.parameter, at, count, whole, parameter);
    load_some(t.gradient_element, t.gradient, at, count, whole, gradient);
    load_moment(of_mean, maps.mean, block, at, count, whole, mean);
    load_moment(of_square, maps.square, block, at, count, whole, square);
    wait_for_warp();  // everybody has read the scales, which one lane writes
#pragma unroll
    for (int i = 0; i < EACH; i++) {
        const float g = gradient[i];
        mean[i] = plus(times(mean[i], step.beta1), times(g, step.rest1));
        square[i] = plus(times(square[i], step.beta2), times(times(g, g), step.rest2));
        const float size = plus(times(root(square[i]), step.root), step.eps);
        parameter[i] = plus(times(parameter[i], step.decay), -times(over(mean[i], size), step.rate));
    }
    store_moment<true>(of_mean, maps.mean, block, at, count, whole, mean);
    store_moment<false>(of_square, maps.square, block, at, count, whole, square);
    store_parameter(t, at, count, whole, parameter, step);
}

DEVICE bool is_aligned(const AdamTensor& t) {
    return ((reinterpret_cast<uintptr_t>(t.parameter) | reinterpret_cast<uintptr_t>(t.gradient) |
             reinterpret_cast<uintptr_t>(t.mean) | reinterpret_cast<uintptr_t>(t.square)) & 15) == 0;
}

KERNEL(THREADS, 3) void move_many(Many many) {
    auto& maps = block_memory<Maps>();
    fill(maps.mean, many.mean_map), fill(maps.square, many.square_map);
    wait_for_block();
    for (int64_t at = block() * WARPS + warp(); at < many.first[many.count]; at += blocks() * WARPS) {
        int low = 0;  // the last tensor that begins here or before
        for (int high = many.count; high - low > 1;) {
            const int middle = (low + high) / 2;
            many.first[middle] <= at ? low = middle : high = middle;
        }
        const AdamTensor& tensor = many.tensor[low];
        move_block(tensor, many.steps[low], maps, at - many.first[low], is_aligned(tensor));
    }
}

}  // namespace

namespace cuda {

Error adam_many(const AdamTensor* tensors, int64_t count, const AdamStep* steps, const float* mean_map,
                const float* square_map, Stream stream) {
    for (int64_t begin = 0; begin < count; begin += TENSORS) {
        Many many{};
        many.count = int(count - begin < TENSORS ? count - begin : TENSORS);
        for (int i = 0; i < many.count; i++) {
            many.tensor[i] = tensors[begin + i];
            many.first[i + 1] = many.first[i] + uint32_t(ceil_div(many.tensor[i].elements, ADAM_BLOCK));
        }
        many.steps = steps + begin, many.mean_map = mean_map, many.square_map = square_map;
        const int64_t wanted = ceil_div(many.first[many.count], WARPS);
        const Grid grid{wanted < GRID ? wanted : GRID};
        if (Error error = launch(move_many, grid, THREADS, sizeof(Maps), static_cast<loralab::Stream>(stream), many)) return error;
    }
    return nullptr;
}

}  // namespace cuda
}  // namespace loralab
