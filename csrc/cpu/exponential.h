// Arithmetic that loops over floats are vectorised with, to the same digits by every compiler.
#pragma once
#include "../matrix.h"

namespace loralab {

// a · b + c, rounded once where the instruction set can: the compiler is not to choose (-ffp-contract=off).
LORALAB_INLINE float multiply_add(float a, float b, float c) {
#if defined(__FMA__) || defined(__aarch64__)
    return __builtin_fmaf(a, b, c);
#else
    return a * b + c;
#endif
}

// e^x, relative error below 2e-7 for x in [−87, 0]; a loop over it is vectorised.
LORALAB_INLINE float exponential(float x) {
    x = x < -87 ? -87 : x;
    constexpr float MAGIC = 12582912;  // adding it rounds to a whole number
    const float scaled = multiply_add(x, 1.44269504f, MAGIC), whole = scaled - MAGIC;
    const float rest = multiply_add(whole, 2.12194440e-4f, multiply_add(whole, -0.693359375f, x));
    constexpr float TERMS[] = {1.3981999507e-3f, 8.3334519073e-3f, 4.1665795894e-2f, 1.6666665459e-1f, 5.0000001201e-1f};
    float y = 1.9875691500e-4f;
    for (float term : TERMS) y = multiply_add(y, rest, term);
    y = multiply_add(y * rest, rest, rest + 1);
    union {
        int32_t bits;
        float number;
    } power{((int32_t)whole + 127) << 23};
    return y * power.number;
}

}  // namespace loralab
