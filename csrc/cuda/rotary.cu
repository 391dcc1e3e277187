// Rotary positions: a thread turns 16 bytes of a head's left half and those of its right half, or copies what stays.
#include "kernels.h"
#include "pieces.cuh"

namespace loralab {

using cuda::Rotary;

namespace {

constexpr int THREADS = 256;

template <class T, int N>
DEVICE void turn(const Rotary& r, const T* from, const float* cos, const float* sin, T* to) {
    const Raw<T, N> raw_left = load_raw<T, N>(from), raw_right = load_raw<T, N>(from + r.half);
    float left[N], right[N], c[N], s[N];
    load_shared(reinterpret_cast<const Fp32*>(cos), c), load_shared(reinterpret_cast<const Fp32*>(sin), s);
    unpack<T>(raw_left, left), unpack<T>(raw_right, right);
    float new_left[N], new_right[N];
#pragma unroll
    for (int i = 0; i < N; i++) {
        const float by = r.inverse ? -s[i] : s[i];
        new_left[i] = left[i] * c[i] - right[i] * by;
        new_right[i] = right[i] * c[i] + left[i] * by;
    }
    store(to, new_left), store(to + r.half, new_right);
}

template <class T, int N>
KERNEL(THREADS, 4) void turn_heads(Rotary r, uint32_t pairs, uint32_t units, uint32_t count) {
    const uint32_t at = uint32_t(block()) * THREADS + thread();
    if (at >= count) return;
    const uint32_t head = at / units, unit = at % units;  // of all tokens' heads; of those of a head
    const uint32_t token = head / uint32_t(r.heads), row = token / uint32_t(r.time), time = token % uint32_t(r.time);
    const T* from = static_cast<const T*>(r.x) + row * r.strides[0] + time * r.strides[1] + head % uint32_t(r.heads) * r.strides[2];
    T* to = static_cast<T*>(r.y) + head * r.size;
    if (unit < pairs) {
        const int64_t angle = row * r.turn_stride + time * r.half + unit * N;
        turn<T, N>(r, from + unit * N, r.cos + angle, r.sin + angle, to + unit * N);
    } else {
        const int64_t rest = r.half + int64_t(unit) * N;  // both halves, and what of the rest comes before
        *reinterpret_cast<Raw<T, N>*>(to + rest) = load_raw<T, N>(from + rest);
    }
}

template <class T, int N>
const char* start(const Rotary& r, Stream stream) {
    const int64_t pairs = r.half / N, units = pairs + (r.size - 2 * r.half) / N, count = r.batch * r.time * r.heads * units;
    return launch(turn_heads<T, N>, {ceil_div(count, THREADS)}, THREADS, 0, stream, r, pairs, units, count);
}

template <class T>
const char* of_type(const Rotary& r, Stream stream) {
    bool whole = r.half % PIECE<T> == 0 && r.size % PIECE<T> == 0 && in_pieces<Fp32>(r.cos) && in_pieces<Fp32>(r.sin);
    for (int64_t stride : r.strides) whole = whole && in_pieces<T>(r.x, stride);
    return whole ? start<T, PIECE<T>>(r, stream) : start<T, 1>(r, stream);
}

}  // namespace

namespace cuda {

Error rotary(const Rotary& rotary, Stream stream) {
    const auto on = static_cast<loralab::Stream>(stream);
    return with_type(rotary.element, [&](auto type) { return of_type<decltype(type)>(rotary, on); });
}

}  // namespace cuda
}  // namespace loralab
