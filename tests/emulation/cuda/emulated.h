// csrc/cuda/device.cuh on a CPU: the same names, with the meaning that CUDA's documentation gives them.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <tuple>

#include "../group.h"

#define KERNEL(threads, blocks) static
#define DEVICE inline
#define CONSTANT static
#ifndef ARCH
#define ARCH 900
#endif
#define __align__(bytes) alignas(bytes)

struct alignas(16) uint4 {
    uint32_t x, y, z, w;
};
struct alignas(8) uint2 {
    uint32_t x, y;
};
struct alignas(16) float4 {
    float x, y, z, w;
};

namespace loralab {

using Stream = void*;

template <class Shared>
Shared& block_memory() {
    constexpr uintptr_t ALIGNED = alignof(Shared) < 128 ? 128 : alignof(Shared);
    return *reinterpret_cast<Shared*>((reinterpret_cast<uintptr_t>(emulation::shared()) + ALIGNED - 1) / ALIGNED * ALIGNED);
}

inline int thread() { return emulation::here().index; }
inline int threads() { return int(emulation::here().threads.x); }
inline int lane() { return emulation::here().lane(); }
inline int warp() { return emulation::here().index / emulation::WARP; }
inline int64_t block() { return emulation::here().group.x; }
inline int64_t block_row() { return emulation::here().group.y; }
inline int64_t blocks() { return emulation::here().groups.x; }
inline void forget_loads() {}
inline void wait_for_block() { emulation::barrier(); }
inline void wait_for_warp() { emulation::warp_barrier(); }

inline void atomic_max(uint32_t* to, uint32_t value) {
    uint32_t found = __atomic_load_n(to, __ATOMIC_RELAXED);
    while (found < value && !__atomic_compare_exchange_n(to, &found, value, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {}
}
inline void atomic_add(uint32_t* to, uint32_t value) { __atomic_fetch_add(to, value, __ATOMIC_RELAXED); }

template <class T>
T from_lane_xor(T value, int mask) {
    return static_cast<const T*>(emulation::exchange(&value, sizeof value))[lane() ^ mask];
}

// A GPU faults where an address is no multiple of what is loaded.
template <class T>
T load(const T* from) {
    if (reinterpret_cast<uintptr_t>(from) % alignof(T)) __builtin_trap();
    return *from;
}
template <class T>
T load_once(const T* from) {
    return load(from);
}

template <class T>
T load_changing(const T* from) {
    return load(from);
}

inline float bits_to_float(uint32_t bits) {
    float value;
    std::memcpy(&value, &bits, sizeof value);
    return value;
}
inline uint32_t float_to_bits(float value) {
    uint32_t bits;
    std::memcpy(&bits, &value, sizeof bits);
    return bits;
}
inline uint32_t bf16_bits(float value) {
    const uint32_t bits = float_to_bits(value);
    return value == value ? (bits + 0x7fff + (bits >> 16 & 1)) >> 16 : bits >> 16 | 0x40;
}
inline uint32_t bf16_pair(float low, float high) { return bf16_bits(high) << 16 | bf16_bits(low); }
inline uint32_t fp16_bits(float value) {
    const _Float16 half = static_cast<_Float16>(value);
    uint16_t bits;
    std::memcpy(&bits, &half, sizeof bits);
    return bits;
}
inline uint32_t fp16_pair(float low, float high) { return fp16_bits(high) << 16 | fp16_bits(low); }
inline float fp16_to_float(uint16_t bits) {
    _Float16 half;
    std::memcpy(&half, &bits, sizeof half);
    return static_cast<float>(half);
}

inline uint8_t float_to_fp8(float value) {  // four bits of exponent, three of mantissa, no infinity
    const uint8_t sign = float_to_bits(value) >> 31 << 7;
    const float size = std::fmin(std::fabs(value), 448.0f);
    if (value != value) return sign | 0x7f;
    const int exponent = std::max(-6, int(std::floor(std::log2(std::fmax(size, 1e-30f)))));
    const int steps = int(std::nearbyint(std::ldexp(size, 3 - exponent)));  // eighths of a power of two
    return sign | uint8_t(steps < 8 ? steps : (exponent + 6) * 8 + steps);
}

inline float times(float a, float b) { return a * b; }
inline float plus(float a, float b) { return a + b; }
inline float over(float a, float b) { return a / b; }
inline float root(float a) { return std::sqrt(a); }
inline float fused(float a, float b, float c) { return std::fma(a, b, c); }
inline int nearest_int(float a) { return int(std::lrintf(a)); }
inline float exponential(float a) { return std::exp(a); }
inline float logarithm(float a) { return std::log(a); }
inline float reciprocal_root(float a) { return 1 / std::sqrt(a); }
inline float quotient(float a, float b) { return std::fabs(b) > 0x1p126f ? 0 : a / b; }
inline float error_function(float a) { return std::erf(a); }

struct Fragments {
    uint32_t a[4], b[2];
};

template <class Decode>
void multiply_16x8x16(float (&c)[4], const uint32_t (&a)[4], const uint32_t (&b)[2], Decode decode) {
    Fragments own;
    std::memcpy(own.a, a, sizeof own.a), std::memcpy(own.b, b, sizeof own.b);
    const auto* all = static_cast<const Fragments*>(emulation::exchange(&own, sizeof own));
    const int g = lane() / 4, t = lane() % 4;
    for (int i = 0; i < 4; i++) {
        const int row = i < 2 ? g : g + 8, column = 2 * t + i % 2;
        for (int k = 0; k < 16; k++) {
            const int pair = k % 8 / 2, half = k / 8, odd = k % 2;
            const uint32_t x = all[row % 8 * 4 + pair].a[half * 2 + row / 8], y = all[column * 4 + pair].b[half];
            c[i] += decode(x >> 16 * odd & 0xffff) * decode(y >> 16 * odd & 0xffff);
        }
    }
}
inline void multiply_bf16(float (&c)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
    multiply_16x8x16(c, a, b, [](uint32_t bits) { return bits_to_float(bits << 16); });
}
inline void multiply_fp16(float (&c)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
    multiply_16x8x16(c, a, b, [](uint32_t bits) { return fp16_to_float(uint16_t(bits)); });
}

inline void multiply_int8(int (&c)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
    Fragments own;
    std::memcpy(own.a, a, sizeof own.a), std::memcpy(own.b, b, sizeof own.b);
    const auto* all = static_cast<const Fragments*>(emulation::exchange(&own, sizeof own));
    const int g = lane() / 4, t = lane() % 4;
    for (int i = 0; i < 4; i++) {
        const int row = i < 2 ? g : g + 8, column = 2 * t + i % 2;
        for (int k = 0; k < 32; k++) {
            const int four = k % 16 / 4, half = k / 16, byte = k % 4;
            const uint32_t x = all[row % 8 * 4 + four].a[half * 2 + row / 8], y = all[column * 4 + four].b[half];
            c[i] += int(int8_t(x >> 8 * byte)) * int(int8_t(y >> 8 * byte));
        }
    }
}

inline void load_fragments(uint32_t (&to)[4], const void* row) {
    if (reinterpret_cast<uintptr_t>(row) % 16) __builtin_trap();
    const auto* rows = static_cast<const void* const*>(emulation::exchange(&row, sizeof row));
    for (int i = 0; i < 4; i++) to[i] = static_cast<const uint32_t*>(rows[8 * i + lane() / 4])[lane() % 4];
}
inline void load_fragments_turned(uint32_t (&to)[4], const void* row) {
    if (reinterpret_cast<uintptr_t>(row) % 16) __builtin_trap();
    const auto* rows = static_cast<const void* const*>(emulation::exchange(&row, sizeof row));
    const int g = lane() / 4, t = lane() % 4;
    for (int i = 0; i < 4; i++) {
        const uint32_t low = static_cast<const uint16_t*>(rows[8 * i + 2 * t])[g];
        to[i] = low | uint32_t(static_cast<const uint16_t*>(rows[8 * i + 2 * t + 1])[g]) << 16;
    }
}

inline void copy_later(void* to, const void* from, bool there) {
    if ((reinterpret_cast<uintptr_t>(from) | reinterpret_cast<uintptr_t>(to)) % 16) __builtin_trap();
    emulation::copy_later(to, there ? from : nullptr, 16);
}
inline void end_batch() { emulation::commit_copies(); }
template <int PENDING>
void wait_for_batches() {
    emulation::wait_copies(PENDING);
}

struct Grid {
    int64_t blocks, rows = 1;
};

template <class... Wanted, class... Given>
const char* launch(void (*kernel)(Wanted...), Grid grid, int threads, size_t shared, Stream, Given... arguments) {
    const std::tuple<Wanted...> given(static_cast<Wanted>(arguments)...);
    emulation::run({unsigned(grid.blocks), unsigned(grid.rows)}, {unsigned(threads)}, shared,
                   [&] { std::apply(kernel, given); });
    return nullptr;
}

}  // namespace loralab
