// The types of activations: how pairs of them are packed, unpacked and multiplied by tensor cores.
#pragma once
#include "../matrix.h"
#include "device.cuh"

namespace loralab {

struct Bf16 {
    static constexpr Element element = Element::bf16;
    static DEVICE uint32_t pair(float low, float high) { return bf16_pair(low, high); }
    static DEVICE float low(uint32_t pair) { return bits_to_float(pair << 16); }
    static DEVICE float high(uint32_t pair) { return bits_to_float(pair & 0xffff0000); }
    static DEVICE void multiply(float (&c)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) { multiply_bf16(c, a, b); }
    uint16_t bits;
    DEVICE float value() const { return bits_to_float(uint32_t(bits) << 16); }
    static DEVICE Bf16 of(float value) { return {uint16_t(bf16_pair(value, 0))}; }
};

struct Fp16 {
    static constexpr Element element = Element::fp16;
    static DEVICE uint32_t pair(float low, float high) { return fp16_pair(low, high); }
    static DEVICE float low(uint32_t pair) { return fp16_to_float(uint16_t(pair)); }
    static DEVICE float high(uint32_t pair) { return fp16_to_float(uint16_t(pair >> 16)); }
    static DEVICE void multiply(float (&c)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) { multiply_fp16(c, a, b); }
    uint16_t bits;
    DEVICE float value() const { return fp16_to_float(bits); }
    static DEVICE Fp16 of(float value) { return {uint16_t(fp16_pair(value, 0))}; }
};

struct Fp32 {
    static constexpr Element element = Element::float32;
    float number;
    DEVICE float value() const { return number; }
    static DEVICE Fp32 of(float value) { return {value}; }
};

template <int BYTES>
struct Sized;
template <>
struct Sized<1> {
    using Type = uint8_t;
};
template <>
struct Sized<2> {
    using Type = uint16_t;
};
template <>
struct Sized<4> {
    using Type = uint32_t;
};
template <>
struct Sized<8> {
    using Type = uint2;
};
template <>
struct Sized<16> {
    using Type = uint4;
};

LORALAB_INLINE int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

}  // namespace loralab
