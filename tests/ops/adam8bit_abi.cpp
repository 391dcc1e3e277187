// csrc/cpu/adam8bit.h with C's names, for the test beside this file.
#include "csrc/cpu/adam8bit.h"
#ifdef AVX512
#include "csrc/cpu/avx512_adam8bit.h"
namespace level = loralab::avx512;
#else
namespace level = loralab;
#endif

static loralab::AdamMaps maps;

extern "C" void fill(const float* mean, const float* square) {
    loralab::fill_map(mean, maps.mean);
    loralab::fill_map(square, maps.square);
}

#define STEP(NAME, PARAMETER, GRADIENT)                                                                          \
    extern "C" void NAME(PARAMETER* parameter, const GRADIENT* gradient, uint8_t* mean, uint8_t* square,         \
                         float* mean_scales, float* square_scales, int64_t elements, const float* numbers,       \
                         uint64_t seed) {                                                                        \
        loralab::AdamStep step;                                                                                  \
        std::memcpy(&step, numbers, 8 * sizeof(float));                                                          \
        step.key[0] = seed;                                                                                      \
        step.key[1] = seed >> 32;                                                                                \
        const int64_t blocks = (elements + 255) / 256, half = blocks / 2;                                        \
        const int64_t ranges[2][2] = {{half, blocks}, {0, half}};                                                \
        for (const int64_t* range : ranges)                                                                      \
            level::adam8bit(parameter, gradient, mean, square, mean_scales, square_scales, elements, range[0],   \
                            range[1], step, maps);                                                               \
    }

STEP(float32_float32, float, float)
STEP(float32_bfloat16, float, uint16_t)
STEP(bfloat16_float32, uint16_t, float)
STEP(bfloat16_bfloat16, uint16_t, uint16_t)
