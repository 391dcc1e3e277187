// Numbers in pieces of 16 bytes, the most a thread moves at once, or one by one where they do not lie that way.
#pragma once
#include <type_traits>

#include "numbers.cuh"

namespace loralab {

template <class T>
constexpr int PIECE = 16 / sizeof(T);  // numbers in 16 bytes

// N numbers as they lie in memory: N is PIECE<T> or 1.
template <class T, int N>
using Raw = std::conditional_t<N == 1, T, uint4>;

template <class T, int N>
DEVICE Raw<T, N> load_raw(const T* from) {
    if constexpr (N == 1) return *from;
    else return load_once(reinterpret_cast<const uint4*>(from));
}

template <class T>
DEVICE void unpack(const T& raw, float (&number)[1]) {
    number[0] = raw.value();
}
template <class T>
DEVICE void unpack(const uint4& raw, float (&number)[PIECE<T>]) {
    const uint32_t word[4] = {raw.x, raw.y, raw.z, raw.w};
#pragma unroll
    for (int i = 0; i < 4; i++) {
        if constexpr (sizeof(T) == 4) number[i] = bits_to_float(word[i]);
        else number[2 * i] = T::low(word[i]), number[2 * i + 1] = T::high(word[i]);
    }
}

template <class T>
DEVICE uint4 packed(const float (&number)[PIECE<T>]) {
    if constexpr (sizeof(T) == 4)
        return {float_to_bits(number[0]), float_to_bits(number[1]), float_to_bits(number[2]), float_to_bits(number[3])};
    else
        return {T::pair(number[0], number[1]), T::pair(number[2], number[3]), T::pair(number[4], number[5]),
                T::pair(number[6], number[7])};
}

template <class T, int N>
DEVICE void store(T* to, const float (&number)[N]) {
    if constexpr (N == 1) *to = T::of(number[0]);
    else *reinterpret_cast<uint4*>(to) = packed<T>(number);
}

// N numbers that many threads read, such as a gain: in as many pieces as they take.
template <class T, int N>
DEVICE void load_shared(const T* from, float (&number)[N]) {
    if constexpr (N % PIECE<T> == 0) {
#pragma unroll
        for (int at = 0; at < N; at += PIECE<T>) {
            float some[PIECE<T>];
            unpack<T>(load(reinterpret_cast<const uint4*>(from + at)), some);
#pragma unroll
            for (int i = 0; i < PIECE<T>; i++) number[at + i] = some[i];
        }
    } else {
#pragma unroll
        for (int i = 0; i < N; i++) number[i] = from[i].value();
    }
}

// Whether pieces of 16 bytes begin where this and everything so many elements further on lies.
template <class T>
bool in_pieces(const void* data, int64_t stride = 0) {
    return reinterpret_cast<uintptr_t>(data) % 16 == 0 && stride % PIECE<T> == 0;
}

// act(T()) with the type of an element.
template <class Act>
const char* with_type(Element element, const Act& act) {
    switch (element) {
        case Element::bf16: return act(Bf16());
        case Element::fp16: return act(Fp16());
        default: return act(Fp32());
    }
}

}  // namespace loralab
