// Metal's language and library, as far as csrc/metal uses them, for a C++14 compiler: what a kernel means, on fibers
// (group.h). Address spaces are empty words and attributes are ignored; tests/emulation/metal.py turns threadgroup arrays
// into the group's memory and writes an entry for each kernel. Not here: Apple's compiler, its rounding of exp and the
// like, and all questions of speed.
#pragma once
#include <cmath>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "group.h"

using uchar = unsigned char;
using ushort = unsigned short;
using uint = unsigned;
using ulong = unsigned long;
using half = _Float16;

struct uint2 {
    uint x, y;
};
struct ulong2 {
    ulong x, y;
    ulong2(ulong x, ulong y) : x(x), y(y) {}
};
struct uint3 {
    uint x, y, z;
    operator uint() const { return x; }
    operator uint2() const { return {x, y}; }
};

// What a kernel's parameter is given, by its attribute.
namespace place {
inline uint3 thread_position_in_grid() {
    const emulation::Place& here = emulation::here();
    return {here.group.x * here.threads.x + here.thread.x, here.group.y * here.threads.y + here.thread.y,
            here.group.z * here.threads.z + here.thread.z};
}
inline uint3 threadgroup_position_in_grid() {
    const emulation::Dim group = emulation::here().group;
    return {group.x, group.y, group.z};
}
inline uint3 threads_per_threadgroup() {
    const emulation::Dim threads = emulation::here().threads;
    return {threads.x, threads.y, threads.z};
}
inline uint thread_index_in_threadgroup() { return uint(emulation::here().index); }
inline uint thread_index_in_simdgroup() { return uint(emulation::here().lane()); }
inline uint simdgroup_index_in_threadgroup() { return uint(emulation::here().index / emulation::WARP); }
inline uint simdgroups_per_threadgroup() {
    const uint3 threads = threads_per_threadgroup();
    return (threads.x * threads.y * threads.z + emulation::WARP - 1) / emulation::WARP;
}
}  // namespace place

#define device
#define threadgroup
#define thread
#define constant const

template <class To, class From>
inline To as_type(From from) {
    static_assert(sizeof(To) == sizeof(From), "as_type keeps the size");
    To to;
    std::memcpy(&to, &from, sizeof to);
    return to;
}

// The upper half of a float; from a float to the nearest, ties to even, NaN stays NaN.
struct bfloat {
    uint16_t bits;
    bfloat() = default;
    bfloat(float number) {
        const uint32_t wide = as_type<uint32_t>(number), up = 0x7fff + (wide >> 16 & 1);
        bits = uint16_t(number == number ? (wide + up) >> 16 : wide >> 16 | 0x40);
    }
    operator float() const { return as_type<float>(uint32_t(bits) << 16); }
};

template <class T, int N>
struct vec {
    T items[N];
    T& operator[](int i) { return items[i]; }
    T operator[](int i) const { return items[i]; }
};

namespace metal {

using std::abs;
using std::isnan;

inline float exp(float x) { return std::exp(x); }
inline float log(float x) { return std::log(x); }
inline float sqrt(float x) { return std::sqrt(x); }
inline float rsqrt(float x) { return 1 / std::sqrt(x); }
inline float tanh(float x) { return std::tanh(x); }
inline float fabs(float x) { return std::fabs(x); }
template <class T>
inline T min(T a, T b) { return a < b ? a : b; }
template <class T>
inline T max(T a, T b) { return a > b ? a : b; }

namespace precise {
using metal::exp;
using metal::log;
using metal::rsqrt;
using metal::sqrt;
using metal::tanh;
}  // namespace precise

enum class mem_flags { mem_none, mem_device, mem_threadgroup };
inline void threadgroup_barrier(mem_flags) { emulation::barrier(); }
inline void simdgroup_barrier(mem_flags) { emulation::warp_barrier(); }

// Sums in Metal's pairwise order are as good as these; which order it takes is not said anywhere.
template <class T, class F>
inline T simd_fold(T own, F fold) {
    const T* all = static_cast<const T*>(emulation::exchange(&own, sizeof own));
    T found = all[0];
    for (int i = 1; i < emulation::WARP; i++) found = fold(found, all[i]);
    return found;
}
template <class T>
inline T simd_sum(T own) { return simd_fold(own, [](T a, T b) { return T(a + b); }); }
template <class T>
inline T simd_max(T own) { return simd_fold(own, [](T a, T b) { return a > b ? a : b; }); }

// Each lane holds two neighbours of a row, as Apple's GPUs do; kernels see only loads, stores and products.
template <class T, int Columns, int Rows>
struct simdgroup_matrix {
    static_assert(Columns == 8 && Rows == 8, "8 by 8");
    static_assert(std::is_same<T, float>::value || std::is_same<T, half>::value, "float or half");
    T own[2];
    static int row() { const int lane = emulation::here().lane(); return (lane / 4 & 4) + lane / 2 % 4; }
    static int column() { const int lane = emulation::here().lane(); return (lane / 4 & 2) * 2 + lane % 2 * 2; }
};
using simdgroup_float8x8 = simdgroup_matrix<float, 8, 8>;
using simdgroup_half8x8 = simdgroup_matrix<half, 8, 8>;

template <class T, int Columns, int Rows>
inline simdgroup_matrix<T, Columns, Rows> make_filled_simdgroup_matrix(T value) { return {{value, value}}; }

template <class T, int C, int R>
inline void simdgroup_load(simdgroup_matrix<T, C, R>& to, const T* from, ulong stride, ulong2 origin = ulong2(0, 0),
                           bool transposed = false) {
    for (int i = 0; i < 2; i++) {
        const ulong row = to.row(), column = to.column() + i;
        to.own[i] = from[(origin.y + (transposed ? column : row)) * stride + origin.x + (transposed ? row : column)];
    }
}

template <class T, int C, int R>
inline void simdgroup_store(const simdgroup_matrix<T, C, R>& from, T* to, ulong stride, ulong2 origin = ulong2(0, 0),
                            bool transposed = false) {
    for (int i = 0; i < 2; i++) {
        const ulong row = from.row(), column = from.column() + i;
        to[(origin.y + (transposed ? column : row)) * stride + origin.x + (transposed ? row : column)] = from.own[i];
    }
}

// d = a·b + c, products and sums in the type of the accumulator.
template <class D, class A, class B>
inline void simdgroup_multiply_accumulate(simdgroup_matrix<D, 8, 8>& d, const simdgroup_matrix<A, 8, 8>& a,
                                          const simdgroup_matrix<B, 8, 8>& b, const simdgroup_matrix<D, 8, 8>& c) {
    struct Pair { A a[2]; B b[2]; };
    const Pair own{{a.own[0], a.own[1]}, {b.own[0], b.own[1]}};
    const Pair* all = static_cast<const Pair*>(emulation::exchange(&own, sizeof own));
    const auto holder = [](int row, int column) { return (row & 4) * 4 + (row & 3) * 2 + (column & 4) * 2 + (column & 2) / 2; };
    for (int i = 0; i < 2; i++) {
        const int row = d.row(), column = d.column() + i;
        D sum = c.own[i];
        for (int k = 0; k < 8; k++)
            sum += D(all[holder(row, k)].a[k % 2]) * D(all[holder(k, column)].b[column % 2]);
        d.own[i] = sum;
    }
}

}  // namespace metal
