// The table of AVX-512 with VNNI and BF16 (Cooper Lake, Sapphire Rapids, Zen 4 and later).
#include "avx512_adam8bit.h"
#include "avx512_int8.h"
#include "avx512_rows.h"
#include "avx512_tile.h"
#include "avx512_unpack.h"
#include "product.h"
#include "states.h"

namespace loralab {
namespace avx512 {
namespace {

struct InFloat : Tiling<float, float, float, 64, 6, 1> {
    using Extra = InFloat;
    LORALAB_INLINE static int64_t place(int64_t k, int64_t column, int64_t) { return k * PANEL + column; }
    LORALAB_INLINE static void unpack(const Weight& w, bool transposed, int64_t column, int64_t from, int64_t to,
                                      const float*, B* panel) {
        avx512::unpack<FloatPanel, STEP>(w, transposed, column, from, to, panel);
    }
    template <int R>
    LORALAB_INLINE static void tile(const A* a, int64_t stride, const B* panel, int64_t steps, Sum* sums, bool add) {
        tile_float<R>(a, stride, panel, steps, sums, add);
    }
};

struct InBf16 : Tiling<bf16, bf16, float, 64, 6, 2> {
    using Extra = InFloat;
    LORALAB_INLINE static void unpack(const Weight& w, bool transposed, int64_t column, int64_t from, int64_t to,
                                      const float*, B* panel) {
        avx512::unpack<Bf16Panel, STEP>(w, transposed, column, from, to, panel);
    }
    template <int R>
    LORALAB_INLINE static void tile(const A* a, int64_t stride, const B* panel, int64_t steps, Sum* sums, bool add) {
        tile_bf16<R>(a, stride, panel, steps, sums, add);
    }
};

struct InInt8 : Tiling<uint8_t, int8_t, int32_t, 64, 6, 4, 128> {  // vpdpbusd multiplies unsigned by signed
    using Extra = InFloat;
    LORALAB_INLINE static void unpack(const Weight& w, bool transposed, int64_t column, int64_t from, int64_t to,
                                      const float* scales, B* panel) {
        unpack_int8(w, transposed, column, from, to, scales, panel);
    }
    template <int R>
    LORALAB_INLINE static void tile(const A* a, int64_t stride, const B* panel, int64_t steps, Sum* sums, bool add) {
        tile_int8<R>(a, stride, panel, steps, sums, add);
    }
};

bool has(Path) { return true; }

void multiply_few(const Product& product, ParallelFor parallel) {
    if (product.weight.is_int8()) multiply_rows<Int8Rows>(product, parallel);
    else multiply_rows<FloatRows>(product, parallel);
}

void multiply(const Product& product, Path path, ParallelFor parallel) {
    // codes that follow one another are of one row, so there is nothing to gain by rows where W is transposed
    if (path == Path::rows && !product.transposed) multiply_few(product, parallel);
    else if (path == Path::bf16) multiply_panels<InBf16>(product, parallel);
    else if (path != Path::int8 || !multiply_panels<InInt8>(product, parallel)) multiply_panels<InFloat>(product, parallel);
}

void dequantize(const Weight& w, int64_t first, int64_t last, Element element, void* dense) {
    for (int64_t row = first; row < last; row++)
        for (int64_t column = 0; column < w.in; column += 32) {
            __m512 values[2];
            read32(w, row, column, values);
            for (int i = 0; i < 2; i++) {
                const int64_t at = (row - first) * w.in + column + 16 * i;
                const __mmask16 mask = first_words(w.in - column - 16 * i);
                if (element == Element::float32) _mm512_mask_storeu_ps((float*)dense + at, mask, values[i]);
                else _mm256_mask_storeu_epi16((bf16*)dense + at, mask, (__m256i)_mm512_cvtneps_pbh(values[i]));
            }
        }
}

void step_adam(const AdamTensor& t, const AdamStep& step, const float* mean_map, const float* square_map, int64_t first,
               int64_t last) {
    const AdamMaps& maps = adam_maps(mean_map, square_map);
    with_types(t, [&](auto* parameter, auto* gradient) {
        avx512::adam8bit(parameter, gradient, t.mean, t.square, t.mean_scales, t.square_scales, t.elements, first, last, step, maps);
    });
}

}  // namespace
}  // namespace avx512

extern const Kernels avx512_kernels = {"avx512", avx512::has, avx512::multiply, avx512::dequantize,
                                       quantize,       avx512::step_adam, decode<avx512::FloatRows, avx512::FloatRows, avx512::Int8Rows>};

}  // namespace loralab
